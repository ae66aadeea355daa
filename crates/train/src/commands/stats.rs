//! `train stats`: statistics of a dataset's training images.

use data::{Dataset, OnBadImage, Pca, statistics};
use serde::Serialize;

use super::{data_dir, print_json};
use crate::cli::{Format, StatsArgs};
use crate::datasets;
use crate::error::Error;
use crate::progress::grouped;
use crate::streams::print_line;

/// Of pixels in [0, 1], each image by as many as it has.
#[derive(Serialize)]
struct Measured {
    images: usize,
    classes: usize,
    size: String,
    mean: Vec<f32>,
    std: Vec<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pca: Option<Pca>,
}

/// Measures, and prints what a manifest or a recipe takes.
pub fn run(arguments: &StatsArgs) -> Result<(), Error> {
    let dataset = arguments.own.or_named(arguments.dataset.as_ref());
    let opened = datasets::open(&dataset, &data_dir(&arguments.data))?;
    let unreadable = |error| Error::failure("cannot read the images").explained_by(error);
    let channels =
        statistics::channel_mean_std(&opened.train, OnBadImage::Stop).map_err(unreadable)?;
    let pca = match opened.sizes.channels() {
        3 => Some(statistics::pca(&opened.train, OnBadImage::Stop).map_err(unreadable)?),
        _ => None,
    };
    let measured = Measured {
        images: opened.train.len(),
        classes: opened.classes.len(),
        size: opened.sizes.to_string(),
        mean: channels.mean,
        std: channels.std,
        pca,
    };
    match arguments.format {
        Format::Json => print_json(&measured),
        Format::Text => print(&measured),
    }
}

/// As a manifest has it.
fn print(measured: &Measured) -> Result<(), Error> {
    print_line(format_args!(
        "# {} images in {} classes, {}",
        grouped(measured.images as u64),
        measured.classes,
        measured.size
    ))?;
    print_line("[statistics]")?;
    print_line(format_args!("mean = {:?}", measured.mean))?;
    print_line(format_args!("std  = {:?}", measured.std))?;
    let Some(pca) = &measured.pca else {
        return Ok(());
    };
    print_line("\n[statistics.pca]")?;
    print_line(format_args!("eigenvalues  = {:?}", pca.eigenvalues))?;
    print_line(format_args!("eigenvectors = {:?}", pca.eigenvectors))
}
