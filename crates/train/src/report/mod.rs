//! `report.html`: a run in one file that needs nothing else, made from its folder alone.

mod curves;
mod evaluation;
mod page;
mod plan;

use std::fs;
use std::path::{Path, PathBuf};

pub use evaluation::{Evaluation, Misjudged, png_in_base64};
pub use page::document;
use plan::Plan;

use crate::files::{self, Result};
use crate::journal::{self, Event};
use crate::record::JOURNAL;

/// The name of the final evaluation in a run folder.
pub const EVALUATION: &str = "evaluation.json";
/// The name of the report in a run folder.
pub const REPORT: &str = "report.html";
/// The name of the plan in a run folder.
pub const PLAN: &str = "plan.toml";

/// Writes the report of a run into its folder and returns its path.
///
/// It is made from plan.toml, journal.jsonl and, where there is one, evaluation.json, so that a run that was killed
/// midway has a report, too.
///
/// # Errors
///
/// [`files::Error`] names the file that is missing, damaged or cannot be written, with the line of the journal.
pub fn write(folder: &Path) -> Result<PathBuf> {
    let path = folder.join(REPORT);
    files::replace(&path, Run::read(folder)?.page().as_bytes())?;
    Ok(path)
}

/// What a run folder tells.
#[derive(Debug)]
struct Run {
    name: String,
    plan: Plan,
    events: Vec<Event>,
    evaluation: Option<Evaluation>,
}

impl Run {
    fn read(folder: &Path) -> Result<Self> {
        let plan = Plan::read(&folder.join(PLAN))?;
        let events = journal::read(&folder.join(JOURNAL))?;
        let evaluation = Evaluation::read(&folder.join(EVALUATION))?;
        Ok(Self {
            name: name_of(folder, &plan),
            plan,
            events,
            evaluation,
        })
    }

    fn page(&self) -> String {
        page::page(self).into_string()
    }
}

/// The folder's own name, which tells runs of one recipe apart.
fn name_of(folder: &Path, plan: &Plan) -> String {
    let folder = fs::canonicalize(folder).ok();
    let name = folder
        .as_deref()
        .and_then(Path::file_name)
        .map(|name| name.to_string_lossy().into_owned());
    name.or_else(|| plan.text("name"))
        .unwrap_or_else(|| "run".into())
}
