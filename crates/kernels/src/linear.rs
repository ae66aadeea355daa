//! The fully connected layer.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use crate::ops::CnnOps;

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
    Tensor::from_dispatch(Dispatch::linear_forward(
        features.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
    ))
}
