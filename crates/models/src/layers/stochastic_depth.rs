//! Stochastic depth.

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use kernels::{Finish, activate, gate_channels};

use super::residual_add;
use crate::{LayerKind, noise, trace};

/// Drops the path of a residual block, image by image, with a probability, and scales the others so
/// that the expectation stays (Huang et al. 2016, arXiv:1603.09382, equation 2, scaled in training
/// rather than in evaluation, as torchvision's).
///
/// On an autodiff device it draws from [`noise`]; on any other (after `model.valid()`) it drops
/// nothing.
#[derive(Module, Debug)]
pub struct StochasticDepth {
    #[module(skip)]
    probability: f64,
}

impl StochasticDepth {
    /// Paths are dropped with this probability, below 1.
    pub fn new(probability: f64) -> Self {
        Self { probability }
    }

    /// What is left of the path, with what `finish` asks for: `[n, channels, h, w]` to the same.
    pub fn forward_with(&self, path: Tensor<4>, finish: Finish) -> Tensor<4> {
        let drops = self.probability > 0.0;
        if trace::is_active() {
            let path = if drops {
                trace::pointwise(path, LayerKind::StochasticDepth, None, 0)
            } else {
                path
            };
            return added(path, finish.residual);
        }
        let device = path.device();
        if !drops || !device.is_autodiff() {
            return activate(added(path, finish.residual), finish.activation);
        }
        let [n, channels, _, _] = path.dims();
        let mask: Vec<f32> = noise::mask(n, self.probability)
            .into_iter()
            .flat_map(|image| std::iter::repeat_n(image, channels))
            .collect();
        let mask = Tensor::from_data(TensorData::new(mask, [n, channels]), &device);
        gate_channels(path, mask, finish)
    }
}

fn added(path: Tensor<4>, residual: Option<Tensor<4>>) -> Tensor<4> {
    match residual {
        Some(residual) => residual_add(path, residual),
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    /// With a path of ones and a residual of tens, an image is 10 or 10 + 1 / 0.75 everywhere.
    #[test]
    fn whole_images_are_dropped() {
        noise::start(0, 0, 0);
        let device = Device::flex().autodiff();
        let ones = Tensor::<4>::ones([64, 3, 2, 2], &device);
        let finish = Finish {
            residual: Some(ones.clone() * 10.0),
            ..Finish::default()
        };
        let output = StochasticDepth::new(0.25).forward_with(ones, finish);
        let values: Vec<f32> = output.into_data().try_to_vec().unwrap();
        let kept = 10.0 + 1.0 / 0.75_f32;
        let images: Vec<f32> = values.chunks(12).map(|image| image[0]).collect();
        for (image, value) in values.chunks(12).zip(&images) {
            assert!(*value == 10.0 || *value == kept, "{value}");
            assert!(image.iter().all(|other| other == value), "{image:?}");
        }
        assert!(images.contains(&10.0) && images.contains(&kept));
    }
}
