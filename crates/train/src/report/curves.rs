//! The curves of a run, from its journal.

use crate::journal::{self, Event, Step};

use super::chart::{Ink, Line};

/// More logged steps than this are drawn as means of neighbours.
const BUCKETS: usize = 240;

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

/// The curve of a number of the step events, in the first colour; `None` where there is no value to draw.
pub fn of_steps(
    events: &[Event],
    name: &str,
    value: impl Fn(&Step) -> Option<f64>,
) -> Option<Curve> {
    let values = events.iter().filter_map(|event| match event {
        Event::Step(step) => Some((step.step as f64, value(step)?)),
        _ => None,
    });
    Curve::of(name, Ink::Series(0), false, values.collect())
}

/// A curve for each evaluated split, of the error in percent; with `train`, the training error, as the first.
pub fn of_errors(events: &[Event]) -> Vec<Curve> {
    let in_training = of_steps(events, "training batches, augmented", |step| {
        Some(100.0 - step.top1?)
    });
    let mut curves: Vec<Curve> = in_training.into_iter().map(Curve::without_band).collect();
    for (rank, split) in journal::splits(events).into_iter().enumerate() {
        let values = events.iter().filter_map(|event| match event {
            Event::Eval(eval) if eval.split == split => Some((eval.step as f64, 100.0 - eval.top1)),
            _ => None,
        });
        curves.extend(Curve::of(
            split,
            Ink::Series(rank + 1),
            true,
            values.collect(),
        ));
    }
    curves
}

impl Curve {
    fn of(name: &str, ink: Ink, may_be_marked: bool, values: Vec<(f64, f64)>) -> Option<Self> {
        let finite: Vec<_> = values
            .iter()
            .copied()
            .filter(|value| value.1.is_finite())
            .collect();
        let last = finite.last()?.1;
        let each = finite.len().div_ceil(BUCKETS);
        let marked = may_be_marked && finite.len() <= 40;
        let (points, band) = if each > 1 {
            means(&finite, each)
        } else {
            (finite.clone(), Vec::new())
        };
        Some(Self {
            name: name.to_owned(),
            line: Line {
                points,
                band,
                ink,
                marked,
            },
            last,
            each,
            left_out: values.len() - finite.len(),
        })
    }

    /// The curve without the band of its values, where these only crowd the chart.
    pub fn without_band(mut self) -> Self {
        self.line.band.clear();
        self
    }
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
        let curve = of_steps(&events, "loss", |step| Some(step.loss)).unwrap();
        assert_eq!((curve.each, curve.last), (4, 3.0));
        assert_eq!(curve.line.points.len(), BUCKETS);
        assert!(curve.line.points.iter().all(|point| point.1 == 1.5));
        assert!(curve.line.band.iter().all(|band| *band == (0.0, 3.0)));
    }

    #[test]
    fn values_that_are_not_finite_are_counted_not_drawn() {
        let events = [step(1, 1.0), step(2, f64::NAN), step(3, f64::INFINITY)];
        let curve = of_steps(&events, "loss", |step| Some(step.loss)).unwrap();
        assert_eq!((curve.line.points, curve.left_out), (vec![(1.0, 1.0)], 2));
        assert_eq!(of_steps(&events[1..], "loss", |step| Some(step.loss)), None);
    }

    #[test]
    fn each_split_has_its_error() {
        let events = [
            step(1, 1.0),
            eval(1, "validation", 40.0),
            eval(1, "test", 60.0),
            eval(2, "test", 90.0),
        ];
        let curves = of_errors(&events);
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
