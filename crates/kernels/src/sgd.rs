//! The update of stochastic gradient descent, as PyTorch's `torch.optim.SGD`.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use crate::ops::{CnnOps, Optional};

/// The constants of an update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdOptions {
    /// How far weights move.
    pub rate: f64,
    /// The share of the velocity that is kept; without one, there is no velocity.
    pub momentum: f64,
    /// The share of the gradient that the velocity does not take.
    pub dampening: f64,
    /// Whether weights move by where the velocity will take them.
    pub nesterov: bool,
    /// The share of the weight that is added to its gradient.
    pub weight_decay: f64,
}

/// What an update leaves.
#[derive(Clone, Debug)]
pub struct SgdUpdate {
    /// The weight, `[values]`.
    pub weight: Tensor<1>,
    /// The velocity, `[values]`, where there is momentum.
    pub velocity: Option<Tensor<1>>,
}

/// Moves a weight against its gradient, in one pass over memory.
///
/// With gradient g, weight w, velocity v and decay d: `g += d w`; `v = momentum v + (1 - dampening) g`,
/// which starts as g; `w -= rate (g + momentum v)` with Nesterov, else `rate v`.
///
/// # Shapes
///
/// - `weight`, `gradient`, `velocity`: `[values]`
///
/// # Panics
///
/// Where the shapes differ.
pub fn sgd_update(
    weight: Tensor<1>,
    gradient: Tensor<1>,
    velocity: Option<Tensor<1>>,
    options: SgdOptions,
) -> SgdUpdate {
    assert_eq!(gradient.dims(), weight.dims(), "a gradient for each value");
    if let Some(velocity) = &velocity {
        assert_eq!(velocity.dims(), weight.dims(), "a velocity for each value");
    }
    let (weight, velocity) = Dispatch::sgd_update(
        weight.into_dispatch(),
        gradient.into_dispatch(),
        velocity.map_or(Optional::None, |velocity| {
            Optional::Some(velocity.into_dispatch())
        }),
        options,
    );
    SgdUpdate {
        weight: Tensor::from_dispatch(weight),
        velocity: (options.momentum != 0.0).then(|| Tensor::from_dispatch(velocity)),
    }
}
