//! The curves of a run, from its journal.

use crate::chart::{Ink, Line};
use crate::journal::{self, Event, Step};

/// Where more values than this would stand side by side in a chart, neighbours are drawn as their mean.
const BUCKETS: usize = 240;

/// A learning rate with no more corners than this goes by levels.
const LEVEL_CORNERS: usize = 24;

/// More points than this are not marked.
const MARKS: usize = 40;

/// A named curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Its name in the legend.
    pub name: String,
    /// What is drawn.
    pub line: Line,
    /// The last value.
    pub last: f64,
    /// How many logged values each point stands for.
    pub each: usize,
    /// How many values are not finite and left out.
    pub left_out: usize,
}

/// The curve of a number of the step events, in the first colour, for a chart up to step `end`; `None` where there is
/// no value to draw.
pub fn of_steps(
    events: &[Event],
    end: u64,
    name: &str,
    value: impl Fn(&Step) -> Option<f64>,
) -> Option<Curve> {
    let values = events.iter().filter_map(|event| match event {
        Event::Step(step) => Some((step.step as f64, value(step)?)),
        _ => None,
    });
    Curve::of(name, Ink::Series(0), end, values.collect())
}

/// The curve of the learning rate, exact at every corner; `None` where no step was logged.
pub fn of_rates(events: &[Event], end: u64) -> Option<Curve> {
    let rates = events.iter().filter_map(|event| match event {
        Event::Step(step) => Some((step.step as f64, step.lr)),
        _ => None,
    });
    Curve::of(
        "learning rate",
        Ink::Series(0),
        end,
        corners(rates.collect()),
    )
    .map(Curve::without_band)
}

/// A curve for each evaluated split, of the error in percent, after that of the training batches where it was measured.
pub fn of_errors(events: &[Event], end: u64) -> Vec<Curve> {
    let of_batches = of_steps(events, end, "training batches, augmented", |step| {
        Some(100.0 - step.top1?)
    });
    let of_splits = journal::splits(events)
        .into_iter()
        .enumerate()
        .filter_map(|(rank, split)| {
            let errors = events.iter().filter_map(|event| match event {
                Event::Eval(eval) if eval.split == split => {
                    Some((eval.step as f64, 100.0 - eval.top1))
                }
                _ => None,
            });
            Curve::of(split, Ink::Series(rank + 1), end, errors.collect()).map(Curve::marked)
        });
    of_batches
        .into_iter()
        .chain(of_splits)
        .map(Curve::without_band)
        .collect()
}

impl Curve {
    fn of(name: &str, ink: Ink, end: u64, values: Vec<(f64, f64)>) -> Option<Self> {
        let finite: Vec<_> = values
            .iter()
            .copied()
            .filter(|value| value.1.is_finite())
            .collect();
        let (reach, last) = *finite.last()?;
        let room = (BUCKETS as f64 * reach / end.max(1) as f64).ceil().max(1.0) as usize;
        let each = finite.len().div_ceil(room);
        let left_out = values.len() - finite.len();
        let (points, band) = if each > 1 {
            means(&finite, each)
        } else {
            (finite, Vec::new())
        };
        let line = Line {
            points,
            band,
            ink,
            marked: false,
        };
        Some(Self {
            name: name.to_owned(),
            line,
            last,
            each,
            left_out,
        })
    }

    /// The curve with its points marked, if they are few.
    fn marked(mut self) -> Self {
        self.line.marked = self.line.points.len() <= MARKS;
        self
    }

    /// Whether the curve goes by a few constant levels.
    pub fn has_levels(&self) -> bool {
        self.line.points.len() <= LEVEL_CORNERS
    }

    /// The curve without the band of its values, which would hide other curves.
    fn without_band(mut self) -> Self {
        self.line.band.clear();
        self
    }
}

/// The points without those that lie between two of the same value.
fn corners(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let level = |index: usize| points.get(index).map(|point| point.1);
    let is_between = |index: usize| {
        index > 0 && level(index - 1) == level(index) && level(index) == level(index + 1)
    };
    (0..points.len())
        .filter(|&index| !is_between(index))
        .map(|index| points[index])
        .collect()
}

type Points = Vec<(f64, f64)>;

