//! `[optimizer]`: the rule of an update.

use serde::{Deserialize, Serialize};

use crate::bounds;

/// The rule of an update.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename = "a table", rename_all = "snake_case")]
pub enum Optimizer {
    /// Stochastic gradient descent.
    Sgd(Sgd),
    /// Steps divided by the root of the mean square of the gradient.
    Rmsprop(Rmsprop),
    /// Adam with decoupled weight decay.
    Adamw(Adamw),
    /// Adam with steps as long as a share of the weights they move.
    Lamb(Lamb),
}

impl Optimizer {
    /// Parameters without decay.
    pub fn decay_exclude(&self) -> &[ParameterKind] {
        match self {
            Self::Sgd(Sgd { decay_exclude, .. })
            | Self::Rmsprop(Rmsprop { decay_exclude, .. })
            | Self::Adamw(Adamw { decay_exclude, .. })
            | Self::Lamb(Lamb { decay_exclude, .. }) => decay_exclude,
        }
    }
}

/// SGD with PyTorch's rule: `g += weight_decay w; v = momentum v + (1 - dampening) g; w -= rate v`,
/// the first `v` being `g`, and with Nesterov `w -= rate (g + momentum v)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sgd {
    /// 0 is none.
    #[serde(default, deserialize_with = "bounds::below_one")]
    pub momentum: f64,
    /// Coupled L2 decay; 0 is none.
    #[serde(default, deserialize_with = "bounds::zero_or_more")]
    pub weight_decay: f64,
    /// 0 is none.
    #[serde(default, deserialize_with = "bounds::probability")]
    pub dampening: f64,
    /// Needs momentum, and no dampening.
    #[serde(default)]
    pub nesterov: bool,
    /// Parameters without decay.
    #[serde(default)]
    pub decay_exclude: Vec<ParameterKind>,
    /// Scale and shift of normalisation layers, where they are updated in another way than the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub norm: Option<ParameterGroup>,
}

/// What is different for some parameters: PyTorch's parameter groups.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParameterGroup {
    /// What the learning rate is multiplied by.
    #[serde(deserialize_with = "bounds::above_zero")]
    pub rate_factor: f64,
    /// In place of the others'.
    #[serde(deserialize_with = "bounds::zero_or_more")]
    pub weight_decay: f64,
}

/// `RMSProp` (T. Tieleman, G. Hinton. *Lecture 6.5*. 2012) as a program that papers were made with computes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rmsprop {
    /// Whose rule it is: they differ in where `epsilon` stands, and in the first steps.
    pub variant: RmspropVariant,
    /// What an update keeps of the mean square.
    #[serde(deserialize_with = "bounds::below_one")]
    pub decay: f64,
    /// Keeps the divisor from 0. Inception's papers have 1.0, to mean TensorFlow's.
    #[serde(deserialize_with = "bounds::above_zero")]
    pub epsilon: f64,
    /// 0 is none.
    #[serde(default, deserialize_with = "bounds::below_one")]
    pub momentum: f64,
    /// Coupled L2 decay; 0 is none.
    #[serde(default, deserialize_with = "bounds::zero_or_more")]
    pub weight_decay: f64,
    /// Parameters without decay.
    #[serde(default)]
    pub decay_exclude: Vec<ParameterKind>,
}

/// Whose `RMSProp` it is. In both, `g += weight_decay w; s = decay s + (1 - decay) g^2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RmspropVariant {
    /// `s` begins at 1; `v = momentum v + rate g / sqrt(s + epsilon); w -= v`.
    TensorFlow,
    /// `s` begins at 0; `v = momentum v + g / (sqrt(s) + epsilon); w -= rate v`.
    PyTorch,
}

/// `AdamW` (I. Loshchilov, F. Hutter. 2017, arXiv:1711.05101) with PyTorch's rule at step `t`, from 1:
/// `w -= rate weight_decay w; m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2;
/// w -= rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adamw {
    /// What an update keeps of the mean gradient, and of its mean square.
    pub betas: Betas,
    /// Keeps the divisor from 0.
    #[serde(deserialize_with = "bounds::above_zero")]
    pub epsilon: f64,
    /// Decoupled decay; 0 is none.
    #[serde(default, deserialize_with = "bounds::zero_or_more")]
    pub weight_decay: f64,
    /// Parameters without decay.
    #[serde(default)]
    pub decay_exclude: Vec<ParameterKind>,
}

/// LAMB (Y. You et al. 2019, arXiv:1904.00962, algorithm 2): with `m` and `v` as `AdamW`'s,
/// `r = (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon) + weight_decay w; w -= rate r |w| / |r|`, the norms being those of
/// a whole parameter, and `|w| / |r|` 1 where either is 0, and, as in timm, of a parameter without decay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lamb {
    /// What an update keeps of the mean gradient, and of its mean square.
    pub betas: Betas,
    /// Keeps the divisor from 0.
    #[serde(deserialize_with = "bounds::above_zero")]
    pub epsilon: f64,
    /// 0 is none.
    #[serde(default, deserialize_with = "bounds::zero_or_more")]
    pub weight_decay: f64,
    /// Parameters without decay.
    #[serde(default)]
    pub decay_exclude: Vec<ParameterKind>,
}

/// What updates keep of two means: `[0.9, 0.999]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f64>")]
pub struct Betas(pub f64, pub f64);

impl TryFrom<Vec<f64>> for Betas {
    type Error = &'static str;

    fn try_from(betas: Vec<f64>) -> Result<Self, Self::Error> {
        match betas[..] {
            [first, second] if betas.iter().all(|beta| (0.0..1.0).contains(beta)) => {
                Ok(Self(first, second))
            }
            _ => Err("expected two numbers from 0 to below 1, such as `[0.9, 0.999]`"),
        }
    }
}

/// Kinds of parameters that weight decay may leave alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterKind {
    /// Biases of convolutions and linear layers.
    Bias,
    /// Scale and shift of normalisation layers.
    Norm,
    /// Slopes of PReLU.
    Slope,
}
