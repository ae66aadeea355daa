//! What reaches the layers of a network, and what they make of it: gradients and responses, layer by layer.

use std::collections::BTreeSet;

use burn::module::Module;
use models::{Model, parameters};

use super::subject::{self, Subject, unreadable};
use super::{Cell, Figure, Grid, Measured, Series, Study};
use crate::chart::{Across, Scale};
use crate::error::Error;
use crate::evaluate::images_of;
use crate::loss::{labels_of, of_scores};
use crate::streams::say;

/// A number of each layer of a network, front to back.
struct Profile<'a> {
    subject: &'a Subject,
    /// Whether the network is as it was drawn.
    is_drawn: bool,
    layers: Vec<(String, f64)>,
}

impl Profile<'_> {
    /// What figures call it.
    fn name(&self) -> String {
        let name = &self.subject.name;
        if self.is_drawn {
            format!("{name}, drawn")
        } else {
            name.clone()
        }
    }
}

/// Measures the gradients by the weights of each layer, of networks as they were drawn and as they are now.
///
/// # Errors
///
/// With exit code 1, where an image cannot be read.
pub fn gradients(study: &Study, subjects: &[Subject]) -> Result<Measured, Error> {
    let mut profiles = Vec::new();
    let mut growths = Vec::with_capacity(subjects.len());
    for subject in subjects {
        say(format_args!("measuring gradients of {}", subject.shown()));
        let first = profiles.len();
        for (is_drawn, model) in [
            (true, subject.drawn.as_ref()),
            (false, Some(&subject.model)),
        ] {
            if let Some(model) = model {
                profiles.push(Profile {
                    subject,
                    is_drawn,
                    layers: gradients_of(model, subject, study.samples)?,
                });
            }
        }
        // Of the network as it was drawn, where that is known: what training begins with.
        growths.push((subject, growth(&profiles[first].layers)));
    }
    Ok(Measured {
        figures: vec![figure(
            "gradients",
            "Gradients by layer",
            "root mean square of the gradient by a weight",
            "From the first layer to the last. Level: gradients reach the first layers; rising to the right: they vanish \
             on the way back; falling to the right: they explode. Line: mean over seeds; band: their range.",
            &profiles,
        )],
        grids: vec![
            overview(
                "Decades by which gradients grow from the first half of the layers to the second",
                &growths,
            ),
            table("gradients", "gradient", &profiles),
        ],
        effects: study.differences("decades", |name| subject::sample(name, &growths)),
    })
}

/// Measures what layers put out, behind their normalisation (He et al. 2015, arXiv:1512.03385, figure 7).
///
/// # Errors
///
/// With exit code 1, where an image cannot be read; with 2, where a network has no layer that is a convolution with a
/// normalisation behind it.
pub fn responses(study: &Study, subjects: &[Subject]) -> Result<Measured, Error> {
    let mut profiles = Vec::new();
    let mut means = Vec::with_capacity(subjects.len());
    for subject in subjects {
        say(format_args!("measuring responses of {}", subject.shown()));
        let layers = responses_of(subject, study.samples)?;
        if layers.is_empty() {
            let what = format!("`{}` shows no responses", subject.name);
            return Err(Error::usage(what)
                .because("they are measured behind convolutions that a normalisation follows")
                .with_hint("take it out of the study"));
        }
        let sum: f64 = layers.iter().map(|(_, deviation)| deviation).sum();
        means.push((subject, sum / layers.len() as f64));
        profiles.push(Profile {
            subject,
            is_drawn: false,
            layers,
        });
    }
    Ok(Measured {
        figures: vec![figure(
            "responses",
            "Responses by layer",
            "standard deviation",
            "From the first layer to the last, behind the normalisation and before anything is added or rectified. Weak \
             responses change little of what flows: residual functions are close to zero, and the closer, the more there \
             are of them. Line: mean over seeds; band: their range.",
            &profiles,
        )],
        grids: vec![
            overview("Mean standard deviation of the layers' responses", &means),
            table("responses", "deviation", &profiles),
        ],
        effects: study.differences("standard deviations", |name| subject::sample(name, &means)),
    })
}

