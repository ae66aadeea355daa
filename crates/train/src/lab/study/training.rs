//! Studies of training: what differs in the runs of networks that differ in one thing.

use std::collections::BTreeMap;

use super::file::{Experiment, Measure, Study};
use super::{Cell, Figure, Findings, Grid, Measured, Series};
use crate::chart::{Across, MARK, Scale};
use crate::error::Error;
use crate::journal::{self, Event};
use crate::lab::cost::Cost;
use crate::lab::effect::{Effect, POINTS, Side};
use crate::lab::results::{Results, check_data};
use crate::lab::runs::{Entry, State};
use crate::lab::statistics::Sample;
use crate::plan::Plan;
use crate::record::JOURNAL;
use crate::suggest::listed;
use crate::train::TEST;

/// Points of a training curve: logged steps that are neighbours are drawn as their mean.
const CURVE_POINTS: usize = 60;

/// What the runs say.
///
/// # Errors
///
/// With exit code 2, where runs differ in more than the study's factor; with 1, where they were made on different data, or
/// cannot be read.
pub fn findings(name: &str, study: &Study, entries: &[Entry]) -> Result<Findings, Error> {
    check_data(entries)?;
    let plans = entries
        .iter()
        .map(|entry| (entry.experiment.as_str(), &entry.run.plan));
    check_factor(study, plans)?;
    let mut alarms = Vec::new();
    let arms = arms(study, entries, &mut alarms);
    let runs = traced(study, entries)?;
    let cost = arms.iter().map(|arm| arm.results.cost);
    Ok(Findings {
        name: name.to_owned(),
        study: study.clone(),
        measured: Measured {
            effects: effects(study, &arms),
            figures: figures(study, &arms, &runs),
            grids: vec![results("results", &arms), seeds(&arms), curves(&runs)],
        },
        alarms,
        cost: cost.fold(Cost::default(), Cost::plus),
    })
}

/// How experiments differ in their errors, and these errors: beside what a look into their networks shows.
pub fn errors(study: &Study, entries: &[Entry]) -> (Vec<Effect>, Grid) {
    let arms = arms(study, entries, &mut Vec::new());
    (effects(study, &arms), results("errors", &arms))
}

fn arms<'a>(study: &'a Study, entries: &[Entry], alarms: &mut Vec<String>) -> Vec<Arm<'a>> {
    let arm = |experiment: &'a Experiment| Arm {
        name: &experiment.name,
        series: experiment.series.as_deref(),
        depth: experiment.depth,
        results: Results::of(&experiment.name, entries, alarms),
    };
    study.experiment.iter().map(arm).collect()
}

/// An experiment with its results.
struct Arm<'a> {
    name: &'a str,
    series: Option<&'a str>,
    depth: Option<usize>,
    results: Results,
}

/// A finished run with its errors in percent by step.
struct Traced<'a> {
    experiment: &'a str,
    seed: u64,
    steps: u64,
    train: Vec<(u64, f64)>,
    test: Vec<(u64, f64)>,
}

/// Checks that the plans of experiments differ in nothing but the factor.
///
/// # Errors
///
/// With exit code 2, where they do.
pub fn check_factor<'a>(
    study: &Study,
    mut plans: impl Iterator<Item = (&'a str, &'a Plan)>,
) -> Result<(), Error> {
    let Some((first, first_plan)) = plans.next() else {
        return Ok(());
    };
    for (other, other_plan) in plans {
        let differences = first_plan.differences_beside(other_plan, &study.factor);
        if !differences.is_empty() {
            let factor = listed(&study.factor, "and");
            let what = format!("`{first}` and `{other}` differ in more than {factor}");
            return Err(Error::usage(what)
                .because(differences.join("; "))
                .with_hint("make them equal by the study's `set`, or name the key in `factor`"));
        }
    }
    Ok(())
}

