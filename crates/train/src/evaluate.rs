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
    let mut predictions = Vec::with_capacity(loader.images());
    for batch in loader.once() {
        let batch = batch?;
        let logits = model.forward(images_of(&batch, device));
        let [_, classes] = logits.dims();
        let logits: Vec<f32> = logits
            .into_data()
            .convert::<f32>()
            .try_to_vec()
            .expect("converted to f32");
        for ((index, label), scores) in batch
            .indices
            .iter()
            .zip(&batch.labels)
            .zip(logits.chunks_exact(classes))
        {
            predictions.push(judge(*index, *label, scores));
        }
    }
    Ok(Outcome { predictions })
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
        .map(|score| f64::from(score - largest).exp())
        .collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.into_iter().map(|e| e / sum).collect()
}

/// Where scores are equal, the class of the lower number counts as the higher one; a score that is
/// not a number is lower than all others.
fn judge(index: usize, label: usize, scores: &[f32]) -> Prediction {
    let probabilities = softmax(scores);
    let key = |class: usize| {
        let score = scores[class];
        (
            if score.is_nan() {
                f32::NEG_INFINITY
            } else {
                score
            },
            std::cmp::Reverse(class),
        )
    };
    let above = |class: usize, other: usize| {
        let ((a, i), (b, j)) = (key(class), key(other));
        a.total_cmp(&b).then(i.cmp(&j)).is_gt()
    };
    let predicted = (1..scores.len()).fold(
        0,
        |best, class| {
            if above(class, best) { class } else { best }
        },
    );
    Prediction {
        index,
        label,
        predicted,
        probability: probabilities[predicted],
        loss: -probabilities[label].ln(),
        rank: (0..scores.len())
            .filter(|&class| above(class, label))
            .count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_judged_by_its_scores() {
        let judged = judge(7, 2, &[1.0, 3.0, 2.0, 2.0]);
        assert_eq!((judged.predicted, judged.rank), (1, 1));
        let sum = 1f64.exp() + 3f64.exp() + 2.0 * 2f64.exp();
        assert!((judged.probability - 3f64.exp() / sum).abs() < 1e-12);
        assert!((judged.loss + (2f64.exp() / sum).ln()).abs() < 1e-12);
    }

    #[test]
    fn ties_and_scores_that_are_no_numbers_have_an_order() {
        assert_eq!(judge(0, 1, &[0.0, 0.0, 0.0]).rank, 1);
        let broken = judge(0, 1, &[f32::NAN, 0.0]);
        assert_eq!((broken.predicted, broken.rank), (1, 0));
        assert!(broken.loss.is_nan());
    }

    #[test]
    fn an_outcome_is_counted_in_percent() {
        let predictions = vec![
            judge(0, 0, &[2.0, 1.0, 0.0]),
            judge(1, 1, &[2.0, 1.0, 0.0]),
            judge(2, 2, &[2.0, 1.0, 0.0]),
            judge(3, 0, &[2.0, 1.0, 0.0]),
        ];
        let outcome = Outcome { predictions };
        assert_eq!((outcome.top(1), outcome.top(2)), (50.0, 75.0));
        assert_eq!(outcome.confusion(3), [[2, 0, 0], [1, 0, 0], [1, 0, 0]]);
        let worst: Vec<usize> = outcome.worst(2).iter().map(|p| p.index).collect();
        assert_eq!(worst, [2, 1]);
    }
}
