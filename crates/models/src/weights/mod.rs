//! Weights in and out, in the reference implementations' names and layouts.
//!
//! Files are safetensors or PyTorch's `.pt`, `.pth` and `.th`. Reading one executes nothing, and takes
//! no more memory than a small multiple of the file's length.

mod error;
mod file;
mod pickle;

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

pub use error::{Mismatch, WeightsError};

use crate::Model;
use crate::parameters::{self, Parameter, PathStack};

/// A tensor in main memory.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTensor {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values, the last axis fastest.
    pub values: Vec<f32>,
}

/// Named tensors, as a PyTorch state dict holds them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    /// The tensors by name.
    pub tensors: BTreeMap<String, HostTensor>,
    /// Text beside them.
    pub metadata: BTreeMap<String, String>,
    /// How many of them the file held in another type than float32, by type.
    pub converted: BTreeMap<&'static str, usize>,
}

impl Weights {
    /// The parameters and running statistics of `model` under PyTorch's names.
    pub fn of(model: &Model) -> Self {
        let mut read = ReadAll {
            stack: PathStack::default(),
            name: |path: &str| model.pytorch_name(path),
            tensors: BTreeMap::new(),
        };
        model.visit(&mut read);
        Self {
            tensors: read.tensors,
            ..Self::default()
        }
    }

    /// `model` with these weights in place of its own.
    ///
    /// # Errors
    ///
    /// As [`by_path`](Self::by_path).
    pub fn load_into(self, model: Model) -> Result<Model, WeightsError> {
        let tensors = self.by_path(&model)?;
        Ok(fill(model, tensors))
    }

    /// The tensors by the paths that the parameters of `model` have, all of which they are.
    ///
    /// # Errors
    ///
    /// [`WeightsError::Mismatch`] where names or shapes are not exactly the model's,
    /// [`WeightsError::NotFinite`] where a value is not finite, [`WeightsError::Twice`] where two
    /// tensors are the same parameter.
    pub fn by_path(self, model: &Model) -> Result<BTreeMap<String, HostTensor>, WeightsError> {
        let mut tensors = renamed(self.tensors, model.aliases())?;
        let mut found = BTreeMap::new();
        let mut mismatch = Mismatch::default();
        for Parameter { path, shape, .. } in parameters::of(model) {
            let name = model.pytorch_name(&path);
            match tensors.remove(&name) {
                None => mismatch.missing.push(name),
                Some(tensor) if tensor.shape != shape => {
                    mismatch.reshaped.push((name, shape, tensor.shape));
                }
                Some(tensor) if !tensor.values.iter().all(|value| value.is_finite()) => {
                    return Err(WeightsError::NotFinite { name });
                }
                Some(tensor) => {
                    found.insert(path, tensor);
                }
            }
        }
        mismatch.unexpected = tensors.into_keys().collect();
        if mismatch.is_empty() {
            return Ok(found);
        }
        Err(WeightsError::Mismatch(mismatch))
    }

    /// How many scores the network gives that these weights are of: the rows of the parameter that
    /// `model` has last; `None` where there is no such tensor.
    pub fn scores(&self, model: &Model) -> Option<usize> {
        let last = parameters::of(model).pop()?;
        let wanted = model.pytorch_name(&last.path);
        let mut tensors = self.tensors.iter();
        let (_, last) = tensors.find(|(name, _)| rename(name, model.aliases()) == wanted)?;
        last.shape.first().copied()
    }
}

/// `model` with `tensors`, by path, in place of its own; a parameter that has none there keeps its
/// values.
///
/// # Panics
///
/// Where a tensor has another shape than the parameter.
pub fn fill(model: Model, tensors: BTreeMap<String, HostTensor>) -> Model {
    model.map(&mut Fill {
        stack: PathStack::default(),
        tensors,
    })
}

/// The same tensors without the prefixes of wrappers, and with `aliases` replaced.
fn renamed(
    tensors: BTreeMap<String, HostTensor>,
    aliases: &[(&str, &str)],
) -> Result<BTreeMap<String, HostTensor>, WeightsError> {
    let mut renamed = BTreeMap::new();
    for (name, tensor) in tensors {
        let bare = rename(&name, aliases);
        if renamed.insert(bare.clone(), tensor).is_some() {
            return Err(WeightsError::Twice { name: bare });
        }
    }
    Ok(renamed)
}

/// `module.` and `_orig_mod.` are what `DataParallel` and `torch.compile` put before a name.
fn rename(name: &str, aliases: &[(&str, &str)]) -> String {
    let mut bare = name;
    while let Some(rest) = bare
        .strip_prefix("module.")
        .or_else(|| bare.strip_prefix("_orig_mod."))
    {
        bare = rest;
    }
    aliases
        .iter()
        .find_map(|(theirs, ours)| {
            let rest = bare.strip_prefix(theirs)?;
            Some(format!("{ours}{rest}"))
        })
        .unwrap_or_else(|| bare.to_owned())
}

struct ReadAll<N> {
    stack: PathStack,
    name: N,
    tensors: BTreeMap<String, HostTensor>,
}

impl<N: Fn(&str) -> String> ModuleVisitor for ReadAll<N> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.stack.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.stack.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let data = param.val().into_data();
        let tensor = HostTensor {
            shape: data.shape().to_vec(),
            values: data.try_to_vec().expect("models are built in f32"),
        };
        self.tensors.insert((self.name)(&self.stack.path()), tensor);
    }
}

struct Fill {
    stack: PathStack,
    tensors: BTreeMap<String, HostTensor>,
}

impl ModuleMapper for Fill {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.stack.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.stack.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(HostTensor { shape, values }) = self.tensors.remove(&self.stack.path()) else {
            return param;
        };
        assert_eq!(shape, param.lazy_shape().to_vec(), "{}", self.stack.path());
        let values = Tensor::from_data(TensorData::new(values, shape), &param.lazy_device());
        let id = param.id;
        param.transform_for_load(values, id)
    }
}
