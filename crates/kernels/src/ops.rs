//! The list of operations.

#![cfg_attr(
    feature = "ndarray",
    expect(deprecated, reason = "Burn 0.22 is the last to have this backend")
)]

#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
use burn::backend::Cube;
#[cfg(feature = "ndarray")]
use burn::backend::NdArray;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, ExtensionType, backend_extension};
use burn::tensor::Shape;

use crate::autodiff::Dispatched;
use crate::gradient_checkpoint::Recomputation;
use crate::{
    Activation, Conv2dOptions, DeformConv2dOptions, IdentityShortcut, LocalResponseNorm,
    Pool2dOptions, SgdOptions, SharedBatch, portable,
};

/// The operations of a convolutional network that Kiln computes itself.
///
/// The default bodies are composed from Burn's primitives. A backend that is not listed here panics
/// when one is called.
#[backend_extension(
    Flex,
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda")),
    Autodiff
)]
pub trait CnnOps: Backend {
    /// Convolution of `images` `[n, c, h, w]` with `weight` `[k, c / groups, kh, kw]`.
    fn conv2d_forward(
        images: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: Conv2dOptions,
    ) -> FloatTensor<Self> {
        portable::conv2d_forward::<Self>(images, weight, options)
    }

    /// Convolution whose taps are moved by `offsets` `[n, 2 · offset groups · taps, h', w']` and
    /// weighted by `mask` `[n, offset groups · taps, h', w']`.
    fn deform_conv2d_forward(
        images: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        offsets: FloatTensor<Self>,
        #[extension_type] mask: Optional<Self>,
        options: DeformConv2dOptions,
    ) -> FloatTensor<Self> {
        portable::deform_conv2d_forward::<Self>(images, weight, offsets, mask, options)
    }

    /// Batch normalisation by the batch's statistics, plus the residual, activated: the output, the
    /// mean and the biased variance, of all processes' images where the batch is shared. With [`Activation::Silu`] and
    /// [`Activation::Gelu`] there is no residual.
    fn batch_norm_forward(
        images: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        #[extension_type] residual: Optional<Self>,
        epsilon: f64,
        activation: Activation,
        shared: Option<SharedBatch>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        portable::batch_norm_forward::<Self>(
            images, weight, bias, residual, epsilon, activation, shared,
        )
    }

    /// `scale · images + shift` by channel, plus the residual, activated.
    fn affine_forward(
        images: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        #[extension_type] residual: Optional<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        portable::affine_forward::<Self>(images, scale, shift, residual, activation)
    }

    /// A value for each channel, added to all of its pixels, and then rectified where this is wanted.
    fn add_bias_forward(
        images: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        rectifies: bool,
    ) -> FloatTensor<Self> {
        portable::add_bias_forward::<Self>(images, bias, rectifies)
    }

    /// The activation of each value.
    fn activation_forward(images: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        portable::activation_forward::<Self>(images, activation)
    }

    /// The channels of both, one after the other.
    fn concat_forward(left: FloatTensor<Self>, right: FloatTensor<Self>) -> FloatTensor<Self> {
        portable::concat_forward::<Self>(left, right)
    }

    /// Each channel of each image times its gate `[n, c]`, plus the residual, and then rectified
    /// where this is wanted.
    fn gate_channels_forward(
        images: FloatTensor<Self>,
        gates: FloatTensor<Self>,
        #[extension_type] residual: Optional<Self>,
        rectifies: bool,
    ) -> FloatTensor<Self> {
        portable::gate_channels_forward::<Self>(images, gates, residual, rectifies)
    }

    /// Each value by the squares of those of neighbouring channels.
    fn local_response_norm_forward(
        images: FloatTensor<Self>,
        options: LocalResponseNorm,
    ) -> FloatTensor<Self> {
        portable::local_response_norm_forward::<Self>(images, options)
    }