/// For each `each` neighbours: their last x with their mean, and their lowest and highest value.
fn means(values: &[(f64, f64)], each: usize) -> (Points, Points) {
    values
        .chunks(each)
        .map(|chunk| {
            let numbers = || chunk.iter().map(|value| value.1);
            let mean = numbers().map(|number| number / chunk.len() as f64).sum();
            let x = chunk[chunk.len() - 1].0;
            (
                (x, mean),
                (
                    numbers().fold(f64::INFINITY, f64::min),
                    numbers().fold(f64::NEG_INFINITY, f64::max),
                ),
            )
        })
        .unzip()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Eval;

    fn step(step: u64, loss: f64) -> Event {
        let (lr, images_per_second, data_seconds) = (0.1, 100.0, 0.0);
        Event::Step(Step {
            step,
            epoch: 1,
            loss,
            lr,
            images_per_second,
            data_seconds,
            top1: Some(25.0),
        })
    }

    fn eval(step: u64, split: &str, top1: f64) -> Event {
        Event::Eval(Eval {
            step,
            split: split.into(),
            top1,
            top5: 100.0,
            loss: 0.1,
            images: 10,
        })
    }

    #[test]
    fn long_curves_are_means_with_the_band_of_their_values() {
        let events: Vec<_> = (0..4 * BUCKETS as u64)
            .map(|n| step(n, (n % 4) as f64))
            .collect();
        let curve = of_steps(&events, 4 * BUCKETS as u64, "loss", |step| Some(step.loss)).unwrap();
        assert_eq!((curve.each, curve.last), (4, 3.0));
        assert_eq!(curve.line.points.len(), BUCKETS);
        assert!(curve.line.points.iter().all(|point| point.1 == 1.5));
        assert!(curve.line.band.iter().all(|band| *band == (0.0, 3.0)));
    }

    #[test]
    fn a_run_that_has_just_begun_takes_its_share_of_the_chart() {
        let events: Vec<_> = (1..=BUCKETS as u64).map(|n| step(n, 1.0)).collect();
        let points = |end| {
            of_steps(&events, end, "loss", |step| Some(step.loss))
                .unwrap()
                .line
                .points
                .len()
        };
        assert_eq!(
            [points(BUCKETS as u64), points(10 * BUCKETS as u64)],
            [BUCKETS, BUCKETS / 10]
        );
    }

    #[test]
    fn values_that_are_not_finite_are_counted_not_drawn() {
        let events = [step(1, 1.0), step(2, f64::NAN), step(3, f64::INFINITY)];
        let curve = of_steps(&events, 3, "loss", |step| Some(step.loss)).unwrap();
        assert_eq!((curve.line.points, curve.left_out), (vec![(1.0, 1.0)], 2));
        assert_eq!(
            of_steps(&events[1..], 3, "loss", |step| Some(step.loss)),
            None
        );
    }

    #[test]
    fn a_rate_of_levels_is_its_corners_and_a_smooth_one_is_not() {
        let rates = |rate: fn(u64) -> f64| {
            let with_rate = |number| match step(number, 1.0) {
                Event::Step(step) => Event::Step(Step {
                    lr: rate(number),
                    ..step
                }),
                other => other,
            };
            of_rates(&(1..=100).map(with_rate).collect::<Vec<_>>(), 100).unwrap()
        };
        let stepped = rates(|number| if number <= 50 { 0.1 } else { 0.01 });
        assert_eq!(
            stepped.line.points,
            [(1.0, 0.1), (50.0, 0.1), (51.0, 0.01), (100.0, 0.01)]
        );
        assert!(stepped.has_levels());
        assert!(!rates(|number| 1.0 / number as f64).has_levels());
    }

    #[test]
    fn each_split_has_its_error() {
        let events = [
            step(1, 1.0),
            eval(1, "validation", 40.0),
            eval(1, "test", 60.0),
            eval(2, "test", 90.0),
        ];
        let curves = of_errors(&events, 2);
        let found: Vec<_> = curves
            .iter()
            .map(|curve| (curve.name.as_str(), curve.last, curve.line.ink))
            .collect();
        let expected = [
            ("training batches, augmented", 75.0, Ink::Series(0)),
            ("validation", 60.0, Ink::Series(1)),
            ("test", 10.0, Ink::Series(2)),
        ];
        assert_eq!(found, expected);
    }
}
