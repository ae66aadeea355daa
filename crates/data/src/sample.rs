//! What a dataset is made of: images, their sizes and their labels.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::augment::window::Window;
use crate::augment::{crop, resize};
use crate::decode::Encoded;
use crate::{Interpolation, Result};

/// Channels, height and width of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// Number of colour channels: 1 for grey, 3 for red, green, blue.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Size {
    /// The size `channels` x `height` x `width`.
    pub const fn new(channels: usize, height: usize, width: usize) -> Self {
        Self {
            channels,
            height,
            width,
        }
    }

    /// Values in one channel: height times width.
    pub const fn plane(&self) -> usize {
        self.height * self.width
    }

    /// Values in the whole image: channels times height times width.
    pub const fn values(&self) -> usize {
        self.channels * self.plane()
    }
}

/// A part of an image: whole rows and columns of its pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Row of its upper edge.
    pub top: usize,
    /// Column of its left edge.
    pub left: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Part {
    /// All of an image of `size`.
    pub const fn whole(size: Size) -> Self {
        Self {
            top: 0,
            left: 0,
            height: size.height,
            width: size.width,
        }
    }

    /// Whether it lies in an image of `size`, and has pixels.
    pub fn fits(&self, size: Size) -> bool {
        let within = |start: usize, length: usize, whole: usize| {
            length > 0 && start.checked_add(length).is_some_and(|end| end <= whole)
        };
        within(self.top, self.height, size.height) && within(self.left, self.width, size.width)
    }

    /// The size of the part of an image of `size`.
    pub const fn size(&self, size: Size) -> Size {
        Size::new(size.channels, self.height, self.width)
    }
}

/// The size of a dataset's images: one of all, or one of each.
///
/// In a manifest, `{ channels = 3, height = 32, width = 32 }`, or `{ channels = 3 }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "SizesTable")]
pub enum Sizes {
    /// Every image is of this size.
    One(Size),
    /// Each image is of a size of its own.
    Any {
        /// Colour channels of all images.
        channels: usize,
    },
}

impl Sizes {
    /// Colour channels of every image.
    pub const fn channels(&self) -> usize {
        match self {
            Self::One(size) => size.channels,
            Self::Any { channels } => *channels,
        }
    }

    /// The size of every image, where they are of one size.
    pub const fn one(&self) -> Option<Size> {
        match self {
            Self::One(size) => Some(*size),
            Self::Any { .. } => None,
        }
    }
}

impl From<Size> for Sizes {
    fn from(size: Size) -> Self {
        Self::One(size)
    }
}

/// As in `3x32x32`, or `3 channels, of any size`.
impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(size) => write!(f, "{size}"),
            Self::Any { channels } => write!(f, "{channels} channels, of any size"),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SizesTable {
    channels: usize,
    height: Option<usize>,
    width: Option<usize>,
}

impl TryFrom<SizesTable> for Sizes {
    type Error = &'static str;

    fn try_from(table: SizesTable) -> Result<Self, Self::Error> {
        match (table.height, table.width) {
            (Some(height), Some(width)) => Ok(Size::new(table.channels, height, width).into()),
            (None, None) => Ok(Self::Any {
                channels: table.channels,
            }),
            _ => Err("expected both of `height` and `width`, or neither"),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}", self.channels, self.height, self.width)
    }
}

/// The values of an image, channel by channel, row by row (CHW).
#[derive(Debug, Clone, PartialEq)]
pub enum Pixels {
    /// Bytes as they are stored: `v` stands for `v / 255`.
    U8(Vec<u8>),
    /// Values as the network gets them.
    F32(Vec<f32>),
}

impl Pixels {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Pixels::U8(values) => values.len(),
            Pixels::F32(values) => values.len(),
        }
    }

    /// Whether there is no value at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values from the first of `range` to before its last.
    ///
    /// # Panics
    ///
    /// Where there are not as many.
    pub fn part(&self, range: Range<usize>) -> Self {
        match self {
            Pixels::U8(values) => Pixels::U8(values[range].to_vec()),
            Pixels::F32(values) => Pixels::F32(values[range].to_vec()),
        }
    }
}

