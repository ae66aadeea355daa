//! Augmentation: what is done to an image before the network sees it.
//!
//! Each transform first *chooses*, which needs randomness and the image's size only, and then *applies* the choice, which
//! is a plain function. So a choice can be looked at, repeated and tested.

mod color;
pub(crate) mod crop;
mod erase;
pub(crate) mod flip;
mod normalize;
mod operations;
mod policy;
mod random_resized_crop;
pub(crate) mod resize;
mod scale_jitter;
pub(crate) mod window;

use std::fmt;

pub use normalize::Normalization;
pub use operations::Operation;
pub use policy::Policy;
use rand::Rng;
pub use resize::Interpolation;
use serde::{Deserialize, Serialize};

use crate::random::{Purpose, stream};
use crate::{Error, Image, Part, Pca, Result, Size, Stored};

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
    /// Pads each side with `padding` pixels, then cuts a square of `size` at a random place; torchvision's `RandomCrop`.
    RandomCrop {
        /// Side of the square that is cut.
        size: usize,
        /// Pixels added on each side.
        padding: usize,
        /// What they are.
        #[serde(default)]
        padding_mode: PaddingMode,
    },
    /// Cuts a part of random area and shape at a random place, and scales it to a square; torchvision's `RandomResizedCrop`.
    ///
    /// Szegedy et al. 2014 (GoogLeNet), section 6: the part has an area "distributed evenly between 8 % and 100 %", and an
    /// aspect ratio "chosen randomly between 3/4 and 4/3", evenly in its logarithm. Where ten draws do not fit the image,
    /// the part is the middle, of the nearest ratio that fits.
    RandomResizedCrop {
        /// Side of the square.
        size: usize,
        /// The least and the largest share of the image's area.
        scale: [f32; 2],
        /// The least and the largest ratio of width to height.
        ratio: [f32; 2],
        /// How a pixel follows from those around it.
        interpolation: Interpolation,
    },
    /// Scales the image so that its shorter side is of random length, then cuts a square of `size` at a random place.
    ///
    /// Simonyan and Zisserman 2014 (VGG), section 3.1: a side from 256 to 512, and 224x224; He et al. 2015, section 3.4: a
    /// side from 256 to 480. torchvision's `RandomShortestSize` and `RandomCrop`.
    ScaleJitter {
        /// The least and the largest side, all whole numbers between being equally likely.
        shorter_side: [usize; 2],
        /// Side of the square.
        size: usize,
        /// How a pixel follows from those around it.
        interpolation: Interpolation,
    },
    /// Mirrors the image left to right.
    Flip {
        /// How often, from 0 to 1.
        probability: f32,
        /// Whether an image's coin is tossed once for the whole run, and every other epoch does the opposite of what it says:
        /// two epochs in a row see both sides of each image (Jordan 2024, arXiv:2404.00498, section 3.6).
        #[serde(default)]
        alternating: bool,
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
    /// Changes brightness, contrast, saturation and hue, in random order; torchvision's `ColorJitter`.
    ///
    /// The first three are factors, each drawn evenly from 1 less its strength, but not below 0, to 1 and its strength;
    /// the hue is turned by up to `hue` of its circle, either way.
    ColorJitter {
        /// Strength.
        brightness: f32,
        /// Strength.
        contrast: f32,
        /// Strength.
        saturation: f32,
        /// From 0 to 0.5.
        hue: f32,
    },
    /// One of 25 pairs of operations that a search found; torchvision's `AutoAugment`.
    ///
    /// Cubuk, Zoph, Mané, Vasudevan, Le 2018, arXiv:1805.09501, Tables 7 and 9. What comes in from outside is black.
    AutoAugment {
        /// Of which search.
        policy: Policy,
    },
    /// `num_ops` random operations of one magnitude; torchvision's `RandAugment`.
    ///
    /// Cubuk, Zoph, Shlens, Le 2019, arXiv:1909.13719.
    RandAugment {
        /// How many, one after the other.
        num_ops: usize,
        /// How strong, counted from 0.
        magnitude: usize,
        /// How many magnitudes there are; 31 in torchvision.
        num_magnitude_bins: usize,
    },
    /// One random operation of random magnitude; torchvision's `TrivialAugmentWide`.
    ///
    /// Müller and Hutter 2021, arXiv:2103.10158, the wide space of Table 6.
    TrivialAugmentWide {
        /// How many magnitudes there are; 31 in torchvision.
        num_magnitude_bins: usize,
    },
    /// Puts something else in the place of a random rectangle; torchvision's `RandomErasing`.
    ///
    /// Zhong, Zheng, Kang, Li, Yang 2017, arXiv:1708.04896, algorithm 1. Bytes become numbers, divided by 255.
    RandomErasing {
        /// How often, from 0 to 1.
        probability: f32,
        /// The least and the largest share of the image's area.
        scale: [f32; 2],
        /// The least and the largest ratio of height to width.
        ratio: [f32; 2],
        /// What is put there.
        value: Fill,
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

/// What is beyond the edges of an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaddingMode {
    /// Zeros.
    #[default]
    Constant,
    /// The image's reflection, in which the pixels of the edge themselves are not seen again.
    Reflect,
}

impl PaddingMode {
    /// Whether it is what a crop has unless it says otherwise.
    pub fn is_constant(&self) -> bool {
        *self == Self::Constant
    }
}

/// What takes the place of an erased part.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fill {
    /// One value.
    Value(f32),
    /// Values of a standard normal distribution; timm's `pixel` mode.
    Random,
}

