//! Which gradients reach the layers of a network: as it was drawn, while it is trained, and at the end; with its auxiliary
//! classifiers and without.

use burn::module::Module;
use models::{Description, Model, noise, parameters};

use super::layers::{self, Layer, Profile};
use super::subject::{self, Subject, unreadable};
use super::{Figure, Grid, Measured, Series, Study};
use crate::chart::{Across, Scale};
use crate::error::Error;
use crate::lab::effect::Effect;
use crate::loss::{Targets, of_scores};
use crate::recipe::Loss;
use crate::streams::say;
use crate::upload::images_of;

const DECADES: &str = "decades";

/// Measures the gradients by the weights of each layer.
///
/// # Errors
///
/// With exit code 1, where an image cannot be read.
pub fn measure(study: &Study, subjects: &[Subject]) -> Result<Measured, Error> {
    let mut courses = Vec::with_capacity(subjects.len());
    for subject in subjects {
        say(format_args!("measuring gradients of {}", subject.shown()));
        courses.push(Course::of(subject, study.samples)?);
    }
    let growths: Vec<(&Subject, f64)> = (courses.iter())
        .map(|course| (course.subject, growth(&course.first().all)))
        .collect();
    let mut effects = study.differences(DECADES, |name| subject::sample(name, &growths));
    effects.extend(auxiliary_effects(subjects, &courses));
    let mut figures = vec![by_layer(&courses)];
    figures.extend(by_step(&courses));
    Ok(Measured {
        figures,
        grids: vec![
            layers::overview(
                "Decades by which gradients grow from the first half of the layers to the second, before training where \
                 that is known",
                &growths,
            ),
            table(&courses),
        ],
        effects,
    })
}

/// The gradients of a network through its training.
struct Course<'a> {
    subject: &'a Subject,
    /// By rising step; one at least.
    moments: Vec<Moment>,
}

/// The gradients of a network at a step of its training.
struct Moment {
    /// Updates so far, where that is known.
    step: Option<u64>,
    /// Of the loss that it is trained by.
    all: Vec<Layer>,
    /// Of that loss without the auxiliary classifiers, where the network has some.
    main: Option<Vec<Layer>>,
}

impl<'a> Course<'a> {
    fn of(subject: &'a Subject, batches: usize) -> Result<Self, Error> {
        let has_auxiliary =
            Description::of(&subject.model, subject.input()).auxiliary_parameters > 0;
        let past = subject
            .past
            .iter()
            .map(|past| (Some(past.step), &past.model));
        let last = (subject.steps, &subject.model);
        let moments = past.chain([last]).map(|(step, model)| {
            let all = gradients_of(model, subject, batches, true)?;
            if !has_auxiliary {
                return Ok(Moment {
                    step,
                    all,
                    main: None,
                });
            }
            let main = gradients_of(model, subject, batches, false)?;
            Ok(Moment {
                step,
                all: only(all, &main),
                main: Some(main),
            })
        });
        Ok(Self {
            subject,
            moments: moments.collect::<Result<_, Error>>()?,
        })
    }

    /// What training begins with, where that is known.
    fn first(&self) -> &Moment {
        &self.moments[0]
    }

    fn last(&self) -> &Moment {
        &self.moments[self.moments.len() - 1]
    }
}

/// Those of the layers that are among `others`.
fn only(layers: Vec<Layer>, others: &[Layer]) -> Vec<Layer> {
    let is_among = |layer: &Layer| others.iter().any(|other| other.0 == layer.0);
    layers.into_iter().filter(is_among).collect()
}

/// The root mean square of the loss's gradient by the weights of each layer that has one, in training mode, over so many
/// batches; with the loss of auxiliary classifiers or without.
fn gradients_of(
    model: &Model,
    subject: &Subject,
    batches: usize,
    with_auxiliary: bool,
) -> Result<Vec<Layer>, Error> {
    let learning = model.clone().train();
    let device = subject.device.clone().autodiff();
    let layers: Vec<_> = parameters::of(&learning)
        .into_iter()
        .filter(|parameter| parameter.role.is_learnt())
        .collect();
    let mut squares: Vec<Option<f64>> = vec![None; layers.len()];
    let mut count = 0;
    for batch in subject.train.once().take(batches) {
        let batch = batch.map_err(unreadable)?;
        let targets = Targets::of(&batch, &device);
        noise::start(subject.key(), count, 0);
        let mut scores = learning.forward_train(images_of(&batch, &device));
        if !with_auxiliary {
            scores.auxiliary.clear();
        }
        let mut found = of_scores(scores, &targets, &Loss::default()).backward();
        let gradients = parameters::take_gradients(&learning, &mut found);
        for (sum, gradient) in squares.iter_mut().zip(gradients) {
            if let Some(gradient) = gradient {
                let square: f32 = gradient.powi_scalar(2).mean().into_scalar();
                *sum = Some(sum.unwrap_or(0.0) + f64::from(square));
            }
        }
        count += 1;
    }
    let measured = layers.into_iter().zip(squares);
    let weights = measured.filter(|(layer, _)| layer.role == parameters::Role::Weight);
    let named = weights.filter_map(|(layer, square)| {
        let name = model.pytorch_name(&layer.path);
        Some((name, (square? / count as f64).sqrt()))
    });
    Ok(named.collect())
}

