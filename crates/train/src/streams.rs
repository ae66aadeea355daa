//! The two streams: stdout is for data, stderr for talk.

use std::fmt::Display;
use std::io::{self, Write};

use crate::error::Error;

/// Writes a line of a result to stdout. That its reader has had enough, as in `train list | head`, is no error.
///
/// # Errors
///
/// With exit code 1, where it cannot be written, for one when the disk is full.
pub fn print_line(line: impl Display) -> Result<(), Error> {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::failure("cannot write to stdout").because(error))
        }
        _ => Ok(()),
    }
}

/// Writes a line to stderr. That it cannot be written is no reason to stop a run.
pub fn say(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}
