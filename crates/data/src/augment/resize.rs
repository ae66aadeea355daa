//! Scaling with antialiasing.

use std::fmt;

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{F32, U8};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};
use serde::{Deserialize, Serialize};

use super::crop::cut;
use super::ensure;
use crate::{Error, Image, Part, Pixels, Result, Size};

const NAME: &str = "resize";
/// Pixels along a side; no network takes more, and a larger number is a mistake that would not fit in memory.
const MOST: usize = 4096;
/// Pixels along the longer side of a long and narrow image, which a JPEG file can have.
const LONGEST: usize = u16::MAX as usize;

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

pub(super) fn check_side(transform: &'static str, key: &'static str, side: usize) -> Result<()> {
    let fits = (1..=MOST).contains(&side);
    ensure(fits, transform, key, format_args!("1 to {MOST}"), side)
}

/// The smallest size of the image's shape that covers `height` x `width`, its longer side rounded down as torchvision's
/// `Resize` does.
pub(crate) fn output_size(height: usize, width: usize, size: Size) -> Result<Size> {
    for (key, side) in [("height", height), ("width", width)] {
        check_side(NAME, key, side)?;
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
pub(crate) fn apply(image: &Image, to: Size, interpolation: Interpolation) -> Image {
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

/// A part of the image scaled to `to`, bytes in the arithmetic of bytes: a level from [`apply`] here and there, at a third of
/// its time.
pub(crate) fn sample(image: &Image, part: Part, to: Size, interpolation: Interpolation) -> Image {
    let Pixels::U8(bytes) = &image.pixels else {
        return apply(&cut(image, part), to, interpolation);
    };
    let planes = bytes.chunks_exact(image.size.plane());
    let sampled = planes.flat_map(|plane| {
        let pixels = sample_bytes::<U8>(plane, image.size.width, part, to, interpolation);
        pixels.into_iter().map(|pixel| pixel.0)
    });
    Image {
        size: to,
        pixels: Pixels::U8(sampled.collect()),
    }
}

/// The same of the bytes of pixels, so many a row.
pub(crate) fn sample_bytes<P: PixelTrait>(
    bytes: &[u8],
    columns: usize,
    part: Part,
    to: Size,
    interpolation: Interpolation,
) -> Vec<P> {
    let pixel = size_of::<P>();
    let rows = bytes
        .chunks_exact(columns * pixel)
        .skip(part.top)
        .take(part.height);
    let columns = part.left * pixel..(part.left + part.width) * pixel;
    // A row at a time: a byte at a time takes longer than the scaling.
    let mut part_bytes = Vec::with_capacity(part.height * part.width * pixel);
    for row in rows {
        part_bytes.extend_from_slice(&row[columns.clone()]);
    }
    let [width, height, to_width, to_height] =
        [part.width, part.height, to.width, to.height].map(|side| side as u32);
    let whole = TypedImageRef::<P>::from_buffer(width, height, &part_bytes);
    let whole = whole.expect("a part has its size");
    let options = options(interpolation);
    // Rows first, as Pillow does: a cubic that overshoots is cut off in between.
    let rows = resized(&whole, [to_width, height], &options);
    let rows = TypedImageRef::new(to_width, height, rows.pixels()).expect("rows have their size");
    resized(&rows, [to_width, to_height], &options)
        .pixels()
        .to_vec()
}

fn resized<P: PixelTrait>(
    source: &TypedImageRef<'_, P>,
    [width, height]: [u32; 2],
    options: &ResizeOptions,
) -> TypedImage<'static, P> {
    let mut target = TypedImage::new(width, height);
    Resizer::new()
        .resize_typed(source, &mut target, options)
        .expect("no part is cut out");
    target
}

fn options(interpolation: Interpolation) -> ResizeOptions {
    let filter = match interpolation {
        Interpolation::Bilinear => FilterType::Bilinear,
        Interpolation::Bicubic => FilterType::CatmullRom,
    };
    ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter))
}

fn rounded(values: Vec<f32>) -> Vec<f32> {
    let rounded = values
        .into_iter()
        .map(|v| (v + 0.5).floor().clamp(0.0, 255.0));
    rounded.collect()
}

fn scaled(values: &[f32], from: Size, to: Size, interpolation: Interpolation) -> Vec<f32> {
    let options = options(interpolation);
    let mut scaled = Vec::with_capacity(to.values());
    for plane in values.chunks_exact(from.plane()) {
        let plane: Vec<F32> = plane.iter().map(|value| F32::new(*value)).collect();
        let source = TypedImageRef::new(from.width as u32, from.height as u32, &plane)
            .expect("a plane has its size");
        let target = resized(&source, [to.width as u32, to.height as u32], &options);
        scaled.extend(target.pixels().iter().map(|pixel| pixel.0));
    }
    scaled
}
