//! An exponential moving average of a network.

use burn::module::Module;
use burn::tensor::Tensor;
use models::parameters;

/// The average of a network's weights, and of its running statistics, which belong to the averaged
/// weights better than the last ones do.
#[derive(Clone, Debug)]
pub struct Ema {
    decay: f64,
    values: Vec<Tensor<1>>,
}

impl Ema {
    /// An average that starts from `model`.
    pub fn new(decay: f64, model: &impl Module) -> Self {
        Self {
            decay,
            values: parameters::values(model),
        }
    }

    /// An average with these values, in the network's order.
    pub fn from_values(decay: f64, values: Vec<Tensor<1>>) -> Self {
        Self { decay, values }
    }

    /// The values, in the network's order.
    pub fn values(&self) -> &[Tensor<1>] {
        &self.values
    }

    /// `average = average + (1 - decay) (model - average)`, which leaves what does not move exactly as
    /// it is.
    pub fn update(&mut self, model: &impl Module) {
        for (average, value) in self.values.iter_mut().zip(parameters::values(model)) {
            let change = (value - average.clone()) * (1.0 - self.decay);
            *average = average.clone() + change;
        }
    }

    /// `fresh` with the averaged values. It must share no running statistics with the network in
    /// training, as a clone of that would.
    pub fn apply<M: Module>(&self, fresh: M) -> M {
        let mut values = self.values.iter();
        parameters::map_values(fresh, |_, _| {
            values
                .next()
                .expect("an average of a network of the same shape")
                .clone()
        })
    }
}
