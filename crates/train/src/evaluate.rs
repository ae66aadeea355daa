//! Evaluation of a network on a split.

use burn::tensor::{Device, Tensor, TensorData};
use data::{Batch, Loader};
use models::Model;

/// What a network makes of one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The image's place in the split.
    pub index: usize,
    /// Its class.
    pub label: usize,
    /// The class that scores highest.
    pub predicted: usize,
    /// The probability of that class.
    pub probability: f64,
    /// The cross-entropy of its class.
    pub loss: f64,
    /// How many classes score higher than its own.
    pub rank: usize,
}

/// What a network makes of a split.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Image by image, in the split's order.
    pub predictions: Vec<Prediction>,
}

impl Outcome {
    /// Percent of the images whose class is among the `k` that score highest.
    pub fn top(&self, k: usize) -> f64 {
        let right = self.predictions.iter().filter(|p| p.rank < k).count();
        100.0 * right as f64 / self.predictions.len() as f64
    }

    /// The mean cross-entropy.
    pub fn loss(&self) -> f64 {
        let sum: f64 = self.predictions.iter().map(|p| p.loss).sum();
        sum / self.predictions.len() as f64
    }

    /// Images of each true class (rows) by predicted class (columns).
    pub fn confusion(&self, classes: usize) -> Vec<Vec<u64>> {
        let mut matrix = vec![vec![0; classes]; classes];
        for prediction in &self.predictions {
            matrix[prediction.label][prediction.predicted] += 1;
        }
        matrix
    }

    /// The `count` predictions with the highest loss, highest first.
    pub fn worst(&self, count: usize) -> Vec<&Prediction> {
        let mut ordered: Vec<&Prediction> = self.predictions.iter().collect();
        ordered.sort_by(|a, b| b.loss.total_cmp(&a.loss).then(a.index.cmp(&b.index)));
        ordered.truncate(count);
        ordered
    }
}

/// Evaluates `model`, which is on `device` without autodiff, on all images of `loader`.
///
/// # Errors
///
/// Where an image cannot be read.
pub fn evaluate(model: &Model, loader: &Loader, device: &Device) -> Result<Outcome, data::Error> {
    evaluate_by(loader, device, |images| model.forward(images))
}

/// The same for whatever makes scores `[n, classes]` of images `[n, channels, height, width]`.
///
/// # Errors
///
/// Where an image cannot be read.
pub fn evaluate_by(
    loader: &Loader,
    device: &Device,
    forward: impl Fn(Tensor<4>) -> Tensor<2>,
) -> Result<Outcome, data::Error> {
    let mut predictions = Vec::with_capacity(loader.images());
    for batch in loader.once() {
        let batch = batch?;
        let scores = rows(forward(images_of(&batch, device)));
        let places = batch.indices.iter().zip(&batch.labels);
        for ((index, label), scores) in places.zip(scores) {
            predictions.push(judge(*index, *label, &softmax(&scores)));
        }
    }
    Ok(Outcome { predictions })
}

/// The scores of images `[n, channels, height, width]`, a row an image.
pub fn scores(model: &Model, images: Tensor<4>) -> Vec<Vec<f32>> {
    rows(model.forward(images))
}

fn rows(logits: Tensor<2>) -> Vec<Vec<f32>> {
    let [_, classes] = logits.dims();
    let logits: Vec<f32> = logits
        .into_data()
        .convert::<f32>()
        .try_to_vec()
        .expect("converted to f32");
    logits.chunks_exact(classes).map(<[f32]>::to_vec).collect()
}

/// The images of a batch as a tensor `[n, channels, height, width]`.
pub fn images_of(batch: &Batch, device: &Device) -> Tensor<4> {
    let size = batch.size;
    let shape = [batch.labels.len(), size.channels, size.height, size.width];
    Tensor::from_data(TensorData::new(batch.images.clone(), shape), device)
}

/// The probability of each class, in f64.
pub fn softmax(scores: &[f32]) -> Vec<f64> {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exponentials: Vec<f64> = scores
        .iter()
        .map(|score| (f64::from(*score) - f64::from(largest)).exp())
        .collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.into_iter().map(|e| e / sum).collect()
}

/// The classes, the most probable first. Where probabilities are equal, the class of the lower number comes first; one that
/// is not a number comes last.
pub fn ranked(probabilities: &[f64]) -> Vec<usize> {
    let key = |class: usize| match probabilities[class] {
        probability if probability.is_nan() => f64::NEG_INFINITY,
        probability => probability,
    };
    let mut classes: Vec<usize> = (0..probabilities.len()).collect();
    classes.sort_by(|&a, &b| key(b).total_cmp(&key(a)));
    classes
}

fn judge(index: usize, label: usize, probabilities: &[f64]) -> Prediction {
    let ranked = ranked(probabilities);
    let predicted = ranked[0];
    let rank = ranked.iter().position(|&class| class == label);
    Prediction {
        index,
        label,
        predicted,
        probability: probabilities[predicted],
        loss: -probabilities[label].ln(),
        rank: rank.expect("a label is a class"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_judged_by_its_scores() {
        let judged = judge(7, 2, &softmax(&[1.0, 3.0, 2.0, 2.0]));
        assert_eq!((judged.predicted, judged.rank), (1, 1));
        let sum = 1f64.exp() + 3f64.exp() + 2.0 * 2f64.exp();
        assert!((judged.probability - 3f64.exp() / sum).abs() < 1e-12);
        assert!((judged.loss + (2f64.exp() / sum).ln()).abs() < 1e-12);
    }

    #[test]
    fn ties_and_probabilities_that_are_no_numbers_have_an_order() {
        assert_eq!(ranked(&[0.2, 0.4, 0.4]), [1, 2, 0]);
        assert_eq!(ranked(&[f64::NAN, 0.0, 1.0]), [2, 1, 0]);
        assert!(judge(0, 1, &softmax(&[f32::NAN, 0.0])).loss.is_nan());
    }

    #[test]
    fn an_outcome_is_counted_in_percent() {
        let predictions = vec![
            judge(0, 0, &[0.5, 0.3, 0.2]),
            judge(1, 1, &[0.5, 0.3, 0.2]),
            judge(2, 2, &[0.5, 0.3, 0.2]),
            judge(3, 0, &[0.5, 0.3, 0.2]),
        ];
        let outcome = Outcome { predictions };
        assert_eq!((outcome.top(1), outcome.top(2)), (50.0, 75.0));
        assert_eq!(outcome.confusion(3), [[2, 0, 0], [1, 0, 0], [1, 0, 0]]);
        let worst: Vec<usize> = outcome.worst(2).iter().map(|p| p.index).collect();
        assert_eq!(worst, [2, 1]);
    }
}
