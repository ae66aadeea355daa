//! JPEG files: what their headers say, and as many of their rows as are wanted.

use std::error::Error;

use image::error::DecodingError;
use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, ImageError, ImageFormat, ImageResult, RgbImage};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;

#[cfg(feature = "turbojpeg")]
use super::turbo;
use super::{JpegDecoder, broken};
use crate::{Part, Size};

const START_OF_IMAGE: [u8; 2] = [0xff, 0xd8];
const START_OF_SCAN: [u8; 2] = [0xff, 0xda];
const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];
const EXIF: &[u8] = b"Exif\0\0";

/// What a JPEG file says of itself before its first scan.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Header {
    size: Size,
    orientation: Orientation,
    frame: Frame,
    /// Where in the file its first scan begins.
    scan_at: usize,
    /// Whether there is no other scan.
    has_one_scan: bool,
}

/// A frame header (ITU-T T.81, B.2.2).
#[derive(Debug, Clone, PartialEq)]
struct Frame {
    /// Where in the file its height is, two bytes.
    height_at: usize,
    is_sequential: bool,
    components: usize,
    /// Rows of a row of blocks of all components.
    rows_of_blocks: usize,
}

impl Header {
    /// The header of a JPEG file, and none of another one.
    ///
    /// Fails where it is damaged, and where the file has no end after its last scan, so that a decoder would make up the
    /// missing rows.
    pub fn read(bytes: &[u8]) -> ImageResult<Option<Self>> {
        if !bytes.starts_with(&START_OF_IMAGE) {
            return Ok(None);
        }
        let header = Self::parse(bytes).ok_or_else(|| broken("the file ends before its image"))?;
        match header.is_whole(bytes) {
            true => Ok(Some(header)),
            false => Err(broken("the file ends before its image")),
        }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut at = START_OF_IMAGE.len();
        let mut orientation = Orientation::NoTransforms;
        let mut frame = None;
        loop {
            let marker = next_marker(bytes, &mut at)?;
            let length = usize::from(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
            let segment = bytes.get(at..at + length)?.get(2..)?;
            match marker {
                0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                    frame = Some(Frame::parse(segment, at, marker)?);
                }
                0xe1 => {
                    let exif = segment.strip_prefix(EXIF);
                    let found = exif.and_then(Orientation::from_exif_chunk);
                    orientation = found.unwrap_or(orientation);
                }
                0xda => {
                    let (frame, size) = frame?;
                    let in_scan = usize::from(*segment.first()?);
                    return Some(Self {
                        size,
                        orientation,
                        scan_at: at,
                        has_one_scan: frame.is_sequential && in_scan == frame.components,
                        frame,
                    });
                }
                _ => {}
            }
            at += length;
        }
    }

    fn is_whole(&self, bytes: &[u8]) -> bool {
        let last = |marker: [u8; 2]| bytes.windows(2).rposition(|pair| pair == marker);
        let last_scan = match self.has_one_scan {
            true => Some(self.scan_at),
            false => last(START_OF_SCAN),
        };
        last(END_OF_IMAGE) > last_scan
    }

    /// The size of the image before it is turned.
    pub fn size(&self) -> Size {
        self.size
    }

    /// How it is to be turned.
    pub fn orientation(&self) -> Orientation {
        self.orientation
    }

    /// Whether what decodes the file can do so at a half, a quarter and an eighth of its size.
    pub fn can_shrink(&self) -> bool {
        JpegDecoder::compiled() == JpegDecoder::LibjpegTurbo && self.is_plain()
    }

    /// Grey, or of three colours.
    fn is_plain(&self) -> bool {
        matches!(self.frame.components, 1 | 3)
    }

    /// The image, not turned, as far as a part of it needs, its sides divided by `shrink`; grey, or of red, green and blue. And
    /// where the part lies in what was decoded.
    pub fn decode(
        &self,
        bytes: &[u8],
        part: Part,
        shrink: usize,
    ) -> ImageResult<(DynamicImage, Part)> {
        #[cfg(feature = "turbojpeg")]
        if self.is_plain() {
            return self.decode_around(bytes, part, shrink);
        }
        debug_assert_eq!(shrink, 1, "as `can_shrink` says");
        Ok((self.decode_above(bytes, part.top + part.height)?, part))
    }

