//! Weights in and out, in the reference implementations' names and layouts.
//!
//! Files are safetensors or PyTorch's `.pt`, `.pth` and `.th`; reading one executes nothing.

mod error;
mod file;

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

pub use error::{Mismatch, WeightsError};

use crate::Model;
use crate::parameters::{self, PathStack};

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
}

/// What PyTorch's layers count and Kiln does not use.
const UNUSED_SUFFIX: &str = ".num_batches_tracked";

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
            metadata: BTreeMap::new(),
        }
    }

    /// `model` with these weights in place of its own.
    ///
    /// # Errors
    ///
    /// [`WeightsError::Mismatch`] where names or shapes are not exactly the model's, or a value is
    /// not finite.
    pub fn load_into(&self, model: Model) -> Result<Model, WeightsError> {
        let named = self.renamed(model.aliases());
        named.check(&model)?;
        let names: BTreeMap<String, String> = parameters::of(&model)
            .into_iter()
            .map(|parameter| {
                let name = model.pytorch_name(&parameter.path);
                (parameter.path, name)
            })
            .collect();
        let mut write = WriteAll {
            stack: PathStack::default(),
            names: &names,
            tensors: &named.tensors,
        };
        Ok(model.map(&mut write))
    }

    /// How many scores the network gives that these weights are of: the values of the bias that
    /// `model` has last; `None` where there is no such tensor.
    pub fn scores(&self, model: &Model) -> Option<usize> {
        let last = parameters::of(model).pop()?;
        let named = self.renamed(model.aliases());
        let tensor = named.tensors.get(&model.pytorch_name(&last.path))?;
        Some(tensor.values.len())
    }

    /// The same without the prefixes of wrappers, and with `aliases` replaced.
    fn renamed(&self, aliases: &[(&str, &str)]) -> Self {
        let tensors = self
            .tensors
            .iter()
            .filter(|(name, _)| !name.ends_with(UNUSED_SUFFIX))
            .map(|(name, tensor)| (rename(name, aliases), tensor.clone()))
            .collect();
        Self {
            tensors,
            metadata: self.metadata.clone(),
        }
    }

    fn check(&self, model: &Model) -> Result<(), WeightsError> {
        let mut mismatch = Mismatch::default();
        let mut expected_names = BTreeSet::new();
        for parameter in parameters::of(model) {
            let name = model.pytorch_name(&parameter.path);
            match self.tensors.get(&name) {
                None => mismatch.missing.push(name.clone()),
                Some(tensor) if tensor.shape != parameter.shape => mismatch.reshaped.push((
                    name.clone(),
                    parameter.shape.clone(),
                    tensor.shape.clone(),
                )),
                Some(tensor) if tensor.values.iter().any(|value| !value.is_finite()) => {
                    return Err(WeightsError::NotFinite { name });
                }
                Some(_) => {}
            }
            expected_names.insert(name);
        }
        mismatch.unexpected = self
            .tensors
            .keys()
            .filter(|name| !expected_names.contains(*name))
            .cloned()
            .collect();
        if mismatch.is_empty() {
            return Ok(());
        }
        Err(WeightsError::Mismatch(mismatch))
    }
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

struct WriteAll<'a> {
    stack: PathStack,
    names: &'a BTreeMap<String, String>,
    tensors: &'a BTreeMap<String, HostTensor>,
}

impl ModuleMapper for WriteAll<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.stack.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.stack.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let tensor = &self.tensors[&self.names[&self.stack.path()]];
        let data = TensorData::new(tensor.values.clone(), tensor.shape.clone());
        let values = Tensor::from_data(data, &param.lazy_device());
        let id = param.id;
        param.transform_for_load(values, id)
    }
}
