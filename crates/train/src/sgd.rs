//! Stochastic gradient descent with momentum, as PyTorch's `torch.optim.SGD`.

use burn::module::Module;
use burn::tensor::Tensor;
use kernels::{SgdOptions, sgd_update};
use models::parameters::{self, Role};

use crate::recipe::{self, ParameterKind};

/// Gradients of the learnt parameters of a network, flat, in its own order; `None` is zero.
pub type Gradients = Vec<Option<Tensor<1>>>;

/// The optimizer: its settings, and the velocity of each learnt parameter.
#[derive(Clone, Debug)]
pub struct Sgd {
    settings: recipe::Sgd,
    velocities: Vec<Option<Tensor<1>>>,
}

impl Sgd {
    /// An optimizer at rest.
    pub fn new(settings: recipe::Sgd) -> Self {
        Self {
            settings,
            velocities: Vec::new(),
        }
    }

    /// The velocity of each learnt parameter in the network's order; none before the first step,
    /// or without momentum.
    pub fn velocities(&self) -> &[Option<Tensor<1>>] {
        &self.velocities
    }

    /// The same optimizer moving with these velocities.
    pub fn with_velocities(mut self, velocities: Vec<Option<Tensor<1>>>) -> Self {
        self.velocities = velocities;
        self
    }

    /// Moves `model` one step at this learning rate, each parameter by [`sgd_update`].
    pub fn step<M: Module>(&mut self, model: M, mut gradients: Gradients, rate: f64) -> M {
        self.velocities.resize(gradients.len(), None);
        let mut position = 0;
        parameters::map_values(model, |role, weight| {
            if !role.is_learnt() {
                return weight;
            }
            let gradient = gradients[position].take();
            let velocity = &mut self.velocities[position];
            position += 1;
            let Some(gradient) = gradient else {
                return weight;
            };
            let options = self.settings.options(role, rate);
            let update = sgd_update(weight, gradient, velocity.take(), options);
            *velocity = update.velocity;
            update.weight
        })
    }
}

impl recipe::Sgd {
    /// What an update of a parameter of this role needs to know.
    fn options(&self, role: Role, rate: f64) -> SgdOptions {
        let is_excluded = match role {
            Role::Bias => self.decay_exclude.contains(&ParameterKind::Bias),
            Role::Norm => self.decay_exclude.contains(&ParameterKind::Norm),
            Role::Slope => self.decay_exclude.contains(&ParameterKind::Slope),
            Role::Weight | Role::RunningStatistic => false,
        };
        SgdOptions {
            rate,
            momentum: self.momentum,
            dampening: self.dampening,
            nesterov: self.nesterov,
            weight_decay: if is_excluded { 0.0 } else { self.weight_decay },
        }
    }
}

/// `sum + scale * more`, parameter by parameter; an empty sum is zero.
pub fn accumulate(sum: Gradients, more: Gradients, scale: f64) -> Gradients {
    if sum.is_empty() && scale == 1.0 {
        return more;
    }
    let scaled = more.into_iter().map(|gradient| gradient.map(|g| g * scale));
    if sum.is_empty() {
        return scaled.collect();
    }
    sum.into_iter()
        .zip(scaled)
        .map(|(sum, more)| match (sum, more) {
            (Some(sum), Some(more)) => Some(sum + more),
            (sum, more) => sum.or(more),
        })
        .collect()
}

/// The gradients, scaled down where their norm over all parameters is above `largest`, as PyTorch's
/// `clip_grad_norm_`.
pub fn clip_norm(gradients: Gradients, largest: f64) -> Gradients {
    let squares = gradients
        .iter()
        .flatten()
        .map(|gradient| gradient.clone().powi_scalar(2).sum())
        .reduce(|sum, more| sum + more);
    let Some(squares) = squares else {
        return gradients;
    };
    let scale = (squares.sqrt() + 1e-6)
        .recip()
        .mul_scalar(largest)
        .clamp_max(1.0);
    gradients
        .into_iter()
        .map(|gradient| gradient.map(|g| g * scale.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use burn::module::{Module, Param, ParamId};
    use burn::tensor::Device;

    use super::*;

    #[derive(Module, Debug)]
    struct Weights {
        weight: Param<Tensor<1>>,
        bias: Param<Tensor<1>>,
    }

    const DECAYED: recipe::Sgd = recipe::Sgd {
        momentum: 0.9,
        weight_decay: 0.1,
        dampening: 0.0,
        nesterov: false,
        decay_exclude: Vec::new(),
    };

    fn parameter(value: f32) -> Param<Tensor<1>> {
        let device = Device::flex().autodiff();
        let value = Tensor::from_data([value], &device).require_grad();
        Param::initialized(ParamId::new(), value)
    }

    /// Weight and bias after three steps at rate 0.1 from 1 and -2, with gradients of 0.5 and 1.
    fn three_steps(settings: recipe::Sgd) -> Vec<f32> {
        let mut sgd = Sgd::new(settings);
        let mut model = Weights {
            weight: parameter(1.0),
            bias: parameter(-2.0),
        };
        for _ in 0..3 {
            let gradients = [0.5, 1.0].map(|g| Some(Tensor::from_data([g], &Device::flex())));
            model = sgd.step(model, gradients.to_vec(), 0.1);
        }
        parameters::values(&model)
            .into_iter()
            .map(|value| value.into_scalar())
            .collect()
    }

    fn assert_close(found: &[f32], expected: [f32; 2]) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
    }

    /// From `torch.optim.SGD` of PyTorch 2.15 on two scalars with the same gradients.
    #[test]
    fn steps_are_pytorchs() {
        assert_close(&three_steps(DECAYED), GOLDEN_PLAIN);
        let nesterov = recipe::Sgd {
            nesterov: true,
            ..DECAYED
        };
        assert_close(&three_steps(nesterov), GOLDEN_NESTEROV);
        let dampened = recipe::Sgd {
            dampening: 0.5,
            ..DECAYED
        };
        assert_close(&three_steps(dampened), GOLDEN_DAMPENED);
        let bias_free = recipe::Sgd {
            decay_exclude: vec![ParameterKind::Bias],
            ..DECAYED
        };
        assert_close(&three_steps(bias_free), GOLDEN_BIAS_FREE);
    }

    #[test]
    fn gradients_are_clipped_by_their_norm_over_all_parameters() {
        let gradient = |values: [f32; 2]| Some(Tensor::<1>::from_data(values, &Device::flex()));
        let gradients = vec![gradient([3.0, 0.0]), None, gradient([0.0, 4.0])];
        let clipped = clip_norm(gradients.clone(), 1.0);
        let values: Vec<f32> = clipped
            .iter()
            .flatten()
            .flat_map(|g| g.clone().into_data().try_to_vec::<f32>().unwrap())
            .collect();
        for (found, expected) in values.iter().zip([0.6, 0.0, 0.0, 0.8]) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
        let untouched = clip_norm(gradients, 10.0);
        let first: Vec<f32> = untouched[0]
            .clone()
            .unwrap()
            .into_data()
            .try_to_vec()
            .unwrap();
        assert_eq!(first, [3.0, 0.0]);
    }

    const GOLDEN_PLAIN: [f32; 2] = [0.666_274, -2.444_968];
    const GOLDEN_NESTEROV: [f32; 2] = [0.5253636, -2.6328485];
    const GOLDEN_DAMPENED: [f32; 2] = [0.7516885, -2.3310819];
    const GOLDEN_BIAS_FREE: [f32; 2] = [0.666_274, -2.561];
}
