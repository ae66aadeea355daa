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

use crate::error::Error;

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
