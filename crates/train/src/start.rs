//! What a run starts from: a network, some of it or all from trained weights, some of it frozen.

use std::collections::{BTreeMap, BTreeSet};
use std::slice;

use burn::tensor::Device;
use models::parameters::{self, Parameter};
use models::parts::{self, UnknownPart};
use models::weights::{self, HostTensor, Mismatch, WeightsError};
use models::{Architecture, Init, Model, registry};

use crate::error::Error;
use crate::fault::Fault;
use crate::files;
use crate::network;
use crate::plan::{self, Plan};
use crate::progress::grouped;
use crate::recipe::RecipeFile;
use crate::suggest;

/// Checks that the network has the parts that a recipe names, and something left to learn.
///
/// # Errors
///
/// With exit code 2, where it does not.
pub fn check_parts(file: &RecipeFile, architecture: &Architecture) -> Result<(), Error> {
    let model = blank(architecture);
    let freeze = &file.recipe.freeze[..];
    let init = file.recipe.init.as_ref();
    let only = init.and_then(|init| init.only.as_deref());
    for (key, names) in [("freeze", freeze), ("init.only", only.unwrap_or_default())] {
        for (index, name) in names.iter().enumerate() {
            parts::select(&model, slice::from_ref(name))
                .map_err(|unknown| file.error(&format!("{key}.{index}"), fault(&unknown)))?;
        }
    }
    if paths_in(&model, freeze).len() == parameters::of(&model).len() {
        let fault = Fault::invalid("leaves nothing to learn");
        return Err(file.error("freeze", fault));
    }
    Ok(())
}

/// The hash of the weights that a recipe starts from, since other weights are another run; empty where
/// it names none.
///
/// # Errors
///
/// With exit code 1, where they cannot be read.
pub fn init_sha256(file: &RecipeFile) -> Result<String, Error> {
    let Some(init) = &file.recipe.init else {
        return Ok(String::new());
    };
    files::sha256(&init.weights).map_err(|error| {
        let path = init.weights.display();
        Error::failure(format!("cannot start from `{path}`")).because(error)
    })
}

fn fault(unknown: &UnknownPart) -> Fault {
    let fault = Fault::invalid(unknown.to_string());
    match suggest::hint(&unknown.name, unknown.parts.iter().map(String::as_str)) {
        Some(hint) => fault.with_hint(hint),
        None => fault,
    }
}

/// A run's network before its first step.
pub struct Start {
    /// The network.
    pub model: Model,
    /// What the user may not expect of it.
    pub notes: Vec<String>,
}

impl Start {
    /// The network of `plan`, which is `architecture`, on `device`.
    ///
    /// # Errors
    ///
    /// With exit code 1, where the weights to start from cannot be used.
    pub fn new(plan: &Plan, architecture: &Architecture, device: &Device) -> Result<Self, Error> {
        let model = drawn(plan, architecture, device);
        let mut notes = Vec::new();
        if !plan.freeze.is_empty() {
            notes.push(frozen_note(&model, &plan.freeze));
        }
        let Some(init) = &plan.init else {
            return Ok(Self { model, notes });
        };
        let cannot = || Error::failure(format!("cannot start from `{}`", init.weights.display()));
        let trained = Trained::read(init, architecture, cannot)?;
        let (tensors, note) = trained
            .choose(&model, init)
            .map_err(|error| cannot().explained_by(error))?;
        notes.extend(note);
        let model = weights::fill(model, tensors);
        Ok(Self { model, notes })
    }
}

/// The network of `plan` as it is drawn, its frozen parts frozen.
pub fn drawn(plan: &Plan, architecture: &Architecture, device: &Device) -> Model {
    let model = architecture.init(&mut Init::new(device, plan.initialization, plan.seed));
    let frozen = paths_in(&model, &plan.freeze);
    parameters::freeze(model, &frozen)
}

