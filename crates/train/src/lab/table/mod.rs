//! A published table beside ours.

mod markdown;
mod page;
mod text;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::cost::Cost;
use super::effect::{Effect, Side};
use super::results::{Results, check_data};
use super::runs::Entry;
use super::statistics::{Interval, Sample};
use super::targets::{self, Protocol, Sure, Target};
use crate::error::Error;

pub use markdown::markdown;
pub use page::page;
pub use text::text;

/// A table of a paper, reproduced.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// At what length it ran.
    pub protocol: String,
    /// In what that differs from the paper.
    pub departures: Vec<String>,
    /// Experiment by experiment.
    pub rows: Vec<Row>,
    /// What the paper reads from it.
    pub effects: Vec<Effect>,
    /// What the reader has to know before believing any of it.
    pub alarms: Vec<String>,
}

/// An experiment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// What the table calls it.
    pub experiment: String,
    /// What the paper got, where it says.
    pub published: Option<Published>,
    /// Test errors in percent of the last iterates, by seed.
    pub errors: BTreeMap<u64, f64>,
    /// Their mean and spread.
    pub ours: Option<Sample>,
    /// Where the mean is, with 95 % confidence.
    pub interval: Option<Interval>,
    /// The mean training error in percent, of augmented images, in the last tenth of the steps.
    pub train_error: Option<f64>,
    /// Seeds whose loss did not stay finite.
    pub diverged: Vec<u64>,
    /// How ours compares with the paper's.
    pub verdict: Verdict,
    /// What it took, all seeds together.
    pub cost: Cost,
    /// In what the experiment differs from the paper, beside the protocol.
    pub departures: Vec<String>,
}

/// A figure of a paper.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Published {
    /// Test error in percent.
    pub error: f64,
    /// Where in the paper.
    pub place: String,
    /// How it is known.
    pub sure: Sure,
}

/// How ours compares with the paper's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The paper's figure is where one more run of ours would be.
    Inside,
    /// Ours is lower by more than seeds explain.
    Better,
    /// Ours is higher by more than seeds explain.
    Worse,
    /// There is nothing to compare, and why.
    NotComparable(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inside => f.write_str("inside"),
            Self::Better => f.write_str("better"),
            Self::Worse => f.write_str("worse"),
            Self::NotComparable(why) => write!(f, "not comparable: {why}"),
        }
    }
}

impl Table {
    /// Of the runs that are there.
    ///
    /// # Errors
    ///
    /// With exit code 1, where runs were made on different data.
    pub fn new(
        of: &targets::Table,
        protocol: &Protocol,
        rows: &[&Target],
        entries: &[Entry],
    ) -> Result<Self, Error> {
        check_data(entries)?;
        let mut alarms = Vec::new();
        let rows: Vec<Row> = rows
            .iter()
            .map(|target| row(target, protocol, entries, &mut alarms))
            .collect();
        let effects = (of.effect.iter())
            .filter_map(|effect| self::effect(effect, &rows))
            .collect();
        Ok(Self {
            name: of.name.clone(),
            title: of.title.clone(),
            protocol: protocol.name.clone(),
            departures: protocol.departs.clone(),
            rows,
            effects,
            alarms,
        })
    }

    /// Of all runs.
    pub fn cost(&self) -> Cost {
        (self.rows.iter()).fold(Cost::default(), |sum, row| sum.plus(row.cost))
    }
}

fn row(target: &Target, protocol: &Protocol, entries: &[Entry], alarms: &mut Vec<String>) -> Row {
    let results = Results::of(&target.name, entries, alarms);
    let ours = results.test();
    let diverged: Vec<u64> = results.diverged.iter().copied().collect();
    let published = target.error.map(|error| Published {
        error,
        place: target.place.clone(),
        sure: target.sure,
    });
    Row {
        experiment: target.name.clone(),
        verdict: verdict(published.as_ref(), protocol, ours, &diverged),
        interval: ours.and_then(|sample| sample.interval()),
        train_error: results.train().map(|sample| sample.mean),
        published,
        errors: (results.outcomes.iter())
            .map(|(seed, outcome)| (*seed, outcome.test_error))
            .collect(),
        ours,
        diverged,
        cost: results.cost,
        departures: target.departs.clone(),
    }
}

fn verdict(
    published: Option<&Published>,
    protocol: &Protocol,
    ours: Option<Sample>,
    diverged: &[u64],
) -> Verdict {
    let because = |why: &str| Verdict::NotComparable(why.to_owned());
    let Some(published) = published else {
        return because("the paper has no figure");
    };
    if !protocol.departs.is_empty() {
        return because("the protocol is shortened");
    }
    if !diverged.is_empty() {
        return because("some runs diverged");
    }
    match ours.and_then(|sample| sample.prediction()) {
        None if ours.is_none() => because("not run"),
        None => because("one run has no spread"),
        Some(interval) if published.error < interval.low => Verdict::Worse,
        Some(interval) if published.error > interval.high => Verdict::Better,
        Some(_) => Verdict::Inside,
    }
}

/// Of the rows that are there; none where one of the two is not.
fn effect(effect: &targets::Effect, rows: &[Row]) -> Option<Effect> {
    let side = |name: &str| {
        let row = rows.iter().find(|row| row.experiment == name)?;
        Some(Side {
            name: &row.experiment,
            sample: row.ours,
            diverged: !row.diverged.is_empty(),
        })
    };
    let (worse, better) = (side(&effect.worse)?, side(&effect.better)?);
    Some(Effect::difference(&effect.says, &worse, &better))
}
