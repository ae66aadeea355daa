//! Mixing the images of a batch, and their labels with them.
//!
//! As augmentation does, it first *chooses*, which needs randomness and the images' size only, and then *applies* the choice.

use std::fmt;

use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use rand_distr::Beta;
use serde::{Deserialize, Serialize};

use crate::augment::ensure;
use crate::{Part, Result, Size};

/// How each image of a batch is mixed with the one before it, the first one with the last; torchvision's `MixUp` and
/// `CutMix`. Both draw a share from a beta distribution with `alpha` twice, one for the batch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Mix {
    /// Blends the images by the share: Zhang, Cisse, Dauphin, Lopez-Paz 2017, arXiv:1710.09412, section 2.
    Mixup {
        /// Above 0; 0.2 in the paper for ImageNet, 1 for CIFAR.
        alpha: f32,
    },
    /// Pastes a rectangle, whose area is what is left of the share, where it lies within the image: Yun et al. 2019,
    /// arXiv:1905.04899, section 3.1.
    Cutmix {
        /// Above 0; 1 in the paper.
        alpha: f32,
    },
}

/// What was drawn for a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MixChoice {
    /// The image's own share.
    Blend(f32),
    /// What is pasted; it may be empty.
    Paste(Part),
}

/// The other labels of the images of a mixed batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixed {
    /// The class of what was mixed into each image.
    pub labels: Vec<usize>,
    /// The share of each image's own class in its target; the other class has the rest.
    pub share: f32,
}

impl Mix {
    /// One of `mixes`, all equally likely, and what it draws for images of `size`.
    ///
    /// # Panics
    ///
    /// Where there is none, or [`Mix::check`] refuses it.
    pub fn choose(mixes: &[Self], size: Size, rng: &mut impl Rng) -> MixChoice {
        let rng = &mut (rng as &mut dyn Rng);
        let mix = mixes.choose(rng).expect("something to choose from");
        let (Self::Mixup { alpha } | Self::Cutmix { alpha }) = mix;
        let beta = Beta::new(*alpha, *alpha).expect("alpha is above 0");
        let share = rng.sample(beta);
        match mix {
            Self::Mixup { .. } => MixChoice::Blend(share),
            Self::Cutmix { .. } => MixChoice::Paste(part(share, size, rng)),
        }
    }

    /// An error where `alpha` is out of its range.
    pub fn check(&self) -> Result<()> {
        let (name, alpha) = match self {
            Self::Mixup { alpha } => ("mixup", alpha),
            Self::Cutmix { alpha } => ("cutmix", alpha),
        };
        ensure(
            alpha.is_finite() && *alpha > 0.0,
            name,
            "alpha",
            "more than 0",
            alpha,
        )
    }
}

/// As in `mixup 0.2`.
impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mixup { alpha } => write!(f, "mixup {alpha}"),
            Self::Cutmix { alpha } => write!(f, "cutmix {alpha}"),
        }
    }
}

/// A rectangle about a random pixel, cut off at the image's edges; in the order of torchvision's `CutMix`: column, row.
fn part(share: f32, size: Size, rng: &mut impl Rng) -> Part {
    let half = 0.5 * (1.0 - share).sqrt();
    let mut span = |length: usize| {
        let (middle, half) = (rng.random_range(0..length), (half * length as f32) as usize);
        let start = middle.saturating_sub(half);
        (start, (middle + half).min(length) - start)
    };
    let (left, width) = span(size.width);
    let (top, height) = span(size.height);
    Part {
        top,
        left,
        height,
        width,
    }
}

impl MixChoice {
    /// Mixes `images`, `[n, channels, height, width]` of `size` each, and says what share of each is its own.
    pub fn apply(self, images: &mut [f32], size: Size) -> f32 {
        let length = size.values();
        let Some(last) = images.len().checked_sub(length) else {
            return 1.0;
        };
        let first_neighbour = images[last..].to_vec();
        for start in (length..=last).rev().step_by(length) {
            let (before, image) = images.split_at_mut(start);
            self.mix(&mut image[..length], &before[start - length..], size);
        }
        self.mix(&mut images[..length], &first_neighbour, size);
        match self {
            Self::Blend(share) => share,
            Self::Paste(part) => 1.0 - (part.height * part.width) as f32 / size.plane() as f32,
        }
    }

