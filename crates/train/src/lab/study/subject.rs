//! What a study of trained networks looks into.

use burn::tensor::Device;
use data::Loader;
use models::Model;

use crate::error::Error;
use crate::lab::statistics::Sample;

/// A trained network, and images to show it.
pub struct Subject {
    /// What figures and tables call it.
    pub name: String,
    /// Of the run that trained it; none where it was trained elsewhere.
    pub seed: Option<u64>,
    /// The network, without autodiff.
    pub model: Model,
    /// Updates behind it, where that is known.
    pub steps: Option<u64>,
    /// As it was before, by rising step, as far as that is known and wanted.
    pub past: Vec<Past>,
    /// Where it is.
    pub device: Device,
    /// Training images, as in evaluation, in their order.
    pub train: Loader,
    /// Test images.
    pub test: Loader,
}

/// A network in the midst of its training.
pub struct Past {
    /// Updates behind it.
    pub step: u64,
    /// The network, without autodiff.
    pub model: Model,
}

impl Subject {
    /// `[channels, height, width]` of its images.
    pub fn input(&self) -> [usize; 3] {
        let size = self.test.size();
        [size.channels, size.height, size.width]
    }

    /// With its seed.
    pub fn shown(&self) -> String {
        match self.seed {
            Some(seed) => format!("{}, seed {seed}", self.name),
            None => self.name.clone(),
        }
    }

    /// The key of its random draws.
    pub fn key(&self) -> u64 {
        self.seed.unwrap_or(0)
    }
}

/// The names of the subjects, each once, in their order.
pub fn names(subjects: &[Subject]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for subject in subjects {
        if names.last() != Some(&subject.name.as_str()) {
            names.push(&subject.name);
        }
    }
    names
}

/// A figure of the subjects of a name, one each.
pub fn sample(name: &str, figures: &[(&Subject, f64)]) -> Option<Sample> {
    let ours = figures.iter().filter(|(subject, _)| subject.name == name);
    let values: Vec<f64> = ours.map(|(_, figure)| *figure).collect();
    Sample::of(&values)
}

pub(super) fn unreadable(error: data::Error) -> Error {
    Error::failure("cannot read the images").explained_by(error)
}
