//! The manifests in `datasets/`: they parse, they are consistent, and their statistics are those of the data.

use std::path::{Path, PathBuf};

use data::fetch::Checksum;
use data::{Error, Indexing, Manifest, OnBadImage, Opened, open, statistics};

const NAMES: [&str; 6] = [
    "cifar10",
    "cifar100",
    "mnist",
    "fashion-mnist",
    "digits",
    "imagenet",
];

/// Statistics are rounded to four digits in the manifests.
const ROUNDING: f32 = 6e-5;

fn datasets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets")
}

fn manifest(name: &str) -> Manifest {
    let path = datasets().join(format!("{name}.toml"));
    let text = std::fs::read_to_string(&path).unwrap();
    toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn manifests_are_consistent() {
    for name in NAMES {
        let manifest = manifest(name);
        assert_eq!(manifest.name, name);
        assert!(manifest.split("train").unwrap().count > 0);
        assert!(manifest.ids.is_empty() || manifest.ids.len() == manifest.classes.len());
        // Folders are read in the order of their names, which is that of the labels.
        assert!(manifest.ids.is_sorted(), "{name}");
        let statistics = manifest.statistics.unwrap();
        assert_eq!(statistics.mean.len(), manifest.size.channels(), "{name}");
        assert_eq!(statistics.std.len(), manifest.size.channels(), "{name}");
        for archive in manifest.archives {
            let (sum, length) = match &archive.checksum {
                Checksum::Sha256(sum) => (sum, 64),
                Checksum::Md5(sum) => (sum, 32),
            };
            assert_eq!(sum.len(), length, "{name}");
            assert!(!archive.mirrors.is_empty(), "{name}");
        }
    }
}

#[test]
fn every_manifest_is_tested() {
    let manifests = std::fs::read_dir(datasets())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().extension().is_some())
        .count();
    assert_eq!(manifests, NAMES.len());
}

/// The folder of downloaded datasets: `KILN_DATA_DIR`, or else `datasets/cache`.
fn data_dir() -> PathBuf {
    std::env::var_os("KILN_DATA_DIR").map_or_else(|| datasets().join("cache"), PathBuf::from)
}

#[test]
fn statistics_of_digits() {
    let manifest = manifest("digits");
    let opened = open(&manifest, &data_dir(), &mut Indexing::default()).unwrap();
    check(&manifest, &opened);
}

#[test]
fn statistics_of_downloaded_datasets() {
    for name in ["cifar10", "cifar100", "mnist", "fashion-mnist"] {
        let manifest = manifest(name);
        match open(&manifest, &data_dir(), &mut Indexing::default()) {
            Ok(opened) => check(&manifest, &opened),
            Err(Error::MissingDataset { .. }) => println!("skipped {name}: not downloaded"),
            Err(error) => panic!("{name}: {error}"),
        }
    }
}

fn check(manifest: &Manifest, opened: &Opened) {
    let (name, splits) = (&manifest.name, &manifest.splits);
    assert_eq!(opened.sizes, manifest.size);
    assert_eq!(opened.train.len(), splits["train"].count);
    assert_eq!(opened.test.as_ref().unwrap().len(), splits["test"].count);

    let claimed = manifest.statistics.as_ref().unwrap();
    let found = statistics::channel_mean_std(&opened.train, OnBadImage::Stop).unwrap();
    assert_close(&claimed.mean, &found.mean, name);
    assert_close(&claimed.std, &found.std, name);
    if let Some(claimed) = &claimed.pca {
        let found = statistics::pca(&opened.train, OnBadImage::Stop).unwrap();
        assert_close(&claimed.eigenvalues, &found.eigenvalues, name);
        for (claimed, found) in claimed.eigenvectors.iter().zip(&found.eigenvectors) {
            assert_close(claimed, found, name);
        }
    }
}

fn assert_close(claimed: &[f32], found: &[f32], name: &str) {
    assert_eq!(claimed.len(), found.len());
    for (a, b) in claimed.iter().zip(found) {
        assert!(
            (a - b).abs() < ROUNDING,
            "{name}: manifest {claimed:?}, data {found:?}"
        );
    }
}
