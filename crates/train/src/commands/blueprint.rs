//! A named network for the images and classes that the command line gives.

use burn::tensor::Device;
use models::registry::{self, Entry};
use models::{Architecture, Description, Init, Model};

use super::network::unknown;
use crate::cli::ShapeArgs;
use crate::error::Error;
use crate::progress::grouped;

/// An image of 3x8192x8192.
pub const MOST_VALUES: usize = 3 * (1 << 26);
/// Of ImageNet there are 21,841.
const MOST_CLASSES: usize = 100_000;

/// A network that can be built.
pub struct Blueprint {
    /// The network as published.
    pub entry: &'static Entry,
    /// `[channels, height, width]` of its images.
    pub input: [usize; 3],
    /// Scores for each image.
    pub classes: usize,
    architecture: Architecture,
}

impl Blueprint {
    /// The network of that name; what `shape` leaves open is the paper's.
    ///
    /// # Errors
    ///
    /// With exit code 2, where there is no such network, or not for such images.
    pub fn new(name: &str, shape: &ShapeArgs) -> Result<Self, Error> {
        let entry = registry::find(name).ok_or_else(|| unknown(name))?;
        let published = &entry.architecture;
        let [channels, height, width] = entry.input();
        let channels = shape.channels.unwrap_or(channels);
        let classes = shape.classes.unwrap_or(published.classes());
        let [height, width] = shape.size.map_or([height, width], |size| [size, size]);
        // The images and the weights are there while the network is walked through.
        let values = channels.saturating_mul(height).saturating_mul(width);
        check_bounds([
            ("values of an image", values, MOST_VALUES),
            ("classes", classes, MOST_CLASSES),
        ])?;
        let architecture = published.with_channels(channels).with_classes(classes);
        architecture.check([height, width]).map_err(|error| {
            Error::usage(format!("cannot build `{}`", entry.name)).because(error)
        })?;
        Ok(Self {
            entry,
            input: [channels, height, width],
            classes,
            architecture,
        })
    }

    /// What the network costs.
    pub fn describe(&self) -> Description {
        Description::of(&self.build(&Device::flex()), self.input)
    }

    /// The network with weights as its paper draws them.
    pub fn build(&self, device: &Device) -> Model {
        let initialization = self.architecture.initialization();
        (self.architecture).init(&mut Init::new(device, initialization, 0))
    }
}

/// Refuses what would fill the memory: each bound has what is counted, how many there are and how many there may be.
///
/// # Errors
///
/// With exit code 2, where there are more.
pub fn check_bounds<const N: usize>(bounds: [(&str, usize, usize); N]) -> Result<(), Error> {
    match bounds.into_iter().find(|(_, found, most)| found > most) {
        None => Ok(()),
        Some((what, found, most)) => Err(Error::usage(format!(
            "expected at most {} {what}, found {}",
            grouped(most as u64),
            grouped(found as u64)
        ))),
    }
}

/// A shape as it is written: `3x32x32`.
pub fn by_sides(sides: &[usize]) -> String {
    let sides: Vec<String> = sides.iter().map(ToString::to_string).collect();
    sides.join("x")
}
