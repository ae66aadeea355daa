//! What a dataset is made of: images, their sizes and their labels.

use std::fmt;

use serde::{Deserialize, Serialize};

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

/// An image with the number of its class.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The image.
    pub image: Image,
    /// Its class, counted from 0.
    pub label: usize,
}
