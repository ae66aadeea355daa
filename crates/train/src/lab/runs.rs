//! Ordinary runs, made by others: each is a process with a run folder of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::statistics::Sample;
use crate::error::Error;
use crate::files;
use crate::journal::{self, Eval, Event};
use crate::plan::{Circumstances, Plan};
use crate::recipe::RecipeFile;
use crate::record::JOURNAL;
use crate::report::PLAN;
use crate::start;
use crate::streams::say;
use crate::train::TEST;

/// How long a run that is interrupted has for its last checkpoint.
const PATIENCE: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(50);

/// What is run, once for each seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Experiment {
    /// What its table or study calls it.
    pub name: String,
    /// As for `--config`.
    pub recipe: String,
    /// As for `--set`.
    pub set: Vec<String>,
}

/// A run that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// What runs.
    pub experiment: Experiment,
    /// As for `--seed`.
    pub seed: u64,
}

/// A run that is there.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its folder.
    pub folder: PathBuf,
    /// What ran.
    pub plan: Plan,
    /// How far it came.
    pub state: State,
    /// Hours of training that its journal tells of.
    pub hours: f64,
}

/// A run that belongs to an experiment.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The experiment's name.
    pub experiment: String,
    /// Of its network, for an image.
    pub multiply_adds: u64,
    /// The run.
    pub run: Found,
}

/// How far a run came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum State {
    /// Not to its end.
    Unfinished,
    /// Until its loss was not finite any more, at this step.
    Diverged(u64),
    /// To its end.
    Finished(Outcome),
}

/// The last iterate of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Percent of test images that are classified wrong.
    pub test_error: f64,
    /// Percent of training images, augmented, that were wrong when they were trained on in the last tenth of the steps.
    pub train_error: Option<f64>,
}

/// What all jobs share.
pub struct Machine {
    /// Where the runs are.
    pub folder: PathBuf,
    /// As for `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// As for `--device`.
    pub device: String,
    /// Threads for all jobs together.
    pub threads: usize,
    /// Jobs at a time.
    pub jobs: usize,
    /// Set where the user wants to stop.
    pub interrupted: Arc<AtomicBool>,
}

impl Experiment {
    /// Its run with a seed.
    pub fn job(&self, seed: u64) -> Job {
        Job {
            experiment: self.clone(),
            seed,
        }
    }
}

impl Job {
    /// The name of its folder, as `resnet20-s0`.
    pub fn name(&self) -> String {
        format!("{}-s{}", self.experiment.name, self.seed)
    }

    /// Its recipe, with its seed.
    ///
    /// # Errors
    ///
    /// With exit code 2, where there is no such recipe, or it is wrong.
    pub fn recipe(&self) -> Result<RecipeFile, Error> {
        let Experiment { recipe, set, .. } = &self.experiment;
        RecipeFile::find(recipe, set, Some(self.seed))
    }

    /// In what the plan of a run differs from this job's.
    ///
    /// # Errors
    ///
    /// Where the recipe is wrong, or does not fit the data of that run.
    pub fn differences(&self, plan: &Plan) -> Result<Vec<String>, Error> {
        let file = self.recipe()?;
        let here = Circumstances {
            device: plan.device.clone(),
            workers: plan.workers,
            threads: plan.threads,
            processes: 1,
            started_in: plan.started_in.clone(),
            initialization: file.architecture()?.initialization(),
            init_sha256: start::init_sha256(&file)?,
        };
        Ok(Plan::new(&file, &plan.dataset.facts, &here)?.differences(plan))
    }
}

impl Found {
    /// The run in this folder; none where there is no plan in it.
    ///
    /// # Errors
    ///
    /// With exit code 1, where its files are damaged.
    pub fn read(folder: &Path) -> Result<Option<Self>, Error> {
        let path = folder.join(PLAN);
        if !path.is_file() {
            return Ok(None);
        }
        let plan = Plan::read(&path)?;
        let journal = folder.join(JOURNAL);
        let events = if journal.exists() {
            journal::read(&journal).map_err(|error| {
                Error::failure(format!("cannot read run `{}`", folder.display()))
                    .explained_by(error)
            })?
        } else {
            Vec::new()
        };
        Ok(Some(Self {
            folder: folder.to_owned(),
            state: state(&events, &plan)?,
            hours: hours(&events, &plan),
            plan,
        }))
    }
}

fn state(events: &[Event], plan: &Plan) -> Result<State, Error> {
    match events.last() {
        Some(Event::Diverged(diverged)) => Ok(State::Diverged(diverged.step)),
        Some(Event::End(end)) => {
            let is_last = |eval: &&Eval| eval.split == TEST && eval.step == end.step;
            let evals = events.iter().filter_map(|event| match event {
                Event::Eval(eval) => Some(eval),
                _ => None,
            });
            let tested = evals.rev().find(is_last).ok_or_else(|| {
                Error::failure(format!("a run of `{}` was not tested", plan.name))
                    .with_hint("a reproduction needs a dataset with a test split")
            })?;
            Ok(State::Finished(Outcome {
                test_error: 100.0 - tested.top1,
                train_error: train_error(events, end.step),
            }))
        }
        _ => Ok(State::Unfinished),
    }
}

