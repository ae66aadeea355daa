//! A folder of images in class folders.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use burn_dataset::Dataset;
use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder, ImageReader, ImageResult};
use sha2::{Digest, Sha256};

use super::{Splits, check_size, read_error};
use crate::fingerprint::Fingerprint;
use crate::{Error, Image, Pixels, Result, Sample, Size};

const EXTENSIONS: [&str; 3] = ["png", "jpg", "jpeg"];
/// Folders of test images; the first one that is there is read.
const TEST_FOLDERS: [&str; 2] = ["test", "val"];

/// Images in class folders, decoded when they are asked for.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    size: Size,
    files: Vec<(PathBuf, usize)>,
    contents: [u8; 32],
}

/// Reads `folder/train`, and `folder/test` or `folder/val`; the classes are those of `train`, sorted by name.
pub(crate) fn open(folder: &Path) -> Result<(Splits<Folder>, Vec<String>)> {
    let train = folder.join("train");
    let classes = class_names(&train)?;
    let train = Scan::read(&train, &classes)?;
    let size = train.size();
    let test = TEST_FOLDERS
        .into_iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_dir())
        .map(|path| {
            check_classes(&path, &classes)?;
            Scan::read(&path, &classes)?.into_folder(size)
        })
        .transpose()?;
    let splits = Splits {
        train: train.into_folder(size)?,
        test,
    };
    Ok((splits, classes))
}

/// The files of a split as they were found.
struct Scan {
    files: Vec<ScannedFile>,
    contents: [u8; 32],
}

struct ScannedFile {
    path: PathBuf,
    label: usize,
    /// The size that the file's header gives.
    size: Size,
}

impl Scan {
    fn read(split: &Path, classes: &[String]) -> Result<Self> {
        let mut files = Vec::new();
        let mut hasher = Sha256::new();
        for (label, class) in classes.iter().enumerate() {
            for path in image_files(&split.join(class))? {
                let bytes = fs::read(&path).map_err(read_error(&path))?;
                hasher.update((label as u64).to_le_bytes());
                hasher.update(Sha256::digest(&bytes));
                let size = header_size(&bytes).map_err(decode_error(&path))?;
                files.push(ScannedFile { path, label, size });
            }
        }
        if files.is_empty() {
            return Err(no_image_files(split));
        }
        Ok(Self {
            files,
            contents: hasher.finalize().into(),
        })
    }

    /// The first image's height and width, with three channels where any image has colour.
    fn size(&self) -> Size {
        let channels = self.files.iter().map(|file| file.size.channels).max();
        Size {
            channels: channels.unwrap_or(1),
            ..self.files[0].size
        }
    }

    /// The images, all of which have the height and width of `size`.
    fn into_folder(self, size: Size) -> Result<Folder> {
        for file in &self.files {
            let found = Size {
                channels: size.channels,
                ..file.size
            };
            check_size(&file.path, size, found)?;
        }
        Ok(Folder {
            size,
            files: self
                .files
                .into_iter()
                .map(|file| (file.path, file.label))
                .collect(),
            contents: self.contents,
        })
    }
}

impl Folder {
    /// The size of every image.
    pub fn size(&self) -> Size {
        self.size
    }
}

impl Dataset<Sample, Error> for Folder {
    fn get(&self, index: usize) -> Result<Sample> {
        let (path, label) = &self.files[index];
        let image = read_image(path, self.size.channels)?;
        check_size(path, self.size, image.size)?;
        Ok(Sample {
            image,
            label: *label,
        })
    }

    fn len(&self) -> usize {
        self.files.len()
    }
}

impl Fingerprint for Folder {
    fn feed(&self, hasher: &mut Sha256) {
        hasher.update(self.contents);
    }
}

/// Reads a PNG or JPEG file as bytes: of one channel where `channels` is 1, else of three.
pub fn read_image(path: &Path, channels: usize) -> Result<Image> {
    let bytes = fs::read(path).map_err(read_error(path))?;
    let decoded = decode(&bytes).map_err(decode_error(path))?;
    Ok(as_bytes(decoded, channels))
}

/// Reads a PNG or JPEG file as an image of `size`: scaled to cover it, and cut to its middle.
pub fn read_image_as(path: &Path, size: Size) -> Result<Image> {
    let bytes = fs::read(path).map_err(read_error(path))?;
    let decoded = decode(&bytes).map_err(decode_error(path))?;
    let (width, height) = (size.width as u32, size.height as u32);
    let fitted = match (decoded.width(), decoded.height()) == (width, height) {
        true => decoded,
        false => decoded.resize_to_fill(width, height, FilterType::Triangle),
    };
    Ok(as_bytes(fitted, size.channels))
}

fn as_bytes(decoded: DynamicImage, channels: usize) -> Image {
    let (width, height) = (decoded.width() as usize, decoded.height() as usize);
    let (channels, pixels) = match channels {
        1 => (1, decoded.into_luma8().into_raw()),
        _ => (3, planes(&decoded.into_rgb8().into_raw())),
    };
    Image {
        size: Size::new(channels, height, width),
        pixels: Pixels::U8(pixels),
    }
}

/// Red, green and blue one after the other, from pixels of three values.
fn planes(pixels: &[u8]) -> Vec<u8> {
    let channel = |c| pixels.iter().skip(c).step_by(3).copied();
    channel(0).chain(channel(1)).chain(channel(2)).collect()
}

fn decode(bytes: &[u8]) -> ImageResult<DynamicImage> {
    ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()?
        .decode()
}

fn header_size(bytes: &[u8]) -> ImageResult<Size> {
    let decoder = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()?
        .into_decoder()?;
    let (width, height) = decoder.dimensions();
    let channels = match decoder.color_type().has_color() {
        true => 3,
        false => 1,
    };
    Ok(Size::new(channels, height as usize, width as usize))
}

fn class_names(split: &Path) -> Result<Vec<String>> {
    if !split.is_dir() {
        return Err(no_image_files(split));
    }
    let mut names: Vec<String> = entries(split)?
        .into_iter()
        .filter(|path| path.is_dir())
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .filter(|name| !name.starts_with('.'))
        .collect();
    if names.is_empty() {
        return Err(no_image_files(split));
    }
    names.sort();
    Ok(names)
}

fn check_classes(split: &Path, classes: &[String]) -> Result<()> {
    match class_names(split)?
        .into_iter()
        .find(|name| !classes.contains(name))
    {
        None => Ok(()),
        Some(class) => Err(Error::UnknownClass {
            path: split.to_path_buf(),
            class,
        }),
    }
}

/// The image files of a class, sorted by name; none where the class has no folder.
fn image_files(class: &Path) -> Result<Vec<PathBuf>> {
    if !class.is_dir() {
        return Ok(Vec::new());
    }
    let mut files: Vec<PathBuf> = entries(class)?
        .into_iter()
        .filter(|path| is_image(path))
        .collect();
    if files.is_empty() {
        return Err(no_image_files(class));
    }
    files.sort();
    Ok(files)
}

fn is_image(path: &Path) -> bool {
    path.extension().is_some_and(|extension| {
        EXTENSIONS
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    })
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(read_error(folder))?;
    entries
        .map(|entry| Ok(entry.map_err(read_error(folder))?.path()))
        .collect()
}

fn no_image_files(folder: &Path) -> Error {
    Error::NoImageFiles {
        folder: folder.to_path_buf(),
    }
}

fn decode_error(path: &Path) -> impl FnOnce(image::ImageError) -> Error {
    let path = path.to_path_buf();
    move |source| Error::Decode { path, source }
}
