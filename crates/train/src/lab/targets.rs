//! What papers publish, to be reproduced: `configs/<paper>/targets.toml`.

use std::fmt;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::configs;
use crate::decode::decode;
use crate::document::Node;
use crate::error::Error;
use crate::fault::Fault;
use crate::suggest;

/// The tables of a paper.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Targets {
    table: Vec<Table>,
}

/// A table of a paper.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// What the user types, as in `he2015-cifar10`.
    pub name: String,
    /// What it shows, and where in the paper.
    pub title: String,
    /// At what lengths it can be run; the first one is the paper's own.
    pub protocol: Vec<Protocol>,
    /// Its rows.
    pub experiment: Vec<Target>,
    /// What the paper reads from it.
    #[serde(default)]
    pub effect: Vec<Effect>,
}

/// How long the runs of a table are.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protocol {
    /// `full`, `hour` or `minutes`.
    pub name: String,
    /// Keys of the recipes that it changes, as for `--set`.
    #[serde(default)]
    pub set: Vec<String>,
    /// In what it differs from the paper; where it does, its figures are not the paper's.
    #[serde(default)]
    pub departs: Vec<String>,
    /// The experiments that it runs; without it, all.
    #[serde(default)]
    pub only: Option<Vec<String>>,
}

/// A row of a table: a recipe, and what the paper got.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// What the table calls it.
    pub name: String,
    /// As for `--config`.
    pub recipe: String,
    /// Keys of the recipe that differ, as for `--set`.
    #[serde(default)]
    pub set: Vec<String>,
    /// Published test error in percent.
    #[serde(default)]
    pub error: Option<f64>,
    /// Where in the paper.
    #[serde(default)]
    pub place: String,
    /// How the figure is known.
    #[serde(default)]
    pub sure: Sure,
    /// In what the recipe differs from the paper.
    #[serde(default)]
    pub departs: Vec<String>,
}

/// How a published figure is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sure {
    /// Read in the paper, or in its authors' repository.
    Primary,
    /// Seen in a transcription.
    #[default]
    Seen,
    /// Read off a figure.
    Figure,
    /// Remembered.
    Memory,
}

impl fmt::Display for Sure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "read in the source",
            Self::Seen => "seen in a transcription",
            Self::Figure => "read off a figure",
            Self::Memory => "from memory",
        })
    }
}

/// One experiment's error minus another's.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effect {
    /// What the paper says.
    pub says: String,
    /// The experiment with the larger error, says the paper.
    pub worse: String,
    /// The one with the smaller.
    pub better: String,
}

impl Table {
    /// The table of that name, of all papers or of a file of the user's.
    ///
    /// # Errors
    ///
    /// With exit code 2, where there is none; those of its file.
    pub fn find(name: &str, file: Option<&Path>) -> Result<Self, Error> {
        let tables = tables(file)?;
        let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
        if let Some(table) = tables.iter().find(|table| table.name == name) {
            return Ok(table.clone());
        }
        let begun: Vec<&str> = (names.iter().copied())
            .filter(|table| table.starts_with(name))
            .collect();
        let hint = match suggest::nearest(name, names.iter().copied()) {
            _ if !begun.is_empty() => format!("did you mean {}?", suggest::listed(&begun, "or")),
            Some(near) => format!("did you mean `{near}`?"),
            None => "`train reproduce` lists the tables".to_owned(),
        };
        Err(Error::usage(format!("unknown table `{name}`")).with_hint(hint))
    }

    /// How long to run.
    ///
    /// # Errors
    ///
    /// With exit code 2, where the table has no such protocol.
    pub fn protocol(&self, name: &str) -> Result<&Protocol, Error> {
        let names: Vec<&str> = self.protocol.iter().map(|one| one.name.as_str()).collect();
        let found = self.protocol.iter().find(|protocol| protocol.name == name);
        found.ok_or_else(|| {
            let what = format!("table `{}` has no protocol `{name}`", self.name);
            Error::usage(what).with_hint(format!("it has {}", suggest::listed(&names, "and")))
        })
    }

    /// The rows that a protocol runs and the user wants: all, where `only` names none.
    ///
    /// # Errors
    ///
    /// With exit code 2, where `only` names a row that the protocol does not run.
    pub fn rows(&self, protocol: &Protocol, only: &[String]) -> Result<Vec<&Target>, Error> {
        let runs = |experiment: &&Target| {
            (protocol.only.as_ref()).is_none_or(|only| only.contains(&experiment.name))
        };
        let rows: Vec<&Target> = self.experiment.iter().filter(runs).collect();
        let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        if let Some(unknown) = only.iter().find(|name| !names.contains(&name.as_str())) {
            let what = format!(
                "protocol `{}` of table `{}` has no experiment `{unknown}`",
                protocol.name, self.name
            );
            let hint = format!("it has {}", suggest::listed(&names, "and"));
            return Err(Error::usage(what).with_hint(hint));
        }
        let is_wanted = |row: &&Target| only.is_empty() || only.contains(&row.name);
        Ok(rows.into_iter().filter(is_wanted).collect())
    }
}

/// The tables of all papers, or of a file of the user's.
///
/// # Errors
///
/// With exit code 2, where a file of targets is damaged.
pub fn tables(file: Option<&Path>) -> Result<Vec<Table>, Error> {
    let texts = match file {
        Some(path) => vec![(path.display().to_string(), read(path)?)],
        None => configs::targets()
            .map(|file| (file.shown, file.text))
            .collect(),
    };
    let mut tables = Vec::new();
    for (shown, text) in texts {
        let parse = || -> Result<Targets, Fault> { decode(&Node::parse(&text)?) };
        let targets = parse().map_err(|fault| {
            Error::usage(format!("cannot use targets `{shown}`")).explained_by(fault)
        })?;
        tables.extend(targets.table);
    }
    Ok(tables)
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|error| {
        Error::usage(format!("cannot read targets `{}`", path.display())).because(error)
    })
}