    /// The pixels and channels of a shortcut without parameters.
    fn identity_shortcut_forward(
        images: FloatTensor<Self>,
        shortcut: IdentityShortcut,
    ) -> FloatTensor<Self> {
        portable::identity_shortcut_forward::<Self>(images, shortcut)
    }

    /// The largest value of each window.
    fn max_pool2d_forward(images: FloatTensor<Self>, options: Pool2dOptions) -> FloatTensor<Self> {
        portable::max_pool2d_forward::<Self>(images, options)
    }

    /// The mean of each window.
    fn avg_pool2d_forward(
        images: FloatTensor<Self>,
        options: Pool2dOptions,
        counts_padding: bool,
    ) -> FloatTensor<Self> {
        portable::avg_pool2d_forward::<Self>(images, options, counts_padding)
    }

    /// The weight and the velocity after a step against the gradient; without momentum, the velocity
    /// is anything. Passes no gradients on.
    fn sgd_update(
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        #[extension_type] velocity: Optional<Self>,
        options: SgdOptions,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        portable::sgd_update::<Self>(weight, gradient, velocity, options)
    }

    /// `features` `[n, inputs]` times the transpose of `weight` `[outputs, inputs]`, plus the bias.
    fn linear_forward(
        features: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        portable::linear_forward::<Self>(features, weight, bias)
    }

    /// The mean cross-entropy `[1]` of `logits` `[n, classes]` and `labels` `[n]`.
    fn cross_entropy_forward(
        logits: FloatTensor<Self>,
        labels: IntTensor<Self>,
        smoothing: f64,
    ) -> FloatTensor<Self> {
        portable::cross_entropy_forward::<Self>(logits, labels, smoothing)
    }

    /// The mean of each channel: `[n, c, h, w]` to `[n, c]`.
    fn global_average_forward(images: FloatTensor<Self>) -> FloatTensor<Self> {
        portable::global_average_forward::<Self>(images)
    }

    /// `output`, which was made of `images` and will be made again for their gradient.
    fn checkpointed(
        images: FloatTensor<Self>,
        output: FloatTensor<Self>,
        recomputation: Recomputation,
    ) -> FloatTensor<Self> {
        let _ = (images, recomputation);
        output
    }

    /// Zero `[1]`, whose gradient by `values` is `gradient`.
    fn with_gradient(values: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        let _ = gradient;
        portable::zero::<Self>(&values)
    }
}

/// An operand that need not be there.
#[derive(Clone, Debug, ExtensionType)]
pub enum Optional<B: Backend> {
    /// It is not.
    None,
    /// It is.
    Some(FloatTensor<B>),
}

impl<B: Backend> Optional<B> {
    /// The operand, where there is one.
    pub fn into_option(self) -> Option<FloatTensor<B>> {
        match self {
            Self::None => None,
            Self::Some(values) => Some(values),
        }
    }
}

/// What the gradients of [`CnnOps`] are computed with, on a backend without autodiff.
pub trait CnnGradients: Dispatched {
    /// [`CnnOps::conv2d_forward`] in training, where the weight is about to change.
    fn conv2d_tracked(
        images: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: Conv2dOptions,
    ) -> FloatTensor<Self> {
        portable::conv2d_forward::<Self>(images, weight, options)
    }

    /// The gradients of a convolution by its images and by its weight, where they are wanted.
    fn conv2d_gradients(
        images: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
        options: Conv2dOptions,
        wanted: WantedGradients,
    ) -> (Option<FloatTensor<Self>>, Option<FloatTensor<Self>>) {
        portable::conv2d_gradients::<Self>(images, weight, output_gradient, options, wanted)
    }

    /// The gradients of a deformable convolution.
    fn deform_conv2d_gradients(
        deformed: Deformed<Self>,
        output_gradient: FloatTensor<Self>,
    ) -> DeformedGradients<Self> {
        portable::deform_conv2d_gradients(deformed, output_gradient)
    }

