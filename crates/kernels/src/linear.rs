//! The fully connected layer.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use crate::ops::CnnOps;
use crate::profile;

/// `features · weightᵀ + bias`.
///
/// # Shapes
///
/// - `features`: `[n, inputs]`
/// - `weight`: `[outputs, inputs]`, PyTorch's layout
/// - `bias`: `[outputs]`
/// - output: `[n, outputs]`
///
/// # Panics
///
/// Where the shapes do not fit each other.
pub fn linear(features: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    let ([_, found], [outputs, inputs]) = (features.dims(), weight.dims());
    assert_eq!(found, inputs, "features for each input");
    assert_eq!(bias.dims(), [outputs], "a bias for each output");
    let (weight, bias) = (weight.cast(features.dtype()), bias.cast(features.dtype()));
    let passes = 1 + u64::from(features.is_tracked()) + u64::from(weight.is_tracked());
    let multiply_adds =
        move |output: &Tensor<2>| passes * (output.shape().num_elements() * inputs) as u64;
    profile::product("linear", multiply_adds, || {
        Tensor::from_dispatch(Dispatch::linear_forward(
            features.into_dispatch(),
            weight.into_dispatch(),
            bias.into_dispatch(),
        ))
    })
}
