//! `train eval`: figures of a network, or of several together, on a split.

use std::path::PathBuf;
use std::sync::Arc;

use data::{Opened, Source, Subset};
use serde::Serialize;

use super::network::Network;
use super::views::{self, name};
use super::{data_dir, print_json, start_threads};
use crate::cli::{EvalArgs, Format, Split, View};
use crate::device::{self, Choice};
use crate::error::Error;
use crate::evaluate::{self, Outcome, Viewer};
use crate::plan::Plan;
use crate::recipe::Dataset;
use crate::streams::{print_line, say};
use crate::{datasets, report};

/// Images at a time, unless the user says otherwise.
pub(super) const BATCH: usize = 128;

/// Figures of a network, or of several together, in percent.
#[derive(Serialize)]
struct Figures {
    top1: f64,
    top5: f64,
    loss: f64,
    images: usize,
}

impl From<&Outcome> for Figures {
    fn from(outcome: &Outcome) -> Self {
        Self {
            top1: outcome.top(1),
            top5: outcome.top(5),
            loss: outcome.loss(),
            images: outcome.predictions.len(),
        }
    }
}

/// A network by itself.
#[derive(Serialize)]
struct Member {
    network: String,
    /// What it sees of an image.
    seen: String,
    #[serde(flatten)]
    figures: Figures,
}

/// What is printed.
#[derive(Serialize)]
struct Evaluated {
    view: View,
    #[serde(flatten)]
    figures: Figures,
    members: Vec<Member>,
}

/// Evaluates models of runs, or weights of named networks.
pub fn run(arguments: &EvalArgs) -> Result<(), Error> {
    views::check_flags(arguments)?;
    let chosen = device::choose(&arguments.machine.device)?;
    start_threads(arguments.machine.threads);
    let images = Images::find(arguments)?;
    let networks = Network::load_all(&arguments.network, images.opened(), &chosen)?;
    check_one_set_of_classes(&networks)?;
    let viewers: Vec<Viewer<'_>> = networks
        .iter()
        .map(|network| viewer(network, &images, arguments, &chosen))
        .collect::<Result<_, _>>()?;
    for (network, viewer) in networks.iter().zip(&viewers) {
        say(format_args!("{}  {viewer}", network.name));
    }
    let ensemble = evaluate::evaluate_together(&viewers)
        .map_err(|error| Error::failure("cannot read the images").explained_by(error))?;
    let members = networks.iter().zip(&viewers).zip(&ensemble.members);
    let evaluated = Evaluated {
        view: arguments.view,
        figures: (&ensemble.together).into(),
        members: members
            .map(|((network, viewer), outcome)| Member {
                network: network.name.clone(),
                seen: viewer.to_string(),
                figures: outcome.into(),
            })
            .collect(),
    };
    print(arguments.format, &evaluated)
}

/// What is evaluated on.
enum Images {
    /// A split of a dataset.
    Split(Box<Opened>, Source),
    /// Class folders of images of any size.
    Folder(PathBuf),
}

impl Images {
    fn find(arguments: &EvalArgs) -> Result<Self, Error> {
        if let Some(folder) = &arguments.folder {
            return Ok(Self::Folder(folder.clone()));
        }
        let plan = common_plan(arguments)?;
        let dataset = dataset(arguments.dataset.as_deref(), plan.as_ref())?;
        let opened = datasets::open(&dataset, &data_dir(&arguments.data))?;
        let source = split(arguments.split, &opened, plan.as_ref())?;
        Ok(Self::Split(Box::new(opened), source))
    }

    fn opened(&self) -> Option<&Opened> {
        match self {
            Self::Split(opened, _) => Some(opened.as_ref()),
            Self::Folder(_) => None,
        }
    }

    /// The images as the network reads them, which has as many classes.
    fn of(&self, network: &Network) -> Result<Source, Error> {
        match self {
            Self::Split(opened, source) => {
                check_classes(network, opened)?;
                Ok(source.clone())
            }
            Self::Folder(folder) => {
                data::open_photographs(folder, network.class_folders(), network.size.channels)
                    .map_err(|error| Error::failure("cannot open the images").explained_by(error))
            }
        }
    }
}

