//! What blocks of trained networks are worth: they are deleted, and swapped (Veit et al. 2016,
//! arXiv:1605.06431, sections 4.1 to 4.3).

use std::collections::BTreeMap;

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
            several(&lesions),
            swaps(&lesions),
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
    /// With pairs of blocks swapped, drawn at random.
    swaps: Vec<Swaps>,
}

/// Pairs of blocks that were swapped one after the other.
struct Swaps {
    /// How many.
    count: usize,
    /// Kendall's rank correlation of the blocks' order with that in which they were trained.
    order: f64,
    error: f64,
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
                if pairs.is_empty() {
                    continue;
                }
                let drawn: Vec<[usize; 2]> = (0..count)
                    .filter_map(|_| pairs.choose(&mut rng).copied())
                    .collect();
                let blocks: Vec<_> =
                    (drawn.iter().map(|pair| pair.map(|one| keeping[one]))).collect();
                swaps.push(Swaps {
                    count,
                    order: kendall_tau(&swapped(keeping.len(), &drawn)),
                    error: error_swapped(subject, &blocks)?,
                });
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

    fn most_deleted(&self) -> f64 {
        let counts = self.several.iter().map(|(count, _)| *count);
        counts.max().unwrap_or(1) as f64
    }

    fn most_disordered(&self) -> f64 {
        let orders = self.swaps.iter().map(|swaps| 1.0 - swaps.order);
        orders.fold(0.1, f64::max)
    }

    fn largest_rise(&self) -> f64 {
        let rises = self.single.iter().map(|(_, error)| error - self.whole);
        rises.fold(f64::NEG_INFINITY, f64::max)
    }
}

/// The places of pairs of parts that fit in each other's place.
fn pairs(parts: &[&Deletable]) -> Vec<[usize; 2]> {
    let others_of = |one: usize| {
        let others = one + 1..parts.len();
        others
            .filter(move |other| parts[one].fits(parts[*other]))
            .map(move |other| [one, other])
    };
    (0..parts.len()).flat_map(others_of).collect()
}

/// The order of so many parts once these pairs were swapped, one after the other.
fn swapped(parts: usize, pairs: &[[usize; 2]]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..parts).collect();
    for [one, other] in pairs {
        order.swap(*one, *other);
    }
    order
}

/// How far an order is the natural one: Kendall's rank correlation of the two, 1 where they are the same and -1 where one
/// is the other reversed (section 4.3).
fn kendall_tau(order: &[usize]) -> f64 {
    let pairs = (order.len() * order.len().saturating_sub(1) / 2).max(1);
    let later = |(index, one): (usize, &usize)| {
        let behind = order[index + 1..].iter();
        behind.filter(|other| *other < one).count()
    };
    let discordant: usize = order.iter().enumerate().map(later).sum();
    1.0 - 2.0 * discordant as f64 / pairs as f64
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
    let most = |of: fn(&Lesions<'_>) -> f64| lesions.iter().map(of).fold(0.0, f64::max);
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
            0.0..most(|lesions| lesions.single.len() as f64) + 1.0,
            "At 0: nothing is deleted. Where a network is many paths side by side, one block more or less hardly matters; \
             peaks are blocks that change the shape. Of a network without shortcuts, only blocks that keep the shape can be \
             left out; of VGG, only such layers. Line: mean over seeds; band: their range.",
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
            0.0..most(|lesions| lesions.most_deleted()),
            "Mean over draws and seeds; band: the range of the seeds' means. An ensemble loses members smoothly.",
            |lesions| {
                let deleted = lesions.several.iter();
                means(
                    lesions.whole,
                    deleted.map(|(count, error)| (*count, *count as f64, *error)),
                )
            },
        ),
        figure(
            "swapped",
            "Blocks swapped",
            "how far the blocks are from their order: 1 less Kendall's tau",
            0.0..most(|lesions| lesions.most_disordered()),
            "Pairs of blocks of one shape, swapped one after the other. Mean over draws of as many pairs, and over seeds; \
             band: the range of the seeds' means. At 0, the order is that of training; at 1, it would be none. Layers of a \
             network without shortcuts need each other in their order. Of VGG, nothing is swapped.",
            |lesions| {
                let swaps = lesions.swaps.iter();
                means(
                    lesions.whole,
                    swaps.map(|swaps| (swaps.count, 1.0 - swaps.order, swaps.error)),
                )
            },
        ),
    ]
}

/// From nothing done, which has an error of `whole`, rightwards: the mean place and error of what is `(how many, place,
/// error)`.
fn means(whole: f64, drawn: impl Iterator<Item = (usize, f64, f64)>) -> Vec<(f64, f64)> {
    let mut by_count: BTreeMap<usize, Vec<(f64, f64)>> = BTreeMap::new();
    for (count, place, error) in drawn {
        by_count.entry(count).or_default().push((place, error));
    }
    let mean = |draws: Vec<(f64, f64)>| {
        let mean =
            |of: fn(&(f64, f64)) -> f64| draws.iter().map(of).sum::<f64>() / draws.len() as f64;
        (mean(|draw| draw.0), mean(|draw| draw.1))
    };
    let means = by_count.into_values().map(mean);
    let mut points: Vec<_> = std::iter::once((0.0, whole)).chain(means).collect();
    points.sort_by(|one, other| one.0.total_cmp(&other.0));
    points
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

fn several(lesions: &[Lesions<'_>]) -> Grid {
    let rows = lesions.iter().flat_map(|lesions| {
        lesions.several.iter().map(|(count, error)| {
            vec![
                lesions.subject.name.as_str().into(),
                lesions.subject.seed.into(),
                Cell::from(*count as u64),
                Cell::from(*error),
            ]
        })
    });
    Grid {
        name: "several",
        title: None,
        head: vec!["network", "seed", "deleted", "error"],
        rows: rows.collect(),
    }
}

fn swaps(lesions: &[Lesions<'_>]) -> Grid {
    let rows = lesions.iter().flat_map(|lesions| {
        lesions.swaps.iter().map(|swaps| {
            vec![
                lesions.subject.name.as_str().into(),
                lesions.subject.seed.into(),
                Cell::from(swaps.count as u64),
                Cell::from(swaps.order),
                Cell::from(swaps.error),
            ]
        })
    });
    Grid {
        name: "swaps",
        title: None,
        head: vec!["network", "seed", "swapped", "kendall_tau", "error"],
        rows: rows.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.stats.kendalltau(range(5), order).statistic`, scipy 1.17.1.
    #[test]
    fn orders_are_compared_as_scipy_does() {
        for (pairs, order, tau) in [
            (vec![], [0, 1, 2, 3, 4], 1.0),
            (vec![[0, 1]], [1, 0, 2, 3, 4], 0.8),
            (vec![[0, 4]], [4, 1, 2, 3, 0], -0.4),
            (vec![[0, 4], [1, 3]], [4, 3, 2, 1, 0], -1.0),
            (vec![[0, 2], [0, 3], [0, 3]], [2, 1, 0, 3, 4], 0.4),
        ] {
            assert_eq!(swapped(5, &pairs), order);
            assert!((kendall_tau(&order) - tau).abs() < 1e-12, "{order:?}");
        }
        assert_eq!(kendall_tau(&[0]), 1.0);
    }
}
