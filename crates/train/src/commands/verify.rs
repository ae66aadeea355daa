//! `train verify`: is every file of a dataset what it should be?

use std::error::Error as _;
use std::iter;
use std::path::{Path, PathBuf};

use data::Dataset as _;
use data::pack::{verify_images, verify_shards};

use super::{data_dir, fetch, start_threads};
use crate::cli::VerifyArgs;
use crate::datasets;
use crate::error::Error;
use crate::progress::{Work, grouped};
use crate::recipe::Dataset;
use crate::streams::print_line;

/// Verifies a dataset by its name, or a user's own.
pub fn run(arguments: &VerifyArgs) -> Result<(), Error> {
    start_threads(None);
    let data_dir = data_dir(&arguments.data);
    match arguments.images.dataset() {
        Dataset::Name(name) => {
            let manifest = datasets::find(&name).ok_or_else(|| datasets::unknown(&name))?;
            fetch::verify(manifest, &data_dir)
        }
        own => files(&own, &data_dir),
    }
}

/// Compares the checksums of shards, reads all images anew, and decodes each.
pub fn files(dataset: &Dataset, data_dir: &Path) -> Result<(), Error> {
    let cannot = || Error::failure(format!("cannot verify dataset `{}`", dataset.title()));
    let mut wrong = 0;
    if let Some(folder) = folder(dataset, data_dir).filter(|folder| folder.is_dir()) {
        let shards = verify_shards(&folder).map_err(|error| cannot().explained_by(error))?;
        wrong += fetch::print_verdicts(&dataset.title(), &shards)?;
    }
    let opened = datasets::open_anew(dataset, data_dir)?;
    let mut images = 0;
    for (split, files) in opened.files() {
        let mut progress = Work::new(["decoding", "decoded"]).worth(datasets::LONG_TO_READ);
        for error in verify_images(files, split, &mut progress) {
            wrong += 1;
            print_line(chain(&error))?;
        }
        images += files.len();
    }
    print_line(format_args!(
        "{}: {} images, {wrong} wrong files",
        dataset.title(),
        grouped(images as u64)
    ))?;
    match wrong {
        0 => Ok(()),
        _ => Err(cannot()
            .because(format!("{wrong} files are damaged"))
            .with_hint("replace them by whole copies, or pack them again")),
    }
}

/// Where there may be shards.
fn folder(dataset: &Dataset, data_dir: &Path) -> Option<PathBuf> {
    match dataset {
        Dataset::Shards(folder) => Some(folder.clone()),
        Dataset::Name(name) => Some(data_dir.join(&datasets::find(name)?.folder)),
        _ => None,
    }
}

/// An error and its causes, in a line.
fn chain(error: &data::Error) -> String {
    let causes = iter::successors(error.source(), |cause| (*cause).source());
    let causes: String = causes.map(|cause| format!(": {cause}")).collect();
    format!("{error}{causes}")
}
