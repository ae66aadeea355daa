//! What a dataset is and where it comes from: one manifest a dataset, in `datasets/`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::fetch::Archive;
use crate::{Error, Result, Size, Sizes, Statistics};

/// A dataset's description. Parsing its TOML is the caller's work.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The name in recipes and on the command line, such as `cifar10`.
    pub name: String,
    /// The name in prose.
    pub title: String,
    /// Whom to cite.
    pub citation: String,
    /// The terms of use, or that none are stated.
    pub licence: String,
    /// How its files are laid out.
    pub format: Format,
    /// The folder of its unpacked files, under the data folder.
    #[serde(default)]
    pub folder: String,
    /// What is downloaded; nothing where the data is compiled in.
    #[serde(default)]
    pub archives: Vec<Archive>,
    /// The splits: `train`, and `test`.
    pub splits: BTreeMap<String, Split>,
    /// The names of the classes, in the order of their labels.
    pub classes: Vec<String>,
    /// The folders of the classes, in the same order, where there are folders.
    #[serde(default)]
    pub ids: Vec<String>,
    /// The size of the images.
    pub size: Sizes,
    /// Statistics of the training images.
    pub statistics: Option<Statistics>,
}

impl Manifest {
    /// Where the archives belong: a folder of archives is its own folder under `data_dir`, an archive of a folder lies
    /// beside it.
    pub fn download_folder(&self, data_dir: &Path) -> PathBuf {
        match self.format {
            Format::Idx | Format::Folders => data_dir.join(&self.folder),
            Format::Cifar10 | Format::Cifar100 | Format::Digits => data_dir.to_owned(),
        }
    }

    /// The size of every image, or an error where the manifest gives none.
    pub(crate) fn one_size(&self) -> Result<Size> {
        self.size.one().ok_or_else(|| Error::Manifest {
            dataset: self.name.clone(),
            problem: "its format has images of one size".into(),
        })
    }

    /// The split `name`, or an error where the manifest lacks it.
    pub fn split(&self, name: &str) -> Result<&Split> {
        self.splits.get(name).ok_or_else(|| Error::Manifest {
            dataset: self.name.clone(),
            problem: format!("no split `{name}`"),
        })
    }
}

/// How the files of a dataset are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Records of a label byte and a 3x32x32 image.
    Cifar10,
    /// Records of a coarse label byte, a fine one and a 3x32x32 image; the fine one is the class.
    Cifar100,
    /// The files of MNIST: one of images and one of labels a split, plain or gzipped.
    Idx,
    /// A folder of images a class, under `train` and `val`.
    Folders,
    /// The digits that are compiled in.
    Digits,
}

/// A split of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// Its files under the dataset's folder: of equal shares for CIFAR; images, then labels for idx, without `.gz`.
    #[serde(default)]
    pub files: Vec<String>,
    /// How many images it has.
    pub count: usize,
}
