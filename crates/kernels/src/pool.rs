//! Pooling.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use crate::ops::CnnOps;

/// The mean of each channel over all pixels (Lin et al. 2013, arXiv:1312.4400, section 3.2).
///
/// # Shapes
///
/// - `images`: `[n, channels, height, width]`
/// - output: `[n, channels]`
pub fn global_average(images: Tensor<4>) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::global_average_forward(images.into_dispatch()))
}
