//! Horizontal flips.

use rand::{Rng, RngExt};

use super::{Choice, ensure};
use crate::{Image, Pixels, Result};

pub(super) fn check(transform: &'static str, probability: f32) -> Result<()> {
    ensure(
        (0.0..=1.0).contains(&probability),
        transform,
        "probability",
        "0 to 1",
        probability,
    )
}

pub(super) fn choose(probability: f32, rng: &mut impl Rng) -> Choice {
    Choice::Flip(rng.random::<f32>() < probability)
}

pub(crate) fn apply(mut image: Image, mirror: bool) -> Image {
    if mirror {
        let width = image.size.width;
        match &mut image.pixels {
            Pixels::U8(bytes) => mirror_rows(bytes, width),
            Pixels::F32(values) => mirror_rows(values, width),
        }
    }
    image
}

fn mirror_rows<T>(pixels: &mut [T], width: usize) {
    pixels.chunks_exact_mut(width).for_each(<[T]>::reverse);
}
