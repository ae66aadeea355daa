//! What the runs of an experiment came to.

use std::collections::{BTreeMap, BTreeSet};

use super::cost::Cost;
use super::runs::{Entry, Found, Outcome, State};
use super::statistics::Sample;
use crate::error::Error;

/// What the runs of an experiment came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    /// Of those that came to their end, by seed.
    pub outcomes: BTreeMap<u64, Outcome>,
    /// Seeds whose loss did not stay finite.
    pub diverged: BTreeSet<u64>,
    /// What they took, all seeds together.
    pub cost: Cost,
}

impl Results {
    /// Of the runs of that experiment; what the reader has to know first is added to `alarms`.
    pub fn of(experiment: &str, entries: &[Entry], alarms: &mut Vec<String>) -> Self {
        let mut results = Self::default();
        let ours = entries
            .iter()
            .filter(|entry| entry.experiment == experiment);
        for Entry {
            run, multiply_adds, ..
        } in ours
        {
            let seed = run.plan.seed;
            let (steps, is_new) = match run.state {
                State::Unfinished => continue,
                State::Diverged(step) => (step, results.diverged.insert(seed)),
                State::Finished(outcome) => {
                    let other = results.outcomes.insert(seed, outcome);
                    let other = other.map(|other| other.test_error);
                    let test_error = outcome.test_error;
                    if let Some(other) = other.filter(|other| *other != test_error) {
                        let found = format!("{other:.2} and {test_error:.2} %");
                        alarms.push(disagreement(experiment, seed, &found));
                    }
                    (run.plan.steps, other != Some(test_error))
                }
            };
            // A copy of a run cost nothing.
            if is_new {
                let images = run.plan.images(steps);
                let cost = Cost::of(images, *multiply_adds, run.hours);
                results.cost = results.cost.plus(cost);
            }
        }
        for seed in &results.diverged {
            if let Some(outcome) = results.outcomes.get(seed) {
                let error = outcome.test_error;
                let found = format!("{error:.2} %, and a loss that is not finite");
                alarms.push(disagreement(experiment, *seed, &found));
            }
        }
        results
    }

    /// Of the test errors in percent.
    pub fn test(&self) -> Option<Sample> {
        self.sample(|outcome| Some(outcome.test_error))
    }

    /// Of the training errors in percent.
    pub fn train(&self) -> Option<Sample> {
        self.sample(|outcome| outcome.train_error)
    }

    fn sample(&self, value: impl Fn(&Outcome) -> Option<f64>) -> Option<Sample> {
        let values: Vec<f64> = self.outcomes.values().filter_map(value).collect();
        Sample::of(&values)
    }
}

fn disagreement(experiment: &str, seed: u64, found: &str) -> String {
    format!(
        "two runs of {experiment} with seed {seed} disagree: {found} (the same plan on the same kind \
         of processor ends in the same bytes)"
    )
}

/// Checks that runs which say that they are of the same data were.
///
/// # Errors
///
/// With exit code 1, where they were not.
pub fn check_data(entries: &[Entry]) -> Result<(), Error> {
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