/// The plan of the runs, which are of one dataset, divided in one way where that matters.
fn common_plan(arguments: &EvalArgs) -> Result<Option<Plan>, Error> {
    let mut first: Option<(&PathBuf, Plan)> = None;
    for folder in &arguments.network.run {
        let plan = Plan::read(&folder.join(report::PLAN))?;
        let Some((other, expected)) = &first else {
            first = Some((folder, plan));
            continue;
        };
        let differ = |how| {
            let (other, folder) = (other.display(), folder.display());
            Error::usage(format!("runs `{other}` and `{folder}` {how}"))
        };
        let is_named = arguments.dataset.is_some();
        if !is_named && plan.dataset.facts.fingerprint != expected.dataset.facts.fingerprint {
            return Err(differ("are of different datasets")
                .with_hint("name one by `--dataset NAME`, or images by `--folder DIR`"));
        }
        if arguments.split != Split::Test && plan.train_images != expected.train_images {
            return Err(differ("hold out different images").with_hint("use `--split test`"));
        }
    }
    Ok(first.map(|(_, plan)| plan))
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

pub(super) fn check_classes(network: &Network, opened: &Opened) -> Result<(), Error> {
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

/// Refuses networks whose scores are not of the same classes in the same order.
fn check_one_set_of_classes(networks: &[Network]) -> Result<(), Error> {
    let [first, others @ ..] = networks else {
        return Ok(());
    };
    let Some(other) = others.iter().find(|other| other.classes != first.classes) else {
        return Ok(());
    };
    let difference = match (first.classes.iter().zip(&other.classes)).position(|(a, b)| a != b) {
        Some(class) if first.classes.len() == other.classes.len() => format!(
            "class {class} is `{}` of the one and `{}` of the other",
            first.classes[class], other.classes[class]
        ),
        _ => format!(
            "{} classes of the one, {} of the other",
            first.classes.len(),
            other.classes.len()
        ),
    };
    let what = format!(
        "`{}` and `{}` do not know the same classes",
        first.name, other.name
    );
    Err(Error::usage(what).because(difference))
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

fn viewer<'a>(
    network: &'a Network,
    images: &Images,
    arguments: &EvalArgs,
    device: &'a Choice,
) -> Result<Viewer<'a>, Error> {
    let viewer = Viewer {
        model: &network.model,
        device: &device.device,
        source: images.of(network)?,
        views: views::chosen(network, images.opened(), arguments)?,
        preprocessing: &network.preprocessing,
        slides: matches!(arguments.view, View::Dense | View::MultiScale),
        averages_scores: arguments.view == View::MirrorTranslate,
        batch: arguments.batch.unwrap_or(BATCH),
    };
    // Images of any size are scaled to no less than a square one is.
    let size = images.opened().and_then(|opened| opened.sizes.one());
    views::check(&viewer, size.unwrap_or(network.covered()), network)?;
    Ok(viewer)
}

fn print(format: Format, evaluated: &Evaluated) -> Result<(), Error> {
    match (format, evaluated.members.as_slice()) {
        (Format::Json, _) => print_json(evaluated),
        (Format::Text, [_]) => {
            let figures = &evaluated.figures;
            print_line(format_args!("view    {}", name(evaluated.view)))?;
            print_line(format_args!("top-1   {:.2} %", figures.top1))?;
            print_line(format_args!("top-5   {:.2} %", figures.top5))?;
            print_line(format_args!("loss    {:.4}", figures.loss))?;
            print_line(format_args!("images  {}", figures.images))
        }
        (Format::Text, members) => print_table(members, evaluated),
    }
}

/// A row a network, and one of all together.
fn print_table(members: &[Member], evaluated: &Evaluated) -> Result<(), Error> {
    let together = format!("all {} together", members.len());
    let members = members
        .iter()
        .map(|member| (&member.network, &member.figures));
    let rows: Vec<_> = members.chain([(&together, &evaluated.figures)]).collect();
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    print_line(format_args!(
        "{:width$}  {:>8}  {:>8}  {:>7}",
        "", "top-1", "top-5", "loss"
    ))?;
    for (name, row) in rows {
        print_line(format_args!(
            "{name:width$}  {:>6.2} %  {:>6.2} %  {:>7.4}",
            row.top1, row.top5, row.loss
        ))?;
    }
    let images = evaluated.figures.images;
    print_line(format_args!("on {images} images, {}", name(evaluated.view)))
}
