//! What is known of a dataset's image files, so that they need not be read again before they are used.
//!
//! A file is known by its name, length and time of change, an archive by those of the whole. What is known is kept in a file
//! of its own, which is written whole, carries a checksum, and is made again where it is damaged. What was changed no earlier
//! than that file was written is not believed: it may have changed once more by the same clock.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};
use std::{io, process};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::decode::Encoded;
use crate::fingerprint::hexadecimal;
use crate::part::Part;
use crate::sources::files::{self, Place};
use crate::sources::read_error;
use crate::{Progress, Result, Size};

/// Written into the name of what is kept, so that another version of it is not read.
const VERSION: u32 = 1;
/// Where there are more files, those of a folder that is as it was are not looked at one by one.
const FEW: usize = 50_000;
const CHECKSUM: usize = 32;

/// How the files of a dataset are made known.
pub struct Indexing {
    /// The folder in which what is known is kept; without one, every file is read again each time.
    pub cache: Option<PathBuf>,
    /// Whether to read all files, whatever is known of them.
    pub anew: bool,
    /// Who hears how it goes.
    pub progress: Box<dyn Progress>,
}

impl Default for Indexing {
    fn default() -> Self {
        Self {
            cache: None,
            anew: false,
            progress: Box::new(()),
        }
    }
}

/// By which a file or folder is taken for the one that it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub length: u64,
    /// Since 1970.
    modified: Duration,
}

impl Stamp {
    pub fn of(metadata: &Metadata) -> Self {
        let modified = metadata.modified().ok();
        let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Self {
            length: metadata.len(),
            modified: since.unwrap_or_default(),
        }
    }
}

/// A folder of image files, or an archive of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Container {
    pub location: Location,
    stamp: Stamp,
    pub entries: Vec<Entry>,
}

/// Where a container is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Location {
    /// Under the dataset's folder.
    path: PathBuf,
    is_folder: bool,
}

impl Location {
    /// What errors call an entry.
    pub fn shown(&self, root: &Path, entry: &Entry) -> PathBuf {
        root.join(&self.path).join(&entry.name)
    }

    /// The file in which an entry lies.
    pub fn file(&self, root: &Path, entry: &Entry) -> PathBuf {
        match self.is_folder {
            true => self.shown(root, entry),
            false => root.join(&self.path),
        }
    }
}

/// An image file: a part of another file, which is all of it in a folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// In its container.
    pub name: PathBuf,
    /// As far as the container says.
    pub label: usize,
    /// Of the file that is opened.
    pub stamp: Stamp,
    pub offset: u64,
    pub length: u64,
    /// What was read; nothing where it was not, or could not be.
    pub content: Option<Content>,
}

/// What is in an image file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Content {
    pub sha256: [u8; CHECKSUM],
    /// As its header gives it; none where it is no image.
    pub size: Option<Size>,
}

impl Content {
    fn of(bytes: Vec<u8>) -> Self {
        Self {
            sha256: Sha256::digest(&bytes).into(),
            size: Encoded::new(PathBuf::new(), bytes)
                .ok()
                .map(|image| image.size()),
        }
    }
}

impl Container {
    /// Lists what a place holds, without reading it.
    pub fn list(root: &Path, place: &Place) -> Result<Self> {
        Known::default().list(root, place)
    }

    /// Takes over what is known of the files that are as they were.
    fn remember(&mut self, known: Container) {
        let mut known: HashMap<PathBuf, Entry> = known
            .entries
            .into_iter()
            .map(|entry| (entry.name.clone(), entry))
            .collect();
        for entry in &mut self.entries {
            if let Some(known) = known.remove(&entry.name)
                && (known.stamp, known.offset) == (entry.stamp, entry.offset)
            {
                entry.content = known.content;
            }
        }
    }
}

impl Indexing {
    /// The files in the places of the dataset in `root`, whose contents are known but for those that cannot be read.
    pub(crate) fn look_into(&mut self, root: &Path, places: &[Place]) -> Result<Vec<Container>> {
        let packing = places.first().map(|place| place.holds.packing());
        let kept = (self.cache.as_deref().zip(packing))
            .and_then(|(cache, packing)| Kept::of(cache, root, packing));
        let mut known = match &kept {
            Some(kept) if !self.anew => kept.read().unwrap_or_default(),
            _ => Known::default(),
        };
        let listed = places.iter().map(|place| known.list(root, place));
        let mut containers: Vec<Container> = listed.collect::<Result<_>>()?;
        if known.is_all_of(&containers) {
            return Ok(containers);
        }
        self.read_unknown(root, &mut containers);
        if let Some(kept) = kept
            && let Err(error) = kept.write(&containers, &known)
        {
            self.progress.note(&format!(
                "note: the next start will take as long: cannot write `{}`: {error}",
                kept.path.display()
            ));
        }
        Ok(containers)
    }

