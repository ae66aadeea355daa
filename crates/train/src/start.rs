//! What a run starts from: a network, some of it or all from trained weights, some of it frozen.

use std::collections::{BTreeMap, BTreeSet};
use std::slice;

use burn::tensor::Device;
use data::{OnBadImage, Pipeline, Source, Whitening};
use models::parameters::{self, Parameter, Role};
use models::parts::{self, UnknownPart};
use models::weights::{self, HostTensor, Mismatch, WeightsError};
use models::{Architecture, Init, Model, registry};

use crate::error::Error;
use crate::fault::Fault;
use crate::files;
use crate::network;
use crate::plan::{self, Plan, Whiten};
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

/// Checks that the network's first convolution can be what whitens patches, where a recipe wants that.
///
/// # Errors
///
/// With exit code 2, where it cannot.
pub fn check_whiten(file: &RecipeFile, architecture: &Architecture) -> Result<(), Error> {
    if file.recipe.whiten.is_none() {
        return Ok(());
    }
    let model = blank(architecture);
    let shape = whitened_weight(&model).map(|weight| weight.shape);
    let fault = match shape.as_deref() {
        Some(&[filters, channels, height, width]) if filters == 2 * channels * height * width => {
            return Ok(());
        }
        Some(&[filters, channels, height, width]) => format!(
            "expected a first convolution of {} filters, two for each value of a patch of {channels}x{height}x{width}, \
             found {filters}",
            2 * channels * height * width
        ),
        _ => "the network has no convolution".to_owned(),
    };
    let fault = Fault::invalid(fault).with_hint("`airbench94` has such a convolution");
    Err(file.error("whiten", fault))
}

/// The weight of the first convolution.
fn whitened_weight(model: &Model) -> Option<Parameter> {
    let mut parameters = parameters::of(model).into_iter();
    parameters.find(|parameter| parameter.role == Role::Weight && parameter.shape.len() == 4)
}

/// The place among the learnt parameters of the first convolution's bias, where it has one.
pub fn whitened_bias(model: &Model) -> Option<usize> {
    let weight = whitened_weight(model)?;
    let bias = format!("{}bias", weight.path.strip_suffix("weight")?);
    let mut learnt = parameters::of(model)
        .into_iter()
        .filter(|p| p.role.is_learnt());
    learnt.position(|parameter| parameter.path == bias)
}

fn fault(unknown: &UnknownPart) -> Fault {
    let fault = Fault::invalid(unknown.to_string());
    match suggest::hint(&unknown.name, unknown.parts.iter().map(String::as_str)) {
        Some(hint) => fault.with_hint(hint),
        None => fault,
    }
}

const WHITENS_ANYWAY: &str = "the first convolution's filters are made of the images, as `whiten` asks, whatever `init` has of them";

/// What a start is told of the images of its run.
pub struct Images<'a> {
    /// Those that are trained on.
    pub train: &'a Source,
    /// What evaluation does to an image.
    pub preprocessing: &'a Pipeline,
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
    /// With exit code 1, where the weights to start from cannot be used, or an image cannot be read.
    pub fn new(
        plan: &Plan,
        architecture: &Architecture,
        images: &Images<'_>,
        device: &Device,
    ) -> Result<Self, Error> {
        let mut start = Self::from_weights(plan, architecture, device)?;
        if let Some(whiten) = &plan.whiten {
            start.model = whitened(start.model, whiten, images, plan.on_bad_image)?;
            if plan.init.is_some() {
                start.notes.push(WHITENS_ANYWAY.to_owned());
            }
        }
        Ok(start)
    }

    fn from_weights(
        plan: &Plan,
        architecture: &Architecture,
        device: &Device,
    ) -> Result<Self, Error> {
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
    let mut frozen = paths_in(&model, &plan.freeze);
    if plan.whiten.is_some() {
        frozen.extend(whitened_weight(&model).map(|weight| weight.path));
    }
    parameters::freeze(model, &frozen)
}

/// `model` with a first convolution that whitens patches of these images.
fn whitened(
    model: Model,
    whiten: &Whiten,
    images: &Images<'_>,
    on_bad_image: OnBadImage,
) -> Result<Model, Error> {
    let Parameter { path, shape, .. } =
        whitened_weight(&model).expect("a recipe's convolution is checked");
    let whitening = Whitening {
        images: whiten.images,
        patch: [shape[2], shape[3]],
        epsilon: whiten.epsilon,
    };
    let values = (whitening.filters(images.train, images.preprocessing, on_bad_image))
        .map_err(|error| Error::failure("cannot whiten the images").explained_by(error))?;
    let filters = HostTensor { shape, values };
    Ok(weights::fill(model, BTreeMap::from([(path, filters)])))
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
