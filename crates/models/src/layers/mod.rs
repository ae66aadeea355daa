//! The layers that networks are made of, over the operations of `kernels`.
//!
//! Parameters have PyTorch's names and layouts.

mod batch_norm;
mod conv2d;
mod deform_conv2d;
mod dropout;
mod linear;
mod pool;
mod rectifier;
mod response_norm;
mod shortcut;
mod squeeze_excitation;
mod stochastic_depth;

pub use batch_norm::{BatchNorm, NormOptions};
pub use conv2d::{Conv2d, Conv2dConfig};
pub use deform_conv2d::{DeformConv2d, DeformConv2dConfig};
pub use dropout::Dropout;
pub use linear::Linear;
pub use pool::{AdaptiveAvgPool2d, AvgPool2d, MaxPool2d, flatten, global_average};
pub use rectifier::{Rectifier, RectifierKind};
pub use response_norm::LocalResponseNorm;
pub use shortcut::Shortcut;
pub use squeeze_excitation::SqueezeExcitation;
pub use stochastic_depth::StochasticDepth;

use burn::module::Module;
use burn::tensor::Tensor;
use kernels::Finish;

use crate::{Init, responses, trace};

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
        self.norm.forward_relu(self.convolved(x))
    }

    /// `norm(conv(x))`, and what is to follow in the same pass over memory.
    pub fn forward_with(&self, x: Tensor<4>, finish: Finish) -> Tensor<4> {
        self.norm.forward_with(self.convolved(x), finish)
    }

    fn convolved(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.conv.forward(x);
        responses::note(self.norm.weight.id, || self.norm.forward(x.clone()));
        x
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

/// Images of any numbers of channels behind each other: `[n, c, h, w]` each to `[n, sum of c, h, w]`.
pub fn concat(images: Vec<Tensor<4>>) -> Tensor<4> {
    if trace::is_active() {
        let [n, _, height, width] = images[0].dims();
        let channels = images.iter().map(|image| image.dims()[1]).sum();
        let fit = |image: &Tensor<4>| image.dims()[2..] == [height, width];
        assert!(images.iter().all(fit), "images of one size");
        return trace::merged([n, channels, height, width], &images);
    }
    kernels::concat(images)
}

/// `path + shortcut`, both `[n, channels, h, w]`.
pub fn residual_add(path: Tensor<4>, shortcut: Tensor<4>) -> Tensor<4> {
    if trace::is_active() {
        assert_eq!(
            path.dims(),
            shortcut.dims(),
            "a shortcut of the path's shape"
        );
        return trace::merged(path.dims(), &[path, shortcut]);
    }
    path + shortcut
}

/// `gate · changed + (1 - gate) · carried`, all `[n, c, h, w]`.
pub fn blend(changed: Tensor<4>, carried: Tensor<4>, gate: Tensor<4>) -> Tensor<4> {
    if trace::is_active() {
        return trace::merged(carried.dims(), &[changed, carried, gate]);
    }
    carried.clone() + gate * (changed - carried)
}

/// `function(x)`, which works on each value alone and which a trace therefore passes by.
pub fn elementwise<const D: usize>(
    x: Tensor<D>,
    function: impl FnOnce(Tensor<D>) -> Tensor<D>,
) -> Tensor<D> {
    if trace::is_active() { x } else { function(x) }
}
