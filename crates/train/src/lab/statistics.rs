//! What a few runs say: means, and intervals that are as wide as few runs make them.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// How often an interval covers the truth.
const COVERAGE: f64 = 0.95;

/// Independent values of one quantity, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// How many.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation, with n - 1 in the denominator; a single value has none.
    pub deviation: Option<f64>,
}

/// Where a quantity is, with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Interval {
    fn around(middle: f64, half: f64) -> Self {
        Self {
            low: middle - half,
            high: middle + half,
        }
    }
}

impl Sample {
    /// Of these values; none of none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len();
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        (n > 0).then(|| Self {
            n,
            mean,
            deviation: (n > 1).then(|| (squares / (n - 1) as f64).sqrt()),
        })
    }

    /// Of the mean, by Student's t distribution.
    pub fn interval(&self) -> Option<Interval> {
        let error = self.squared_error()?.sqrt();
        let half = quantile((self.n - 1) as f64) * error;
        Some(Interval::around(self.mean, half))
    }

    /// Of one more value: wider than that of the mean.
    pub fn prediction(&self) -> Option<Interval> {
        let deviation = self.deviation?;
        let half = quantile((self.n - 1) as f64) * deviation * (1.0 + 1.0 / self.n as f64).sqrt();
        Some(Interval::around(self.mean, half))
    }

    /// Of the difference of two means, `self` minus `other`, whose deviations may differ (Welch 1947).
    pub fn difference(&self, other: &Self) -> Option<Interval> {
        let (ours, theirs) = (self.squared_error()?, other.squared_error()?);
        let middle = self.mean - other.mean;
        if ours + theirs == 0.0 {
            return Some(Interval::around(middle, 0.0));
        }
        let freedom = (ours + theirs).powi(2)
            / (ours.powi(2) / (self.n - 1) as f64 + theirs.powi(2) / (other.n - 1) as f64);
        let half = quantile(freedom) * (ours + theirs).sqrt();
        Some(Interval::around(middle, half))
    }

    /// The variance of the mean.
    fn squared_error(&self) -> Option<f64> {
        Some(self.deviation?.powi(2) / self.n as f64)
    }
}

/// How many standard errors an interval reaches to either side.
fn quantile(freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom)
        .expect("two values or more have a degree of freedom")
        .inverse_cdf(f64::midpoint(1.0, COVERAGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: [f64; 5] = [8.51, 8.22, 8.75, 8.61, 8.4];
    const THEIRS: [f64; 3] = [7.4, 7.13, 7.95];

    #[track_caller]
    fn assert_interval(found: Option<Interval>, [low, high]: [f64; 2]) {
        let found = found.unwrap();
        assert!((found.low - low).abs() < 1e-9, "{found:?}, {low}");
        assert!((found.high - high).abs() < 1e-9, "{found:?}, {high}");
    }

    #[test]
    fn intervals_are_scipys() {
        let [ours, theirs] = [Sample::of(&OURS), Sample::of(&THEIRS)].map(Option::unwrap);
        assert!((ours.mean - GOLDEN_MEAN).abs() < 1e-12);
        assert!((ours.deviation.unwrap() - GOLDEN_DEVIATION).abs() < 1e-12);
        assert_interval(ours.interval(), GOLDEN_INTERVAL);
        assert_interval(ours.prediction(), GOLDEN_PREDICTION);
        assert_interval(ours.difference(&theirs), GOLDEN_DIFFERENCE);
    }

    #[test]
    fn one_value_has_no_spread() {
        assert_eq!(Sample::of(&[]), None);
        let one = Sample::of(&[8.5]).unwrap();
        assert_eq!(one.mean, 8.5);
        assert_eq!(one.deviation, None);
        assert_eq!(one.interval(), None);
        assert_eq!(one.prediction(), None);
        assert_eq!(one.difference(&Sample::of(&OURS).unwrap()), None);
    }

    #[test]
    fn equal_values_have_an_interval_without_width() {
        let [four, three] = [[4.0; 3], [3.0; 3]].map(|values| Sample::of(&values).unwrap());
        assert_interval(four.interval(), [4.0, 4.0]);
        assert_interval(four.difference(&three), [1.0, 1.0]);
    }

    // scipy 1.17.1: `stats.t.interval(0.95, 4, loc=a.mean(), scale=stats.sem(a))`; the prediction by
    // `stats.t.ppf(0.975, 4) * a.std(ddof=1) * sqrt(1 + 1 / 5)`; the difference by
    // `stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)`.
    const GOLDEN_MEAN: f64 = 8.498;
    const GOLDEN_DEVIATION: f64 = 0.201_915_824_045_565_7;
    const GOLDEN_INTERVAL: [f64; 2] = [8.247_288_390_614_976, 8.748_711_609_385_026];
    const GOLDEN_PREDICTION: [f64; 2] = [7.883_884_484_414_72, 9.112_115_515_585_282];
    const GOLDEN_DIFFERENCE: [f64; 2] = [0.102_523_147_315_275_9, 1.906_810_186_018_06];
}
