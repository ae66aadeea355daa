//! The idx files of MNIST (LeCun, Cortes, Burges 1998), plain or gzipped.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use super::{Splits, check_labels, check_length, check_size, incomplete, missing, read_error};
use crate::{Error, InMemory, Manifest, Pixels, Result, Size};

/// Unsigned bytes in three dimensions.
const IMAGES_MAGIC: u32 = 0x0000_0803;
/// Unsigned bytes in one dimension.
const LABELS_MAGIC: u32 = 0x0000_0801;

/// The files of MNIST's training split: images, labels.
const TRAIN_FILES: [&str; 2] = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"];
/// The files of MNIST's test split: images, labels.
const TEST_FILES: [&str; 2] = ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

/// Reads all splits from the manifest's folder under `data_dir`; sizes, counts and labels are those of the manifest.
pub(crate) fn open(manifest: &Manifest, data_dir: &Path) -> Result<Splits> {
    let folder = data_dir.join(&manifest.folder);
    let mut files = manifest.splits.values().flat_map(|split| &split.files);
    if files.all(|file| find(&folder, file).is_none()) {
        let images = manifest.split("train")?.files.first();
        let looked_for = images
            .into_iter()
            .flat_map(|name| names(name).map(|name| format!("{}/{name}", manifest.folder)));
        return Err(missing(manifest, data_dir, looked_for.collect()));
    }
    let test = manifest.splits.contains_key("test");
    Ok(Splits {
        train: open_split(manifest, &folder, "train")?,
        test: test
            .then(|| open_split(manifest, &folder, "test"))
            .transpose()?,
    })
}

fn open_split(manifest: &Manifest, folder: &Path, name: &str) -> Result<InMemory> {
    let split = manifest.split(name)?;
    let [images, labels] = split.files.as_slice() else {
        return Err(Error::Manifest {
            dataset: manifest.name.clone(),
            problem: format!("split `{name}` needs a file of images and one of labels"),
        });
    };
    let split_read = read_split(folder, images, labels).map_err(incomplete(manifest))?;
    split_read.check(manifest, split.count)?;
    Ok(split_read.images)
}

/// Reads a folder of files named as MNIST's; the test files may be absent.
pub(crate) fn open_folder(folder: &Path) -> Result<Splits> {
    let read = |[images, labels]: [&str; 2]| read_split(folder, images, labels);
    let has_test = TEST_FILES.iter().any(|file| find(folder, file).is_some());
    let train = read(TRAIN_FILES)?.images;
    let test = has_test.then(|| read(TEST_FILES)).transpose()?;
    if let Some(test) = &test {
        test.check_size(train.size())?;
    }
    Ok(Splits {
        train,
        test: test.map(|test| test.images),
    })
}

/// A split, and where it was found.
struct ReadSplit {
    images: InMemory,
    images_path: PathBuf,
    labels_path: PathBuf,
}

impl ReadSplit {
    fn check(&self, manifest: &Manifest, count: usize) -> Result<()> {
        self.check_size(manifest.one_size()?)?;
        let found = self.images.labels().len();
        if found != count {
            return Err(Error::ImageCount {
                path: self.images_path.clone(),
                expected: count,
                found,
            });
        }
        check_labels(
            &self.labels_path,
            self.images.labels(),
            manifest.classes.len(),
        )
    }

    fn check_size(&self, expected: Size) -> Result<()> {
        check_size(&self.images_path, expected, self.images.size())
    }
}

fn read_split(folder: &Path, images: &str, labels: &str) -> Result<ReadSplit> {
    let existing = |name: &str| {
        find(folder, name).ok_or_else(|| Error::MissingFile {
            path: folder.join(name),
        })
    };
    let (images_path, labels_path) = (existing(images)?, existing(labels)?);
    let (size, pixels) = IdxReader::open(&images_path)?.images()?;
    let labels = IdxReader::open(&labels_path)?.labels()?;
    let count = pixels.len() / size.values();
    if count != labels.len() {
        return Err(Error::ImagesAndLabels {
            images_path,
            images: count,
            labels_path,
            labels: labels.len(),
        });
    }
    Ok(ReadSplit {
        images: InMemory::new(size, Pixels::U8(pixels), labels),
        images_path,
        labels_path,
    })
}

