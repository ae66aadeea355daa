//! Normalisation by the statistics of the training set.

use std::array;

use super::{Transform, ensure};
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

/// A normalisation by itself: the last that is done to an image, and what makes four bytes of one.
#[derive(Debug, Clone, PartialEq)]
pub enum Normalization {
    /// `(value - mean) / std`, as [`Transform::Normalize`].
    PerChannel {
        /// A value a channel.
        mean: Vec<f32>,
        /// A value a channel.
        std: Vec<f32>,
    },
    /// `value - mean`, as [`Transform::SubtractPixelMean`].
    PerPixel {
        /// The mean image, shape `[channels, height, width]`.
        mean: Vec<f32>,
    },
}

impl Normalization {
    pub(super) fn of(transform: &Transform) -> Option<Self> {
        match transform {
            Transform::Normalize { mean, std } => Some(Self::PerChannel {
                mean: mean.clone(),
                std: std.clone(),
            }),
            Transform::SubtractPixelMean { mean } => Some(Self::PerPixel { mean: mean.clone() }),
            _ => None,
        }
    }

    pub(crate) fn apply(&self, image: Image) -> Result<Image> {
        match self {
            Self::PerChannel { mean, std } => apply_channels(image, mean, std),
            Self::PerPixel { mean } => apply_pixels(image, mean),
        }
    }

    /// The values of images of `size`, one after the other, of their bytes.
    pub(crate) fn values(&self, bytes: &[u8], size: Size) -> Vec<f32> {
        match self {
            Self::PerChannel { mean, std } => channel_values(bytes, size, mean, std),
            Self::PerPixel { mean } => {
                let means = mean.iter().cycle();
                bytes
                    .iter()
                    .zip(means)
                    .map(|(&byte, mean)| unit(byte) - mean)
                    .collect()
            }
        }
    }
}

/// `(value - mean) / std`, a mean and a deviation a channel.
pub(super) fn apply_channels(image: Image, mean: &[f32], std: &[f32]) -> Result<Image> {
    let size = image.size;
    check_channels(mean, std, size)?;
    let values = match image.pixels {
        Pixels::U8(bytes) => channel_values(&bytes, size, mean, std),
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

fn channel_values(bytes: &[u8], size: Size, mean: &[f32], std: &[f32]) -> Vec<f32> {
    // A division for each byte that there can be, in place of two for each pixel.
    let tables = mean.iter().zip(std).map(|(mean, std)| -> [f32; 256] {
        array::from_fn(|byte| (unit(byte as u8) - mean) / std)
    });
    let tables: Vec<[f32; 256]> = tables.collect();
    let mut values = Vec::with_capacity(bytes.len());
    for (plane, table) in bytes.chunks_exact(size.plane()).zip(tables.iter().cycle()) {
        values.extend(plane.iter().map(|&byte| table[usize::from(byte)]));
    }
    values
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
