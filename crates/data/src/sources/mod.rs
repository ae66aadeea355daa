//! The formats that datasets come in.

pub(crate) mod cifar;
pub(crate) mod digits;
pub(crate) mod files;
pub(crate) mod folder;
pub(crate) mod idx;
pub(crate) mod ilsvrc;
mod matlab;
mod members;
pub(crate) mod shards;
pub(crate) mod tensors;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{Error, InMemory, Manifest, Result, Size};

/// More classes than any classifier here has: a larger label is a mistake, not a class.
const MOST_CLASSES: usize = 1 << 20;

/// The splits of a dataset.
#[derive(Clone)]
pub(crate) struct Splits<D = InMemory> {
    pub train: D,
    pub test: Option<D>,
}

impl<D> Splits<D> {
    pub fn shared(self) -> Splits<Arc<D>> {
        Splits {
            train: Arc::new(self.train),
            test: self.test.map(Arc::new),
        }
    }

    pub fn all(&self) -> impl Iterator<Item = &D> {
        std::iter::once(&self.train).chain(&self.test)
    }
}

/// The first archive of the manifest that lies in `data_dir`.
fn find_archive(manifest: &Manifest, data_dir: &Path) -> Option<PathBuf> {
    let folder = manifest.download_folder(data_dir);
    manifest
        .archives
        .iter()
        .map(|archive| folder.join(&archive.name))
        .find(|path| path.is_file())
}

fn missing(manifest: &Manifest, data_dir: &Path, looked_for: Vec<String>) -> Error {
    Error::MissingDataset {
        dataset: manifest.name.clone(),
        data_dir: data_dir.to_path_buf(),
        looked_for,
        archives: archive_names(manifest),
        download_folder: manifest.download_folder(data_dir),
    }
}

fn archive_names(manifest: &Manifest) -> Vec<String> {
    let archives = manifest.archives.iter();
    archives.map(|archive| archive.name.clone()).collect()
}

/// Turns what the system says about `path` into an error.
pub(crate) fn read_error(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_path_buf();
    move |source| match source.kind() {
        io::ErrorKind::NotFound => Error::MissingFile { path },
        _ => Error::Read { path, source },
    }
}

/// Says of a missing file to which dataset it belongs.
fn incomplete(manifest: &Manifest) -> impl FnOnce(Error) -> Error {
    let dataset = manifest.name.clone();
    move |error| match error {
        Error::MissingFile { path } => Error::IncompleteDataset { dataset, path },
        error => error,
    }
}

fn check_size(path: &Path, expected: Size, found: Size) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(Error::ImageSize {
        path: path.to_path_buf(),
        expected,
        found,
    })
}

fn check_length(path: &Path, expected: u64, found: u64) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(Error::Length {
        path: path.to_path_buf(),
        expected,
        found,
    })
}

fn check_labels(path: &Path, labels: &[usize], classes: usize) -> Result<()> {
    match labels.iter().position(|&label| label >= classes) {
        None => Ok(()),
        Some(record) => Err(Error::Label {
            path: path.to_path_buf(),
            record,
            label: labels[record] as i64,
            classes,
        }),
    }
}
