//! The training loss.

use burn::tensor::{Device, Int, Tensor, TensorData};
use data::Batch;
use kernels::cross_entropy;
use models::Scores;

/// The labels of a batch as a tensor `[n]`.
pub fn labels_of(batch: &Batch, device: &Device) -> Tensor<1, Int> {
    let labels: Vec<i64> = batch.labels.iter().map(|label| *label as i64).collect();
    let shape = [labels.len()];
    Tensor::from_data(TensorData::new(labels, shape), device)
}

/// The loss of a network's scores, those of its auxiliary classifiers included.
pub fn of_scores(scores: Scores, labels: &Tensor<1, Int>, smoothing: f64) -> Tensor<1> {
    let main = cross_entropy(scores.logits, labels.clone(), smoothing);
    scores
        .auxiliary
        .into_iter()
        .fold(main, |total, (logits, weight)| {
            total + cross_entropy(logits, labels.clone(), smoothing) * weight
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

    const GOLDEN_PLAIN: f32 = 2.265_126_5;
    const GOLDEN_SMOOTHED: f32 = 2.223_459_7;
}
