//! Writing the image files of a dataset into WebDataset shards, and checking shards.
//!
//! A shard is written beside its place, made durable and renamed, and its checksum is written last: a shard that has one is
//! whole, at whatever instant a process was killed. What is there is gone on with behind its last image; a `.part` that is left
//! of another one is written over.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::augment::resize;
use crate::fetch::{Checksum, Mismatch, State, Verified};
use crate::fingerprint::hexadecimal;
use crate::part::{Lock, Part, Wait};
use crate::sources::read_error;
use crate::sources::shards::{self, CLASSES};
use crate::{
    Dataset, Error, Files, Image, Interpolation, OnBadImage, Opened, Pixels, Progress, Result,
};

/// What says what is in a folder of shards, and whether that is all.
const DESCRIPTION: &str = "pack.json";
const CHECKSUM: &str = "sha256";
/// Images that are prepared at once.
const CHUNK: usize = 64;

/// How images are packed.
#[derive(Debug, Clone, PartialEq)]
pub struct Packing {
    /// What larger images are scaled to, bilinearly, and written as JPEG; without it, files are packed as they are.
    pub shorter_side: Option<usize>,
    /// Of those JPEG files, 1 to 100.
    pub quality: u8,
    /// Bytes of images after which a shard is full.
    pub shard_bytes: u64,
    /// What is done where an image cannot be decoded.
    pub on_bad_image: OnBadImage,
}

/// What was packed.
#[derive(Debug, Default)]
pub struct Packed {
    /// Images that are in the shards that were written.
    pub images: usize,
    /// Those shards.
    pub shards: Vec<PathBuf>,
    /// Why images are in no shard.
    pub skipped: Vec<Error>,
    /// Whether nothing is left to be packed.
    pub is_whole: bool,
}

/// What is packed, and into what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    fingerprint: String,
    shorter_side: Option<usize>,
    quality: Option<u8>,
    shard_bytes: u64,
    is_whole: bool,
}

/// Packs the image files of a dataset into shards in `output`, `train-000000.tar` and so on, and `val-000000.tar`.
///
/// Every image is decoded once, so that what is in a shard is known to be an image. Shards that are there already are not
/// written again. Where `is_stopped`, the shard that is being written is left out, and the next call goes on with it.
///
/// # Errors
///
/// [`Error::NoFiles`] of a dataset that has no image files, [`Error::OtherPack`] where `output` holds other shards,
/// [`Error::TwinFiles`] where two names differ by their endings alone, [`Error::Write`], and those of images that cannot be
/// decoded.
pub fn pack(
    opened: &Opened,
    output: &Path,
    packing: &Packing,
    progress: &mut dyn Progress,
    is_stopped: &(dyn Fn() -> bool + Sync),
) -> Result<Packed> {
    let splits: Vec<_> = opened.files().collect();
    if splits.is_empty() {
        return Err(Error::NoFiles);
    }
    fs::create_dir_all(output).map_err(write_error(output))?;
    let lock = lock(output, progress)?;
    let description = Description {
        fingerprint: opened.fingerprint().to_owned(),
        shorter_side: packing.shorter_side,
        quality: packing.shorter_side.map(|_| packing.quality),
        shard_bytes: packing.shard_bytes,
        is_whole: false,
    };
    description.claim(output)?;
    let names: String = opened
        .classes
        .iter()
        .map(|name| format!("{name}\n"))
        .collect();
    replace(&output.join(CLASSES), names.as_bytes())?;

    let mut packed = Packed {
        is_whole: true,
        ..Packed::default()
    };
    let mut shards: Vec<Shards> = splits
        .into_iter()
        .map(|(name, files)| Shards::find(output, name, files))
        .collect::<Result<_>>()?;
    let [total, already] = [0, 1].map(|at| shards.iter().map(|shards| shards.bytes()[at]).sum());
    progress.start(&output.display().to_string(), total, already);
    let all_packed = (shards.iter_mut())
        .try_for_each(|shards| shards.write(packing, &mut packed, progress, is_stopped));
    progress.finish();
    all_packed?;
    if packed.is_whole {
        let whole = Description {
            is_whole: true,
            ..description
        };
        whole.write(output)?;
    }
    lock.remove();
    Ok(packed)
}

