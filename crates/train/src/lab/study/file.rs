//! What a study asks: `configs/studies/*.toml`.

use std::fmt;
use std::path::PathBuf;

use clap::ValueEnum;
use models::registry;
use serde::Deserialize;

use crate::configs::{self, ConfigFile};
use crate::decode::decode;
use crate::document::Node;
use crate::error::Error;
use crate::fault::Fault;
use crate::lab::effect::{self, Side};
use crate::lab::runs;
use crate::lab::statistics::Sample;
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
    /// The recipe of all experiments that have none of their own, as for `--config`.
    #[serde(default)]
    pub recipe: Option<String>,
    /// Keys of it that all experiments change, as for `--set`.
    #[serde(default)]
    pub set: Vec<String>,
    /// Runs of each experiment.
    #[serde(default = "one")]
    pub seeds: usize,
    /// Keys of the plan in which the experiments may differ from each other.
    #[serde(default)]
    pub factor: Vec<String>,
    /// What is trained, and compared.
    #[serde(default)]
    pub experiment: Vec<Experiment>,
    /// What was trained elsewhere, and is looked into beside the experiments.
    #[serde(default)]
    pub network: Vec<Network>,
    /// What is measured, as `train list` shows it, in a comparison.
    #[serde(default)]
    pub models: Vec<String>,
    /// What is expected.
    #[serde(default)]
    pub effect: Vec<Effect>,
    /// Images that each measurement is made on, the first of their split; without it, all.
    #[serde(default)]
    pub images: Option<usize>,
    /// Images at a time.
    #[serde(default)]
    pub batch: Option<usize>,
    /// Random draws of each kind, or batches that are looked at.
    #[serde(default = "ten")]
    pub samples: usize,
}

fn one() -> usize {
    1
}

fn ten() -> usize {
    10
}

/// What is done in a study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Networks of several depths are trained: does depth help?
    Degradation,
    /// Shortcuts of several kinds are trained: which of them help?
    Shortcuts,
    /// Blocks of trained networks are deleted and swapped: what are they worth?
    Lesion,
    /// Gradients are followed along single paths: which paths do they come from?
    Paths,
    /// Gradients are measured layer by layer: do they reach the first?
    Gradients,
    /// What layers put out is measured: how much does each of them change?
    Responses,
    /// Networks are measured here: what does accuracy cost?
    Compare,
}

impl Kind {
    /// Whether it is about what is trained, not about networks that are.
    pub fn is_of_training(self) -> bool {
        matches!(self, Self::Degradation | Self::Shortcuts)
    }
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
    /// Its recipe, where that is not the study's.
    #[serde(default)]
    pub recipe: Option<String>,
    /// Keys of the recipe that differ, as for `--set`.
    #[serde(default)]
    pub set: Vec<String>,
}

/// A network that was trained elsewhere.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// What figures and tables call it.
    pub name: String,
    /// As for `--model`; without it, what the file says.
    #[serde(default)]
    pub model: Option<String>,
    /// As for `--weights`.
    pub weights: PathBuf,
    /// As for `--dataset`.
    pub dataset: String,
    /// As for `--mean`.
    #[serde(default)]
    pub mean: Vec<f64>,
    /// As for `--std`.
    #[serde(default)]
    pub std: Vec<f64>,
}

