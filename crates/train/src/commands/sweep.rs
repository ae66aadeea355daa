//! The runs of a table or a study: what is there, what is missing, and making it.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use burn::tensor::Device;
use models::{Description, Init, Model};

use super::blueprint::check_bounds;
use super::interrupt::{self, INTERRUPTED};
use super::run::{check_size, declared_facts};
use super::{cores, price};
use crate::cli::{SweepArgs, TableFormat};
use crate::error::Error;
use crate::lab::runs::{self, Entry, Experiment, Found, Job, Machine, State};
use crate::plan::{self, Circumstances, DatasetFacts, Plan};
use crate::recipe::Dataset;
use crate::streams::say;

const MOST_SEEDS: usize = 10_000;

/// What was found once the runs were made.
pub struct Swept {
    /// The runs, of whatever seeds.
    pub entries: Vec<Entry>,
    /// How making them ended.
    pub ending: ExitCode,
}

/// Makes the runs of `experiments` in `folder` that are missing; where the user wants to know what that would take,
/// prints it, and makes none.
pub fn run(
    experiments: &[Experiment],
    seeds: usize,
    folder: &Path,
    arguments: &SweepArgs,
    format: TableFormat,
) -> Result<Option<Swept>, Error> {
    check_bounds([("seeds", seeds, MOST_SEEDS)])?;
    let entries = entries(folder, experiments)?;
    let missing = missing(wanted(experiments, seeds), &entries, arguments);
    if arguments.dry_run {
        price::print(&missing, arguments, format)?;
        return Ok(None);
    }
    let ending = make(folder, missing, arguments)?;
    Ok(Some(Swept {
        entries: self::entries(folder, experiments)?,
        ending,
    }))
}

/// Seed by seed, so that the first seeds make a table before the last ones begin.
fn wanted(experiments: &[Experiment], seeds: usize) -> Vec<Job> {
    let jobs = |seed| experiments.iter().map(move |one| one.job(seed));
    (0..seeds as u64).flat_map(jobs).collect()
}

/// The runs in the folder that are of these experiments.
fn entries(folder: &Path, experiments: &[Experiment]) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for run in runs::found_in(folder)? {
        let mut strange = None;
        for experiment in experiments {
            let job = experiment.job(run.plan.seed);
            let differences = job.differences(&run.plan)?;
            if differences.is_empty() {
                let entry = Entry {
                    experiment: experiment.name.clone(),
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

/// Of the network of a job, for an image of its dataset.
pub fn multiply_adds(job: &Job, facts: &DatasetFacts) -> Result<u64, Error> {
    let (model, input) = blank(job, facts)?;
    Ok(Description::of(&model, input).multiply_adds)
}

/// The network of a job, whose weights nothing draws, and `[channels, height, width]` of its images.
pub fn blank(job: &Job, facts: &DatasetFacts) -> Result<(Model, [usize; 3]), Error> {
    let file = job.recipe()?;
    let size = plan::input(&file.recipe.augment.train, facts.size)?;
    let architecture = (file.architecture()?)
        .with_classes(facts.classes)
        .with_channels(size.channels);
    check_size(&file.recipe.model.name, &architecture, size)?;
    let mut init = Init::new(&Device::flex(), architecture.initialization(), 0);
    let model = architecture.init(&mut init);
    Ok((model, [size.channels, size.height, size.width]))
}

/// The plan of a job, as far as it is known before its data is read; none where its dataset has no name.
pub fn planned(job: &Job) -> Result<Option<Plan>, Error> {
    let file = job.recipe()?;
    let Dataset::Name(name) = &file.recipe.dataset else {
        return Ok(None);
    };
    let here = Circumstances {
        device: "cpu".to_owned(),
        workers: 1,
        threads: cores(),
        processes: 1,
        started_in: None,
        initialization: file.architecture()?.initialization(),
        init_sha256: String::new(),
    };
    Plan::new(&file, &declared_facts(name)?, &here).map(Some)
}

/// What is left to run, and where: a run that was stopped goes on in its folder.
fn missing(wanted: Vec<Job>, entries: &[Entry], arguments: &SweepArgs) -> Vec<Job> {
    let is_done = |job: &Job| {
        entries.iter().any(|entry| {
            entry.experiment == job.experiment.name
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

fn make(folder: &Path, missing: Vec<Job>, arguments: &SweepArgs) -> Result<ExitCode, Error> {
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
        interrupted: interrupt::watch(Some("stopping: the runs save what they have")),
    };
    let failed = machine.run(missing)?;
    for name in &failed {
        say(format_args!(
            "run `{name}` failed; what follows is without it"
        ));
    }
    Ok(if machine.is_interrupted() {
        ExitCode::from(INTERRUPTED)
    } else if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