fn lock(folder: &Path, progress: &mut dyn Progress) -> Result<Lock> {
    let shown = folder.display();
    let lock = Lock::take(folder.join(".lock"), |wait| {
        progress.note(&match wait {
            Wait::Busy => format!("another process packs into `{shown}`: waiting for it"),
            Wait::Unsupported(error) => {
                format!("cannot lock `{shown}` ({error}): let no other process pack into it")
            }
        });
    });
    lock.map_err(write_error(folder))
}

impl Description {
    /// That of what is in a folder, if it has one.
    fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(DESCRIPTION);
        match fs::read(&path) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(description) => Ok(Some(description)),
                Err(source) => Err(Error::Description { path, source }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(read_error(&path)(error)),
        }
    }

    fn write(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).expect("it is plain data");
        replace(&folder.join(DESCRIPTION), &text)
    }

    /// Makes the folder that of this pack, unless it is another's.
    fn claim(&self, folder: &Path) -> Result<()> {
        let is_this = |found: &Self| {
            let is_whole = self.is_whole;
            Self {
                is_whole,
                ..found.clone()
            } == *self
        };
        match Self::read(folder)? {
            Some(found) if is_this(&found) => Ok(()),
            None if shards::names(folder, "tar")?.is_empty() => self.write(folder),
            _ => Err(Error::OtherPack {
                folder: folder.to_path_buf(),
            }),
        }
    }
}

/// Refuses a folder whose packing is not at its end.
pub(crate) fn check_whole(folder: &Path) -> Result<()> {
    match Description::read(folder)? {
        Some(found) if !found.is_whole => Err(Error::Unfinished {
            folder: folder.to_path_buf(),
        }),
        _ => Ok(()),
    }
}

/// The shards of a split.
struct Shards<'a> {
    folder: &'a Path,
    split: &'static str,
    files: &'a Files,
    /// The first image that is in none.
    next: usize,
    /// The first shard that is not there.
    number: usize,
}

impl<'a> Shards<'a> {
    /// Those of a split that are there.
    fn find(folder: &'a Path, split: &'static str, files: &'a Files) -> Result<Self> {
        let mut shards = Self {
            folder,
            split,
            files,
            next: 0,
            number: 0,
        };
        let keys: Vec<String> = (0..files.len()).map(|index| shards.key(index)).collect();
        let mut seen = HashSet::new();
        if let Some(second) = keys.iter().position(|key| !seen.insert(key)) {
            let first = keys.iter().position(|key| *key == keys[second]);
            return Err(Error::TwinFiles {
                paths: [first.unwrap_or(second), second].map(|index| files.path(index)),
            });
        }
        while shards.path().is_file() && checksum_of(&shards.path()).is_file() {
            shards.number += 1;
        }
        if let Some(last) = shards.number.checked_sub(1) {
            let path = shards.path_of(last);
            let packed = shards::last_key(&path)?;
            let found = keys.iter().position(|key| Some(key) == packed.as_ref());
            shards.next = 1 + found.ok_or_else(|| Error::OtherPack {
                folder: folder.to_path_buf(),
            })?;
        }
        Ok(shards)
    }

    fn path(&self) -> PathBuf {
        self.path_of(self.number)
    }

    fn path_of(&self, number: usize) -> PathBuf {
        self.folder.join(format!("{}-{number:06}.tar", self.split))
    }

    /// What an image is called, without its ending: its class, and its name in it.
    fn key(&self, index: usize) -> String {
        let name = self.files.file_name(index).to_string_lossy();
        let name = shards::with_escapes(&name);
        let key = name.rsplit_once('.').map_or(&*name, |(key, _)| key);
        format!("{:05}/{key}", self.files.label(index))
    }