fn effects(study: &Study, arms: &[Arm<'_>]) -> Vec<Effect> {
    let effect = |effect: &super::file::Effect| {
        let [worse, better] =
            [&effect.worse, &effect.better].map(|name| side(name, effect.of, arms));
        let says = format!("{} ({} error)", effect.says, effect.of);
        Effect::difference(&says, POINTS, &worse, &better)
    };
    study.effect.iter().map(effect).collect()
}

fn side<'a>(name: &'a str, of: Measure, arms: &[Arm<'_>]) -> Side<'a> {
    let results = arms.iter().find(|arm| arm.name == name);
    let results = results.map(|arm| &arm.results);
    Side {
        name,
        sample: results.and_then(|results| of.sample(results)),
        diverged: results.is_some_and(|results| !results.diverged.is_empty()),
    }
}

impl Measure {
    fn sample(self, results: &Results) -> Option<Sample> {
        match self {
            Self::Train => results.train(),
            Self::Test => results.test(),
        }
    }
}

/// The curves of the finished runs, of each experiment and seed once.
fn traced<'a>(study: &'a Study, entries: &[Entry]) -> Result<Vec<Traced<'a>>, Error> {
    let mut traced = Vec::new();
    for experiment in &study.experiment {
        let finished = entries.iter().filter(|entry| {
            entry.experiment == experiment.name && matches!(entry.run.state, State::Finished(_))
        });
        let by_seed: BTreeMap<u64, &Entry> =
            finished.map(|entry| (entry.run.plan.seed, entry)).collect();
        for (seed, entry) in by_seed {
            let folder = &entry.run.folder;
            let events = journal::read(&folder.join(JOURNAL)).map_err(|error| {
                Error::failure(format!("cannot read run `{}`", folder.display()))
                    .explained_by(error)
            })?;
            traced.push(Traced {
                experiment: &experiment.name,
                seed,
                steps: entry.run.plan.steps,
                train: points(&events, |event| match event {
                    Event::Step(step) => Some((step.step, 100.0 - step.top1?)),
                    _ => None,
                }),
                test: points(&events, |event| match event {
                    Event::Eval(eval) if eval.split == TEST => Some((eval.step, 100.0 - eval.top1)),
                    _ => None,
                }),
            });
        }
    }
    Ok(traced)
}

/// By step; of a step that ran twice, since a run was resumed, the last.
fn points(events: &[Event], point: impl Fn(&Event) -> Option<(u64, f64)>) -> Vec<(u64, f64)> {
    let by_step: BTreeMap<u64, f64> = events.iter().filter_map(point).collect();
    by_step.into_iter().collect()
}

fn figures(study: &Study, arms: &[Arm<'_>], runs: &[Traced<'_>]) -> Vec<Figure> {
    let steps = runs.iter().map(|run| run.steps).max().unwrap_or(1) as f64;
    let over_steps = |name, title, curve: fn(&Traced<'_>) -> Curve, marked, reading| Figure {
        name,
        title,
        x: "steps",
        y: "% of images",
        range: Across::Linear(0.0..steps),
        scale: Scale::Zero,
        series: (arms.iter())
            .map(|arm| {
                let ours = runs.iter().filter(|run| run.experiment == arm.name);
                Series::averaged(arm.name, &ours.map(curve).collect::<Vec<_>>(), marked)
            })
            .collect(),
        reading,
    };
    let mut figures = vec![
        over_steps(
            "training-error",
            "Training error",
            |run| thinned(&run.train),
            false,
            "Augmented images, as they were trained on. Line: mean over seeds; band: their range. A deeper network that \
             fits worse than a shallower one is the degradation problem: it is no overfitting.",
        ),
        over_steps(
            "test-error",
            "Test error",
            |run| in_numbers(&run.test),
            true,
            "Line: mean over seeds; band: their range.",
        ),
    ];
    if arms.iter().any(|arm| arm.depth.is_some()) {
        for (name, title, of) in [
            (
                "training-error-by-depth",
                "Training error by depth",
                Measure::Train,
            ),
            ("test-error-by-depth", "Test error by depth", Measure::Test),
        ] {
            figures.push(over_depth(name, title, of, study, arms));
        }
    }
    figures
}

type Curve = Vec<(f64, f64)>;

fn in_numbers(points: &[(u64, f64)]) -> Curve {
    points
        .iter()
        .map(|(step, error)| (*step as f64, *error))
        .collect()
}

/// Neighbours as their mean, at the last of their steps.
fn thinned(points: &[(u64, f64)]) -> Curve {
    let each = points.len().div_ceil(CURVE_POINTS).max(1);
    let mean = |chunk: &[(u64, f64)]| {
        let sum: f64 = chunk.iter().map(|point| point.1).sum();
        (chunk[chunk.len() - 1].0 as f64, sum / chunk.len() as f64)
    };
    points.chunks(each).map(mean).collect()
}

