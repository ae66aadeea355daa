//! `train list`: the networks and what they cost.

use burn::tensor::Device;
use models::registry::{self, Entry};
use models::{Description, Init};
use serde::Serialize;

use super::print_json;
use crate::cli::{Format, ListArgs};
use crate::error::Error;
use crate::streams::print_line;

#[derive(Serialize)]
struct Row {
    name: &'static str,
    input: [usize; 3],
    classes: usize,
    parameters: usize,
    multiply_adds: u64,
    activations: u64,
    paper: &'static str,
    top1: Option<f64>,
    conditions: Option<&'static str>,
}

/// Prints a row a network.
pub fn run(arguments: &ListArgs) -> Result<(), Error> {
    let rows: Vec<Row> = registry::MODELS.iter().map(row).collect();
    match arguments.format {
        Format::Json => print_json(&rows),
        Format::Text => print_table(&rows),
    }
}

fn row(entry: &Entry) -> Row {
    let initialization = entry.architecture.initialization();
    let mut init = Init::new(&Device::flex(), initialization, 0);
    let described = Description::of(&entry.architecture.init(&mut init), entry.input());
    Row {
        name: entry.name,
        input: entry.input(),
        classes: entry.architecture.classes(),
        parameters: described.parameters,
        multiply_adds: described.multiply_adds,
        activations: described.activations,
        paper: entry.paper,
        top1: entry.result.map(|result| result.top1),
        conditions: entry.result.map(|result| result.conditions),
    }
}

fn print_table(rows: &[Row]) -> Result<(), Error> {
    print_line(format_args!(
        "{:<20} {:>10} {:>7} {:>12} {:>12} {:>12}  {:<33}  published top-1",
        "model", "image", "classes", "parameters M", "mult-adds M", "activ. M", "paper"
    ))?;
    for row in rows {
        let [channels, height, width] = row.input;
        let result = match (row.top1, row.conditions) {
            (Some(top1), Some(conditions)) => format!("{top1:.2} % ({conditions})"),
            _ => String::new(),
        };
        let line = format!(
            "{:<20} {:>10} {:>7} {:>12.3} {:>12.1} {:>12.3}  {:<33}  {result}",
            row.name,
            format!("{channels}x{height}x{width}"),
            row.classes,
            row.parameters as f64 / 1e6,
            row.multiply_adds as f64 / 1e6,
            row.activations as f64 / 1e6,
            row.paper
        );
        print_line(format_args!("{}", line.trim_end()))?;
    }
    Ok(())
}
