//! `evaluation.json`: the final evaluation of a run, class by class.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use data::{Image, Pixels, Source};
use serde::{Deserialize, Serialize};

use crate::evaluate::{Outcome, Prediction};
use crate::files::{self, Error, Result};
use crate::journal::number;

/// How many of the images with the highest loss are shown.
const WORST: usize = 24;

/// The evaluation of a checkpoint on a split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The name of the split.
    pub split: String,
    /// Which checkpoint: `last` or `best`.
    pub checkpoint: String,
    /// The split whose evaluations chose the checkpoint; none for the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen_by: Option<String>,
    /// Images evaluated.
    pub images: u64,
    /// Percent of images whose class scores highest.
    #[serde(with = "number")]
    pub top1: f64,
    /// Percent of images whose class is among the five that score highest.
    #[serde(with = "number")]
    pub top5: f64,
    /// The mean loss of an image.
    #[serde(with = "number")]
    pub loss: f64,
    /// The names of the classes.
    pub classes: Vec<String>,
    /// Images of each true class (rows) by predicted class (columns).
    pub confusion: Vec<Vec<u64>>,
    /// The images with the highest loss, highest first.
    pub worst: Vec<Misjudged>,
}

/// An image that is classified badly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Misjudged {
    /// Its index in the split.
    pub index: usize,
    /// Its true class.
    pub label: usize,
    /// The class that scores highest.
    pub predicted: usize,
    /// The probability of the predicted class, in [0, 1].
    #[serde(with = "number")]
    pub probability: f64,
    /// Its loss.
    #[serde(with = "number")]
    pub loss: f64,
    /// The image as PNG, in base64; see [`png_in_base64`].
    pub png: String,
}

impl Evaluation {
    /// The evaluation of a run's last checkpoint: `source` has the images of the split as they are.
    ///
    /// # Errors
    ///
    /// Where an image cannot be read.
    pub fn of_last(
        split: &str,
        outcome: &Outcome,
        classes: &[String],
        source: &Source,
    ) -> std::result::Result<Self, data::Error> {
        let worst: std::result::Result<Vec<Misjudged>, data::Error> = outcome
            .worst(WORST)
            .into_iter()
            .map(|prediction| {
                let image = source.get(prediction.index)?.image.decode()?;
                Ok(Misjudged::new(prediction, image))
            })
            .collect();
        Ok(Self {
            split: split.to_owned(),
            checkpoint: "last".into(),
            chosen_by: None,
            images: outcome.predictions.len() as u64,
            top1: outcome.top(1),
            top5: outcome.top(5),
            loss: outcome.loss(),
            classes: classes.to_vec(),
            confusion: outcome.confusion(classes.len()),
            worst: worst?,
        })
    }

    /// Reads the file of an evaluation; `None` where there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Read`], [`Error::Json`], and [`Error::Contradiction`] when the parts do not fit together.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let bytes = fs::read(path).map_err(Error::reading(path))?;
        let evaluation: Self = serde_json::from_slice(&bytes).map_err(|source| Error::Json {
            path: path.to_owned(),
            source,
        })?;
        evaluation.check().map_err(|reason| Error::Contradiction {
            path: path.to_owned(),
            reason,
        })?;
        Ok(Some(evaluation))
    }

    /// Writes the file whole.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub fn write(&self, path: &Path) -> Result<()> {
        let json = serde_json::to_vec(self)
            .expect("evaluations have string keys and no failing serializers");
        files::replace(path, &json)
    }

    fn check(&self) -> std::result::Result<(), String> {
        let classes = self.classes.len();
        if self.confusion.len() != classes {
            return Err(format!(
                "expected a confusion matrix of {classes} rows, found {}",
                self.confusion.len()
            ));
        }
        if let Some((row, counts)) = self
            .confusion
            .iter()
            .enumerate()
            .find(|(_, row)| row.len() != classes)
        {
            return Err(format!(
                "expected {classes} columns in row {row} of the confusion matrix, found {}",
                counts.len()
            ));
        }
        let counted = self
            .confusion
            .iter()
            .flatten()
            .try_fold(0_u64, |sum, &count| sum.checked_add(count));
        if counted != Some(self.images) {
            let found = counted.map_or("more".into(), |counted| counted.to_string());
            return Err(format!(
                "expected {} images in the confusion matrix, found {found}",
                self.images
            ));
        }
        self.worst.iter().try_for_each(|image| image.check(classes))
    }
}

impl Misjudged {
    fn new(prediction: &Prediction, image: Image) -> Self {
        let size = image.size;
        let pixels = drawable(image.pixels);
        Self {
            index: prediction.index,
            label: prediction.label,
            predicted: prediction.predicted,
            probability: prediction.probability,
            loss: prediction.loss,
            png: png_in_base64(size.channels, size.height, size.width, &pixels),
        }
    }

