//! `train --config ..`: a training run.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use burn::tensor::Device;
use data::{Loader, LoaderConfig, OnBadImage, Opened, Pipeline, Share, Size, Source, Subset};
use models::routes::Sampling;
use models::{Architecture, Description, Init, Model};
use serde::{Deserialize, Serialize};

use super::interrupt::{self, INTERRUPTED};
use super::{cores, start_threads};
use crate::average::Average;
use crate::checkpoint::{self, Checkpoint, State, Tally};
use crate::cli::RunArgs;
use crate::datasets;
use crate::device::{self, Choice};
use crate::error::Error;
use crate::files;
use crate::journal::{self, Event, Note, Resume, Start};
use crate::loss_scale::LossScale;
use crate::network::Card;
use crate::optimizer::Optimizer;
use crate::plan::{self, Circumstances, DatasetFacts, Plan, Statistics};
use crate::preprocess::{self, Preprocessing};
use crate::processes::Processes;
use crate::progress::{self, Machine};
use crate::recipe::{Dataset, Mix, Precision, RecipeFile};
use crate::record::Record;
use crate::report;
use crate::schedule::Plateaus;
use crate::start;
use crate::streams::say;
use crate::train::{Ending, MODEL, Split, TEST, Trainer, VALIDATION};

/// Batches that are prepared ahead for each worker.
const QUEUE: usize = 4;

/// Trains what the recipe says, from the beginning or from the last checkpoint, in one process or with all that MPI started.
pub fn run(arguments: &RunArgs) -> Result<ExitCode, Error> {
    let processes = match arguments.alone {
        true => Processes::alone(),
        false => Processes::join()?,
    };
    match train_in(&processes, arguments) {
        Err(error) if processes.count() > 1 => processes.fail(&error),
        ended => ended,
    }
}

