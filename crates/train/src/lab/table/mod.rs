//! A published table beside ours.

mod markdown;
mod page;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::cost::Cost;
use super::runs::{Entry, Found, Outcome, State};
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
    /// The mean training error in percent, augmented, when the images were last trained on.
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

/// One experiment's error minus another's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Effect {
    /// What the paper says of it.
    pub says: String,
    /// The experiment with the larger error, says the paper.
    pub worse: String,
    /// The one with the smaller.
    pub better: String,
    /// The difference of the means, in points; positive is the paper's direction.
    pub value: Option<f64>,
    /// Where it is, with 95 % confidence.
    pub interval: Option<Interval>,
    /// Runs of the smaller sample.
    pub n: usize,
    /// Why there is no difference to tell, where that is so.
    pub refused: Option<String>,
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
            .map(|experiment| row(experiment, protocol, entries, &mut alarms))
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

fn check_data(entries: &[Entry]) -> Result<(), Error> {
    let mut seen: BTreeMap<&str, &Found> = BTreeMap::new();
    for Entry { run, .. } in entries {
        let facts = &run.plan.dataset.facts;
        let first = *seen.entry(facts.name.as_str()).or_insert(run);
        if first.plan.dataset.facts.fingerprint != facts.fingerprint {
            let (one, other) = (first.folder.display(), run.folder.display());
            return Err(Error::failure(format!(
                "runs `{one}` and `{other}` were trained on different data of the name `{}`",
                facts.name
            ))
            .with_hint(
                "remove the one whose data is not the published one (`train fetch --verify`)",
            ));
        }
    }
    Ok(())
}

fn row(
    experiment: &Target,
    protocol: &Protocol,
    entries: &[Entry],
    alarms: &mut Vec<String>,
) -> Row {
    let mut errors = BTreeMap::new();
    let mut train_errors = Vec::new();
    let mut diverged = BTreeSet::new();
    let mut cost = Cost::default();
    let ours = (entries.iter()).filter(|entry| entry.experiment == experiment.name);
    for Entry {
        run, multiply_adds, ..
    } in ours
    {
        let seed = run.plan.seed;
        let (steps, is_new) = match run.state {
            State::Unfinished => continue,
            State::Diverged(step) => (step, diverged.insert(seed)),
            State::Finished(Outcome {
                test_error,
                train_error,
            }) => {
                let other = errors.insert(seed, test_error);
                if other.is_none() {
                    train_errors.extend(train_error);
                }
                if let Some(other) = other.filter(|other| *other != test_error) {
                    let found = format!("{other:.2} and {test_error:.2} %");
                    alarms.push(disagreement(&experiment.name, seed, &found));
                }
                (run.plan.steps, other != Some(test_error))
            }
        };
        // A copy of a run cost nothing.
        if is_new {
            let images = run.plan.images(steps);
            cost = cost.plus(Cost::of(images, *multiply_adds, run.hours));
        }
    }
    for seed in diverged.iter().filter(|seed| errors.contains_key(seed)) {
        let found = format!("{:.2} %, and a loss that is not finite", errors[seed]);
        alarms.push(disagreement(&experiment.name, *seed, &found));
    }
    let diverged: Vec<u64> = diverged.into_iter().collect();
    let values: Vec<f64> = errors.values().copied().collect();
    let ours = Sample::of(&values);
    let published = experiment.error.map(|error| Published {
        error,
        place: experiment.place.clone(),
        sure: experiment.sure,
    });
    Row {
        experiment: experiment.name.clone(),
        verdict: verdict(published.as_ref(), protocol, ours, &diverged),
        interval: ours.and_then(|sample| sample.interval()),
        train_error: Sample::of(&train_errors).map(|sample| sample.mean),
        published,
        errors,
        ours,
        diverged,
        cost,
        departures: experiment.departs.clone(),
    }
}

fn disagreement(experiment: &str, seed: u64, found: &str) -> String {
    format!(
        "two runs of {experiment} with seed {seed} disagree: {found} (the same plan on the same kind \
         of processor ends in the same bytes)"
    )
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
    let row = |name: &str| rows.iter().find(|row| row.experiment == name);
    let (worse, better) = (row(&effect.worse)?, row(&effect.better)?);
    let samples = worse.ours.zip(better.ours);
    let refused = if worse.diverged.is_empty() && better.diverged.is_empty() {
        None
    } else {
        Some("some runs diverged, and have no error to compare".to_owned())
    };
    let told = samples.filter(|_| refused.is_none());
    Some(Effect {
        says: effect.says.clone(),
        worse: effect.worse.clone(),
        better: effect.better.clone(),
        value: told.map(|(worse, better)| worse.mean - better.mean),
        interval: told.and_then(|(worse, better)| worse.difference(&better)),
        n: told.map_or(0, |(worse, better)| worse.n.min(better.n)),
        refused,
    })
}