/// The paths of the parameters in the parts of these names.
fn paths_in(model: &Model, names: &[String]) -> BTreeSet<String> {
    parts::select(model, names).expect("a recipe's parts are checked")
}

fn frozen_note(model: &Model, names: &[String]) -> String {
    let frozen = paths_in(model, names);
    let values = parameters::of(model)
        .into_iter()
        .filter(|parameter| parameter.role.is_learnt() && frozen.contains(&parameter.path))
        .map(|parameter| parameter.shape.iter().product::<usize>() as u64);
    format!(
        "{} stay as they are: {} of {} parameters",
        suggest::listed(names, "and"),
        grouped(values.sum()),
        grouped(parameters::count(model) as u64)
    )
}

/// Weights from a file, by the paths of the network that they are of.
struct Trained {
    tensors: BTreeMap<String, HostTensor>,
    /// Its shapes, where it has as many classes as the network that starts from it.
    shapes: BTreeMap<String, Vec<usize>>,
}

impl Trained {
    fn read(
        init: &plan::Init,
        architecture: &Architecture,
        cannot: impl Fn() -> Error,
    ) -> Result<Self, Error> {
        let unusable = |error: WeightsError| cannot().explained_by(error);
        let weights = network::read_weights(&init.weights).map_err(unusable)?;
        let published = match &init.model {
            Some(name) => {
                let entry = registry::find(name).expect("a recipe's names are checked");
                entry.architecture.clone()
            }
            None => match network::card_of(&weights).and_then(Result::ok) {
                Some(card) => card.architecture()?,
                None => architecture.clone(),
            },
        };
        let published = published.with_channels(architecture.channels());
        let alike = published.with_classes(architecture.classes());
        let classes = weights.scores(&blank(&alike));
        let donor = published.with_classes(classes.unwrap_or(architecture.classes()));
        Ok(Self {
            tensors: weights.by_path(&blank(&donor)).map_err(unusable)?,
            shapes: parameters::of(&blank(&alike))
                .into_iter()
                .map(|parameter| (parameter.path, parameter.shape))
                .collect(),
        })
    }

    /// The tensors that `model` starts from, by path, and a word on what it does not.
    fn choose(
        mut self,
        model: &Model,
        init: &plan::Init,
    ) -> Result<(BTreeMap<String, HostTensor>, Option<String>), WeightsError> {
        let parameters = parameters::of(model);
        let all = parameters.len();
        let only = init.only.as_ref().map(|names| paths_in(model, names));
        let mut chosen = BTreeMap::new();
        let mut classifiers = Vec::new();
        let mut mismatch = Mismatch::default();
        for Parameter { path, shape, .. } in parameters {
            if only.as_ref().is_some_and(|only| !only.contains(&path)) {
                continue;
            }
            let name = model.pytorch_name(&path);
            match self.tensors.remove(&path) {
                None => mismatch.missing.push(name),
                Some(tensor) if tensor.shape == shape => {
                    chosen.insert(path, tensor);
                }
                Some(_) if only.is_none() && self.shapes.get(&path) == Some(&shape) => {
                    classifiers.push(name);
                }
                Some(tensor) => mismatch.reshaped.push((name, shape, tensor.shape)),
            }
        }
        if !mismatch.is_empty() {
            return Err(WeightsError::Mismatch(mismatch));
        }
        let note = match (&only, classifiers.is_empty()) {
            (Some(_), _) => Some(format!(
                "{} of {all} tensors start from `{}`, the others are drawn",
                chosen.len(),
                init.weights.display()
            )),
            (None, false) => Some(format!(
                "the weights are of another number of classes: {} are drawn",
                suggest::listed(&classifiers, "and")
            )),
            (None, true) => None,
        };
        Ok((chosen, note))
    }
}

/// A network to look at; its weights are not drawn.
fn blank(architecture: &Architecture) -> Model {
    let mut init = Init::new(&Device::flex(), architecture.initialization(), 0);
    architecture.init(&mut init)
}
