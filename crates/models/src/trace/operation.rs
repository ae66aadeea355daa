//! What a network is made of.

use burn::module::ParamId;
use kernels::{
    Conv2dOptions, DeformConv2dOptions, IdentityShortcut, LocalResponseNorm, Pool2dOptions,
};

use crate::LayerKind;

/// What is done to one or more tensors. A layer is known by its weight, beside which its other
/// parameters have names of their own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operation {
    /// Nothing is done: the network is given this.
    Input,
    Conv2d {
        weight: ParamId,
        has_bias: bool,
        kernel: [usize; 2],
        options: Conv2dOptions,
    },
    /// Of images, the offsets of taps and, where there are any, their weights.
    DeformConv2d {
        weight: ParamId,
        kernel: [usize; 2],
        options: DeformConv2dOptions,
    },
    BatchNorm {
        weight: ParamId,
        epsilon: f64,
    },
    LocalResponseNorm(LocalResponseNorm),
    PRelu {
        weight: ParamId,
    },
    MaxPool2d(Pool2dOptions),
    AvgPool2d {
        options: Pool2dOptions,
        counts_padding: bool,
    },
    AdaptiveAvgPool2d,
    /// `[n, channels, h, w]` to `[n, channels]`.
    GlobalAverage,
    Linear {
        weight: ParamId,
        has_bias: bool,
    },
    /// Nothing, in evaluation.
    Dropout,
    /// Nothing, in evaluation.
    StochasticDepth,
    Relu,
    Silu,
    Gelu,
    Sigmoid,
    Tanh,
    /// By a number.
    Scale(f64),
    Add,
    /// The second from the first.
    Subtract,
    /// The second may have one pixel for all of the first's.
    Multiply,
    /// Channels behind each other.
    Concat,
    /// So many channels from the first of them on.
    Channels {
        first: usize,
        count: usize,
    },
    IdentityShortcut(IdentityShortcut),
    /// `[n, channels, h, w]` to `[n, channels * h * w]`.
    Flatten,
    /// `[n, channels]` to `[n, channels, 1, 1]`.
    Pixel,
}

impl Operation {
    /// What it is as a layer, where it is more than a function between layers.
    pub fn layer(&self) -> Option<LayerKind> {
        match self {
            Self::Conv2d { .. } | Self::DeformConv2d { .. } => Some(LayerKind::Conv2d),
            Self::BatchNorm { .. } => Some(LayerKind::BatchNorm),
            Self::LocalResponseNorm(_) => Some(LayerKind::LocalResponseNorm),
            Self::PRelu { .. } => Some(LayerKind::PRelu),
            Self::MaxPool2d(_) => Some(LayerKind::MaxPool2d),
            Self::AvgPool2d { .. } => Some(LayerKind::AvgPool2d),
            Self::AdaptiveAvgPool2d => Some(LayerKind::AdaptiveAvgPool2d),
            Self::GlobalAverage => Some(LayerKind::GlobalAveragePool),
            Self::Linear { .. } => Some(LayerKind::Linear),
            Self::Dropout => Some(LayerKind::Dropout),
            Self::StochasticDepth => Some(LayerKind::StochasticDepth),
            _ => None,
        }
    }

    /// The weight of the layer, by which its name is found.
    pub fn weight(&self) -> Option<ParamId> {
        match self {
            Self::Conv2d { weight, .. }
            | Self::DeformConv2d { weight, .. }
            | Self::BatchNorm { weight, .. }
            | Self::PRelu { weight }
            | Self::Linear { weight, .. } => Some(*weight),
            _ => None,
        }
    }
}