/// One experiment's figure minus another's.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effect {
    /// What is expected.
    pub says: String,
    /// Which error, in a study of training.
    #[serde(default)]
    pub of: Measure,
    /// The experiment or network with the larger figure.
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
            match study.wrong() {
                Some((path, fault)) => Err(fault.at(&path, document.origin_of(&path))),
                None => Ok(study),
            }
        };
        parse().map_err(|fault| {
            Error::usage(format!("cannot use study `{}`", file.shown)).explained_by(fault)
        })
    }

    /// What is run.
    pub fn experiments(&self) -> Vec<runs::Experiment> {
        let experiment = |one: &Experiment| runs::Experiment {
            name: one.name.clone(),
            recipe: (one.recipe.clone().or_else(|| self.recipe.clone())).unwrap_or_default(),
            set: [self.set.clone(), one.set.clone()].concat(),
        };
        self.experiment.iter().map(experiment).collect()
    }

    /// The experiments and networks, by name.
    pub fn names(&self) -> Vec<&str> {
        let experiments = self.experiment.iter().map(|one| one.name.as_str());
        let networks = self.network.iter().map(|one| one.name.as_str());
        experiments.chain(networks).collect()
    }

    /// The effects that it expects, of figures in this unit.
    pub fn differences(
        &self,
        unit: &'static str,
        figure: impl Fn(&str) -> Option<Sample>,
    ) -> Vec<effect::Effect> {
        let effect = |effect: &Effect| {
            let [worse, better] = [&effect.worse, &effect.better].map(|name| Side {
                name,
                sample: figure(name),
                diverged: false,
            });
            effect::Effect::difference(&effect.says, unit, &worse, &better)
        };
        self.effect.iter().map(effect).collect()
    }

    /// The path of the key that is wrong, and why.
    fn wrong(&self) -> Option<(String, Fault)> {
        let invalid = |path: &str, what: &str| Some((path.to_owned(), Fault::invalid(what)));
        if self.seeds == 0 {
            return invalid("seeds", "expected at least 1, found 0");
        }
        if self.samples == 0 {
            return invalid("samples", "expected at least 1, found 0");
        }
        if self.images == Some(0) {
            return invalid("images", "expected at least 1, found 0");
        }
        if self.batch == Some(0) {
            return invalid("batch", "expected at least 1, found 0");
        }
        if self.study == Kind::Compare {
            return self.wrong_model().or_else(|| self.wrong_name());
        }
        if !self.models.is_empty() {
            return invalid("models", "only a comparison has them");
        }
        if self.names().is_empty() {
            return invalid(
                "study",
                "expected an `[[experiment]]` or a `[[network]]`, found none",
            );
        }
        if self.recipe.is_none() && self.experiment.iter().any(|one| one.recipe.is_none()) {
            return invalid("experiment", "experiments need a `recipe`");
        }
        if self.study.is_of_training() && !self.network.is_empty() {
            return invalid("network", "a study of training has experiments alone");
        }
        self.wrong_name()
            .or_else(|| self.wrong_effect())
            .or_else(|| self.wrong_normalization())
    }

    fn wrong_normalization(&self) -> Option<(String, Fault)> {
        for (index, network) in self.network.iter().enumerate() {
            if !network.mean.iter().all(|mean| mean.is_finite()) {
                let fault = Fault::invalid("expected finite numbers");
                return Some((format!("network.{index}.mean"), fault));
            }
            if !network.std.iter().all(|std| std.is_finite() && *std > 0.0) {
                let fault = Fault::invalid("expected numbers above 0");
                return Some((format!("network.{index}.std"), fault));
            }
        }
        None
    }

    fn wrong_model(&self) -> Option<(String, Fault)> {
        if self.models.is_empty() && self.experiment.is_empty() {
            let fault = Fault::invalid("expected `models` or an `[[experiment]]`, found none");
            return Some(("study".to_owned(), fault));
        }
        let unknown = |name: &&String| registry::find(name).is_none();
        let index = self.models.iter().position(|name| unknown(&name))?;
        let name = &self.models[index];
        let hint = suggest::hint(name, registry::names()).unwrap_or_default();
        let fault = Fault::invalid(format!("unknown model `{name}`")).with_hint(hint);
        Some((format!("models.{index}"), fault))
    }

    fn wrong_name(&self) -> Option<(String, Fault)> {
        let names = self.names();
        for (index, name) in names.iter().enumerate() {
            let path = match index.checked_sub(self.experiment.len()) {
                None => format!("experiment.{index}.name"),
                Some(index) => format!("network.{index}.name"),
            };
            if !is_folder_name(name) {
                let expected = "expected letters, digits, `-`, `_` and `.`: it names folders";
                return Some((path, Fault::invalid(format!("{expected}, found `{name}`"))));
            }
            if names[..index].contains(name) {
                return Some((path, Fault::invalid(format!("`{name}` is there twice"))));
            }
        }
        None
    }

    fn wrong_effect(&self) -> Option<(String, Fault)> {
        let names = self.names();
        for (index, effect) in self.effect.iter().enumerate() {
            for (key, name) in [("worse", &effect.worse), ("better", &effect.better)] {
                if !names.contains(&name.as_str()) {
                    let what = format!("there is no experiment `{name}`");
                    let hint = suggest::hint(name, names.iter().copied()).unwrap_or_default();
                    let fault = Fault::invalid(what).with_hint(hint);
                    return Some((format!("effect.{index}.{key}"), fault));
                }
            }
        }
        None
    }
}

fn is_folder_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && !name.starts_with('.') && name.chars().all(allowed)
}
