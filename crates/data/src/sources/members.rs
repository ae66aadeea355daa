//! What a tar archive holds, and where.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::read_error;
use crate::{Error, Result};

/// Tar goes by blocks of so many bytes; one of zeros is its end.
const BLOCK: u64 = 512;

/// A file in an archive.
pub(super) struct Member {
    pub name: PathBuf,
    /// Where its bytes begin in the archive's file.
    pub offset: u64,
    pub length: u64,
}

/// Hands over every regular file of the archive at `path`, in order, with a reader of its bytes.
///
/// # Errors
///
/// [`Error::Archive`] where the archive is damaged, or cut off wherever, also between two members; what `visit` returns.
pub(super) fn for_each_member(
    path: &Path,
    visit: impl FnMut(Member, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    let length = fs::metadata(path).map_err(read_error(path))?.len();
    for_each_member_within(path, 0, length, visit)
}

/// The same of an archive that is a part of the file at `path`.
pub(super) fn for_each_member_within(
    path: &Path,
    start: u64,
    length: u64,
    mut visit: impl FnMut(Member, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    let damaged = |source| Error::Archive {
        path: path.to_path_buf(),
        source,
    };
    let file = File::open(path).map_err(read_error(path))?;
    let window = Window {
        file: BufReader::new(file),
        start,
        length,
        at: 0,
    };
    let mut archive = tar::Archive::new(window);
    let mut end = 0;
    for entry in archive.entries_with_seek().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let member = Member {
            name: entry.path().map_err(damaged)?.into_owned(),
            offset: start + entry.raw_file_position(),
            length: entry.size(),
        };
        end = (entry.raw_file_position().checked_add(member.length))
            .and_then(|end| end.checked_next_multiple_of(BLOCK))
            .filter(|end| *end <= length)
            .ok_or_else(|| damaged(cut_off()))?;
        if entry.header().entry_type().is_file() {
            visit(member, &mut entry)?;
        }
    }
    check_end(archive.into_inner(), end).map_err(damaged)
}

/// A part of a file.
struct Window {
    file: BufReader<File>,
    start: u64,
    length: u64,
    /// Where the next byte is read, in the part.
    at: u64,
}

impl Read for Window {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.at == 0 {
            self.rewind()?;
        }
        let left = self.length.saturating_sub(self.at);
        let read = self.file.by_ref().take(left).read(bytes)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Window {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
        };
        let place = at.and_then(|at| self.start.checked_add(at));
        let place = place.ok_or_else(cut_off)?;
        self.file.seek(SeekFrom::Start(place))?;
        self.at = place - self.start;
        Ok(self.at)
    }
}

/// Without a block of zeros behind the last member, others may have been cut off.
fn check_end(mut file: impl Read + Seek, end: u64) -> io::Result<()> {
    let mut block = [0; BLOCK as usize];
    file.seek(SeekFrom::Start(end))?;
    match file.read_exact(&mut block) {
        Ok(()) if block.iter().all(|byte| *byte == 0) => Ok(()),
        Ok(()) => Err(io::Error::other("it does not end as an archive")),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(cut_off()),
        Err(error) => Err(error),
    }
}

fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it ends too early")
}
