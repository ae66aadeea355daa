//! Batch normalisation with PyTorch's running statistics.

use burn::module::{Flag, Module, Param, RunningState};
use burn::tensor::Tensor;
use kernels::{Activation, Finish, batch_norm, batch_norm_train, profile};
use serde::{Deserialize, Serialize};

use super::functions::finished;
use crate::trace::{self, Operation};
use crate::{Init, gradient_checkpointing};

/// What normalises the output of a network's convolutions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NormKind {
    /// Batch normalisation.
    Batch,
    /// Nothing; convolutions have biases in its place.
    None,
}

impl NormKind {
    /// Of the batch normalisation, where there is one.
    pub(crate) fn options(self) -> Option<NormOptions> {
        (self == Self::Batch).then(NormOptions::default)
    }
}

/// What papers and libraries set differently.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormOptions {
    /// The share of the new batch in the running statistics.
    pub momentum: f64,
    /// What is added to the variance.
    pub epsilon: f64,
    /// Whether the scale learns: otherwise it stays 1.
    pub learns_scale: bool,
}

/// PyTorch's.
impl Default for NormOptions {
    fn default() -> Self {
        Self {
            momentum: 0.1,
            epsilon: 1e-5,
            learns_scale: true,
        }
    }
}

/// Batch normalisation over `[n, channels, h, w]` (Ioffe and Szegedy 2015, arXiv:1502.03167).
///
/// On an autodiff device it normalises by the batch and moves its running statistics; on any other
/// (after `model.valid()`), or where it is frozen, it normalises by the running statistics: a
/// frozen part of a network computes in training what it computes in evaluation. The running variance averages
/// the *unbiased* variance of the batches, as PyTorch's does.
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// The scale, `[channels]`.
    pub weight: Param<Tensor<1>>,
    /// The shift, `[channels]`.
    pub bias: Param<Tensor<1>>,
    /// The moving average of the batches' means, `[channels]`.
    pub running_mean: RunningState<Tensor<1>>,
    /// The moving average of the batches' variances, `[channels]`.
    pub running_var: RunningState<Tensor<1>>,
    /// Whether training normalises by the batch: not where the layer is frozen.
    learns: Param<Flag>,
    #[module(skip)]
    options: NormOptions,
}

impl BatchNorm {
    /// A normalisation that starts as the identity on standardised channels.
    pub fn new(channels: usize, init: &mut Init) -> Self {
        Self::with(channels, NormOptions::default(), init)
    }

    /// The same with these options.
    pub fn with(channels: usize, options: NormOptions, init: &mut Init) -> Self {
        Self {
            weight: init
                .constant(1.0, [channels])
                .set_require_grad(options.learns_scale),
            bias: init.constant(0.0, [channels]),
            running_mean: RunningState::new(Tensor::zeros([channels], init.device())),
            running_var: RunningState::new(Tensor::ones([channels], init.device())),
            learns: Param::from_bool(true),
            options,
        }
    }

    /// `[n, channels, h, w]` to the same.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        self.forward_with(images, Finish::default())
    }

    /// `relu(norm(x))`.
    pub fn forward_relu(&self, images: Tensor<4>) -> Tensor<4> {
        let finish = Finish {
            activation: Activation::Relu,
            ..Finish::default()
        };
        self.forward_with(images, finish)
    }

    /// The same, with what follows in one pass over memory: `[n, channels, h, w]` to the same.
    pub fn forward_with(&self, images: Tensor<4>, finish: Finish) -> Tensor<4> {
        if trace::is_active() {
            return self.trace(images, finish);
        }
        profile::within(self.weight.id.val(), || {
            if images.device().is_autodiff() && self.learns.is_enabled() {
                self.forward_train(images, finish)
            } else {
                self.forward_valid(images, finish)
            }
        })
    }

    fn forward_valid(&self, images: Tensor<4>, finish: Finish) -> Tensor<4> {
        batch_norm(
            images,
            self.weight.val(),
            self.bias.val(),
            self.running_mean.value(),
            self.running_var.value(),
            self.options.epsilon,
            finish,
        )
    }

    fn trace(&self, images: Tensor<4>, finish: Finish) -> Tensor<4> {
        let parameters = 2 * self.weight.lazy_shape().num_elements();
        let operation = Operation::BatchNorm {
            weight: self.weight.id,
            epsilon: self.options.epsilon,
        };
        finished(trace::pointwise(images, operation, parameters), finish)
    }

    fn forward_train(&self, images: Tensor<4>, finish: Finish) -> Tensor<4> {
        let (weight, bias) = (self.weight.val(), self.bias.val());
        let normalized = batch_norm_train(images, weight, bias, self.options.epsilon, finish);
        if !gradient_checkpointing::recomputes() {
            let momentum = self.options.momentum;
            advance(&self.running_mean, normalized.mean, momentum);
            advance(&self.running_var, normalized.variance, momentum);
        }
        normalized.output
    }
}

fn advance(state: &RunningState<Tensor<1>>, batch: Tensor<1>, momentum: f64) {
    let average = state.value() * (1.0 - momentum) + batch * momentum;
    state.update(average.detach());
    // An update is pending until the next synchronisation: without this one, whoever saves or
    // clones the layer now would get the statistics of one step ago.
    state.value_sync();
}
