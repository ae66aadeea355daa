//! Every operation from Burn's own primitives, for the backends and types that have no better.

use burn::backend::Backend;
use burn::backend::tensor::FloatTensor;
use burn::tensor::Shape;

use crate::Conv2dOptions;
use crate::ops::{BatchNormGradients, Normalization, Residual};

pub(crate) fn conv2d_forward<B: Backend>(
    images: FloatTensor<B>,
    weight: FloatTensor<B>,
    options: Conv2dOptions,
) -> FloatTensor<B> {
    B::conv2d(images, weight, None, options.into())
}

pub(crate) fn conv2d_gradients<B: Backend>(
    images: FloatTensor<B>,
    weight: FloatTensor<B>,
    output_gradient: FloatTensor<B>,
    options: Conv2dOptions,
    wants_images: bool,
) -> (Option<FloatTensor<B>>, FloatTensor<B>) {
    let of_images = wants_images.then(|| {
        B::conv2d_x_backward(
            images.clone(),
            weight.clone(),
            output_gradient.clone(),
            options.into(),
        )
    });
    let of_weight = B::conv2d_weight_backward(images, weight, output_gradient, options.into());
    (of_images, of_weight)
}

pub(crate) fn batch_norm_forward<B: Backend>(
    images: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: FloatTensor<B>,
    residual: Residual<B>,
    epsilon: f64,
    rectifies: bool,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let normalized = B::batch_norm_train(images, weight, bias, epsilon);
    let output = finish::<B>(normalized.output, residual, rectifies);
    (output, normalized.mean, normalized.variance)
}

pub(crate) fn affine_forward<B: Backend>(
    images: FloatTensor<B>,
    scale: FloatTensor<B>,
    shift: FloatTensor<B>,
    residual: Residual<B>,
    rectifies: bool,
) -> FloatTensor<B> {
    let scaled = B::float_mul(images, per_channel::<B>(scale));
    let shifted = B::float_add(scaled, per_channel::<B>(shift));
    finish::<B>(shifted, residual, rectifies)
}

fn per_channel<B: Backend>(values: FloatTensor<B>) -> FloatTensor<B> {
    let channels = burn::backend::TensorMetadata::shape(&values).num_elements();
    B::float_reshape(values, Shape::from([1, channels, 1, 1]))
}

fn finish<B: Backend>(
    images: FloatTensor<B>,
    residual: Residual<B>,
    rectifies: bool,
) -> FloatTensor<B> {
    let sum = match residual.into_option() {
        Some(residual) => B::float_add(images, residual),
        None => images,
    };
    if rectifies { B::relu(sum) } else { sum }
}

pub(crate) fn batch_norm_gradients<B: Backend>(
    normalization: Normalization<B>,
    output_gradient: FloatTensor<B>,
) -> BatchNormGradients<B> {
    let gradient = match normalization.rectified {
        Some(output) => B::relu_backward(output, output_gradient),
        None => output_gradient,
    };
    let residual = normalization.has_residual.then(|| gradient.clone());
    let gradients = B::batch_norm_train_backward(
        normalization.images,
        normalization.weight,
        normalization.mean,
        normalization.variance,
        normalization.epsilon,
        gradient,
    );
    BatchNormGradients {
        images: gradients.x_grad,
        weight: gradients.gamma_grad,
        bias: gradients.beta_grad,
        residual,
    }
}

pub(crate) fn add_images<B: Backend>(
    left: FloatTensor<B>,
    right: FloatTensor<B>,
) -> FloatTensor<B> {
    B::float_add(left, right)
}
