//! The learning rate: a pure function of the step, all durations in steps.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::recipe::WarmUpShape;

/// The learning rate of each step of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// What comes before the curve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm_up: Option<WarmUp>,
    /// The rate without warm-up.
    pub curve: Curve,
}

/// The rate without warm-up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "a table", rename_all = "snake_case", deny_unknown_fields)]
pub enum Curve {
    /// The same at each step.
    Constant {
        /// The rate.
        rate: f64,
    },
    /// `start / divide_by^k`, with k the number of milestones that are reached.
    Milestones {
        /// The first rate.
        start: f64,
        /// What each milestone divides the rate by.
        divide_by: f64,
        /// The first steps that run with the divided rate, rising.
        at: Vec<u64>,
    },
    /// `start / divide_by^k`, with k the number of whole periods.
    Periodic {
        /// The first rate.
        start: f64,
        /// What each period divides the rate by.
        divide_by: f64,
        /// The period.
        every: u64,
    },
    /// `end + (start - end) (1 + cos(pi t)) / 2`, with t from 0 to 1 between two steps.
    Cosine {
        /// The rate at `first`.
        start: f64,
        /// The rate at `last`.
        end: f64,
        /// Where t is 0: the end of the warm-up.
        first: u64,
        /// Where t is 1: the number of steps of the run.
        last: u64,
    },
}

/// A rate of its own for the first steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarmUp {
    /// How it goes on from `from`.
    pub shape: WarmUpShape,
    /// The rate of step 0.
    pub from: f64,
    /// The first step that the curve rules.
    pub steps: u64,
}

impl Schedule {
    /// The learning rate of the update number `step`, from 0.
    pub fn rate(&self, step: u64) -> f64 {
        match &self.warm_up {
            Some(warm_up) if step < warm_up.steps => warm_up.rate(step, self.curve.start()),
            _ => self.curve.rate(step),
        }
    }
}

impl WarmUp {
    fn rate(&self, step: u64, target: f64) -> f64 {
        match self.shape {
            WarmUpShape::Constant => self.from,
            WarmUpShape::Linear => {
                self.from + (target - self.from) * step as f64 / self.steps as f64
            }
        }
    }
}

impl Curve {
    fn start(&self) -> f64 {
        match *self {
            Curve::Constant { rate } => rate,
            Curve::Milestones { start, .. }
            | Curve::Periodic { start, .. }
            | Curve::Cosine { start, .. } => start,
        }
    }

    fn rate(&self, step: u64) -> f64 {
        match self {
            Curve::Constant { rate } => *rate,
            Curve::Milestones {
                start,
                divide_by,
                at,
            } => {
                let reached = at.iter().filter(|milestone| **milestone <= step).count();
                start / divide_by.powf(reached as f64)
            }
            Curve::Periodic {
                start,
                divide_by,
                every,
            } => start / divide_by.powf((step / every) as f64),
            Curve::Cosine {
                start,
                end,
                first,
                last,
            } => {
                let t = (step - first) as f64 / (last - first).max(1) as f64;
                end + (start - end) * (1.0 + (PI * t.min(1.0)).cos()) / 2.0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(rate: f64, expected: f64) -> bool {
        (rate - expected).abs() <= 1e-12 * expected.abs().max(1e-3)
    }

    fn he_2015(warm_up: Option<WarmUp>) -> Schedule {
        Schedule {
            warm_up,
            curve: Curve::Milestones {
                start: 0.1,
                divide_by: 10.0,
                at: vec![32_000, 48_000],
            },
        }
    }

    #[test]
    fn milestones_divide_from_their_own_step_on() {
        let schedule = he_2015(None);
        for (step, rate) in [
            (0, 0.1),
            (31_999, 0.1),
            (32_000, 0.01),
            (47_999, 0.01),
            (48_000, 0.001),
            (63_999, 0.001),
        ] {
            assert!(
                close(schedule.rate(step), rate),
                "step {step}: {}",
                schedule.rate(step)
            );
        }
    }

    #[test]
    fn a_constant_warm_up_holds_its_rate_and_then_lets_go() {
        let schedule = he_2015(Some(WarmUp {
            shape: WarmUpShape::Constant,
            from: 0.01,
            steps: 400,
        }));
        assert_eq!(
            [0, 399, 400].map(|step| schedule.rate(step)),
            [0.01, 0.01, 0.1]
        );
    }

    #[test]
    fn a_period_divides_again_and_again() {
        let curve = Curve::Periodic {
            start: 1.0,
            divide_by: 2.0,
            every: 3,
        };
        let rates: Vec<_> = (0..8).map(|step| curve.rate(step)).collect();
        assert_eq!(rates, [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25]);
    }

    /// PyTorch 2.15.0, one `step()` after each update:
    /// `SequentialLR(sgd, [LinearLR(sgd, 0.1, 1, 4), CosineAnnealingLR(sgd, 8, 0.01)], [4])`, rate 0.4.
    #[test]
    fn warm_up_and_cosine_are_those_of_pytorch() {
        let expected = [
            0.04,
            0.13,
            0.22,
            0.31,
            0.4,
            0.38515650883970093,
            0.34288582233137677,
            0.2796232693111925,
            0.205,
            0.13037673068880748,
            0.06711417766862324,
            0.024843491160299085,
        ];
        let warm_up = WarmUp {
            shape: WarmUpShape::Linear,
            from: 0.04,
            steps: 4,
        };
        let curve = Curve::Cosine {
            start: 0.4,
            end: 0.01,
            first: 4,
            last: 12,
        };
        let schedule = Schedule {
            warm_up: Some(warm_up),
            curve,
        };
        for (step, expected) in expected.into_iter().enumerate() {
            let rate = schedule.rate(step as u64);
            assert!(
                (rate - expected).abs() < 1e-12,
                "step {step}: expected {expected}, found {rate}"
            );
        }
    }

    #[test]
    fn a_cosine_ends_at_its_last_rate_and_stays_there() {
        let curve = Curve::Cosine {
            start: 0.4,
            end: 0.01,
            first: 0,
            last: 10,
        };
        assert!(close(curve.rate(10), 0.01) && close(curve.rate(11), 0.01));
        let nothing_after_the_warm_up = Curve::Cosine {
            start: 0.4,
            end: 0.01,
            first: 10,
            last: 10,
        };
        assert!(nothing_after_the_warm_up.rate(10).is_finite());
    }
}
