//! Images whose channels follow each other.

use rayon::prelude::*;

use super::buffer::Buffer;
use super::layout::{Images, ImagesShape};

/// Values that a thread takes at a time.
const BLOCK: usize = 1 << 14;

/// The channels of both.
pub(crate) fn forward(left: &Images, right: &Images) -> (Buffer, ImagesShape) {
    let shape = ImagesShape {
        channels: left.shape.channels + right.shape.channels,
        ..left.shape
    };
    let mut output = Buffer::new(shape.values());
    let [before, after] = [left.shape.channels, right.shape.channels];
    let pixels = pixels_at_a_time(shape.channels);
    output
        .par_chunks_mut(pixels * shape.channels)
        .enumerate()
        .for_each(|(index, output)| {
            let first = index * pixels;
            for (number, pixel) in output.chunks_exact_mut(shape.channels).enumerate() {
                let number = first + number;
                let (to_left, to_right) = pixel.split_at_mut(before);
                to_left.copy_from_slice(&left.values()[number * before..][..before]);
                to_right.copy_from_slice(&right.values()[number * after..][..after]);
            }
        });
    (output, shape)
}

/// The gradients by both, of which the left has so many channels.
pub(crate) fn gradients(
    output_gradient: &Images,
    left_channels: usize,
) -> [(Buffer, ImagesShape); 2] {
    let all = output_gradient.shape.channels;
    let of = |start: usize, channels: usize| {
        let shape = ImagesShape {
            channels,
            ..output_gradient.shape
        };
        let mut values = Buffer::new(shape.values());
        let pixels = pixels_at_a_time(channels);
        values
            .par_chunks_mut((pixels * channels).max(1))
            .zip(output_gradient.values().par_chunks(pixels * all))
            .for_each(|(to, from)| {
                for (to, from) in to.chunks_exact_mut(channels).zip(from.chunks_exact(all)) {
                    to.copy_from_slice(&from[start..start + channels]);
                }
            });
        (values, shape)
    };
    [of(0, left_channels), of(left_channels, all - left_channels)]
}

fn pixels_at_a_time(channels: usize) -> usize {
    (BLOCK / channels.max(1)).max(1)
}
