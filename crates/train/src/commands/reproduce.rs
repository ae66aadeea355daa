//! `train reproduce`: a paper's table by one command.
//!
//! Runs what is missing, each run in an ordinary folder of its own, and then sets ours beside the paper's.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use burn::tensor::Device;
use models::{Description, Init};
use serde::{Deserialize, Serialize};

use super::blueprint::check_bounds;
use super::interrupt::{self, INTERRUPTED};
use super::run::{cropped, declared_facts};
use super::{cores, print_json};
use crate::cli::{ReproduceArgs, TableFormat};
use crate::error::Error;
use crate::files;
use crate::lab::runs::{self, Found, Job, Machine, State};
use crate::lab::table::{self, Cost, Entry};
use crate::lab::targets::{self, Experiment, Protocol};
use crate::plan::{Circumstances, DatasetFacts, Plan};
use crate::progress::grouped;
use crate::recipe::{Dataset, RecipeFile};
use crate::streams::{print_line, say};

const MOST_SEEDS: usize = 10_000;
/// Steps that tell how fast a network trains here.
const MEASURED_STEPS: usize = 3;
/// Values of a batch that is measured: that of 512 CIFAR images.
const MEASURED_VALUES: usize = 512 * 3 * 32 * 32;

/// Runs, and prints the table.
pub fn run(arguments: &ReproduceArgs) -> Result<ExitCode, Error> {
    let targets = arguments.targets.as_deref();
    let Some(name) = &arguments.table else {
        return list(targets);
    };
    let table = targets::Table::find(name, targets)?;
    let protocol = table.protocol(&arguments.protocol)?;
    let rows = table.rows(protocol, &arguments.only)?;
    check_bounds([("seeds", arguments.seeds, MOST_SEEDS)])?;
    let wanted = wanted(&rows, protocol, arguments.seeds);
    let folder = (arguments.run_dir.clone())
        .unwrap_or_else(|| Path::new("runs").join(format!("{}-{}", table.name, protocol.name)));

    let entries = entries(&folder, &rows, protocol)?;
    let missing = missing(wanted, &entries, arguments);
    if arguments.dry_run {
        return price(&missing, arguments);
    }
    let ending = make(&folder, missing, arguments)?;
    let entries = self::entries(&folder, &rows, protocol)?;
    let table = table::Table::new(&table, protocol, &rows, &entries)?;
    write(&folder, &table)?;
    print(&table, arguments.format)?;
    Ok(ending)
}

