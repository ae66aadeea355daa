//! A folder of images in class folders.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io, thread};

use burn_dataset::Dataset;
use sha2::{Digest, Sha256};

use super::{Splits, missing, read_error};
use crate::decode::{Encoded, is_image};
use crate::fingerprint::Fingerprint;
use crate::{Error, Manifest, Result, Sample, Size, Sizes, Stored};

/// Folders of test images; the first one that is there is read.
const TEST_FOLDERS: [&str; 2] = ["test", "val"];
/// What has a dataset's classes where it has no manifest.
const TRAINING_IMAGES: &str = "the training images";

/// Images in class folders, decoded where they are used.
pub(crate) struct Photographs {
    channels: usize,
    files: Vec<(PathBuf, usize)>,
}

/// The images of a split, every file of which was read once.
pub(crate) struct Folder {
    photographs: Photographs,
    contents: [u8; 32],
}

/// A dataset in class folders.
pub(crate) struct Opened {
    pub splits: Splits<Folder>,
    pub classes: Vec<String>,
    pub sizes: Sizes,
    /// Of the files that cannot be read.
    pub bad: Vec<Error>,
}

/// Reads `folder/train`, and `folder/test` or `folder/val`; the classes are those of `train`, sorted by name.
///
/// Files that cannot be read are among the images all the same, and fail when they are asked for.
pub(crate) fn open(folder: &Path) -> Result<Opened> {
    let train = folder.join("train");
    let classes = class_names(&train)?;
    let train = Scan::read(&train, &classes)?;
    let test = TEST_FOLDERS
        .into_iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_dir())
        .map(|path| {
            check_classes(&path, &classes, TRAINING_IMAGES)?;
            Scan::read(&path, &classes)
        })
        .transpose()?;
    let sizes = sizes(&train, test.as_ref());
    let channels = sizes.channels();
    let (train, mut bad) = train.into_folder(channels);
    let test = test.map(|test| {
        let (test, also_bad) = test.into_folder(channels);
        bad.extend(also_bad);
        test
    });
    Ok(Opened {
        splits: Splits { train, test },
        classes,
        sizes,
        bad,
    })
}

/// Of all images, with three channels where any training image has colour.
fn sizes(train: &Scan, test: Option<&Scan>) -> Sizes {
    let channels = train.sizes.iter().map(|size| size.channels).max();
    let channels = channels.unwrap_or(1);
    let test = test.map_or(&[][..], |test| &test.sizes);
    let mut sizes = (train.sizes.iter().chain(test)).map(|size| Size { channels, ..*size });
    let first = sizes.next();
    match first.filter(|first| sizes.all(|size| size == *first)) {
        Some(size) => Sizes::One(size),
        None => Sizes::Any { channels },
    }
}

/// Reads the manifest's folder under `data_dir`, which has its classes and counts.
pub(crate) fn open_manifest(manifest: &Manifest, data_dir: &Path) -> Result<Opened> {
    let folder = data_dir.join(&manifest.folder);
    if !folder.is_dir() {
        return Err(missing(manifest, data_dir, vec![manifest.folder.clone()]));
    }
    let train = folder.join("train");
    check_classes(&train, &manifest.ids, "the dataset")?;
    let opened = open(&folder)?;
    if let Some(absent) = manifest.ids.iter().find(|id| !opened.classes.contains(id)) {
        return Err(Error::MissingFile {
            path: train.join(absent),
        });
    }
    for (name, split) in [
        ("train", Some(&opened.splits.train)),
        ("test", opened.splits.test.as_ref()),
    ] {
        let expected = manifest.split(name)?.count;
        let found = split.map(|split| split.photographs.files.len());
        if let Some(found) = found.filter(|found| *found != expected) {
            return Err(Error::ImageCount {
                path: folder.join(name),
                expected,
                found,
            });
        }
    }
    Ok(opened)
}

/// Reads `folder/CLASS/`, with so many channels; the names of the `classes` are those of the folders, some of which may be
/// absent.
pub(crate) fn open_photographs(
    folder: &Path,
    classes: &[String],
    channels: usize,
) -> Result<Photographs> {
    check_classes(folder, classes, "the network")?;
    let mut files = Vec::new();
    for (label, class) in classes.iter().enumerate() {
        let found = image_files(&folder.join(class))?;
        files.extend(found.into_iter().map(|path| (path, label)));
    }
    Ok(Photographs { channels, files })
}

impl Dataset<Sample, Error> for Photographs {
    fn get(&self, index: usize) -> Result<Sample> {
        let (path, label) = &self.files[index];
        let file = Encoded::new(path, read(path)?)?.with_channels(self.channels);
        Ok(Sample {
            image: Stored::Encoded(file),
            label: *label,
        })
    }

