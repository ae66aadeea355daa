//! Crops: random ones of a padded image, and the middle.

use rand::{Rng, RngExt};

use super::resize::check_side;
use super::{Choice, Padding, PaddingMode, ensure};
use crate::{Error, Image, Part, Pixels, Result, Size};

const NAME: &str = "random_crop";
/// Values beyond any image that is trained on: a larger one is a mistake, and would not fit in memory.
const MOST: usize = 4096;

pub(super) fn output_size(
    side: usize,
    padding: usize,
    mode: PaddingMode,
    size: Size,
) -> Result<Size> {
    check_side(NAME, "size", side)?;
    check_padding(NAME, padding)?;
    if mode == PaddingMode::Reflect {
        check_reflection(NAME, padding, size)?;
    }
    if side > size.height + 2 * padding || side > size.width + 2 * padding {
        return Err(Error::CropTooLarge {
            crop: side,
            padding,
            size,
        });
    }
    Ok(Size::new(size.channels, side, side))
}

pub(crate) fn check_padding(transform: &'static str, padding: usize) -> Result<()> {
    let fits = padding <= MOST;
    ensure(
        fits,
        transform,
        "padding",
        format_args!("0 to {MOST}"),
        padding,
    )
}

/// A reflection has as many pixels as the image beside the edge.
pub(crate) fn check_reflection(transform: &'static str, padding: usize, size: Size) -> Result<()> {
    let side = size.height.min(size.width);
    ensure(
        padding < side,
        transform,
        "padding",
        format_args!("below {side}, the image's side, to reflect it"),
        padding,
    )
}

/// A place in the padded image, all equally likely; row and column are drawn in this order.
pub(super) fn choose(side: usize, padding: usize, size: Size, rng: &mut impl Rng) -> Choice {
    let mut start = |length: usize| {
        let padded = length.saturating_add(padding.saturating_mul(2));
        rng.random_range(0..=padded.saturating_sub(side))
    };
    Choice::Crop {
        top: start(size.height),
        left: start(size.width),
    }
}

/// The part of size `to` that starts at row `top` and column `left` of the padded image.
pub(crate) fn apply(image: &Image, to: Size, padding: Padding, top: usize, left: usize) -> Image {
    let pixels = match &image.pixels {
        Pixels::U8(bytes) => Pixels::U8(copy(bytes, image.size, to, padding, top, left)),
        Pixels::F32(values) => Pixels::F32(copy(values, image.size, to, padding, top, left)),
    };
    Image { size: to, pixels }
}

/// The square of `side` at row `top` and column `left`.
pub(super) const fn square(side: usize, top: usize, left: usize) -> Part {
    Part {
        top,
        left,
        height: side,
        width: side,
    }
}

/// A part of the image.
pub(crate) fn cut(image: &Image, part: Part) -> Image {
    let none = Padding {
        pixels: 0,
        mode: PaddingMode::Constant,
    };
    apply(image, part.size(image.size), none, part.top, part.left)
}

pub(super) fn middle_size(height: usize, width: usize, size: Size) -> Result<Size> {
    let to = Size {
        height,
        width,
        ..size
    };
    if height == 0 || width == 0 || height > size.height || width > size.width {
        return Err(Error::NoMiddle { size, to });
    }
    Ok(to)
}

/// The middle of size `to` of an image of `size`.
pub(super) fn middle(size: Size, to: Size) -> Part {
    Part {
        top: half(size.height - to.height),
        left: half(size.width - to.width),
        height: to.height,
        width: to.width,
    }
}

/// Half of `number`, rounded to the even neighbour as Python's `round` does, by which torchvision places the middle.
pub(crate) fn half(number: usize) -> usize {
    let down = number / 2;
    down + number % 2 * (down % 2)
}

fn copy<T: Copy + Default>(
    pixels: &[T],
    from: Size,
    to: Size,
    padding: Padding,
    top: usize,
    left: usize,
) -> Vec<T> {
    match padding.mode {
        PaddingMode::Constant => copy_within_zeros(pixels, from, to, padding.pixels, top, left),
        PaddingMode::Reflect => copy_reflected(pixels, from, to, padding.pixels, [top, left]),
    }
}

fn copy_reflected<T: Copy>(
    pixels: &[T],
    from: Size,
    to: Size,
    padding: usize,
    [top, left]: [usize; 2],
) -> Vec<T> {
    let rows = (top..top + to.height).map(|row| reflected(row, padding, from.height));
    let columns = (left..left + to.width).map(|column| reflected(column, padding, from.width));
    let columns: Vec<usize> = columns.collect();
    let planes = pixels.chunks_exact(from.plane());
    let lines = planes.flat_map(|plane| {
        rows.clone()
            .map(|row| &plane[row * from.width..(row + 1) * from.width])
    });
    lines
        .flat_map(|line| columns.iter().map(|column| line[*column]))
        .collect()
}

/// The place in a row of `length` that a place in the padded row shows.
fn reflected(padded: usize, padding: usize, length: usize) -> usize {
    let distance = padded.abs_diff(padding); // Before the first pixel, the row goes back.
    if padded < padding || distance < length {
        distance
    } else {
        2 * (length - 1) - distance
    }
}

fn copy_within_zeros<T: Copy + Default>(
    pixels: &[T],
    from: Size,
    to: Size,
    padding: usize,
    top: usize,
    left: usize,
) -> Vec<T> {
    let mut cropped = vec![T::default(); to.values()];
    // Columns `skipped..skipped + copied` of the crop lie in the image, from its column `first` on.
    let skipped = padding.saturating_sub(left).min(to.width);
    let first = left.saturating_sub(padding).min(from.width);
    let copied = (to.width - skipped).min(from.width - first);

    for (channel, plane) in cropped.chunks_exact_mut(to.plane()).enumerate() {
        for (row, line) in plane.chunks_exact_mut(to.width).enumerate() {
            let Some(source_row) = (top + row)
                .checked_sub(padding)
                .filter(|&y| y < from.height)
            else {
                continue;
            };
            let start = (channel * from.height + source_row) * from.width + first;
            line[skipped..skipped + copied].copy_from_slice(&pixels[start..start + copied]);
        }
    }
    cropped
}