    fn mix(self, image: &mut [f32], neighbour: &[f32], size: Size) {
        match self {
            Self::Blend(share) => {
                for (value, other) in image.iter_mut().zip(neighbour) {
                    *value = *value * share + other * (1.0 - share);
                }
            }
            Self::Paste(part) => {
                for row in 0..size.channels * part.height {
                    let (channel, row) = (row / part.height, row % part.height);
                    let start = (channel * size.height + part.top + row) * size.width + part.left;
                    let line = start..start + part.width;
                    image[line.clone()].copy_from_slice(&neighbour[line]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::{Purpose, stream};

    const SIZE: Size = Size::new(1, 2, 2);

    /// Three images of 1x2x2: all 0, all 10, all 20.
    fn three() -> Vec<f32> {
        [0.0, 10.0, 20.0]
            .iter()
            .flat_map(|value| [*value; 4])
            .collect()
    }

    /// torchvision 0.29, whose `MixUp` is `images.roll(1, 0).mul(1 - share).add(images.mul(share))`.
    #[test]
    fn images_are_blended_with_the_one_before() {
        let mut images = three();
        assert_eq!(MixChoice::Blend(0.75).apply(&mut images, SIZE), 0.75);
        let expected: Vec<f32> = [5.0, 7.5, 17.5]
            .iter()
            .flat_map(|value| [*value; 4])
            .collect();
        assert_eq!(images, expected);
    }

    /// torchvision 0.29, whose `CutMix` copies `images.roll(1, 0)[..., 0:2, 1:2]`.
    #[test]
    fn a_part_of_the_one_before_is_pasted() {
        let part = Part {
            top: 0,
            left: 1,
            height: 2,
            width: 1,
        };
        let mut images = three();
        assert_eq!(MixChoice::Paste(part).apply(&mut images, SIZE), 0.5);
        let expected = [0., 20., 0., 20., 10., 0., 10., 0., 20., 10., 20., 10.];
        assert_eq!(images, expected);
    }

    #[test]
    fn the_share_is_of_the_beta_distribution() {
        let shares = |alpha: f32| -> Vec<f32> {
            let draw = |index| {
                let mut rng = stream(0, Purpose::Mix, 0, index);
                match Mix::choose(&[Mix::Mixup { alpha }], SIZE, &mut rng) {
                    MixChoice::Blend(share) => share,
                    MixChoice::Paste(part) => panic!("{part:?}"),
                }
            };
            (0..20_000).map(draw).collect()
        };
        for alpha in [0.2_f32, 1.0, 4.0] {
            let shares = shares(alpha);
            let mean = shares.iter().sum::<f32>() / shares.len() as f32;
            let squares: f32 = shares.iter().map(|share| (share - 0.5).powi(2)).sum();
            let variance = squares / shares.len() as f32;
            assert!((mean - 0.5).abs() < 0.02, "{mean}");
            // Of a beta distribution with alpha twice.
            let expected = 0.25 / (2.0 * alpha + 1.0);
            assert!(
                (variance / expected - 1.0).abs() < 0.05,
                "{alpha}: {variance}"
            );
        }
    }

    proptest! {
        /// What is pasted lies in the image, and what is left is the share.
        #[test]
        fn pasted_parts_fit(height in 1..9_usize, width in 1..9_usize, seed: u64) {
            let size = Size::new(2, height, width);
            let mut rng = stream(seed, Purpose::Mix, 0, 0);
            let choice = Mix::choose(&[Mix::Cutmix { alpha: 1.0 }], size, &mut rng);
            let mut images: Vec<f32> = [0.0, 1.0].iter().flat_map(|v| vec![*v; size.values()]).collect();
            let share = choice.apply(&mut images, size);
            let own = images[..size.values()].iter().filter(|value| **value == 0.0).count();
            prop_assert!((own as f32 / size.values() as f32 - share).abs() < 1e-6);
        }
    }

    #[test]
    fn alpha_is_above_zero() {
        let error = Mix::Cutmix { alpha: 0.0 }.check().unwrap_err().to_string();
        assert_eq!(
            error,
            "`alpha` of `cutmix` is out of range: expected more than 0, found 0"
        );
    }
}
