//! The networks of all families, as one type: Burn's `Module` has no trait objects.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::Tap;
use crate::lenet::LeNet;
use crate::resnet::ResNet;

/// A network of any family.
#[derive(Module, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a program holds a few networks, and moves them rarely"
)]
pub enum Model {
    /// LeNet-5.
    LeNet(LeNet),
    /// A plain or residual network.
    ResNet(ResNet),
}

/// What a network says of a batch in training.
#[derive(Clone, Debug)]
pub struct Scores {
    /// `[n, classes]`.
    pub logits: Tensor<2>,
    /// The auxiliary classifiers' scores, `[n, classes]` each, and the weight of their loss.
    pub auxiliary: Vec<(Tensor<2>, f64)>,
}

impl Model {
    /// `[n, channels, h, w]` to `[n, classes]`.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.forward_with(images, &mut ())
    }

    /// The same, showing what flows to `tap`.
    pub fn forward_with(&self, images: Tensor<4>, tap: &mut impl Tap) -> Tensor<2> {
        match self {
            Self::LeNet(net) => net.forward_with(images, tap),
            Self::ResNet(net) => net.forward_with(images, tap),
        }
    }

    /// The scores that a training step needs, auxiliary classifiers included.
    pub fn forward_train(&self, images: Tensor<4>) -> Scores {
        Scores {
            logits: self.forward(images),
            auxiliary: Vec::new(),
        }
    }

    /// The name that the reference implementation gives the parameter at `path`.
    pub fn pytorch_name(&self, path: &str) -> String {
        match self {
            Self::LeNet(_) => path.to_owned(),
            Self::ResNet(_) => ResNet::pytorch_name(path),
        }
    }

    /// Other names that published weights use, as prefixes: (theirs, the reference's).
    pub(crate) fn aliases(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::LeNet(_) => &[],
            Self::ResNet(_) => ResNet::ALIASES,
        }
    }
}
