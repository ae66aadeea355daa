//! What all families have in common.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::{ConfigError, Init, Initialization, Tap};

/// The configuration of a network: a row of its paper's table.
pub trait NetworkConfig {
    /// The network.
    type Network: Network;

    /// How its paper draws the weights.
    fn initialization(&self) -> Initialization;

    /// Whether the network can be built and takes images of `[height, width]`.
    fn check(&self, size: [usize; 2]) -> Result<(), ConfigError>;

    /// Makes the network.
    ///
    /// The classifier's bias, a value for each class, comes last among its parameters.
    fn init(&self, init: &mut Init) -> Self::Network;

    /// With what probability training drops values, where the network drops any.
    fn dropout(&mut self) -> Option<&mut f64> {
        None
    }
}

/// A network of some family.
pub trait Network: Module {
    /// Other names that published weights use, as prefixes: (theirs, the reference's).
    const ALIASES: &'static [(&'static str, &'static str)] = &[];

    /// `[n, channels, h, w]` to `[n, classes]`, showing what flows to `tap`.
    fn forward_with(&self, images: Tensor<4>, tap: &mut impl Tap) -> Tensor<2>;

    /// `[n, channels, h, w]` to `[n, classes]`.
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.forward_with(images, &mut ())
    }

    /// The scores that a training step needs, auxiliary classifiers included.
    fn forward_train(&self, images: Tensor<4>) -> Scores {
        Scores::from(self.forward(images))
    }

    /// The name that the reference implementation gives the parameter at `path`.
    fn pytorch_name(&self, path: &str) -> String {
        path.to_owned()
    }
}

/// What a network says of a batch in training.
#[derive(Clone, Debug)]
pub struct Scores {
    /// `[n, classes]`.
    pub logits: Tensor<2>,
    /// The auxiliary classifiers' scores, `[n, classes]` each, and the weight of their loss.
    pub auxiliary: Vec<(Tensor<2>, f64)>,
}

/// Scores of a network without auxiliary classifiers.
impl From<Tensor<2>> for Scores {
    fn from(logits: Tensor<2>) -> Self {
        Self {
            logits,
            auxiliary: Vec::new(),
        }
    }
}
