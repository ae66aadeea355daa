//! From the transforms of a plan to those of the data crate, with all their numbers.

use data::{Interpolation, OnBadImage, Opened, Pipeline, Source, Transform, statistics};

use crate::error::Error;
use crate::recipe::{self, Normalize};

/// The transforms of training and of evaluation, resolved against a dataset.
#[derive(Clone, Debug, PartialEq)]
pub struct Preprocessing {
    /// For training images.
    pub train: Pipeline,
    /// For evaluation.
    pub test: Pipeline,
}

impl Preprocessing {
    /// Resolves `augment`; `train` are the images that are trained on, from which what a manifest
    /// does not hold is measured.
    ///
    /// # Errors
    ///
    /// Where an image cannot be read.
    pub fn new(
        augment: &recipe::Augment,
        opened: &Opened,
        train: &Source,
        on_bad_image: OnBadImage,
    ) -> Result<Self, data::Error> {
        let resolve = |transforms: &[recipe::Transform]| {
            let resolved: Result<Vec<Transform>, data::Error> = transforms
                .iter()
                .map(|transform| resolve(transform, opened, train, on_bad_image))
                .collect();
            resolved.map(Pipeline)
        };
        Ok(Self {
            train: resolve(&augment.train)?,
            test: resolve(&augment.test)?,
        })
    }
}

/// How an image of any size becomes one that a network takes: it is scaled until it covers `resize`, and its middle of
/// `crop` is cut out, both `[height, width]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Framing {
    /// What the image covers when it is scaled.
    pub resize: [usize; 2],
    /// How it is scaled.
    pub interpolation: Interpolation,
    /// The size of the middle.
    pub crop: [usize; 2],
}

impl Framing {
    /// The framing that a pipeline begins with, if it does, and the rest.
    pub fn split_off(pipeline: Pipeline) -> (Option<Self>, Pipeline) {
        match pipeline.0.as_slice() {
            [
                Transform::Resize {
                    height: rows,
                    width: columns,
                    interpolation,
                },
                Transform::CenterCrop { height, width },
                rest @ ..,
            ] => {
                let framing = Self {
                    resize: [*rows, *columns],
                    interpolation: *interpolation,
                    crop: [*height, *width],
                };
                (Some(framing), Pipeline(rest.to_vec()))
            }
            _ => (None, pipeline),
        }
    }

    /// The two transforms.
    pub fn transforms(&self) -> [Transform; 2] {
        let ([rows, columns], [height, width]) = (self.resize, self.crop);
        [
            Transform::Resize {
                height: rows,
                width: columns,
                interpolation: self.interpolation,
            },
            Transform::CenterCrop { height, width },
        ]
    }
}

fn resolve(
    transform: &recipe::Transform,
    opened: &Opened,
    train: &Source,
    on_bad_image: OnBadImage,
) -> Result<Transform, data::Error> {
    let published = opened.statistics.as_ref();
    Ok(match transform {
        recipe::Transform::RandomCrop {
            size,
            padding,
            padding_mode,
        } => Transform::RandomCrop {
            size: *size,
            padding: *padding,
            padding_mode: *padding_mode,
        },
        recipe::Transform::Resize {
            size,
            interpolation,
        } => Transform::Resize {
            height: *size,
            width: *size,
            interpolation: *interpolation,
        },
        recipe::Transform::CenterCrop { size } => Transform::CenterCrop {
            height: *size,
            width: *size,
        },
        recipe::Transform::RandomResizedCrop {
            size,
            scale,
            ratio,
            interpolation,
        } => Transform::RandomResizedCrop {
            size: *size,
            scale: scale.map(|share| share as f32),
            ratio: ratio.map(|ratio| ratio as f32),
            interpolation: *interpolation,
        },
        recipe::Transform::ScaleJitter {
            shorter_side,
            size,
            interpolation,
        } => Transform::ScaleJitter {
            shorter_side: *shorter_side,
            size: *size,
            interpolation: *interpolation,
        },
        recipe::Transform::Flip {
            probability,
            alternating,
        } => Transform::Flip {
            probability: *probability as f32,
            alternating: *alternating,
        },
        recipe::Transform::PcaColor { std } => Transform::PcaColor {
            std: *std as f32,
            pca: match published.and_then(|statistics| statistics.pca) {
                Some(pca) => pca,
                None => statistics::pca(train, on_bad_image)?,
            },
        },
        recipe::Transform::ColorJitter {
            brightness,
            contrast,
            saturation,
            hue,
        } => Transform::ColorJitter {
            brightness: *brightness as f32,
            contrast: *contrast as f32,
            saturation: *saturation as f32,
            hue: *hue as f32,
        },
        recipe::Transform::AutoAugment { policy } => Transform::AutoAugment { policy: *policy },
        recipe::Transform::RandAugment {
            num_ops,
            magnitude,
            num_magnitude_bins,
        } => Transform::RandAugment {
            num_ops: *num_ops,
            magnitude: *magnitude,
            num_magnitude_bins: *num_magnitude_bins,
        },
        recipe::Transform::TrivialAugmentWide { num_magnitude_bins } => {
            Transform::TrivialAugmentWide {
                num_magnitude_bins: *num_magnitude_bins,
            }
        }
        recipe::Transform::RandomErasing {
            probability,
            scale,
            ratio,
            value,
        } => Transform::RandomErasing {
            probability: *probability as f32,
            scale: scale.map(|share| share as f32),
            ratio: ratio.map(|ratio| ratio as f32),
            value: *value,
        },
        recipe::Transform::Normalize(Normalize::PerChannel) => match published {
            Some(statistics) => Transform::Normalize {
                mean: statistics.mean.clone(),
                std: statistics.std.clone(),
            },
            None => {
                let measured = statistics::channel_mean_std(train, on_bad_image)?;
                Transform::Normalize {
                    mean: measured.mean,
                    std: measured.std,
                }
            }
        },
        recipe::Transform::Normalize(Normalize::PerPixelMean) => Transform::SubtractPixelMean {
            mean: statistics::pixel_mean(train, on_bad_image)?,
        },
        recipe::Transform::Normalize(Normalize::Values(values)) => given(&values.mean, &values.std),
    })
}

/// A normalisation by numbers that the user gave.
pub fn given(mean: &[f64], std: &[f64]) -> Transform {
    let narrowed = |values: &[f64]| values.iter().map(|v| *v as f32).collect();
    Transform::Normalize {
        mean: narrowed(mean),
        std: narrowed(std),
    }
}

/// The error of transforms that do not fit the images, which was typed wrong.
pub fn misfit(error: data::Error) -> Error {
    if let data::Error::FewerThanProcesses { .. } = &error {
        return Error::usage("cannot share the batches").explained_by(error);
    }
    Error::usage("the transforms do not fit the images").explained_by(error)
}
