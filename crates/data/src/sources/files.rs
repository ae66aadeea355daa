//! Image files wherever they lie: files of class folders, members of archives.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use burn_dataset::Dataset;
use sha2::{Digest, Sha256};

use super::{Splits, folder, ilsvrc, missing, read_error, shards};
use crate::decode::Encoded;
use crate::fingerprint::Fingerprint;
use crate::index::{Container, Entry, Indexing, Location, Stamp};
use crate::{Error, Manifest, Result, Sample, Size, Sizes, Stored};

/// Image files, in the order of their classes and names, each decoded where it is used.
///
/// A file is read when it is asked for, at its place in an archive, and never mapped into memory: where a mapped file is
/// cut off, the system ends the process.
pub struct Files {
    root: PathBuf,
    locations: Vec<Location>,
    entries: Vec<(usize, Entry)>,
    channels: usize,
}

/// A container of image files, before it is looked into.
pub(crate) struct Place {
    /// Under the dataset's folder.
    pub path: PathBuf,
    pub holds: Holds,
}

/// What a container holds, which says how it is looked into.
pub(crate) enum Holds {
    /// The images of a class.
    Class(usize),
    /// Images beside files with their classes, in a tar archive.
    Shard,
    /// A tar archive of archives, one a class, of these names.
    Classes(Arc<[String]>),
    /// A tar archive of images that are numbered, in which they have these labels.
    Numbered(Arc<[usize]>),
}

impl Holds {
    /// What tells the index of this packing from those of others in the same folder.
    pub fn packing(&self) -> &'static [u8] {
        match self {
            Self::Class(_) => b"folders",
            Self::Shard => b"shards",
            Self::Classes(_) | Self::Numbered(_) => b"archives",
        }
    }
}

impl Place {
    /// The image files at `path`, which is this place, without their contents.
    pub fn list(&self, path: &Path) -> Result<Vec<Entry>> {
        match &self.holds {
            Holds::Class(_) => folder::list(path),
            Holds::Shard => shards::list(path),
            Holds::Classes(_) => ilsvrc::list_classes(path),
            Holds::Numbered(_) => ilsvrc::list_numbered(path),
        }
    }

    /// The class of one of its files, if it has one.
    fn label(&self, entry: &Entry) -> Option<usize> {
        match &self.holds {
            Holds::Class(label) => Some(*label),
            Holds::Shard => Some(entry.label),
            Holds::Classes(classes) => ilsvrc::label_by_class(classes, &entry.name),
            Holds::Numbered(labels) => ilsvrc::label_by_number(labels, &entry.name),
        }
    }
}

/// A dataset of image files.
pub(crate) struct Opened {
    pub splits: Splits<Arc<Files>>,
    pub classes: Vec<String>,
    pub sizes: Sizes,
    /// Of the files that cannot be read.
    pub bad: Vec<Error>,
}

impl Opened {
    /// The dataset in `root` whose splits lie in these places.
    ///
    /// Files that cannot be read are among the images all the same, and fail when they are asked for.
    pub fn new(
        root: &Path,
        places: Splits<Vec<Place>>,
        classes: Vec<String>,
        indexing: &mut Indexing,
    ) -> Result<Self> {
        let training = places.train.len();
        let places: Vec<Place> = (places.train.into_iter())
            .chain(places.test.into_iter().flatten())
            .collect();
        let mut containers = indexing.look_into(root, &places)?;
        let test = containers.split_off(training);
        let (train_places, test_places) = places.split_at(training);
        let mut train = Files::new(root, containers, train_places)?;
        let mut test = match test_places {
            [] => None,
            places => Some(Files::new(root, test, places)?),
        };
        let (train_sizes, mut bad) = train.sizes();
        let (test_sizes, also_bad) = test.as_ref().map(Files::sizes).unwrap_or_default();
        bad.extend(also_bad);
        let sizes = common(&train_sizes, &test_sizes);
        for files in std::iter::once(&mut train).chain(&mut test) {
            files.channels = sizes.channels();
        }
        Ok(Self {
            splits: Splits {
                train: Arc::new(train),
                test: test.map(Arc::new),
            },
            classes,
            sizes,
            bad,
        })
    }
}

