//! `train report`: the page of a run, made again.

use crate::cli::ReportArgs;
use crate::error::Error;
use crate::report;

/// Writes `report.html` from what the run has written so far.
pub fn run(arguments: &ReportArgs) -> Result<(), Error> {
    let path = report::write(&arguments.run)
        .map_err(|error| Error::failure("cannot write the report").explained_by(error))?;
    println!("{}", path.display());
    Ok(())
}
