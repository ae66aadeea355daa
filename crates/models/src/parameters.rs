//! The parameters of a network, by path and role.

use std::collections::BTreeSet;
use std::iter;

use burn::module::{Flag, Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Gradients, Tensor};

/// What a tensor of a network is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A convolution's or linear layer's weight.
    Weight,
    /// A convolution's or linear layer's bias.
    Bias,
    /// The scale or shift of a normalisation.
    Norm,
    /// The slope of a rectifier.
    Slope,
    /// A running mean or variance: kept, but not learnt.
    RunningStatistic,
}

impl Role {
    /// Whether the optimizer moves it.
    pub fn is_learnt(self) -> bool {
        self != Self::RunningStatistic
    }
}

/// A tensor of a network.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Where it is in the network's own structure, as in `stages.0.blocks.1.path.0.conv.weight`.
    pub path: String,
    /// Burn's identity of it.
    pub id: ParamId,
    /// Its shape.
    pub shape: Vec<usize>,
    /// What it is for.
    pub role: Role,
}

/// The tensors of `model` in its own order, without allocating those that were never used.
pub fn of(model: &impl Module) -> Vec<Parameter> {
    let mut list = List::default();
    model.visit(&mut list);
    list.parameters
}

/// The number of learnt values.
pub fn count(model: &impl Module) -> usize {
    of(model)
        .iter()
        .filter(|parameter| parameter.role.is_learnt())
        .map(|parameter| parameter.shape.iter().product::<usize>())
        .sum()
}

/// Where a visitor or mapper is in a network: the names of the modules around it, without the
/// names of enum variants, which are no part of a parameter's path.
#[derive(Clone, Debug, Default)]
pub struct PathStack {
    modules: Vec<(String, String)>,
}

impl PathStack {
    /// To be called from `enter_module`, with its arguments.
    pub fn enter(&mut self, name: &str, container: &str) {
        self.modules.push((name.to_owned(), container.to_owned()));
    }

    /// To be called from `exit_module`.
    pub fn exit(&mut self) {
        self.modules.pop();
    }

    /// The dotted path.
    pub fn path(&self) -> String {
        self.modules
            .iter()
            .filter(|(_, container)| !container.starts_with("Enum:"))
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>()
            .join(".")
    }

    /// What the tensor at this place is for.
    pub fn role(&self) -> Role {
        let Some((name, container)) = self.modules.last() else {
            return Role::Weight;
        };
        match (container.as_str(), name.as_str()) {
            (_, "running_mean" | "running_var") => Role::RunningStatistic,
            ("Struct:BatchNorm", _) => Role::Norm,
            ("Struct:Rectifier", _) => Role::Slope,
            (_, "bias") => Role::Bias,
            _ => Role::Weight,
        }
    }
}

#[derive(Default)]
struct List {
    stack: PathStack,
    parameters: Vec<Parameter>,
}

impl ModuleVisitor for List {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.stack.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.stack.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.parameters.push(Parameter {
            path: self.stack.path(),
            id: param.id,
            shape: param.lazy_shape().to_vec(),
            role: self.stack.role(),
        });
    }
}

/// `model` without the gradients of the learnt parameters at these paths, which training then leaves
/// as they are; a [`BatchNorm`](crate::layers::BatchNorm) among them leaves its running statistics,
/// too, and normalises by them.
pub fn freeze<M: Module>(model: M, paths: &BTreeSet<String>) -> M {
    model.map(&mut Freeze {
        stack: PathStack::default(),
        paths,
    })
}

/// The gradient of each learnt parameter, flat and without autodiff, in the network's own order;
/// `None` where the loss does not depend on it, or it is frozen.
///
/// Takes them out of `gradients`, which the last backward pass on this thread found, and out of the
/// blocks that [`gradient_checkpointing`](crate::gradient_checkpointing) computed again there.
pub fn take_gradients(model: &impl Module, gradients: &mut Gradients) -> Vec<Option<Tensor<1>>> {
    let mut of_blocks = kernels::take_gradients();
    let mut take = TakeGradients {
        stack: PathStack::default(),
        found: iter::once(gradients).chain(&mut of_blocks).collect(),
        taken: Vec::new(),
    };
    model.visit(&mut take);
    take.taken
}

/// Draws the parameters that were not used before.
pub(crate) fn draw(model: &impl Module) {
    model.visit(&mut Draw);
}

/// The values of each tensor of `model`, flat and without autodiff, in its own order.
pub fn values(model: &impl Module) -> Vec<Tensor<1>> {
    let mut read = Values(Vec::new());
    model.visit(&mut read);
    read.0
}

/// `model` with every tensor replaced by what `change` makes of its role and its values, flat and
/// without autodiff, in the network's own order.
///
/// # Panics
///
/// Where `change` returns another number of values.
pub fn map_values<M: Module>(model: M, change: impl FnMut(Role, Tensor<1>) -> Tensor<1>) -> M {
    model.map(&mut MapValues {
        stack: PathStack::default(),
        change,
    })
}

struct Freeze<'a> {
    stack: PathStack,
    paths: &'a BTreeSet<String>,
}

impl ModuleMapper for Freeze<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.stack.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.stack.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.paths.contains(&self.stack.path()) {
            return param.set_require_grad(false);
        }
        param
    }

    /// Of a normalisation, beside its scale.
    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        let path = self.stack.path();
        let layer = path.rsplit_once('.').map_or("", |(layer, _)| layer);
        if self.paths.contains(&format!("{layer}.weight")) {
            return flag.with_value(false);
        }
        flag
    }
}

struct TakeGradients<'a> {
    stack: PathStack,
    found: Vec<&'a mut Gradients>,
    taken: Vec<Option<Tensor<1>>>,
}

impl ModuleVisitor for TakeGradients<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.stack.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.stack.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.stack.role().is_learnt() {
            let value = param.val();
            let gradients = (self.found.iter_mut()).filter_map(|found| value.grad_remove(found));
            self.taken
                .push(gradients.reduce(Tensor::add).map(FlattenAll::flatten_all));
        }
    }
}

struct Draw;

impl ModuleVisitor for Draw {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        param.val();
    }
}

struct Values(Vec<Tensor<1>>);

impl ModuleVisitor for Values {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(param.val().inner().flatten_all());
    }
}

struct MapValues<F> {
    stack: PathStack,
    change: F,
}

impl<F: FnMut(Role, Tensor<1>) -> Tensor<1>> ModuleMapper for MapValues<F> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.stack.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.stack.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let shape = tensor.shape();
        let (autodiff, learns) = (tensor.is_autodiff(), tensor.is_require_grad());
        let changed = (self.change)(self.stack.role(), tensor.inner().flatten_all());
        let mut changed = changed.reshape(shape);
        if autodiff {
            changed = Tensor::from_inner(changed).set_require_grad(learns);
        }
        Param::from_mapped_value(id, changed, mapper)
    }
}

/// Any tensor as a vector.
trait FlattenAll {
    fn flatten_all(self) -> Tensor<1>;
}

impl<const D: usize> FlattenAll for Tensor<D> {
    fn flatten_all(self) -> Tensor<1> {
        let length = self.shape().num_elements();
        self.reshape([length])
    }
}
