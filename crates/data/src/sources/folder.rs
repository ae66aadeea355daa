//! A folder of images in class folders.

use std::fs;
use std::path::{Path, PathBuf};

use burn_dataset::Dataset;
use sha2::{Digest, Sha256};

use super::{Splits, check_size, missing, read_error};
use crate::decode::{decode_error, header_size, is_image, read_image};
use crate::fingerprint::Fingerprint;
use crate::{Error, Manifest, Result, Sample, Size};

/// Folders of test images; the first one that is there is read.
const TEST_FOLDERS: [&str; 2] = ["test", "val"];
/// What has a dataset's classes where it has no manifest.
const TRAINING_IMAGES: &str = "the training images";

/// Images in class folders, decoded when they are asked for.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    size: Size,
    files: Vec<(PathBuf, usize)>,
    contents: [u8; 32],
}

/// Reads `folder/train`, and `folder/test` or `folder/val`; the classes are those of `train`, sorted by name.
pub(crate) fn open(folder: &Path) -> Result<(Splits<Folder>, Vec<String>)> {
    let train = folder.join("train");
    let classes = class_names(&train)?;
    let train = Scan::read(&train, &classes)?;
    let size = train.size();
    let test = TEST_FOLDERS
        .into_iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_dir())
        .map(|path| {
            check_classes(&path, &classes, TRAINING_IMAGES)?;
            Scan::read(&path, &classes)?.into_folder(size)
        })
        .transpose()?;
    let splits = Splits {
        train: train.into_folder(size)?,
        test,
    };
    Ok((splits, classes))
}

/// Reads the manifest's folder under `data_dir`, which has its classes, sizes and counts.
pub(crate) fn open_manifest(manifest: &Manifest, data_dir: &Path) -> Result<Splits<Folder>> {
    let folder = data_dir.join(&manifest.folder);
    if !folder.is_dir() {
        return Err(missing(manifest, data_dir, vec![manifest.folder.clone()]));
    }
    let train = folder.join("train");
    check_classes(&train, &manifest.ids, "the dataset")?;
    let (splits, found) = open(&folder)?;
    if let Some(absent) = manifest.ids.iter().find(|id| !found.contains(id)) {
        return Err(Error::MissingFile {
            path: train.join(absent),
        });
    }
    check_size(&train, manifest.size, splits.train.size)?;
    for (name, split) in [
        ("train", Some(&splits.train)),
        ("test", splits.test.as_ref()),
    ] {
        let (expected, found) = (manifest.split(name)?.count, split.map(|s| s.files.len()));
        if let Some(found) = found.filter(|found| *found != expected) {
            return Err(Error::ImageCount {
                path: folder.join(name),
                expected,
                found,
            });
        }
    }
    Ok(splits)
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

/// Images of any size in class folders, decoded when they are asked for.
pub(crate) struct Photographs {
    channels: usize,
    files: Vec<(PathBuf, usize)>,
}

impl Dataset<Sample, Error> for Photographs {
    fn get(&self, index: usize) -> Result<Sample> {
        let (path, label) = &self.files[index];
        Ok(Sample {
            image: read_image(path, self.channels)?,
            label: *label,
        })
    }

    fn len(&self) -> usize {
        self.files.len()
    }
}

/// The files of a split as they were found.
struct Scan {
    files: Vec<ScannedFile>,
    contents: [u8; 32],
}

struct ScannedFile {
    path: PathBuf,
    label: usize,
    /// The size that the file's header gives.
    size: Size,
}

impl Scan {
    fn read(split: &Path, classes: &[String]) -> Result<Self> {
        let mut files = Vec::new();
        let mut hasher = Sha256::new();
        for (label, class) in classes.iter().enumerate() {
            for path in image_files(&split.join(class))? {
                let bytes = fs::read(&path).map_err(read_error(&path))?;
                hasher.update((label as u64).to_le_bytes());
                hasher.update(Sha256::digest(&bytes));
                let size = header_size(&bytes).map_err(decode_error(&path))?;
                files.push(ScannedFile { path, label, size });
            }
        }
        if files.is_empty() {
            return Err(no_image_files(split));
        }
        Ok(Self {
            files,
            contents: hasher.finalize().into(),
        })
    }

    /// The first image's height and width, with three channels where any image has colour.
    fn size(&self) -> Size {
        let channels = self.files.iter().map(|file| file.size.channels).max();
        Size {
            channels: channels.unwrap_or(1),
            ..self.files[0].size
        }
    }

    /// The images, all of which have the height and width of `size`.
    fn into_folder(self, size: Size) -> Result<Folder> {
        for file in &self.files {
            let found = Size {
                channels: size.channels,
                ..file.size
            };
            check_size(&file.path, size, found)?;
        }
        Ok(Folder {
            size,
            files: self
                .files
                .into_iter()
                .map(|file| (file.path, file.label))
                .collect(),
            contents: self.contents,
        })
    }
}

impl Folder {
    /// The size of every image.
    pub fn size(&self) -> Size {
        self.size
    }
}

impl Dataset<Sample, Error> for Folder {
    fn get(&self, index: usize) -> Result<Sample> {
        let (path, label) = &self.files[index];
        let image = read_image(path, self.size.channels)?;
        check_size(path, self.size, image.size)?;
        Ok(Sample {
            image,
            label: *label,
        })
    }

    fn len(&self) -> usize {
        self.files.len()
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
    Ok(names)
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
