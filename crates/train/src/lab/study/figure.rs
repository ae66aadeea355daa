//! The figures of a study.

use std::ops::Range;

use crate::chart::{Caption, Chart, Ink, Line, Scale};

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
    pub range: Range<f64>,
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
    /// Whether each point is marked.
    pub marked: bool,
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
        self.chart().svg(self.caption(&self.names()))
    }

    /// As a file.
    pub fn png(&self) -> Vec<u8> {
        self.chart().png(self.caption(&self.names()))
    }

    fn chart(&self) -> Chart {
        let line = |(rank, series): (usize, &Series)| Line {
            points: series.points.clone(),
            band: series.band.clone(),
            ink: Ink::Series(rank),
            marked: series.marked,
        };
        Chart {
            lines: self.series.iter().enumerate().map(line).collect(),
            x: self.range.clone(),
            scale: self.scale,
        }
    }

    fn names(&self) -> Vec<&str> {
        (self.series.iter())
            .map(|series| series.name.as_str())
            .collect()
    }

    fn caption<'a>(&'a self, names: &'a [&'a str]) -> Caption<'a> {
        Caption {
            title: self.title,
            names,
            x: self.x,
            y: self.y,
        }
    }
}
