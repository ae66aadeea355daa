//! Finding a dataset and making it ready for use.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use burn_dataset::Dataset;

use crate::fingerprint::{self, Fingerprint};
use crate::index::Indexing;
use crate::sources::{Splits, cifar, digits, files, folder, idx, ilsvrc, shards, tensors};
use crate::{
    Error, Files, Format, JpegDecoder, Manifest, Result, Sample, Sizes, Source, Statistics,
};

/// A dataset that is ready for use.
pub struct Opened {
    /// The training images.
    pub train: Source,
    /// The test images, where there are any.
    pub test: Option<Source>,
    /// The names of the classes, in the order of their labels.
    pub classes: Vec<String>,
    /// The size of the images.
    pub sizes: Sizes,
    /// The manifest's statistics of the training images, where there is a manifest that has them.
    pub statistics: Option<Statistics>,
    /// What is wrong with images that are known not to be readable.
    pub bad: Vec<Error>,
    files: Option<Splits<Arc<Files>>>,
    fingerprint: String,
}

impl Opened {
    fn new<D>(splits: Splits<Arc<D>>, classes: Vec<String>, sizes: impl Into<Sizes>) -> Self
    where
        D: Dataset<Sample, Error> + Fingerprint + 'static,
    {
        let contents = splits.all().map(|split| &**split as &dyn Fingerprint);
        let contents: Vec<_> = contents.collect();
        let fingerprint = fingerprint::of(&classes, &contents);
        Self {
            train: splits.train,
            test: splits.test.map(|test| test as Source),
            classes,
            sizes: sizes.into(),
            statistics: None,
            bad: Vec::new(),
            files: None,
            fingerprint,
        }
    }

    fn of_files(found: files::Opened) -> Self {
        Self {
            bad: found.bad,
            files: Some(found.splits.clone()),
            ..Self::new(found.splits, found.classes, found.sizes)
        }
    }

    /// The image files of the splits, where there are files, with the names of the splits.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &Arc<Files>)> {
        let splits = self.files.iter().flat_map(Splits::all);
        ["train", "val"].into_iter().zip(splits)
    }

    /// What decodes the images, where they are files.
    pub fn jpeg_decoder(&self) -> Option<JpegDecoder> {
        self.files.as_ref().map(|_| JpegDecoder::compiled())
    }

    /// SHA-256 in hexadecimal over all images and labels; a dataset has the same one whatever its packing.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("train", &self.train.len())
            .field("test", &self.test.as_ref().map(|test| test.len()))
            .field("classes", &self.classes)
            .field("sizes", &self.sizes)
            .field("statistics", &self.statistics)
            .field("bad", &self.bad)
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

/// Reads the dataset that `manifest` describes from the data folder `data_dir`.
///
/// Lengths, counts and labels are checked; checksums are not, so that a copy in other bytes loads.
pub fn open(manifest: &Manifest, data_dir: &Path, indexing: &mut Indexing) -> Result<Opened> {
    let opened = match manifest.format {
        Format::Cifar10 => in_memory(
            manifest,
            cifar::open(manifest, data_dir, cifar::CIFAR10_LABELS)?,
        ),
        Format::Cifar100 => in_memory(
            manifest,
            cifar::open(manifest, data_dir, cifar::CIFAR100_LABELS)?,
        ),
        Format::Idx => in_memory(manifest, idx::open(manifest, data_dir)?),
        Format::Digits => in_memory(manifest, digits::read()),
        Format::Folders => Opened::of_files(files::open_manifest(manifest, data_dir, indexing)?),
    };
    Ok(Opened {
        statistics: manifest.statistics.clone(),
        ..opened
    })
}

fn in_memory(manifest: &Manifest, splits: Splits) -> Opened {
    let size = splits.train.size();
    Opened::new(splits.shared(), manifest.classes.clone(), size)
}

/// The handwritten digits that are compiled in: 1,198 images to train on and 599 to test, of 1x8x8, without statistics.
pub fn digits() -> Opened {
    let splits = digits::read();
    let size = splits.train.size();
    Opened::new(splits.shared(), numbered(10), size)
}

/// Reads a folder of idx files named as MNIST's, plain or with `.gz`; the test files may be absent.
///
/// The classes are numbered, up to the largest label.
pub fn open_idx(folder: &Path) -> Result<Opened> {
    Ok(numbered_classes(idx::open_folder(folder)?))
}

/// Reads images from `folder/train/CLASS/`, and from `folder/test/CLASS/` or `folder/val/CLASS/` where there is one.
///
/// PNG and JPEG as [`Encoded`](crate::Encoded) has them, of any size. Images are grey where all training images are, else of
/// three channels. The classes are the folders under `train`, sorted by name. Opening reads every file that is not known, for
/// its size and for the fingerprint; an image is read each time it is asked for, and decoded where it is used. Files that
/// cannot be read are listed, and fail when they are asked for.
pub fn open_folder(folder: &Path, indexing: &mut Indexing) -> Result<Opened> {
    folder::open(folder, indexing).map(Opened::of_files)
}

/// Reads the archives of ILSVRC 2012 in `folder` as [`open_folder`] does class folders, without unpacking them:
/// `ILSVRC2012_img_train.tar`, and `ILSVRC2012_img_val.tar` where it is there, with `ILSVRC2012_devkit_t12.tar.gz` (or its
/// files `meta.mat` and `ILSVRC2012_validation_ground_truth.txt`), which says what the validation images are.
pub fn open_ilsvrc(folder: &Path, indexing: &mut Indexing) -> Result<Opened> {
    ilsvrc::open(folder, indexing).map(Opened::of_files)
}

/// Reads WebDataset shards, `*train*.tar` and those with `test`, `val` or `validation` in their names, as [`open_folder`] does
/// class folders: members `KEY.jpg` (or .jpeg, .png) with their classes, `KEY.cls`.
///
/// Images are in the order of their classes and names, wherever they lie, and so have the fingerprint that they have in
/// folders. The names of the classes are the lines of `classes.txt`; without it, classes are numbered.
pub fn open_shards(folder: &Path, indexing: &mut Indexing) -> Result<Opened> {
    shards::open(folder, indexing).map(Opened::of_files)
}

/// Reads images of any size from `folder/CLASS/`, where `classes` are the names of the folders in the order of their labels.
///
/// PNG and JPEG, with `channels` as [`read_image`](crate::read_image) makes them, each decoded where it is used. Folders of
/// classes may be absent; one that is not a class is an error.
pub fn open_photographs(folder: &Path, classes: &[String], channels: usize) -> Result<Source> {
    Ok(Arc::new(folder::open_unread(folder, classes, channels)?))
}

/// Reads safetensors files with `images`, F32 of shape `[N, C, H, W]`, and `labels`, I64 of shape `[N]`.
///
/// The values are fed as they are. The classes are numbered, up to the largest label of both files.
pub fn open_tensors(train: &Path, test: Option<&Path>) -> Result<Opened> {
    Ok(numbered_classes(tensors::open(train, test)?))
}

fn numbered_classes(splits: Splits) -> Opened {
    let labels = splits.all().flat_map(|split| split.labels());
    let classes = labels.max().map_or(0, |largest| largest + 1);
    let size = splits.train.size();
    Opened::new(splits.shared(), numbered(classes), size)
}

fn numbered(classes: usize) -> Vec<String> {
    (0..classes).map(|class| class.to_string()).collect()
}
