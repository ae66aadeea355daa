//! `train describe`: a network, layer by layer.

use burn::tensor::Device;
use models::{ConfigError, Description, Init, registry};

use super::network::unknown;
use super::print_json;
use crate::cli::{DescribeArgs, Format};
use crate::error::Error;
use crate::progress::grouped;
use crate::streams::print_line;

/// An image of 3x8192x8192.
const MOST_VALUES: usize = 3 * (1 << 26);
/// Of ImageNet there are 21,841.
const MOST_CLASSES: usize = 100_000;

/// Prints a row a layer.
pub fn run(arguments: &DescribeArgs) -> Result<(), Error> {
    let entry = registry::find(&arguments.name).ok_or_else(|| unknown(&arguments.name))?;
    let mut architecture = entry.architecture.clone();
    if let Some(classes) = arguments.classes {
        architecture = architecture.with_classes(classes);
    }
    if let Some(channels) = arguments.channels {
        architecture = architecture.with_channels(channels);
    }
    let size = arguments.size.unwrap_or(entry.image_size);
    check_bounds(architecture.channels(), size, architecture.classes())?;
    architecture
        .check([size, size])
        .map_err(|error: ConfigError| {
            Error::usage(format!("cannot describe `{}`", entry.name)).because(error)
        })?;
    let mut init = Init::new(&Device::flex(), architecture.initialization(), 0);
    let input = [architecture.channels(), size, size];
    let described = Description::of(&architecture.init(&mut init), input);
    match arguments.format {
        Format::Json => print_json(&described),
        Format::Text => print_table(entry.name, entry.paper, &described),
    }
}

/// Refuses what would fill the memory: the images and the weights are there while the network is walked through.
fn check_bounds(channels: usize, size: usize, classes: usize) -> Result<(), Error> {
    let values = channels.saturating_mul(size).saturating_mul(size);
    let bounds = [
        ("values of an image", values, MOST_VALUES),
        ("classes", classes, MOST_CLASSES),
    ];
    match bounds.into_iter().find(|(_, found, most)| found > most) {
        None => Ok(()),
        Some((what, found, most)) => Err(Error::usage(format!(
            "expected at most {} {what}, found {}",
            grouped(most as u64),
            grouped(found as u64)
        ))),
    }
}

fn print_table(name: &str, paper: &str, described: &Description) -> Result<(), Error> {
    let width = described
        .layers
        .iter()
        .map(|layer| layer.name.len())
        .max()
        .unwrap_or(0)
        .max(5);
    print_line(format_args!(
        "{name}: {paper}; input {}",
        shape(&described.input)
    ))?;
    print_line(format_args!(
        "{:<width$}  {:<19} {:>13} {:>12} {:>15} {:>12} {:>9}",
        "layer", "kind", "output", "parameters", "multiply-adds", "activations", "field"
    ))?;
    for layer in &described.layers {
        print_line(format_args!(
            "{:<width$}  {:<19} {:>13} {:>12} {:>15} {:>12} {:>9}",
            layer.name,
            layer.kind,
            shape(&layer.output),
            grouped(layer.parameters as u64),
            grouped(layer.multiply_adds),
            grouped(layer.activations),
            layer.receptive_field
        ))?;
    }
    print_line(format_args!(
        "{:<width$}  {:<19} {:>13} {:>12} {:>15} {:>12}",
        "total",
        "",
        "",
        grouped(described.parameters as u64),
        grouped(described.multiply_adds),
        grouped(described.activations)
    ))
}

fn shape(sides: &[usize]) -> String {
    let sides: Vec<String> = sides.iter().map(ToString::to_string).collect();
    sides.join("x")
}