    fn len(&self) -> usize {
        self.files.len()
    }
}

/// How long a file that could not be read is waited for, again and again, before its error counts: a disk, or a network's, may
/// be slow to answer.
const WAITS: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(200)];

/// The contents of a file; what is not there, or may not be read, is not asked for again.
fn read(path: &Path) -> Result<Vec<u8>> {
    for wait in WAITS {
        match fs::read(path) {
            Err(error) if is_passing(&error) => thread::sleep(wait),
            contents => return contents.map_err(read_error(path)),
        }
    }
    fs::read(path).map_err(read_error(path))
}

fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{IsADirectory, NotFound, PermissionDenied};
    !matches!(error.kind(), NotFound | PermissionDenied | IsADirectory)
}

/// The files of a split as they were found.
struct Scan {
    files: Vec<(PathBuf, usize)>,
    /// That the headers of those files give that can be read.
    sizes: Vec<Size>,
    bad: Vec<Error>,
    contents: [u8; 32],
}

impl Scan {
    fn read(split: &Path, classes: &[String]) -> Result<Self> {
        let (mut files, mut sizes, mut bad) = (Vec::new(), Vec::new(), Vec::new());
        let mut hasher = Sha256::new();
        for (label, class) in classes.iter().enumerate() {
            for path in image_files(&split.join(class))? {
                let bytes = read(&path);
                let digest = bytes.as_ref().map(Sha256::digest).unwrap_or_default();
                hasher.update((label as u64).to_le_bytes());
                hasher.update(digest);
                match bytes.and_then(|bytes| Encoded::new(&path, bytes)) {
                    Ok(file) => sizes.push(file.size()),
                    Err(error) => bad.push(error),
                }
                files.push((path, label));
            }
        }
        if files.is_empty() {
            return Err(no_image_files(split));
        }
        Ok(Self {
            files,
            sizes,
            bad,
            contents: hasher.finalize().into(),
        })
    }

    /// The images, and what is wrong with the bad ones.
    fn into_folder(self, channels: usize) -> (Folder, Vec<Error>) {
        let photographs = Photographs {
            channels,
            files: self.files,
        };
        let folder = Folder {
            photographs,
            contents: self.contents,
        };
        (folder, self.bad)
    }
}

impl Dataset<Sample, Error> for Folder {
    fn get(&self, index: usize) -> Result<Sample> {
        self.photographs.get(index)
    }

    fn len(&self) -> usize {
        self.photographs.len()
    }
}

impl Fingerprint for Folder {
    fn feed(&self, hasher: &mut Sha256) {
        hasher.update(self.contents);
    }
}

fn class_names(split: &Path) -> Result<Vec<String>> {
    if !split.is_dir() {
        return Err(no_image_files(split));
    }
    let mut names: Vec<String> = entries(split)?
        .into_iter()
        .filter(|path| path.is_dir())
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .filter(|name| !name.starts_with('.'))
        .collect();
    if names.is_empty() {
        return Err(no_image_files(split));
    }
    names.sort();
    check_names(split, &names)?;
    Ok(names)
}

/// Refuses classes whose names are one on systems that do not tell case apart: copied there, they would be mixed.
fn check_names(split: &Path, names: &[String]) -> Result<()> {
    let mut seen: HashMap<String, &String> = HashMap::new();
    for name in names {
        if let Some(other) = seen.insert(name.to_lowercase(), name) {
            return Err(Error::TwinClasses {
                path: split.to_path_buf(),
                classes: [other.clone(), name.clone()],
            });
        }
    }
    Ok(())
}

fn check_classes(split: &Path, classes: &[String], of: &'static str) -> Result<()> {
    match class_names(split)?
        .into_iter()
        .find(|name| !classes.contains(name))
    {
        None => Ok(()),
        Some(class) => Err(Error::UnknownClass {
            path: split.to_path_buf(),
            class,
            of,
        }),
    }
}

/// The image files of a class, sorted by name; none where the class has no folder.
fn image_files(class: &Path) -> Result<Vec<PathBuf>> {
    if !class.is_dir() {
        return Ok(Vec::new());
    }
    let mut files: Vec<PathBuf> = entries(class)?
        .into_iter()
        .filter(|path| is_image(path))
        .collect();
    if files.is_empty() {
        return Err(no_image_files(class));
    }
    files.sort();
    Ok(files)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(read_error(folder))?;
    entries
        .map(|entry| Ok(entry.map_err(read_error(folder))?.path()))
        .collect()
}

fn no_image_files(folder: &Path) -> Error {
    Error::NoImageFiles {
        folder: folder.to_path_buf(),
    }
}