/// The file `name`, or else `name.gz`.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    names(name)
        .map(|name| folder.join(name))
        .into_iter()
        .find(|path| path.is_file())
}

/// What a file may be called.
fn names(name: &str) -> [String; 2] {
    [name.to_string(), format!("{name}.gz")]
}

/// An idx file: a magic number, the dimensions, and as many bytes as these say.
struct IdxReader {
    path: PathBuf,
    gzipped: bool,
    bytes: Box<dyn Read>,
}

impl IdxReader {
    fn open(path: &Path) -> Result<Self> {
        let file = BufReader::new(File::open(path).map_err(read_error(path))?);
        let gzipped = path.extension().is_some_and(|extension| extension == "gz");
        Ok(Self {
            path: path.to_path_buf(),
            gzipped,
            bytes: match gzipped {
                true => Box::new(GzDecoder::new(file)),
                false => Box::new(file),
            },
        })
    }

    /// The size of an image, and the pixels of all, shape `[n, 1, height, width]`.
    fn images(mut self) -> Result<(Size, Vec<u8>)> {
        let [count, height, width] = self.header("images", IMAGES_MAGIC)?;
        let size = Size::new(1, height as usize, width as usize);
        if height == 0 || width == 0 {
            return Err(Error::ZeroSize {
                path: self.path,
                size,
            });
        }
        Ok((size, self.body(&[count, height, width])?))
    }

    fn labels(mut self) -> Result<Vec<usize>> {
        let [count] = self.header("labels", LABELS_MAGIC)?;
        let labels = self.body(&[count])?;
        Ok(labels.into_iter().map(usize::from).collect())
    }

    /// The dimensions of a file that starts with `magic`; the first one counts images, and is not 0.
    fn header<const N: usize>(&mut self, what: &'static str, magic: u32) -> Result<[u32; N]> {
        let length = header_length(N);
        let header = self.read(length)?;
        check_length(&self.path, length, header.len() as u64)?;
        let word = |i: usize| {
            header[4 * i..][..4]
                .iter()
                .fold(0, |word, &byte| word << 8 | u32::from(byte))
        };
        if word(0) != magic {
            return Err(Error::IdxMagic {
                path: self.path.clone(),
                what,
                expected: magic,
                found: word(0),
            });
        }
        if word(1) == 0 {
            return Err(Error::NoImages {
                place: format!("`{}`", self.path.display()),
            });
        }
        Ok(std::array::from_fn(|i| word(1 + i)))
    }

    /// As many bytes as the product of `dimensions`, after which the file ends.
    fn body(&mut self, dimensions: &[u32]) -> Result<Vec<u8>> {
        let header = header_length(dimensions.len());
        let expected = dimensions
            .iter()
            .fold(1_u64, |product, &n| product.saturating_mul(n.into()));
        let body = self.read(expected)?;
        let rest =
            io::copy(&mut self.bytes, &mut io::sink()).map_err(|error| self.damaged(error))?;
        let found = header + body.len() as u64 + rest;
        check_length(&self.path, header.saturating_add(expected), found)?;
        Ok(body)
    }

    /// At most `length` bytes, fewer only at the end; takes no more memory than the file has bytes.
    fn read(&mut self, length: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let result = self.bytes.by_ref().take(length).read_to_end(&mut bytes);
        result.map_err(|error| self.damaged(error))?;
        Ok(bytes)
    }

    fn damaged(&self, source: io::Error) -> Error {
        let path = self.path.clone();
        match self.gzipped {
            true => Error::Compressed { path, source },
            false => Error::Read { path, source },
        }
    }
}

/// Bytes of the magic number and of `dimensions` dimensions.
fn header_length(dimensions: usize) -> u64 {
    4 * (1 + dimensions as u64)
}
