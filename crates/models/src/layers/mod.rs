//! The layers that networks are made of, over the operations of `kernels`.
//!
//! Parameters have PyTorch's names and layouts.

mod batch_norm;
mod conv2d;
mod deform_conv2d;
mod dropout;
mod functions;
mod linear;
mod manipulation;
mod pool;
mod rectifier;
mod response_norm;
mod shortcut;
mod squeeze_excitation;
mod stochastic_depth;

pub use batch_norm::{BatchNorm, NormKind, NormOptions};
pub use conv2d::{Conv2d, Conv2dConfig};
pub use deform_conv2d::{DeformConv2d, DeformConv2dConfig};
pub use dropout::Dropout;
pub use functions::{blend, concat, multiply, relu, residual_add, scale, sigmoid, tanh};
pub use linear::Linear;
pub use manipulation::{Factor, Manipulation, Manipulator};
pub use pool::{AdaptiveAvgPool2d, AvgPool2d, MaxPool2d, flatten, global_average, pixel};
pub use rectifier::{Rectifier, RectifierKind};
pub use response_norm::LocalResponseNorm;
pub use shortcut::Shortcut;
pub use squeeze_excitation::SqueezeExcitation;
pub use stochastic_depth::StochasticDepth;

use burn::module::Module;
use burn::tensor::Tensor;
use kernels::{Activation, Finish};

use crate::{Init, responses};
use functions::finished;

/// A convolution, followed by batch normalisation or by a bias.
#[derive(Module, Debug)]
pub struct ConvNorm {
    /// The convolution.
    pub conv: Conv2d,
    /// The normalisation of its output; without one, the convolution has a bias.
    pub norm: Option<BatchNorm>,
}

impl ConvNorm {
    /// The convolution of `config`, and a normalisation of its filters.
    pub fn new(config: Conv2dConfig, init: &mut Init) -> Self {
        Self::with(config, Some(NormOptions::default()), init)
    }

    /// The same with these options of the normalisation, or with a bias in its place.
    pub fn with(config: Conv2dConfig, options: Option<NormOptions>, init: &mut Init) -> Self {
        let config = match options {
            Some(_) => config,
            None => config.with_bias(),
        };
        Self {
            conv: config.init(init),
            norm: options.map(|options| BatchNorm::with(config.filters, options, init)),
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
        let Some(norm) = &self.norm else {
            responses::note(self.conv.weight.id, || self.conv.forward(x.clone()));
            return match finish.residual {
                Some(_) => finished(self.conv.forward(x), finish),
                None => self.conv.forward_with(x, finish.activation),
            };
        };
        let x = self.conv.forward(x);
        responses::note(norm.weight.id, || norm.forward(x.clone()));
        norm.forward_with(x, finish)
    }
}

/// Batch normalisation and `relu` before a convolution without bias.
#[derive(Module, Debug)]
pub struct NormReluConv {
    /// The normalisation of the input.
    pub norm: BatchNorm,
    /// The convolution.
    pub conv: Conv2d,
}

impl NormReluConv {
    /// The convolution of `config`, and a normalisation of its channels.
    pub fn new(config: Conv2dConfig, init: &mut Init) -> Self {
        Self {
            norm: BatchNorm::new(config.channels, init),
            conv: config.init(init),
        }
    }

    /// `conv(relu(norm(x)))`: `[n, channels, h, w]` to `[n, filters, h', w']`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.conv.forward(self.norm.forward_relu(x))
    }
}
