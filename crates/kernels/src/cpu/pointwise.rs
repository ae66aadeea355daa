//! 1x1 convolution at stride 1: one product of all pixels with the weight.

use rayon::prelude::*;

use super::buffer::Buffer;
use super::layout::{Images, ImagesShape};
use super::product::{Panels, multiply};
use super::weight::{Weight, WeightShape};
use crate::Conv2dOptions;

/// Values of a block of pixels, which stay in the second cache.
const BLOCK: usize = 1 << 15;
/// Pixels of a block are a multiple of this, the rows of accumulators.
const STEP: usize = 84;

/// Whether this is such a convolution.
pub(crate) fn fits(shape: WeightShape, options: Conv2dOptions) -> bool {
    shape.kernel == [1, 1]
        && options.stride == [1, 1]
        && options.padding == [0, 0]
        && options.groups == 1
}

/// The convolution of `images` with `weight`.
pub(crate) fn forward(images: &Images, weight: &Weight) -> Buffer {
    let taps = weight.shape.every_tap(|_, _| 0);
    multiply_pixels(images, &weight.panels(&taps, 1)[0], weight.shape.filters)
}

/// The gradient by images.
pub(crate) fn images_gradient(output_gradient: &Images, weight: &Weight) -> Buffer {
    let taps = weight.shape.every_tap(|_, _| 0);
    let panels = &weight.transposed_panels(&taps, 1)[0];
    multiply_pixels(output_gradient, panels, weight.shape.channels)
}

/// Every pixel times the matrix.
fn multiply_pixels(images: &Images, matrix: &Panels, columns: usize) -> Buffer {
    let depth = images.shape.channels;
    let shape = ImagesShape {
        channels: columns,
        ..images.shape
    };
    let mut output = Buffer::new(shape.values());
    let pixels = (BLOCK / depth.max(1)).max(STEP) / STEP * STEP;
    if shape.values() > 0 {
        output
            .par_chunks_mut(pixels * columns)
            .zip(images.values().par_chunks(pixels * depth))
            .for_each(|(to, from)| multiply(from, to, matrix));
    }
    output
}
