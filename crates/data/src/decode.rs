//! Image files as photographs come: PNG and JPEG, grey, of 16 bits, in print colours, turned in the camera.

use std::fs;
use std::io::{Cursor, Error as IoError, ErrorKind};
use std::path::{Path, PathBuf};

use image::metadata::Orientation;
use image::{
    DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, ImageResult, Limits,
};

use crate::sources::read_error;
use crate::{Error, Image, Pixels, Result, Size};

const EXTENSIONS: [&str; 3] = ["png", "jpg", "jpeg"];

/// Reads a PNG or JPEG file as bytes: of one channel where `channels` is 1, else of three.
///
/// The format is what the file holds, whatever its name says. The image is turned as its EXIF orientation asks, 16 bits
/// are rounded to 8, transparency is dropped. CMYK is taken for what Adobe's programs write, inverted, as Pillow does. A
/// JPEG file that was cut off is an error.
pub fn read_image(path: &Path, channels: usize) -> Result<Image> {
    let bytes = fs::read(path).map_err(read_error(path))?;
    let decoded = decode(&bytes).map_err(decode_error(path))?;
    Ok(as_bytes(decoded, channels))
}

/// Whether a file's name says that it is an image.
pub(crate) fn is_image(path: &Path) -> bool {
    path.extension().is_some_and(|extension| {
        EXTENSIONS
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    })
}

/// The size that a file's header gives, as [`read_image`] would turn it.
pub(crate) fn header_size(bytes: &[u8]) -> ImageResult<Size> {
    let mut decoder = decoder(bytes)?;
    let (width, height) = decoder.dimensions();
    let channels = match decoder.color_type().has_color() {
        true => 3,
        false => 1,
    };
    let (height, width) = match is_turned(decoder.orientation()?) {
        true => (width, height),
        false => (height, width),
    };
    Ok(Size::new(channels, height as usize, width as usize))
}

pub(crate) fn decode_error(path: &Path) -> impl FnOnce(ImageError) -> Error {
    let path = path.to_path_buf();
    move |source| Error::Decode { path, source }
}

/// The image files in `folder` and the folders in it, sorted by path; links to folders are not followed.
pub fn image_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    files.sort();
    Ok(files)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(read_error(folder))? {
        let entry = entry.map_err(read_error(folder))?;
        let path = entry.path();
        match entry.file_type().map_err(read_error(&path))? {
            kind if kind.is_dir() => collect(&path, files)?,
            _ if is_image(&path) => files.push(path),
            _ => {}
        }
    }
    Ok(())
}

fn decode(bytes: &[u8]) -> ImageResult<DynamicImage> {
    let mut decoder = decoder(bytes)?;
    let orientation = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// The decoder of what the bytes are, within `image`'s limits of memory.
fn decoder(bytes: &[u8]) -> ImageResult<impl ImageDecoder> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    if reader.format() == Some(ImageFormat::Jpeg) {
        check_end(bytes)?;
    }
    let decoder = reader.into_decoder()?;
    Limits::default().reserve(decoder.total_bytes())?;
    Ok(decoder)
}

/// Refuses a JPEG file without an end after its last scan, whose missing rows the decoder would make up.
fn check_end(bytes: &[u8]) -> ImageResult<()> {
    let last = |marker: [u8; 2]| bytes.windows(2).rposition(|pair| pair == marker);
    if last(END_OF_IMAGE) > last(START_OF_SCAN) {
        return Ok(());
    }
    let cut = IoError::new(ErrorKind::UnexpectedEof, "the file ends before its image");
    Err(ImageError::IoError(cut))
}

const START_OF_SCAN: [u8; 2] = [0xff, 0xda];
const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];

fn is_turned(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    )
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