fn list(targets: Option<&Path>) -> Result<ExitCode, Error> {
    for table in targets::tables(targets)? {
        let protocols: Vec<&str> = table.protocol.iter().map(|one| one.name.as_str()).collect();
        print_line(format_args!(
            "{:<22} {} ({})",
            table.name,
            table.title,
            protocols.join(", ")
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The run of an experiment with a seed.
fn job(experiment: &Experiment, protocol: &Protocol, seed: u64) -> Job {
    Job {
        experiment: experiment.name.clone(),
        recipe: experiment.recipe.clone(),
        set: [protocol.set.clone(), experiment.set.clone()].concat(),
        seed,
    }
}

/// Seed by seed, so that the first seeds make a table before the last ones begin.
fn wanted(rows: &[&Experiment], protocol: &Protocol, seeds: usize) -> Vec<Job> {
    let jobs = |seed| rows.iter().map(move |row| job(row, protocol, seed));
    (0..seeds as u64).flat_map(jobs).collect()
}

/// The runs in the folder that belong to the table.
fn entries(folder: &Path, rows: &[&Experiment], protocol: &Protocol) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for run in runs::found_in(folder)? {
        let mut strange = None;
        for row in rows {
            let job = job(row, protocol, run.plan.seed);
            let differences = job.differences(&run.plan)?;
            if differences.is_empty() {
                let entry = Entry {
                    experiment: row.name.clone(),
                    multiply_adds: multiply_adds(&job, &run.plan.dataset.facts)?,
                    run: run.clone(),
                };
                entries.push(entry);
                strange = None;
                break;
            }
            if run.folder.ends_with(job.name()) {
                strange = Some(differences);
            }
        }
        if let Some(differences) = strange {
            return Err(other_plan(&run, &differences));
        }
    }
    Ok(entries)
}

fn other_plan(run: &Found, differences: &[String]) -> Error {
    let what = format!("run `{}` is of another plan", run.folder.display());
    Error::failure(what)
        .because(differences.join("; "))
        .with_hint("choose another folder by `--run-dir DIR`, or move the run away")
}

fn multiply_adds(job: &Job, facts: &DatasetFacts) -> Result<u64, Error> {
    let file = RecipeFile::find(&job.recipe, &job.set, Some(job.seed))?;
    let [channels, height, width] = facts.size;
    let [height, width] = cropped(&file.recipe.augment.train, [height, width]);
    let architecture = (file.architecture()?)
        .with_classes(facts.classes)
        .with_channels(channels);
    let mut init = Init::new(&Device::flex(), architecture.initialization(), 0);
    let model = architecture.init(&mut init);
    Ok(Description::of(&model, [channels, height, width]).multiply_adds)
}

/// What is left to run, and where: a run that was stopped goes on in its folder.
fn missing(wanted: Vec<Job>, entries: &[Entry], arguments: &ReproduceArgs) -> Vec<Job> {
    let is_done = |job: &Job| {
        entries.iter().any(|entry| {
            entry.experiment == job.experiment
                && entry.run.plan.seed == job.seed
                && entry.run.state != State::Unfinished
        })
    };
    let is_ours = |index: usize| {
        arguments
            .shard
            .is_none_or(|shard| index % shard.count == shard.index - 1)
    };
    let ours = wanted.into_iter().enumerate();
    ours.filter(|(index, job)| is_ours(*index) && !is_done(job))
        .map(|(_, job)| job)
        .collect()
}

fn make(folder: &Path, missing: Vec<Job>, arguments: &ReproduceArgs) -> Result<ExitCode, Error> {
    if missing.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    fs::create_dir_all(folder).map_err(|error| {
        Error::failure(format!("cannot create `{}`", folder.display())).because(error)
    })?;
    let machine = Machine {
        folder: folder.to_owned(),
        data_dir: arguments.data.data_dir.clone(),
        device: arguments.machine.device.clone(),
        threads: arguments.machine.threads.unwrap_or_else(cores),
        jobs: arguments.jobs,
        interrupted: interrupt::watch("stopping: the runs save what they have"),
    };
    let failed = machine.run(missing)?;
    for name in &failed {
        say(format_args!("run `{name}` failed; the table is without it"));
    }
    Ok(if machine.is_interrupted() {
        ExitCode::from(INTERRUPTED)
    } else if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
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

/// What a run would take here.
#[derive(Serialize)]
struct Price {
    run: String,
    steps: u64,
    #[serde(flatten)]
    cost: Cost,
}

/// Prints what is missing, with the hours that a few steps of each network foretell.
fn price(missing: &[Job], arguments: &ReproduceArgs) -> Result<ExitCode, Error> {
    let mut speeds: HashMap<String, f64> = HashMap::new();
    let mut prices = Vec::with_capacity(missing.len());
    for job in missing {
        let plan = planned(job)?;
        let facts = &plan.dataset.facts;
        let images = plan.images(plan.steps);
        let speed = match speeds.get(&plan.model.name) {
            Some(speed) => *speed,
            None => images_per_second(&plan, arguments)?,
        };
        speeds.insert(plan.model.name.clone(), speed);
        let hours = images as f64 / speed / 3600.0;
        prices.push(Price {
            run: job.name(),
            steps: plan.steps,
            cost: Cost::of(images, multiply_adds(job, facts)?, hours),
        });
    }
    match arguments.format {
        TableFormat::Json => print_json(&prices)?,
        _ => print_prices(&prices)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn planned(job: &Job) -> Result<Plan, Error> {
    let file = RecipeFile::find(&job.recipe, &job.set, Some(job.seed))?;
    let Dataset::Name(name) = &file.recipe.dataset else {
        let what = format!("recipe `{}` has no dataset that can be priced", job.recipe);
        return Err(Error::usage(what));
    };
    let here = Circumstances {
        device: "cpu".to_owned(),
        workers: 1,
        threads: cores(),
        started_in: None,
        initialization: file.architecture()?.initialization(),
        init_sha256: String::new(),
    };
    Plan::new(&file, &declared_facts(name)?, &here)
}

/// Of a few training steps in a process of their own.
fn images_per_second(plan: &Plan, arguments: &ReproduceArgs) -> Result<f64, Error> {
    #[derive(Deserialize)]
    struct Measured {
        images_per_second: f64,
    }
    let unmeasured = || Error::failure(format!("cannot measure `{}`", plan.model.name));
    let [channels, height, width] = plan.dataset.facts.size;
    let [side, _] = cropped(&plan.augment.train, [height, width]);
    let batch = (MEASURED_VALUES / (channels * side * side)).clamp(1, plan.batch);
    let program = runs::program().map_err(|error| unmeasured().because(error))?;
    let mut bench = Command::new(program);
    bench.args(["bench", "--format", "json", "--model", &plan.model.name]);
    for (flag, value) in [
        ("--batch", batch),
        ("--size", side),
        ("--channels", channels),
        ("--classes", plan.dataset.facts.classes),
        ("--steps", MEASURED_STEPS),
        ("--threads", arguments.machine.threads.unwrap_or_else(cores)),
    ] {
        bench.args([flag, &value.to_string()]);
    }
    bench.args(["--device", &arguments.machine.device]);
    let output = bench
        .output()
        .map_err(|error| unmeasured().because(error))?;
    let measured: Measured = serde_json::from_slice(&output.stdout).map_err(|_| {
        unmeasured().because(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    })?;
    Ok(measured.images_per_second)
}

fn print_prices(prices: &[Price]) -> Result<(), Error> {
    print_line(format_args!(
        "{:<24} {:>9} {:>14} {:>10} {:>9}",
        "run", "steps", "images", "PFLOP", "hours"
    ))?;
    let row = |name: &str, steps: u64, cost: Cost| {
        print_line(format_args!(
            "{name:<24} {:>9} {:>14} {:>10.3} {:>9.2}",
            grouped(steps),
            grouped(cost.images),
            cost.petaflop,
            cost.hours
        ))
    };
    for price in prices {
        row(&price.run, price.steps, price.cost)?;
    }
    let all = (prices.iter()).fold(Cost::default(), |sum, price| sum.plus(price.cost));
    row("all", prices.iter().map(|price| price.steps).sum(), all)?;
    print_line(format_args!(
        "hours: by {MEASURED_STEPS} training steps of each network here, one run after the other, without evaluation"
    ))
}
