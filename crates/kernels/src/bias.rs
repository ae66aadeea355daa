//! A value for each channel, which is added to all of its pixels.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use crate::ops::CnnOps;
use crate::profile;
use crate::{Activation, activate};

/// `images + bias`, activated; [`Activation::Relu`] in the same pass over memory.
///
/// # Shapes
///
/// - `images`: `[n, channels, height, width]`
/// - `bias`: `[channels]`
/// - output: as the images
///
/// # Panics
///
/// Where the shapes do not fit each other.
pub fn add_bias(images: Tensor<4>, bias: Tensor<1>, activation: Activation) -> Tensor<4> {
    let [_, channels, _, _] = images.dims();
    assert_eq!(bias.dims(), [channels], "a value for each channel");
    let bias = bias.cast(images.dtype());
    let rectifies = activation == Activation::Relu;
    let output = profile::pass("add_bias", || {
        Tensor::from_dispatch(Dispatch::add_bias_forward(
            images.into_dispatch(),
            bias.into_dispatch(),
            rectifies,
        ))
    });
    if rectifies {
        output
    } else {
        activate(output, activation)
    }
}
