//! Scaling with antialiasing.

use std::fmt;

use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::{F32, U8};
use fast_image_resize::{FilterType, ImageView, PixelTrait, ResizeAlg, ResizeOptions, Resizer};
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
    let options = options(interpolation);
    let scaled = |plane: &[F32], from: [usize; 2], to: [usize; 2]| {
        let source = TypedImageRef::new(from[0] as u32, from[1] as u32, plane);
        let source = source.expect("a plane has its size");
        resized(&source, to.map(|side| side as u32), &options)
    };
    let [from, across, down] = [
        [image.size.width, image.size.height],
        [to.width, image.size.height],
        [to.width, to.height],
    ];
    let pixels = match &image.pixels {
        Pixels::U8(bytes) => {
            let mut columns = Vec::with_capacity(to.values());
            for plane in bytes.chunks_exact(image.size.plane()) {
                let plane: Vec<F32> = plane.iter().copied().map(number).collect();
                let rows = scaled(&plane, from, across);
                let rows: Vec<F32> = rows
                    .pixels()
                    .iter()
                    .copied()
                    .map(byte)
                    .map(number)
                    .collect();
                columns.extend(
                    scaled(&rows, across, down)
                        .pixels()
                        .iter()
                        .copied()
                        .map(byte),
                );
            }
            Pixels::U8(columns)
        }
        Pixels::F32(values) => {
            let mut pixels = Vec::with_capacity(to.values());
            for plane in values.chunks_exact(image.size.plane()) {
                let plane: Vec<F32> = plane.iter().copied().map(F32::new).collect();
                pixels.extend(
                    scaled(&plane, from, down)
                        .pixels()
                        .iter()
                        .map(|pixel| pixel.0),
                );
            }
            Pixels::F32(pixels)
        }
    };
    Image { size: to, pixels }
}

fn number(byte: u8) -> F32 {
    F32::new(f32::from(byte))
}

/// Half up, as Pillow does; what lies outside becomes the nearest byte.
fn byte(number: F32) -> u8 {
    (number.0 + 0.5) as u8
}

/// A part of the image scaled to `to`, bytes in the arithmetic of bytes: a level from [`apply`] here and there, at a third of
/// its time.
pub(crate) fn sample(image: &Image, part: Part, to: Size, interpolation: Interpolation) -> Image {
    let Pixels::U8(bytes) = &image.pixels else {
        return apply(&cut(image, part), to, interpolation);
    };
    let planes = bytes.chunks_exact(image.size.plane());
    let sampled = planes.flat_map(|plane| {
        let part = Window::of(part, 1);
        let pixels = sample_bytes::<U8>(plane, image.size.width, part, to, interpolation);
        pixels.into_iter().map(|pixel| pixel.0)
    });
    Image {
        size: to,
        pixels: Pixels::U8(sampled.collect()),
    }
}

/// A part of an image, whose edges may lie within pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Window {
    /// The pixels that it touches.
    pixels: Part,
    top: f64,
    left: f64,
    height: f64,
    width: f64,
}

impl Window {
    /// Where a part is in the image whose sides are divided by `shrink`, a power of two, so that nothing is rounded.
    pub fn of(part: Part, shrink: usize) -> Self {
        let shrunk = |side: usize| side as f64 / shrink as f64;
        let touched = |start: usize, length: usize| {
            let first = start / shrink;
            (first, (start + length).div_ceil(shrink) - first)
        };
        let (top, height) = touched(part.top, part.height);
        let (left, width) = touched(part.left, part.width);
        Self {
            pixels: Part {
                top,
                left,
                height,
                width,
            },
            top: shrunk(part.top) - top as f64,
            left: shrunk(part.left) - left as f64,
            height: shrunk(part.height),
            width: shrunk(part.width),
        }
    }
}

/// The same of the bytes of pixels, so many a row.
pub(crate) fn sample_bytes<P: PixelTrait>(
    bytes: &[u8],
    columns: usize,
    window: Window,
    to: Size,
    interpolation: Interpolation,
) -> Vec<P> {
    let rows = bytes.len() / (columns * size_of::<P>());
    let image = TypedImageRef::<P>::from_buffer(columns as u32, rows as u32, bytes);
    let image = image.expect("rows have their columns");
    let Part {
        top,
        left,
        height,
        width,
    } = window.pixels;
    let [top, left, height, width] = [top, left, height, width].map(|pixels| pixels as u32);
    let part = TypedCroppedImage::from_ref(&image, left, top, width, height);
    let part = part.expect("the window lies in the image");
    let [to_width, to_height] = [to.width, to.height].map(|side| side as u32);
    let options = options(interpolation);
    // Rows first, as Pillow does: a cubic that overshoots is cut off in between.
    let across = options.crop(window.left, 0.0, window.width, f64::from(height));
    let rows = resized(&part, [to_width, height], &across);
    let rows = TypedImageRef::new(to_width, height, rows.pixels()).expect("rows have their size");
    let down = options.crop(0.0, window.top, f64::from(to_width), window.height);
    resized(&rows, [to_width, to_height], &down)
        .pixels()
        .to_vec()
}

fn resized<P: PixelTrait>(
    source: &impl ImageView<Pixel = P>,
    [width, height]: [u32; 2],
    options: &ResizeOptions,
) -> TypedImage<'static, P> {
    let mut target = TypedImage::new(width, height);
    Resizer::new()
        .resize_typed(source, &mut target, options)
        .expect("a window lies in its pixels");
    target
}

fn options(interpolation: Interpolation) -> ResizeOptions {
    let filter = match interpolation {
        Interpolation::Bilinear => FilterType::Bilinear,
        Interpolation::Bicubic => FilterType::CatmullRom,
    };
    ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter))
}