impl fmt::Display for Fill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => write!(f, "{value}"),
            Self::Random => f.write_str("random"),
        }
    }
}

/// What a transform has drawn for one image.
#[derive(Debug, Clone, PartialEq)]
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
    /// What is cut out.
    Part(Part),
    /// How far to scale, and where the crop starts then.
    Scale {
        /// The shorter side of the scaled image.
        side: usize,
        /// Row of the crop's upper edge.
        top: usize,
        /// Column of its left edge.
        left: usize,
    },
    /// Whether to mirror.
    Flip(bool),
    /// What to add to red, green and blue.
    Color([f32; 3]),
    /// What to do one after the other, each with its magnitude.
    Operations(Vec<(Operation, f32)>),
    /// What to erase.
    Erase {
        /// Where, if anywhere.
        part: Option<Part>,
        /// Keys the values that are put there, where they are random.
        noise: u64,
    },
}

impl Transform {
    /// The transform's name in a recipe.
    pub fn name(&self) -> &'static str {
        match self {
            Transform::Resize { .. } => "resize",
            Transform::CenterCrop { .. } => "center_crop",
            Transform::RandomCrop { .. } => "random_crop",
            Transform::RandomResizedCrop { .. } => random_resized_crop::NAME,
            Transform::ScaleJitter { .. } => scale_jitter::NAME,
            Transform::Flip { .. } => "flip",
            Transform::PcaColor { .. } => "pca_color",
            Transform::ColorJitter { .. } => "color_jitter",
            Transform::AutoAugment { .. } => "auto_augment",
            Transform::RandAugment { .. } => "rand_augment",
            Transform::TrivialAugmentWide { .. } => "trivial_augment_wide",
            Transform::RandomErasing { .. } => erase::NAME,
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
                padding_mode,
            } => crop::output_size(*side, *padding, *padding_mode, size),
            Transform::RandomResizedCrop {
                size: side,
                scale,
                ratio,
                ..
            } => random_resized_crop::output_size(*side, *scale, *ratio, size),
            Transform::ScaleJitter {
                shorter_side,
                size: side,
                ..
            } => scale_jitter::output_size(*shorter_side, *side, size),
            Transform::Flip { probability, .. } => {
                flip::check(self.name(), *probability).map(|()| size)
            }
            Transform::PcaColor { std, pca } => color::check(*std, pca, size).map(|()| size),
            Transform::ColorJitter {
                brightness,
                contrast,
                saturation,
                hue,
            } => policy::check_jitter([*brightness, *contrast, *saturation], *hue).map(|()| size),
            Transform::AutoAugment { .. } => Ok(size),
            Transform::RandAugment {
                num_ops,
                magnitude,
                num_magnitude_bins,
            } => {
                policy::check_rand_augment(*num_ops, *magnitude, *num_magnitude_bins).map(|()| size)
            }
            Transform::TrivialAugmentWide { num_magnitude_bins } => {
                policy::check_bins(self.name(), *num_magnitude_bins).map(|()| size)
            }
            Transform::RandomErasing {
                probability,
                scale,
                ratio,
                ..
            } => erase::check(*probability, *scale, *ratio).map(|()| size),
            Transform::Normalize { mean, std } => {
                normalize::check_channels(mean, std, size).map(|()| size)
            }
            Transform::SubtractPixelMean { mean } => {
                normalize::check_pixels(mean, size).map(|()| size)
            }
        }
    }

    /// Draws what to do to one image of `size`.
    ///
    /// # Panics
    ///
    /// Where the transform cannot be used on it, of which [`Transform::output_size`] makes an error.
    pub fn choose(&self, size: Size, rng: &mut impl Rng) -> Choice {
        // Once for all generators: inlined into every draw of every transform, one takes minutes to compile.
        self.draw(size, rng)
    }

    fn draw(&self, size: Size, mut rng: &mut dyn Rng) -> Choice {
        let rng = &mut rng;
        match self {
            Transform::RandomCrop {
                size: side,
                padding,
                ..
            } => crop::choose(*side, *padding, size, rng),
            Transform::RandomResizedCrop { scale, ratio, .. } => {
                random_resized_crop::choose(*scale, *ratio, size, rng)
            }
            Transform::ScaleJitter {
                shorter_side,
                size: side,
                ..
            } => scale_jitter::choose(*shorter_side, *side, size, rng),
            Transform::Flip { probability, .. } => flip::choose(*probability, rng),
            Transform::PcaColor { std, pca } => color::choose(*std, pca, rng),
            Transform::ColorJitter {
                brightness,
                contrast,
                saturation,
                hue,
            } => policy::color_jitter([*brightness, *contrast, *saturation], *hue, rng),
            Transform::AutoAugment { policy } => policy::auto_augment(*policy, size, rng),
            Transform::RandAugment {
                num_ops,
                magnitude,
                num_magnitude_bins,
            } => policy::rand_augment(*num_ops, *magnitude, *num_magnitude_bins, size, rng),
            Transform::TrivialAugmentWide { num_magnitude_bins } => {
                policy::trivial_augment_wide(*num_magnitude_bins, rng)
            }
            Transform::RandomErasing {
                probability,
                scale,
                ratio,
                ..
            } => erase::choose(*probability, *scale, *ratio, size, rng),
            Transform::Resize { .. }
            | Transform::CenterCrop { .. }
            | Transform::Normalize { .. }
            | Transform::SubtractPixelMean { .. } => Choice::Fixed,
        }
    }

    /// Does to `image` what was chosen; of one that is not decoded yet, only what is wanted is decoded.
    pub fn apply(&self, image: impl Into<Stored>, choice: &Choice) -> Result<Image> {
        let image = image.into();
        let size = image.size();
        match (self, choice.clone()) {
            (
                Transform::Resize {
                    height,
                    width,
                    interpolation,
                },
                Choice::Fixed,
            ) => {
                let to = resize::output_size(*height, *width, size)?;
                image.scaled(Part::whole(size), [to.height, to.width], *interpolation)
            }
            (Transform::CenterCrop { height, width }, Choice::Fixed) => {
                let to = crop::middle_size(*height, *width, size)?;
                image.cut(crop::middle(size, to))
            }
            (
                Transform::RandomCrop {
                    size: side,
                    padding,
                    padding_mode,
                },
                Choice::Crop { top, left },
            ) => {
                let to = crop::output_size(*side, *padding, *padding_mode, size)?;
                let padding = Padding {
                    pixels: *padding,
                    mode: *padding_mode,
                };
                let fits = top + to.height <= size.height + 2 * padding.pixels
                    && left + to.width <= size.width + 2 * padding.pixels;
                match fits {
                    true if padding.pixels == 0 => image.cut(crop::square(*side, top, left)),
                    true => Ok(crop::apply(&image.decode()?, to, padding, top, left)),
                    false => Err(self.foreign(choice)),
                }
            }
            (
                Transform::RandomResizedCrop {
                    size: side,
                    interpolation,
                    ..
                },
                Choice::Part(part),
            ) if part.fits(size) => image.sampled(part, [*side; 2], *interpolation),
            (
                Transform::ScaleJitter {
                    size: crop,
                    interpolation,
                    ..
                },
                Choice::Scale { side, top, left },
            ) => {
                let to = resize::output_size(side, side, size)?;
                let part = crop::square(*crop, top, left);
                if !part.fits(to) {
                    return Err(self.foreign(choice));
                }
                image.sampled_within(to, part, *interpolation)
            }
            (Transform::Flip { .. }, Choice::Flip(mirror)) => {
                Ok(flip::apply(image.decode()?, mirror))
            }
            (Transform::PcaColor { .. }, Choice::Color(shift)) => {
                color::apply(image.decode()?, shift)
            }
            (
                Transform::ColorJitter { .. }
                | Transform::AutoAugment { .. }
                | Transform::RandAugment { .. }
                | Transform::TrivialAugmentWide { .. },
                Choice::Operations(chosen),
            ) => chosen
                .into_iter()
                .try_fold(image.decode()?, |image, (operation, magnitude)| {
                    operations::apply(self.name(), image, operation, magnitude)
                }),
            (Transform::RandomErasing { .. }, Choice::Erase { part: None, .. }) => image.decode(),
            (
                Transform::RandomErasing { value, .. },
                Choice::Erase {
                    part: Some(part),
                    noise,
                },
            ) if part.fits(size) => Ok(erase::apply(image.decode()?, part, *value, noise)),
            (Transform::Normalize { mean, std }, Choice::Fixed) => {
                normalize::apply_channels(image.decode()?, mean, std)
            }
            (Transform::SubtractPixelMean { mean }, Choice::Fixed) => {
                normalize::apply_pixels(image.decode()?, mean)
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
            Transform::RandomCrop {
                size,
                padding,
                padding_mode,
            } => {
                let reflected = match padding_mode {
                    PaddingMode::Constant => "",
                    PaddingMode::Reflect => " reflected",
                };
                write!(f, "{name} {size}x{size} padding {padding}{reflected}")
            }
            Transform::RandomResizedCrop {
                size,
                scale: [least, most],
                ratio: [narrow, wide],
                interpolation,
            } => write!(
                f,
                "{name} {size}x{size} scale {least} to {most} ratio {narrow} to {wide} {interpolation}"
            ),
            Transform::ScaleJitter {
                shorter_side: [least, most],
                size,
                interpolation,
            } => write!(
                f,
                "{name} {least} to {most} {interpolation}, crop {size}x{size}"
            ),
            Transform::Flip {
                probability,
                alternating: false,
            } => write!(f, "{name} {probability}"),
            Transform::Flip { probability, .. } => write!(f, "{name} {probability}, alternating"),
            Transform::PcaColor { std, .. } => write!(f, "{name} std {std}"),
            Transform::ColorJitter {
                brightness,
                contrast,
                saturation,
                hue,
            } => write!(
                f,
                "{name} brightness {brightness} contrast {contrast} saturation {saturation} hue {hue}"
            ),
            Transform::AutoAugment { policy } => write!(f, "{name} {policy}"),
            Transform::RandAugment {
                num_ops,
                magnitude,
                num_magnitude_bins,
            } => write!(
                f,
                "{name} {num_ops} of magnitude {magnitude} of {num_magnitude_bins}"
            ),
            Transform::TrivialAugmentWide { num_magnitude_bins } => {
                write!(f, "{name} of {num_magnitude_bins} magnitudes")
            }
            Transform::RandomErasing {
                probability, value, ..
            } => write!(f, "{name} {probability} by {value}"),
            Transform::Normalize { mean, std } => write!(f, "{name} mean {mean:?} std {std:?}"),
            Transform::SubtractPixelMean { .. } => f.write_str(name),
        }
    }
}

