//! Averages of a network in training: the exponential moving average, and Lookahead's slow weights.

use burn::module::Module;
use burn::tensor::Tensor;
use models::parameters;

/// An average of a network's weights, and of its running statistics, which belong to the averaged
/// weights better than the last ones do.
#[derive(Clone, Debug)]
pub struct Average {
    values: Vec<Tensor<1>>,
}

impl Average {
    /// An average that starts from `model`.
    pub fn new(model: &impl Module) -> Self {
        Self {
            values: parameters::values(model),
        }
    }

    /// An average with these values, in the network's order.
    pub fn from_values(values: Vec<Tensor<1>>) -> Self {
        Self { values }
    }

    /// The values, in the network's order.
    pub fn values(&self) -> &[Tensor<1>] {
        &self.values
    }

    /// `average = average + (1 - decay) (model - average)`, which leaves what does not move exactly as
    /// it is.
    pub fn update(&mut self, model: &impl Module, decay: f64) {
        for (average, value) in self.values.iter_mut().zip(parameters::values(model)) {
            let change = (value - average.clone()) * (1.0 - decay);
            *average = average.clone() + change;
        }
    }

    /// `model` with the averaged values, also in the clones with which it shares running statistics.
    pub fn apply<M: Module>(&self, model: M) -> M {
        let mut values = self.values.iter();
        parameters::map_values(model, |_, _| {
            values
                .next()
                .expect("an average of a network of the same shape")
                .clone()
        })
    }
}
