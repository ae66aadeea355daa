//! `train study`: a question that is put to many networks.
//!
//! Trains what is missing, as `train reproduce` does, looks into what was trained where the study wants that, and writes
//! figures, numbers and a page.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use burn::tensor::Device;
use data::{Loader, OnBadImage, Opened, Sizes, Source, Subset};

use super::eval::BATCH;
use super::network::Network;
use super::sweep::{self, Swept};
use super::{compare, data_dir, eval, start_threads};
use crate::checkpoint;
use crate::cli::{Format, NetworkArgs, Split, StudyArgs, TableFormat};
use crate::device::{self, Choice};
use crate::error::Error;
use crate::lab::cost::Cost;
use crate::lab::results::Results;
use crate::lab::runs::{Entry, Experiment, Found, State};
use crate::lab::study::{self, Findings, Kind, Past, Study, Subject, training};
use crate::plan::Plan;
use crate::streams::{print_line, say};
use crate::{datasets, network, preprocess, start};

/// Threads that prepare images.
const WORKERS: usize = 1;

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
    let findings = if study.study.is_of_training() {
        training::findings(&name, &study, &entries)?
    } else if ending != ExitCode::SUCCESS {
        return Ok(ending);
    } else if study.study == Kind::Compare {
        compared(&name, study, &entries, arguments)?
    } else {
        looked_into(&name, study, &entries, arguments)?
    };
    let page = findings.write(&folder)?;
    print(&findings, arguments.format)?;
    say(format_args!("report {}", page.display()));
    Ok(ending)
}

/// Checks before the first run that the experiments differ, and in the factor alone, and that their networks are some for
/// the study, as far as that is known.
fn check(study: &Study, experiments: &[Experiment]) -> Result<(), Error> {
    let mut plans: Vec<(&str, Plan)> = Vec::new();
    for experiment in experiments {
        let job = experiment.job(0);
        if let Some(plan) = sweep::planned(&job)? {
            let (model, input) = sweep::blank(&job, &plan.dataset.facts)?;
            study::check(study.study, &experiment.name, &model, input)?;
            plans.push((&experiment.name, plan));
        }
    }
    for (index, (name, plan)) in plans.iter().enumerate() {
        let same = plans[..index]
            .iter()
            .find(|(_, other)| other.differences_beside(plan, &[]).is_empty());
        if let Some((other, _)) = same {
            let what = format!("`{other}` and `{name}` do not differ");
            return Err(Error::usage(what).with_hint("change one by its `set`, or take it out"));
        }
        if study.study == Kind::Compare {
            compare::check_published(name, plan)?;
        }
    }
    training::check_factor(study, plans.iter().map(|(name, plan)| (*name, plan)))
}

/// What networks cost here.
fn compared(
    name: &str,
    study: Study,
    entries: &[Entry],
    arguments: &StudyArgs,
) -> Result<Findings, Error> {
    let mut alarms = Vec::new();
    let cost = (study.experiment.iter()).fold(Cost::default(), |cost, experiment| {
        cost.plus(Results::of(&experiment.name, entries, &mut alarms).cost)
    });
    let candidates = compare::candidates(&study, entries, &arguments.sweep.machine)?;
    Ok(Findings {
        name: name.to_owned(),
        measured: study::compare::compare(&candidates),
        study,
        alarms,
        cost,
    })
}

/// What a look into the trained networks shows.
fn looked_into(
    name: &str,
    study: Study,
    entries: &[Entry],
    arguments: &StudyArgs,
) -> Result<Findings, Error> {
    let chosen = device::choose(&arguments.sweep.machine.device)?;
    start_threads(arguments.sweep.machine.threads);
    let mut alarms = Vec::new();
    let mut cost = Cost::default();
    let mut subjects = Vec::new();
    for experiment in &study.experiment {
        let results = Results::of(&experiment.name, entries, &mut alarms);
        cost = cost.plus(results.cost);
        for seed in results.diverged {
            alarms.push(format!(
                "{}, seed {seed}, diverged: it is left out",
                experiment.name
            ));
        }
        let mut ours: Vec<&Entry> = (entries.iter())
            .filter(|entry| entry.experiment == experiment.name)
            .filter(|entry| matches!(entry.run.state, State::Finished(_)))
            .collect();
        ours.sort_by_key(|entry| entry.run.plan.seed);
        ours.dedup_by_key(|entry| entry.run.plan.seed);
        for entry in ours {
            subjects.push(of_run(entry, &study, arguments, &chosen)?);
        }
    }
    for network in &study.network {
        subjects.push(of_file(network, &study, arguments, &chosen)?);
    }
    if subjects.is_empty() {
        return Err(Error::failure("there is no network to look into")
            .because("no run came to its end")
            .with_hint("change how the study trains, by its `set`"));
    }
    let mut measured = study::measure(&study, &subjects)?;
    if study.study == Kind::Paths && !study.experiment.is_empty() {
        let (effects, errors) = training::errors(&study, entries);
        measured.effects.extend(effects);
        measured.grids.push(errors);
    }
    Ok(Findings {
        name: name.to_owned(),
        measured,
        study,
        alarms,
        cost,
    })
}