/// The root mean square of the loss's gradient by the weights of each layer, in training mode, over so many batches.
fn gradients_of(
    model: &Model,
    subject: &Subject,
    batches: usize,
) -> Result<Vec<(String, f64)>, Error> {
    let learning = model.clone().train();
    let device = subject.device.clone().autodiff();
    let layers: Vec<_> = parameters::of(&learning)
        .into_iter()
        .filter(|parameter| parameter.role.is_learnt())
        .collect();
    let mut squares = vec![0.0; layers.len()];
    let mut count = 0;
    for batch in subject.train.once().take(batches) {
        let batch = batch.map_err(unreadable)?;
        let labels = labels_of(&batch, &device);
        let scores = learning.forward_train(images_of(&batch, &device));
        let mut found = of_scores(scores, &labels, 0.0).backward();
        let gradients = parameters::take_gradients(&learning, &mut found);
        for (sum, gradient) in squares.iter_mut().zip(gradients) {
            let square: Option<f32> =
                gradient.map(|gradient| gradient.powi_scalar(2).mean().into_scalar());
            *sum += f64::from(square.unwrap_or(0.0));
        }
        count += 1;
    }
    let measured = layers.into_iter().zip(squares);
    let weights = measured.filter(|(layer, _)| layer.role == parameters::Role::Weight);
    let named = weights.map(|(layer, square)| {
        let name = model.pytorch_name(&layer.path);
        (name, (square / f64::from(count)).sqrt())
    });
    Ok(named.collect())
}

/// The standard deviation of each layer's response, as the mean over so many batches.
fn responses_of(subject: &Subject, batches: usize) -> Result<Vec<(String, f64)>, Error> {
    let mut layers: Vec<(String, f64)> = Vec::new();
    let mut count = 0;
    for batch in subject.test.once().take(batches) {
        let images = images_of(&batch.map_err(unreadable)?, &subject.device);
        let responses = subject.model.responses(images);
        layers.resize_with(responses.len(), Default::default);
        for ((name, sum), response) in layers.iter_mut().zip(responses) {
            *name = response.layer;
            *sum += response.deviation;
        }
        count += 1;
    }
    let mean = |(name, sum)| (name, sum / f64::from(count));
    Ok(layers.into_iter().map(mean).collect())
}

/// By how many decades gradients grow from the first half of the layers to the second.
fn growth(layers: &[(String, f64)]) -> f64 {
    let logarithms: Vec<f64> = layers.iter().map(|(_, size)| size.log10()).collect();
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len().max(1) as f64;
    let (first, second) = logarithms.split_at(logarithms.len() / 2);
    mean(second) - mean(first)
}

fn figure(
    name: &'static str,
    title: &'static str,
    y: &'static str,
    reading: &'static str,
    profiles: &[Profile<'_>],
) -> Figure {
    let mut seen = BTreeSet::new();
    let names = profiles.iter().map(Profile::name);
    let names: Vec<String> = names.filter(|name| seen.insert(name.clone())).collect();
    let series = names.iter().map(|name| {
        let ours = profiles.iter().filter(|profile| profile.name() == *name);
        let curves = ours.map(|profile| {
            let last = (profile.layers.len() - 1).max(1) as f64;
            let sizes = profile.layers.iter().enumerate();
            sizes
                .map(|(index, (_, size))| (100.0 * index as f64 / last, *size))
                .collect()
        });
        Series::averaged(name, &curves.collect::<Vec<_>>(), false)
    });
    Figure {
        name,
        title,
        x: "depth of the layer, % of the network's",
        y,
        range: Across::Linear(0.0..100.0),
        scale: Scale::Spread,
        series: series.collect(),
        reading,
    }
}

fn overview(title: &str, figures: &[(&Subject, f64)]) -> Grid {
    let row = |(subject, figure): &(&Subject, f64)| {
        vec![
            subject.name.as_str().into(),
            subject.seed.into(),
            Cell::from(*figure),
        ]
    };
    Grid {
        name: "results",
        title: Some(title.to_owned()),
        head: vec!["network", "seed", "figure"],
        rows: figures.iter().map(row).collect(),
    }
}

fn table(name: &'static str, what: &'static str, profiles: &[Profile<'_>]) -> Grid {
    let rows = profiles.iter().flat_map(|profile| {
        let state = if profile.is_drawn { "drawn" } else { "trained" };
        profile
            .layers
            .iter()
            .enumerate()
            .map(move |(index, (layer, size))| {
                vec![
                    profile.subject.name.as_str().into(),
                    profile.subject.seed.into(),
                    state.into(),
                    Cell::from(index as u64 + 1),
                    layer.as_str().into(),
                    Cell::from(*size),
                ]
            })
    });
    Grid {
        name,
        title: None,
        head: vec!["network", "seed", "state", "number", "layer", what],
        rows: rows.collect(),
    }
}