fn train_in(processes: &Processes, arguments: &RunArgs) -> Result<ExitCode, Error> {
    let file = RecipeFile::find(&arguments.config, &arguments.set, arguments.seed)?;
    let architecture = file.architecture()?;
    start::check_parts(&file, &architecture)?;
    start::check_whiten(&file, &architecture)?;
    let device = device::choose_for(&arguments.device, processes.number_here())?;
    device.check_precision(file.recipe.precision)?;
    let threads = start_threads(Some(
        (arguments.threads).unwrap_or_else(|| (cores() / processes.on_these_cores()).max(1)),
    ));
    let here = Circumstances {
        device: device.name.clone(),
        workers: arguments
            .workers
            .unwrap_or_else(|| default_workers(&device)),
        threads,
        processes: processes.count(),
        started_in: working_folder(),
        initialization: architecture.initialization(),
        init_sha256: start::init_sha256(&file)?,
    };
    check_declared(&file, &architecture, &here)?;
    let folder = run_folder(arguments, &file);
    if !arguments.resume && processes.is_first() {
        refuse_existing(&folder)?;
    }

    let data_dir = arguments
        .data_dir
        .clone()
        .unwrap_or_else(datasets::default_dir);
    let opened = processes.in_turn(|| open(&file, &data_dir))?;
    let plan = Plan::new(&file, &facts(&file, &opened), &here)?;
    let architecture = architecture
        .with_classes(opened.classes.len())
        .with_channels(opened.sizes.channels());

    check_agreed(processes, &plan)?;
    let prepared = Prepared::new(&plan, &opened, &architecture, processes)?;
    // Where one of them finds something wrong, no folder is to be left behind.
    processes.meet();
    let lock = match processes.is_first() {
        true => {
            create_folder(&folder)?;
            Some(files::lock(&folder).map_err(unwritable)?)
        }
        false => None,
    };
    let network = Drawn {
        architecture: &architecture,
        images: prepared.images(),
        device: device.device.clone().autodiff(),
    };
    let beginning = if processes.is_first() {
        let beginning = begin_or_resume(&plan, &folder, arguments.resume, &network)?;
        processes.first(&beginning.reached());
        beginning
    } else {
        let reached = processes.first(&Reached::default());
        follow(&plan, &folder, &network, &reached)?
    };
    if processes.first(&finished(&folder, &plan, &beginning)) {
        if processes.is_first() {
            tell_finished(&folder)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let says = processes.is_first().then_some("stopping after this step");
    let interrupted = interrupt::watch(says);
    if arguments.while_stdin {
        interrupt::when_stdin_ends(&interrupted);
    }
    if processes.is_first() {
        introduce(&plan, &architecture, prepared.input, &device);
    }
    let ended = train(
        &plan,
        &folder,
        &device,
        prepared,
        beginning,
        processes,
        interrupted,
    );
    drop(lock);
    ended
}

fn tell_finished(folder: &Path) -> Result<(), Error> {
    if !folder.join(report::REPORT).exists() {
        report::write(folder).map_err(unreported)?;
    }
    say(format_args!(
        "the run in `{}` is finished",
        folder.display()
    ));
    Ok(())
}

/// Checks that all processes are to run what the first one is.
fn check_agreed(processes: &Processes, plan: &Plan) -> Result<(), Error> {
    if processes.count() == 1 {
        return Ok(());
    }
    let unlike = |why: String| {
        Error::usage("the processes do not have the same plan")
            .because(why)
            .with_hint(
                "start all of them with one recipe, one program and the same data, or with `--alone` where each is a run of \
                 its own",
            )
    };
    // Each may have a GPU of its own.
    let own = Plan {
        device: device::kind(&plan.device).to_owned(),
        ..plan.clone()
    };
    let plans = processes.gather(&own.to_toml());
    for (process, other) in plans.iter().enumerate() {
        let other = Plan::from_toml(other).map_err(|fault| unlike(fault.to_string()))?;
        let first = Plan::from_toml(&plans[0]).map_err(|fault| unlike(fault.to_string()))?;
        let differences = first.differences(&other);
        if !differences.is_empty() {
            let differences = differences.join("; ");
            return Err(unlike(format!(
                "process 0 and process {process}: {differences}"
            )));
        }
    }
    Ok(())
}

/// The dataset of a recipe.
pub fn open(file: &RecipeFile, data_dir: &Path) -> Result<Opened, Error> {
    let open = match file.recipe.on_bad_image {
        OnBadImage::Stop => datasets::open,
        OnBadImage::Skip => datasets::open_with_bad_images,
    };
    open(&file.recipe.dataset, data_dir)
}

fn run_folder(arguments: &RunArgs, file: &RecipeFile) -> PathBuf {
    arguments
        .run_dir
        .clone()
        .unwrap_or_else(|| Path::new("runs").join(format!("{}-s{}", file.name, file.recipe.seed)))
}

fn refuse_existing(folder: &Path) -> Result<(), Error> {
    // A run that could not begin leaves its lock and an empty folder of checkpoints.
    let counts_for_nothing = |entry: &fs::DirEntry| {
        entry.file_name() == files::LOCK
            || (entry.file_name() == checkpoint::FOLDER && is_empty(&entry.path()))
    };
    let nothing = fs::read_dir(folder)
        .is_ok_and(|entries| entries.flatten().all(|entry| counts_for_nothing(&entry)));
    if !folder.exists() || nothing {
        return Ok(());
    }
    Err(
        Error::usage(format!("run folder `{}` exists already", folder.display())).with_hint(
            "go on with it by `--resume`, or choose another by `--run-dir DIR` or `--seed N`",
        ),
    )
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// The CPU needs its cores for training; a GPU has to be fed.
fn default_workers(device: &Choice) -> usize {
    if device.is_cpu { 1 } else { cores().min(8) }
}

/// Checks a recipe against what the manifest of its dataset says, before any data is read or fetched. A user's own data
/// has no manifest: it is checked when it is open.
pub fn check_declared(
    file: &RecipeFile,
    architecture: &Architecture,
    here: &Circumstances,
) -> Result<(), Error> {
    let Dataset::Name(name) = &file.recipe.dataset else {
        return Ok(());
    };
    let facts = declared_facts(name)?;
    let plan = Plan::new(file, &facts, here)?;
    let architecture = architecture
        .with_classes(facts.classes)
        .with_channels(facts.size.channels());
    for transforms in [&plan.augment.train, &plan.augment.test] {
        if let Some(size) = plan::seen(transforms, facts.size) {
            check_network(&plan, &architecture, size)?;
        }
    }
    Ok(())
}

/// What the manifest says of a dataset, before any of it is read.
///
/// # Errors
///
/// With exit code 2, where there is no such dataset.
pub fn declared_facts(name: &str) -> Result<DatasetFacts, Error> {
    let manifest = datasets::find(name).ok_or_else(|| datasets::unknown(name))?;
    let count = |split: &str| manifest.splits.get(split).map(|split| split.count);
    Ok(DatasetFacts {
        name: name.to_owned(),
        train_images: count("train").unwrap_or(0),
        test_images: count("test"),
        classes: manifest.classes.len(),
        size: manifest.size,
        fingerprint: String::new(),
        jpeg_decoder: None,
        statistics: manifest.statistics.as_ref().map(statistics),
    })
}

/// Checks that the network of that name takes images of that size.
///
/// # Errors
///
/// With exit code 2, where it does not.
pub fn check_size(name: &str, architecture: &Architecture, size: Size) -> Result<(), Error> {
    let check = architecture.check([size.height, size.width]);
    check.map_err(|error| {
        Error::usage(format!("model `{name}` does not fit the images"))
            .because(error)
            .with_hint("choose another model (`train list`) or another crop")
    })
}

fn check_network(plan: &Plan, architecture: &Architecture, size: Size) -> Result<(), Error> {
    check_size(&plan.model.name, architecture, size)?;
    let input = [architecture.channels(), size.height, size.width];
    if plan.gradient_checkpointing && describe(plan, architecture, input).blocks == 0 {
        let what = format!("model `{}` has no blocks to compute again", plan.model.name);
        let hint = "without `gradient_checkpointing`, `accumulate` saves memory, too";
        return Err(Error::usage(what).with_hint(hint));
    }
    check_sampled_blocks(plan, &blank(plan, architecture), input)
}

/// Checks that there are as many residual blocks as a forward pass is to go through.
fn check_sampled_blocks(plan: &Plan, model: &Model, input: [usize; 3]) -> Result<(), Error> {
    let Some(count) = plan.sampled_blocks else {
        return Ok(());
    };
    let name = &plan.model.name;
    let cannot = |why: String| {
        let what = format!("cannot train model `{name}` with `sampled_blocks = {count}`");
        Error::usage(what).because(why)
    };
    let blocks = model.residual_blocks(input);
    if count > blocks {
        let why = format!("it has {blocks} residual blocks");
        return Err(cannot(why).with_hint("lower `sampled_blocks`, or choose a residual network"));
    }
    if plan.gradient_checkpointing {
        let why = "blocks that are computed again would draw again".to_owned();
        return Err(cannot(why).with_hint("leave out `gradient_checkpointing`"));
    }
    Ok(())
}

fn describe(plan: &Plan, architecture: &Architecture, input: [usize; 3]) -> Description {
    Description::of(&blank(plan, architecture), input)
}

/// The network; nothing draws its weights.
fn blank(plan: &Plan, architecture: &Architecture) -> Model {
    let mut init = Init::new(&Device::flex(), plan.initialization, plan.seed);
    architecture.init(&mut init)
}

fn statistics(statistics: &data::Statistics) -> Statistics {
    let widened = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect();
    let pca = statistics.pca.as_ref();
    Statistics {
        mean: widened(&statistics.mean),
        std: widened(&statistics.std),
        eigenvalues: pca.map(|pca| widened(&pca.eigenvalues)).unwrap_or_default(),
        eigenvectors: pca
            .map(|pca| pca.eigenvectors.iter().map(|row| widened(row)).collect())
            .unwrap_or_default(),
    }
}

/// What a recipe's dataset turned out to be.
pub fn facts(file: &RecipeFile, opened: &Opened) -> DatasetFacts {
    DatasetFacts {
        name: file.recipe.dataset.title(),
        train_images: opened.train.len(),
        test_images: opened.test.as_ref().map(|test| test.len()),
        classes: opened.classes.len(),
        size: opened.sizes,
        fingerprint: opened.fingerprint().to_owned(),
        jpeg_decoder: opened.jpeg_decoder(),
        statistics: opened.statistics.as_ref().map(statistics),
    }
}

/// The data of a run, checked against its network.
struct Prepared {
    train: Source,
    loader: Loader,
    splits: Vec<Split>,
    input: Size,
    card: Card,
}

impl Prepared {
    fn new(
        plan: &Plan,
        opened: &Opened,
        architecture: &Architecture,
        processes: &Processes,
    ) -> Result<Self, Error> {
        let unreadable = |error| Error::failure("cannot read the images").explained_by(error);
        let (train, validation) = divide(plan, opened).map_err(unreadable)?;
        let preprocessing = Preprocessing::new(&plan.augment, opened, &train, plan.on_bad_image)
            .map_err(unreadable)?;
        let pipeline = preprocessing.train.clone();
        let loader = training_loader(plan, train.clone(), pipeline, processes.share())
            .map_err(preprocess::misfit)?;
        let mut splits = Vec::new();
        for (name, source) in [(VALIDATION, validation), (TEST, opened.test.clone())] {
            if let Some(source) = source {
                check_shared(name, &source, processes)?;
                let share = processes.share().of(0..source.len());
                let start = share.start;
                let loader = Loader::ordered(
                    part(&source, share).map_err(preprocess::misfit)?,
                    preprocessing.test.clone(),
                    plan.eval.batch,
                    plan.on_bad_image,
                    plan.workers,
                )
                .map_err(preprocess::misfit)?;
                splits.push(Split {
                    name,
                    source,
                    loader,
                    start,
                });
            }
        }
        for size in splits
            .iter()
            .map(|split| &split.loader)
            .chain([&loader])
            .map(Loader::size)
        {
            check_network(plan, architecture, size)?;
        }
        let input = loader.size();
        Ok(Self {
            train,
            loader,
            splits,
            input,
            card: Card {
                model: plan.model.clone(),
                classes: opened.classes.clone(),
                size: opened.sizes.one().unwrap_or(input),
                preprocessing: preprocessing.test,
                step: 0,
            },
        })
    }

    fn images(&self) -> start::Images<'_> {
        start::Images {
            train: &self.train,
            preprocessing: &self.card.preprocessing,
        }
    }
}

/// Checks that each process has an image of a split to look at.
fn check_shared(split: &str, source: &Source, processes: &Processes) -> Result<(), Error> {
    let (images, count) = (source.len(), processes.count());
    if images >= count {
        return Ok(());
    }
    Err(Error::usage(format!("cannot share the {split} split"))
        .because(format!(
            "it has {images} images, and {count} processes look at it"
        ))
        .with_hint("start fewer processes"))
}

/// The batches that a plan trains on.
pub fn training_loader(
    plan: &Plan,
    train: Source,
    pipeline: Pipeline,
    share: Share,
) -> Result<Loader, data::Error> {
    let config = LoaderConfig {
        batch: plan.batch,
        seed: plan.seed,
        shuffle: plan.shuffle,
        drop_last: plan.drop_last,
        micro_batches: plan.accumulate,
        share,
        repeats: plan.augment.repeated_augmentation,
        mix: plan.augment.mix.iter().map(Mix::resolved).collect(),
        on_bad_image: plan.on_bad_image,
        workers: plan.workers,
        queue: QUEUE * plan.workers,
    };
    Loader::new(train, pipeline, config)
}

/// The images that are trained on, and those held out of them.
pub fn divide(plan: &Plan, opened: &Opened) -> Result<(Source, Option<Source>), data::Error> {
    if plan.validation_images == 0 {
        return Ok((opened.train.clone(), None));
    }
    let all = opened.train.len();
    Ok((
        part(&opened.train, 0..plan.train_images)?,
        Some(part(&opened.train, plan.train_images..all)?),
    ))
}

fn part(source: &Source, images: Range<usize>) -> Result<Source, data::Error> {
    Ok(Arc::new(Subset::new(Arc::clone(source), images)?))
}

/// How far a run is, as the first process tells the others.
#[derive(Default, Serialize, Deserialize)]
struct Reached {
    step: u64,
    /// Whether that is after a checkpoint.
    resumed: bool,
}

/// What a run starts from.
struct Beginning {
    state: State,
    resumed: bool,
    /// What the user may not expect of how it begins.
    notes: Vec<String>,
}

impl Beginning {
    fn reached(&self) -> Reached {
        Reached {
            step: self.state.step,
            resumed: self.resumed,
        }
    }
}

/// What a network in training is made of, beside its plan.
struct Drawn<'a> {
    architecture: &'a Architecture,
    images: start::Images<'a>,
    device: Device,
}

/// Begins where the first process did.
fn follow(
    plan: &Plan,
    folder: &Path,
    network: &Drawn<'_>,
    reached: &Reached,
) -> Result<Beginning, Error> {
    if !reached.resumed {
        return begin(plan, network);
    }
    let found = checkpoint::newest(folder)
        .map_err(|error| Error::failure("cannot resume the run").explained_by(error))?;
    match found.checkpoint {
        Some(checkpoint) if checkpoint.step == reached.step => Ok(Beginning {
            state: restored(plan, network, checkpoint)?,
            resumed: true,
            notes: Vec::new(),
        }),
        _ => Err(Error::failure("cannot resume the run")
            .because(format!(
                "the first process goes on from step {}, whose checkpoint is not in `{}` here",
                reached.step,
                folder.display()
            ))
            .with_hint("put the run folder where all machines see it (`--run-dir DIR`)")),
    }
}

fn begin(plan: &Plan, network: &Drawn<'_>) -> Result<Beginning, Error> {
    let Drawn {
        architecture,
        images,
        device,
    } = network;
    let start::Start { model, notes } = start::Start::new(plan, architecture, images, device)?;
    Ok(Beginning {
        state: initial(plan, model),
        resumed: false,
        notes,
    })
}

/// Begins the run in its folder, or finds the checkpoint in it to go on from. Where its initial state cannot be made, it
/// leaves no run behind.
fn begin_or_resume(
    plan: &Plan,
    folder: &Path,
    resume: bool,
    network: &Drawn<'_>,
) -> Result<Beginning, Error> {
    let path = folder.join(report::PLAN);
    if !path.exists() && !is_empty(&folder.join(checkpoint::FOLDER)) {
        return Err(
            Error::failure(format!("cannot resume the run in `{}`", folder.display()))
                .because(format!("it has checkpoints, but no `{}`", report::PLAN))
                .with_hint("restore it from a copy, or choose another `--run-dir DIR`"),
        );
    }
    if !resume || !path.exists() {
        let beginning = begin(plan, network)?;
        files::replace(&path, plan.to_toml().as_bytes()).map_err(unwritable)?;
        return Ok(beginning);
    }
    let before = Plan::read(&path)?;
    // Of another number of processes, a note tells.
    let differences = before.differences(&Plan {
        processes: before.processes,
        ..plan.clone()
    });
    if !differences.is_empty() {
        return Err(
            Error::usage(format!("cannot resume the run in `{}`", folder.display()))
                .because(format!("its plan has changed: {}", differences.join("; ")))
                .with_hint(
                    "give the values that the run began with, or choose another `--run-dir DIR`",
                ),
        );
    }
    for difference in before.provenance_differences(plan) {
        say(format_args!(
            "note: the run began with another program: {difference}"
        ));
    }
    let found = checkpoint::newest(folder)
        .map_err(|error| Error::failure("cannot resume the run").explained_by(error))?;
    for (path, reason) in &found.damaged {
        say(format_args!(
            "note: passed over `{}`: {reason}",
            path.display()
        ));
    }
    let Some(checkpoint) = found.checkpoint else {
        say("note: no checkpoint to go on from: starting from the beginning");
        return begin(plan, network);
    };
    Ok(Beginning {
        state: restored(plan, network, checkpoint)?,
        resumed: true,
        notes: before.processes_note(plan).into_iter().collect(),
    })
}

/// As a plan can hold it: `None` where its name is not UTF-8.
fn working_folder() -> Option<PathBuf> {
    let folder = env::current_dir().ok()?;
    folder.to_str().map(PathBuf::from)
}

fn create_folder(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder.join(checkpoint::FOLDER)).map_err(|error| {
        Error::failure(format!("cannot make run folder `{}`", folder.display()))
            .because(error)
            .with_hint("choose a folder that can be written with `--run-dir DIR`")
    })
}

