//! Normalisation by the statistics of the training set.

use std::array;

use super::ensure;
use crate::sample::unit;
use crate::{Image, Pixels, Result, Size};

pub(super) fn check_channels(mean: &[f32], std: &[f32], size: Size) -> Result<()> {
    for (key, values) in [("mean", mean), ("std", std)] {
        ensure(
            values.len() == size.channels && values.iter().all(|v| v.is_finite()),
            "normalize",
            key,
            format_args!("{} finite numbers, one a channel", size.channels),
            format_args!("{values:?}"),
        )?;
    }
    ensure(
        std.iter().all(|&v| v > 0.0),
        "normalize",
        "std",
        "more than 0",
        format_args!("{std:?}"),
    )
}

pub(super) fn check_pixels(mean: &[f32], size: Size) -> Result<()> {
    ensure(
        mean.len() == size.values() && mean.iter().all(|v| v.is_finite()),
        "subtract_pixel_mean",
        "mean",
        format_args!("{} finite numbers, one a value of {size}", size.values()),
        format_args!("{} numbers", mean.len()),
    )
}

/// `(value - mean) / std`, a mean and a deviation a channel.
pub(super) fn apply_channels(image: Image, mean: &[f32], std: &[f32]) -> Result<Image> {
    let size = image.size;
    check_channels(mean, std, size)?;
    let values = match image.pixels {
        Pixels::U8(bytes) => {
            let mut values = Vec::with_capacity(bytes.len());
            for ((plane, mean), std) in bytes.chunks_exact(size.plane()).zip(mean).zip(std) {
                // A division for each byte that there can be, in place of two for each pixel.
                let normalized: [f32; 256] = array::from_fn(|byte| (unit(byte as u8) - mean) / std);
                values.extend(plane.iter().map(|&byte| normalized[usize::from(byte)]));
            }
            values
        }
        Pixels::F32(mut values) => {
            for ((plane, mean), std) in values.chunks_exact_mut(size.plane()).zip(mean).zip(std) {
                plane
                    .iter_mut()
                    .for_each(|value| *value = (*value - mean) / std);
            }
            values
        }
    };
    Ok(Image {
        size,
        pixels: Pixels::F32(values),
    })
}

/// `value - mean`, a mean a value.
pub(super) fn apply_pixels(image: Image, mean: &[f32]) -> Result<Image> {
    let size = image.size;
    check_pixels(mean, size)?;
    let mut values = image.into_f32();
    for (value, mean) in values.iter_mut().zip(mean) {
        *value -= mean;
    }
    Ok(Image {
        size,
        pixels: Pixels::F32(values),
    })
}
