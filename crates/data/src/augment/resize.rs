//! Scaling with antialiasing.

use std::fmt;

use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::{F32, U8};
use fast_image_resize::{FilterType, ImageView, PixelTrait, ResizeAlg, ResizeOptions, Resizer};
use serde::{Deserialize, Serialize};

use super::crop::cut;
use super::ensure;
use super::window::Window;
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

impl Interpolation {
    /// Pixels that are looked at to each side, where nothing is scaled down.
    pub(super) fn radius(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }
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
    match &image.pixels {
        Pixels::U8(bytes) => sample_window(bytes, image.size, Window::of(part), to, interpolation),
        Pixels::F32(_) => apply(&cut(image, part), to, interpolation),
    }
}

/// A part of what the image becomes when it is scaled to `to`, in the same arithmetic.
pub(crate) fn sample_within(
    image: &Image,
    to: Size,
    part: Part,
    interpolation: Interpolation,
) -> Image {
    match &image.pixels {
        Pixels::U8(bytes) => {
            let window = Window::within(image.size, to, part, interpolation);
            sample_window(bytes, image.size, window, part.size(to), interpolation)
        }
        Pixels::F32(_) => cut(&apply(image, to, interpolation), part),
    }
}

fn sample_window(
    bytes: &[u8],
    size: Size,
    window: Window,
    to: Size,
    interpolation: Interpolation,
) -> Image {
    let planes = bytes.chunks_exact(size.plane());
    let sampled = planes.flat_map(|plane| {
        let pixels = sample_bytes::<U8>(plane, size.width, window, to, interpolation);
        pixels.into_iter().map(|pixel| pixel.0)
    });
    Image {
        size: to,
        pixels: Pixels::U8(sampled.collect()),
    }
}

/// A window of pixels, so many a row, scaled to `to`.
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
    } = window.pixels();
    let [top, left, height, width] = [top, left, height, width].map(|pixels| pixels as u32);
    let part = TypedCroppedImage::from_ref(&image, left, top, width, height);
    let part = part.expect("the window lies in the image");
    let [to_width, to_height] = [to.width, to.height].map(|side| side as u32);
    let options = options(interpolation);
    // Rows first, as Pillow does: a cubic that overshoots is cut off in between.
    let across = options.crop(
        window.columns.start,
        0.0,
        window.columns.length,
        f64::from(height),
    );
    let rows = resized(&part, [to_width, height], &across);
    let rows = TypedImageRef::new(to_width, height, rows.pixels()).expect("rows have their size");
    let down = options.crop(
        0.0,
        window.rows.start,
        f64::from(to_width),
        window.rows.length,
    );
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn waves(size: Size) -> Image {
        let level = |i: usize| {
            (127.5 + 127.0 * ((i % size.width) as f32 / 5.0 + (i / 97) as f32).sin()) as u8
        };
        Image {
            size,
            pixels: Pixels::U8((0..size.values()).map(level).collect()),
        }
    }

    proptest! {
        /// Weights are rounded together, so that those of a part may be others: by a level once the rows are scaled, and
        /// cubic ones, some of which are negative, make two of it.
        #[test]
        fn a_part_of_a_scaled_image_is_computed_by_itself(
            (height, width, to_height, to_width) in (1_usize..90, 1_usize..90, 1_usize..90, 1_usize..90),
            (top, left, bottom, right) in (0.0..1.0, 0.0..1.0, 0.0..1.0, 0.0..1.0),
            interpolation in prop_oneof![Just(Interpolation::Bilinear), Just(Interpolation::Bicubic)],
        ) {
            let (size, to) = (Size::new(2, height, width), Size::new(2, to_height, to_width));
            let range = |from: f64, to: f64, side: usize| {
                let start = (from * side as f64) as usize;
                (start, 1 + (to * (side - start) as f64) as usize)
            };
            let (top, height) = range(top, bottom, to.height);
            let (left, width) = range(left, right, to.width);
            let part = Part { top, left, height: height.min(to.height - top), width: width.min(to.width - left) };
            let image = waves(size);
            let whole = sample(&image, Part::whole(size), to, interpolation);
            let (Pixels::U8(expected), Pixels::U8(found)) =
                (cut(&whole, part).pixels, sample_within(&image, to, part, interpolation).pixels)
            else {
                unreachable!("bytes stay bytes")
            };
            let differences = expected.iter().zip(&found).map(|(a, b)| a.abs_diff(*b));
            prop_assert!(differences.max() <= Some(2), "{part:?} of {to} from {size}");
            prop_assert_eq!(expected.len(), found.len());
        }
    }
}
