//! What a loader makes.

use std::iter;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::sample::unit;
use crate::{Mixed, Normalization, Pixels, Size};

/// An image that its batch lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Its place in the dataset.
    pub index: usize,
    /// Why, with the name of its file.
    pub reason: String,
}

/// Images for one step, with their labels: a share of them, where several processes train together.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The epoch, counted from 0.
    pub epoch: u64,
    /// The batch's number in its epoch, counted from 0.
    pub index: u64,
    /// The images' places in the dataset.
    pub indices: Vec<usize>,
    /// Their pixels, shape `[images, channels, height, width]`; see [`Batch::values`].
    pub images: Pixels,
    /// What the pixels are still to be normalised by, if they are bytes.
    pub normalization: Option<Arc<Normalization>>,
    /// The size of each image.
    pub size: Size,
    /// Their classes.
    pub labels: Vec<usize>,
    /// What is mixed into the images, if anything is.
    pub mixed: Option<Mixed>,
    /// Which images are trained on at a time, in turn; as many parts in every process.
    pub parts: Vec<Range<usize>>,
    /// What would be in the batch, but cannot be read.
    pub skipped: Vec<Skipped>,
}

impl Batch {
    /// The images as the network gets them, shape `[images, channels, height, width]`.
    ///
    /// A batch is of bytes where its pipeline ends with them or with their normalisation, and nothing is mixed: so it
    /// takes a quarter of the memory, in the queue and on the way to a device, which may then normalise by itself.
    pub fn values(&self) -> Vec<f32> {
        match (&self.images, &self.normalization) {
            (Pixels::F32(values), _) => values.clone(),
            (Pixels::U8(bytes), Some(normalization)) => normalization.values(bytes, self.size),
            (Pixels::U8(bytes), None) => bytes.iter().copied().map(unit).collect(),
        }
    }

    /// Some of the images, by themselves.
    ///
    /// # Panics
    ///
    /// Where there are not as many.
    pub fn part(&self, images: Range<usize>) -> Self {
        let values = self.size.values();
        Self {
            epoch: self.epoch,
            index: self.index,
            indices: self.indices[images.clone()].to_vec(),
            images: (self.images).part(images.start * values..images.end * values),
            normalization: self.normalization.clone(),
            size: self.size,
            labels: self.labels[images.clone()].to_vec(),
            mixed: self.mixed.as_ref().map(|mixed| Mixed {
                labels: mixed.labels[images.clone()].to_vec(),
                share: mixed.share,
            }),
            parts: iter::once(0..images.len()).collect(),
            skipped: Vec::new(),
        }
    }
}
