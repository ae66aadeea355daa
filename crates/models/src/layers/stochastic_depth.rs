//! Stochastic depth.

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use kernels::{Finish, gate_channels};

use super::functions::finished;
use crate::noise;
use crate::routes::{self, Route};
use crate::trace::{self, Operation};

/// Drops the path of a residual block, image by image, with a probability, and scales the others so
/// that the expectation stays (Huang et al. 2016, arXiv:1603.09382, equation 2, scaled in training
/// rather than in evaluation, as torchvision's). The paper drops a path for a whole batch.
///
/// Every residual block adds by this layer, also where nothing is dropped: here it takes its
/// [`Route`].
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

    /// What is left of `path`, `[n, channels, h, w]`, with what `finish` asks for; where nothing is
    /// dropped, `path` itself does that, in its own pass over memory.
    pub fn after(&self, finish: Finish, path: impl FnOnce(Finish) -> Tensor<4>) -> Tensor<4> {
        let Some(residual) = &finish.residual else {
            return path(finish);
        };
        let route = routes::next();
        if route != Route::Both {
            let layers = || path(Finish::default());
            return route.take(residual.clone(), finish.activation, layers);
        }
        if self.probability == 0.0 {
            return path(finish);
        }
        if trace::is_active() {
            let path = path(Finish::default());
            let path = trace::pointwise(path, Operation::StochasticDepth, 0);
            return finished(path, finish);
        }
        let device = residual.device();
        if !device.is_autodiff() {
            return path(finish);
        }
        let [n, channels, _, _] = residual.dims();
        let mask: Vec<f32> = noise::mask(n, self.probability)
            .into_iter()
            .flat_map(|image| std::iter::repeat_n(image, channels))
            .collect();
        let mask = Tensor::from_data(TensorData::new(mask, [n, channels]), &device);
        gate_channels(path(Finish::default()), mask, finish)
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
        let output = StochasticDepth::new(0.25).after(finish, |_| ones);
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
