//! `train report`: the page of a run, made again.

use crate::cli::ReportArgs;
use crate::error::Error;
use crate::report;
use crate::streams::print_line;

/// Writes `report.html` from what the run has written so far.
pub fn run(arguments: &ReportArgs) -> Result<(), Error> {
    let path = report::write(&arguments.run)
        .map_err(|error| Error::failure("cannot write the report").explained_by(error))?;
    print_line(path.display())
}
