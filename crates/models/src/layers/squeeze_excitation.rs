//! Squeeze-and-excitation.

use burn::module::Module;
use burn::tensor::Tensor;
use kernels::{Activation, Finish, gate_channels};

use super::functions::finished;
use super::{Conv2d, Conv2dConfig, flatten, global_average, pixel, sigmoid};
use crate::Init;
use crate::trace::{self, Operation};

/// `x · sigmoid(fc2(act(fc1(mean(x)))))`: each channel times a gate that all channels decide on (Hu
/// et al. 2017, arXiv:1709.01507, equations 2 to 4).
///
/// The fully connected layers are 1x1 convolutions of one pixel, as in most published weights.
#[derive(Module, Debug)]
pub struct SqueezeExcitation {
    /// From the channels to the hidden ones.
    pub fc1: Conv2d,
    /// And back.
    pub fc2: Conv2d,
    #[module(skip)]
    activation: Activation,
}

impl SqueezeExcitation {
    /// Gates for `channels`, from `hidden` values that went through `activation`.
    pub fn new(channels: usize, hidden: usize, activation: Activation, init: &mut Init) -> Self {
        let full = |from, to| Conv2dConfig::square(from, to, 1).with_bias();
        Self {
            fc1: full(channels, hidden).init(init),
            fc2: full(hidden, channels).init(init),
            activation,
        }
    }

    /// `[n, channels, h, w]` to the same.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.forward_with(x, Finish::default())
    }

    /// The same, with what follows in one pass over memory.
    pub fn forward_with(&self, x: Tensor<4>, finish: Finish) -> Tensor<4> {
        let gates = self.gates(x.clone());
        if trace::is_active() {
            let shape = x.dims();
            let gated = trace::merged(Operation::Multiply, &[x, gates], shape);
            return finished(gated, finish);
        }
        gate_channels(x, flatten(gates), finish)
    }

    /// `[n, channels, h, w]` to `[n, channels, 1, 1]`.
    fn gates(&self, x: Tensor<4>) -> Tensor<4> {
        let squeezed = pixel(global_average(x));
        let hidden = self.fc1.forward_with(squeezed, self.activation);
        sigmoid(self.fc2.forward(hidden))
    }
}
