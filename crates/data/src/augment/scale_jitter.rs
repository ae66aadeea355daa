//! Scaling to a random size, and a crop.

use rand::{Rng, RngExt};

use super::resize::{self, check_side};
use super::{Choice, crop, ensure};
use crate::{Result, Size};

pub(super) const NAME: &str = "scale_jitter";

pub(super) fn output_size(shorter_side: [usize; 2], side: usize, size: Size) -> Result<Size> {
    check_side(NAME, "size", side)?;
    let [least, most] = shorter_side;
    for bound in shorter_side {
        check_side(NAME, "shorter_side", bound)?;
        resize::output_size(bound, bound, size)?;
    }
    ensure(
        side <= least && least <= most,
        NAME,
        "shorter_side",
        format_args!("two numbers, {side} or more, the larger one last"),
        format_args!("{shorter_side:?}"),
    )?;
    Ok(Size::new(size.channels, side, side))
}

/// A shorter side, then row and column in the scaled image.
pub(super) fn choose(
    [least, most]: [usize; 2],
    side: usize,
    size: Size,
    rng: &mut impl Rng,
) -> Choice {
    let shorter = rng.random_range(least..=most.max(least));
    let scaled = resize::output_size(shorter, shorter, size).unwrap_or(size);
    match crop::choose(side, 0, scaled, rng) {
        Choice::Crop { top, left } => Choice::Scale {
            side: shorter,
            top,
            left,
        },
        choice => choice,
    }
}
