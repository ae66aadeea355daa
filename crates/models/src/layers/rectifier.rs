//! What rectifies.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::prelu;
use kernels::{Activation, Finish, profile};
use serde::{Deserialize, Serialize};

use super::relu;
use crate::Init;
use crate::trace::{self, Operation};

/// Which rectifier a network has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RectifierKind {
    /// `max(0, x)`.
    Relu,
    /// `max(0, x) + a min(0, x)`, with an `a` that each channel learns.
    PRelu,
}

impl RectifierKind {
    /// What `a` is before training: PReLU's starts at 0.25 (He et al. 2015, arXiv:1502.01852, section
    /// 2.1).
    pub(crate) fn slope(self) -> f32 {
        match self {
            Self::Relu => 0.0,
            Self::PRelu => 0.25,
        }
    }
}

/// ReLU, or PReLU (He et al. 2015, arXiv:1502.01852, equation 1).
#[derive(Module, Debug)]
pub struct Rectifier {
    /// PReLU's `a` of each channel, `[channels]`.
    pub weight: Option<Param<Tensor<1>>>,
}

impl Rectifier {
    /// A rectifier of so many channels.
    pub fn new(kind: RectifierKind, channels: usize, init: &mut Init) -> Self {
        let learns = kind == RectifierKind::PRelu;
        Self {
            weight: learns.then(|| init.constant(kind.slope(), [channels])),
        }
    }

    /// Features `[n, channels]` or images `[n, channels, h, w]` to the same.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let Some(weight) = &self.weight else {
            return relu(x);
        };
        if trace::is_active() {
            let slopes = weight.lazy_shape().num_elements();
            let operation = Operation::PRelu { weight: weight.id };
            return trace::pointwise(x, operation, slopes);
        }
        profile::within(weight.id.val(), || {
            let slopes = weight.val().cast(x.dtype());
            prelu(x, slopes)
        })
    }

    /// What `layer` makes, with the residual added, rectified: `layer` is asked to add, and to rectify
    /// where it can, in its own pass over memory.
    pub fn after(
        &self,
        residual: Option<Tensor<4>>,
        layer: impl FnOnce(Finish) -> Tensor<4>,
    ) -> Tensor<4> {
        let learns = self.weight.is_some();
        let activation = if learns {
            Activation::Identity
        } else {
            Activation::Relu
        };
        let x = layer(Finish {
            residual,
            activation,
        });
        if learns { self.forward(x) } else { x }
    }
}
