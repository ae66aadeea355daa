//! The training loss.

use burn::tensor::{Device, Int, Tensor, TensorData};
use data::{Batch, Mixed};
use kernels::cross_entropy;
use models::Scores;

/// What the scores of a batch are held against.
#[derive(Clone, Debug)]
pub struct Targets {
    /// The class of each image, shape `[n]`.
    labels: Tensor<1, Int>,
    /// The class of what is mixed into each image, and the share of the image's own.
    mixed: Option<(Tensor<1, Int>, f64)>,
}

impl Targets {
    /// Those of a batch.
    pub fn of(batch: &Batch, device: &Device) -> Self {
        let mixed = batch.mixed.as_ref();
        Self {
            labels: classes(&batch.labels, device),
            mixed: mixed
                .map(|Mixed { labels, share }| (classes(labels, device), f64::from(*share))),
        }
    }

    /// Of each image, the class that has the larger share in its target, shape `[n]`.
    pub fn main(&self) -> &Tensor<1, Int> {
        match &self.mixed {
            Some((others, share)) if *share < 0.5 => others,
            _ => &self.labels,
        }
    }

    /// The cross-entropy of a target of several classes is the sum of theirs, by their shares.
    fn cross_entropy(&self, logits: Tensor<2>, smoothing: f64) -> Tensor<1> {
        match &self.mixed {
            None => cross_entropy(logits, self.labels.clone(), smoothing),
            Some((others, share)) => {
                let own = cross_entropy(logits.clone(), self.labels.clone(), smoothing);
                let other = cross_entropy(logits, others.clone(), smoothing);
                own * *share + other * (1.0 - share)
            }
        }
    }
}

impl From<Tensor<1, Int>> for Targets {
    fn from(labels: Tensor<1, Int>) -> Self {
        Self {
            labels,
            mixed: None,
        }
    }
}

fn classes(labels: &[usize], device: &Device) -> Tensor<1, Int> {
    let labels: Vec<i64> = labels.iter().map(|label| *label as i64).collect();
    let shape = [labels.len()];
    Tensor::from_data(TensorData::new(labels, shape), device)
}

/// The loss of a network's scores, those of its auxiliary classifiers included.
pub fn of_scores(scores: Scores, targets: &Targets, smoothing: f64) -> Tensor<1> {
    let main = targets.cross_entropy(scores.logits, smoothing);
    scores
        .auxiliary
        .into_iter()
        .fold(main, |total, (logits, weight)| {
            total + targets.cross_entropy(logits, smoothing) * weight
        })
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    /// `torch.nn.functional.cross_entropy(torch.tensor([[1., 2., 0.5], [-1., 0., 3.]]),
    /// torch.tensor([1, 0]), label_smoothing=s)` in PyTorch 2.15.
    #[test]
    fn cross_entropy_is_pytorchs() {
        let device = Device::flex();
        for (smoothing, expected) in [(0.0, GOLDEN_PLAIN), (0.1, GOLDEN_SMOOTHED)] {
            let logits = Tensor::from_data([[1.0, 2.0, 0.5], [-1.0, 0.0, 3.0]], &device);
            let labels = Tensor::from_data([1, 0], &device);
            let found: f32 = cross_entropy(logits, labels, smoothing).into_scalar();
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
    }

    /// The same with targets `0.7 * one_hot([1, 0]) + 0.3 * one_hot([2, 2])`.
    #[test]
    fn the_cross_entropy_of_mixed_labels_is_pytorchs() {
        let device = Device::flex();
        let targets = Targets {
            labels: Tensor::from_data([1, 0], &device),
            mixed: Some((Tensor::from_data([2, 2], &device), 0.7)),
        };
        for (smoothing, expected) in [(0.0, GOLDEN_MIXED), (0.1, GOLDEN_MIXED_SMOOTHED)] {
            let logits = Tensor::from_data([[1.0, 2.0, 0.5], [-1.0, 0.0, 3.0]], &device);
            let found: f32 = targets.cross_entropy(logits, smoothing).into_scalar();
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
        assert_eq!(targets.main().to_data(), targets.labels.to_data());
        let lesser = Targets {
            mixed: Some((Tensor::from_data([2, 2], &device), 0.3)),
            ..targets
        };
        let others = Tensor::<1, Int>::from_data([2, 2], &device);
        assert_eq!(lesser.main().to_data(), others.to_data());
    }

    const GOLDEN_MIXED: f32 = 1.89012647;
    const GOLDEN_MIXED_SMOOTHED: f32 = 1.88595986;
    const GOLDEN_PLAIN: f32 = 2.265_126_5;
    const GOLDEN_SMOOTHED: f32 = 2.223_459_7;
}