fn of_run(
    entry: &Entry,
    study: &Study,
    arguments: &StudyArgs,
    device: &Choice,
) -> Result<Subject, Error> {
    let plan = &entry.run.plan;
    let chosen = NetworkArgs {
        run: vec![entry.run.folder.clone()],
        ..NetworkArgs::default()
    };
    let dataset = eval::dataset(None, Some(plan))?;
    let opened = datasets::open(&dataset, &data_dir(&arguments.sweep.data))?;
    let network = loaded(&chosen, &opened, device)?;
    let [train, test] = [Split::Train, Split::Test].map(|split| {
        loader(
            eval::split(split, &opened, Some(plan))?,
            opened.sizes,
            &network,
            study,
        )
    });
    let past = match study.study {
        Kind::Gradients => past(&entry.run, &device.device)?,
        _ => Vec::new(),
    };
    Ok(Subject {
        name: entry.experiment.clone(),
        seed: Some(plan.seed),
        steps: Some(plan.steps),
        past,
        model: network.model,
        device: device.device.clone(),
        train: train?,
        test: test?,
    })
}

/// The network of a run as it was drawn, and at the checkpoints that were kept.
fn past(run: &Found, device: &Device) -> Result<Vec<Past>, Error> {
    let facts = &run.plan.dataset.facts;
    let architecture = network::architecture(&run.plan.model)
        .map_err(|error| Error::failure("cannot draw the network again").because(error))?
        .with_classes(facts.classes)
        .with_channels(facts.size.channels());
    let drawn = || start::drawn(&run.plan, &architecture, device);
    let mut past = vec![Past {
        step: 0,
        model: drawn(),
    }];
    for path in checkpoint::list(&run.folder)
        .map_err(|error| Error::failure("cannot list checkpoints").explained_by(error))?
    {
        let at_checkpoint = || {
            let checkpoint = checkpoint::read(&path)?;
            Ok((checkpoint.step, checkpoint.network(drawn())?))
        };
        let (step, model) = at_checkpoint().map_err(|reason: String| {
            Error::failure(format!("cannot use checkpoint `{}`", path.display()))
                .because(reason)
                .with_hint("remove it: the study goes without it")
        })?;
        // The last step's network is the run's result.
        if step < run.plan.steps {
            past.push(Past { step, model });
        }
    }
    Ok(past)
}

fn of_file(
    named: &study::Network,
    study: &Study,
    arguments: &StudyArgs,
    device: &Choice,
) -> Result<Subject, Error> {
    let chosen = NetworkArgs {
        model: named.model.iter().cloned().collect(),
        weights: vec![named.weights.clone()],
        mean: named.mean.clone(),
        std: named.std.clone(),
        ..NetworkArgs::default()
    };
    let dataset = eval::dataset(Some(&named.dataset), None)?;
    let opened = datasets::open(&dataset, &data_dir(&arguments.sweep.data))?;
    let network = loaded(&chosen, &opened, device)?;
    let [train, test] = [Split::Train, Split::Test].map(|split| {
        loader(
            eval::split(split, &opened, None)?,
            opened.sizes,
            &network,
            study,
        )
    });
    Ok(Subject {
        name: named.name.clone(),
        seed: None,
        steps: None,
        past: Vec::new(),
        model: network.model,
        device: device.device.clone(),
        train: train?,
        test: test?,
    })
}

/// The network, which has the classes of the dataset.
fn loaded(chosen: &NetworkArgs, opened: &Opened, device: &Choice) -> Result<Network, Error> {
    let network = Network::load_all(chosen, Some(opened), device)?.remove(0);
    eval::check_classes(&network, opened)?;
    Ok(network)
}

/// The images that a study looks at, in their order.
fn loader(source: Source, sizes: Sizes, network: &Network, study: &Study) -> Result<Loader, Error> {
    let images = study.images.unwrap_or(usize::MAX).min(source.len());
    let first = Subset::new(source, 0..images)
        .map_err(|error| Error::failure("cannot divide the images").explained_by(error))?;
    let batch = study.batch.unwrap_or(BATCH);
    let loader = Loader::ordered(
        Arc::new(first),
        network.for_dataset(sizes)?,
        batch,
        OnBadImage::Stop,
        WORKERS,
    )
    .map_err(preprocess::misfit)?;
    network.check(loader.size())?;
    Ok(loader)
}

fn print(findings: &Findings, format: Format) -> Result<(), Error> {
    match format {
        Format::Text => print_line(findings.text().trim_end()),
        Format::Json => print_line(findings.summary()),
    }
}