fn unwritable(error: files::Error) -> Error {
    Error::failure("cannot write the run").explained_by(error)
}

fn unreported(error: files::Error) -> Error {
    Error::failure("cannot write the report").explained_by(error)
}

fn finished(folder: &Path, plan: &Plan, beginning: &Beginning) -> bool {
    let ended = || {
        journal::read(&folder.join(crate::record::JOURNAL))
            .is_ok_and(|events| events.iter().any(|event| matches!(event, Event::End(_))))
    };
    beginning.state.step >= plan.steps && folder.join(MODEL).exists() && ended()
}

fn train(
    plan: &Plan,
    folder: &Path,
    device: &Choice,
    prepared: Prepared,
    beginning: Beginning,
    processes: &Processes,
    interrupted: Arc<AtomicBool>,
) -> Result<ExitCode, Error> {
    let about = progress::Run {
        steps: plan.steps,
        steps_per_epoch: plan.steps_per_epoch,
        machine: Machine {
            device: device.name.clone(),
            is_cpu: device.is_cpu,
            threads: plan.threads,
            cores: cores(),
            gpus: device::compiled_gpus(),
        },
    };
    let Beginning {
        state,
        resumed,
        notes,
    } = beginning;
    let record = match processes.is_first() {
        true => Some(open_record(
            plan, folder, resumed, state.step, notes, about,
        )?),
        false => None,
    };

    let size = prepared.loader.size();
    let input = [size.channels, size.height, size.width];
    let trainer = Trainer {
        plan,
        folder: folder.to_owned(),
        device: device.device.clone(),
        is_cpu: device.is_cpu,
        loader: prepared.loader,
        splits: prepared.splits,
        card: prepared.card,
        sampling: plan.sampled_blocks.map(|count| Sampling {
            blocks: state.model.residual_blocks(input),
            count,
        }),
        state,
        record,
        processes: processes.clone(),
        interrupted,
        skipped: BTreeSet::new(),
        is_stopped_by_one: false,
    };
    match trainer.run()? {
        Ending::Interrupted(step) => {
            if processes.is_first() {
                say(format_args!(
                    "interrupted: saved after step {step}; go on with the same line and `--resume`"
                ));
            }
            Ok(ExitCode::from(INTERRUPTED))
        }
        Ending::Finished if !processes.is_first() => Ok(ExitCode::SUCCESS),
        Ending::Finished => {
            let report = report::write(folder).map_err(unreported)?;
            say(format_args!("model  {}", folder.join(MODEL).display()));
            say(format_args!("report {}", report.display()));
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn open_record(
    plan: &Plan,
    folder: &Path,
    resumed: bool,
    step: u64,
    notes: Vec<String>,
    about: progress::Run,
) -> Result<Record, Error> {
    let record = if resumed {
        Record::resume(folder, step, about)
    } else {
        // What an earlier try of this run left before its first checkpoint is begun anew.
        remove_journal(folder)?;
        Record::create(folder, about)
    };
    let mut record = record.map_err(unwritable)?;
    for event in opening(plan, resumed, step, notes) {
        record.add(&event).map_err(unwritable)?;
    }
    Ok(record)
}

fn initial(plan: &Plan, model: Model) -> State {
    State {
        step: 0,
        optimizer: Optimizer::new(plan.optimizer.clone()),
        plateaus: Plateaus::default(),
        loss_scale: (plan.precision == Precision::F16).then(LossScale::default),
        ema: plan.ema.is_some().then(|| Average::new(&model)),
        slow: plan.lookahead.is_some().then(|| Average::new(&model)),
        best: None,
        tally: Tally::default(),
        model,
    }
}

fn restored(plan: &Plan, network: &Drawn<'_>, checkpoint: Checkpoint) -> Result<State, Error> {
    let model = start::drawn(plan, network.architecture, &network.device);
    checkpoint
        .restore(initial(plan, model))
        .map_err(|reason| Error::failure("cannot go on from the checkpoint").because(reason))
}

/// What is said before the first step.
fn introduce(plan: &Plan, architecture: &Architecture, input: Size, device: &Choice) {
    let described = describe(
        plan,
        architecture,
        [input.channels, input.height, input.width],
    );
    let threads = format!("{} threads", plan.threads);
    say(match plan.processes {
        1 => format!("device  {} ({threads})", device.name),
        count => format!("device  {} ({count} processes of {threads})", device.name),
    });
    say(format_args!(
        "model   {}: {} parameters, {} multiply-adds an image of {input}, \
         weights {}",
        plan.model.name,
        progress::grouped(described.parameters as u64),
        progress::grouped(described.multiply_adds),
        match &plan.init {
            Some(init) => format!("from `{}`", init.weights.display()),
            None => format!("drawn: {}", plan.initialization),
        }
    ));
    say(format_args!(
        "data    {}: {} images in {} classes",
        plan.dataset.facts.name,
        progress::grouped(plan.train_images as u64),
        plan.dataset.facts.classes
    ));
    say(format_args!(
        "plan    {} steps of {} images, {} an epoch; seed {}",
        progress::grouped(plan.steps),
        plan.batch,
        progress::grouped(plan.steps_per_epoch),
        plan.seed
    ));
}

fn remove_journal(folder: &Path) -> Result<(), Error> {
    let path = folder.join(crate::record::JOURNAL);
    if path.exists() {
        fs::remove_file(&path).map_err(|error| unwritable(files::Error::writing(&path)(error)))?;
    }
    Ok(())
}

fn opening(plan: &Plan, resumed: bool, step: u64, notes: Vec<String>) -> Vec<Event> {
    let (time, device, threads) = (journal::now(), plan.device.clone(), plan.threads);
    let (first, of_plan) = match resumed {
        true => {
            let resume = Resume {
                time,
                step,
                device,
                threads,
            };
            (Event::Resume(resume), [].as_slice())
        }
        false => {
            let start = Start {
                time,
                steps: plan.steps,
                device,
                threads,
            };
            (Event::Start(start), plan.notes.as_slice())
        }
    };
    let notes = of_plan.iter().cloned().chain(notes);
    let notes = notes.map(|text| Event::Note(Note { step, text }));
    std::iter::once(first).chain(notes).collect()
}
