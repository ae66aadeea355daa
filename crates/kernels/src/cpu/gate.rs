//! Channels that are weighted image by image.

use rayon::prelude::*;

use super::activation::{Activate, Identity, Relu};
use super::buffer::Buffer;
use super::dispatch::vectorized;
use super::layout::Images;

/// Pixels that a thread takes at a time.
const PIXELS: usize = 64;

/// `images · gates + residual`, the residual and the rectifier where wanted.
pub(crate) fn forward(
    images: &Images,
    gates: &[f32],
    residual: Option<&Images>,
    rectifies: bool,
) -> Buffer {
    if rectifies {
        apply::<Relu>(images, gates, residual)
    } else {
        apply::<Identity>(images, gates, residual)
    }
}

fn apply<A: Activate>(images: &Images, gates: &[f32], residual: Option<&Images>) -> Buffer {
    let mut output = Buffer::new(images.shape.values());
    for_each_block(images, &mut output, gates, |start, to, from, gates| {
        let channels = gates.len();
        let residual = residual.map(|residual| &residual.values()[start..start + to.len()]);
        vectorized(
            #[inline(always)]
            || match residual {
                None => {
                    let pixels = to
                        .chunks_exact_mut(channels)
                        .zip(from.chunks_exact(channels));
                    for (to, from) in pixels {
                        for ((to, value), gate) in to.iter_mut().zip(from).zip(gates) {
                            *to = A::of(value * gate);
                        }
                    }
                }
                Some(residual) => {
                    let pixels = to
                        .chunks_exact_mut(channels)
                        .zip(from.chunks_exact(channels))
                        .zip(residual.chunks_exact(channels));
                    for ((to, from), residual) in pixels {
                        let values = to.iter_mut().zip(from).zip(residual).zip(gates);
                        for (((to, value), residual), gate) in values {
                            *to = A::of(value * gate + residual);
                        }
                    }
                }
            },
        );
    });
    output
}

/// The gradients by images and gates, from that behind the rectifier.
pub(crate) fn gradients(images: &Images, gates: &[f32], gradient: &Images) -> (Buffer, Buffer) {
    let of_images = apply::<Identity>(gradient, gates, None);
    let shape = images.shape;
    let mut of_gates = Buffer::zeros(shape.n * shape.channels);
    if of_images.is_empty() {
        return (of_images, of_gates);
    }
    of_gates
        .par_chunks_mut(shape.channels)
        .zip(images.values().par_chunks(shape.image()))
        .zip(gradient.values().par_chunks(shape.image()))
        .for_each(|((sums, images), gradient)| {
            vectorized(
                #[inline(always)]
                || {
                    let pixels = images
                        .chunks_exact(shape.channels)
                        .zip(gradient.chunks_exact(shape.channels));
                    for (image, gradient) in pixels {
                        for ((sum, value), gradient) in sums.iter_mut().zip(image).zip(gradient) {
                            *sum += value * gradient;
                        }
                    }
                },
            );
        });
    (of_images, of_gates)
}

/// Calls `work` with some pixels of an image, their place among all values, and the image's gates.
fn for_each_block(
    images: &Images,
    output: &mut [f32],
    gates: &[f32],
    work: impl Fn(usize, &mut [f32], &[f32], &[f32]) + Sync,
) {
    let shape = images.shape;
    if output.is_empty() {
        return;
    }
    let block = PIXELS * shape.channels;
    output
        .par_chunks_mut(shape.image())
        .zip(images.values().par_chunks(shape.image()))
        .zip(gates.par_chunks(shape.channels))
        .enumerate()
        .for_each(|(index, ((output, images), gates))| {
            output
                .par_chunks_mut(block)
                .zip(images.par_chunks(block))
                .enumerate()
                .for_each(|(number, (output, images))| {
                    work(
                        index * shape.image() + number * block,
                        output,
                        images,
                        gates,
                    );
                });
        });
}
