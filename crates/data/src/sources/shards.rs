//! Shards as WebDataset has them: tar archives in which an image, `KEY.jpg`, lies beside its class, `KEY.cls`.
//!
//! A key ends at the first dot of a name (WebDataset's documentation, "The WebDataset Format"). A dot of a file's own name
//! is written as `%2E`.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::{Files, Holds, Opened, Place};
use super::members::{Member, for_each_member};
use super::{MOST_CLASSES, Splits, read_error};
use crate::decode::is_image;
use crate::index::{Entry, Indexing, Stamp};
use crate::{Error, Result, pack};

/// The names of the classes, a line each, in the order of their labels.
pub(crate) const CLASSES: &str = "classes.txt";
/// What shards of a split are called by.
const TRAIN: [&str; 1] = ["train"];
const TEST: [&str; 3] = ["test", "val", "validation"];
/// Bytes of a file with a class; a longer one is something else.
const LONGEST_CLASS: u64 = 32;
const DOT: &str = "%2E";

/// Reads the shards `*train*.tar`, and those with `test`, `val` or `validation` in their names, of `folder`.
pub(crate) fn open(folder: &Path, indexing: &mut Indexing) -> Result<Opened> {
    pack::check_whole(folder)?;
    let names = names(folder, "tar")?;
    let train = places(&names, &TRAIN);
    if train.is_empty() {
        return Err(Error::NoShards {
            folder: folder.to_path_buf(),
        });
    }
    let test = places(&names, &TEST);
    for split in [&train, &test] {
        check_numbers(folder, split)?;
    }
    let places = Splits {
        train,
        test: Some(test).filter(|test| !test.is_empty()),
    };
    let opened = Opened::new(folder, places, Vec::new(), indexing)?;
    let classes = match read_classes(&folder.join(CLASSES))? {
        Some(classes) => {
            check_labels(&opened.splits, classes.len())?;
            classes
        }
        None => {
            let labels = opened.splits.all().flat_map(|files| files.labels());
            let largest = labels.max().unwrap_or(0);
            (0..=largest).map(|class| class.to_string()).collect()
        }
    };
    Ok(Opened { classes, ..opened })
}

/// Refuses a label that is none of so many classes.
fn check_labels(splits: &Splits<Arc<Files>>, classes: usize) -> Result<()> {
    for files in splits.all() {
        if let Some(index) = files.labels().position(|label| label >= classes) {
            return Err(Error::ClassFile {
                path: files.path(index).with_extension("cls"),
                classes,
                found: files.label(index).to_string(),
            });
        }
    }
    Ok(())
}

/// Whether `folder` holds shards to train on.
pub(crate) fn are_in(folder: &Path) -> bool {
    names(folder, "tar").is_ok_and(|names| !places(&names, &TRAIN).is_empty())
}

/// The names of the files in a folder that end so, sorted.
pub(crate) fn names(folder: &Path, ending: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let is_wanted = |name: &String| Path::new(name).extension() == Some(ending.as_ref());
    for entry in fs::read_dir(folder).map_err(read_error(folder))? {
        let name = entry.map_err(read_error(folder))?.file_name();
        names.extend(name.into_string().ok().filter(|name| is_wanted(name)));
    }
    names.sort();
    Ok(names)
}

/// Those archives in whose name one of `words` stands between dashes.
fn places(archives: &[String], words: &[&str]) -> Vec<Place> {
    let is_wanted = |name: &&String| {
        let mut parts = name.trim_end_matches(".tar").split('-');
        parts.any(|part| words.contains(&part))
    };
    (archives.iter().filter(is_wanted))
        .map(|name| Place {
            path: name.into(),
            holds: Holds::Shard,
        })
        .collect()
}

/// Refuses shards of which one is missing: where the name of the first ends in 0, the names count.
fn check_numbers(folder: &Path, shards: &[Place]) -> Result<()> {
    let Some((stem, digits)) = shards
        .first()
        .and_then(|first| stem_and_number(&first.path))
    else {
        return Ok(());
    };
    if digits.bytes().any(|digit| digit != b'0') {
        return Ok(());
    }
    for (number, shard) in shards.iter().enumerate() {
        let expected = format!("{stem}{number:0width$}.tar", width = digits.len());
        if shard.path != Path::new(&expected) {
            return Err(Error::MissingShard {
                path: folder.join(expected),
            });
        }
    }
    Ok(())
}

/// The name of an archive up to the number at its end, and the number.
fn stem_and_number(path: &Path) -> Option<(&str, &str)> {
    let stem = path.file_stem()?.to_str()?;
    let (words, digits) = stem.split_at(stem.trim_end_matches(|c: char| c.is_ascii_digit()).len());
    Some((words, digits)).filter(|(_, digits)| !digits.is_empty())
}

/// None where there is no such file.
fn read_classes(path: &Path) -> Result<Option<Vec<String>>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.lines().map(str::to_owned).collect())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(read_error(path)(error)),
    }
}

/// The images of a shard, each with its class, without their contents.
pub(crate) fn list(shard: &Path) -> Result<Vec<Entry>> {
    let stamp = Stamp::of(&fs::metadata(shard).map_err(read_error(shard))?);
    let mut images = Vec::new();
    let mut classes = HashMap::new();
    for_each_member(shard, |member, bytes| {
        let Some((key, ending)) = split_name(&member.name) else {
            return Ok(());
        };
        if ending == "cls" {
            classes.insert(key, class(&shard.join(&member.name), bytes)?);
        } else if !ending.contains('.') && is_image(&member.name) {
            images.push((key, member));
        }
        Ok(())
    })?;
    let entry = |(key, member): (PathBuf, Member)| {
        let label = classes.get(&key).copied();
        Ok(Entry {
            label: label.ok_or_else(|| Error::Unlabelled {
                path: shard.join(&member.name),
            })?,
            name: without_escapes(&member.name),
            stamp,
            offset: member.offset,
            length: member.length,
            content: None,
        })
    };
    images.into_iter().map(entry).collect()
}

/// The key of the last image in a shard.
pub(crate) fn last_key(shard: &Path) -> Result<Option<String>> {
    let mut last = None;
    for_each_member(shard, |member, _| {
        if is_image(&member.name) {
            last = split_name(&member.name);
        }
        Ok(())
    })?;
    Ok(last.map(|(key, _)| key.display().to_string()))
}

/// A member's key and ending.
fn split_name(member: &Path) -> Option<(PathBuf, String)> {
    let (stem, ending) = member.file_name()?.to_str()?.split_once('.')?;
    Some((member.with_file_name(stem), ending.to_owned()))
}

/// The class in a file of one: a number, and nothing else.
fn class(path: &Path, bytes: &mut dyn Read) -> Result<usize> {
    let mut text = String::new();
    let read = bytes.take(LONGEST_CLASS).read_to_string(&mut text);
    let number = text.trim().parse().ok();
    let class = number.filter(|class| read.is_ok() && *class < MOST_CLASSES);
    class.ok_or_else(|| Error::ClassFile {
        path: path.to_path_buf(),
        classes: MOST_CLASSES,
        found: text.trim().escape_default().to_string(),
    })
}

/// An image's name in a shard: no dot but the one before its ending, so that every reader sees one key.
pub(crate) fn with_escapes(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((stem, ending)) => format!("{}.{ending}", stem.replace('.', DOT)),
        None => name.to_owned(),
    }
}

fn without_escapes(member: &Path) -> PathBuf {
    match member.file_name().and_then(|name| name.to_str()) {
        Some(name) => member.with_file_name(name.replace(DOT, ".")),
        None => member.to_path_buf(),
    }
}
