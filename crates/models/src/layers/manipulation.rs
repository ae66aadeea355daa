//! What may be done to the shortcuts of a residual network.

use burn::module::Module;
use burn::tensor::Tensor;
use kernels::Finish;
use serde::{Deserialize, Serialize};

use super::functions::finished;
use super::{Conv2d, Conv2dConfig, Dropout, multiply, scale, sigmoid};
use crate::{ConfigError, Init};

/// What is done to a shortcut, and to the path beside it (K. He, X. Zhang, S. Ren, J. Sun. *Identity
/// Mappings in Deep Residual Networks*. 2016, arXiv:1603.05027, section 3.1, figure 2 and Table 1).
///
/// The paper's 1x1 convolutional shortcut, its figure 2(e), is option C of He et al. 2015.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Manipulation {
    /// Constant scaling, figure 2(b): `shortcut · x + path · F(x)`.
    Scaling {
        /// Of what the shortcut carries.
        shortcut: f64,
        /// Of what the path makes.
        path: f64,
    },
    /// Exclusive gating, figure 2(c): `(1 - g(x)) · x + g(x) · F(x)`, with `g = sigmoid(conv)`.
    ExclusiveGating {
        /// Of the gates, before training; the more negative, the closer the shortcut is to the identity.
        bias: f64,
    },
    /// Shortcut-only gating, figure 2(d): `(1 - g(x)) · x + F(x)`.
    ShortcutOnlyGating {
        /// Of the gates, before training.
        bias: f64,
    },
    /// Dropout of what the shortcut carries, figure 2(f), with this probability.
    Dropout(f64),
}

impl Manipulation {
    /// Whether its numbers are such as can be computed with.
    pub(crate) fn check(self) -> Result<(), ConfigError> {
        match self {
            Self::Scaling { shortcut, path } => {
                ConfigError::unless_finite("manipulation.scaling.shortcut", shortcut)?;
                ConfigError::unless_finite("manipulation.scaling.path", path)
            }
            Self::ExclusiveGating { bias } => {
                ConfigError::unless_finite("manipulation.exclusive_gating.bias", bias)
            }
            Self::ShortcutOnlyGating { bias } => {
                ConfigError::unless_finite("manipulation.shortcut_only_gating.bias", bias)
            }
            Self::Dropout(probability) => {
                ConfigError::unless_probability("manipulation.dropout", probability)
            }
        }
    }

    /// What its gates have before training, where it gates.
    fn bias(self) -> Option<f64> {
        match self {
            Self::ExclusiveGating { bias } | Self::ShortcutOnlyGating { bias } => Some(bias),
            Self::Scaling { .. } | Self::Dropout(_) => None,
        }
    }
}

/// What the shortcut of a residual block and the path beside it are multiplied by before they are
/// added: by nothing, or as a [`Manipulation`] says.
#[derive(Module, Debug)]
pub struct Manipulator {
    gate: Option<Conv2d>,
    #[module(skip)]
    manipulation: Option<Manipulation>,
}

impl Manipulator {
    /// For a block between these numbers of channels; gates are a 1x1 convolution of its input.
    pub fn new(
        manipulation: Option<Manipulation>,
        channels: usize,
        outputs: usize,
        stride: usize,
        init: &mut Init,
    ) -> Self {
        let gate = manipulation.and_then(Manipulation::bias).map(|bias| {
            let conv = Conv2dConfig::square(channels, outputs, 1).stride(stride);
            Conv2d {
                bias: Some(init.constant(bias as f32, [outputs])),
                ..conv.init(init)
            }
        });
        Self { gate, manipulation }
    }

    /// The factors of a block's shortcut and path, for its input `[n, channels, h, w]`.
    pub fn factors(&self, x: &Tensor<4>) -> [Factor; 2] {
        match self.manipulation {
            None => [Factor::One, Factor::One],
            Some(Manipulation::Scaling { shortcut, path }) => {
                [shortcut, path].map(Factor::constant)
            }
            Some(Manipulation::ExclusiveGating { .. }) => {
                let gates = self.gates(x);
                [Factor::carry(gates.clone()), Factor::Gates(sigmoid(gates))]
            }
            Some(Manipulation::ShortcutOnlyGating { .. }) => {
                [Factor::carry(self.gates(x)), Factor::One]
            }
            Some(Manipulation::Dropout(probability)) => {
                [Factor::Dropout(Dropout::new(probability)), Factor::One]
            }
        }
    }

    /// Before their sigmoid.
    fn gates(&self, x: &Tensor<4>) -> Tensor<4> {
        let gate = self.gate.as_ref().expect("what gates has gates");
        gate.forward(x.clone())
    }
}

/// What a summand is multiplied by.
#[expect(
    clippy::large_enum_variant,
    reason = "a block has two, and moves each of them once"
)]
pub enum Factor {
    /// Nothing.
    One,
    /// A number.
    Constant(f64),
    /// A number for each value.
    Gates(Tensor<4>),
    /// Zero, or what keeps the expectation.
    Dropout(Dropout),
}

impl Factor {
    #[expect(
        clippy::float_cmp,
        reason = "what is exactly one need not be multiplied by"
    )]
    fn constant(factor: f64) -> Self {
        if factor == 1.0 {
            Self::One
        } else {
            Self::Constant(factor)
        }
    }

    /// `1 - sigmoid(x)` is `sigmoid(-x)`.
    fn carry(gates: Tensor<4>) -> Self {
        Self::Gates(sigmoid(scale(gates, -1.0)))
    }

    /// `[n, channels, h, w]` to the same.
    pub fn times(self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::One => x,
            Self::Constant(factor) => scale(x, factor),
            Self::Gates(gates) => multiply(gates, x),
            Self::Dropout(dropout) => dropout.forward(x),
        }
    }

    /// What `layer` makes, multiplied, and then finished: `layer` is asked to finish it in its own pass
    /// over memory where it is not multiplied.
    pub fn after(self, finish: Finish, layer: impl FnOnce(Finish) -> Tensor<4>) -> Tensor<4> {
        match self {
            Self::One => layer(finish),
            factor => finished(factor.times(layer(Finish::default())), finish),
        }
    }
}
