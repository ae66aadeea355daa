//! `train reproduce`: a paper's table by one command.
//!
//! Runs what is missing, each run in an ordinary folder of its own, and then sets ours beside the paper's.

use std::path::Path;
use std::process::ExitCode;

use super::print_json;
use super::sweep::{self, Swept};
use crate::cli::{ReproduceArgs, TableFormat};
use crate::error::Error;
use crate::files;
use crate::lab::runs::Experiment;
use crate::lab::table;
use crate::lab::targets::{self, Protocol, Target};
use crate::streams::print_line;

/// Runs, and prints the table.
pub fn run(arguments: &ReproduceArgs) -> Result<ExitCode, Error> {
    let targets = arguments.targets.as_deref();
    let Some(name) = &arguments.table else {
        return list(targets);
    };
    let table = targets::Table::find(name, targets)?;
    let protocol = table.protocol(&arguments.protocol)?;
    let rows = table.rows(protocol, &arguments.only)?;
    let experiments: Vec<Experiment> = (rows.iter()).map(|row| experiment(row, protocol)).collect();
    let folder = (arguments.sweep.run_dir.clone())
        .unwrap_or_else(|| Path::new("runs").join(format!("{}-{}", table.name, protocol.name)));
    let seeds = arguments.sweep.seeds.unwrap_or(1);
    let swept = sweep::run(
        &experiments,
        seeds,
        &folder,
        &arguments.sweep,
        arguments.format,
    )?;
    let Some(Swept { entries, ending }) = swept else {
        return Ok(ExitCode::SUCCESS);
    };
    let table = table::Table::new(&table, protocol, &rows, &entries)?;
    write(&folder, &table)?;
    print(&table, arguments.format)?;
    Ok(ending)
}

fn list(targets: Option<&Path>) -> Result<ExitCode, Error> {
    for table in targets::tables(targets)? {
        let protocols: Vec<&str> = table.protocol.iter().map(|one| one.name.as_str()).collect();
        print_line(format_args!(
            "{:<24} {} ({})",
            table.name,
            table.title,
            protocols.join(", ")
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What the protocol runs of a row.
fn experiment(row: &Target, protocol: &Protocol) -> Experiment {
    Experiment {
        name: row.name.clone(),
        recipe: row.recipe.clone(),
        set: [protocol.set.clone(), row.set.clone()].concat(),
    }
}

fn write(folder: &Path, table: &table::Table) -> Result<(), Error> {
    if !folder.exists() {
        return Ok(());
    }
    let json = serde_json::to_string_pretty(table).expect("a table is plain data");
    for (name, text) in [
        ("table.txt", table::text(table)),
        ("table.md", table::markdown(table)),
        ("table.html", table::page(table)),
        ("table.json", json),
    ] {
        files::replace(&folder.join(name), text.as_bytes())
            .map_err(|error| Error::failure("cannot write the table").explained_by(error))?;
    }
    Ok(())
}

fn print(table: &table::Table, format: TableFormat) -> Result<(), Error> {
    match format {
        TableFormat::Text => print_line(table::text(table).trim_end()),
        TableFormat::Markdown => print_line(table::markdown(table).trim_end()),
        TableFormat::Html => print_line(table::page(table)),
        TableFormat::Json => print_json(table),
    }
}
