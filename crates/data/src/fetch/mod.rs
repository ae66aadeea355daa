//! Downloads of published archives that end in exactly the published bytes, or in an error that says what to do.
//!
//! [`fetch`] brings what is missing, [`verify`] tells what is there. An archive is written to `NAME.part`, checked
//! against its length and checksum, made durable, and only then given its name: a file with the archive's name was
//! right when it appeared, at whatever instant a process was killed. A `.part` file that is left behind is continued
//! by the next call. A file that was there before and is not the published one is never replaced.
//!
//! Nothing is printed here: a caller that wants to show something implements [`Progress`].

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

pub use archive::{Archive, Checksum, State};
pub use error::{Failure, Fault, FetchError, Mismatch, Retry};

use client::Client;
use download::Download;

use crate::Progress;
use crate::part::{Lock, Part, Wait};

mod archive;
mod client;
mod download;
mod error;
#[cfg(test)]
mod tests;

/// How patient a download is, and how it reaches the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest silence in a connection.
    pub stall_timeout: Duration,
    /// How often a mirror is asked again after a fault that may pass.
    pub retries: u32,
    /// Wait before the first retry; it doubles each time.
    pub backoff: Duration,
    /// Whether `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` of the environment count.
    pub proxies: bool,
    /// A PEM file of the certificates to trust in place of Mozilla's, for networks that inspect HTTPS.
    pub certificates: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            connect_timeout: Duration::from_secs(15),
            stall_timeout: Duration::from_secs(30),
            retries: 3,
            backoff: Duration::from_secs(1),
            proxies: true,
            certificates: None,
        }
    }
}

/// What [`fetch`] found and brought, in the order of the archives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Fetched {
    /// Files that were there already, or that another process brought meanwhile.
    pub present: Vec<PathBuf>,
    /// Files that were downloaded.
    pub downloaded: Vec<PathBuf>,
}

/// One line of [`verify`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The file, there or not.
    pub path: PathBuf,
    /// What is there.
    pub state: State,
}

/// Downloads into `directory` those of `archives` that are not there.
///
/// Files that are there are hashed first; all are right if this returns `Ok`. Several processes may fetch into one
/// folder at once: one downloads, the others wait for it.
///
/// # Errors
///
/// Whatever [`FetchError`] lists. A download that broke is kept, and the next call continues it.
pub fn fetch(
    archives: &[Archive],
    directory: &Path,
    progress: &mut dyn Progress,
    options: &Options,
) -> Result<Fetched, FetchError> {
    archives.iter().try_for_each(Archive::check)?;
    let mut fetched = Fetched::default();
    let mut missing = Vec::new();
    for archive in archives {
        if is_present(archive, directory)? {
            fetched.present.push(directory.join(&archive.name));
        } else {
            missing.push(archive);
        }
    }
    if !missing.is_empty() {
        let client = Client::new(options)?;
        for (index, archive) in missing.iter().enumerate() {
            let brought = bring(archive, directory, &client, progress, options)
                .map_err(|error| error.with_waiting(&missing[index + 1..]))?;
            let list = match brought {
                Brought::Here => &mut fetched.downloaded,
                Brought::Elsewhere => &mut fetched.present,
            };
            list.push(directory.join(&archive.name));
        }
    }
    Ok(fetched)
}

/// Hashes those of `archives` that are in `directory`, and tells of each whether it is right.
///
/// # Errors
///
/// A file that is there and cannot be read, or an archive with a name or checksum that cannot be.
pub fn verify(archives: &[Archive], directory: &Path) -> Result<Vec<Verified>, FetchError> {
    archives
        .iter()
        .map(|archive| {
            archive.check()?;
            Ok(Verified {
                path: directory.join(&archive.name),
                state: archive.state(directory)?,
            })
        })
        .collect()
}

/// Who downloaded an archive that was missing.
enum Brought {
    Here,
    Elsewhere,
}

/// Whether the archive is there; another file under its name is an error.
fn is_present(archive: &Archive, directory: &Path) -> Result<bool, FetchError> {
    match archive.state(directory)? {
        State::Ok => Ok(true),
        State::Missing => Ok(false),
        State::Mismatch(mismatch) => Err(FetchError::Occupied {
            path: directory.join(&archive.name),
            mismatch,
        }),
    }
}

fn bring(
    archive: &Archive,
    directory: &Path,
    client: &Client,
    progress: &mut dyn Progress,
    options: &Options,
) -> Result<Brought, FetchError> {
    let beside = |suffix: &str| directory.join(format!("{}.{suffix}", archive.name));
    let unwritable = |path: PathBuf| {
        move |source| FetchError::Write {
            path,
            missing: archive.bytes,
            source,
        }
    };
    fs::create_dir_all(directory).map_err(unwritable(directory.into()))?;
    let lock = Lock::take(beside("lock"), |wait| {
        progress.note(&match wait {
            Wait::Busy => format!(
                "another process is fetching `{}`: waiting for it",
                archive.name
            ),
            Wait::Unsupported(error) => {
                format!(
                    "cannot lock `{}` ({error}): let no other process fetch into this folder",
                    archive.name
                )
            }
        });
    })
    .map_err(unwritable(directory.into()))?;
    let brought = if is_present(archive, directory)? {
        Brought::Elsewhere
    } else {
        let part = Part::open(beside("part")).map_err(unwritable(beside("part")))?;
        Download::new(archive, directory, part, client, progress, options).run()?;
        Brought::Here
    };
    lock.remove();
    Ok(brought)
}
