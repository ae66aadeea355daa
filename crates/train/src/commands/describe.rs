//! `train describe`: a network, layer by layer.

use models::Description;

use super::blueprint::{Blueprint, by_sides};
use super::print_json;
use crate::cli::{DescribeArgs, Format};
use crate::error::Error;
use crate::progress::grouped;
use crate::streams::print_line;

/// Prints a row a layer.
pub fn run(arguments: &DescribeArgs) -> Result<(), Error> {
    let blueprint = Blueprint::new(&arguments.name, &arguments.shape)?;
    let described = blueprint.describe();
    match arguments.format {
        Format::Json => print_json(&described),
        Format::Text => print_table(blueprint.entry.name, blueprint.entry.paper, &described),
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
        by_sides(&described.input)
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
            by_sides(&layer.output),
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
