//! `train fetch`: datasets, downloaded and verified.

use std::path::Path;

use data::fetch::{self, State, Verified};
use data::{Format, Manifest};

use super::{data_dir, verify};
use crate::cli::FetchArgs;
use crate::datasets;
use crate::error::Error;
use crate::recipe::Dataset;
use crate::streams::print_line;

/// Downloads what is not there yet, or checks what is.
pub fn run(arguments: &FetchArgs) -> Result<(), Error> {
    let manifests: Result<Vec<&Manifest>, Error> = arguments
        .names
        .iter()
        .map(|name| datasets::find(name).ok_or_else(|| datasets::unknown(name)))
        .collect();
    let folder = data_dir(&arguments.data);
    for manifest in manifests? {
        if arguments.verify {
            verify(manifest, &folder)?;
        } else if manifest.format == Format::Digits {
            print_built_in(manifest)?;
        } else if manifest.archives.is_empty() {
            let name = &manifest.name;
            return Err(Error::failure(format!("cannot fetch dataset `{name}`"))
                .because(format!("its licence: {}", manifest.licence)));
        } else {
            let fetched = datasets::download(manifest, &folder)?;
            for path in &fetched.downloaded {
                print_line(format_args!(
                    "{}: downloaded `{}`",
                    manifest.name,
                    path.display()
                ))?;
            }
            for path in &fetched.present {
                print_line(format_args!(
                    "{}: `{}` was there already",
                    manifest.name,
                    path.display()
                ))?;
            }
        }
    }
    Ok(())
}

/// Compares the files of a dataset with the published checksums, or reads all its images where none are published.
pub fn verify(manifest: &Manifest, data_dir: &Path) -> Result<(), Error> {
    match manifest.format {
        Format::Digits => return print_built_in(manifest),
        Format::Folders => {
            return verify::files(&Dataset::Name(manifest.name.clone()), data_dir);
        }
        Format::Cifar10 | Format::Cifar100 | Format::Idx => {}
    }
    let cannot = || Error::failure(format!("cannot verify dataset `{}`", manifest.name));
    let folder = manifest.download_folder(data_dir);
    let files =
        fetch::verify(&manifest.archives, &folder).map_err(|error| cannot().explained_by(error))?;
    let wrong = print_verdicts(&manifest.name, &files)?;
    if wrong == 0 {
        return Ok(());
    }
    Err(cannot()
        .because(format!(
            "{wrong} of {} files are not the published ones",
            files.len()
        ))
        .with_hint(format!(
            "remove them and type `train fetch {}`",
            manifest.name
        )))
}

fn print_built_in(manifest: &Manifest) -> Result<(), Error> {
    print_line(format_args!("{}: built in", manifest.name))
}

/// Prints what was found of each file, and returns how many are wrong.
pub fn print_verdicts(dataset: &str, files: &[Verified]) -> Result<usize, Error> {
    let mut wrong = 0;
    for file in files {
        let verdict = match &file.state {
            State::Ok => "ok".to_owned(),
            State::Missing => "missing".to_owned(),
            State::Mismatch(mismatch) => mismatch.to_string(),
        };
        wrong += usize::from(file.state != State::Ok);
        print_line(format_args!(
            "{dataset}: `{}` {verdict}",
            file.path.display()
        ))?;
    }
    Ok(wrong)
}
