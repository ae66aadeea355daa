//! What a network costs: parameters, multiply-adds, activations, receptive fields.

use std::collections::HashMap;
use std::fmt;

use burn::module::Module;
use serde::Serialize;

use crate::Model;
use crate::parameters::{self, Role};
use crate::trace::{self, Node};

/// What a layer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerKind {
    /// Two-dimensional convolution.
    Conv2d,
    /// Batch normalisation.
    BatchNorm,
    /// Local response normalisation.
    LocalResponseNorm,
    /// The largest value of a window.
    MaxPool2d,
    /// The mean of a window.
    AvgPool2d,
    /// The mean of each of a given number of windows.
    AdaptiveAvgPool2d,
    /// The mean of a channel.
    GlobalAveragePool,
    /// A fully connected layer.
    Linear,
    /// A rectifier whose slope is learnt.
    #[serde(rename = "prelu")]
    PRelu,
    /// Values that are zeroed at random in training.
    Dropout,
    /// Paths of residual blocks that are dropped at random in training.
    StochasticDepth,
}

impl fmt::Display for LayerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Conv2d => "conv2d",
            Self::BatchNorm => "batch_norm",
            Self::LocalResponseNorm => "local_response_norm",
            Self::MaxPool2d => "max_pool2d",
            Self::AvgPool2d => "avg_pool2d",
            Self::AdaptiveAvgPool2d => "adaptive_avg_pool2d",
            Self::GlobalAveragePool => "global_average_pool",
            Self::Linear => "linear",
            Self::PRelu => "prelu",
            Self::Dropout => "dropout",
            Self::StochasticDepth => "stochastic_depth",
        })
    }
}

/// One layer of a [`Description`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// The layer's name in a PyTorch state dict; empty where it has no parameters.
    pub name: String,
    /// What it does.
    pub kind: LayerKind,
    /// Channels, and height and width where there are any, for one image.
    pub output: Vec<usize>,
    /// Learnt values.
    pub parameters: usize,
    /// Products of a weight and an input, added up, for one image.
    pub multiply_adds: u64,
    /// Values that the layer puts out for one image, counted as [`Description::activations`] does.
    pub activations: u64,
    /// Height of the square of input pixels that one output value can see, padding included.
    pub receptive_field: usize,
}

/// A network, layer by layer, for one input size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Description {
    /// `[channels, height, width]` of the input.
    pub input: [usize; 3],
    /// The layers, in the order in which they run.
    pub layers: Vec<Layer>,
    /// Learnt values in all.
    pub parameters: usize,
    /// Those among them that evaluation does not use: auxiliary classifiers.
    pub auxiliary_parameters: usize,
    /// Multiply-adds of convolutions and linear layers for one image in evaluation.
    pub multiply_adds: u64,
    /// Values that convolutions and linear layers put out for one image
    /// (Radosavovic et al. 2020, arXiv:2003.13678, section 3.1, and linear layers).
    pub activations: u64,
    /// Blocks that [`gradient_checkpointing`](crate::gradient_checkpointing) would compute again.
    pub blocks: usize,
}

impl Description {
    /// Describes `model` for images of `[channels, height, width]`, without computing or
    /// allocating its weights.
    ///
    /// # Panics
    ///
    /// Where the model does not take images of that size.
    pub fn of(model: &Model, input: [usize; 3]) -> Self {
        let device = model.devices().into_iter().next().unwrap_or_default();
        let names = layer_names(model);
        let traced = trace::run(input, &device, |images| model.forward(images));
        let layers: Vec<Layer> = (traced.nodes)
            .into_iter()
            .filter_map(|node| describe(node, &names))
            .collect();
        let parameters = parameters::count(model);
        let used: usize = layers.iter().map(|layer| layer.parameters).sum();
        Self {
            input,
            parameters,
            auxiliary_parameters: parameters - used,
            multiply_adds: layers.iter().map(|layer| layer.multiply_adds).sum(),
            activations: layers.iter().map(|layer| layer.activations).sum(),
            blocks: traced.blocks,
            layers,
        }
    }
}

/// The layer that an operation is, where it is one.
fn describe(node: Node, names: &HashMap<u64, String>) -> Option<Layer> {
    let kind = node.operation.layer()?;
    let weight = node.operation.weight();
    let counted = matches!(kind, LayerKind::Conv2d | LayerKind::Linear);
    let values = node.output.iter().product::<usize>() as u64;
    Some(Layer {
        name: weight.map_or_else(String::new, |id| names[&id.val()].clone()),
        kind,
        parameters: node.cost.parameters,
        multiply_adds: node.cost.multiply_adds,
        activations: if counted { values } else { 0 },
        output: node.output,
        receptive_field: node.receptive_field,
    })
}

/// The names of layers in a PyTorch state dict, by each of their parameters' [`ParamId`].
///
/// [`ParamId`]: burn::module::ParamId
pub fn layer_names(model: &Model) -> HashMap<u64, String> {
    parameters::of(model)
        .into_iter()
        .filter(|parameter| parameter.role != Role::RunningStatistic)
        .map(|parameter| {
            let name = model.pytorch_name(&parameter.path);
            let layer = name.rsplit_once('.').map_or("", |(layer, _)| layer);
            (parameter.id.val(), layer.to_owned())
        })
        .collect()
}
