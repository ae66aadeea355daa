//! Local response normalisation.

use burn::module::Module;
use burn::tensor::Tensor;
use kernels::local_response_norm;

use crate::trace::{self, Operation};

/// `x / (k + alpha · Σ x'²)^beta` over neighbouring channels (Krizhevsky et al. 2012, section 3.3).
#[derive(Module, Debug)]
pub struct LocalResponseNorm {
    #[module(skip)]
    options: kernels::LocalResponseNorm,
}

impl LocalResponseNorm {
    /// The constants of section 3.3.
    pub const KRIZHEVSKY: kernels::LocalResponseNorm = kernels::LocalResponseNorm {
        size: 5,
        alpha: 1e-4,
        beta: 0.75,
        k: 2.0,
    };

    /// A normalisation with these constants.
    pub fn new(options: kernels::LocalResponseNorm) -> Self {
        Self { options }
    }

    /// `[n, channels, h, w]` to the same.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        if trace::is_active() {
            let operation = Operation::LocalResponseNorm(self.options);
            return trace::pointwise(images, operation, 0);
        }
        local_response_norm(images, self.options)
    }
}
