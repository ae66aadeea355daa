//! Values of fewer digits than parameters have.
//!
//! What flows through a network may be of 16 bits while its parameters are of 32 (Micikevicius et al. 2017, *Mixed Precision
//! Training*, arXiv:1710.03740): an operation computes in the precision of its images, to which it casts its parameters,
//! and in 32 bits where it sums over many values or raises to powers.

use burn::tensor::{DType, FloatDType, Tensor};

/// The precision of sums over values of this one.
pub(crate) fn of_sums(values: DType) -> FloatDType {
    match values {
        DType::F16 | DType::BF16 => FloatDType::F32,
        values => values.into(),
    }
}

/// What `function` makes of `x` in the precision of sums, in that of `x`.
pub(crate) fn summing<const D: usize, const E: usize>(
    x: Tensor<D>,
    function: impl FnOnce(Tensor<D>) -> Tensor<E>,
) -> Tensor<E> {
    let precision = x.dtype();
    function(x.cast(of_sums(precision))).cast(precision)
}
