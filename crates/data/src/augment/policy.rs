//! Which operations AutoAugment, RandAugment, TrivialAugmentWide and colour jitter choose, and how strong.

use std::fmt;

use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::operations::Operation::{
    self, AutoContrast, Brightness, Color, Contrast, Equalize, Identity, Invert, Posterize, Rotate,
    Sharpness, ShearX, ShearY, Solarize, TranslateX, TranslateY,
};
use super::{Choice, ensure};
use crate::{Result, Size};

/// The images for which AutoAugment's search found its policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Cubuk et al. 2018, Table 9.
    Imagenet,
    /// Cubuk et al. 2018, Table 7.
    Cifar10,
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Imagenet => "imagenet",
            Self::Cifar10 => "cifar10",
        })
    }
}

/// An operation, its probability, and its magnitude, of [`BINS`]; 0 where an operation has none.
type Step = (Operation, f32, usize);

/// Magnitudes of AutoAugment.
const BINS: usize = 10;
/// Magnitudes of the others, at most: more cannot be told apart in bytes.
const MOST_BINS: usize = 256;
const MOST_OPERATIONS: usize = 16;

const IMAGENET: [[Step; 2]; 25] = [
    [(Posterize, 0.4, 8), (Rotate, 0.6, 9)],
    [(Solarize, 0.6, 5), (AutoContrast, 0.6, 0)],
    [(Equalize, 0.8, 0), (Equalize, 0.6, 0)],
    [(Posterize, 0.6, 7), (Posterize, 0.6, 6)],
    [(Equalize, 0.4, 0), (Solarize, 0.2, 4)],
    [(Equalize, 0.4, 0), (Rotate, 0.8, 8)],
    [(Solarize, 0.6, 3), (Equalize, 0.6, 0)],
    [(Posterize, 0.8, 5), (Equalize, 1.0, 0)],
    [(Rotate, 0.2, 3), (Solarize, 0.6, 8)],
    [(Equalize, 0.6, 0), (Posterize, 0.4, 6)],
    [(Rotate, 0.8, 8), (Color, 0.4, 0)],
    [(Rotate, 0.4, 9), (Equalize, 0.6, 0)],
    [(Equalize, 0.0, 0), (Equalize, 0.8, 0)],
    [(Invert, 0.6, 0), (Equalize, 1.0, 0)],
    [(Color, 0.6, 4), (Contrast, 1.0, 8)],
    [(Rotate, 0.8, 8), (Color, 1.0, 2)],
    [(Color, 0.8, 8), (Solarize, 0.8, 7)],
    [(Sharpness, 0.4, 7), (Invert, 0.6, 0)],
    [(ShearX, 0.6, 5), (Equalize, 1.0, 0)],
    [(Color, 0.4, 0), (Equalize, 0.6, 0)],
    [(Equalize, 0.4, 0), (Solarize, 0.2, 4)],
    [(Solarize, 0.6, 5), (AutoContrast, 0.6, 0)],
    [(Invert, 0.6, 0), (Equalize, 1.0, 0)],
    [(Color, 0.6, 4), (Contrast, 1.0, 8)],
    [(Equalize, 0.8, 0), (Equalize, 0.6, 0)],
];

