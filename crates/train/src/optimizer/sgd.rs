//! Stochastic gradient descent with momentum, as PyTorch's `torch.optim.SGD`.

use burn::tensor::Tensor;
use kernels::{SgdOptions, sgd_update};

use super::Slots;
use crate::recipe::Sgd;

/// The weight after an update, by [`sgd_update`].
pub(super) fn update(
    settings: &Sgd,
    weight: Tensor<1>,
    gradient: Tensor<1>,
    [velocity, _]: &mut Slots,
    rate: f64,
    weight_decay: f64,
) -> Tensor<1> {
    let options = SgdOptions {
        rate,
        momentum: settings.momentum,
        dampening: settings.dampening,
        nesterov: settings.nesterov,
        weight_decay,
    };
    let update = sgd_update(weight, gradient, velocity.take(), options);
    *velocity = update.velocity;
    update.weight
}
