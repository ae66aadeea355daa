//! The training loss.

use burn::tensor::{Device, FloatDType, Int, Tensor, TensorData, activation};
use data::{Batch, Mixed};
use kernels::cross_entropy;
use models::Scores;

use crate::recipe::{Loss, LossKind};

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

    /// The mean over the images, of 32 bits.
    fn loss(&self, logits: Tensor<2>, loss: &Loss) -> Tensor<1> {
        let logits = logits.cast(FloatDType::F32);
        match loss.kind {
            LossKind::CrossEntropy => self.cross_entropy(logits, loss.label_smoothing),
            LossKind::Bce => binary_cross_entropy(&logits, self.of_classes(&logits, loss)),
        }
    }

    /// What each class of each image is to be, shape `[n, classes]`, for logits of that shape.
    fn of_classes(&self, logits: &Tensor<2>, loss: &Loss) -> Tensor<2> {
        let smoothing = loss.label_smoothing;
        let classes = logits.dims()[1] as f64;
        let targets = self.shares(logits) * (1.0 - smoothing) + smoothing / classes;
        match loss.target_threshold {
            None => targets,
            Some(threshold) => targets.greater_scalar(threshold).float(),
        }
    }

    /// Of each class in each image, shape `[n, classes]`, for logits of that shape.
    fn shares(&self, logits: &Tensor<2>) -> Tensor<2> {
        let [_, classes] = logits.dims();
        let one_hot = |labels: &Tensor<1, Int>| labels.clone().one_hot::<2>(classes).float();
        match &self.mixed {
            None => one_hot(&self.labels),
            Some((others, share)) => {
                one_hot(&self.labels) * *share + one_hot(others) * (1.0 - share)
            }
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

/// `max(x, 0) - x t + ln(1 + exp(-|x|))`, which stays finite for any `x`; the mean over images and classes.
fn binary_cross_entropy(logits: &Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let spread = logits.clone().abs().neg().exp().log1p();
    (activation::relu(logits.clone()) - logits.clone() * targets + spread).mean()
}

/// The loss of a network's scores, those of its auxiliary classifiers included.
pub fn of_scores(scores: Scores, targets: &Targets, loss: &Loss) -> Tensor<1> {
    let main = targets.loss(scores.logits, loss);
    scores
        .auxiliary
        .into_iter()
        .fold(main, |total, (logits, weight)| {
            total + targets.loss(logits, loss) * weight
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

    /// `torch.nn.functional.binary_cross_entropy_with_logits` of the same logits and targets in PyTorch 2.15; targets are
    /// smoothed and cut as timm 1.0.31 does: `0.9 * targets + 0.1 / 3`, `targets.gt(threshold)`.
    #[test]
    fn the_binary_cross_entropy_is_pytorchs() {
        let device = Device::flex();
        let whole = Targets::from(Tensor::from_data([1, 0], &device));
        let mixed = Targets {
            mixed: Some((Tensor::from_data([2, 1], &device), 0.7)),
            ..whole.clone()
        };
        for (targets, label_smoothing, target_threshold, expected) in [
            (&whole, 0.0, None, GOLDEN_BINARY),
            (&whole, 0.1, None, GOLDEN_BINARY_SMOOTHED),
            (&mixed, 0.0, None, GOLDEN_BINARY_MIXED),
            (&mixed, 0.1, None, GOLDEN_BINARY_MIXED_SMOOTHED),
            (&mixed, 0.0, Some(0.2), GOLDEN_BINARY_BOTH),
            (&mixed, 0.1, Some(0.5), GOLDEN_BINARY),
        ] {
            let loss = Loss {
                kind: LossKind::Bce,
                label_smoothing,
                target_threshold,
            };
            let logits = Tensor::from_data([[1.0, 2.0, 0.5], [-1.0, 0.0, 3.0]], &device);
            let found: f32 = targets.loss(logits, &loss).into_scalar();
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
        let large = Tensor::from_data([[1e30, 0.0, -1e30], [0.0, 0.0, 0.0]], &device);
        let found: f32 = binary_cross_entropy(&large, whole.shares(&large)).into_scalar();
        assert!(found.is_finite());
    }

    const GOLDEN_BINARY: f32 = 1.244_877_2;
    const GOLDEN_BINARY_SMOOTHED: f32 = 1.230_988_4;
    const GOLDEN_BINARY_MIXED: f32 = 1.269_877_3;
    const GOLDEN_BINARY_MIXED_SMOOTHED: f32 = 1.253_488_2;
    const GOLDEN_BINARY_BOTH: f32 = 1.161_543_8;
    const GOLDEN_MIXED: f32 = 1.89012647;
    const GOLDEN_MIXED_SMOOTHED: f32 = 1.88595986;
    const GOLDEN_PLAIN: f32 = 2.265_126_5;
    const GOLDEN_SMOOTHED: f32 = 2.223_459_7;
}
