//! The bytes of a file that is not whole yet, and the lock that keeps other processes off them.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::fetch::Checksum;

/// `NAME.part`: grows at its end only, and becomes `NAME` when it is whole.
pub(crate) struct Part {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Part {
    /// Opens the file at `path` with what an earlier run left in it, or creates it.
    pub(crate) fn open(path: PathBuf) -> io::Result<Part> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        let length = file.seek(SeekFrom::End(0))?;
        Ok(Part { path, file, length })
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that are there.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Adds `bytes` at the end.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Drops all bytes.
    pub(crate) fn restart(&mut self) -> io::Result<()> {
        if self.length > 0 {
            self.file.set_len(0)?;
            self.file.rewind()?;
            self.length = 0;
        }
        Ok(())
    }

    /// The checksum, of the kind of `like`, of the bytes as they can be read back.
    pub(crate) fn checksum(&mut self, like: &Checksum) -> io::Result<Checksum> {
        self.file.rewind()?;
        let found = like.of(&mut (&mut self.file).take(self.length))?;
        self.file.seek(SeekFrom::Start(self.length))?;
        Ok(found)
    }

    /// Makes the bytes durable and gives them their final name, in one step.
    pub(crate) fn publish(self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, path)?;
        sync_folder_of(path)
    }

    /// Leaves the bytes to a later run, or removes the file if there are none.
    pub(crate) fn abandon(self) {
        if self.length == 0 {
            // An empty file that stays behind harms nobody.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes a rename durable; Windows has no such call and needs none.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// The right to make a file or to fill a folder, held by one process at a time.
///
/// The lock goes with the process, however it ends; its file stays until the work is done.
pub(crate) struct Lock {
    path: PathBuf,
    _file: File,
}

/// What [`Lock::take`] says while or after it waits.
pub(crate) enum Wait {
    /// Another process holds the lock.
    Busy,
    /// The file system has no locks.
    Unsupported(io::Error),
}

impl Lock {
    /// Waits for the lock at `path`.
    pub(crate) fn take(path: PathBuf, mut note: impl FnMut(Wait)) -> io::Result<Lock> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                note(Wait::Busy);
                file.lock()?;
            }
            Err(TryLockError::Error(error)) => note(Wait::Unsupported(error)),
        }
        Ok(Lock { path, _file: file })
    }

    /// Gives the lock back and removes its file: for work that is done, after which
    /// nobody who waited for this file or creates a new one has anything to write.
    pub(crate) fn remove(self) {
        // A lock file that stays behind harms nobody.
        let _ = fs::remove_file(&self.path);
    }
}
