//! What a study found.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Figure, Study, page};
use crate::error::Error;
use crate::files;
use crate::lab::cost::Cost;
use crate::lab::effect::Effect;

/// What a study found.
#[derive(Clone, Debug, PartialEq)]
pub struct Findings {
    /// The name of its file.
    pub name: String,
    /// What was asked.
    pub study: Study,
    /// The answers.
    pub effects: Vec<Effect>,
    /// In figures.
    pub figures: Vec<Figure>,
    /// In numbers.
    pub grids: Vec<Grid>,
    /// What the reader has to know before believing any of it.
    pub alarms: Vec<String>,
    /// Of the runs.
    pub cost: Cost,
}

/// Numbers in rows and columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// The name of its file, without the ending.
    pub name: &'static str,
    /// Above it; a grid without a title is for programs alone.
    pub title: Option<String>,
    /// The columns.
    pub head: Vec<&'static str>,
    /// As wide as the head.
    pub rows: Vec<Vec<Cell>>,
}

/// One of the things in a grid.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// A name or a remark.
    Text(String),
    /// How many.
    Count(u64),
    /// A number that is shown with two digits after the point.
    Number(f64),
    /// Nothing.
    Empty,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<u64> for Cell {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(cell: Option<T>) -> Self {
        cell.map_or(Self::Empty, Into::into)
    }
}

impl Cell {
    /// For people.
    pub fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Count(count) => count.to_string(),
            Self::Number(number) => format!("{number:.2}"),
            Self::Empty => String::new(),
        }
    }

    /// For programs: numbers in full.
    fn written(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            other => other.shown(),
        }
    }
}

impl Grid {
    fn csv(&self) -> Vec<u8> {
        let mut csv = csv::Writer::from_writer(Vec::new());
        csv.write_record(&self.head)
            .expect("writing into memory succeeds");
        for row in &self.rows {
            csv.write_record(row.iter().map(Cell::written))
                .expect("rows are as wide as the head");
        }
        csv.into_inner().expect("writing into memory succeeds")
    }

    /// In lines of text, the columns under each other.
    fn text(&self) -> String {
        let rows: Vec<Vec<String>> = (self.rows.iter())
            .map(|row| row.iter().map(Cell::shown).collect())
            .collect();
        let head: Vec<String> = self.head.iter().map(|&head| head.to_owned()).collect();
        let lines = || std::iter::once(&head).chain(&rows);
        let width = |column: usize| {
            let widths = lines().map(|row| row[column].chars().count());
            widths.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).enumerate();
            let cells = cells.map(|(column, (cell, width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            cells.collect::<Vec<_>>().join("  ")
        };
        lines().map(|row| line(row) + "\n").collect()
    }
}

/// `summary.json`: what programs read.
#[derive(Serialize)]
struct Summary<'a> {
    study: String,
    name: &'a str,
    title: &'a str,
    effects: Vec<SummarizedEffect<'a>>,
    departs: &'a [String],
    alarms: &'a [String],
    cost: Cost,
}

#[derive(Serialize)]
struct SummarizedEffect<'a> {
    name: &'a str,
    compared: &'a str,
    value: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    n: usize,
    unit: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<&'a str>,
}

impl<'a> SummarizedEffect<'a> {
    fn of(effect: &'a Effect) -> Self {
        Self {
            name: &effect.says,
            compared: &effect.compared,
            value: effect.value,
            low: effect.interval.map(|interval| interval.low),
            high: effect.interval.map(|interval| interval.high),
            n: effect.n,
            unit: effect.unit,
            refused: effect.refused.as_deref(),
        }
    }
}

impl Findings {
    /// The text of `summary.json`.
    pub fn summary(&self) -> String {
        let summary = Summary {
            study: self.study.study.to_string(),
            name: &self.name,
            title: &self.study.title,
            effects: self.effects.iter().map(SummarizedEffect::of).collect(),
            departs: &self.study.departs,
            alarms: &self.alarms,
            cost: self.cost,
        };
        serde_json::to_string_pretty(&summary).expect("a summary is plain data")
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        let mut text = format!("{}: {}\n", self.name, self.study.title);
        for departure in &self.study.departs {
            text += &format!("departs: {departure}\n");
        }
        for grid in &self.grids {
            if let Some(title) = &grid.title {
                text += &format!("\n{title}\n{}", grid.text());
            }
        }
        text += "\n";
        for effect in &self.effects {
            text += &format!("{effect}\n");
        }
        text += &format!("{}\n", self.cost);
        for alarm in &self.alarms {
            text += &format!("ALARM: {alarm}\n");
        }
        text
    }

    /// Writes figures, grids, summary and page into `folder`, and returns the path of the page.
    ///
    /// # Errors
    ///
    /// With exit code 1, where the disk does not take them.
    pub fn write(&self, folder: &Path) -> Result<PathBuf, Error> {
        let unwritable =
            |error: files::Error| Error::failure("cannot write the study").explained_by(error);
        let write = |name: String, bytes: &[u8]| {
            files::replace(&folder.join(name), bytes).map_err(unwritable)
        };
        fs::create_dir_all(folder).map_err(|error| {
            Error::failure(format!("cannot create `{}`", folder.display())).because(error)
        })?;
        for grid in &self.grids {
            write(format!("{}.csv", grid.name), &grid.csv())?;
        }
        for figure in self.figures.iter().filter(|figure| figure.has_points()) {
            write(format!("{}.svg", figure.name), figure.svg().as_bytes())?;
            write(format!("{}.png", figure.name), &figure.png())?;
        }
        write("summary.json".into(), self.summary().as_bytes())?;
        write(page::NAME.into(), page::page(self).as_bytes())?;
        Ok(folder.join(page::NAME))
    }
}