/// An image: `size.values()` pixels in CHW order.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Channels, height and width.
    pub size: Size,
    /// The values.
    pub pixels: Pixels,
}

impl Image {
    /// The values as numbers, shape `[channels, height, width]`; bytes are divided by 255.
    pub fn to_f32(&self) -> Vec<f32> {
        self.clone().into_f32()
    }

    /// As [`Image::to_f32`], without a copy where the values are numbers already.
    pub fn into_f32(self) -> Vec<f32> {
        match self.pixels {
            Pixels::U8(bytes) => bytes.into_iter().map(unit).collect(),
            Pixels::F32(values) => values,
        }
    }
}

/// The number that a byte stands for: `v / 255`, as torchvision's `ToTensor`.
pub(crate) fn unit(byte: u8) -> f32 {
    f32::from(byte) / 255.0
}

/// An image as a source hands it over. One that is not decoded yet is decoded where it is used, and only as far as it is.
#[derive(Debug, Clone, PartialEq)]
pub enum Stored {
    /// Its pixels.
    Decoded(Image),
    /// The bytes of its file.
    Encoded(Encoded),
}

impl Stored {
    /// The size of the image.
    pub fn size(&self) -> Size {
        match self {
            Self::Decoded(image) => image.size,
            Self::Encoded(file) => file.size(),
        }
    }

    /// The whole image.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`](crate::Error::Decode).
    pub fn decode(self) -> Result<Image> {
        match self {
            Self::Decoded(image) => Ok(image),
            Self::Encoded(file) => file.decode(),
        }
    }

    /// A part of the image.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`](crate::Error::Decode).
    ///
    /// # Panics
    ///
    /// Where the part does not lie in the image.
    pub fn cut(&self, part: Part) -> Result<Image> {
        let size = self.size();
        assert!(part.fits(size), "{part:?} of an image of {size}");
        match self {
            Self::Decoded(image) => Ok(crop::cut(image, part)),
            Self::Encoded(file) => file.cut(part),
        }
    }

    /// A part of the image, scaled to `height` x `width` with antialiasing.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`](crate::Error::Decode).
    ///
    /// # Panics
    ///
    /// Where the part does not lie in the image.
    pub fn scaled(
        &self,
        part: Part,
        [height, width]: [usize; 2],
        interpolation: Interpolation,
    ) -> Result<Image> {
        let to = self.size_of(part, [height, width]);
        Ok(resize::apply(&self.cut(part)?, to, interpolation))
    }

    /// As [`Stored::scaled`], with bytes in the arithmetic of bytes: a level from it here and there, at a third of its time.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`](crate::Error::Decode).
    ///
    /// # Panics
    ///
    /// Where the part does not lie in the image.
    pub fn sampled(
        &self,
        part: Part,
        [height, width]: [usize; 2],
        interpolation: Interpolation,
    ) -> Result<Image> {
        let to = self.size_of(part, [height, width]);
        match self {
            Self::Decoded(image) => Ok(resize::sample(image, part, to, interpolation)),
            Self::Encoded(file) => file.sampled(Window::of(part), to, interpolation),
        }
    }

    /// A part of what the image becomes when it is scaled to `to`, in the same arithmetic; no more is computed.
    pub(crate) fn sampled_within(
        &self,
        to: Size,
        part: Part,
        interpolation: Interpolation,
    ) -> Result<Image> {
        match self {
            Self::Decoded(image) => Ok(resize::sample_within(image, to, part, interpolation)),
            Self::Encoded(file) => {
                let window = Window::within(self.size(), to, part, interpolation);
                file.sampled(window, part.size(to), interpolation)
            }
        }
    }

    fn size_of(&self, part: Part, [height, width]: [usize; 2]) -> Size {
        let size = self.size();
        assert!(part.fits(size), "{part:?} of an image of {size}");
        Size::new(size.channels, height, width)
    }
}

impl From<Image> for Stored {
    fn from(image: Image) -> Self {
        Self::Decoded(image)
    }
}

/// An image with the number of its class.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The image.
    pub image: Stored,
    /// Its class, counted from 0.
    pub label: usize,
}
