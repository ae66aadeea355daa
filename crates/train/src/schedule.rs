//! The learning rate: a function of the step, all durations in steps, and of the plateaus that evaluations saw.

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
    /// `start multiply_by^(step / every)`.
    Exponential {
        /// The first rate.
        start: f64,
        /// What the rate is multiplied by.
        multiply_by: f64,
        /// How many steps that takes.
        every: u64,
        /// Whether only whole periods count.
        staircase: bool,
    },
    /// `end + (start - end) (1 - t)^power`, with t as of a cosine.
    Polynomial {
        /// The rate at `first`.
        start: f64,
        /// The rate at `last`.
        end: f64,
        /// 1 is a line.
        power: f64,
        /// Where t is 0: the end of the warm-up.
        first: u64,
        /// Where t is 1: the number of steps of the run.
        last: u64,
    },
    /// `start / divide_by^k`, with k the number of plateaus.
    Plateau {
        /// The first rate.
        start: f64,
        /// What each plateau divides the rate by.
        divide_by: f64,
        /// Evaluations in a row without improvement that are a plateau.
        patience: u64,
        /// Percent of the images that count as an improvement.
        margin: f64,
    },
}

/// The plateaus that evaluations have seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plateaus {
    /// How many.
    count: u32,
    /// Evaluations since the last improvement or plateau.
    waited: u64,
    /// Percent of the validation images that were classified right, at best.
    best: Option<f64>,
}

impl Plateaus {
    /// Whether nothing was evaluated yet.
    pub fn is_unseen(&self) -> bool {
        *self == Self::default()
    }
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
    pub fn rate(&self, step: u64, plateaus: Plateaus) -> f64 {
        match &self.warm_up {
            Some(warm_up) if step < warm_up.steps => warm_up.rate(step, self.curve.start()),
            _ => self.curve.rate(step, plateaus),
        }
    }

    /// The plateaus once an evaluation has classified this many percent of the validation images right.
    pub fn after_evaluation(&self, seen: Plateaus, top1: f64) -> Plateaus {
        let Curve::Plateau {
            patience, margin, ..
        } = self.curve
        else {
            return seen;
        };
        if seen.best.is_none_or(|best| top1 > best + margin) {
            return Plateaus {
                best: Some(top1),
                waited: 0,
                ..seen
            };
        }
        let waited = seen.waited + 1;
        if waited < patience {
            return Plateaus { waited, ..seen };
        }
        Plateaus {
            count: seen.count + 1,
            waited: 0,
            ..seen
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
            | Curve::Cosine { start, .. }
            | Curve::Exponential { start, .. }
            | Curve::Polynomial { start, .. }
            | Curve::Plateau { start, .. } => start,
        }
    }

    fn rate(&self, step: u64, plateaus: Plateaus) -> f64 {
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
                let t = share(*first, step, *last);
                end + (start - end) * (1.0 + (PI * t).cos()) / 2.0
            }
            Curve::Exponential {
                start,
                multiply_by,
                every,
                staircase,
            } => {
                let periods = match staircase {
                    true => (step / every) as f64,
                    false => step as f64 / *every as f64,
                };
                start * multiply_by.powf(periods)
            }
            Curve::Polynomial {
                start,
                end,
                power,
                first,
                last,
            } => {
                let t = share(*first, step, *last);
                end + (start - end) * (1.0 - t).powf(*power)
            }
            Curve::Plateau {
                start, divide_by, ..
            } => start / divide_by.powf(f64::from(plateaus.count)),
        }
    }
}

/// How much of the way from `first` to `last` is done at `step`, from 0 to 1.
fn share(first: u64, step: u64, last: u64) -> f64 {
    ((step - first) as f64 / (last - first).max(1) as f64).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a curve that looks at no evaluation.
    fn rate(curve: &Curve, step: u64) -> f64 {
        curve.rate(step, Plateaus::default())
    }

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
            let found = schedule.rate(step, Plateaus::default());
            assert!(close(found, rate), "step {step}: {found}");
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
            [0, 399, 400].map(|step| schedule.rate(step, Plateaus::default())),
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
        let rates: Vec<_> = (0..8).map(|step| rate(&curve, step)).collect();
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
            let rate = schedule.rate(step as u64, Plateaus::default());
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
        assert!(close(rate(&curve, 10), 0.01) && close(rate(&curve, 11), 0.01));
        let nothing_after_the_warm_up = Curve::Cosine {
            start: 0.4,
            end: 0.01,
            first: 10,
            last: 10,
        };
        assert!(rate(&nothing_after_the_warm_up, 10).is_finite());
    }

    /// `tf.keras.optimizers.schedules.ExponentialDecay(0.045, 4, 0.94)`, with `staircase` and without, by its formula.
    #[test]
    fn an_exponential_falls_by_a_factor_each_period() {
        let curve = |staircase| Curve::Exponential {
            start: 0.045,
            multiply_by: 0.94,
            every: 4,
            staircase,
        };
        for step in [0, 1, 3, 4, 9, 400] {
            let smooth = 0.045 * 0.94_f64.powf(step as f64 / 4.0);
            assert!(close(rate(&curve(false), step), smooth), "step {step}");
            let held = 0.045 * 0.94_f64.powi((step / 4) as i32);
            assert!(close(rate(&curve(true), step), held), "step {step}");
        }
    }

    /// PyTorch 2.15.0: `PolynomialLR(sgd, 8, 2.0)`, rate 0.4.
    #[test]
    fn a_polynomial_is_that_of_pytorch() {
        let curve = Curve::Polynomial {
            start: 0.4,
            end: 0.0,
            power: 2.0,
            first: 3,
            last: 11,
        };
        let expected = [
            0.4, 0.30625, 0.225, 0.15625, 0.1, 0.05625, 0.025, 0.00625, 0.0,
        ];
        for (step, expected) in (3..).zip(expected) {
            assert!(close(rate(&curve, step), expected), "step {step}");
        }
        assert_eq!(rate(&curve, 12), 0.0);
    }

    /// PyTorch 2.15.0: `ReduceLROnPlateau(sgd, "max", 0.1, patience=1, threshold=1.0, threshold_mode="abs")`, which waits
    /// for one evaluation more than it is patient, after each of these.
    #[test]
    fn plateaus_are_those_of_pytorch() {
        let schedule = Schedule {
            warm_up: None,
            curve: Curve::Plateau {
                start: 1.0,
                divide_by: 10.0,
                patience: 2,
                margin: 1.0,
            },
        };
        let mut plateaus = Plateaus::default();
        let rates = EVALUATIONS.map(|top1| {
            plateaus = schedule.after_evaluation(plateaus, top1);
            schedule.rate(0, plateaus)
        });
        for (found, expected) in rates.into_iter().zip(RATES_BEHIND) {
            assert!(close(found, expected), "{rates:?}");
        }
    }

    const EVALUATIONS: [f64; 9] = [10.0, 20.0, 20.5, 21.0, 25.0, 24.0, 26.5, 26.0, 26.0];
    const RATES_BEHIND: [f64; 9] = [1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.1, 0.1, 0.01];
}