    fn read_unknown(&mut self, root: &Path, containers: &mut [Container]) {
        let is_unknown = |entry: &&Entry| entry.content.is_none();
        let entries = containers.iter().flat_map(|container| &container.entries);
        let total = entries.filter(is_unknown).map(|entry| entry.length).sum();
        let progress = &mut self.progress;
        progress.start(&root.display().to_string(), total, 0);
        for Container {
            location, entries, ..
        } in containers
        {
            for entry in entries.iter_mut().filter(|entry| entry.content.is_none()) {
                let bytes = files::read(root, location, entry);
                entry.content = bytes.ok().map(Content::of);
                progress.advance(entry.length);
            }
        }
        progress.finish();
    }
}

/// What was known before.
#[derive(Default)]
struct Known {
    containers: HashMap<PathBuf, Container>,
    are_many: bool,
    /// When that was.
    written: Duration,
    checksum: Option<[u8; CHECKSUM]>,
    /// Whether something was listed again.
    is_outdated: bool,
}

impl Known {
    fn list(&mut self, root: &Path, place: &Place) -> Result<Container> {
        let known = self.containers.remove(&place.path);
        let path = root.join(&place.path);
        let metadata = fs::metadata(&path).map_err(read_error(&path))?;
        let (stamp, is_folder) = (Stamp::of(&metadata), metadata.is_dir());
        let is_settled = |known: &Container| {
            known.stamp == stamp && stamp.modified < self.written && (!is_folder || self.are_many)
        };
        match known {
            Some(known) if is_settled(&known) => Ok(known),
            known => {
                self.is_outdated = true;
                let mut container = Container {
                    location: Location {
                        path: place.path.clone(),
                        is_folder,
                    },
                    stamp,
                    entries: place.list(&path)?,
                };
                if let Some(known) = known.filter(|_| is_folder) {
                    container.remember(known);
                }
                Ok(container)
            }
        }
    }

    fn is_all_of(&self, containers: &[Container]) -> bool {
        let mut entries = containers.iter().flat_map(|container| &container.entries);
        !self.is_outdated
            && self.containers.is_empty()
            && entries.all(|entry| entry.content.is_some())
    }
}

/// Where what is known of a dataset is kept.
struct Kept {
    path: PathBuf,
}

impl Kept {
    /// None where there is no such folder.
    fn of(cache: &Path, root: &Path, packing: &[u8]) -> Option<Self> {
        let root = root.canonicalize().ok()?;
        let digest = Sha256::new()
            .chain_update(packing)
            .chain_update(root.as_os_str().as_encoded_bytes())
            .finalize();
        let name = hexadecimal(&digest[..16]);
        Some(Self {
            path: cache.join(format!("{name}.{VERSION}.index")),
        })
    }

    /// None where there is nothing, or what there is is damaged.
    fn read(&self) -> Option<Known> {
        let bytes = fs::read(&self.path).ok()?;
        let written = Stamp::of(&fs::metadata(&self.path).ok()?).modified;
        let (checksum, mut containers) = parse(&bytes)?;
        let mut entries = 0;
        for container in &mut containers {
            let believed = |entry: &Entry| entry.stamp.modified < written;
            container.entries.retain(believed);
            entries += container.entries.len();
        }
        Some(Known {
            containers: containers
                .into_iter()
                .map(|container| (container.location.path.clone(), container))
                .collect(),
            are_many: entries > FEW,
            written,
            checksum: Some(checksum),
            is_outdated: false,
        })
    }

    /// Replaces the file, unless it holds the same.
    fn write(&self, containers: &[Container], known: &Known) -> io::Result<()> {
        let body = postcard::to_stdvec(containers).map_err(io::Error::other)?;
        let checksum: [u8; CHECKSUM] = Sha256::digest(&body).into();
        if known.checksum == Some(checksum) {
            return Ok(());
        }
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        // Processes that write at once have each its own.
        let beside = self.path.with_extension(format!("{}.part", process::id()));
        let mut part = Part::open(beside)?;
        part.restart()?;
        part.append(&checksum)?;
        part.append(&body)?;
        part.publish(&self.path)
    }
}

/// What the bytes of an index hold, and their checksum; none where it is another one.
fn parse(bytes: &[u8]) -> Option<([u8; CHECKSUM], Vec<Container>)> {
    let (checksum, body) = bytes.split_first_chunk()?;
    let found: [u8; CHECKSUM] = Sha256::digest(body).into();
    let containers = postcard::from_bytes(body).ok()?;
    (found == *checksum).then_some((found, containers))
}
