//! The archives of ILSVRC 2012 (Russakovsky et al. 2015, arXiv:1409.0575) as they are downloaded, read in place.
//!
//! The training images are a tar archive of an archive a class, `n01440764.tar`. The validation images are numbered, and the
//! development kit says what they are: in one file the classes' numbers, in another which WordNet numbers these stand for.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::GzDecoder;

use super::files::{Holds, Opened, Place};
use super::members::{for_each_member, for_each_member_within};
use super::{Splits, matlab, read_error};
use crate::decode::is_image;
use crate::index::{Entry, Indexing, Stamp};
use crate::{Error, Result};

const TRAIN: &str = "ILSVRC2012_img_train.tar";
const VALIDATION: &str = "ILSVRC2012_img_val.tar";
const KIT: &str = "ILSVRC2012_devkit_t12";
const TRUTH: &str = "ILSVRC2012_validation_ground_truth.txt";
const META: &str = "meta.mat";
/// Bytes of a file of the development kit; its own have 1.2 million.
const LONGEST: u64 = 64 << 20;

/// Reads the archives in `folder`; the classes are the WordNet numbers of the training archive, sorted.
pub(crate) fn open(folder: &Path, indexing: &mut Indexing) -> Result<Opened> {
    let archive = folder.join(TRAIN);
    let mut classes = Vec::new();
    for_each_member(&archive, |member, _| {
        classes.extend(class_of(&member.name).map(str::to_owned));
        Ok(())
    })?;
    classes.sort();
    if classes.is_empty() {
        return Err(Error::NoImages {
            place: format!("`{}`", archive.display()),
        });
    }
    let train = Place {
        path: TRAIN.into(),
        holds: Holds::Classes(classes.clone().into()),
    };
    let test = match folder.join(VALIDATION).is_file() {
        true => Some(vec![Place {
            path: VALIDATION.into(),
            holds: Holds::Numbered(truth(folder, &classes)?),
        }]),
        false => None,
    };
    let train = vec![train];
    Opened::new(folder, Splits { train, test }, classes, indexing)
}

/// Whether the archive of the training images is in `folder`.
pub(crate) fn is_in(folder: &Path) -> bool {
    folder.join(TRAIN).is_file()
}

/// The class of which an archive in the training archive is.
fn class_of(member: &Path) -> Option<&str> {
    member.file_name()?.to_str()?.strip_suffix(".tar")
}

/// The images in an archive of archives, named by these.
pub(crate) fn list_classes(path: &Path) -> Result<Vec<Entry>> {
    let mut images = Vec::new();
    for_each_member(path, |class, _| {
        let Some(name) = class_of(&class.name) else {
            return Ok(());
        };
        images.extend(list_within(
            path,
            Path::new(name),
            class.offset,
            class.length,
        )?);
        Ok(())
    })?;
    Ok(images)
}

/// The images in an archive.
pub(crate) fn list_numbered(path: &Path) -> Result<Vec<Entry>> {
    let length = fs::metadata(path).map_err(read_error(path))?.len();
    list_within(path, Path::new(""), 0, length)
}

fn list_within(path: &Path, folder: &Path, start: u64, length: u64) -> Result<Vec<Entry>> {
    let stamp = Stamp::of(&fs::metadata(path).map_err(read_error(path))?);
    let mut images = Vec::new();
    for_each_member_within(path, start, length, |member, _| {
        if is_image(&member.name) {
            images.push(Entry {
                name: folder.join(member.name.file_name().unwrap_or_default()),
                label: 0,
                stamp,
                offset: member.offset,
                length: member.length,
                content: None,
            });
        }
        Ok(())
    })?;
    Ok(images)
}

/// The class in whose archive an image was.
pub(crate) fn label_by_class(classes: &[String], name: &Path) -> Option<usize> {
    let class = name.parent()?.to_str()?;
    classes
        .binary_search_by(|known| known.as_str().cmp(class))
        .ok()
}

/// The class of `ILSVRC2012_val_00000001.JPEG`, which is the first.
pub(crate) fn label_by_number(labels: &[usize], name: &Path) -> Option<usize> {
    let (_, number) = name.file_stem()?.to_str()?.rsplit_once('_')?;
    let number: usize = number.parse().ok()?;
    labels.get(number.checked_sub(1)?).copied()
}

/// The labels of the validation images.
fn truth(folder: &Path, classes: &[String]) -> Result<Arc<[usize]>> {
    let kit = Kit::find(folder)?;
    let damaged = |reason: String| Error::Kit {
        path: kit.path.clone(),
        reason,
    };
    let ids: HashMap<u32, String> = matlab::synsets(&kit.meta)
        .ok_or_else(|| {
            damaged(format!(
                "`{META}` has no `synsets` with `ILSVRC2012_ID` and `WNID`"
            ))
        })?
        .into_iter()
        .collect();
    let label = |(line, number): (usize, &str)| {
        let id = number
            .trim()
            .parse()
            .ok()
            .and_then(|number| ids.get(&number));
        let label = id.and_then(|id| classes.binary_search(id).ok());
        label.ok_or_else(|| {
            damaged(format!(
                "line {} of `{TRUTH}` is no class of the training images: `{}`",
                line + 1,
                number.escape_default()
            ))
        })
    };
    kit.truth.lines().enumerate().map(label).collect()
}

/// What is needed of the development kit.
struct Kit {
    path: PathBuf,
    truth: String,
    meta: Vec<u8>,
}

impl Kit {
    /// The two files as they are, in the unpacked kit, or in its archive.
    fn find(folder: &Path) -> Result<Self> {
        let unpacked = folder.join(KIT).join("data");
        for place in [folder, &unpacked] {
            if place.join(META).is_file() {
                let [truth, meta] = [TRUTH, META].map(|name| place.join(name));
                return Ok(Self {
                    path: place.to_path_buf(),
                    truth: fs::read_to_string(&truth).map_err(read_error(&truth))?,
                    meta: fs::read(&meta).map_err(read_error(&meta))?,
                });
            }
        }
        Self::unpack(folder.join(format!("{KIT}.tar.gz")))
    }

    fn unpack(path: PathBuf) -> Result<Self> {
        let unusable = |reason: String| Error::Kit {
            path: path.clone(),
            reason,
        };
        let file = File::open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => unusable("it does not exist".into()),
            _ => read_error(&path)(error),
        })?;
        let mut files = HashMap::new();
        let unpacked = || -> io::Result<()> {
            let mut archive = tar::Archive::new(GzDecoder::new(file));
            for entry in archive.entries()? {
                let mut entry = entry?;
                let name = entry.path()?.file_name().map(|name| name.to_owned());
                for wanted in [TRUTH, META] {
                    if name.as_deref() == Some(wanted.as_ref()) {
                        let mut bytes = Vec::new();
                        entry.by_ref().take(LONGEST).read_to_end(&mut bytes)?;
                        files.insert(wanted, bytes);
                    }
                }
            }
            Ok(())
        }();
        unpacked.map_err(|error| unusable(format!("it is truncated or damaged: {error}")))?;
        let mut file = |name: &str| {
            let file = files.remove(name);
            file.ok_or_else(|| unusable(format!("it does not hold `{name}`")))
        };
        let (truth, meta) = (file(TRUTH)?, file(META)?);
        Ok(Self {
            truth: String::from_utf8_lossy(&truth).into_owned(),
            meta,
            path,
        })
    }
}
