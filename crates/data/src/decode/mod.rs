//! Image files as photographs come: PNG and JPEG, grey, of 16 bits, in print colours, turned in the camera.

mod jpeg;

use std::fs;
use std::io::{Cursor, Error as IoError, ErrorKind};
use std::path::{Path, PathBuf};

use fast_image_resize::pixels::{U8, U8x3};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, ImageResult};

use crate::augment::resize;
use crate::sources::read_error;
use crate::{Error, Image, Interpolation, Part, Pixels, Result, Size};

const EXTENSIONS: [&str; 3] = ["png", "jpg", "jpeg"];
/// Bytes that a decoded image may take. A small file can claim to be huge, so this is held against its header.
const MOST_BYTES: u64 = 512 << 20;

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

    /// A part of the image; what lies below it is not decoded where that can be helped.
    pub(crate) fn cut(&self, part: Part) -> Result<Image> {
        let pixels = self.pixels(part)?;
        Ok(Image {
            size: part.size(self.size),
            pixels: Pixels::U8(match self.size.channels {
                1 => {
                    let grey = pixels.into_luma8();
                    plane(&grey, grey.width() as usize, part)
                }
                _ => {
                    let colours = pixels.into_rgb8();
                    planes(&colours, colours.width() as usize, part)
                }
            }),
        })
    }

    /// A part of the image scaled to `to`, in the arithmetic of bytes.
    pub(crate) fn sampled(
        &self,
        part: Part,
        to: Size,
        interpolation: Interpolation,
    ) -> Result<Image> {
        let pixels = self.pixels(part)?;
        let columns = pixels.width() as usize;
        let bytes = match to.channels {
            1 => resize::sample_bytes::<U8>(&pixels.into_luma8(), columns, part, to, interpolation)
                .into_iter()
                .map(|pixel| pixel.0)
                .collect(),
            _ => {
                let colours = pixels.into_rgb8();
                let sampled =
                    resize::sample_bytes::<U8x3>(&colours, columns, part, to, interpolation);
                let channel = |channel| sampled.iter().map(move |pixel: &U8x3| pixel.0[channel]);
                channel(0).chain(channel(1)).chain(channel(2)).collect()
            }
        };
        Ok(Image {
            size: to,
            pixels: Pixels::U8(bytes),
        })
    }

    /// The image as far as that part of it needs.
    fn pixels(&self, part: Part) -> Result<DynamicImage> {
        let [width, height] = [part.left + part.width, part.top + part.height];
        let has_part = |image: &DynamicImage| {
            image.width() as usize >= width && image.height() as usize >= height
        };
        let pixels = match self.rows(height) {
            // Of two headers in a file, a decoder may go by the other one.
            Ok(image) if !has_part(&image) => {
                Err(broken("the image is smaller than its header says"))
            }
            decoded => decoded,
        };
        pixels.map_err(|source| Error::Decode {
            path: self.path.clone(),
            source,
        })
    }

    /// The image, turned, as far as its first `rows`.
    fn rows(&self, rows: usize) -> ImageResult<DynamicImage> {
        let mut image = match (&self.jpeg, self.orientation) {
            (Some(header), Orientation::NoTransforms) => {
                return header.decode(&self.bytes, rows);
            }
            (Some(header), _) => header.decode(&self.bytes, header.size().height)?,
            (None, _) => DynamicImage::from_decoder(decoder(&self.bytes)?)?,
        };
        image.apply_orientation(self.orientation);
        Ok(image)
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
fn planes(pixels: &[u8], width: usize, part: Part) -> Vec<u8> {
    let (pixels, _) = pixels.as_chunks::<3>();
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
            [*red, *green, *blue] = *pixel;
        }
    }
    planes
}
