//! Image files as photographs come: PNG and JPEG, grey, of 16 bits, in print colours, turned in the camera.

mod jpeg;
#[cfg(feature = "turbojpeg")]
mod turbo;

use std::fs;
use std::io::{Cursor, Error as IoError, ErrorKind};
use std::path::{Path, PathBuf};

use fast_image_resize::pixels::{U8, U8x3};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, ImageResult};
use serde::{Deserialize, Serialize};

use crate::augment::resize;
use crate::augment::window::Window;
use crate::sources::read_error;
use crate::{Error, Image, Interpolation, Part, Pixels, Result, Size};

const EXTENSIONS: [&str; 3] = ["png", "jpg", "jpeg"];
/// Bytes that a decoded image may take. A small file can claim to be huge, so this is held against its header.
const MOST_BYTES: u64 = 512 << 20;

/// What decodes JPEG files; the last digits of their pixels depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JpegDecoder {
    /// zune-jpeg, in Rust.
    ZuneJpeg,
    /// libjpeg-turbo, by the feature `turbojpeg`, but for print colours.
    LibjpegTurbo,
}

impl JpegDecoder {
    /// The one that is compiled in.
    pub const fn compiled() -> Self {
        match cfg!(feature = "turbojpeg") {
            true => Self::LibjpegTurbo,
            false => Self::ZuneJpeg,
        }
    }
}

/// Reads a PNG or JPEG file as bytes: of one channel where `channels` is 1, else of three, as [`Encoded`] says.
pub fn read_image(path: &Path, channels: usize) -> Result<Image> {
    Encoded::read(path)?.with_channels(channels).decode()
}

/// A PNG or JPEG file that is not decoded yet, and what its header says.
///
/// The format is what the file holds, whatever its name says. The image is turned as its EXIF orientation asks, 16 bits
/// are rounded to 8, transparency is dropped. CMYK is taken for what Adobe's programs write, inverted, as Pillow does. A
/// JPEG file that was cut off is an error, and so is an image that would take more than 512 MiB.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    path: PathBuf,
    bytes: Vec<u8>,
    size: Size,
    orientation: Orientation,
    jpeg: Option<jpeg::Header>,
}

impl Encoded {
    /// The file at `path`.
    ///
    /// # Errors
    ///
    /// [`Error::MissingFile`] and [`Error::Read`], and as [`Encoded::new`].
    pub fn read(path: &Path) -> Result<Self> {
        Self::new(path, fs::read(path).map_err(read_error(path))?)
    }

    /// The file whose contents are `bytes`, and which errors call `path`.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`] where they do not begin as an image does, or a JPEG file does not end as one; [`Error::TooLarge`]
    /// and [`Error::ZeroSize`].
    pub fn new(path: impl Into<PathBuf>, bytes: Vec<u8>) -> Result<Self> {
        let path = path.into();
        let read = || -> ImageResult<_> {
            if bytes.is_empty() {
                return Err(broken("the file is empty"));
            }
            match jpeg::Header::read(&bytes)? {
                Some(header) => {
                    let bytes = header.size().values() as u64;
                    Ok((header.size(), header.orientation(), bytes, Some(header)))
                }
                None => {
                    let mut decoder = decoder(&bytes)?;
                    let (size, bytes) = (size_of(&decoder), decoder.total_bytes());
                    Ok((size, decoder.orientation()?, bytes, None))
                }
            }
        };
        let (size, orientation, decoded, jpeg) = match read() {
            Ok(found) => found,
            Err(source) => return Err(Error::Decode { path, source }),
        };
        if size.plane() == 0 {
            return Err(Error::ZeroSize { path, size });
        }
        if decoded > MOST_BYTES {
            return Err(Error::TooLarge { path, size });
        }
        Ok(Self {
            path,
            bytes,
            size: match is_turned(orientation) {
                true => Size::new(size.channels, size.width, size.height),
                false => size,
            },
            orientation,
            jpeg,
        })
    }

    /// The same, to be decoded to one channel where `channels` is 1, else to three; as it is, it has those of the file.
    pub fn with_channels(mut self, channels: usize) -> Self {
        self.size.channels = match channels {
            1 => 1,
            _ => 3,
        };
        self
    }

    /// The bytes of the file.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The size that the image will have.
    pub fn size(&self) -> Size {
        self.size
    }

    /// The whole image.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`].
    pub fn decode(&self) -> Result<Image> {
        self.cut(Part::whole(self.size))
    }

    /// A part of the image; what lies outside of it is not decoded where that can be helped.
    pub(crate) fn cut(&self, part: Part) -> Result<Image> {
        let (pixels, part) = self.pixels(part, 1)?;
        Ok(Image {
            size: part.size(self.size),
            pixels: Pixels::U8(match self.size.channels {
                1 => {
                    let grey = pixels.into_luma8();
                    plane(&grey, grey.width() as usize, part)
                }
                _ => {
                    let colours = pixels.into_rgb8();
                    let (pixels, _) = colours.as_chunks::<3>();
                    planes(pixels, |pixel| *pixel, colours.width() as usize, part)
                }
            }),
        })
    }