/// Reads the manifest's folder under `data_dir`, in whatever packing its images lie there. It has the manifest's classes and
/// counts.
pub(crate) fn open_manifest(
    manifest: &Manifest,
    data_dir: &Path,
    indexing: &mut Indexing,
) -> Result<Opened> {
    let folder = data_dir.join(&manifest.folder);
    if !folder.is_dir() {
        return Err(missing(manifest, data_dir, vec![manifest.folder.clone()]));
    }
    let opened = if ilsvrc::is_in(&folder) {
        ilsvrc::open(&folder, indexing)?
    } else if shards::are_in(&folder) {
        shards::open(&folder, indexing)?
    } else {
        folder::check_classes(&folder.join("train"), &manifest.ids, "the dataset")?;
        folder::open(&folder, indexing)?
    };
    check_classes(&folder, manifest, &opened.classes)?;
    let Splits { train, test } = &opened.splits;
    for (name, files) in [("train", Some(train)), ("test", test.as_ref())] {
        let expected = manifest.split(name)?.count;
        if let Some(found) = files
            .map(|files| files.len())
            .filter(|found| *found != expected)
        {
            return Err(Error::ImageCount {
                path: folder.join(name),
                expected,
                found,
            });
        }
    }
    Ok(Opened {
        classes: manifest.classes.clone(),
        ..opened
    })
}

/// Classes are called as their folders, or as the manifest calls them.
fn check_classes(folder: &Path, manifest: &Manifest, classes: &[String]) -> Result<()> {
    if classes == manifest.ids || classes == manifest.classes {
        return Ok(());
    }
    let is_absent = |id: &&String| !classes.contains(id);
    match manifest.ids.iter().find(is_absent) {
        Some(absent) => Err(Error::MissingFile {
            path: folder.join("train").join(absent),
        }),
        None => Err(Error::Manifest {
            dataset: manifest.name.clone(),
            problem: format!(
                "its classes are not those of `{}`, in their order",
                folder.display()
            ),
        }),
    }
}

/// Of all images, with three channels where any training image has colour.
fn common(train: &[Size], test: &[Size]) -> Sizes {
    let channels = train.iter().map(|size| size.channels).max().unwrap_or(1);
    let mut sizes = (train.iter().chain(test)).map(|size| Size { channels, ..*size });
    let first = sizes.next();
    match first.filter(|first| sizes.all(|size| size == *first)) {
        Some(size) => Sizes::One(size),
        None => Sizes::Any { channels },
    }
}

impl Files {
    fn new(root: &Path, containers: Vec<Container>, places: &[Place]) -> Result<Self> {
        let mut locations = Vec::with_capacity(containers.len());
        let mut entries = Vec::new();
        for (at, (container, place)) in containers.into_iter().zip(places).enumerate() {
            for entry in container.entries {
                let label = place.label(&entry).ok_or_else(|| Error::NoClass {
                    path: container.location.shown(root, &entry),
                })?;
                entries.push((at, Entry { label, ..entry }));
            }
            locations.push(container.location);
        }
        entries.sort_by(|(_, a), (_, b)| order(a).cmp(&order(b)));
        let files = Self {
            root: root.to_path_buf(),
            locations,
            entries,
            channels: 3,
        };
        files.check_names()?;
        Ok(files)
    }

    /// Those in the places under `root`, unread, with so many channels.
    pub(crate) fn unread(root: &Path, places: &[Place], channels: usize) -> Result<Self> {
        let listed = places.iter().map(|place| Container::list(root, place));
        let files = Self::new(root, listed.collect::<Result<_>>()?, places)?;
        Ok(Self { channels, ..files })
    }

    /// Refuses two files of one name in a class, which cannot be told apart.
    fn check_names(&self) -> Result<()> {
        let is_twin = |pair: &&[(usize, Entry)]| order(&pair[0].1) == order(&pair[1].1);
        match self.entries.windows(2).position(|pair| is_twin(&pair)) {
            None => Ok(()),
            Some(first) => Err(Error::TwinFiles {
                paths: [self.path(first), self.path(first + 1)],
            }),
        }
    }

    /// Of the images that can be read, and why the others cannot.
    fn sizes(&self) -> (Vec<Size>, Vec<Error>) {
        let (mut sizes, mut bad) = (Vec::new(), Vec::new());
        for (index, (_, entry)) in self.entries.iter().enumerate() {
            match entry.content.as_ref().and_then(|content| content.size) {
                Some(size) => sizes.push(size),
                None => match self.stored(index) {
                    Ok(image) => sizes.push(image.size()),
                    Err(error) => bad.push(error),
                },
            }
        }
        (sizes, bad)
    }

