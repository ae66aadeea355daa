//! The list of operations, with portable bodies.

#![cfg_attr(
    feature = "ndarray",
    expect(deprecated, reason = "Burn 0.22 is the last to have this backend")
)]

#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
use burn::backend::Cube;
#[cfg(feature = "ndarray")]
use burn::backend::NdArray;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, backend_extension};

use crate::Conv2dOptions;

/// The operations of a convolutional network that Kiln computes itself.
///
/// A backend that is not listed here panics when one is called.
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
        Self::conv2d(images, weight, None, options.into())
    }

    /// The gradient of a convolution by its images, which are given for their shape.
    fn conv2d_images_gradient(
        images: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
        options: Conv2dOptions,
    ) -> FloatTensor<Self> {
        Self::conv2d_x_backward(images, weight, output_gradient, options.into())
    }

    /// The gradient of a convolution by its weight, which is given for its shape.
    fn conv2d_weight_gradient(
        images: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
        options: Conv2dOptions,
    ) -> FloatTensor<Self> {
        Self::conv2d_weight_backward(images, weight, output_gradient, options.into())
    }

    /// Batch normalisation by the batch's statistics: the output, the mean and the biased variance.
    fn batch_norm_forward(
        images: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let normalized = Self::batch_norm_train(images, weight, bias, epsilon);
        (normalized.output, normalized.mean, normalized.variance)
    }

    /// The gradients of batch normalisation by images, weight and bias, from the statistics that
    /// [`batch_norm_forward`](Self::batch_norm_forward) returned.
    fn batch_norm_gradient(
        images: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        output_gradient: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let gradient = Self::batch_norm_train_backward(
            images,
            weight,
            mean,
            variance,
            epsilon,
            output_gradient,
        );
        (gradient.x_grad, gradient.gamma_grad, gradient.beta_grad)
    }
}

impl CnnOps for Flex {}

#[cfg(feature = "ndarray")]
impl CnnOps for NdArray {}

#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
impl CnnOps for Cube {}
