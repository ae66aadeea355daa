//! Stochastic gradient descent with momentum, as PyTorch's `torch.optim.SGD`.

use burn::module::Module;
use burn::tensor::Tensor;
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

    /// Moves `model` one step at this learning rate.
    ///
    /// With gradient `g`, weight `w`, velocity `v` and decay `d`: `g += d w`; `v = momentum v +
    /// (1 - dampening) g`, which starts as `g`; `w -= rate (g + momentum v)` with Nesterov, else
    /// `rate v`.
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
            match gradient {
                Some(gradient) => {
                    let gradient = decayed(&self.settings, role, gradient, &weight);
                    weight - direction(&self.settings, gradient, velocity) * rate
                }
                None => weight,
            }
        })
    }
}

fn decayed(
    settings: &recipe::Sgd,
    role: Role,
    gradient: Tensor<1>,
    weight: &Tensor<1>,
) -> Tensor<1> {
    let excluded = match role {
        Role::Bias => settings.decay_exclude.contains(&ParameterKind::Bias),
        Role::Norm => settings.decay_exclude.contains(&ParameterKind::Norm),
        Role::Weight | Role::RunningStatistic => false,
    };
    if excluded || settings.weight_decay == 0.0 {
        return gradient;
    }
    gradient + weight.clone() * settings.weight_decay
}

fn direction(
    settings: &recipe::Sgd,
    gradient: Tensor<1>,
    velocity: &mut Option<Tensor<1>>,
) -> Tensor<1> {
    if settings.momentum == 0.0 {
        return gradient;
    }
    let moved = match velocity.take() {
        Some(velocity) => {
            velocity * settings.momentum + gradient.clone() * (1.0 - settings.dampening)
        }
        None => gradient.clone(),
    };
    *velocity = Some(moved.clone());
    if settings.nesterov {
        gradient + moved * settings.momentum
    } else {
        moved
    }
}

/// `sum + scale * more`, parameter by parameter.
pub fn accumulate(sum: Gradients, more: Gradients, scale: f64) -> Gradients {
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
