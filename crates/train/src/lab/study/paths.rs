//! Which paths through a residual network its gradient comes from (Veit et al. 2016,
//! arXiv:1605.06431, section 5).

use burn::module::Module;
use burn::tensor::Tensor;
use models::Model;
use models::routes::Route;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::index;

use super::subject::{self, Subject, unreadable};
use super::{Cell, Figure, Grid, Measured, Series, Study};
use crate::chart::{Across, Scale};
use crate::error::Error;
use crate::lab::effect::Effect;
use crate::loss::{Targets, of_scores};
use crate::recipe::Loss;
use crate::streams::say;
use crate::upload::images_of;

/// How much of the gradient the paths that count are to have together.
const MOST: f64 = 0.95;

/// Checks that there is more than one path through a network.
pub(super) fn check(name: &str, model: &Model, input: [usize; 3]) -> Result<(), Error> {
    if model.residual_blocks(input) == 0 {
        let what = format!("`{name}` has one path alone: it has no shortcuts");
        return Err(Error::usage(what).with_hint("take it out of the study"));
    }
    Ok(())
}

/// Follows gradients along paths of each length.
///
/// # Errors
///
/// With exit code 1, where an image cannot be read.
pub fn measure(study: &Study, subjects: &[Subject]) -> Result<Measured, Error> {
    let mut spectra = Vec::with_capacity(subjects.len());
    for subject in subjects {
        say(format_args!("following gradients in {}", subject.shown()));
        spectra.push(Spectrum::of(subject, study.samples)?);
    }
    let names = subject::names(subjects);
    Ok(Measured {
        figures: figures(&names, &spectra),
        grids: vec![overview(&spectra), lengths(&spectra)],
        effects: names.iter().map(|name| effect(name, &spectra)).collect(),
    })
}

/// The paths of a network by their length: the number of blocks whose layers they go through.
struct Spectrum<'a> {
    subject: &'a Subject,
    /// The share of all paths that are of a length.
    share: Vec<f64>,
    /// The mean norm of an image's gradient by its pixels along one path of a length.
    magnitude: Vec<f64>,
}

impl<'a> Spectrum<'a> {
    fn of(subject: &'a Subject, samples: usize) -> Result<Self, Error> {
        let blocks = subject.model.residual_blocks(subject.input());
        let mut rng = ChaCha8Rng::seed_from_u64(subject.key());
        let learning = subject.model.clone().train();
        let mut magnitude = Vec::with_capacity(blocks + 1);
        for length in 0..=blocks {
            let mut norms = Vec::with_capacity(samples);
            for batch in subject.train.once().take(samples) {
                let batch = batch.map_err(unreadable)?;
                let mut routes = vec![Route::BackThroughShortcut; blocks];
                for block in index::sample(&mut rng, blocks, length) {
                    routes[block] = Route::BackThroughLayers;
                }
                let device = subject.device.clone().autodiff();
                let images = images_of(&batch, &device);
                let targets = Targets::of(&batch, &device);
                norms.push(gradient(&learning, images, &routes, |logits| {
                    of_scores(logits.into(), &targets, &Loss::default())
                }));
            }
            magnitude.push(norms.iter().sum::<f64>() / norms.len() as f64);
        }
        Ok(Self {
            subject,
            share: binomial(blocks),
            magnitude,
        })
    }

    fn blocks(&self) -> usize {
        self.share.len() - 1
    }

    /// What share of the gradient comes from paths of each length.
    fn contribution(&self) -> Vec<f64> {
        let products = self.share.iter().zip(&self.magnitude);
        let products: Vec<f64> = products
            .map(|(share, magnitude)| share * magnitude)
            .collect();
        let sum: f64 = products.iter().sum();
        products.into_iter().map(|product| product / sum).collect()
    }

    fn mean_length(&self) -> f64 {
        let lengths = self.contribution().into_iter().enumerate();
        lengths.map(|(length, share)| length as f64 * share).sum()
    }

    /// The lengths in the middle that most of the gradient comes from: as much is left out below as above.
    fn effective(&self) -> [usize; 2] {
        let contribution = self.contribution();
        let reaching = |share: f64| {
            let mut sum = 0.0;
            let reached = contribution.iter().position(|one| {
                sum += one;
                sum >= share
            });
            reached.unwrap_or(contribution.len() - 1)
        };
        [f64::midpoint(0.0, 1.0 - MOST), f64::midpoint(1.0, MOST)].map(reaching)
    }

    /// What share of all paths the effective ones are.
    fn effective_share(&self) -> f64 {
        let [shortest, longest] = self.effective();
        self.share[shortest..=longest].iter().sum()
    }
}

/// The mean norm of an image's gradient by its pixels.
fn gradient(
    model: &Model,
    images: Tensor<4>,
    routes: &[Route],
    loss: impl FnOnce(Tensor<2>) -> Tensor<1>,
) -> f64 {
    let images = images.require_grad();
    let [n, channels, height, width] = images.dims();
    let gradients = loss(model.forward_on(images.clone(), routes)).backward();
    let Some(gradient) = images.grad(&gradients) else {
        return 0.0;
    };
    let squares = gradient
        .powi_scalar(2)
        .reshape([n, channels * height * width]);
    let norms: f32 = squares.sum_dim(1).sqrt().mean().into_scalar();
    // The loss is a mean over the images.
    f64::from(norms) * n as f64
}

