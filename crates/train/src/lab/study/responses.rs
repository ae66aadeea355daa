//! How strongly the layers of a network respond (He et al. 2015, arXiv:1512.03385, figure 7).

use super::layers::{self, Layer, Profile};
use super::subject::{self, Subject, unreadable};
use super::{Grid, Measured, Study};
use crate::error::Error;
use crate::streams::say;
use crate::upload::images_of;

/// Measures what layers put out, behind their normalisation.
///
/// # Errors
///
/// With exit code 1, where an image cannot be read; with 2, where a network has no layer that is a convolution with a
/// normalisation behind it.
pub fn measure(study: &Study, subjects: &[Subject]) -> Result<Measured, Error> {
    let mut responses: Vec<(&Subject, Vec<Layer>)> = Vec::with_capacity(subjects.len());
    for subject in subjects {
        say(format_args!("measuring responses of {}", subject.shown()));
        responses.push((subject, responses_of(subject, study.samples)?));
    }
    let mean = |layers: &[Layer]| {
        layers.iter().map(|(_, deviation)| deviation).sum::<f64>() / layers.len() as f64
    };
    let means: Vec<(&Subject, f64)> = (responses.iter())
        .map(|(subject, layers)| (*subject, mean(layers)))
        .collect();
    let profiles: Vec<Profile<'_>> = (responses.iter())
        .map(|(subject, layers)| (subject.name.clone(), &layers[..]))
        .collect();
    Ok(Measured {
        figures: vec![layers::figure(
            "responses",
            "Responses by layer",
            "standard deviation",
            "From the first layer to the last, behind the normalisation and before anything is added or rectified. Weak \
             responses change little of what flows: residual functions are close to zero, and the closer, the more there \
             are of them. Line: mean over seeds; band: their range.",
            &profiles,
        )],
        grids: vec![
            layers::overview("Mean standard deviation of the layers' responses", &means),
            table(&responses),
        ],
        effects: study.differences("standard deviations", |name| subject::sample(name, &means)),
    })
}

/// The standard deviation of each layer's response, as the mean over so many batches.
fn responses_of(subject: &Subject, batches: usize) -> Result<Vec<Layer>, Error> {
    let mut layers: Vec<Layer> = Vec::new();
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
    if layers.is_empty() {
        let what = format!("`{}` shows no responses", subject.name);
        return Err(Error::usage(what)
            .because("they are measured behind convolutions that a normalisation follows")
            .with_hint("take it out of the study"));
    }
    let mean = |(name, sum)| (name, sum / f64::from(count));
    Ok(layers.into_iter().map(mean).collect())
}

fn table(responses: &[(&Subject, Vec<Layer>)]) -> Grid {
    let rows = responses.iter().flat_map(|(subject, layers)| {
        layers::rows(
            vec![subject.name.as_str().into(), subject.seed.into()],
            layers,
        )
    });
    Grid {
        name: "responses",
        title: None,
        head: vec!["network", "seed", "number", "layer", "deviation"],
        rows: rows.collect(),
    }
}
