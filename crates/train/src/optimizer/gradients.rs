//! Gradients between the backward pass and the update.

use burn::tensor::Tensor;

/// Gradients of the learnt parameters of a network, flat, in its own order; `None` is zero.
pub type Gradients = Vec<Option<Tensor<1>>>;

/// `sum + scale * more`, parameter by parameter; an empty sum is zero.
pub fn accumulate(sum: Gradients, more: Gradients, scale: f64) -> Gradients {
    if sum.is_empty() && scale == 1.0 {
        return more;
    }
    let scaled = self::scale(more, scale);
    if sum.is_empty() {
        return scaled;
    }
    sum.into_iter()
        .zip(scaled)
        .map(|(sum, more)| match (sum, more) {
            (Some(sum), Some(more)) => Some(sum + more),
            (sum, more) => sum.or(more),
        })
        .collect()
}

/// The gradients, each value times `factor`.
pub fn scale(gradients: Gradients, factor: f64) -> Gradients {
    let scaled = gradients
        .into_iter()
        .map(|gradient| gradient.map(|g| g * factor));
    scaled.collect()
}

/// Whether all values are finite. Waits for the device once.
pub fn are_finite(gradients: &Gradients) -> bool {
    let each = gradients.iter().flatten();
    let each: Vec<_> = each
        .map(|gradient| gradient.clone().is_finite().all())
        .collect();
    each.is_empty() || Tensor::cat(each, 0).all().into_scalar::<bool>()
}

/// The gradients, scaled down where their norm over all parameters is above `largest`, as PyTorch's
/// `clip_grad_norm_`.
pub fn clip_norm(gradients: Gradients, largest: f64) -> Gradients {
    let squares = gradients
        .iter()
        .flatten()
        .map(|gradient| gradient.clone().powi_scalar(2).sum())
        .reduce(|sum, more| sum + more);
    let Some(squares) = squares else {
        return gradients;
    };
    let scale = (squares.sqrt() + 1e-6)
        .recip()
        .mul_scalar(largest)
        .clamp_max(1.0);
    gradients
        .into_iter()
        .map(|gradient| gradient.map(|g| g * scale.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn one_value_that_is_not_finite_is_seen() {
        let gradient = |values: [f32; 2]| Some(Tensor::<1>::from_data(values, &Device::flex()));
        for (value, finite) in [(1.0, true), (f32::NAN, false), (f32::NEG_INFINITY, false)] {
            let gradients = vec![gradient([3.0, value]), None, gradient([0.0, 4.0])];
            assert_eq!(are_finite(&gradients), finite, "{value}");
        }
        assert!(are_finite(&vec![None]));
    }

    #[test]
    fn gradients_are_clipped_by_their_norm_over_all_parameters() {
        let gradient = |values: [f32; 2]| Some(Tensor::<1>::from_data(values, &Device::flex()));
        let gradients = vec![gradient([3.0, 0.0]), None, gradient([0.0, 4.0])];
        let clipped = clip_norm(gradients.clone(), 1.0);
        let values: Vec<f32> = clipped
            .iter()
            .flatten()
            .flat_map(|g| g.clone().into_data().try_to_vec::<f32>().unwrap())
            .collect();
        for (found, expected) in values.iter().zip([0.6, 0.0, 0.0, 0.8]) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
        let untouched = clip_norm(gradients, 10.0);
        let first: Vec<f32> = untouched[0]
            .clone()
            .unwrap()
            .into_data()
            .try_to_vec()
            .unwrap();
        assert_eq!(first, [3.0, 0.0]);
    }
}
