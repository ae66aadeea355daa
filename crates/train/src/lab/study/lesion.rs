//! What blocks of trained networks are worth: they are deleted, and swapped (Veit et al. 2016,
//! arXiv:1605.06431, sections 4.1 to 4.3).

use models::routes::Deletable;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::IndexedRandom;

use super::subject::{self, Subject, unreadable};
use super::{Cell, Figure, Grid, Measured, Series, Study};
use crate::chart::{Across, Scale};
use crate::error::Error;
use crate::evaluate::evaluate_by;
use crate::lab::effect::POINTS;
use crate::streams::say;

/// Deletes and swaps.
///
/// # Errors
///
/// With exit code 1, where an image cannot be read; with 2, where a network has nothing to delete.
pub fn measure(study: &Study, subjects: &[Subject]) -> Result<Measured, Error> {
    let mut lesions = Vec::with_capacity(subjects.len());
    for subject in subjects {
        say(format_args!("deleting blocks of {}", subject.shown()));
        lesions.push(Lesions::of(subject, study.samples)?);
    }
    let rises: Vec<(&Subject, f64)> = (lesions.iter())
        .map(|lesions| (lesions.subject, lesions.mean_rise()))
        .collect();
    Ok(Measured {
        figures: figures(&lesions, subjects),
        grids: vec![
            overview(&lesions),
            single(&lesions),
            counted("several", "deleted", &lesions, |lesions| &lesions.several),
            counted("swaps", "swapped", &lesions, |lesions| &lesions.swaps),
        ],
        effects: study.differences(POINTS, |name| subject::sample(name, &rises)),
    })
}

/// The errors in percent of a network without some of its blocks.
struct Lesions<'a> {
    subject: &'a Subject,
    /// Of the network as it is.
    whole: f64,
    /// Without one block.
    single: Vec<(Deletable, f64)>,
    /// Without so many blocks that keep the shape, drawn at random.
    several: Vec<(usize, f64)>,
    /// With so many pairs of blocks swapped one after the other, drawn at random.
    swaps: Vec<(usize, f64)>,
}

impl<'a> Lesions<'a> {
    fn of(subject: &'a Subject, samples: usize) -> Result<Self, Error> {
        let parts = subject.model.deletable(subject.input());
        let keeping: Vec<&Deletable> = parts.iter().filter(|part| !part.changes_shape).collect();
        if keeping.is_empty() {
            let what = format!("`{}` has no block that can be deleted", subject.name);
            return Err(Error::usage(what)
                .because("only what keeps the shape of what flows can be left out")
                .with_hint("take it out of the study"));
        }
        let mut single = Vec::with_capacity(parts.len());
        for part in &parts {
            single.push((part.clone(), error_without(subject, &[part])?));
        }
        let mut rng = ChaCha8Rng::seed_from_u64(subject.key());
        let pairs = pairs(&keeping);
        let mut several = Vec::new();
        let mut swaps = Vec::new();
        for count in 1..=keeping.len() / 2 {
            for _ in 0..samples {
                let drawn: Vec<&Deletable> = keeping.sample(&mut rng, count).copied().collect();
                several.push((count, error_without(subject, &drawn)?));
                let drawn: Vec<[&Deletable; 2]> = (0..count)
                    .filter_map(|_| pairs.choose(&mut rng).copied())
                    .collect();
                swaps.push((count, error_swapped(subject, &drawn)?));
            }
        }
        Ok(Self {
            subject,
            whole: error_without(subject, &[])?,
            single,
            several,
            swaps,
        })
    }

    /// By how much the loss of one block that keeps the shape raises the error.
    fn mean_rise(&self) -> f64 {
        let keeping = self.single.iter().filter(|(part, _)| !part.changes_shape);
        let rises: Vec<f64> = keeping.map(|(_, error)| error - self.whole).collect();
        rises.iter().sum::<f64>() / rises.len() as f64
    }

    fn largest_rise(&self) -> f64 {
        let rises = self.single.iter().map(|(_, error)| error - self.whole);
        rises.fold(f64::NEG_INFINITY, f64::max)
    }
}

/// Pairs of parts that fit in each other's place.
fn pairs<'a>(parts: &[&'a Deletable]) -> Vec<[&'a Deletable; 2]> {
    let one_of = |(index, one): (usize, &&'a Deletable)| {
        let others = parts[index + 1..].iter().filter(|other| one.fits(other));
        others.map(|other| [*one, *other]).collect::<Vec<_>>()
    };
    parts.iter().enumerate().flat_map(one_of).collect()
}

fn error_without(subject: &Subject, deleted: &[&Deletable]) -> Result<f64, Error> {
    let outcome = evaluate_by(&subject.test, &subject.device, |images| {
        subject.model.forward_without(images, deleted)
    });
    Ok(100.0 - outcome.map_err(unreadable)?.top(1))
}

fn error_swapped(subject: &Subject, pairs: &[[&Deletable; 2]]) -> Result<f64, Error> {
    let outcome = evaluate_by(&subject.test, &subject.device, |images| {
        subject.model.forward_swapped(images, pairs)
    });
    Ok(100.0 - outcome.map_err(unreadable)?.top(1))
}

