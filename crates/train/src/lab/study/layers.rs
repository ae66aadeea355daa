//! Networks layer by layer: a number of each.

use std::collections::BTreeSet;

use super::subject::Subject;
use super::{Cell, Figure, Grid, Series};
use crate::chart::{Across, Scale};

/// The name of a layer, and a number of it.
pub type Layer = (String, f64);

/// A line of a figure over the layers of a network: its name, and the layers front to back.
pub type Profile<'a> = (String, &'a [Layer]);

/// Profiles over the depth of their layers, those of one name averaged.
pub fn figure(
    name: &'static str,
    title: &'static str,
    y: &'static str,
    reading: &'static str,
    profiles: &[Profile<'_>],
) -> Figure {
    let mut seen = BTreeSet::new();
    let names = profiles.iter().map(|(name, _)| name);
    let series = names.filter(|name| seen.insert(*name)).map(|name| {
        let ours = profiles.iter().filter(|(other, _)| other == name);
        let curves = ours.map(|(_, layers)| by_depth(layers));
        Series::averaged(name, &curves.collect::<Vec<_>>(), false)
    });
    Figure {
        name,
        title,
        x: "depth of the layer, % of the network's",
        y,
        range: Across::Linear(0.0..100.0),
        scale: Scale::Spread,
        series: series.collect(),
        reading,
    }
}

fn by_depth(layers: &[Layer]) -> Vec<(f64, f64)> {
    let last = (layers.len() - 1).max(1) as f64;
    let sizes = layers.iter().enumerate();
    sizes
        .map(|(index, (_, size))| (100.0 * index as f64 / last, *size))
        .collect()
}

/// One figure of each network.
pub fn overview(title: &str, figures: &[(&Subject, f64)]) -> Grid {
    let row = |(subject, figure): &(&Subject, f64)| {
        vec![
            subject.name.as_str().into(),
            subject.seed.into(),
            Cell::from(*figure),
        ]
    };
    Grid {
        name: "results",
        title: Some(title.to_owned()),
        head: vec!["network", "seed", "figure"],
        rows: figures.iter().map(row).collect(),
    }
}

/// `first`, and what is told of a layer, for each layer.
pub fn rows(first: Vec<Cell>, layers: &[Layer]) -> impl Iterator<Item = Vec<Cell>> {
    layers
        .iter()
        .enumerate()
        .map(move |(index, (layer, size))| {
            let mut row = first.clone();
            row.extend([
                Cell::from(index as u64 + 1),
                layer.as_str().into(),
                Cell::from(*size),
            ]);
            row
        })
}
