//! The datasets by name, where they lie, and how they get there.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use data::{Indexing, Manifest, Opened, fetch};
use include_dir::{Dir, include_dir};

use crate::error::{Error, Hinted};
use crate::progress::Work;
use crate::recipe;

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../datasets");

static MANIFESTS: LazyLock<Vec<Manifest>> = LazyLock::new(|| {
    let mut manifests: Vec<Manifest> = FILES
        .files()
        .filter(|file| file.path().extension().is_some_and(|e| e == "toml"))
        .map(|file| {
            let text = file.contents_utf8().expect("manifests are UTF-8");
            toml::from_str(text).expect("manifests are tested")
        })
        .collect();
    manifests.sort_by(|a, b| a.name.cmp(&b.name));
    manifests
});

/// The manifests of all datasets that have a name, sorted by it.
pub fn manifests() -> &'static [Manifest] {
    &MANIFESTS
}

/// The manifest of that name.
pub fn find(name: &str) -> Option<&'static Manifest> {
    manifests().iter().find(|manifest| manifest.name == name)
}

/// All names, sorted.
pub fn names() -> Vec<&'static str> {
    manifests()
        .iter()
        .map(|manifest| manifest.name.as_str())
        .collect()
}

/// Where datasets lie unless the user says otherwise: `datasets/cache` in a checkout, else a folder
/// of the user's cache.
pub fn default_dir() -> PathBuf {
    checkout()
        .map(|root| root.join("datasets").join("cache"))
        .or_else(|| dirs::cache_dir().map(|cache| cache.join("kiln")))
        .unwrap_or_else(|| PathBuf::from("datasets"))
}

/// Reading is heard of from so many bytes on.
pub const LONG_TO_READ: u64 = 1 << 30;

/// How image files are made known: what was known of them before is in the user's cache.
fn indexing() -> Indexing {
    Indexing {
        cache: dirs::cache_dir().map(|cache| cache.join("kiln").join("indices")),
        anew: false,
        progress: Box::new(Work::new(["indexing", "indexed"]).worth(LONG_TO_READ)),
    }
}

/// The checkout that the working directory is in.
fn checkout() -> Option<PathBuf> {
    let here = env::current_dir().ok()?;
    here.ancestors()
        .find(|folder| folder.join("datasets/cifar10.toml").is_file())
        .map(|root| root.strip_prefix(&here).unwrap_or(root).to_path_buf())
}

/// What can be done about an image that cannot be read.
pub const SKIP: &str = "replace or remove the file, or leave such images out and be told which: `on_bad_image = \"skip\"` in the recipe";

/// Opens the dataset of a recipe; one that has a name and is not there yet is fetched.
///
/// # Errors
///
/// With exit code 1, where it cannot be fetched or read.
pub fn open(dataset: &recipe::Dataset, data_dir: &Path) -> Result<Opened, Error> {
    let mut opened = open_with_bad_images(dataset, data_dir)?;
    if opened.bad.is_empty() {
        return Ok(opened);
    }
    let what = match opened.bad.len() {
        1 => "an image of the dataset cannot be read".into(),
        bad => format!("{bad} images of the dataset cannot be read, of which this is the first"),
    };
    Err(Error::failure(what)
        .explained_by(opened.bad.swap_remove(0))
        .with_hint(SKIP))
}

/// The same with images that cannot be read among the others.
///
/// # Errors
///
/// As [`open`], but for those.
pub fn open_with_bad_images(dataset: &recipe::Dataset, data_dir: &Path) -> Result<Opened, Error> {
    open_by(dataset, data_dir, &mut indexing())
}

/// The same, whose image files are all read, whatever is known of them.
///
/// # Errors
///
/// As [`open_with_bad_images`].
pub fn open_anew(dataset: &recipe::Dataset, data_dir: &Path) -> Result<Opened, Error> {
    let anew = Indexing {
        anew: true,
        ..indexing()
    };
    open_by(dataset, data_dir, &mut { anew })
}

fn open_by(
    dataset: &recipe::Dataset,
    data_dir: &Path,
    indexing: &mut Indexing,
) -> Result<Opened, Error> {
    let opened = match dataset {
        recipe::Dataset::Name(name) => return open_named(name, data_dir, indexing),
        recipe::Dataset::Tensors { train, test } => data::open_tensors(train, test.as_deref()),
        recipe::Dataset::Idx(folder) => data::open_idx(folder),
        recipe::Dataset::Folder(folder) => data::open_folder(folder, indexing),
        recipe::Dataset::Shards(folder) => data::open_shards(folder, indexing),
        recipe::Dataset::Ilsvrc(folder) => data::open_ilsvrc(folder, indexing),
    };
    opened.map_err(|error| Error::failure("cannot open the dataset").explained_by(error))
}

fn open_named(name: &str, data_dir: &Path, indexing: &mut Indexing) -> Result<Opened, Error> {
    let manifest = find(name).ok_or_else(|| unknown(name))?;
    let cannot = || Error::failure(format!("cannot open dataset `{name}`"));
    match data::open(manifest, data_dir, indexing) {
        Err(data::Error::MissingDataset { archives, .. }) if !archives.is_empty() => {
            download(manifest, data_dir)?;
            data::open(manifest, data_dir, indexing).map_err(|error| cannot().explained_by(error))
        }
        opened => opened.map_err(|error| cannot().explained_by(error)),
    }
}

/// The error of a name that no dataset has, with exit code 2.
pub fn unknown(name: &str) -> Error {
    let error = Error::usage(format!("unknown dataset `{name}`"));
    match crate::suggest::hint(name, names()) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// Downloads what is not there yet, with a progress bar.
///
/// # Errors
///
/// With exit code 1, where no mirror has it or the disk does not take it.
pub fn download(manifest: &Manifest, data_dir: &Path) -> Result<fetch::Fetched, Error> {
    let folder = manifest.download_folder(data_dir);
    let options = fetch::Options {
        certificates: env::var_os("SSL_CERT_FILE").map(PathBuf::from),
        ..fetch::Options::default()
    };
    fetch::fetch(
        &manifest.archives,
        &folder,
        &mut Work::new(["fetching", "fetched"]),
        &options,
    )
    .map_err(|error| {
        Error::failure(format!("cannot fetch dataset `{}`", manifest.name)).explained_by(error)
    })
}

impl Hinted for data::Error {
    fn hint(&self) -> Option<String> {
        self.hint()
    }
}

impl Hinted for fetch::FetchError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_manifest_parses_and_is_named_as_its_file() {
        for file in FILES
            .files()
            .filter(|file| file.path().extension().is_some_and(|e| e == "toml"))
        {
            let name = file.path().file_stem().unwrap().to_str().unwrap();
            assert!(find(name).is_some(), "{name}");
        }
        assert!(find("cifar10").is_some());
    }
}
