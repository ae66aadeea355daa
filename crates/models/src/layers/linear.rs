//! The fully connected layer.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use kernels::{linear, profile};

use super::relu;
use crate::Init;
use crate::trace::{self, Operation};

/// `y = x Wᵀ + b`, or without `b`.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[outputs, inputs]`, PyTorch's layout.
    pub weight: Param<Tensor<2>>,
    /// `[outputs]`.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// A layer from `inputs` features to `outputs`.
    pub fn new(inputs: usize, outputs: usize, init: &mut Init) -> Self {
        Self {
            weight: init.linear_weight([outputs, inputs]),
            bias: Some(init.linear_bias([outputs, inputs])),
        }
    }

    /// The same that adds nothing.
    pub fn without_bias(inputs: usize, outputs: usize, init: &mut Init) -> Self {
        Self {
            weight: init.linear_weight([outputs, inputs]),
            bias: None,
        }
    }

    /// `[n, inputs]` to `[n, outputs]`.
    ///
    /// # Panics
    ///
    /// Where the features are not as many as the layer's inputs.
    pub fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        if trace::is_active() {
            let [outputs, inputs] = self.weight.lazy_shape().dims();
            assert_eq!(features.dims()[1], inputs, "features");
            let operation = Operation::Linear {
                weight: self.weight.id,
                has_bias: self.bias.is_some(),
            };
            return trace::linear(features, operation, [outputs, inputs]);
        }
        profile::within(self.weight.id.val(), || {
            let weight = self.weight.val();
            let bias = match &self.bias {
                Some(bias) => bias.val(),
                None => Tensor::zeros([weight.dims()[0]], &weight.device()),
            };
            linear(features, weight, bias)
        })
    }

    /// `max(0, x Wᵀ + b)`.
    pub fn forward_relu(&self, features: Tensor<2>) -> Tensor<2> {
        relu(self.forward(features))
    }
}
