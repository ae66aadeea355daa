//! Local response normalisation, a pixel at a time.

use rayon::prelude::*;

use super::buffer::Buffer;
use super::dispatch::vectorized;
use super::layout::{Images, ImagesShape};
use crate::LocalResponseNorm;

/// Values that a thread takes at a time.
const BLOCK: usize = 1 << 13;

/// The normalised images.
pub(crate) fn forward(images: &Images, options: LocalResponseNorm) -> Buffer {
    let mut output = Buffer::new(images.shape.values());
    let constants = Constants::new(options);
    for_each_block(images.shape, &mut output, |start, output| {
        let channels = images.shape.channels;
        let input = &images.values()[start..start + output.len()];
        let mut window = Window::new(channels, constants.before, constants.after);
        vectorized(
            #[inline(always)]
            || {
                let pixels = output
                    .chunks_exact_mut(channels)
                    .zip(input.chunks_exact(channels));
                for (output, input) in pixels {
                    window.sum_squares(input);
                    for ((output, value), sum) in output.iter_mut().zip(input).zip(&window.sums) {
                        *output = value * constants.factor(*sum);
                    }
                }
            },
        );
    });
    output
}

/// The gradient by the images.
///
/// With d the divisor before its power: `g d^-beta - 2 alpha beta x Σ g x d^(-beta-1)`, the sum going
/// over the channels whose own sums this one is in.
pub(crate) fn gradient(
    images: &Images,
    output_gradient: &Images,
    options: LocalResponseNorm,
) -> Buffer {
    let mut gradient = Buffer::new(images.shape.values());
    let constants = Constants::new(options);
    for_each_block(images.shape, &mut gradient, |start, to| {
        let channels = images.shape.channels;
        let input = &images.values()[start..start + to.len()];
        let output_gradient = &output_gradient.values()[start..start + to.len()];
        let mut squares = Window::new(channels, constants.before, constants.after);
        let mut products = Window::new(channels, constants.after, constants.before);
        vectorized(
            #[inline(always)]
            || {
                let pixels = to
                    .chunks_exact_mut(channels)
                    .zip(input.chunks_exact(channels))
                    .zip(output_gradient.chunks_exact(channels));
                for ((to, input), gradient) in pixels {
                    squares.sum_squares(input);
                    let inner = products.before..products.before + channels;
                    let values = to
                        .iter_mut()
                        .zip(input)
                        .zip(gradient)
                        .zip(&squares.sums)
                        .zip(&mut products.padded[inner]);
                    for ((((to, value), gradient), sum), product) in values {
                        *to = gradient * constants.factor(*sum);
                        *product = *to * value / (constants.k + constants.alpha * sum);
                    }
                    products.sum();
                    for ((to, value), sum) in to.iter_mut().zip(input).zip(&products.sums) {
                        *to -= constants.slope * value * sum;
                    }
                }
            },
        );
    });
    gradient
}

fn for_each_block(shape: ImagesShape, values: &mut [f32], work: impl Fn(usize, &mut [f32]) + Sync) {
    let block = (BLOCK / shape.channels.max(1)).max(1) * shape.channels.max(1);
    values
        .par_chunks_mut(block)
        .enumerate()
        .for_each(|(index, values)| work(index * block, values));
}

#[derive(Clone, Copy)]
struct Constants {
    alpha: f32,
    beta: f32,
    k: f32,
    /// `2 · alpha · beta`.
    slope: f32,
    /// Neighbours before and after a channel that its sum goes over.
    before: usize,
    after: usize,
}

impl Constants {
    fn new(options: LocalResponseNorm) -> Self {
        let before = options.size / 2;
        Self {
            alpha: options.alpha as f32,
            beta: options.beta as f32,
            k: options.k as f32,
            slope: (2.0 * options.alpha * options.beta) as f32,
            before,
            after: options.size - 1 - before,
        }
    }

    /// `(k + alpha · sum)^-beta`; the papers' 3/4 is two square roots, which vectors have.
    #[inline(always)]
    fn factor(self, sum: f32) -> f32 {
        let divisor = self.k + self.alpha * sum;
        if self.beta == 0.75 {
            let root = divisor.sqrt();
            1.0 / (root * root.sqrt())
        } else {
            divisor.powf(-self.beta)
        }
    }
}

/// A pixel between zeros, and for each channel the sum over its neighbours.
struct Window {
    padded: Vec<f32>,
    sums: Vec<f32>,
    before: usize,
    size: usize,
}

impl Window {
    fn new(channels: usize, before: usize, after: usize) -> Self {
        Self {
            padded: vec![0.0; before + channels + after],
            sums: vec![0.0; channels],
            before,
            size: before + 1 + after,
        }
    }

    #[inline(always)]
    fn sum_squares(&mut self, pixel: &[f32]) {
        let inner = &mut self.padded[self.before..self.before + pixel.len()];
        for (square, value) in inner.iter_mut().zip(pixel) {
            *square = value * value;
        }
        self.sum();
    }

    #[inline(always)]
    fn sum(&mut self) {
        let channels = self.sums.len();
        self.sums.copy_from_slice(&self.padded[..channels]);
        for offset in 1..self.size {
            let values = &self.padded[offset..offset + channels];
            for (sum, value) in self.sums.iter_mut().zip(values) {
                *sum += value;
            }
        }
    }
}
