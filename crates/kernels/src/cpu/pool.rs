//! Pooling.

use rayon::prelude::*;

use super::buffer::Buffer;
use super::layout::{Images, ImagesShape};
use super::vectorized::vectorized;

/// The mean of each channel, `[n, channels]`.
pub(crate) fn global_average(images: &Images) -> Buffer {
    let shape = images.shape;
    let mut means = Buffer::zeros(shape.n * shape.channels);
    let factor = 1.0 / shape.pixels() as f32;
    if shape.image() == 0 {
        return means;
    }
    means
        .par_chunks_mut(shape.channels)
        .zip(images.values().par_chunks(shape.image()))
        .for_each(|(means, image)| {
            vectorized(
                #[inline(always)]
                || {
                    for pixel in image.chunks_exact(means.len()) {
                        for (mean, value) in means.iter_mut().zip(pixel) {
                            *mean += value;
                        }
                    }
                    for mean in &mut *means {
                        *mean *= factor;
                    }
                },
            );
        });
    means
}

/// The gradient of [`global_average`] by images of this shape.
pub(crate) fn global_average_gradient(output_gradient: &[f32], shape: ImagesShape) -> Buffer {
    let mut gradient = Buffer::new(shape.values());
    let factor = 1.0 / shape.pixels() as f32;
    if shape.image() == 0 {
        return gradient;
    }
    gradient
        .par_chunks_mut(shape.image())
        .zip(output_gradient.par_chunks(shape.channels))
        .for_each(|(image, means)| {
            vectorized(
                #[inline(always)]
                || {
                    for pixel in image.chunks_exact_mut(means.len()) {
                        for (value, mean) in pixel.iter_mut().zip(means) {
                            *value = mean * factor;
                        }
                    }
                },
            );
        });
    gradient
}
