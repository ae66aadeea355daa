//! What accuracy costs: networks beside each other (Canziani et al. 2016, arXiv:1605.07678).

use super::{Cell, Figure, Grid, Measured, Series};
use crate::chart::{Across, Scale};

/// Images at a time, when speed is measured: one, and several.
pub const BATCHES: [usize; 2] = [1, 16];

/// Of the largest bubble.
const LARGEST: f64 = 48.0;

/// A network that was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// What figures and tables call it.
    pub name: String,
    /// `[channels, height, width]` of an image.
    pub input: [usize; 3],
    /// Percent of test images that are classified right, and how that is known.
    pub accuracy: Option<(f64, String)>,
    /// Learnt values.
    pub parameters: usize,
    /// Of an image.
    pub multiply_adds: u64,
    /// Values that layers put out for an image.
    pub activations: u64,
    /// Here, by [`BATCHES`].
    pub speed: [Speed; 2],
}

/// How fast a network classifies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// The median over some batches.
    pub images_per_second: f64,
    /// The most memory that the process held.
    pub peak_memory_bytes: Option<u64>,
}

/// The comparison.
pub fn compare(candidates: &[Candidate]) -> Measured {
    let operations = |one: &Candidate| one.multiply_adds as f64 / 1e9;
    Measured {
        effects: Vec::new(),
        figures: vec![
            bubbles(
                "accuracy-by-operations",
                "What accuracy costs in operations",
                "10^9 multiply-adds an image",
                "The area of a bubble is its network's number of parameters.",
                candidates,
                operations,
            ),
            bubbles(
                "accuracy-by-time",
                "What accuracy costs in time, here",
                "milliseconds an image, one at a time",
                "The area of a bubble is its network's number of parameters. Measured on this machine.",
                candidates,
                milliseconds,
            ),
        ],
        grids: vec![grid(candidates)],
    }
}

/// Of an image that comes alone.
fn milliseconds(one: &Candidate) -> f64 {
    1e3 / one.speed[0].images_per_second
}

fn bubbles(
    name: &'static str,
    title: &'static str,
    x: &'static str,
    reading: &'static str,
    candidates: &[Candidate],
    cost: impl Fn(&Candidate) -> f64,
) -> Figure {
    let most = candidates
        .iter()
        .map(|one| one.parameters)
        .max()
        .unwrap_or(1) as f64;
    let radius =
        |one: &Candidate| (LARGEST * (one.parameters as f64 / most).sqrt()).max(6.0) as u32;
    let known = candidates.iter().filter(|one| one.accuracy.is_some());
    let costs = known.clone().map(&cost);
    let lowest = costs.clone().fold(f64::INFINITY, f64::min);
    let highest = costs.fold(0.0, f64::max);
    let series = known.filter_map(|one| {
        let (accuracy, _) = one.accuracy.as_ref()?;
        Some(Series::bubble(
            &one.name,
            (cost(one), *accuracy),
            radius(one),
        ))
    });
    Figure {
        name,
        title,
        x,
        y: "top-1 accuracy, %",
        // Room for bubbles and names.
        range: Across::Logarithmic(lowest / 1.5..highest * 2.5),
        scale: Scale::Lowest,
        series: series.collect(),
        reading,
    }
}

fn grid(candidates: &[Candidate]) -> Grid {
    let mega = |value: f64| Cell::from(value / 1e6);
    let row = |one: &Candidate| {
        let [channels, height, width] = one.input;
        let [alone, together] = one.speed;
        let memory =
            |speed: Speed| Cell::from(speed.peak_memory_bytes.map(|bytes| bytes as f64 / 1e6));
        let accuracy = one.accuracy.as_ref();
        vec![
            one.name.as_str().into(),
            Cell::Text(format!("{channels}x{height}x{width}")),
            accuracy.map(|(accuracy, _)| *accuracy).into(),
            mega(one.multiply_adds as f64),
            mega(one.parameters as f64),
            mega(one.activations as f64),
            milliseconds(one).into(),
            memory(alone),
            together.images_per_second.into(),
            memory(together),
            accuracy.map_or(Cell::Empty, |(_, source)| source.as_str().into()),
        ]
    };
    Grid {
        name: "results",
        title: Some("What accuracy costs".into()),
        head: vec![
            "network",
            "image",
            "top-1, %",
            "mult-adds, M",
            "parameters, M",
            "activations, M",
            "ms, batch 1",
            "memory, MB",
            "images/s, batch 16",
            "memory, MB",
            "accuracy from",
        ],
        rows: candidates.iter().map(row).collect(),
    }
}
