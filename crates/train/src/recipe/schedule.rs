//! `[schedule]`: the learning rate of each step.

use serde::{Deserialize, Serialize};

use crate::bounds;
use crate::duration::Duration;

/// The learning rate of each step. The rate that is written is the rate that runs: nothing rescales it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename = "a table", rename_all = "snake_case")]
pub enum Schedule {
    /// One rate.
    Constant(Constant),
    /// Divided at milestones.
    Step(Step),
    /// Half a cosine from one rate to another.
    Cosine(Cosine),
    /// Multiplied again and again.
    Exponential(Exponential),
    /// A power of what is left of the run.
    Polynomial(Polynomial),
    /// Divided where the network stops getting better.
    Plateau(Plateau),
}

impl Schedule {
    /// What comes before the schedule, if anything does.
    pub fn warm_up(&self) -> Option<&WarmUp> {
        match self {
            Schedule::Constant(Constant { warm_up, .. })
            | Schedule::Step(Step { warm_up, .. })
            | Schedule::Cosine(Cosine { warm_up, .. })
            | Schedule::Exponential(Exponential { warm_up, .. })
            | Schedule::Polynomial(Polynomial { warm_up, .. })
            | Schedule::Plateau(Plateau { warm_up, .. }) => warm_up.as_ref(),
        }
    }
}

/// One rate.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Constant {
    /// The rate.
    #[serde(deserialize_with = "bounds::above_zero")]
    pub rate: f64,
    /// What comes before.
    #[serde(default)]
    pub warm_up: Option<WarmUp>,
}

/// A rate that is divided at milestones, counted from the start of the run, warm-up included.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "StepTable")]
pub struct Step {
    /// The first rate.
    pub start: f64,
    /// What each milestone divides the rate by.
    pub divide_by: f64,
    /// The milestones.
    pub milestones: Milestones,
    /// What comes before.
    pub warm_up: Option<WarmUp>,
}

/// When a rate is divided.
#[derive(Debug, Clone, PartialEq)]
pub enum Milestones {
    /// At each of these.
    At(Vec<Duration>),
    /// Again and again.
    Every(Duration),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepTable {
    #[serde(deserialize_with = "bounds::above_zero")]
    start: f64,
    #[serde(deserialize_with = "bounds::above_one")]
    divide_by: f64,
    #[serde(default)]
    at: Option<Vec<Duration>>,
    #[serde(default)]
    every: Option<Duration>,
    #[serde(default)]
    warm_up: Option<WarmUp>,
}

impl TryFrom<StepTable> for Step {
    type Error = &'static str;

    fn try_from(table: StepTable) -> Result<Self, Self::Error> {
        let milestones = match (table.at, table.every) {
            (Some(at), None) if at.is_empty() => {
                return Err("expected at least one milestone in `at`, found none");
            }
            (Some(at), None) => Milestones::At(at),
            (None, Some(every)) => Milestones::Every(every),
            (Some(_), Some(_)) => return Err("expected one of `at` and `every`, found both"),
            (None, None) => return Err("expected one of `at` and `every`, found neither"),
        };
        let StepTable {
            start,
            divide_by,
            warm_up,
            ..
        } = table;
        Ok(Step {
            start,
            divide_by,
            milestones,
            warm_up,
        })
    }
}

/// Half a cosine, from the end of the warm-up to the end of the run.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cosine {
    /// The first rate.
    #[serde(deserialize_with = "bounds::above_zero")]
    pub start: f64,
    /// The rate that the end of the run would have.
    #[serde(deserialize_with = "bounds::zero_or_more")]
    pub end: f64,
    /// What comes before.
    #[serde(default)]
    pub warm_up: Option<WarmUp>,
}

/// `start multiply_by^(t / every)`, `t` counted from the start of the run, warm-up included: TensorFlow's `ExponentialDecay`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exponential {
    /// The first rate.
    #[serde(deserialize_with = "bounds::above_zero")]
    pub start: f64,
    /// What the rate is multiplied by.
    #[serde(deserialize_with = "bounds::share")]
    pub multiply_by: f64,
    /// How long that takes.
    pub every: Duration,
    /// Whether it happens at once at the end of each `every`, rather than little by little.
    #[serde(default)]
    pub staircase: bool,
    /// What comes before.
    #[serde(default)]
    pub warm_up: Option<WarmUp>,
}

/// `end + (start - end) (1 - t)^power`, with `t` from 0 at the end of the warm-up to 1 at the end of the run.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Polynomial {
    /// The first rate.
    #[serde(deserialize_with = "bounds::above_zero")]
    pub start: f64,
    /// The rate that the end of the run would have.
    #[serde(deserialize_with = "bounds::zero_or_more")]
    pub end: f64,
    /// 1 is a line.
    #[serde(deserialize_with = "bounds::above_zero")]
    pub power: f64,
    /// What comes before.
    #[serde(default)]
    pub warm_up: Option<WarmUp>,
}

/// A rate that is divided where the network stops getting better, by the top-1 accuracy of the images that are held out for
/// validation: never by those of the test split.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plateau {
    /// The first rate.
    #[serde(deserialize_with = "bounds::above_zero")]
    pub start: f64,
    /// What each plateau divides the rate by.
    #[serde(deserialize_with = "bounds::above_one")]
    pub divide_by: f64,
    /// Evaluations in a row that are no better than the best one before the rate is divided.
    #[serde(deserialize_with = "bounds::positive")]
    pub patience: u64,
    /// Percent of the images by which an evaluation has to be better to count.
    #[serde(default, deserialize_with = "bounds::zero_or_more")]
    pub margin: f64,
    /// What comes before.
    #[serde(default)]
    pub warm_up: Option<WarmUp>,
}

/// A lower rate for the first steps.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarmUp {
    /// How it goes on from `from`.
    pub shape: WarmUpShape,
    /// The rate of the first step.
    #[serde(deserialize_with = "bounds::zero_or_more")]
    pub from: f64,
    /// Until the schedule takes over.
    pub length: Duration,
}

/// How a warm-up goes on from its first rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarmUpShape {
    /// In equal steps to the schedule's first rate.
    Linear,
    /// At the same rate, then at once to the schedule's.
    Constant,
}
