//! Studies: questions about networks, put to runs of them and to what these trained.

pub mod compare;
mod figure;
mod file;
mod findings;
mod gradients;
mod layers;
mod lesion;
mod page;
mod paths;
mod responses;
mod subject;
pub mod training;

pub use figure::{Figure, Series};
pub use file::{Kind, Network, Study};
pub use findings::{Cell, Findings, Grid, Measured};
pub use subject::{Past, Subject};

use models::Model;

use crate::error::Error;

/// Checks that a network for images of `[channels, height, width]` is one that a study of that kind can look into.
///
/// # Errors
///
/// With exit code 2, where it is not.
///
/// # Panics
///
/// Where the network does not take images of that size.
pub fn check(kind: Kind, name: &str, model: &Model, input: [usize; 3]) -> Result<(), Error> {
    match kind {
        Kind::Lesion => lesion::check(name, model, input),
        Kind::Paths => paths::check(name, model, input),
        _ => Ok(()),
    }
}

/// Looks into trained networks, as a study of that kind does.
///
/// # Errors
///
/// With exit code 1, where an image cannot be read; with 2, where a network is not one for this study.
///
/// # Panics
///
/// For a study of training, or a comparison.
pub fn measure(study: &Study, subjects: &[Subject]) -> Result<Measured, Error> {
    for subject in subjects {
        check(study.study, &subject.name, &subject.model, subject.input())?;
    }
    match study.study {
        Kind::Lesion => lesion::measure(study, subjects),
        Kind::Paths => paths::measure(study, subjects),
        Kind::Gradients => gradients::measure(study, subjects),
        Kind::Responses => responses::measure(study, subjects),
        Kind::Degradation | Kind::Shortcuts | Kind::Compare => {
            panic!("a study of {} looks into no network", study.study)
        }
    }
}