    /// A window of the image scaled to `to`, in the arithmetic of bytes; it is decoded smaller where it may be.
    pub(crate) fn sampled(
        &self,
        window: Window,
        to: Size,
        interpolation: Interpolation,
    ) -> Result<Image> {
        let shrink = self.shrink(window, to);
        let (pixels, part) = self.pixels(window.pixels(), shrink)?;
        let columns = pixels.width() as usize;
        let window = window.moved(part).shrunk(shrink);
        let bytes = match to.channels {
            1 => {
                let grey = pixels.into_luma8();
                let sampled: Vec<U8> =
                    resize::sample_bytes(&grey, columns, window, to, interpolation);
                sampled.into_iter().map(|pixel| pixel.0).collect()
            }
            _ => {
                let colours = pixels.into_rgb8();
                let sampled: Vec<U8x3> =
                    resize::sample_bytes(&colours, columns, window, to, interpolation);
                planes(&sampled, |pixel| pixel.0, to.width, Part::whole(to))
            }
        };
        Ok(Image {
            size: to,
            pixels: Pixels::U8(bytes),
        })
    }

    /// The most by which the sides of the image can be divided so that the window is still no smaller than `to`.
    fn shrink(&self, window: Window, to: Size) -> usize {
        let is_turned = self.orientation != Orientation::NoTransforms;
        let can_shrink = self.jpeg.as_ref().is_some_and(jpeg::Header::can_shrink);
        if is_turned || !can_shrink {
            return 1;
        }
        let covers = |by: &usize| {
            let [height, width] = window.sides().map(|side| side / *by as f64);
            height >= to.height as f64 && width >= to.width as f64
        };
        [8, 4, 2].into_iter().find(covers).unwrap_or(1)
    }

    /// The image as far as that part of it needs, its sides divided by `shrink`, and where the part lies in that.
    fn pixels(&self, part: Part, shrink: usize) -> Result<(DynamicImage, Part)> {
        let has_part = |image: &DynamicImage, part: Part| {
            let ends = [part.left + part.width, part.top + part.height];
            let [width, height] = ends.map(|end| end.div_ceil(shrink));
            image.width() as usize >= width && image.height() as usize >= height
        };
        let pixels = match self.around(part, shrink) {
            // Of two headers in a file, a decoder may go by the other one.
            Ok((image, part)) if !has_part(&image, part) => {
                Err(broken("the image is smaller than its header says"))
            }
            decoded => decoded,
        };
        pixels.map_err(|source| Error::Decode {
            path: self.path.clone(),
            source,
        })
    }

    /// The image, turned; what is not turned, as far as that part of it needs and of sides divided by `shrink`. And where
    /// the part lies in that.
    fn around(&self, part: Part, shrink: usize) -> ImageResult<(DynamicImage, Part)> {
        let (mut image, _) = match (&self.jpeg, self.orientation) {
            (Some(header), Orientation::NoTransforms) => {
                return header.decode(&self.bytes, part, shrink);
            }
            (Some(header), _) => header.decode(&self.bytes, Part::whole(header.size()), 1)?,
            (None, _) => (DynamicImage::from_decoder(decoder(&self.bytes)?)?, part),
        };
        image.apply_orientation(self.orientation);
        Ok((image, part))
    }
}

/// Whether a file's name says that it is an image.
pub(crate) fn is_image(path: &Path) -> bool {
    path.extension().is_some_and(|extension| {
        EXTENSIONS
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    })
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

/// The decoder of what the bytes are, other than JPEG.
fn decoder(bytes: &[u8]) -> ImageResult<impl ImageDecoder> {
    ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()?
        .into_decoder()
}

fn size_of(decoder: &impl ImageDecoder) -> Size {
    let (width, height) = decoder.dimensions();
    let channels = match decoder.color_type().has_color() {
        true => 3,
        false => 1,
    };
    Size::new(channels, height as usize, width as usize)
}

fn broken(what: &str) -> ImageError {
    ImageError::IoError(IoError::new(ErrorKind::UnexpectedEof, what))
}

fn is_turned(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    )
}

/// A part of a grey image of so many columns.
fn plane(pixels: &[u8], width: usize, part: Part) -> Vec<u8> {
    let mut plane = Vec::with_capacity(part.height * part.width);
    for row in pixels.chunks_exact(width).skip(part.top).take(part.height) {
        plane.extend_from_slice(&row[part.left..part.left + part.width]);
    }
    plane
}

/// Red, green and blue of a part of an image of so many columns, one after the other.
fn planes<P>(pixels: &[P], colours: impl Fn(&P) -> [u8; 3], width: usize, part: Part) -> Vec<u8> {
    let mut planes = vec![0; 3 * part.height * part.width];
    let (red, rest) = planes.split_at_mut(part.height * part.width);
    let (green, blue) = rest.split_at_mut(part.height * part.width);
    for row in 0..part.height {
        let from = (part.top + row) * width + part.left;
        let line = row * part.width..(row + 1) * part.width;
        let places = red[line.clone()]
            .iter_mut()
            .zip(&mut green[line.clone()])
            .zip(&mut blue[line]);
        for (((red, green), blue), pixel) in places.zip(&pixels[from..]) {
            [*red, *green, *blue] = colours(pixel);
        }
    }
    planes
}
