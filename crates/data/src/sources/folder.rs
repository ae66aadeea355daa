//! A folder of images in class folders.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::files::{Files, Holds, Opened, Place};
use super::{Splits, read_error};
use crate::decode::is_image;
use crate::index::{Entry, Indexing, Stamp};
use crate::{Error, Result};

/// Folders of test images; the first one that is there is read.
const TEST_FOLDERS: [&str; 2] = ["test", "val"];

/// Reads `folder/train`, and `folder/test` or `folder/val`; the classes are those of `train`, sorted by name.
pub(crate) fn open(folder: &Path, indexing: &mut Indexing) -> Result<Opened> {
    let classes = class_names(&folder.join("train"))?;
    let test = (TEST_FOLDERS.into_iter()).find(|name| folder.join(name).is_dir());
    if let Some(test) = test {
        check_classes(&folder.join(test), &classes, "the training images")?;
    }
    let train = places(folder, "train", &classes);
    let test = test.map(|test| places(folder, test, &classes));
    Opened::new(folder, Splits { train, test }, classes, indexing)
}

/// Those of `folder/CLASS/`, with so many channels, unread; the names of the `classes` are those of the folders, some of
/// which may be absent.
pub(crate) fn open_unread(folder: &Path, classes: &[String], channels: usize) -> Result<Files> {
    check_classes(folder, classes, "the network")?;
    Files::unread(folder, &places(folder, "", classes), channels)
}

/// The folders of the classes in a split that are there.
fn places(folder: &Path, split: &str, classes: &[String]) -> Vec<Place> {
    let places = classes.iter().enumerate().map(|(label, class)| Place {
        path: Path::new(split).join(class),
        holds: Holds::Class(label),
    });
    places
        .filter(|place| folder.join(&place.path).is_dir())
        .collect()
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

pub(super) fn check_classes(split: &Path, classes: &[String], of: &'static str) -> Result<()> {
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

/// The image files of a class, without their contents.
pub(crate) fn list(class: &Path) -> Result<Vec<Entry>> {
    let files = entries(class)?.into_iter().filter(|path| is_image(path));
    let entries: Vec<Entry> = files.filter_map(|path| entry(&path)).collect();
    match entries.is_empty() {
        true => Err(no_image_files(class)),
        false => Ok(entries),
    }
}

/// None of what is no file, and may have no end. One that cannot be looked at is an entry that cannot be read.
fn entry(path: &Path) -> Option<Entry> {
    let metadata = fs::metadata(path).ok();
    if (metadata.as_ref()).is_some_and(|found| !found.is_file() && !found.is_dir()) {
        return None;
    }
    let stamp = metadata.as_ref().map(Stamp::of).unwrap_or_default();
    Some(Entry {
        name: path.file_name()?.into(),
        label: 0,
        stamp,
        offset: 0,
        length: stamp.length,
        content: None,
    })
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
