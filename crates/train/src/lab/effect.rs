//! One thing larger than another, and how sure that is.

use std::fmt;

use serde::Serialize;

use super::statistics::{Interval, Sample};

/// A difference that someone expects to be positive.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Effect {
    /// What is expected, in words.
    pub says: String,
    /// What is subtracted from what.
    pub compared: String,
    /// The difference of the means; positive as expected.
    pub value: Option<f64>,
    /// Its unit.
    pub unit: &'static str,
    /// Where it is, with 95 % confidence.
    pub interval: Option<Interval>,
    /// Values of the smaller sample.
    pub n: usize,
    /// Why there is no difference to tell, where that is so.
    pub refused: Option<String>,
}

/// One side of a comparison.
pub struct Side<'a> {
    /// What it is called.
    pub name: &'a str,
    /// Its values, where there are any.
    pub sample: Option<Sample>,
    /// Whether some of its runs diverged.
    pub diverged: bool,
}

impl Effect {
    /// The mean of the first minus that of the second, in points of percent, by Welch's test.
    pub fn difference(says: &str, larger: &Side<'_>, smaller: &Side<'_>) -> Self {
        let refused = (larger.diverged || smaller.diverged)
            .then(|| "some runs diverged, and have no error to compare".to_owned());
        let samples = larger.sample.zip(smaller.sample);
        let told = samples.filter(|_| refused.is_none());
        Self {
            says: says.to_owned(),
            compared: format!("{} minus {}", larger.name, smaller.name),
            value: told.map(|(larger, smaller)| larger.mean - smaller.mean),
            unit: "points",
            interval: told.and_then(|(larger, smaller)| larger.difference(&smaller)),
            n: told.map_or(0, |(larger, smaller)| larger.n.min(smaller.n)),
            refused,
        }
    }
}

/// What was found of it, with how sure it is.
impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.says)?;
        if let Some(refused) = &self.refused {
            return f.write_str(refused);
        }
        let Some(value) = self.value else {
            return f.write_str("not run");
        };
        write!(f, "{} is {value:+.2} {}", self.compared, self.unit)?;
        let Some(interval) = self.interval else {
            return f.write_str(", of one run each: no interval");
        };
        let Interval { low, high } = interval;
        write!(f, " ({low:+.2} to {high:+.2}, n {})", self.n)?;
        f.write_str(match interval {
            _ if low > 0.0 => ": as the paper says",
            _ if high < 0.0 => ": against the paper",
            _ => ": not told apart",
        })
    }
}
