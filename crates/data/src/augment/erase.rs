//! A rectangle of the image, erased.

use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

use super::random_resized_crop::{check_range, place};
use super::{Choice, Fill, flip};
use crate::random::{self, Purpose};
use crate::{Image, Part, Pixels, Result, Size};

pub(super) const NAME: &str = "random_erasing";
/// Draws that may fail to fit before nothing is erased.
const DRAWS: usize = 10;

pub(super) fn check(probability: f32, scale: [f32; 2], ratio: [f32; 2]) -> Result<()> {
    flip::check(NAME, probability)?;
    check_range(NAME, "scale", scale, 1.0)?;
    check_range(NAME, "ratio", ratio, f32::MAX)
}

/// In the order of torchvision's `get_params`: whether, area, ratio, row, column.
pub(super) fn choose(
    probability: f32,
    scale: [f32; 2],
    ratio: [f32; 2],
    size: Size,
    rng: &mut impl Rng,
) -> Choice {
    let erases = rng.random::<f32>() < probability;
    let part = (0..DRAWS).find_map(|_| {
        let shape = shape(scale, ratio, size, rng);
        Some(place(shape?, size, rng))
    });
    Choice::Erase {
        part: part.filter(|_| erases),
        noise: rng.random(),
    }
}

/// Height and width of a rectangle that leaves some of each side; `ratio` is that of height to width.
fn shape(scale: [f32; 2], ratio: [f32; 2], size: Size, rng: &mut impl Rng) -> Option<[usize; 2]> {
    let area = size.plane() as f32 * rng.random_range(scale[0]..=scale[1]);
    let [low, high] = ratio.map(f32::ln);
    let ratio = rng.random_range(low..=high).exp();
    let height = (area * ratio).sqrt().round_ties_even() as usize;
    let width = (area / ratio).sqrt().round_ties_even() as usize;
    let fits = (1..size.width).contains(&width) && (1..size.height).contains(&height);
    fits.then_some([height, width])
}

pub(super) fn apply(image: Image, part: Part, fill: Fill, noise: u64) -> Image {
    let size = image.size;
    let mut rng = random::stream(noise, Purpose::Erase, 0, 0);
    let mut values = image.into_f32();
    for plane in values.chunks_exact_mut(size.plane()) {
        for row in part.top..part.top + part.height {
            let start = row * size.width + part.left;
            for value in &mut plane[start..start + part.width] {
                *value = match fill {
                    Fill::Value(value) => value,
                    Fill::Random => rng.sample(StandardNormal),
                };
            }
        }
    }
    Image {
        size,
        pixels: Pixels::F32(values),
    }
}
