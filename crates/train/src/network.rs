//! Networks as recipes and model files name them.

use std::collections::BTreeMap;
use std::path::Path;

use data::{Pipeline, Size};
use models::weights::{Weights, WeightsError};
use models::{Architecture, ConfigError, Model, registry};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Hinted};
use crate::files;
use crate::recipe;
use crate::streams::say;

/// The key of a model file's metadata.
const METADATA: &str = "kiln";

/// What a model file says of the network whose weights it holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// The network and its options.
    pub model: recipe::Model,
    /// The names of the classes, in the order of the scores.
    pub classes: Vec<String>,
    /// The size of an image before preprocessing.
    pub size: Size,
    /// What is done to an image before the network sees it.
    pub preprocessing: Pipeline,
    /// Optimizer updates behind the weights.
    pub step: u64,
}

/// The architecture of a recipe's model as published, with the recipe's options.
///
/// # Errors
///
/// Where the model has no such option.
pub fn architecture(model: &recipe::Model) -> Result<Architecture, ConfigError> {
    let entry = registry::find(&model.name).expect("a recipe's names are checked");
    let mut architecture = entry.architecture.clone();
    if let Some(shortcut) = model.shortcut {
        architecture = architecture.with_shortcut(shortcut)?;
    }
    if let Some(manipulation) = model.manipulation {
        architecture = architecture.with_manipulation(manipulation)?;
    }
    if let Some(normalization) = model.normalization {
        architecture = architecture.with_normalization(normalization)?;
    }
    if let Some(activation) = model.activation {
        architecture = architecture.with_activation(activation)?;
    }
    if let Some(stride) = model.bottleneck_stride {
        architecture = architecture.with_bottleneck_stride(stride)?;
    }
    if let Some(probability) = model.dropout {
        architecture = architecture.with_dropout(probability)?;
    }
    if let Some(probability) = model.stochastic_depth {
        architecture = architecture.with_stochastic_depth(probability)?;
    }
    Ok(architecture)
}

/// The networks that have all options of `model`.
pub fn taking_the_options_of(model: &recipe::Model) -> Vec<&'static str> {
    let named = |name: &str| recipe::Model {
        name: name.to_owned(),
        ..model.clone()
    };
    let mut names = registry::names();
    names.retain(|name| architecture(&named(name)).is_ok());
    names
}

impl Card {
    /// The network of the card, its weights still to be loaded.
    ///
    /// # Errors
    ///
    /// With exit code 1, where this version does not know the network.
    pub fn architecture(&self) -> Result<Architecture, Error> {
        let unknown = || Error::failure(format!("unknown model `{}`", self.model.name));
        registry::find(&self.model.name).ok_or_else(unknown)?;
        let architecture = architecture(&self.model).map_err(|error| unknown().because(error))?;
        Ok(architecture
            .with_classes(self.classes.len())
            .with_channels(self.size.channels))
    }

    /// The card as a file of weights holds it.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        let card = serde_json::to_string(self).expect("a card is plain data");
        BTreeMap::from([(METADATA.to_owned(), card)])
    }
}

/// Writes the weights of `model` with its card.
///
/// # Errors
///
/// Where the disk does not take it.
pub fn write(path: &Path, model: &Model, card: &Card) -> files::Result<()> {
    let mut weights = Weights::of(model);
    weights.metadata = card.metadata();
    files::replace(path, &weights.to_safetensors())
}

/// Reads weights, and says where they are not of the type that Kiln computes in.
///
/// # Errors
///
/// As [`Weights::read`].
pub fn read_weights(path: &Path) -> Result<Weights, WeightsError> {
    let weights = Weights::read(path)?;
    for (dtype, count) in &weights.converted {
        let path = path.display();
        let tensors = if *count == 1 { "tensor" } else { "tensors" };
        say(format_args!(
            "note: `{path}`: {count} {tensors} of {dtype} were converted to float32"
        ));
    }
    Ok(weights)
}

/// The card of weights that Kiln wrote; `None` where there is none.
pub fn card_of(weights: &Weights) -> Option<serde_json::Result<Card>> {
    let card = weights.metadata.get(METADATA)?;
    Some(serde_json::from_str(card))
}

/// Reads a model file: its weights and its card.
///
/// # Errors
///
/// With exit code 1, where the file cannot be read, is damaged, or has no card.
pub fn read(path: &Path) -> Result<(Weights, Card), Error> {
    let weights = read_weights(path)
        .map_err(|error| Error::failure("cannot read the model").explained_by(error))?;
    let not_ours = || Error::failure(format!("`{}` was not written by Kiln", path.display()));
    let card = card_of(&weights)
        .ok_or_else(|| not_ours().with_hint("name its network: `--model NAME --weights FILE`"))?
        .map_err(|error| not_ours().because(error))?;
    Ok((weights, card))
}

impl Hinted for WeightsError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }
}