    /// The gradients of [`CnnOps::batch_norm_forward`].
    fn batch_norm_gradients(
        normalization: Normalization<Self>,
        output_gradient: FloatTensor<Self>,
    ) -> BatchNormGradients<Self> {
        portable::batch_norm_gradients(normalization, output_gradient)
    }

    /// The gradients of [`CnnOps::add_bias_forward`] by images and bias, from that by the output and,
    /// where it was rectified, the output itself.
    fn add_bias_gradients(
        output_gradient: FloatTensor<Self>,
        rectified: Option<FloatTensor<Self>>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        portable::add_bias_gradients::<Self>(output_gradient, rectified)
    }

    /// The gradient of [`CnnOps::activation_forward`], from its output where it rectifies and from
    /// its input otherwise.
    fn activation_gradient(
        kept: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        portable::activation_gradient::<Self>(kept, output_gradient, activation)
    }

    /// The gradients of [`CnnOps::concat_forward`], of which the left has so many channels.
    fn concat_gradients(
        output_gradient: FloatTensor<Self>,
        left_channels: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        portable::concat_gradients::<Self>(output_gradient, left_channels)
    }

    /// The gradients of [`CnnOps::gate_channels_forward`] by images and gates, from that behind the
    /// rectifier.
    fn gate_channels_gradients(
        images: FloatTensor<Self>,
        gates: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        portable::gate_channels_gradients::<Self>(images, gates, gradient)
    }

    /// The gradient of [`CnnOps::local_response_norm_forward`].
    fn local_response_norm_gradient(
        images: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
        options: LocalResponseNorm,
    ) -> FloatTensor<Self> {
        portable::local_response_norm_gradient::<Self>(images, output_gradient, options)
    }

    /// The gradient of [`CnnOps::identity_shortcut_forward`] by images of this shape.
    fn identity_shortcut_gradient(
        output_gradient: FloatTensor<Self>,
        images: Shape,
        shortcut: IdentityShortcut,
    ) -> FloatTensor<Self> {
        portable::identity_shortcut_gradient::<Self>(output_gradient, images, shortcut)
    }

    /// [`CnnOps::max_pool2d_forward`], and where the largest values were, for a gradient that needs
    /// to be told.
    fn max_pool2d_tracked(
        images: FloatTensor<Self>,
        options: Pool2dOptions,
    ) -> (FloatTensor<Self>, Option<IntTensor<Self>>) {
        portable::max_pool2d_tracked::<Self>(images, options)
    }

    /// The gradient of [`CnnGradients::max_pool2d_tracked`].
    fn max_pool2d_gradient(
        pooled: MaxPooled<Self>,
        output_gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        portable::max_pool2d_gradient(pooled, output_gradient)
    }

    /// The gradient of [`CnnOps::avg_pool2d_forward`].
    fn avg_pool2d_gradient(
        images: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
        options: Pool2dOptions,
        counts_padding: bool,
    ) -> FloatTensor<Self> {
        portable::avg_pool2d_gradient::<Self>(images, output_gradient, options, counts_padding)
    }

    /// The gradient of [`CnnOps::linear_forward`] by the weight.
    fn linear_weight_gradient(
        features: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        portable::linear_weight_gradient::<Self>(features, output_gradient)
    }

    /// The gradient of [`CnnOps::cross_entropy_forward`] by the logits.
    fn cross_entropy_gradient(
        logits: FloatTensor<Self>,
        labels: IntTensor<Self>,
        output_gradient: FloatTensor<Self>,
        smoothing: f64,
    ) -> FloatTensor<Self> {
        portable::cross_entropy_gradient::<Self>(logits, labels, output_gradient, smoothing)
    }

    /// The gradient of [`CnnOps::global_average_forward`] by images of this shape.
    fn global_average_gradient(
        output_gradient: FloatTensor<Self>,
        images: Shape,
    ) -> FloatTensor<Self> {
        portable::global_average_gradient::<Self>(output_gradient, images)
    }

