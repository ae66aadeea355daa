//! Optical Recognition of Handwritten Digits (Alpaydin, Kaynak 1998), compiled in; see `datasets/digits/README.md`.

use super::Splits;
use crate::{InMemory, Pixels, Size};

const FILE: &str = include_str!("../../../../datasets/digits/optdigits.tes");
const SIZE: Size = Size::new(1, 8, 8);
/// The values run from 0 to 16.
const LARGEST: f32 = 16.0;
const TRAINING_IMAGES: usize = 1198;

/// The first 1,198 images to train on, the last 599 to test, in `[0, 1]`.
///
/// The pixels are numbers, since `v / 16` is exact as a number and is no whole number of 255ths.
pub(crate) fn read() -> Splits {
    let records: Vec<Vec<u8>> = FILE.lines().map(record).collect();
    let (train, test) = records.split_at(TRAINING_IMAGES);
    Splits {
        train: images(train),
        test: Some(images(test)),
    }
}

/// 64 pixels and the label.
fn record(line: &str) -> Vec<u8> {
    line.split(',')
        .map(|field| {
            field
                .parse()
                .expect("the compiled-in file has only numbers")
        })
        .collect()
}

fn images(records: &[Vec<u8>]) -> InMemory {
    let mut pixels = Vec::with_capacity(records.len() * SIZE.values());
    let mut labels = Vec::with_capacity(records.len());
    for record in records {
        let (label, values) = record
            .split_last()
            .expect("the compiled-in file has no empty line");
        pixels.extend(values.iter().map(|&value| f32::from(value) / LARGEST));
        labels.push(usize::from(*label));
    }
    InMemory::new(SIZE, Pixels::F32(pixels), labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Class counts by scikit-learn 1.9: `numpy.bincount(load_digits().target[:1198])`, and `[1198:]`.
    #[test]
    fn the_splits_are_those_of_load_digits() {
        let splits = read();
        let test = splits.test.unwrap();
        assert_eq!(
            count(&splits.train),
            [119, 120, 117, 121, 119, 123, 120, 118, 119, 122]
        );
        assert_eq!(count(&test), [59, 62, 60, 62, 62, 59, 61, 61, 55, 58]);
    }

    /// The second row of `load_digits().images[0]` is 0, 0, 13, 15, 10, 15, 5, 0.
    #[test]
    fn pixels_are_sixteenths() {
        let Pixels::F32(values) = read().train.pixels().clone() else {
            panic!("digits are numbers");
        };
        assert_eq!(
            values[8..16],
            [0.0, 0.0, 0.8125, 0.9375, 0.625, 0.9375, 0.3125, 0.0]
        );
        assert!(values.iter().all(|value| (0.0..=1.0).contains(value)));
    }

    fn count(images: &InMemory) -> [usize; 10] {
        let mut counts = [0; 10];
        images.labels().iter().for_each(|&label| counts[label] += 1);
        counts
    }
}
