//! Augmentation: what is done to an image before the network sees it.
//!
//! Each transform first *chooses*, which needs randomness and the image's size only, and then *applies* the choice, which
//! is a plain function. So a choice can be looked at, repeated and tested.

mod color;
pub(crate) mod crop;
pub(crate) mod flip;
mod normalize;
mod resize;

use std::fmt;

use rand::Rng;
pub use resize::Interpolation;
use serde::{Deserialize, Serialize};

use crate::{Error, Image, Pca, Result, Size};

/// A transform with all its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Transform {
    /// Scales the image, in its own shape, to the smallest size that covers `height` x `width`, with antialiasing.
    ///
    /// torchvision's `Resize` of a number is this with the number as height and width: it scales the shorter side to it.
    Resize {
        /// Rows that the image has at least.
        height: usize,
        /// Columns that the image has at least.
        width: usize,
        /// How a pixel follows from those around it.
        interpolation: Interpolation,
    },
    /// Cuts the middle out; torchvision's `CenterCrop`, but that an image which is too small is an error.
    CenterCrop {
        /// Rows of the middle.
        height: usize,
        /// Columns of the middle.
        width: usize,
    },
    /// Pads each side with `padding` zeros, then cuts a square of `size` at a random place; torchvision's `RandomCrop`.
    RandomCrop {
        /// Side of the square that is cut.
        size: usize,
        /// Zeros added on each side.
        padding: usize,
    },
    /// Mirrors the image left to right.
    Flip {
        /// How often, from 0 to 1.
        probability: f32,
    },
    /// Adds `P (alpha * lambda)` to the red, green and blue of every pixel, with one `alpha` an image.
    ///
    /// Krizhevsky, Sutskever, Hinton 2012, section 4.1. `lambda` and `P` are the eigenvalues and eigenvectors of the
    /// covariance of the training set's pixels, and the three values of `alpha` are drawn from a normal distribution
    /// with standard deviation `std`, 0.1 in the paper. The paper does not say in which unit its pixels are: here, as
    /// in fb.resnet.torch, they are in `[0, 1]`, so this transform stands before any normalisation.
    PcaColor {
        /// Standard deviation of `alpha`.
        std: f32,
        /// Eigenvalues and eigenvectors.
        #[serde(flatten)]
        pca: Pca,
    },
    /// Subtracts the mean of each channel and divides by its standard deviation.
    Normalize {
        /// A value a channel.
        mean: Vec<f32>,
        /// A value a channel.
        std: Vec<f32>,
    },
    /// Subtracts the mean image.
    SubtractPixelMean {
        /// The mean image, shape `[channels, height, width]`.
        mean: Vec<f32>,
    },
}

/// What a transform has drawn for one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Choice {
    /// The transform has nothing to choose.
    Fixed,
    /// Where the crop starts, in the padded image.
    Crop {
        /// Row of its upper edge.
        top: usize,
        /// Column of its left edge.
        left: usize,
    },
    /// Whether to mirror.
    Flip(bool),
    /// What to add to red, green and blue.
    Color([f32; 3]),
}

