//! CIFAR-10 and CIFAR-100 in their binary layout (Krizhevsky 2009), unpacked or as the archive that is downloaded.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::read::GzDecoder;

use super::{Splits, archive_names, check_length, find_archive, incomplete, missing, read_error};
use crate::{Error, InMemory, Manifest, Pixels, Result, Size, Split};

/// Bytes of labels in a record of CIFAR-10: its class.
pub(crate) const CIFAR10_LABELS: usize = 1;
/// Bytes of labels in a record of CIFAR-100: its coarse class, then its class.
pub(crate) const CIFAR100_LABELS: usize = 2;

const BUFFER: usize = 1 << 20;

/// Reads all splits from the manifest's folder, or else from its archive, under `data_dir`.
///
/// A record is `label_bytes` labels, the last of which is the class, and the pixels.
pub(crate) fn open(manifest: &Manifest, data_dir: &Path, label_bytes: usize) -> Result<Splits> {
    let size = manifest.one_size()?;
    let format = Format {
        label_bytes,
        values: size.values(),
        classes: manifest.classes.len(),
    };
    let folder = data_dir.join(&manifest.folder);
    let archive = find_archive(manifest, data_dir);
    if !folder.is_dir() && archive.is_none() {
        let mut looked_for = archive_names(manifest);
        looked_for.insert(0, manifest.folder.clone());
        return Err(missing(manifest, data_dir, looked_for));
    }

    let train_split = manifest.split("train")?;
    let test_split = manifest.splits.get("test");
    let mut train = Images::unread(manifest, train_split, format.values)?;
    let mut test = test_split
        .map(|split| Images::unread(manifest, split, format.values))
        .transpose()?;

    let mut parts = train.parts(train_split, format.values);
    if let (Some(images), Some(split)) = (&mut test, test_split) {
        parts.extend(images.parts(split, format.values));
    }
    match archive {
        Some(archive) if !folder.is_dir() => {
            format.read_archive(&archive, &manifest.folder, parts)?;
        }
        _ => format
            .read_folder(&folder, parts)
            .map_err(incomplete(manifest))?,
    }
    Ok(Splits {
        train: train.into_dataset(size),
        test: test.map(|test| test.into_dataset(size)),
    })
}

/// The images of a split, allocated before they are read.
struct Images {
    pixels: Vec<u8>,
    labels: Vec<usize>,
}

impl Images {
    fn unread(manifest: &Manifest, split: &Split, values: usize) -> Result<Self> {
        if split.count == 0
            || split.files.is_empty()
            || !split.count.is_multiple_of(split.files.len())
        {
            return Err(Error::Manifest {
                dataset: manifest.name.clone(),
                problem: format!(
                    "{} images cannot be shared equally by {} files",
                    split.count,
                    split.files.len()
                ),
            });
        }
        Ok(Self {
            pixels: vec![0; split.count * values],
            labels: vec![0; split.count],
        })
    }

    /// The share of each file.
    fn parts<'a>(&'a mut self, split: &'a Split, values: usize) -> Vec<Part<'a>> {
        let records = split.count / split.files.len();
        split
            .files
            .iter()
            .zip(self.pixels.chunks_exact_mut(records * values))
            .zip(self.labels.chunks_exact_mut(records))
            .map(|((file, pixels), labels)| Part {
                file,
                pixels,
                labels,
            })
            .collect()
    }

    fn into_dataset(self, size: Size) -> InMemory {
        InMemory::new(size, Pixels::U8(self.pixels), self.labels)
    }
}

/// What one file fills.
struct Part<'a> {
    file: &'a str,
    pixels: &'a mut [u8],
    labels: &'a mut [usize],
}

/// What a record is.
struct Format {
    label_bytes: usize,
    values: usize,
    classes: usize,
}

impl Format {
    fn read_folder(&self, folder: &Path, parts: Vec<Part>) -> Result<()> {
        for mut part in parts {
            let path = folder.join(part.file);
            let file = File::open(&path).map_err(read_error(&path))?;
            let length = file.metadata().map_err(read_error(&path))?.len();
            check_length(&path, self.length(&part), length)?;
            self.read(file, &mut part).map_err(read_error(&path))?;
            self.check_labels(&path, &part)?;
        }
        Ok(())
    }

    /// Reads the files `folder/..` of a gzipped tar archive as they come by, without unpacking it.
    fn read_archive(&self, archive: &Path, folder: &str, parts: Vec<Part>) -> Result<()> {
        let damaged = |source| Error::Compressed {
            path: archive.to_path_buf(),
            source,
        };
        let file = File::open(archive).map_err(read_error(archive))?;
        let gzip = GzDecoder::new(BufReader::with_capacity(BUFFER, file));
        let mut tar = tar::Archive::new(gzip);
        let mut wanted: HashMap<String, Part> = parts
            .into_iter()
            .map(|part| (format!("{folder}/{}", part.file), part))
            .collect();

        for entry in tar.entries().map_err(damaged)? {
            let entry = entry.map_err(damaged)?;
            let name = entry.path().map_err(damaged)?.display().to_string();
            let Some(mut part) = wanted.remove(name.trim_start_matches("./")) else {
                continue;
            };
            let path = archive.join(&name);
            check_length(&path, self.length(&part), entry.size())?;
            self.read(entry, &mut part).map_err(damaged)?;
            self.check_labels(&path, &part)?;
        }
        if let Some(entry) = wanted.into_keys().min() {
            return Err(Error::MissingEntry {
                archive: archive.to_path_buf(),
                entry,
            });
        }
        // Gzip's checksum stands at the end.
        io::copy(&mut tar.into_inner(), &mut io::sink()).map_err(damaged)?;
        Ok(())
    }

    /// Bytes of the file.
    fn length(&self, part: &Part) -> u64 {
        (part.labels.len() * (self.label_bytes + self.values)) as u64
    }

    fn read(&self, reader: impl Read, part: &mut Part) -> io::Result<()> {
        let mut reader = BufReader::with_capacity(BUFFER, reader);
        let mut labels = vec![0; self.label_bytes];
        let images = part.pixels.chunks_exact_mut(self.values);
        for (pixels, class) in images.zip(part.labels.iter_mut()) {
            reader.read_exact(&mut labels)?;
            reader.read_exact(pixels)?;
            *class = usize::from(labels[self.label_bytes - 1]);
        }
        Ok(())
    }

    fn check_labels(&self, path: &Path, part: &Part) -> Result<()> {
        super::check_labels(path, part.labels, self.classes)
    }
}