    /// The labels of all images.
    pub(crate) fn labels(&self) -> impl Iterator<Item = usize> {
        self.entries.iter().map(|(_, entry)| entry.label)
    }

    /// The label of an image.
    pub fn label(&self, index: usize) -> usize {
        self.entries[index].1.label
    }

    /// The name of an image's file.
    pub fn file_name(&self, index: usize) -> &OsStr {
        self.entries[index].1.name.file_name().unwrap_or_default()
    }

    /// Bytes of an image's file.
    pub fn length(&self, index: usize) -> u64 {
        self.entries[index].1.length
    }

    /// Where an image's file lies, as errors call it.
    pub fn path(&self, index: usize) -> PathBuf {
        let (location, entry) = &self.entries[index];
        self.locations[*location].shown(&self.root, entry)
    }

    /// An image's file, with the channels that it has.
    ///
    /// # Errors
    ///
    /// [`Error::MissingFile`] and [`Error::Read`]; [`Error::Changed`] where it is not the one that was there when the
    /// dataset was opened; and as [`Encoded::new`].
    pub fn stored(&self, index: usize) -> Result<Encoded> {
        let (location, entry) = &self.entries[index];
        let bytes = read(&self.root, &self.locations[*location], entry)?;
        Encoded::new(self.path(index), bytes)
    }
}

impl Dataset<Sample, Error> for Files {
    fn get(&self, index: usize) -> Result<Sample> {
        Ok(Sample {
            image: Stored::Encoded(self.stored(index)?.with_channels(self.channels)),
            label: self.label(index),
        })
    }

    fn len(&self) -> usize {
        self.entries.len()
    }
}

impl Fingerprint for Files {
    fn feed(&self, hasher: &mut Sha256) {
        let mut contents = Sha256::new();
        for (_, entry) in &self.entries {
            let content = entry.content.as_ref();
            contents.update((entry.label as u64).to_le_bytes());
            contents.update(content.map(|content| content.sha256).unwrap_or_default());
        }
        hasher.update(contents.finalize());
    }
}

/// What the images are sorted by: the same in any packing.
fn order(entry: &Entry) -> (usize, &[u8]) {
    let name = entry.name.as_os_str().as_encoded_bytes();
    // Asked of a path, its file's name takes longer than all else here.
    let file_name = name.rsplit(|byte| *byte == b'/').next();
    (entry.label, file_name.unwrap_or_default())
}

/// How long a file that could not be read is waited for, again and again, before its error counts: a disk, or a network's, may
/// be slow to answer.
const WAITS: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(200)];

/// The bytes of an image file; what is not there, or may not be read, is not asked for again.
///
/// # Errors
///
/// [`Error::MissingFile`], [`Error::Read`], [`Error::Changed`].
pub(crate) fn read(root: &Path, location: &Location, entry: &Entry) -> Result<Vec<u8>> {
    let file = location.file(root, entry);
    let mut found = read_once(&file, entry);
    for wait in WAITS {
        match &found {
            Err(error) if is_passing(error) => thread::sleep(wait),
            _ => break,
        }
        found = read_once(&file, entry);
    }
    let (stamp, bytes) = found.map_err(read_error(&file))?;
    // A file that was copied or touched has other times, and is the same.
    let is_same = |bytes: &Vec<u8>| {
        let content = entry.content.as_ref();
        stamp == entry.stamp
            || content.is_none_or(|content| Sha256::digest(bytes)[..] == content.sha256)
    };
    bytes.filter(is_same).ok_or_else(|| Error::Changed {
        path: location.shown(root, entry),
    })
}

/// What the opened file is known by, and the bytes; none where it is too short for them.
fn read_once(path: &Path, entry: &Entry) -> io::Result<(Stamp, Option<Vec<u8>>)> {
    let file = File::open(path)?;
    let stamp = Stamp::of(&file.metadata()?);
    let end = entry.offset.checked_add(entry.length);
    if end.is_none_or(|end| end > stamp.length) {
        return Ok((stamp, None));
    }
    let mut bytes = vec![0; entry.length as usize];
    match read_exact_at(&file, &mut bytes, entry.offset) {
        Ok(()) => Ok((stamp, Some(bytes))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok((stamp, None)),
        Err(error) => Err(error),
    }
}

#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(not(unix))]
fn read_exact_at(mut file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(bytes)
}

fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{IsADirectory, NotFound, PermissionDenied};
    !matches!(error.kind(), NotFound | PermissionDenied | IsADirectory)
}