impl Transform {
    /// The transform's name in a recipe.
    pub fn name(&self) -> &'static str {
        match self {
            Transform::Resize { .. } => "resize",
            Transform::CenterCrop { .. } => "center_crop",
            Transform::RandomCrop { .. } => "random_crop",
            Transform::Flip { .. } => "flip",
            Transform::PcaColor { .. } => "pca_color",
            Transform::Normalize { .. } => "normalize",
            Transform::SubtractPixelMean { .. } => "subtract_pixel_mean",
        }
    }

    /// The size that images of `size` have afterwards; an error where the transform cannot be used on them.
    pub fn output_size(&self, size: Size) -> Result<Size> {
        match self {
            Transform::Resize { height, width, .. } => resize::output_size(*height, *width, size),
            Transform::CenterCrop { height, width } => crop::middle_size(*height, *width, size),
            Transform::RandomCrop {
                size: side,
                padding,
            } => crop::output_size(*side, *padding, size),
            Transform::Flip { probability } => flip::check(*probability).map(|()| size),
            Transform::PcaColor { std, pca } => color::check(*std, pca, size).map(|()| size),
            Transform::Normalize { mean, std } => {
                normalize::check_channels(mean, std, size).map(|()| size)
            }
            Transform::SubtractPixelMean { mean } => {
                normalize::check_pixels(mean, size).map(|()| size)
            }
        }
    }

    /// Draws what to do to one image of `size`.
    pub fn choose(&self, size: Size, rng: &mut impl Rng) -> Choice {
        match self {
            Transform::RandomCrop {
                size: side,
                padding,
            } => crop::choose(*side, *padding, size, rng),
            Transform::Flip { probability } => flip::choose(*probability, rng),
            Transform::PcaColor { std, pca } => color::choose(*std, pca, rng),
            Transform::Resize { .. }
            | Transform::CenterCrop { .. }
            | Transform::Normalize { .. }
            | Transform::SubtractPixelMean { .. } => Choice::Fixed,
        }
    }

    /// Does to `image` what was chosen.
    pub fn apply(&self, image: Image, choice: &Choice) -> Result<Image> {
        match (self, *choice) {
            (
                Transform::Resize {
                    height,
                    width,
                    interpolation,
                },
                Choice::Fixed,
            ) => {
                let to = resize::output_size(*height, *width, image.size)?;
                Ok(resize::apply(&image, to, *interpolation))
            }
            (Transform::CenterCrop { height, width }, Choice::Fixed) => {
                let to = crop::middle_size(*height, *width, image.size)?;
                Ok(crop::middle(&image, to))
            }
            (
                Transform::RandomCrop {
                    size: side,
                    padding,
                },
                Choice::Crop { top, left },
            ) => {
                let to = crop::output_size(*side, *padding, image.size)?;
                let fits = top + to.height <= image.size.height + 2 * padding
                    && left + to.width <= image.size.width + 2 * padding;
                if !fits {
                    return Err(self.foreign(choice));
                }
                Ok(crop::apply(&image, to, *padding, top, left))
            }
            (Transform::Flip { .. }, Choice::Flip(mirror)) => Ok(flip::apply(image, mirror)),
            (Transform::PcaColor { .. }, Choice::Color(shift)) => color::apply(image, shift),
            (Transform::Normalize { mean, std }, Choice::Fixed) => {
                normalize::apply_channels(image, mean, std)
            }
            (Transform::SubtractPixelMean { mean }, Choice::Fixed) => {
                normalize::apply_pixels(image, mean)
            }
            _ => Err(self.foreign(choice)),
        }
    }

    fn foreign(&self, choice: &Choice) -> Error {
        Error::ForeignChoice {
            transform: self.name(),
            choice: format!("{choice:?}"),
        }
    }
}

/// As in `resize 256x256 bilinear`.
impl fmt::Display for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        match self {
            Transform::Resize {
                height,
                width,
                interpolation,
            } => write!(f, "{name} {height}x{width} {interpolation}"),
            Transform::CenterCrop { height, width } => write!(f, "{name} {height}x{width}"),
            Transform::RandomCrop { size, padding } => {
                write!(f, "{name} {size}x{size} padding {padding}")
            }
            Transform::Flip { probability } => write!(f, "{name} {probability}"),
            Transform::PcaColor { std, .. } => write!(f, "{name} std {std}"),
            Transform::Normalize { mean, std } => write!(f, "{name} mean {mean:?} std {std:?}"),
            Transform::SubtractPixelMean { .. } => f.write_str(name),
        }
    }
}

/// Transforms, the first one to be applied first.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pipeline(pub Vec<Transform>);