const CIFAR10: [[Step; 2]; 25] = [
    [(Invert, 0.1, 0), (Contrast, 0.2, 6)],
    [(Rotate, 0.7, 2), (TranslateX, 0.3, 9)],
    [(Sharpness, 0.8, 1), (Sharpness, 0.9, 3)],
    [(ShearY, 0.5, 8), (TranslateY, 0.7, 9)],
    [(AutoContrast, 0.5, 0), (Equalize, 0.9, 0)],
    [(ShearY, 0.2, 7), (Posterize, 0.3, 7)],
    [(Color, 0.4, 3), (Brightness, 0.6, 7)],
    [(Sharpness, 0.3, 9), (Brightness, 0.7, 9)],
    [(Equalize, 0.6, 0), (Equalize, 0.5, 0)],
    [(Contrast, 0.6, 7), (Sharpness, 0.6, 5)],
    [(Color, 0.7, 7), (TranslateX, 0.5, 8)],
    [(Equalize, 0.3, 0), (AutoContrast, 0.4, 0)],
    [(TranslateY, 0.4, 3), (Sharpness, 0.2, 6)],
    [(Brightness, 0.9, 6), (Color, 0.2, 8)],
    [(Solarize, 0.5, 2), (Invert, 0.0, 0)],
    [(Equalize, 0.2, 0), (AutoContrast, 0.6, 0)],
    [(Equalize, 0.2, 0), (Equalize, 0.6, 0)],
    [(Color, 0.9, 9), (Equalize, 0.6, 0)],
    [(AutoContrast, 0.8, 0), (Solarize, 0.2, 8)],
    [(Brightness, 0.1, 3), (Color, 0.7, 0)],
    [(Solarize, 0.4, 5), (AutoContrast, 0.9, 0)],
    [(TranslateY, 0.9, 9), (TranslateY, 0.7, 9)],
    [(AutoContrast, 0.9, 0), (Solarize, 0.8, 3)],
    [(Equalize, 0.8, 0), (Invert, 0.1, 0)],
    [(TranslateY, 0.7, 9), (AutoContrast, 0.9, 0)],
];

/// What RandAugment and TrivialAugmentWide choose from, all equally likely.
const OPERATIONS: [Operation; 14] = [
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Color,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
];

/// How strong the strongest magnitude is.
#[derive(Clone, Copy)]
pub(super) enum Space {
    /// AutoAugment's, for the image's size.
    Usual(Size),
    /// Müller and Hutter 2021, Table 6.
    Wide,
}

impl Space {
    /// Magnitude `bin` of `bins` of an operation, as the operation takes it, without its sign.
    pub fn magnitude(self, operation: Operation, bin: usize, bins: usize) -> f32 {
        let share = bin as f32 / bins.saturating_sub(1).max(1) as f32;
        let or = |usual: fn(Size) -> f32, wide: f32| match self {
            Self::Usual(size) => share * usual(size),
            Self::Wide => share * wide,
        };
        match operation {
            ShearX | ShearY => or(|_| 0.3, 0.99),
            TranslateX => or(|size| 150.0 / 331.0 * size.width as f32, 32.0),
            TranslateY => or(|size| 150.0 / 331.0 * size.height as f32, 32.0),
            Rotate => or(|_| 30.0, 135.0),
            Brightness | Color | Contrast | Sharpness => or(|_| 0.9, 0.99),
            Posterize => (8.0 - or(|_| 4.0, 6.0)).round_ties_even(),
            Solarize => 1.0 - share,
            Identity | AutoContrast | Equalize | Invert | Operation::Hue => 0.0,
        }
    }

    /// The same, half of the time negative where that means something.
    fn signed(self, operation: Operation, bin: usize, bins: usize, rng: &mut impl Rng) -> f32 {
        let magnitude = self.magnitude(operation, bin, bins);
        let has_sign = !matches!(operation, Posterize | Solarize) && magnitude > 0.0;
        match has_sign && rng.random() {
            true => -magnitude,
            false => magnitude,
        }
    }
}

pub(super) fn auto_augment(policy: Policy, size: Size, rng: &mut impl Rng) -> Choice {
    let policies = match policy {
        Policy::Imagenet => &IMAGENET,
        Policy::Cifar10 => &CIFAR10,
    };
    let steps = policies.choose(rng).expect("a policy has steps");
    let mut chosen = Vec::new();
    for (operation, probability, bin) in steps {
        if rng.random::<f32>() < *probability {
            let magnitude = Space::Usual(size).signed(*operation, *bin, BINS, rng);
            chosen.push((*operation, magnitude));
        }
    }
    Choice::Operations(chosen)
}