    fn check(&self, classes: usize) -> std::result::Result<(), String> {
        let Self {
            index,
            label,
            predicted,
            ..
        } = self;
        if let Some(class) = [label, predicted]
            .into_iter()
            .find(|&&class| class >= classes)
        {
            return Err(format!(
                "expected a class below {classes} for image {index}, found {class}"
            ));
        }
        match BASE64_STANDARD.decode(&self.png) {
            Ok(bytes) if bytes.starts_with(b"\x89PNG\r\n\x1a\n") => Ok(()),
            _ => Err(format!(
                "expected a PNG in base64 for image {index}, found something else"
            )),
        }
    }
}

/// Bytes as they are; numbers from their smallest, black, to their largest, white.
fn drawable(pixels: Pixels) -> Vec<u8> {
    match pixels {
        Pixels::U8(bytes) => bytes,
        Pixels::F32(values) => {
            let least = values.iter().copied().fold(f32::INFINITY, f32::min);
            let most = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let range = (most - least).max(f32::MIN_POSITIVE);
            let level = |value: f32| ((value - least) / range * 255.0).round() as u8;
            values.into_iter().map(level).collect()
        }
    }
}

/// Encodes an image as PNG in base64.
///
/// `pixels` are 8-bit, channel by channel (CHW): of three channels red, green and blue, else only the first is shown,
/// as grey.
///
/// # Panics
///
/// If a side is zero, or `pixels` is not `channels * height * width` long.
pub fn png_in_base64(channels: usize, height: usize, width: usize, pixels: &[u8]) -> String {
    assert_eq!(
        pixels.len(),
        channels * height * width,
        "pixels for each channel, row and column"
    );
    let area = height * width;
    let (color, samples) = match channels {
        3 => (
            png::ColorType::Rgb,
            (0..area)
                .flat_map(|at| [0, 1, 2].map(|c| pixels[c * area + at]))
                .collect(),
        ),
        _ => (png::ColorType::Grayscale, pixels[..area].to_vec()),
    };
    let samples: Vec<u8> = samples;
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(&samples))
        .expect("an image with sides goes into memory");
    BASE64_STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluation() -> Evaluation {
        let worst = Misjudged {
            index: 7,
            label: 0,
            predicted: 1,
            probability: 0.99,
            loss: f64::INFINITY,
            png: png_in_base64(1, 2, 2, &[0, 64, 128, 255]),
        };
        Evaluation {
            split: "test".into(),
            checkpoint: "last".into(),
            chosen_by: None,
            images: 10,
            top1: 90.0,
            top5: 100.0,
            loss: 0.25,
            classes: vec!["cat".into(), "dog".into()],
            confusion: vec![vec![5, 1], vec![0, 4]],
            worst: vec![worst],
        }
    }

    fn reason(change: impl FnOnce(&mut Evaluation)) -> String {
        let mut evaluation = evaluation();
        change(&mut evaluation);
        evaluation.check().unwrap_err()
    }

    #[test]
    fn an_evaluation_is_read_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("evaluation.json");
        assert_eq!(Evaluation::read(&path).unwrap(), None);
        evaluation().write(&path).unwrap();
        assert_eq!(Evaluation::read(&path).unwrap(), Some(evaluation()));
    }

    #[test]
    fn parts_that_do_not_fit_are_named() {
        assert_eq!(
            reason(|e| drop(e.confusion.pop())),
            "expected a confusion matrix of 2 rows, found 1"
        );
        assert_eq!(
            reason(|e| e.confusion[1].push(0)),
            "expected 2 columns in row 1 of the confusion matrix, found 3"
        );
        assert_eq!(
            reason(|e| e.images = 11),
            "expected 11 images in the confusion matrix, found 10"
        );
        assert_eq!(
            reason(|e| e.confusion[0][0] = u64::MAX),
            "expected 10 images in the confusion matrix, found more"
        );
        assert_eq!(
            reason(|e| e.worst[0].predicted = 2),
            "expected a class below 2 for image 7, found 2"
        );
        assert_eq!(
            reason(|e| e.worst[0].png = "\"><script>".into()),
            "expected a PNG in base64 for image 7, found something else"
        );
    }

    #[test]
    fn planes_become_interleaved_pixels() {
        let decode = |text: String| {
            let bytes = BASE64_STANDARD.decode(text).unwrap();
            let mut reader = png::Decoder::new(std::io::Cursor::new(bytes))
                .read_info()
                .unwrap();
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            reader.next_frame(&mut pixels).unwrap();
            pixels
        };
        assert_eq!(
            decode(png_in_base64(3, 1, 2, &[1, 2, 3, 4, 5, 6])),
            [1, 3, 5, 2, 4, 6]
        );
        assert_eq!(decode(png_in_base64(1, 1, 2, &[7, 8])), [7, 8]);
    }
}
