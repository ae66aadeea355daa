//! Local response normalisation (Krizhevsky et al. 2012, section 3.3).

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use crate::ops::CnnOps;
use crate::precision::summing;
use crate::profile;

/// The constants of a local response normalisation.
///
/// `alpha` multiplies the *sum* of squares, as in the paper; that of PyTorch and Caffe multiplies
/// their mean, and is `size` times this one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalResponseNorm {
    /// Neighbouring channels that are summed, the channel itself among them (the paper's n).
    pub size: usize,
    /// Of the sum of their squares.
    pub alpha: f64,
    /// The power that a value is divided by.
    pub beta: f64,
    /// What is added to the sum.
    pub k: f64,
}

/// `x / (k + alpha · Σ x'²)^beta`, the sum going over `size` channels around that of `x`.
///
/// # Shapes
///
/// - `images`: `[n, channels, height, width]`
/// - output: as the images
///
/// # Panics
///
/// Where the size is zero.
pub fn local_response_norm(images: Tensor<4>, options: LocalResponseNorm) -> Tensor<4> {
    assert!(options.size > 0, "a normalisation over no channels");
    profile::pass("local_response_norm", || {
        summing(images, |images| {
            Tensor::from_dispatch(Dispatch::local_response_norm_forward(
                images.into_dispatch(),
                options,
            ))
        })
    })
}
