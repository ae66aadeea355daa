//! The training loss.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};
use models::Scores;

/// The mean cross-entropy of `logits` `[n, classes]` and `labels` `[n]`, with a share `smoothing`
/// of the target spread evenly over all classes (Szegedy et al. 2016, arXiv:1512.00567, section 7),
/// as PyTorch's `cross_entropy(label_smoothing=..)`.
pub fn cross_entropy(logits: Tensor<2>, labels: Tensor<1, Int>, smoothing: f64) -> Tensor<1> {
    let log_probabilities = log_softmax(logits, 1);
    let of_labels = log_probabilities.clone().gather(1, labels.unsqueeze_dim(1));
    let loss = of_labels.mean().neg();
    if smoothing == 0.0 {
        return loss;
    }
    loss * (1.0 - smoothing) - log_probabilities.mean() * smoothing
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
