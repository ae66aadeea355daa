//! Scaling with antialiasing.

use std::fmt;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::F32;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use serde::{Deserialize, Serialize};

use super::ensure;
use crate::{Error, Image, Pixels, Result, Size};

const NAME: &str = "resize";
/// Pixels along a side; no network takes more, and a larger number is a mistake that would not fit in memory.
const MOST: usize = 4096;
/// Pixels along the longer side of a long and narrow image.
const LONGEST: usize = 1 << 16;

/// How a pixel follows from those around it; both are stretched when they scale down, against aliasing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// A triangle: Pillow's `BILINEAR`.
    Bilinear,
    /// Catmull-Rom's cubic: Pillow's `BICUBIC`.
    Bicubic,
}

impl fmt::Display for Interpolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bilinear => "bilinear",
            Self::Bicubic => "bicubic",
        })
    }
}

/// The smallest size of the image's shape that covers `height` x `width`, its longer side rounded down as torchvision's
/// `Resize` does.
pub(super) fn output_size(height: usize, width: usize, size: Size) -> Result<Size> {
    for (key, side) in [("height", height), ("width", width)] {
        let fits = (1..=MOST).contains(&side);
        ensure(fits, NAME, key, format_args!("1 to {MOST}"), side)?;
    }
    let to = if height * size.width >= width * size.height {
        Size {
            height,
            width: height * size.width / size.height,
            ..size
        }
    } else {
        Size {
            height: width * size.height / size.width,
            width,
            ..size
        }
    };
    if to.height.max(to.width) > LONGEST {
        return Err(Error::TooNarrow { size, to });
    }
    Ok(to)
}

/// `image` scaled to `to`, channel by channel.
///
/// Bytes stay bytes, rounded where Pillow rounds them: once the rows are scaled, and once the columns are. The crate's own
/// arithmetic of bytes is coarser, and networks see the difference.
pub(super) fn apply(image: &Image, to: Size, interpolation: Interpolation) -> Image {
    let scaled = |values: &[f32], from, to| scaled(values, from, to, interpolation);
    let pixels = match &image.pixels {
        Pixels::U8(bytes) => {
            let across = Size {
                width: to.width,
                ..image.size
            };
            let values: Vec<f32> = bytes.iter().map(|byte| f32::from(*byte)).collect();
            let rows = rounded(scaled(&values, image.size, across));
            let columns = rounded(scaled(&rows, across, to));
            Pixels::U8(columns.into_iter().map(|value| value as u8).collect())
        }
        Pixels::F32(values) => Pixels::F32(scaled(values, image.size, to)),
    };
    Image { size: to, pixels }
}

fn rounded(values: Vec<f32>) -> Vec<f32> {
    let rounded = values
        .into_iter()
        .map(|v| (v + 0.5).floor().clamp(0.0, 255.0));
    rounded.collect()
}

fn scaled(values: &[f32], from: Size, to: Size, interpolation: Interpolation) -> Vec<f32> {
    let filter = match interpolation {
        Interpolation::Bilinear => FilterType::Bilinear,
        Interpolation::Bicubic => FilterType::CatmullRom,
    };
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter));
    let mut resizer = Resizer::new();
    let mut scaled = Vec::with_capacity(to.values());
    for plane in values.chunks_exact(from.plane()) {
        let plane: Vec<F32> = plane.iter().map(|value| F32::new(*value)).collect();
        let source = TypedImageRef::new(from.width as u32, from.height as u32, &plane)
            .expect("a plane has its size");
        let mut target = TypedImage::<F32>::new(to.width as u32, to.height as u32);
        resizer
            .resize_typed(&source, &mut target, &options)
            .expect("no part is cut out");
        scaled.extend(target.pixels().iter().map(|pixel| pixel.0));
    }
    scaled
}
