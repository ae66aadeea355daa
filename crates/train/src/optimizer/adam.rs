//! `AdamW` and LAMB, whose steps are made of the same two means.

use burn::tensor::Tensor;

use super::{Slots, decayed};
use crate::recipe::{Adamw, Betas, Lamb};

/// The weight after update number `t`, from 1, by `AdamW`.
pub(super) fn adamw(
    settings: &Adamw,
    weight: Tensor<1>,
    gradient: Tensor<1>,
    means: &mut Slots,
    rate: f64,
    weight_decay: f64,
    t: u64,
) -> Tensor<1> {
    let step = direction(settings.betas, settings.epsilon, gradient, means, t);
    weight * (1.0 - rate * weight_decay) - step * rate
}

/// The weight after update number `t`, from 1, by LAMB; no `weight_decay` is one of a parameter that LAMB does not adapt.
pub(super) fn lamb(
    settings: &Lamb,
    weight: Tensor<1>,
    gradient: Tensor<1>,
    means: &mut Slots,
    rate: f64,
    weight_decay: Option<f64>,
    t: u64,
) -> Tensor<1> {
    let step = direction(settings.betas, settings.epsilon, gradient, means, t);
    let Some(weight_decay) = weight_decay else {
        return weight - step * rate;
    };
    let step = step + weight.clone() * weight_decay;
    let ratio = trust(norm(&weight), norm(&step));
    weight - step * ratio * rate
}

/// The mean gradient over the root of its mean square, both without their bias towards 0.
fn direction(
    Betas(first, second): Betas,
    epsilon: f64,
    gradient: Tensor<1>,
    [mean, mean_square]: &mut Slots,
    t: u64,
) -> Tensor<1> {
    let before =
        |slot: &mut Option<Tensor<1>>| slot.take().unwrap_or_else(|| gradient.zeros_like());
    let new_mean = decayed(before(mean), gradient.clone(), first);
    let new_square = decayed(before(mean_square), gradient.powi_scalar(2), second);
    *mean = Some(new_mean.clone());
    *mean_square = Some(new_square.clone());
    let unbiased = |decay: f64| 1.0 - decay.powf(t as f64);
    let root = (new_square / unbiased(second)).sqrt() + epsilon;
    new_mean / unbiased(first) / root
}

fn norm(values: &Tensor<1>) -> Tensor<1> {
    values.clone().powi_scalar(2).sum().sqrt()
}

/// The weight's norm over the step's, 1 where either is 0.
fn trust(weight: Tensor<1>, step: Tensor<1>) -> Tensor<1> {
    let is_zero = (weight.clone() * step.clone()).equal_scalar(0.0);
    (weight / step).mask_fill(is_zero, 1.0)
}