/// Of `n` fair coins, how probable each number of heads is.
fn binomial(n: usize) -> Vec<f64> {
    let mut row = vec![1.0];
    for _ in 0..n {
        let mut next = vec![0.0; row.len() + 1];
        for (index, value) in row.iter().enumerate() {
            next[index] += value / 2.0;
            next[index + 1] += value / 2.0;
        }
        row = next;
    }
    row
}

fn effect(name: &str, spectra: &[Spectrum<'_>]) -> Effect {
    let shorter: Vec<(&Subject, f64)> = (spectra.iter())
        .map(|spectrum| {
            let half = spectrum.blocks() as f64 / 2.0;
            (spectrum.subject, half - spectrum.mean_length())
        })
        .collect();
    Effect::of_sample(
        &format!("the gradient of {name} comes from short paths"),
        "half of the blocks minus the mean length of the paths that it comes from",
        "blocks",
        subject::sample(name, &shorter),
    )
}

fn figures(names: &[&str], spectra: &[Spectrum<'_>]) -> Vec<Figure> {
    let longest = spectra.iter().map(Spectrum::blocks).max().unwrap_or(1) as f64;
    let figure = |name, title, y, scale, reading, values: fn(&Spectrum<'_>) -> Vec<f64>| {
        let series = names.iter().map(|name| {
            let ours = spectra
                .iter()
                .filter(|spectrum| spectrum.subject.name == **name);
            let curves = ours.map(|spectrum| {
                let values = values(spectrum).into_iter().enumerate();
                values
                    .map(|(length, value)| (length as f64, value))
                    .collect()
            });
            Series::averaged(name, &curves.collect::<Vec<_>>(), false)
        });
        Figure {
            name,
            title,
            x: "blocks whose layers a path goes through",
            y,
            range: Across::Linear(0.0..longest),
            scale,
            series: series.collect(),
            reading,
        }
    };
    vec![
        figure(
            "path-lengths",
            "How many paths",
            "% of all paths",
            Scale::Zero,
            "Each block may be gone through or around: the lengths of the paths are distributed as heads of fair coins.",
            |spectrum| spectrum.share.iter().map(|share| 100.0 * share).collect(),
        ),
        figure(
            "gradient-by-length",
            "The gradient along one path",
            "mean norm by an image's pixels",
            Scale::Spread,
            "Forward, the whole network; backward, one path of each length at a time, drawn at random. A straight fall on this \
             logarithmic axis is exponential.",
            |spectrum| spectrum.magnitude.clone(),
        ),
        figure(
            "gradient-share",
            "Where the gradient comes from",
            "% of the gradient",
            Scale::Zero,
            "The product of the two, normalised: most of the gradient comes from paths that are far shorter than most paths.",
            |spectrum| {
                let contribution = spectrum.contribution().into_iter();
                contribution.map(|share| 100.0 * share).collect()
            },
        ),
    ]
}

fn overview(spectra: &[Spectrum<'_>]) -> Grid {
    let row = |spectrum: &Spectrum<'_>| {
        let [shortest, longest] = spectrum.effective();
        vec![
            spectrum.subject.name.as_str().into(),
            spectrum.subject.seed.into(),
            (spectrum.blocks() as u64).into(),
            spectrum.mean_length().into(),
            (shortest as u64).into(),
            (longest as u64).into(),
            (100.0 * spectrum.effective_share()).into(),
        ]
    };
    Grid {
        name: "results",
        title: Some("The paths that 95 % of the gradient comes from".into()),
        head: vec![
            "network",
            "seed",
            "blocks",
            "mean length",
            "from",
            "to",
            "% of all paths",
        ],
        rows: spectra.iter().map(row).collect(),
    }
}

fn lengths(spectra: &[Spectrum<'_>]) -> Grid {
    let rows = spectra.iter().flat_map(|spectrum| {
        let contribution = spectrum.contribution().into_iter();
        let measured = spectrum
            .share
            .iter()
            .zip(&spectrum.magnitude)
            .zip(contribution);
        measured
            .enumerate()
            .map(|(length, ((share, magnitude), contribution))| {
                vec![
                    spectrum.subject.name.as_str().into(),
                    spectrum.subject.seed.into(),
                    Cell::from(length as u64),
                    Cell::from(*share),
                    Cell::from(*magnitude),
                    Cell::from(contribution),
                ]
            })
    });
    Grid {
        name: "paths",
        title: None,
        head: vec![
            "network",
            "seed",
            "length",
            "share_of_paths",
            "gradient",
            "share_of_gradient",
        ],
        rows: rows.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_as_long_as_coins_have_heads() {
        assert_eq!(binomial(3), [0.125, 0.375, 0.375, 0.125]);
        // `scipy.stats.binom.pmf([5, 27], 54, 0.5)`, scipy 1.17.1.
        let found = binomial(54);
        for (length, expected) in [
            (5, 1.755_545_708_803_652_4e-10),
            (27, 0.108_076_848_895_250_67),
        ] {
            assert!(
                (found[length] / expected - 1.0).abs() < 1e-9,
                "{}",
                found[length]
            );
        }
    }
}
