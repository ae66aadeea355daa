//! 1x1 convolution at stride 1: one product of all pixels with the weight.

use super::buffer::Buffer;
use super::layout::{Images, ImagesShape};
use super::product::{Panels, multiply_in_parallel};
use super::weight::{Weight, WeightShape};
use crate::Conv2dOptions;

/// Whether this is such a convolution.
pub(crate) fn fits(shape: WeightShape, options: Conv2dOptions) -> bool {
    shape.kernel == [1, 1]
        && options.stride == [1, 1]
        && options.padding == [0, 0]
        && options.groups == 1
}

/// The convolution of `images` with `weight`.
pub(crate) fn forward(images: &Images, weight: &Weight) -> Buffer {
    multiply_pixels(images, &weight.all_panels(1)[0], weight.shape.filters)
}

/// The gradient by images.
pub(crate) fn images_gradient(output_gradient: &Images, weight: &Weight) -> Buffer {
    let taps = weight.shape.every_tap(|_, _| 0);
    let panels = &weight.transposed_panels(&taps, 1)[0];
    multiply_pixels(output_gradient, panels, weight.shape.channels)
}

/// Every pixel times the matrix.
fn multiply_pixels(images: &Images, matrix: &Panels, columns: usize) -> Buffer {
    let shape = ImagesShape {
        channels: columns,
        ..images.shape
    };
    let mut output = Buffer::new(shape.values());
    multiply_in_parallel(images.values(), &mut output, matrix);
    output
}