/// The mean over the logged steps of the last tenth.
fn train_error(events: &[Event], end: u64) -> Option<f64> {
    let late = events.iter().filter_map(|event| match event {
        Event::Step(step) if step.step > end - end.div_ceil(10) => step.top1,
        _ => None,
    });
    let errors: Vec<f64> = late.map(|top1| 100.0 - top1).collect();
    Sample::of(&errors).map(|sample| sample.mean)
}

/// The time of training, whatever was run twice: each logged step tells its images a second.
fn hours(events: &[Event], plan: &Plan) -> f64 {
    let mut before = 0;
    let mut seconds = 0.0;
    for event in events {
        if let Event::Step(step) = event {
            let images = plan.images(step.step).saturating_sub(plan.images(before)) as f64;
            if step.images_per_second > 0.0 {
                seconds += images / step.images_per_second;
            }
            before = step.step;
        }
    }
    seconds / 3600.0
}

/// All runs in the folders of a folder, by name.
///
/// # Errors
///
/// With exit code 1, where a folder cannot be read or the files of a run are damaged.
pub fn found_in(folder: &Path) -> Result<Vec<Found>, Error> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let unreadable = |error: std::io::Error| {
        Error::failure(format!("cannot list `{}`", folder.display())).because(error)
    };
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        folders.push(entry.map_err(unreadable)?.path());
    }
    folders.sort();
    let runs = folders.iter().filter(|path| path.is_dir());
    runs.filter_map(|path| Found::read(path).transpose())
        .collect()
}

impl Machine {
    /// Makes the runs that are not finished, some at a time; returns the names of those that failed.
    ///
    /// A run that diverged has not failed: that is its result.
    ///
    /// # Errors
    ///
    /// With exit code 1, where no process can be started or the disk takes no log.
    pub fn run(&self, jobs: Vec<Job>) -> Result<Vec<String>, Error> {
        let count = jobs.len();
        let mut waiting = jobs.into_iter().enumerate();
        let mut running: Vec<(String, Child)> = Vec::new();
        let mut failed = Vec::new();
        loop {
            while running.len() < self.jobs && !self.is_interrupted() {
                let Some((index, job)) = waiting.next() else {
                    break;
                };
                say(format_args!("run {} of {count}: {}", index + 1, job.name()));
                running.push((job.name(), self.start(&job)?));
            }
            if running.is_empty() {
                return Ok(failed);
            }
            if self.is_interrupted() {
                stop(running);
                return Ok(failed);
            }
            let mut still = Vec::with_capacity(running.len());
            for (name, mut child) in running {
                match child.try_wait().map_err(unstartable)? {
                    None => still.push((name, child)),
                    Some(status) if self.is_result(&name, status)? => {}
                    Some(_) => failed.push(name),
                }
            }
            running = still;
            thread::sleep(TICK);
        }
    }

    /// Whether the user wanted to stop.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    fn is_result(&self, name: &str, status: ExitStatus) -> Result<bool, Error> {
        if status.success() || self.is_interrupted() {
            return Ok(true);
        }
        let found = Found::read(&self.folder.join(name))?;
        Ok(found.is_some_and(|found| matches!(found.state, State::Diverged(_))))
    }

    fn start(&self, job: &Job) -> Result<Child, Error> {
        let folder = self.folder.join(job.name());
        let mut command = Command::new(program().map_err(unstartable)?);
        let Experiment { recipe, set, .. } = &job.experiment;
        command.args(["--config", recipe, "--device", &self.device]);
        command.args(set.iter().flat_map(|set| ["--set", set]));
        command.args(["--seed", &job.seed.to_string()]);
        let threads = (self.threads / self.jobs).max(1);
        command.args(["--threads", &threads.to_string()]);
        command.arg("--run-dir").arg(&folder);
        if let Some(data_dir) = &self.data_dir {
            command.arg("--data-dir").arg(data_dir);
        }
        if folder.join(PLAN).is_file() {
            command.arg("--resume");
        }
        command.args(["--alone", "--while-stdin"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        if self.jobs > 1 {
            // Their progress would run into each other.
            command.stderr(self.log(job)?);
        }
        command.spawn().map_err(unstartable)
    }

    fn log(&self, job: &Job) -> Result<File, Error> {
        let path = self.folder.join(format!("{}.log", job.name()));
        File::create(&path).map_err(|source| {
            Error::failure("cannot write the log of a run")
                .explained_by(files::Error::Write { path, source })
        })
    }
}

/// This program, even where another one has taken its place on the disk since it was started.
///
/// # Errors
///
/// Where the system does not tell.
pub fn program() -> std::io::Result<PathBuf> {
    if cfg!(target_os = "linux") {
        Ok(PathBuf::from("/proc/self/exe"))
    } else {
        std::env::current_exe()
    }
}

fn unstartable(error: std::io::Error) -> Error {
    Error::failure("cannot start a run").because(error)
}

/// Lets go of runs, and waits until they have saved what they have. What does not end is killed, and goes on from its last
/// checkpoint another time.
fn stop(mut running: Vec<(String, Child)>) {
    for (_, child) in &mut running {
        child.stdin.take();
    }
    let since = Instant::now();
    for (_, mut child) in running {
        while matches!(child.try_wait(), Ok(None)) {
            if since.elapsed() > PATIENCE {
                // It may have ended by now.
                let _ = child.kill();
                let _ = child.wait();
                break;
            }
            thread::sleep(TICK);
        }
    }
}
