//! The parameter-free shortcut of residual networks: every so many pixels, between zero channels.

use rayon::prelude::*;

use super::buffer::Buffer;
use super::layout::{Images, ImagesShape};
use crate::IdentityShortcut;

/// Every `stride`th pixel along both axes, with zero channels on both sides.
pub(crate) fn forward(images: &Images, shortcut: IdentityShortcut) -> (Buffer, ImagesShape) {
    let from = images.shape;
    let to = ImagesShape {
        n: from.n,
        channels: from.channels + shortcut.before + shortcut.after,
        height: from.height.div_ceil(shortcut.stride),
        width: from.width.div_ceil(shortcut.stride),
    };
    let mut output = Buffer::new(to.values());
    for_each_line(&mut output, to, |line, pixels| {
        let source = source_line(line, to, from, shortcut.stride);
        for (x, pixel) in pixels.chunks_exact_mut(to.channels).enumerate() {
            let start = (source + x * shortcut.stride) * from.channels;
            let (before, rest) = pixel.split_at_mut(shortcut.before);
            let (values, after) = rest.split_at_mut(from.channels);
            before.fill(0.0);
            values.copy_from_slice(&images.values()[start..start + from.channels]);
            after.fill(0.0);
        }
    });
    (output, to)
}

/// The gradient by images of shape `to`.
pub(crate) fn gradient(
    output_gradient: &Images,
    to: ImagesShape,
    shortcut: IdentityShortcut,
) -> Buffer {
    let from = output_gradient.shape;
    let mut gradient = Buffer::new(to.values());
    for_each_line(&mut gradient, to, |line, pixels| {
        let (image, y) = (line / to.height, line % to.height);
        if y % shortcut.stride != 0 {
            pixels.fill(0.0);
            return;
        }
        let source = (image * from.height + y / shortcut.stride) * from.width;
        for (x, pixel) in pixels.chunks_exact_mut(to.channels).enumerate() {
            if x % shortcut.stride == 0 {
                let pixel_before = (source + x / shortcut.stride) * from.channels;
                let start = pixel_before + shortcut.before;
                pixel.copy_from_slice(&output_gradient.values()[start..start + to.channels]);
            } else {
                pixel.fill(0.0);
            }
        }
    });
    gradient
}

/// The pixel of the images at which the source of an output line begins.
fn source_line(line: usize, to: ImagesShape, from: ImagesShape, stride: usize) -> usize {
    let (image, y) = (line / to.height, line % to.height);
    (image * from.height + y * stride) * from.width
}

fn for_each_line(values: &mut [f32], shape: ImagesShape, work: impl Fn(usize, &mut [f32]) + Sync) {
    let line = shape.width * shape.channels;
    if line > 0 {
        values
            .par_chunks_mut(line)
            .enumerate()
            .with_min_len(16)
            .for_each(|(index, values)| work(index, values));
    }
}