/// Which image of a training run is augmented, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Of the run.
    pub seed: u64,
    /// Counted from 0.
    pub epoch: u64,
    /// The image's number, each repetition having one of its own.
    pub image: u64,
}

/// What is put around an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Padding {
    /// How many pixels on each side.
    pub pixels: usize,
    /// What they are.
    pub mode: PaddingMode,
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

    /// The normalisation that the pipeline ends with, if it does, and the rest.
    pub(crate) fn split_normalization(mut self) -> (Self, Option<Normalization>) {
        let normalization = self.0.last().and_then(Normalization::of);
        self.0
            .truncate(self.0.len() - usize::from(normalization.is_some()));
        (self, normalization)
    }

    /// Chooses and applies each transform in turn.
    pub fn apply(&self, image: impl Into<Stored>, rng: &mut impl Rng) -> Result<Image> {
        self.apply_chosen(image.into(), |transform, size| transform.choose(size, rng))
    }

    /// The same for an image of a training run.
    pub(crate) fn apply_at(&self, image: impl Into<Stored>, place: Place) -> Result<Image> {
        let mut rng = stream(place.seed, Purpose::Augment, place.epoch, place.image);
        self.apply_chosen(image.into(), |transform, size| {
            let choice = transform.choose(size, &mut rng);
            match (transform, choice) {
                (
                    Transform::Flip {
                        probability,
                        alternating: true,
                    },
                    _,
                ) => flip::choose_alternating(*probability, place),
                (_, choice) => choice,
            }
        })
    }

    fn apply_chosen(
        &self,
        image: Stored,
        mut choose: impl FnMut(&Transform, Size) -> Choice,
    ) -> Result<Image> {
        let transformed = self.0.iter().try_fold(image, |image, transform| {
            let choice = choose(transform, image.size());
            Ok(Stored::Decoded(transform.apply(image, &choice)?))
        });
        transformed?.decode()
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
pub(crate) fn ensure(
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
    use crate::random::ChaCha8Rng;

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
            padding_mode: PaddingMode::Constant,
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

    /// torchvision 0.29: `F.crop(F.pad(image, [2] * 4, padding_mode="reflect"), top, left, 3, 3)`, `image` being
    /// `torch.arange(1, 10).reshape(1, 3, 3)`.
    #[test]
    fn reflections_are_those_of_torchvision() {
        let transform = Transform::RandomCrop {
            size: 3,
            padding: 2,
            padding_mode: PaddingMode::Reflect,
        };
        let image = Image {
            size: Size::new(1, 3, 3),
            pixels: Pixels::U8((1..=9).collect()),
        };
        let golden: [((usize, usize), [u8; 9]); 4] = [
            ((0, 0), [9, 8, 7, 6, 5, 4, 3, 2, 1]),
            ((4, 4), [9, 8, 7, 6, 5, 4, 3, 2, 1]),
            ((2, 2), [1, 2, 3, 4, 5, 6, 7, 8, 9]),
            ((1, 3), [5, 6, 5, 2, 3, 2, 5, 6, 5]),
        ];
        for ((top, left), expected) in golden {
            let crop = Choice::Crop { top, left };
            let cropped = transform.apply(image.clone(), &crop).unwrap();
            assert_eq!(
                cropped.pixels,
                Pixels::U8(expected.to_vec()),
                "{top} {left}"
            );
        }
        let too_much = Transform::RandomCrop {
            size: 3,
            padding: 3,
            padding_mode: PaddingMode::Reflect,
        };
        let error = too_much.output_size(image.size).unwrap_err().to_string();
        assert_eq!(
            error,
            "`padding` of `random_crop` is out of range: expected below 3, the image's side, to reflect it, found 3"
        );
    }

    /// torchvision 0.29: `F.hflip(counting)`.
    #[test]
    fn flips_are_those_of_torchvision() {
        let flip = Transform::Flip {
            probability: 0.5,
            alternating: false,
        };
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
                    padding_mode: PaddingMode::Constant,
                },
                Transform::Flip {
                    probability: 0.3,
                    alternating: false,
                },
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
            padding_mode: PaddingMode::Constant,
        };
        let flip = Transform::Flip {
            probability: 0.5,
            alternating: false,
        };
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
            padding_mode: PaddingMode::Constant,
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
                    let choice = Transform::Flip {
                        probability,
                        alternating: false,
                    }
                    .choose(counting().size, &mut rng(index));
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
                Transform::RandomCrop { size: side, padding, padding_mode: PaddingMode::Constant },
                Transform::Flip { probability: 0.5, alternating: false },
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

    proptest! {
        /// Each image is seen from both sides in any two epochs in a row, and the coin is fair and as in no other run.
        #[test]
        fn alternating_flips_show_both_sides(seed: u64, epoch in 0..1_000_u64, image in 0..50_000_u64) {
            let flip = Pipeline(vec![Transform::Flip { probability: 0.5, alternating: true }]);
            let seen = |epoch, image| {
                flip.apply_at(counting(), Place { seed, epoch, image }).unwrap()
            };
            prop_assert_ne!(seen(epoch, image), seen(epoch + 1, image));
            prop_assert_eq!(seen(epoch, image), seen(epoch + 2, image));
            let mirrored = (0..100).filter(|image| seen(epoch, *image) != counting()).count();
            prop_assert!((20..=80).contains(&mirrored), "{} of 100", mirrored);
        }
    }

    /// Every transform of bytes that draws something.
    fn random_transforms() -> Vec<Transform> {
        let interpolation = Interpolation::Bilinear;
        vec![
            Transform::RandomResizedCrop {
                size: 5,
                scale: [0.08, 1.0],
                ratio: [0.75, 4.0 / 3.0],
                interpolation,
            },
            Transform::ScaleJitter {
                shorter_side: [6, 9],
                size: 6,
                interpolation,
            },
            Transform::ColorJitter {
                brightness: 0.4,
                contrast: 1.5,
                saturation: 0.4,
                hue: 0.5,
            },
            Transform::AutoAugment {
                policy: Policy::Imagenet,
            },
            Transform::AutoAugment {
                policy: Policy::Cifar10,
            },
            Transform::RandAugment {
                num_ops: 3,
                magnitude: 30,
                num_magnitude_bins: 31,
            },
            Transform::TrivialAugmentWide {
                num_magnitude_bins: 31,
            },
            Transform::RandomErasing {
                probability: 0.5,
                scale: [0.02, 0.9],
                ratio: [0.3, 3.3],
                value: Fill::Random,
            },
        ]
    }

    proptest! {
        /// Whatever is chosen can be applied to images of any size, and gives the size that was promised.
        #[test]
        fn what_is_drawn_fits(grey: bool, height in 1..24_usize, width in 1..24_usize, seed: u64) {
            let size = Size::new(if grey { 1 } else { 3 }, height, width);
            let pixels = (0..size.values()).map(|at| (at * 89 % 256) as u8).collect();
            let image = Image { size, pixels: Pixels::U8(pixels) };
            for transform in random_transforms() {
                let promised = transform.output_size(size).unwrap();
                let choice = transform.choose(size, &mut rng(seed));
                let transformed = transform.apply(image.clone(), &choice).unwrap();
                prop_assert_eq!(transformed.size, promised);
                prop_assert_eq!(transformed.pixels.len(), promised.values());
            }
        }
    }

    /// Up to half of the image's area, almost every draw fits, so that the mean area is that of the range.
    #[test]
    fn random_resized_crops_have_the_areas_and_ratios_asked_for() {
        let size = Size::new(3, 300, 400);
        let crop = Transform::RandomResizedCrop {
            size: 224,
            scale: [0.08, 0.5],
            ratio: [0.75, 4.0 / 3.0],
            interpolation: Interpolation::Bilinear,
        };
        let parts: Vec<Part> = (0..4_000)
            .map(|index| match crop.choose(size, &mut rng(index)) {
                Choice::Part(part) => part,
                other => panic!("{other:?}"),
            })
            .collect();
        let mean = |of: &dyn Fn(&Part) -> f64| parts.iter().map(of).sum::<f64>() / 4_000.0;
        let area = mean(&|part| (part.height * part.width) as f64 / 120_000.0);
        assert!((area - 0.29).abs() < 0.01, "{area}");
        let ratio = mean(&|part| (part.width as f64 / part.height as f64).ln());
        assert!(ratio.abs() < 0.02, "{ratio}");
        let middle = mean(&|part| part.left as f64 / (400 - part.width) as f64);
        assert!((middle - 0.5).abs() < 0.02, "{middle}");
    }

    /// torchvision 0.29: no draw of these ranges fits, and the middle of `RandomResizedCrop.make_params` is taken.
    #[test]
    fn where_no_part_fits_it_is_the_middle() {
        let crop = |ratio| Transform::RandomResizedCrop {
            size: 4,
            scale: [1.0, 1.0],
            ratio,
            interpolation: Interpolation::Bilinear,
        };
        let part = |top, left, height, width| {
            Choice::Part(Part {
                top,
                left,
                height,
                width,
            })
        };
        let wide = Size::new(3, 10, 100);
        assert_eq!(
            crop([0.75, 1.5]).choose(wide, &mut rng(0)),
            part(0, 42, 10, 15)
        );
        let narrow = Size::new(3, 100, 10);
        assert_eq!(
            crop([0.75, 1.5]).choose(narrow, &mut rng(0)),
            part(43, 0, 13, 10)
        );
    }

    #[test]
    fn what_changes_bytes_refuses_numbers() {
        let numbers = Image {
            size: Size::new(1, 1, 1),
            pixels: Pixels::F32(vec![0.5]),
        };
        let jitter = Transform::TrivialAugmentWide {
            num_magnitude_bins: 31,
        };
        let choice = jitter.choose(numbers.size, &mut rng(0));
        let error = jitter.apply(numbers, &choice).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`trivial_augment_wide` needs images of bytes"
        );
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
                    padding_mode: PaddingMode::Constant,
                },
                "`size` of `random_crop` is out of range: expected 1 to 4096, found 0",
            ),
            (
                grey,
                Transform::RandomCrop {
                    size: 2,
                    padding: usize::MAX,
                    padding_mode: PaddingMode::Constant,
                },
                "`padding` of `random_crop` is out of range: expected 0 to 4096, found 18446744073709551615",
            ),
            (
                grey,
                Transform::RandomCrop {
                    size: 5,
                    padding: 1,
                    padding_mode: PaddingMode::Constant,
                },
                "`random_crop` of 5x5 does not fit an image of 1x2x2 padded by 1",
            ),
            (
                color,
                Transform::RandomResizedCrop {
                    size: 2,
                    scale: [0.5, 1.5],
                    ratio: [0.75, 1.5],
                    interpolation: Interpolation::Bilinear,
                },
                "`scale` of `random_resized_crop` is out of range: expected two numbers above 0, up to 1, the larger one last, found [0.5, 1.5]",
            ),
            (
                color,
                Transform::RandomResizedCrop {
                    size: 2,
                    scale: [0.5, 1.0],
                    ratio: [1.5, 0.75],
                    interpolation: Interpolation::Bilinear,
                },
                "`ratio` of `random_resized_crop` is out of range: expected two numbers above 0, the larger one last, found [1.5, 0.75]",
            ),
            (
                color,
                Transform::ScaleJitter {
                    shorter_side: [256, 480],
                    size: 288,
                    interpolation: Interpolation::Bilinear,
                },
                "`shorter_side` of `scale_jitter` is out of range: expected two numbers, 288 or more, the larger one last, found [256, 480]",
            ),
            (
                color,
                Transform::ColorJitter {
                    brightness: 0.0,
                    contrast: 0.0,
                    saturation: 0.0,
                    hue: 0.6,
                },
                "`hue` of `color_jitter` is out of range: expected 0 to 0.5, found 0.6",
            ),
            (
                color,
                Transform::RandAugment {
                    num_ops: 2,
                    magnitude: 31,
                    num_magnitude_bins: 31,
                },
                "`magnitude` of `rand_augment` is out of range: expected 0 to 30, found 31",
            ),
            (
                grey,
                Transform::Flip {
                    probability: 1.5,
                    alternating: false,
                },
                "`probability` of `flip` is out of range: expected 0 to 1, found 1.5",
            ),
            (
                grey,
                Transform::Flip {
                    probability: f32::NAN,
                    alternating: false,
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
            padding_mode: PaddingMode::Constant,
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