impl Pipeline {
    /// The size that images of `size` have at the end; an error where a transform cannot be used on what reaches it.
    pub fn output_size(&self, size: Size) -> Result<Size> {
        self.0
            .iter()
            .try_fold(size, |size, transform| transform.output_size(size))
    }

    /// Chooses and applies each transform in turn.
    pub fn apply(&self, image: Image, rng: &mut impl Rng) -> Result<Image> {
        self.0.iter().try_fold(image, |image, transform| {
            let choice = transform.choose(image.size, rng);
            transform.apply(image, &choice)
        })
    }
}

/// The transforms in their order, with commas.
impl fmt::Display for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transforms: Vec<String> = self
            .0
            .iter()
            .map(|transform| transform.to_string())
            .collect();
        f.write_str(&transforms.join(", "))
    }
}

/// [`Error::TransformValue`], unless `holds`.
fn ensure(
    holds: bool,
    transform: &'static str,
    key: &'static str,
    expected: impl fmt::Display,
    found: impl fmt::Display,
) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(Error::TransformValue {
        transform,
        key,
        expected: expected.to_string(),
        found: found.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Pixels;
    use crate::random::{ChaCha8Rng, Purpose, stream};

    fn rng(index: u64) -> ChaCha8Rng {
        stream(0, Purpose::Augment, 0, index)
    }

    /// `torch.arange(1, 13).reshape(2, 2, 3)`.
    fn counting() -> Image {
        Image {
            size: Size::new(2, 2, 3),
            pixels: Pixels::U8((1..=12).collect()),
        }
    }

    /// torchvision 0.29: `F.crop(F.pad(counting, [1] * 4), top, left, 2, 2)`.
    #[test]
    fn crops_are_those_of_torchvision() {
        let transform = Transform::RandomCrop {
            size: 2,
            padding: 1,
        };
        let golden: [((usize, usize), [u8; 8]); 3] = [
            ((0, 0), [0, 0, 0, 1, 0, 0, 0, 7]),
            ((2, 3), [6, 0, 0, 0, 12, 0, 0, 0]),
            ((1, 2), [2, 3, 5, 6, 8, 9, 11, 12]),
        ];
        for ((top, left), expected) in golden {
            let crop = Choice::Crop { top, left };
            let cropped = transform.apply(counting(), &crop).unwrap();
            assert_eq!(cropped.size, Size::new(2, 2, 2));
            assert_eq!(cropped.pixels, Pixels::U8(expected.to_vec()));
        }
    }

    /// torchvision 0.29: `F.hflip(counting)`.
    #[test]
    fn flips_are_those_of_torchvision() {
        let flip = Transform::Flip { probability: 0.5 };
        let mirrored = flip.apply(counting(), &Choice::Flip(true)).unwrap();
        let expected = vec![3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10];
        assert_eq!(mirrored.pixels, Pixels::U8(expected));
        let same = flip.apply(counting(), &Choice::Flip(false)).unwrap();
        assert_eq!(same, counting());
    }

    /// torchvision 0.29: `F.normalize(image.float().div(255), mean, std).tolist()`, to the last bit.
    #[test]
    fn normalisation_is_that_of_torchvision() {
        let normalize = Transform::Normalize {
            mean: vec![0.4914, 0.4822, 0.4465],
            std: vec![0.2470, 0.2435, 0.2616],
        };
        let size = Size::new(3, 1, 2);
        let bytes = vec![0, 51, 102, 153, 204, 255];
        let numbers = bytes.iter().map(|&v| f32::from(v) / 255.0).collect();
        for pixels in [Pixels::U8(bytes), Pixels::F32(numbers)] {
            let image = Image { size, pixels };
            let normalized = normalize.apply(image, &Choice::Fixed).unwrap();
            let expected = vec![
                -1.989_473_7,
                -1.179_757_1,
                -0.337_577,
                0.483_778_36,
                1.351_299_8,
                2.115_826,
            ];
            assert_eq!(normalized.pixels, Pixels::F32(expected));
        }
    }

    #[test]
    fn the_mean_image_is_subtracted() {
        let subtract = Transform::SubtractPixelMean {
            mean: vec![0.5, -1.0],
        };
        let image = Image {
            size: Size::new(1, 1, 2),
            pixels: Pixels::U8(vec![255, 0]),
        };
        let centered = subtract.apply(image, &Choice::Fixed).unwrap();
        assert_eq!(centered.pixels, Pixels::F32(vec![0.5, 1.0]));
    }

    /// A plan is saved with its transforms, and read again when the run is resumed.
    #[test]
    fn transforms_survive_being_saved() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Plan {
            augment: Pipeline,
        }
        let plan = Plan {
            augment: Pipeline(vec![
                Transform::RandomCrop {
                    size: 32,
                    padding: 4,
                },
                Transform::Flip { probability: 0.3 },
                Transform::PcaColor {
                    std: 0.1,
                    pca: Pca {
                        eigenvalues: [0.2175, 0.0188, 0.0045],
                        eigenvectors: [[0.1, 0.2, 0.3]; 3],
                    },
                },
                Transform::Normalize {
                    mean: vec![0.4914],
                    std: vec![1.0 / 3.0],
                },
                Transform::SubtractPixelMean {
                    mean: vec![1.0 / 3.0; 2],
                },
            ]),
        };
        let saved = toml::to_string(&plan).unwrap();
        assert_eq!(toml::from_str::<Plan>(&saved).unwrap(), plan, "{saved}");
        let misspelt = saved.replace("probability", "probabilty");
        assert!(toml::from_str::<Plan>(&misspelt).is_err());
        let misspelt = saved.replace("eigenvalues", "eigenvalue");
        assert!(toml::from_str::<Plan>(&misspelt).is_err());
    }

    /// A change here changes every augmented run: it may only come with a new major version.
    #[test]
    fn choices_are_pinned() {
        let mut rng = rng(3);
        let size = Size::new(3, 32, 32);
        let crop = Transform::RandomCrop {
            size: 32,
            padding: 4,
        };
        let flip = Transform::Flip { probability: 0.5 };
        let chosen = [(); 2].map(|()| (crop.choose(size, &mut rng), flip.choose(size, &mut rng)));
        let expected = [
            (Choice::Crop { top: 8, left: 6 }, Choice::Flip(true)),
            (Choice::Crop { top: 0, left: 5 }, Choice::Flip(true)),
        ];
        assert_eq!(chosen, expected);
    }

    #[test]
    fn every_place_of_a_crop_is_as_likely() {
        let transform = Transform::RandomCrop {
            size: 4,
            padding: 1,
        };
        let size = Size::new(1, 4, 5);
        let mut hits = [[0_i32; 4]; 3];
        for index in 0..12_000 {
            match transform.choose(size, &mut rng(index)) {
                Choice::Crop { top, left } => hits[top][left] += 1,
                other => panic!("{other:?}"),
            }
        }
        // 1,000 each on average; the bound is more than six standard deviations.
        assert!(
            hits.iter().flatten().all(|&n| (n - 1000).abs() < 200),
            "{hits:?}"
        );
    }

    #[test]
    fn flips_are_as_frequent_as_asked_for() {
        let flipped = |probability: f32| {
            (0..10_000)
                .filter(|&index| {
                    let choice =
                        Transform::Flip { probability }.choose(counting().size, &mut rng(index));
                    choice == Choice::Flip(true)
                })
                .count()
        };
        assert_eq!(flipped(0.0), 0);
        assert_eq!(flipped(1.0), 10_000);
        assert!(flipped(0.3).abs_diff(3_000) < 300);
    }

    proptest! {
        /// What is chosen can always be applied, and gives the size that was promised.
        #[test]
        fn choices_fit(channels in 1..4_usize, height in 1..9_usize, width in 1..9_usize, side in 1..14_usize, padding in 0..4_usize, seed: u64) {
            let size = Size::new(channels, height, width);
            let pipeline = Pipeline(vec![
                Transform::RandomCrop { size: side, padding },
                Transform::Flip { probability: 0.5 },
            ]);
            let image = Image { size, pixels: Pixels::U8(vec![1; size.values()]) };
            match pipeline.output_size(size) {
                Ok(promised) => {
                    let augmented = pipeline.apply(image, &mut rng(seed)).unwrap();
                    prop_assert_eq!(augmented.size, promised);
                    prop_assert_eq!(augmented.pixels.len(), promised.values());
                }
                Err(error) => {
                    let too_large = matches!(error, Error::CropTooLarge { .. });
                    prop_assert!(too_large);
                    prop_assert!(side > height + 2 * padding || side > width + 2 * padding);
                    prop_assert!(pipeline.apply(image, &mut rng(seed)).is_err());
                }
            }
        }
    }

    #[test]
    fn values_out_of_range_are_refused() {
        let pca = Pca {
            eigenvalues: [1.0; 3],
            eigenvectors: [[1.0; 3]; 3],
        };
        let grey = Size::new(1, 2, 2);
        let color = Size::new(3, 2, 2);
        let normalize = |mean: &[f32], std: &[f32]| Transform::Normalize {
            mean: mean.to_vec(),
            std: std.to_vec(),
        };
        let cases = [
            (
                grey,
                Transform::RandomCrop {
                    size: 0,
                    padding: 0,
                },
                "`size` of `random_crop` is out of range: expected 1 to 4096, found 0",
            ),
            (
                grey,
                Transform::RandomCrop {
                    size: 2,
                    padding: usize::MAX,
                },
                "`padding` of `random_crop` is out of range: expected 0 to 4096, found 18446744073709551615",
            ),
            (
                grey,
                Transform::RandomCrop {
                    size: 5,
                    padding: 1,
                },
                "`random_crop` of 5x5 does not fit an image of 1x2x2 padded by 1",
            ),
            (
                grey,
                Transform::Flip { probability: 1.5 },
                "`probability` of `flip` is out of range: expected 0 to 1, found 1.5",
            ),
            (
                grey,
                Transform::Flip {
                    probability: f32::NAN,
                },
                "`probability` of `flip` is out of range: expected 0 to 1, found NaN",
            ),
            (
                grey,
                Transform::PcaColor { std: 0.1, pca },
                "`pca_color` needs images of 3 channels, found 1",
            ),
            (
                color,
                Transform::PcaColor { std: -0.1, pca },
                "`std` of `pca_color` is out of range: expected 0 or more, found -0.1",
            ),
            (
                color,
                normalize(&[0.5], &[0.5]),
                "`mean` of `normalize` is out of range: expected 3 finite numbers, one a channel, found [0.5]",
            ),
            (
                grey,
                normalize(&[0.5], &[0.0]),
                "`std` of `normalize` is out of range: expected more than 0, found [0.0]",
            ),
            (
                grey,
                Transform::SubtractPixelMean { mean: vec![0.0; 3] },
                "`mean` of `subtract_pixel_mean` is out of range: expected 4 finite numbers, one a value of 1x2x2, found 3 numbers",
            ),
        ];
        for (size, transform, message) in cases {
            assert_eq!(
                transform.output_size(size).unwrap_err().to_string(),
                message
            );
        }
    }

    #[test]
    fn a_foreign_choice_is_refused() {
        let crop = Transform::RandomCrop {
            size: 2,
            padding: 0,
        };
        for choice in [Choice::Flip(true), Choice::Crop { top: 1, left: 0 }] {
            let error = crop.apply(counting(), &choice).unwrap_err();
            assert!(matches!(
                error,
                Error::ForeignChoice {
                    transform: "random_crop",
                    ..
                }
            ));
        }
    }
}