fn figures(lesions: &[Lesions<'_>], subjects: &[Subject]) -> Vec<Figure> {
    let names = subject::names(subjects);
    let most = |of: fn(&Lesions<'_>) -> usize| lesions.iter().map(of).max().unwrap_or(1) as f64;
    let figure = |name, title, x, range, reading, curve: fn(&Lesions<'_>) -> Vec<(f64, f64)>| {
        let series = names.iter().map(|name| {
            let ours = lesions
                .iter()
                .filter(|lesions| lesions.subject.name == **name);
            Series::averaged(name, &ours.map(curve).collect::<Vec<_>>(), true)
        });
        Figure {
            name,
            title,
            x,
            y: "test error, % of images",
            range: Across::Linear(range),
            scale: Scale::Zero,
            series: series.collect(),
            reading,
        }
    };
    vec![
        figure(
            "one-deleted",
            "One block deleted",
            "which block, from the first to the last",
            0.0..most(|lesions| lesions.single.len()) + 1.0,
            "At 0: nothing is deleted. Where a network is many paths side by side, one block more or less hardly matters; \
             peaks are blocks that change the shape. Of a network without shortcuts, only blocks that keep the shape can be \
             left out. Line: mean over seeds; band: their range.",
            |lesions| {
                let single = lesions.single.iter().map(|(_, error)| *error);
                let errors = std::iter::once(lesions.whole).chain(single);
                errors
                    .enumerate()
                    .map(|(index, error)| (index as f64, error))
                    .collect()
            },
        ),
        figure(
            "several-deleted",
            "Several blocks deleted",
            "how many blocks that keep the shape, drawn at random",
            0.0..most(|lesions| most_counted(&lesions.several)),
            "Mean over draws and seeds; band: the range of the seeds' means. An ensemble loses members smoothly.",
            |lesions| mean_by_count(lesions.whole, &lesions.several),
        ),
        figure(
            "swapped",
            "Blocks swapped",
            "how many pairs of blocks, drawn at random",
            0.0..most(|lesions| most_counted(&lesions.swaps)),
            "Mean over draws and seeds; band: the range of the seeds' means. Layers of a network without shortcuts need \
             each other in their order.",
            |lesions| mean_by_count(lesions.whole, &lesions.swaps),
        ),
    ]
}

fn most_counted(counted: &[(usize, f64)]) -> usize {
    counted.iter().map(|(count, _)| *count).max().unwrap_or(1)
}

fn mean_by_count(whole: f64, counted: &[(usize, f64)]) -> Vec<(f64, f64)> {
    let mean = |count: usize| {
        let ours = counted.iter().filter(|(other, _)| *other == count);
        let errors: Vec<f64> = ours.map(|(_, error)| *error).collect();
        (
            count as f64,
            errors.iter().sum::<f64>() / errors.len() as f64,
        )
    };
    let means = (1..=most_counted(counted))
        .map(mean)
        .filter(|point| point.1.is_finite());
    std::iter::once((0.0, whole)).chain(means).collect()
}

fn overview(lesions: &[Lesions<'_>]) -> Grid {
    let row = |lesions: &Lesions<'_>| {
        vec![
            lesions.subject.name.as_str().into(),
            lesions.subject.seed.into(),
            (lesions.single.len() as u64).into(),
            lesions.whole.into(),
            lesions.mean_rise().into(),
            lesions.largest_rise().into(),
        ]
    };
    Grid {
        name: "results",
        title: Some(
            "Test error in percent, and by how many points one deleted block raises it".into(),
        ),
        head: vec![
            "network",
            "seed",
            "blocks",
            "error",
            "mean rise (blocks that keep the shape)",
            "largest rise",
        ],
        rows: lesions.iter().map(row).collect(),
    }
}

fn single(lesions: &[Lesions<'_>]) -> Grid {
    let rows = lesions.iter().flat_map(|lesions| {
        lesions.single.iter().map(|(part, error)| {
            let changes = if part.changes_shape { "yes" } else { "no" };
            vec![
                lesions.subject.name.as_str().into(),
                lesions.subject.seed.into(),
                part.place.as_str().into(),
                changes.into(),
                Cell::from(*error),
            ]
        })
    });
    Grid {
        name: "one-deleted",
        title: None,
        head: vec!["network", "seed", "deleted", "changes_shape", "error"],
        rows: rows.collect(),
    }
}

fn counted(
    name: &'static str,
    what: &'static str,
    lesions: &[Lesions<'_>],
    of: for<'a> fn(&'a Lesions<'_>) -> &'a Vec<(usize, f64)>,
) -> Grid {
    let rows = lesions.iter().flat_map(|lesions| {
        of(lesions).iter().map(|(count, error)| {
            vec![
                lesions.subject.name.as_str().into(),
                lesions.subject.seed.into(),
                Cell::from(*count as u64),
                Cell::from(*error),
            ]
        })
    });
    Grid {
        name,
        title: None,
        head: vec!["network", "seed", what, "error"],
        rows: rows.collect(),
    }
}