/// By how many decades gradients grow from the first half of the layers to the second.
fn growth(layers: &[Layer]) -> f64 {
    let (first, second) = layers.split_at(layers.len() / 2);
    mean_decade(second) - mean_decade(first)
}

fn mean_decade(layers: &[Layer]) -> f64 {
    let sum: f64 = layers.iter().map(|(_, size)| size.log10()).sum();
    sum / layers.len().max(1) as f64
}

/// What auxiliary classifiers do for the first layers, which they are there for (Szegedy et al. 2014, arXiv:1409.4842,
/// section 5).
fn auxiliary_effects(subjects: &[Subject], courses: &[Course<'_>]) -> Vec<Effect> {
    let first_half = |layers: &[Layer]| mean_decade(&layers[..layers.len() / 2]);
    let gains: Vec<(&Subject, f64)> = (courses.iter())
        .filter_map(|course| {
            let Moment { all, main, .. } = course.first();
            Some((course.subject, first_half(all) - first_half(main.as_ref()?)))
        })
        .collect();
    let names = subject::names(subjects).into_iter();
    names
        .filter(|name| gains.iter().any(|(subject, _)| subject.name == *name))
        .map(|name| {
            Effect::of_sample(
                &format!("auxiliary classifiers raise the gradients of the first half of {name}"),
                "with them minus without them, before training where that is known,",
                DECADES,
                subject::sample(name, &gains),
            )
        })
        .collect()
}

fn by_layer(courses: &[Course<'_>]) -> Figure {
    let profiles: Vec<Profile<'_>> = courses.iter().flat_map(profiles).collect();
    layers::figure(
        "gradients",
        "Gradients by layer",
        "root mean square of the gradient by a weight",
        "From the first layer to the last. Level: gradients reach the first layers; rising to the right: they vanish on the \
         way back; falling to the right: they explode. Line: mean over seeds; band: their range.",
        &profiles,
    )
}

/// Of the network as it was drawn, and as it is at the end.
fn profiles<'a>(course: &'a Course<'_>) -> Vec<Profile<'a>> {
    let name = &course.subject.name;
    let drawn = course.first();
    let mut profiles: Vec<Profile<'a>> = Vec::new();
    let mut add = |name: String, moment: &'a Moment| {
        if let Some(main) = &moment.main {
            profiles.push((format!("{name}, without auxiliary classifiers"), main));
        }
        profiles.push((name, &moment.all));
    };
    if drawn.step == Some(0) {
        add(format!("{name}, drawn"), drawn);
    }
    add(name.clone(), course.last());
    profiles
}

/// None where no network was seen in the midst of its training.
fn by_step(courses: &[Course<'_>]) -> Option<Figure> {
    let growths = |course: &Course<'_>| {
        let moments = course.moments.iter();
        moments
            .filter_map(|moment| Some((moment.step? as f64, growth(&moment.all))))
            .collect::<Vec<_>>()
    };
    let curves: Vec<(&str, Vec<(f64, f64)>)> = (courses.iter())
        .map(|course| (course.subject.name.as_str(), growths(course)))
        .filter(|(_, growths)| growths.len() > 1)
        .collect();
    let steps = curves.iter().filter_map(|(_, growths)| growths.last());
    let most = steps.map(|(step, _)| *step).fold(0.0, f64::max);
    let mut names: Vec<&str> = curves.iter().map(|(name, _)| *name).collect();
    names.dedup();
    let series = names.into_iter().map(|name| {
        let ours = curves.iter().filter(|(other, _)| *other == name);
        Series::averaged(
            name,
            &ours.map(|(_, growths)| growths.clone()).collect::<Vec<_>>(),
            true,
        )
    });
    (most > 0.0).then(|| Figure {
        name: "gradients-by-step",
        title: "Gradients over training",
        x: "steps",
        y: "decades from first half to second",
        range: Across::Linear(0.0..most),
        scale: Scale::Lowest,
        series: series.collect(),
        reading: "How gradients grow with depth. At 0, gradients are as large in the first half of the layers as in the second; above, they vanish on the way \
                  back; below, they explode. Points: checkpoints. Line: mean over seeds; band: their range.",
    })
}

fn table(courses: &[Course<'_>]) -> Grid {
    let rows = courses.iter().flat_map(|course| {
        course.moments.iter().flat_map(|moment| {
            let subject = course.subject;
            let first = |auxiliary: &str| {
                let name = subject.name.as_str();
                vec![
                    name.into(),
                    subject.seed.into(),
                    moment.step.into(),
                    auxiliary.into(),
                ]
            };
            let main = moment
                .main
                .iter()
                .flat_map(move |main| layers::rows(first("without"), main));
            let has_auxiliary = if moment.main.is_some() {
                "with"
            } else {
                "none"
            };
            layers::rows(first(has_auxiliary), &moment.all).chain(main)
        })
    });
    Grid {
        name: "gradients",
        title: None,
        head: vec![
            "network",
            "seed",
            "step",
            "auxiliary",
            "number",
            "layer",
            "gradient",
        ],
        rows: rows.collect(),
    }
}
