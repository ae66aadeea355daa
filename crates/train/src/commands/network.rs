//! The network of `eval`, `predict`, `features` and `convert`: a run's, that of a model file, or a named
//! one with weights of anywhere.

use std::path::Path;

use data::{Opened, Pipeline, Size};
use models::weights::Weights;
use models::{Architecture, Init, Model, registry};

use crate::checkpoint;
use crate::cli::{CheckpointChoice, NetworkArgs};
use crate::device::Choice;
use crate::error::Error;
use crate::network::{self, Card};
use crate::recipe;
use crate::suggest;
use crate::train::MODEL;
use crate::{preprocess, report};

/// A network that is ready for evaluation.
pub struct Network {
    /// The network and its options.
    named: recipe::Model,
    architecture: Architecture,
    /// Optimizer updates behind its weights, as far as that is known.
    step: u64,
    /// With its weights, on the device.
    pub model: Model,
    /// The names of its classes.
    pub classes: Vec<String>,
    /// The size of the images that it was made for, before preprocessing.
    pub size: Size,
    /// What is done to an image before the network sees it.
    pub preprocessing: Pipeline,
}

impl Network {
    /// Loads the network that the command line names; a named one is made for the images and
    /// classes of `opened`, or else for those it was published for.
    ///
    /// # Errors
    ///
    /// With exit code 2 where there is no such network, with 1 where its weights cannot be used.
    pub fn load(
        arguments: &NetworkArgs,
        opened: Option<&Opened>,
        device: &Choice,
    ) -> Result<Self, Error> {
        let mut network = match (&arguments.run, &arguments.model, &arguments.weights) {
            (Some(folder), _, _) => of_run(folder, arguments.checkpoint, device)?,
            (None, Some(name), Some(weights)) => named(name, weights, opened, device)?,
            (None, None, Some(weights)) => of_file(weights, device)?,
            _ => {
                return Err(Error::usage("no network is named")
                    .with_hint("name a run by `--run DIR`, or `--model NAME --weights FILE`"));
            }
        };
        if let Some(normalize) = normalization(arguments, network.size.channels)? {
            network.preprocessing = normalize;
        }
        Ok(network)
    }

    /// What a model file says of it.
    pub fn card(&self) -> Card {
        Card {
            model: self.named.clone(),
            classes: self.classes.clone(),
            size: self.size,
            preprocessing: self.preprocessing.clone(),
            step: self.step,
        }
    }

    /// Checks that the network takes images of `size`, which they have after preprocessing.
    ///
    /// # Errors
    ///
    /// With exit code 2, where it does not.
    pub fn check(&self, size: Size) -> Result<(), Error> {
        let misfit = |cause: Box<dyn std::error::Error + Send + Sync>| {
            Error::usage("the network does not fit the images")
                .because(cause)
                .with_hint("choose the images that it was trained on, or another network")
        };
        let (expected, found) = (self.architecture.channels(), size.channels);
        if found != expected {
            let cause = format!("expected images of {expected} channels, found {found}");
            return Err(misfit(cause.into()));
        }
        (self.architecture)
            .check([size.height, size.width])
            .map_err(|error| misfit(error.into()))
    }
}

fn of_run(
    folder: &Path,
    choice: Option<CheckpointChoice>,
    device: &Choice,
) -> Result<Network, Error> {
    let path = match choice {
        Some(CheckpointChoice::Best) => folder.join(checkpoint::FOLDER).join(checkpoint::BEST),
        Some(CheckpointChoice::Last) | None => folder.join(MODEL),
    };
    if !path.exists() {
        let error = Error::failure(format!(
            "run `{}` has no `{}`",
            folder.display(),
            path.display()
        ));
        return Err(match choice {
            Some(CheckpointChoice::Best) => error.with_hint(
                "only a run with a validation split has a best checkpoint: `validation = { images = .. }`",
            ),
            _ if folder.join(report::PLAN).exists() => {
                error.with_hint("it has not reached its last step: go on with it by `--resume`")
            }
            _ => error.with_hint(format!("is `{}` the folder of a run?", folder.display())),
        });
    }
    of_file(&path, device)
}

fn of_file(path: &Path, device: &Choice) -> Result<Network, Error> {
    let (weights, card) = network::read(path)?;
    let architecture = card.architecture()?;
    let Card {
        model,
        classes,
        size,
        preprocessing,
        step,
    } = card;
    Ok(Network {
        model: loaded(&architecture, weights, path, device)?,
        named: model,
        architecture,
        step,
        classes,
        size,
        preprocessing,
    })
}

fn named(
    name: &str,
    path: &Path,
    opened: Option<&Opened>,
    device: &Choice,
) -> Result<Network, Error> {
    let entry = registry::find(name).ok_or_else(|| unknown(name))?;
    let weights = read(path)?;
    let [channels, height, width] = entry.input();
    let size = opened.map_or(Size::new(channels, height, width), |opened| opened.size);
    let published = entry.architecture.with_channels(size.channels);
    let classes = match opened {
        Some(opened) => opened.classes.clone(),
        None => {
            let mut init = Init::new(&device.device, published.initialization(), 0);
            let scores = weights.scores(&published.init(&mut init));
            let count = scores.unwrap_or(published.classes());
            (0..count).map(|class| class.to_string()).collect()
        }
    };
    let architecture = published.with_classes(classes.len());
    Ok(Network {
        model: loaded(&architecture, weights, path, device)?,
        named: name.to_owned().into(),
        architecture,
        step: 0,
        classes,
        size,
        preprocessing: Pipeline::default(),
    })
}

/// The error of a name that no network has.
pub fn unknown(name: &str) -> Error {
    let error = Error::usage(format!("unknown model `{name}`"));
    match suggest::nearest(name, registry::names()) {
        Some(nearest) => error.with_hint(format!("did you mean `{nearest}`?")),
        None => error.with_hint("`train list` shows all models"),
    }
}

fn read(path: &Path) -> Result<Weights, Error> {
    network::read_weights(path).map_err(|error| {
        Error::failure(format!("cannot use weights `{}`", path.display())).explained_by(error)
    })
}

fn loaded(
    architecture: &Architecture,
    weights: Weights,
    path: &Path,
    device: &Choice,
) -> Result<Model, Error> {
    let mut init = Init::new(&device.device, architecture.initialization(), 0);
    weights
        .load_into(architecture.init(&mut init))
        .map_err(|error| {
            Error::failure(format!("cannot use weights `{}`", path.display())).explained_by(error)
        })
}

/// The normalisation that the command line gives, if it gives one.
fn normalization(arguments: &NetworkArgs, channels: usize) -> Result<Option<Pipeline>, Error> {
    if arguments.mean.is_empty() && arguments.std.is_empty() {
        return Ok(None);
    }
    let mean = or_all(&arguments.mean, 0.0, channels);
    let std = or_all(&arguments.std, 1.0, channels);
    for (flag, values) in [("--mean", &mean), ("--std", &std)] {
        if values.len() != channels {
            return Err(Error::usage(format!(
                "expected a value a channel in `{flag}`, {channels}, found {}",
                values.len()
            )));
        }
    }
    Ok(Some(Pipeline(vec![preprocess::given(&mean, &std)])))
}

fn or_all(values: &[f64], default: f64, channels: usize) -> Vec<f64> {
    if values.is_empty() {
        return vec![default; channels];
    }
    values.to_vec()
}