fn over_depth(
    name: &'static str,
    title: &'static str,
    of: Measure,
    study: &Study,
    arms: &[Arm<'_>],
) -> Figure {
    let mut names: Vec<&str> = Vec::new();
    for series in arms.iter().filter_map(|arm| arm.series) {
        if !names.contains(&series) {
            names.push(series);
        }
    }
    let depths = || study.experiment.iter().filter_map(|one| one.depth);
    let highest = depths().max().unwrap_or(1) as f64;
    Figure {
        name,
        title,
        x: "layers with weights",
        y: "% of images",
        range: Across::Linear(0.0..highest * 1.05),
        scale: Scale::Zero,
        series: names
            .into_iter()
            .map(|name| by_depth(name, of, arms))
            .collect(),
        reading: "Of the last iterate. Point: mean over seeds; band: 95 % interval of the mean, by Student's t.",
    }
}

fn by_depth(series: &str, of: Measure, arms: &[Arm<'_>]) -> Series {
    let ours = arms.iter().filter(|arm| arm.series == Some(series));
    let mut found: Vec<(f64, Sample)> = ours
        .filter_map(|arm| Some((arm.depth? as f64, of.sample(&arm.results)?)))
        .collect();
    found.sort_by(|one, other| one.0.total_cmp(&other.0));
    let band = found.iter().map(|(_, sample)| {
        let interval = sample.interval()?;
        Some((interval.low.max(0.0), interval.high.min(100.0)))
    });
    Series {
        name: series.to_owned(),
        band: band.collect::<Option<_>>().unwrap_or_default(),
        points: found
            .iter()
            .map(|(depth, sample)| (*depth, sample.mean))
            .collect(),
        radius: MARK,
        labelled: false,
    }
}

/// The means, experiment by experiment.
fn results(name: &'static str, arms: &[Arm<'_>]) -> Grid {
    let measured = |sample: Option<Sample>| {
        let interval = sample.and_then(|sample| sample.interval());
        [
            sample.map(|sample| sample.mean),
            sample.and_then(|sample| sample.deviation),
            interval.map(|interval| interval.low),
            interval.map(|interval| interval.high),
        ]
        .map(Cell::from)
    };
    let row = |arm: &Arm<'_>| {
        let results = &arm.results;
        let diverged: Vec<String> = results.diverged.iter().map(u64::to_string).collect();
        let mut row = vec![arm.name.into(), Cell::from(results.outcomes.len() as u64)];
        row.extend(measured(results.train()));
        row.extend(measured(results.test()));
        row.push(Cell::Text(diverged.join(" ")));
        row
    };
    Grid {
        name,
        title: Some("Error of the last iterate, percent".into()),
        head: vec![
            "experiment",
            "n",
            "train",
            "train s.d.",
            "train low",
            "train high",
            "test",
            "test s.d.",
            "test low",
            "test high",
            "diverged",
        ],
        rows: arms.iter().map(row).collect(),
    }
}

/// Each run.
fn seeds(arms: &[Arm<'_>]) -> Grid {
    let rows = arms.iter().flat_map(|arm| {
        let finished = arm.results.outcomes.iter().map(|(seed, outcome)| {
            vec![
                arm.name.into(),
                Cell::from(*seed),
                outcome.train_error.into(),
                outcome.test_error.into(),
            ]
        });
        let diverged = arm.results.diverged.iter();
        let diverged =
            diverged.map(|seed| vec![arm.name.into(), Cell::from(*seed), Cell::Empty, Cell::Empty]);
        finished.chain(diverged).collect::<Vec<_>>()
    });
    Grid {
        name: "runs",
        title: None,
        head: vec!["experiment", "seed", "train_error", "test_error"],
        rows: rows.collect(),
    }
}

/// Each point of each curve.
fn curves(runs: &[Traced<'_>]) -> Grid {
    let rows = runs.iter().flat_map(|run| {
        let splits = [("train", &run.train), (TEST, &run.test)];
        splits.into_iter().flat_map(move |(split, points)| {
            points.iter().map(move |(step, error)| {
                vec![
                    run.experiment.into(),
                    Cell::from(run.seed),
                    split.into(),
                    Cell::from(*step),
                    Cell::from(*error),
                ]
            })
        })
    });
    Grid {
        name: "curves",
        title: None,
        head: vec!["experiment", "seed", "split", "step", "error"],
        rows: rows.collect(),
    }
}
