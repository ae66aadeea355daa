//! Horizontal flips.

use rand::{Rng, RngExt};

use super::{Choice, Place, ensure};
use crate::random::{Purpose, stream};
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

/// What the image's coin says, or in every other epoch its opposite.
pub(super) fn choose_alternating(probability: f32, place: Place) -> Choice {
    let mut coin = stream(place.seed, Purpose::Flip, 0, place.image);
    let is_odd = !place.epoch.is_multiple_of(2);
    Choice::Flip((coin.random::<f32>() < probability) != is_odd)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A change of these changes every run with such flips.
    #[test]
    fn coins_of_alternating_flips_stay_what_they_are() {
        let coins = |epoch| {
            let mirrored = |image| match choose_alternating(
                0.5,
                Place {
                    seed: 0,
                    epoch,
                    image,
                },
            ) {
                Choice::Flip(true) => '1',
                _ => '0',
            };
            (0..16).map(mirrored).collect::<String>()
        };
        assert_eq!(coins(0), "0000001100000111");
        assert_eq!(coins(1), "1111110011111000");
    }
}