    /// The sum of two gradients by the same images.
    fn add_images(left: FloatTensor<Self>, right: FloatTensor<Self>) -> FloatTensor<Self> {
        portable::add_images::<Self>(left, right)
    }
}

/// Which gradients of a convolution are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedGradients {
    /// By the images: not where these are the network's own.
    pub images: bool,
    /// By the weight: not where it is frozen.
    pub weight: bool,
}

impl WantedGradients {
    /// Both.
    pub const ALL: Self = Self {
        images: true,
        weight: true,
    };
}

/// What a deformable convolution was, for its gradients.
#[derive(Clone, Debug)]
pub struct Deformed<B: Backend> {
    /// What was convolved.
    pub images: FloatTensor<B>,
    /// The kernels.
    pub weight: FloatTensor<B>,
    /// By which the taps were moved.
    pub offsets: FloatTensor<B>,
    /// By which they were weighted, where they were.
    pub mask: Option<FloatTensor<B>>,
    /// How the kernels moved.
    pub options: DeformConv2dOptions,
}

/// The gradients of a deformable convolution.
#[derive(Clone, Debug)]
pub struct DeformedGradients<B: Backend> {
    /// By what was convolved.
    pub images: FloatTensor<B>,
    /// By the kernels.
    pub weight: FloatTensor<B>,
    /// By the movements of the taps.
    pub offsets: FloatTensor<B>,
    /// By their weights, where there were some.
    pub mask: Option<FloatTensor<B>>,
}

/// What a batch normalisation was, for its gradients.
#[derive(Clone, Debug)]
pub struct Normalization<B: Backend> {
    /// What was normalised.
    pub images: FloatTensor<B>,
    /// The scale, `[channels]`.
    pub weight: FloatTensor<B>,
    /// The batch's mean, `[channels]`.
    pub mean: FloatTensor<B>,
    /// The batch's biased variance, `[channels]`.
    pub variance: FloatTensor<B>,
    /// The shift, `[channels]`.
    pub bias: FloatTensor<B>,
    /// What was added to the variance.
    pub epsilon: f64,
    /// What the sum went through.
    pub activated: Activated<B>,
    /// Whether something was added.
    pub has_residual: bool,
    /// The batch, where other processes have images of it, too.
    pub shared: Option<SharedBatch>,
}

/// An activation, with what its gradient needs to know.
#[derive(Clone, Debug)]
pub enum Activated<B: Backend> {
    /// None.
    Identity,
    /// A rectifier with this output.
    Relu(FloatTensor<B>),
    /// Silu, whose input the gradient computes again.
    Silu,
    /// Gelu, whose input the gradient computes again.
    Gelu,
}

/// What a maximum pooling was, for its gradient.
#[derive(Clone, Debug)]
pub struct MaxPooled<B: Backend> {
    /// What was pooled.
    pub images: FloatTensor<B>,
    /// The largest values.
    pub output: FloatTensor<B>,
    /// Where they were, as the backend wanted to be told.
    pub indices: Option<IntTensor<B>>,
    /// The windows.
    pub options: Pool2dOptions,
}

/// The gradients of a batch normalisation.
#[derive(Clone, Debug)]
pub struct BatchNormGradients<B: Backend> {
    /// By what was normalised.
    pub images: FloatTensor<B>,
    /// By the scale.
    pub weight: FloatTensor<B>,
    /// By the shift.
    pub bias: FloatTensor<B>,
    /// By what was added, where something was.
    pub residual: Option<FloatTensor<B>>,
}

#[cfg(feature = "ndarray")]
impl CnnOps for NdArray {}
#[cfg(feature = "ndarray")]
impl CnnGradients for NdArray {}

#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
impl CnnOps for Cube {}
#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
impl CnnGradients for Cube {}
