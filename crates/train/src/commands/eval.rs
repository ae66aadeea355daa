//! `train eval`: a network's figures on a split.

use std::sync::Arc;

use data::{Loader, Opened, Source, Subset};
use serde::Serialize;

use super::network::Network;
use super::{data_dir, print_json, start_threads};
use crate::cli::{EvalArgs, Format, Split};
use crate::error::Error;
use crate::evaluate;
use crate::plan::Plan;
use crate::recipe::Dataset;
use crate::streams::print_line;
use crate::{datasets, device, preprocess, report};

/// Images at a time, unless the user says otherwise.
pub(super) const BATCH: usize = 128;
/// Threads that prepare them.
pub(super) const WORKERS: usize = 1;

#[derive(Serialize)]
struct Figures {
    top1: f64,
    top5: f64,
    loss: f64,
    images: usize,
}

/// Evaluates a run's model, or weights of a named network.
pub fn run(arguments: &EvalArgs) -> Result<(), Error> {
    let chosen = device::choose(&arguments.machine.device)?;
    start_threads(arguments.machine.threads);
    let plan = match &arguments.network.run {
        Some(folder) => Some(Plan::read(&folder.join(report::PLAN))?),
        None => None,
    };
    let dataset = dataset(arguments.dataset.as_deref(), plan.as_ref())?;
    let opened = datasets::open(&dataset, &data_dir(&arguments.data))?;
    let network = Network::load(&arguments.network, Some(&opened), &chosen)?;
    check_classes(&network, &opened)?;
    let source = split(arguments.split, &opened, plan.as_ref())?;
    let batch = arguments.batch.unwrap_or(BATCH);
    let loader = Loader::ordered(source, network.preprocessing.clone(), batch, WORKERS)
        .map_err(preprocess::misfit)?;
    network.check(loader.size())?;
    let outcome = evaluate::evaluate(&network.model, &loader, &chosen.device)
        .map_err(|error| Error::failure("cannot read the images").explained_by(error))?;
    print(
        arguments.format,
        &Figures {
            top1: outcome.top(1),
            top5: outcome.top(5),
            loss: outcome.loss(),
            images: outcome.predictions.len(),
        },
    )
}

/// The dataset of that name, else the plan's.
pub(super) fn dataset(name: Option<&str>, plan: Option<&Plan>) -> Result<Dataset, Error> {
    match (name, plan) {
        (Some(name), _) if datasets::find(name).is_none() => Err(datasets::unknown(name)),
        (Some(name), _) => Ok(Dataset::Name(name.to_owned())),
        (None, Some(plan)) => Ok(plan.dataset_from_here()),
        (None, None) => Err(Error::usage("no dataset is named").with_hint("add `--dataset NAME`")),
    }
}

fn check_classes(network: &Network, opened: &Opened) -> Result<(), Error> {
    if network.classes.len() == opened.classes.len() {
        return Ok(());
    }
    Err(
        Error::usage("the network does not fit the dataset").because(format!(
            "expected {} classes, found {}",
            network.classes.len(),
            opened.classes.len()
        )),
    )
}

/// The images of a split; those of a run's own dataset as the run divided them.
pub(super) fn split(split: Split, opened: &Opened, plan: Option<&Plan>) -> Result<Source, Error> {
    let trained_on = plan.map_or(opened.train.len(), |plan| {
        plan.train_images.min(opened.train.len())
    });
    let part = |range| -> Result<Source, Error> {
        let subset = Subset::new(opened.train.clone(), range)
            .map_err(|error| Error::failure("cannot divide the images").explained_by(error))?;
        Ok(Arc::new(subset))
    };
    match split {
        Split::Train => part(0..trained_on),
        Split::Validation if trained_on < opened.train.len() => {
            part(trained_on..opened.train.len())
        }
        Split::Validation => Err(Error::usage("there is no validation split")
            .with_hint("use `--split test`, or `--run DIR` of a run that held images out")),
        Split::Test => opened.test.clone().ok_or_else(|| {
            Error::usage("the dataset has no test split").with_hint("use `--split train`")
        }),
    }
}

fn print(format: Format, figures: &Figures) -> Result<(), Error> {
    match format {
        Format::Json => print_json(figures),
        Format::Text => {
            print_line(format_args!("top-1   {:.2} %", figures.top1))?;
            print_line(format_args!("top-5   {:.2} %", figures.top5))?;
            print_line(format_args!("loss    {:.4}", figures.loss))?;
            print_line(format_args!("images  {}", figures.images))
        }
    }
}