    #[cfg(feature = "turbojpeg")]
    fn decode_around(
        &self,
        bytes: &[u8],
        part: Part,
        shrink: usize,
    ) -> ImageResult<(DynamicImage, Part)> {
        let is_grey = self.frame.components == 1;
        let decoded = turbo::decode(bytes, self.size, is_grey, part, shrink);
        let (pixels, decoded) = decoded.map_err(error)?;
        let sides = [decoded.width, decoded.height].map(|side| side.div_ceil(shrink));
        let within = Part {
            top: part.top - decoded.top,
            left: part.left - decoded.left,
            ..part
        };
        Ok((image(pixels, sides, is_grey), within))
    }

    /// At least the first `rows` of the image.
    fn decode_above(&self, bytes: &[u8], rows: usize) -> ImageResult<DynamicImage> {
        let enough = self.enough(rows);
        if enough >= self.size.height {
            return decode(bytes);
        }
        // A decoder stops where the frame header says that the image ends.
        let mut cut = bytes.to_vec();
        let height = (enough as u16).to_be_bytes();
        cut[self.frame.height_at..][..2].copy_from_slice(&height);
        decode(&cut)
    }

    /// Rows that have to be decoded so that the first `rows` are as they would be: colours of half resolution are
    /// interpolated with those of the next row of blocks. All rows, where scans follow each other.
    fn enough(&self, rows: usize) -> usize {
        match self.has_one_scan {
            true => rows.next_multiple_of(self.frame.rows_of_blocks) + self.frame.rows_of_blocks,
            false => self.size.height,
        }
    }
}

impl Frame {
    /// The frame header that begins, with its length, at `at`, and the size of its image.
    fn parse(segment: &[u8], at: usize, marker: u8) -> Option<(Self, Size)> {
        let [_, h0, h1, w0, w1, components, factors @ ..] = segment else {
            return None;
        };
        let side = |bytes| usize::from(u16::from_be_bytes(bytes));
        let components = usize::from(*components);
        let channels = if components == 1 { 1 } else { 3 };
        let vertical = factors
            .as_chunks::<3>()
            .0
            .iter()
            .map(|factor| factor[1] & 15);
        let frame = Self {
            height_at: at + 3,
            is_sequential: matches!(marker, 0xc0 | 0xc1),
            components,
            rows_of_blocks: 8 * usize::from(vertical.max()?.max(1)),
        };
        Some((
            frame,
            Size::new(channels, side([*h0, *h1]), side([*w0, *w1])),
        ))
    }
}

/// The next marker that has a segment; `at` is moved to where that begins.
fn next_marker(bytes: &[u8], at: &mut usize) -> Option<u8> {
    loop {
        *at += bytes.get(*at..)?.iter().position(|byte| *byte == 0xff)?;
        *at += bytes[*at..].iter().position(|byte| *byte != 0xff)?;
        let marker = bytes[*at];
        *at += 1;
        if !matches!(marker, 0x00 | 0x01 | 0xd0..=0xd8) {
            return Some(marker);
        }
    }
}

/// By zune-jpeg.
fn decode(bytes: &[u8]) -> ImageResult<DynamicImage> {
    let options = DecoderOptions::default()
        .set_strict_mode(false)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX);
    let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(error)?;
    let is_grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
    if is_grey {
        decoder.set_options(options.jpeg_set_out_colorspace(ColorSpace::Luma));
    }
    let pixels = decoder.decode().map_err(error)?;
    let (width, height) = decoder.dimensions().expect("the headers are decoded");
    Ok(image(pixels, [width, height], is_grey))
}

fn image(pixels: Vec<u8>, size: [usize; 2], is_grey: bool) -> DynamicImage {
    let [width, height] = size.map(|side| side as u32);
    let image = match is_grey {
        true => GrayImage::from_raw(width, height, pixels).map(DynamicImage::from),
        false => RgbImage::from_raw(width, height, pixels).map(DynamicImage::from),
    };
    image.expect("the decoder fills the image")
}

fn error(error: impl Into<Box<dyn Error + Send + Sync>>) -> ImageError {
    ImageError::Decoding(DecodingError::new(ImageFormat::Jpeg.into(), error))
}
