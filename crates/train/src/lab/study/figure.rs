//! The figures of a study.

use crate::chart::{Across, Caption, Chart, Ink, Line, MARK, Scale};

/// A figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// The name of its files, without the ending.
    pub name: &'static str,
    /// Above it.
    pub title: &'static str,
    /// What is across.
    pub x: &'static str,
    /// What is upwards.
    pub y: &'static str,
    /// Lowest and highest of what is across.
    pub range: Across,
    /// Of what is upwards.
    pub scale: Scale,
    /// What is drawn.
    pub series: Vec<Series>,
    /// How to read it.
    pub reading: &'static str,
}

/// A line of a figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// In the legend.
    pub name: String,
    /// By rising x.
    pub points: Vec<(f64, f64)>,
    /// Lowest and highest at each point; empty for none.
    pub band: Vec<(f64, f64)>,
    /// Of the mark of each point; 0 is none.
    pub radius: u32,
    /// Whether its name stands beside its last point, and not in the legend.
    pub labelled: bool,
}

impl Series {
    /// The mean of curves, point by point, as far as the shortest of them reaches, with their range.
    pub fn averaged(name: &str, curves: &[Vec<(f64, f64)>], marked: bool) -> Self {
        let length = curves.iter().map(Vec::len).min().unwrap_or(0);
        let mut points = Vec::with_capacity(length);
        let mut band = Vec::with_capacity(length);
        for index in 0..length {
            let mean = |of: fn(&(f64, f64)) -> f64| {
                let values = curves.iter().map(|curve| of(&curve[index]));
                values.sum::<f64>() / curves.len() as f64
            };
            points.push((mean(|point| point.0), mean(|point| point.1)));
            let values = || curves.iter().map(|curve| curve[index].1);
            let low = values().fold(f64::INFINITY, f64::min);
            band.push((low, values().fold(f64::NEG_INFINITY, f64::max)));
        }
        Self {
            name: name.to_owned(),
            points,
            band: if curves.len() > 1 { band } else { Vec::new() },
            radius: if marked { MARK } else { 0 },
            labelled: false,
        }
    }

    /// A bubble.
    pub fn bubble(name: &str, point: (f64, f64), radius: u32) -> Self {
        Self {
            name: name.to_owned(),
            points: vec![point],
            band: Vec::new(),
            radius,
            labelled: true,
        }
    }
}

impl Figure {
    /// Whether there is something to draw.
    pub fn has_points(&self) -> bool {
        self.series.iter().any(|series| !series.points.is_empty())
    }

    /// For a page.
    pub fn inline(&self) -> String {
        self.chart().inline()
    }

    /// As a file.
    pub fn svg(&self) -> String {
        self.chart()
            .svg(self.caption(&self.heading(), &self.names()))
    }

    /// As a file.
    pub fn png(&self) -> Vec<u8> {
        self.chart()
            .png(self.caption(&self.heading(), &self.names()))
    }

    fn chart(&self) -> Chart {
        let line = |(rank, series): (usize, &Series)| Line {
            points: series.points.clone(),
            band: series.band.clone(),
            ink: Ink::Series(rank),
            radius: series.radius,
            label: series.labelled.then(|| series.name.clone()),
        };
        Chart {
            lines: self.series.iter().enumerate().map(line).collect(),
            x: self.range.clone(),
            scale: self.scale,
        }
    }

    fn names(&self) -> Vec<&str> {
        let in_legend = self.series.iter().filter(|series| !series.labelled);
        in_legend.map(|series| series.name.as_str()).collect()
    }

    fn heading(&self) -> String {
        format!("{}, {}", self.title, self.y)
    }

    fn caption<'a>(&'a self, title: &'a str, names: &'a [&'a str]) -> Caption<'a> {
        Caption {
            title,
            names,
            x: self.x,
        }
    }
}
