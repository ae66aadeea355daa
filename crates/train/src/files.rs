//! Reading, and whole replacing, of the files in a run folder.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::Hinted;

/// The file whose lock is the folder's.
pub const LOCK: &str = ".lock";

/// Why a file of a run folder cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused to read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file system refused to write.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process writes into the folder.
    #[error("`{}` is in use by another process", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// A line of a journal is not an event.
    #[error("`{}` is damaged at line {line}", path.display())]
    Line {
        /// The journal.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A line of a journal is an event that this version does not know.
    #[error("`{}` has an unknown event `{event}` at line {line}", path.display())]
    UnknownEvent {
        /// The journal.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The event's name.
        event: String,
    },
    /// A JSON file does not parse.
    #[error("`{}` is damaged", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A TOML file does not parse.
    #[error("`{}` is damaged", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<toml::de::Error>,
    },
    /// A file parses, but its parts do not fit together.
    #[error("`{}` contradicts itself: {reason}", path.display())]
    Contradiction {
        /// The file.
        path: PathBuf,
        /// Which parts, expected then found.
        reason: String,
    },
}

impl Hinted for Error {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Read { path, source } if source.kind() == io::ErrorKind::NotFound => {
                Some(format!("is `{}` the folder of a run?", folder_of(path).display()))
            }
            Self::Read { .. } => None,
            Self::Write { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Some("free some space, then type the same line with `--resume`".into())
                }
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    Some("choose a folder that can be written with `--run-dir DIR`".into())
                }
                io::ErrorKind::AlreadyExists => {
                    Some("add `--resume` to continue that run, or choose another folder with `--run-dir DIR`".into())
                }
                _ => None,
            },
            Self::Busy { .. } => {
                Some("wait until it ends, or choose another folder with `--run-dir DIR`".into())
            }
            Self::Line { line, .. } => Some(format!(
                "restore the file from a copy, or delete line {line}: only that event is lost"
            )),
            Self::UnknownEvent { line, .. } => Some(format!(
                "a newer Kiln may have written it: update, or delete line {line}"
            )),
            Self::Toml { path, .. } => Some(format!("restore `{}` from a copy", path.display())),
            Self::Json { path, .. } | Self::Contradiction { path, .. } => {
                Some(format!("restore `{}` from a copy, or delete it to go on without", path.display()))
            }
        }
    }
}

impl Error {
    pub(crate) fn reading(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Read { path, source }
    }

    pub(crate) fn writing(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Write { path, source }
    }
}

/// A result whose error names the file.
pub type Result<T> = std::result::Result<T, Error>;

/// Makes the folder this process's own for as long as the returned file lives; a process that ends,
/// however it ends, gives it back.
///
/// # Errors
///
/// [`Error::Busy`] where it is another's, [`Error::Write`] where the folder cannot be written.
pub fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let file = File::create(&path).map_err(Error::writing(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Busy {
            path: folder.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(Error::Write { path, source }),
    }
}

/// The SHA-256 of a file's bytes, in hexadecimal.
///
/// # Errors
///
/// What the system said; also where it is no regular file, which may have no end.
pub fn sha256(path: &Path) -> io::Result<String> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut digest = Sha256::new();
    loop {
        let bytes = file.fill_buf()?;
        if bytes.is_empty() {
            return Ok(hexadecimal(&digest.finalize()));
        }
        digest.update(bytes);
        let read = bytes.len();
        file.consume(read);
    }
}

/// The SHA-256 of `bytes`, in hexadecimal.
pub fn sha256_of(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Replaces a file by `bytes`: whoever reads it, even after a crash, finds the old content or the new, never a part.
///
/// # Errors
///
/// [`Error::Write`] when the folder cannot be written or the disk is full; the old content then stays.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut replacement = Replacement::of(path)?;
    replacement.write(bytes)?;
    replacement.finish()
}

/// What takes the place of a file once it is finished; what is not is removed.
#[derive(Debug)]
pub struct Replacement {
    path: PathBuf,
    part: PathBuf,
    file: BufWriter<File>,
}

impl Replacement {
    /// Begins an empty file beside the one at `path`.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub fn of(path: &Path) -> Result<Self> {
        let part = part_of(path);
        let file = File::create(&part).map_err(Error::writing(path))?;
        Ok(Self {
            path: path.to_owned(),
            part,
            file: BufWriter::new(file),
        })
    }

    /// Writes on from where the last write ended.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file
            .write_all(bytes)
            .map_err(Error::writing(&self.path))
    }

    /// Goes to a byte, counted from the start.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub fn seek(&mut self, byte: u64) -> Result<()> {
        let sought = self.file.seek(SeekFrom::Start(byte));
        sought.map(drop).map_err(Error::writing(&self.path))
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub fn finish(mut self) -> Result<()> {
        self.file
            .flush()
            .and_then(|()| self.file.get_ref().sync_all())
            .and_then(|()| fs::rename(&self.part, &self.path))
            .and_then(|()| sync_folder(folder_of(&self.path)))
            .map_err(Error::writing(&self.path))
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        // Once the file is in its place there is no part. The error that counts was told before; a
        // part left behind is overwritten next time.
        let _ = fs::remove_file(&self.part);
    }
}

fn part_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    path.with_file_name(name)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacing_leaves_the_new_content_and_no_part() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        replace(&path, b"old").unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_locked_folder_is_busy_until_it_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let held = lock(folder.path()).unwrap();
        let busy = lock(folder.path()).unwrap_err();
        assert!(matches!(busy, Error::Busy { .. }), "{busy}");
        drop(held);
        lock(folder.path()).unwrap();
    }

    #[test]
    fn a_missing_folder_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gone/metrics.csv");
        let error = replace(&path, b"").unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("cannot write `{}`", path.display())
        );
    }
}
