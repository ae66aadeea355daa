//! The optimizer: how gradients move the weights.

mod adam;
mod gradients;
mod rmsprop;
mod sgd;
#[cfg(test)]
mod tests;

use burn::module::Module;
use burn::tensor::Tensor;
use models::parameters::{self, Role};

pub use self::gradients::{Gradients, accumulate, are_finite, clip_norm, scale};
use crate::recipe::{self, ParameterKind};

/// What an optimizer keeps of a parameter from one step to the next, flat; [`Optimizer::slots`] has the names.
pub type Slots = [Option<Tensor<1>>; 2];

/// The optimizer: its settings, and what it keeps of each learnt parameter.
#[derive(Clone, Debug)]
pub struct Optimizer {
    settings: recipe::Optimizer,
    kept: Vec<Slots>,
    updates: u64,
}

impl Optimizer {
    /// An optimizer at rest.
    pub fn new(settings: recipe::Optimizer) -> Self {
        Self {
            settings,
            kept: Vec::new(),
            updates: 0,
        }
    }

    /// What the things are that it keeps.
    pub fn slots(&self) -> &'static [&'static str] {
        match self.settings {
            recipe::Optimizer::Sgd(_) => &["velocity"],
            recipe::Optimizer::Rmsprop(_) => &["mean_square", "velocity"],
            recipe::Optimizer::Adamw(_) | recipe::Optimizer::Lamb(_) => &["mean", "mean_square"],
        }
    }

    /// What it keeps of each learnt parameter in the network's order; nothing before the first step.
    pub fn kept(&self) -> &[Slots] {
        &self.kept
    }

    /// Updates so far.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// The same optimizer with this kept after so many updates.
    pub fn with_kept(self, kept: Vec<Slots>, updates: u64) -> Self {
        Self {
            kept,
            updates,
            ..self
        }
    }

    /// Moves `model` at this learning rate.
    pub fn step<M: Module>(&mut self, model: M, mut gradients: Gradients, rate: f64) -> M {
        self.updates += 1;
        self.kept.resize(gradients.len(), [None, None]);
        let mut position = 0;
        parameters::map_values(model, |role, weight| {
            if !role.is_learnt() {
                return weight;
            }
            let gradient = gradients[position].take();
            let kept = &mut self.kept[position];
            position += 1;
            match gradient {
                Some(gradient) => {
                    self.settings
                        .update(role, weight, gradient, kept, rate, self.updates)
                }
                None => weight,
            }
        })
    }
}

impl recipe::Optimizer {
    /// A parameter after update number `t`, from 1.
    fn update(
        &self,
        role: Role,
        weight: Tensor<1>,
        gradient: Tensor<1>,
        kept: &mut Slots,
        rate: f64,
        t: u64,
    ) -> Tensor<1> {
        let decays = !is_among(role, self.decay_exclude());
        let decay = |decay: f64| if decays { decay } else { 0.0 };
        match self {
            Self::Sgd(settings) => {
                let (rate, decay) = match (settings.norm, role) {
                    (Some(group), Role::Norm) => (rate * group.rate_factor, group.weight_decay),
                    _ => (rate, decay(settings.weight_decay)),
                };
                sgd::update(settings, weight, gradient, kept, rate, decay)
            }
            Self::Rmsprop(settings) => {
                let decay = decay(settings.weight_decay);
                rmsprop::update(settings, weight, gradient, kept, rate, decay)
            }
            Self::Adamw(settings) => {
                let decay = decay(settings.weight_decay);
                adam::adamw(settings, weight, gradient, kept, rate, decay, t)
            }
            Self::Lamb(settings) => {
                let decay = decays.then_some(settings.weight_decay);
                adam::lamb(settings, weight, gradient, kept, rate, decay, t)
            }
        }
    }
}

fn is_among(role: Role, kinds: &[ParameterKind]) -> bool {
    match role {
        Role::Bias => kinds.contains(&ParameterKind::Bias),
        Role::Norm => kinds.contains(&ParameterKind::Norm),
        Role::Slope => kinds.contains(&ParameterKind::Slope),
        Role::Weight | Role::RunningStatistic => false,
    }
}

/// A running mean that keeps `decay` of what it was.
fn decayed(mean: Tensor<1>, value: Tensor<1>, decay: f64) -> Tensor<1> {
    mean * decay + value * (1.0 - decay)
}
