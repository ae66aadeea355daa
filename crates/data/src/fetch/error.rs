//! What can go wrong with a download, and what to type next.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::archive::{Archive, Checksum};

/// Why an archive is not there after [`fetch`](super::fetch).
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The manifest names a file outside the folder.
    #[error("archive name `{name}` is not a plain file name")]
    Name {
        /// As in the manifest.
        name: String,
    },
    /// The manifest's checksum cannot be one.
    #[error("{checksum} of `{name}` is not {expected} lowercase hexadecimal digits")]
    Digits {
        /// Name of the archive.
        name: String,
        /// As in the manifest.
        checksum: Checksum,
        /// How many digits a checksum of this kind has.
        expected: usize,
    },
    /// A file of trusted certificates holds none.
    #[error("`{path}` holds no certificate in PEM form")]
    Certificates {
        /// The file.
        path: PathBuf,
    },
    /// A file that is there cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The folder or a file in it cannot be written.
    #[error("cannot write `{path}`")]
    Write {
        /// The folder or file.
        path: PathBuf,
        /// Bytes of the archive that are still to be written.
        missing: u64,
        /// What the system says.
        source: io::Error,
    },
    /// Another file has the archive's name; it is left alone.
    #[error("`{path}` is not the file that was published: {mismatch}")]
    Occupied {
        /// The file.
        path: PathBuf,
        /// How it differs.
        mismatch: Mismatch,
    },
    /// No mirror gave the archive.
    #[error("cannot fetch `{name}`{}", listed(failures))]
    Unfetched {
        /// Name of the archive.
        name: String,
        /// Its length.
        bytes: u64,
        /// How many of its bytes are kept for the next run.
        kept: u64,
        /// The folder it belongs in.
        directory: PathBuf,
        /// Each mirror, in order, with its last fault.
        failures: Vec<Failure>,
        /// Archives that were to be fetched after it, and their lengths.
        waiting: Vec<(String, u64)>,
    },
}

impl FetchError {
    /// Says which archives were to be fetched next.
    pub(super) fn with_waiting(mut self, archives: &[&Archive]) -> Self {
        if let FetchError::Unfetched { waiting, .. } = &mut self {
            let each = archives.iter();
            *waiting = each
                .map(|archive| (archive.name.clone(), archive.bytes))
                .collect();
        }
        self
    }

    /// What to type or do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            FetchError::Name { .. } | FetchError::Digits { .. } => {
                Some("correct the dataset's manifest".into())
            }
            FetchError::Certificates { path } => Some(format!(
                "give a file of PEM certificates in place of `{}`",
                path.display()
            )),
            FetchError::Read { path, .. } => Some(format!(
                "make `{}` a file that you can read, or remove it",
                path.display()
            )),
            FetchError::Write {
                path,
                missing,
                source,
            } => Some(hint_for_write(path, *missing, source)),
            FetchError::Occupied { path, .. } => Some(format!(
                "remove `{}` and run the same line again to download it anew",
                path.display()
            )),
            FetchError::Unfetched {
                name,
                bytes,
                kept,
                directory,
                waiting,
                ..
            } => {
                let mut files = vec![(name.clone(), *bytes)];
                files.extend(waiting.iter().cloned());
                Some(hint_for_unfetched(&files, *kept, directory))
            }
        }
    }
}

/// A mirror that did not give the archive.
#[derive(Debug)]
pub struct Failure {
    /// Its address.
    pub mirror: String,
    /// The last thing that went wrong there.
    pub fault: Fault,
}

/// What went wrong at a mirror.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// An HTTP status that brings no file.
    #[error("answered {0}")]
    Status(String, Retry),
    /// No connection in time.
    #[error("no connection within {0:?}")]
    ConnectTimeout(Duration),
    /// A connection, and then silence.
    #[error("sent nothing for {0:?}")]
    Stalled(Duration),
    /// The connection ended before the file did.
    #[error("ended the connection too early")]
    Cut,
    /// The mirror has another file.
    #[error("has another file: {0}")]
    Different(Mismatch),
    /// The mirror went on sending after the last byte.
    #[error("sent more than {} bytes", grouped(*.0))]
    TooLong(u64),
    /// The mirror cannot be reached, or does not speak HTTP.
    #[error("failed: {0}")]
    Transport(String, Retry),
}

/// Whether the same mirror may do better a moment later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It may.
    Later,
    /// It will not.
    Never,
}

impl Fault {
    pub(super) fn retry(&self) -> Retry {
        match self {
            Fault::Status(_, retry) | Fault::Transport(_, retry) => *retry,
            Fault::ConnectTimeout(_) | Fault::Stalled(_) | Fault::Cut => Retry::Later,
            Fault::Different(_) | Fault::TooLong(_) => Retry::Never,
        }
    }
}

/// How a file differs from the one that was published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "lowercase")]
pub enum Mismatch {
    /// Another length.
    #[error("expected {} bytes, found {}", grouped(*expected), grouped(*found))]
    Bytes {
        /// As declared.
        expected: u64,
        /// As it is.
        found: u64,
    },
    /// The right length, other bytes.
    #[error("expected {expected}, found {found}")]
    Checksum {
        /// As declared.
        expected: Checksum,
        /// As it is.
        found: Checksum,
    },
}

fn listed(failures: &[Failure]) -> String {
    if failures.is_empty() {
        return ": it has no mirror".into();
    }
    let each: Vec<String> = failures
        .iter()
        .map(|failure| format!("`{}` {}", failure.mirror, failure.fault))
        .collect();
    format!(": {}", each.join("; "))
}

fn hint_for_write(path: &Path, missing: u64, source: &io::Error) -> String {
    let remedy = match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!(
                "free {} bytes there and run the same line again to continue",
                grouped(missing)
            )
        }
        _ => format!("make `{}` writable", path.display()),
    };
    format!("{remedy}, or choose another folder with `--data-dir`")
}

fn hint_for_unfetched(files: &[(String, u64)], kept: u64, directory: &Path) -> String {
    let again = match kept {
        0 => "check the network and run the same line again".into(),
        kept => format!(
            "check the network and run the same line again to continue after {} bytes",
            grouped(kept)
        ),
    };
    let files: Vec<String> = files
        .iter()
        .map(|(name, bytes)| format!("`{name}` ({} bytes)", grouped(*bytes)))
        .collect();
    format!(
        "{again}, or put {} into `{}`",
        files.join(", "),
        directory.display()
    )
}

/// A count with its thousands apart, as in `170,052,171`.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