    /// Bytes of all images, and of those that are packed already.
    fn bytes(&self) -> [u64; 2] {
        [self.files.len(), self.next]
            .map(|end| (0..end).map(|index| self.files.length(index)).sum())
    }

    /// Writes those that are not there.
    fn write(
        &mut self,
        packing: &Packing,
        packed: &mut Packed,
        progress: &mut dyn Progress,
        is_stopped: &(dyn Fn() -> bool + Sync),
    ) -> Result<()> {
        let mut shard: Option<Shard> = None;
        for start in (self.next..self.files.len()).step_by(CHUNK) {
            if is_stopped() {
                packed.is_whole = false;
                return Ok(());
            }
            let chunk = start..(start + CHUNK).min(self.files.len());
            let prepared: Vec<Result<Prepared>> = (chunk.clone().into_par_iter())
                .map(|index| Prepared::of(self.files, index, packing))
                .collect();
            for (index, image) in chunk.zip(prepared) {
                progress.advance(self.files.length(index));
                let image = match image {
                    Ok(image) => image,
                    Err(error) if packing.on_bad_image.skips(&error) => {
                        progress.note(&format!("skipped: {error}"));
                        packed.skipped.push(error);
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                if let Some(full) = shard.take_if(|shard| shard.is_full(&image, packing)) {
                    self.close(full, packed)?;
                }
                let shard = match &mut shard {
                    Some(shard) => shard,
                    none => none.insert(Shard::begin(self.path())?),
                };
                shard.add(&self.key(index), self.files.label(index), &image)?;
            }
        }
        match shard {
            Some(last) => self.close(last, packed),
            None => Ok(()),
        }
    }

    fn close(&mut self, shard: Shard, packed: &mut Packed) -> Result<()> {
        packed.images += shard.images;
        packed.shards.push(self.path());
        shard.finish()?;
        self.number += 1;
        Ok(())
    }
}

/// An image that can be decoded, as it is packed.
struct Prepared {
    bytes: Vec<u8>,
    ending: String,
}

impl Prepared {
    fn of(files: &Files, index: usize, packing: &Packing) -> Result<Self> {
        let file = files.stored(index)?;
        let image = file.decode()?;
        let shorter = image.size.height.min(image.size.width);
        match packing.shorter_side {
            Some(side) if shorter > side => {
                let to =
                    resize::output_size(side, side, image.size).map_err(|error| Error::Scale {
                        path: files.path(index),
                        source: Box::new(error),
                    })?;
                let scaled = resize::apply(&image, to, Interpolation::Bilinear);
                Ok(Self {
                    bytes: jpeg(&scaled, packing.quality),
                    ending: "jpg".into(),
                })
            }
            _ => Ok(Self {
                bytes: file.into_bytes(),
                ending: Path::new(files.file_name(index))
                    .extension()
                    .map_or_else(String::new, |ending| ending.to_string_lossy().into_owned()),
            }),
        }
    }
}

fn jpeg(image: &Image, quality: u8) -> Vec<u8> {
    let Pixels::U8(planes) = &image.pixels else {
        unreachable!("a decoded file is of bytes");
    };
    let plane = image.size.plane();
    let pixels: Vec<u8> = (0..plane)
        .flat_map(|at| planes[at..].iter().step_by(plane))
        .copied()
        .collect();
    let color = match image.size.channels {
        1 => ExtendedColorType::L8,
        _ => ExtendedColorType::Rgb8,
    };
    let mut bytes = Vec::new();
    let [width, height] = [image.size.width, image.size.height].map(|side| side as u32);
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .encode(&pixels, width, height, color)
        .expect("no side is longer than a JPEG file may have");
    bytes
}

/// A shard that is being written.
struct Shard {
    path: PathBuf,
    tar: tar::Builder<Hashed>,
    images: usize,
    bytes: u64,
}

impl Shard {
    fn begin(path: PathBuf) -> Result<Self> {
        let mut part = Part::open(beside(&path)).map_err(write_error(&path))?;
        part.restart().map_err(write_error(&path))?;
        let hashed = Hashed {
            part,
            hasher: Sha256::new(),
        };
        Ok(Self {
            path,
            tar: tar::Builder::new(hashed),
            images: 0,
            bytes: 0,
        })
    }

    fn is_full(&self, next: &Prepared, packing: &Packing) -> bool {
        self.bytes + next.bytes.len() as u64 > packing.shard_bytes
    }

    fn add(&mut self, key: &str, label: usize, image: &Prepared) -> Result<()> {
        self.images += 1;
        self.bytes += image.bytes.len() as u64;
        self.append(&format!("{key}.cls"), label.to_string().as_bytes())?;
        self.append(&format!("{key}.{}", image.ending), &image.bytes)
    }

    /// The same bytes whenever and by whomever they are written.
    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        let appended = self.tar.append_data(&mut header, name, bytes);
        appended.map_err(write_error(&self.path))
    }

    fn finish(self) -> Result<()> {
        let failed = write_error(&self.path);
        let written = self.tar.into_inner().and_then(|hashed| {
            hashed.part.publish(&self.path)?;
            Ok(hashed.hasher.finalize())
        });
        let digest = hexadecimal(&written.map_err(failed)?);
        let name = self.path.file_name().unwrap_or_default().display();
        replace(
            &checksum_of(&self.path),
            format!("{digest}  {name}\n").as_bytes(),
        )
    }
}

/// A file that is hashed as it is written.
struct Hashed {
    part: Part,
    hasher: Sha256,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.part.append(bytes)?;
        self.hasher.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Compares those shards in a folder that have a checksum beside them with it.
///
/// # Errors
///
/// [`Error::Read`].
pub fn verify_shards(folder: &Path) -> Result<Vec<Verified>> {
    let checksums = shards::names(folder, CHECKSUM)?;
    let shards = checksums
        .iter()
        .map(|name| folder.join(name).with_extension(""));
    shards
        .map(|path| match state(&path) {
            Ok(state) => Ok(Verified { path, state }),
            Err(error) => Err(read_error(&path)(error)),
        })
        .collect()
}

fn state(shard: &Path) -> io::Result<State> {
    let text = fs::read_to_string(checksum_of(shard))?;
    let digest = text.split_whitespace().next().unwrap_or_default();
    let expected = Checksum::Sha256(digest.to_owned());
    let found = match File::open(shard) {
        Ok(mut file) => expected.of(&mut file)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::Missing),
        Err(error) => return Err(error),
    };
    Ok(match found == expected {
        true => State::Ok,
        false => State::Mismatch(Mismatch::Checksum { expected, found }),
    })
}

/// Why images of a dataset of files cannot be decoded: of every one, whatever its index says.
pub fn verify_images(files: &Files, what: &str, progress: &mut dyn Progress) -> Vec<Error> {
    let mut bad = Vec::new();
    let lengths = (0..files.len()).map(|index| files.length(index));
    progress.start(what, lengths.sum(), 0);
    for start in (0..files.len()).step_by(CHUNK) {
        let chunk = start..(start + CHUNK).min(files.len());
        let decoded: Vec<Result<Image>> = (chunk.clone().into_par_iter())
            .map(|index| files.stored(index)?.decode())
            .collect();
        bad.extend(decoded.into_iter().filter_map(Result::err));
        progress.advance(chunk.map(|index| files.length(index)).sum());
    }
    progress.finish();
    bad
}

/// Where a shard's checksum is, as `sha256sum -c` reads it.
fn checksum_of(shard: &Path) -> PathBuf {
    shard.with_added_extension(CHECKSUM)
}

fn beside(path: &Path) -> PathBuf {
    path.with_added_extension("part")
}

/// Replaces a file as a whole.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    Part::open(beside(path))
        .and_then(|mut part| {
            part.restart()?;
            part.append(bytes)?;
            part.publish(path)
        })
        .map_err(write_error(path))
}

fn write_error(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_path_buf();
    move |source| Error::Write { path, source }
}
