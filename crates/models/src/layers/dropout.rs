//! Dropout.

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};

use crate::noise;
use crate::trace::{self, Operation};

/// Zeroes each value with a probability, and scales the others so that the expectation stays
/// (Srivastava et al. 2014, JMLR 15, section 10, as PyTorch's).
///
/// On an autodiff device it draws from [`noise`]; on any other (after `model.valid()`) it is the
/// identity.
#[derive(Module, Debug)]
pub struct Dropout {
    #[module(skip)]
    probability: f64,
}

impl Dropout {
    /// Values are dropped with this probability, below 1.
    pub fn new(probability: f64) -> Self {
        Self { probability }
    }

    /// Features `[n, f]` or images `[n, channels, h, w]` to the same.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        if self.probability == 0.0 {
            return x;
        }
        if trace::is_active() {
            return trace::pointwise(x, Operation::Dropout, 0);
        }
        let device = x.device();
        if !device.is_autodiff() {
            return x;
        }
        let mask = noise::mask(x.shape().num_elements(), self.probability);
        let mask: Tensor<D> = Tensor::from_data(TensorData::new(mask, x.shape()), &device);
        x.clone() * mask.cast(x.dtype())
    }
}
