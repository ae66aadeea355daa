//! The layers that networks are made of, over the operations of `kernels`.
//!
//! Parameters have PyTorch's names and layouts.

mod batch_norm;
mod conv2d;
mod dropout;
mod linear;
mod pool;
mod response_norm;

pub use batch_norm::{BatchNorm, NormOptions};
pub use conv2d::{Conv2d, Conv2dConfig};
pub use dropout::Dropout;
pub use linear::Linear;
pub use pool::{AdaptiveAvgPool2d, AvgPool2d, MaxPool2d, flatten, global_average};
pub use response_norm::LocalResponseNorm;

use burn::module::Module;
use burn::tensor::Tensor;
use kernels::{Activation, Finish};

use crate::{Init, trace};

/// A convolution without bias, followed by batch normalisation.
#[derive(Module, Debug)]
pub struct ConvNorm {
    /// The convolution.
    pub conv: Conv2d,
    /// The normalisation of its output.
    pub norm: BatchNorm,
}

impl ConvNorm {
    /// The convolution of `config`, and a normalisation of its filters.
    pub fn new(config: Conv2dConfig, init: &mut Init) -> Self {
        Self::with(config, NormOptions::default(), init)
    }

    /// The same with these options of the normalisation.
    pub fn with(config: Conv2dConfig, options: NormOptions, init: &mut Init) -> Self {
        Self {
            conv: config.init(init),
            norm: BatchNorm::with(config.filters, options, init),
        }
    }

    /// `norm(conv(x))`: `[n, channels, h, w]` to `[n, filters, h', w']`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.forward_with(x, Finish::default())
    }

    /// `relu(norm(conv(x)))`.
    pub fn forward_relu(&self, x: Tensor<4>) -> Tensor<4> {
        let finish = Finish {
            activation: Activation::Relu,
            ..Finish::default()
        };
        self.forward_with(x, finish)
    }

    /// `norm(conv(x))`, and what is to follow in the same pass over memory.
    pub fn forward_with(&self, x: Tensor<4>, finish: Finish) -> Tensor<4> {
        self.norm.forward_with(self.conv.forward(x), finish)
    }
}

/// Images of any numbers of channels behind each other: `[n, c, h, w]` each to `[n, sum of c, h, w]`.
pub fn concat(images: Vec<Tensor<4>>) -> Tensor<4> {
    if trace::is_active() {
        return Tensor::cat(images, 1);
    }
    kernels::concat(images)
}

/// `path + shortcut`, both `[n, channels, h, w]`.
pub fn residual_add(path: Tensor<4>, shortcut: Tensor<4>) -> Tensor<4> {
    if trace::is_active() {
        return path.max_pair(shortcut);
    }
    path + shortcut
}

/// `function(x)`, which works on each value alone and which a trace therefore passes by.
pub fn elementwise<const D: usize>(
    x: Tensor<D>,
    function: impl FnOnce(Tensor<D>) -> Tensor<D>,
) -> Tensor<D> {
    if trace::is_active() { x } else { function(x) }
}
