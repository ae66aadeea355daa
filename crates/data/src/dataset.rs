//! Datasets that hold their images in memory, and parts of datasets.

use std::ops::Range;
use std::sync::Arc;

use burn_dataset::Dataset;

use crate::{Error, Image, OnBadImage, Pixels, Result, Sample, Size};

/// A dataset that threads share.
pub type Source = Arc<dyn Dataset<Sample, Error>>;

/// Images of one size in one block of memory, with their labels.
#[derive(Debug, Clone, PartialEq)]
pub struct InMemory {
    size: Size,
    pixels: Pixels,
    labels: Vec<usize>,
}

impl InMemory {
    /// The images whose pixels, one image after the other, are `pixels`: shape `[n, channels, height, width]`.
    ///
    /// # Panics
    ///
    /// Where `pixels` is not one image a label.
    pub fn new(size: Size, pixels: Pixels, labels: Vec<usize>) -> Self {
        assert_eq!(
            pixels.len(),
            labels.len() * size.values(),
            "{} labels for images of {size}",
            labels.len()
        );
        Self {
            size,
            pixels,
            labels,
        }
    }

    /// The size of every image.
    pub fn size(&self) -> Size {
        self.size
    }

    /// All pixels, shape `[n, channels, height, width]`.
    pub fn pixels(&self) -> &Pixels {
        &self.pixels
    }

    /// All labels, shape `[n]`.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }
}

impl Dataset<Sample, Error> for InMemory {
    fn get(&self, index: usize) -> Result<Sample> {
        let label = self.labels[index];
        let values = index * self.size.values()..(index + 1) * self.size.values();
        let pixels = match &self.pixels {
            Pixels::U8(bytes) => Pixels::U8(bytes[values].to_vec()),
            Pixels::F32(numbers) => Pixels::F32(numbers[values].to_vec()),
        };
        let image = Image {
            size: self.size,
            pixels,
        };
        Ok(Sample {
            image: image.into(),
            label,
        })
    }

    fn len(&self) -> usize {
        self.labels.len()
    }
}

/// A range of another dataset's images, renumbered from 0.
#[derive(Clone)]
pub struct Subset {
    source: Source,
    range: Range<usize>,
}

impl Subset {
    /// Images `range` of `source`; [`Error::Range`] where the range is not within it, or empty.
    pub fn new(source: Source, range: Range<usize>) -> Result<Self> {
        if range.is_empty() || range.end > source.len() {
            return Err(Error::Range {
                start: range.start,
                end: range.end,
                images: source.len(),
            });
        }
        Ok(Self { source, range })
    }
}

impl Dataset<Sample, Error> for Subset {
    fn get(&self, index: usize) -> Result<Sample> {
        assert!(
            index < self.len(),
            "image {index} of a dataset of {}",
            self.len()
        );
        self.source.get(self.range.start + index)
    }

    fn len(&self) -> usize {
        self.range.len()
    }
}

/// The size of the first image whose header can be read.
pub(crate) fn first_size(
    source: &dyn Dataset<Sample, Error>,
    on_bad_image: OnBadImage,
) -> Result<Size> {
    if source.is_empty() {
        return Err(Error::NoImages {
            place: "the dataset".into(),
        });
    }
    let mut images = (0..source.len()).map(|index| (index, source.get(index)));
    images
        .find_map(|(index, sample)| match sample {
            Ok(sample) => Some(Ok(sample.image.size())),
            Err(error) if on_bad_image.skips(&error) => None,
            Err(error) => Some(Err(at(index, error))),
        })
        .unwrap_or_else(|| {
            Err(Error::NoImages {
                place: "the dataset that can be read".into(),
            })
        })
}

/// With the image's place in the dataset.
pub(crate) fn at(index: usize, error: Error) -> Error {
    Error::Sample {
        index,
        source: Box::new(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three_images() -> InMemory {
        InMemory::new(
            Size::new(1, 1, 2),
            Pixels::U8(vec![0, 1, 2, 3, 4, 5]),
            vec![7, 8, 9],
        )
    }

    #[test]
    fn images_are_cut_out_of_the_block() {
        let sample = three_images().get(1).unwrap();
        let image = sample.image.decode().unwrap();
        assert_eq!(image.pixels, Pixels::U8(vec![2, 3]));
        assert_eq!(sample.label, 8);
    }

    #[test]
    fn a_subset_is_renumbered() {
        let subset = Subset::new(Arc::new(three_images()), 1..3).unwrap();
        assert_eq!(subset.len(), 2);
        assert_eq!(subset.get(0).unwrap().label, 8);
        assert_eq!(subset.get(1).unwrap().label, 9);
    }

    #[test]
    fn a_subset_past_the_end_is_refused() {
        for range in [2..4, 1..1] {
            let error = Subset::new(Arc::new(three_images()), range).err().unwrap();
            assert!(matches!(error, Error::Range { images: 3, .. }));
        }
    }
}
