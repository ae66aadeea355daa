//! A part of random area and shape.

use rand::{Rng, RngExt};

use super::resize::check_side;
use super::{Choice, ensure};
use crate::{Part, Result, Size};

pub(super) const NAME: &str = "random_resized_crop";
/// Draws that may fail to fit before the part is the middle.
const DRAWS: usize = 10;

pub(super) fn output_size(
    side: usize,
    scale: [f32; 2],
    ratio: [f32; 2],
    size: Size,
) -> Result<Size> {
    check_side(NAME, "size", side)?;
    check_range(NAME, "scale", scale, 1.0)?;
    check_range(NAME, "ratio", ratio, f32::MAX)?;
    Ok(Size::new(size.channels, side, side))
}

/// Two numbers above 0, up to `most`, the larger one last.
pub(super) fn check_range(
    transform: &'static str,
    key: &'static str,
    range: [f32; 2],
    most: f32,
) -> Result<()> {
    let [low, high] = range;
    let expected = match most < f32::MAX {
        true => format!("two numbers above 0, up to {most}, the larger one last"),
        false => "two numbers above 0, the larger one last".into(),
    };
    ensure(
        0.0 < low && low <= high && high <= most,
        transform,
        key,
        expected,
        format_args!("{range:?}"),
    )
}

/// In the order of torchvision's `get_params`: area, ratio, row, column.
pub(super) fn choose(scale: [f32; 2], ratio: [f32; 2], size: Size, rng: &mut impl Rng) -> Choice {
    let drawn = (0..DRAWS).find_map(|_| Some(place(draw(scale, ratio, size, rng)?, size, rng)));
    Choice::Part(drawn.unwrap_or_else(|| middle(ratio, size)))
}

/// Height and width of a part, where they fit.
pub(super) fn draw(
    scale: [f32; 2],
    ratio: [f32; 2],
    size: Size,
    rng: &mut impl Rng,
) -> Option<[usize; 2]> {
    let area = size.plane() as f32 * rng.random_range(scale[0]..=scale[1]);
    let [narrow, wide] = ratio.map(f32::ln);
    let ratio = rng.random_range(narrow..=wide).exp();
    let width = (area * ratio).sqrt().round_ties_even() as usize;
    let height = (area / ratio).sqrt().round_ties_even() as usize;
    let fits = (1..=size.width).contains(&width) && (1..=size.height).contains(&height);
    fits.then_some([height, width])
}

/// A part of that shape, all places equally likely.
pub(super) fn place([height, width]: [usize; 2], size: Size, rng: &mut impl Rng) -> Part {
    Part {
        top: rng.random_range(0..=size.height - height),
        left: rng.random_range(0..=size.width - width),
        height,
        width,
    }
}

/// The largest middle of the image whose ratio is in the range.
fn middle([narrow, wide]: [f32; 2], size: Size) -> Part {
    let (height, width) = (size.height as f32, size.width as f32);
    let (height, width) = if width / height < narrow {
        ((width / narrow).round_ties_even(), width)
    } else if width / height > wide {
        (height, (height * wide).round_ties_even())
    } else {
        (height, width)
    };
    let height = (height as usize).clamp(1, size.height);
    let width = (width as usize).clamp(1, size.width);
    Part {
        top: (size.height - height) / 2,
        left: (size.width - width) / 2,
        height,
        width,
    }
}
