//! What a study asks: `configs/studies/*.toml`.

use std::fmt;

use clap::ValueEnum;
use serde::Deserialize;

use crate::configs::{self, ConfigFile};
use crate::decode::decode;
use crate::document::Node;
use crate::error::Error;
use crate::fault::Fault;
use crate::lab::runs;
use crate::suggest;

/// A study.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Study {
    /// What is done.
    pub study: Kind,
    /// In a line.
    pub title: String,
    /// The question, and how to read the answer.
    pub about: String,
    /// In what it differs from the paper that it follows.
    #[serde(default)]
    pub departs: Vec<String>,
    /// The recipe of all experiments, as for `--config`.
    pub recipe: String,
    /// Keys of it that all experiments change, as for `--set`.
    #[serde(default)]
    pub set: Vec<String>,
    /// Runs of each experiment.
    pub seeds: usize,
    /// Keys of the plan in which the experiments may differ from each other.
    pub factor: Vec<String>,
    /// What is compared.
    pub experiment: Vec<Experiment>,
    /// What is expected.
    #[serde(default)]
    pub effect: Vec<Effect>,
}

/// What is done in a study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Networks of several depths are trained: does depth help?
    Degradation,
    /// Shortcuts of several kinds are trained: which of them help?
    Shortcuts,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("no kind is hidden");
        f.write_str(value.get_name())
    }
}

/// One of the things that are compared.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// What figures and tables call it.
    pub name: String,
    /// Of which series over depth it is a point.
    #[serde(default)]
    pub series: Option<String>,
    /// Its layers with weights.
    #[serde(default)]
    pub depth: Option<usize>,
    /// Keys of the recipe that differ, as for `--set`.
    #[serde(default)]
    pub set: Vec<String>,
}

/// One experiment's error minus another's.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effect {
    /// What is expected.
    pub says: String,
    /// Which error.
    #[serde(default)]
    pub of: Measure,
    /// The experiment with the larger error.
    pub worse: String,
    /// The one with the smaller.
    pub better: String,
}

/// An error of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// On augmented training images.
    Train,
    /// On the test split.
    #[default]
    Test,
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "training",
            Self::Test => "test",
        })
    }
}

impl Study {
    /// The study that `--config` names, and the name of its file without the ending.
    ///
    /// # Errors
    ///
    /// With exit code 2, where there is none, it is damaged, or not a study of this kind.
    pub fn find(wanted: &str, kind: Kind) -> Result<(String, Self), Error> {
        let file = configs::find_study(wanted)?;
        let study = Self::read(&file)?;
        if study.study != kind {
            return Err(Error::usage(format!(
                "`{}` is a study of {}, not of {kind}",
                file.shown, study.study
            ))
            .with_hint(format!("`train study {} --config {wanted}`", study.study)));
        }
        Ok((file.name, study))
    }

    fn read(file: &ConfigFile) -> Result<Self, Error> {
        let parse = || -> Result<Self, Fault> {
            let document = Node::parse(&file.text)?;
            let study: Self = decode(&document)?;
            check(&study, |path, fault| {
                fault.at(path, document.origin_of(path))
            })?;
            Ok(study)
        };
        parse().map_err(|fault| {
            Error::usage(format!("cannot use study `{}`", file.shown)).explained_by(fault)
        })
    }

    /// What is run.
    pub fn experiments(&self) -> Vec<runs::Experiment> {
        let experiment = |one: &Experiment| runs::Experiment {
            name: one.name.clone(),
            recipe: self.recipe.clone(),
            set: [self.set.clone(), one.set.clone()].concat(),
        };
        self.experiment.iter().map(experiment).collect()
    }
}

/// Checks what the types of its keys do not; `at` says where in the file a fault is.
fn check(study: &Study, at: impl Fn(&str, Fault) -> Fault) -> Result<(), Fault> {
    let names: Vec<&str> = (study.experiment.iter())
        .map(|one| one.name.as_str())
        .collect();
    if study.seeds == 0 {
        let fault = Fault::invalid("expected at least 1, found 0");
        return Err(at("seeds", fault));
    }
    for (index, experiment) in study.experiment.iter().enumerate() {
        let path = format!("experiment.{index}.name");
        if !is_folder_name(&experiment.name) {
            let what = "expected letters, digits, `-`, `_` and `.`: it names folders";
            let fault = Fault::invalid(format!("{what}, found `{}`", experiment.name));
            return Err(at(&path, fault));
        }
        if names[..index].contains(&experiment.name.as_str()) {
            let what = format!("`{}` is another experiment's name", experiment.name);
            return Err(at(&path, Fault::invalid(what)));
        }
    }
    for (index, effect) in study.effect.iter().enumerate() {
        for (key, name) in [("worse", &effect.worse), ("better", &effect.better)] {
            if !names.contains(&name.as_str()) {
                let what = format!("there is no experiment `{name}`");
                let hint = suggest::hint(name, names.iter().copied()).unwrap_or_default();
                let fault = Fault::invalid(what).with_hint(hint);
                return Err(at(&format!("effect.{index}.{key}"), fault));
            }
        }
    }
    Ok(())
}

fn is_folder_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && !name.starts_with('.') && name.chars().all(allowed)
}
