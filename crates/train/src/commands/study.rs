//! `train study`: a question that is put to many networks.
//!
//! Runs what is missing, as `train reproduce` does, and writes what the runs say: figures, numbers and a page.

use std::path::Path;
use std::process::ExitCode;

use super::sweep::{self, Swept};
use crate::cli::{Format, StudyArgs, TableFormat};
use crate::error::Error;
use crate::lab::runs::Experiment;
use crate::lab::study::{Findings, Study, training};
use crate::plan::Plan;
use crate::streams::{print_line, say};

/// Runs, and says what was found.
pub fn run(arguments: &StudyArgs) -> Result<ExitCode, Error> {
    let (name, study) = Study::find(&arguments.config, arguments.kind)?;
    let experiments = study.experiments();
    check(&study, &experiments)?;
    let folder = (arguments.sweep.run_dir.clone()).unwrap_or_else(|| Path::new("runs").join(&name));
    let seeds = arguments.sweep.seeds.unwrap_or(study.seeds);
    let format = match arguments.format {
        Format::Text => TableFormat::Text,
        Format::Json => TableFormat::Json,
    };
    let swept = sweep::run(&experiments, seeds, &folder, &arguments.sweep, format)?;
    let Some(Swept { entries, ending }) = swept else {
        return Ok(ExitCode::SUCCESS);
    };
    let findings = training::findings(&name, &study, &entries)?;
    let page = findings.write(&folder)?;
    print(&findings, arguments.format)?;
    say(format_args!("report {}", page.display()));
    Ok(ending)
}

/// Checks before the first run that the experiments differ in the factor alone, as far as that is known.
fn check(study: &Study, experiments: &[Experiment]) -> Result<(), Error> {
    let mut plans: Vec<(&str, Plan)> = Vec::new();
    for experiment in experiments {
        if let Some(plan) = sweep::planned(&experiment.job(0))? {
            plans.push((&experiment.name, plan));
        }
    }
    training::check_factor(study, plans.iter().map(|(name, plan)| (*name, plan)))
}

fn print(findings: &Findings, format: Format) -> Result<(), Error> {
    match format {
        Format::Text => print_line(findings.text().trim_end()),
        Format::Json => print_line(findings.summary()),
    }
}
