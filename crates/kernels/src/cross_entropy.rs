//! The loss of a classifier.

use burn::backend::Dispatch;
use burn::tensor::{Int, Tensor};

use crate::ops::CnnOps;
use crate::precision::of_sums;
use crate::profile;

/// The mean cross-entropy of scores and labels, as PyTorch's `cross_entropy(label_smoothing=..)`.
///
/// A share `smoothing` of each target is spread evenly over all classes (Szegedy et al. 2016,
/// arXiv:1512.00567, section 7).
///
/// # Shapes
///
/// - `logits`: `[n, classes]`
/// - `labels`: `[n]`, below `classes`
/// - output: `[1]`, of 32 bits at least
///
/// # Panics
///
/// Where the shapes do not fit each other.
pub fn cross_entropy(logits: Tensor<2>, labels: Tensor<1, Int>, smoothing: f64) -> Tensor<1> {
    let [n, _] = logits.dims();
    assert_eq!(labels.dims(), [n], "a label for each image");
    let precision = of_sums(logits.dtype());
    let logits = logits.cast(precision);
    profile::pass("cross_entropy", || {
        Tensor::from_dispatch(Dispatch::cross_entropy_forward(
            logits.into_dispatch(),
            labels.into_dispatch(),
            smoothing,
        ))
    })
}