pub(super) fn check_rand_augment(num_ops: usize, magnitude: usize, bins: usize) -> Result<()> {
    const NAME: &str = "rand_augment";
    let expected = format_args!("1 to {MOST_OPERATIONS}");
    let fits = (1..=MOST_OPERATIONS).contains(&num_ops);
    ensure(fits, NAME, "num_ops", expected, num_ops)?;
    check_bins(NAME, bins)?;
    let expected = format_args!("0 to {}", bins - 1);
    ensure(magnitude < bins, NAME, "magnitude", expected, magnitude)
}

pub(super) fn check_bins(transform: &'static str, bins: usize) -> Result<()> {
    let expected = format_args!("2 to {MOST_BINS}");
    let fits = (2..=MOST_BINS).contains(&bins);
    ensure(fits, transform, "num_magnitude_bins", expected, bins)
}

pub(super) fn rand_augment(
    num_ops: usize,
    magnitude: usize,
    bins: usize,
    size: Size,
    rng: &mut impl Rng,
) -> Choice {
    let draw = |_| {
        let operation = *OPERATIONS.choose(rng).expect("there are operations");
        let magnitude = Space::Usual(size).signed(operation, magnitude, bins, rng);
        (operation, magnitude)
    };
    Choice::Operations((0..num_ops).map(draw).collect())
}

pub(super) fn trivial_augment_wide(bins: usize, rng: &mut impl Rng) -> Choice {
    let operation = *OPERATIONS.choose(rng).expect("there are operations");
    let bin = rng.random_range(0..bins.max(1));
    Choice::Operations(vec![(
        operation,
        Space::Wide.signed(operation, bin, bins, rng),
    )])
}

pub(super) fn check_jitter(strengths: [f32; 3], hue: f32) -> Result<()> {
    for (key, strength) in ["brightness", "contrast", "saturation"]
        .into_iter()
        .zip(strengths)
    {
        let fits = strength.is_finite() && strength >= 0.0;
        ensure(fits, "color_jitter", key, "0 or more", strength)?;
    }
    let fits = (0.0..=0.5).contains(&hue);
    ensure(fits, "color_jitter", "hue", "0 to 0.5", hue)
}

/// Factors in the order brightness, contrast, saturation, hue, then the order in which they are applied.
pub(super) fn color_jitter(strengths: [f32; 3], hue: f32, rng: &mut impl Rng) -> Choice {
    let mut chosen = Vec::with_capacity(4);
    for (operation, strength) in [Brightness, Contrast, Color].into_iter().zip(strengths) {
        if strength > 0.0 {
            let least = -strength.min(1.0);
            chosen.push((operation, rng.random_range(least..=strength)));
        }
    }
    if hue > 0.0 {
        chosen.push((Operation::Hue, rng.random_range(-hue..=hue)));
    }
    chosen.shuffle(rng);
    Choice::Operations(chosen)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// `tests/goldens/augment.py`: torchvision's magnitudes for an image of 11 rows and 12 columns.
    #[test]
    fn magnitudes_are_those_of_torchvision() {
        let golden = include_str!("../../../../tests/goldens/augment.json");
        let golden: serde_json::Value = serde_json::from_str(golden).unwrap();
        let tables: BTreeMap<String, BTreeMap<String, Option<Vec<f32>>>> =
            serde_json::from_value(golden["magnitudes"].clone()).unwrap();
        let usual = Space::Usual(Size::new(3, 11, 12));
        for (name, table) in tables {
            let space = if name == "TrivialAugmentWide" {
                Space::Wide
            } else {
                usual
            };
            for (operation, magnitudes) in table {
                let operation: Operation = serde_json::from_value(operation.into()).unwrap();
                let magnitudes = magnitudes.unwrap_or(vec![0.0; 31]);
                for (bin, expected) in magnitudes.iter().enumerate() {
                    let found = space.magnitude(operation, bin, magnitudes.len());
                    assert!(
                        (found - expected).abs() < 1e-5,
                        "{name} {operation:?} {bin}: {found}"
                    );
                }
            }
        }
    }
}
