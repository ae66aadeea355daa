//! LeNet-5.
//!
//! Y. LeCun, L. Bottou, Y. Bengio, P. Haffner. *Gradient-based learning applied to document
//! recognition*. Proceedings of the IEEE 86(11), 1998, section II.B.
//!
//! | layer | output |
//! |---|---|
//! | image | 1 x 28 x 28 |
//! | C1: 5x5 convolution | 6 x 24 x 24 |
//! | S2: 2x2 mean | 6 x 12 x 12 |
//! | C3: 5x5 convolution | 16 x 8 x 8 |
//! | S4: 2x2 mean | 16 x 4 x 4 |
//! | C5, F6, output: fully connected | 256, 120, 84, 10 |
//!
//! # Departures
//!
//! - The image is 28x28, not padded to 32x32, as LeNet-5 is mostly taught: C5 sees 4x4, not 5x5.
//! - Subsampling is the plain mean; the paper's has a learnt scale and bias a map and a squashing.
//! - C3 sees all six maps of S2 (the paper's table I wires each of its maps to some of them).
//! - The output is linear and meant for softmax cross-entropy, not radial basis functions.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::layers::{AvgPool2d, Conv2d, Conv2dConfig, Linear, scale, tanh};
use crate::{ConfigError, Init, Initialization, Network, NetworkConfig, Seen, Tap};

/// The network of section II.B.
pub const LENET5: LeNetConfig = LeNetConfig {
    channels: 1,
    classes: 10,
};

/// The height and width of the images.
const SIZE: usize = 28;
/// What C5 sees.
const SEEN: Seen = Seen::Square(4);
/// Maps of S4.
const MAPS: usize = 16;

/// A LeNet-5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeNetConfig {
    /// Channels of the images.
    pub channels: usize,
    /// Scores.
    pub classes: usize,
}

impl NetworkConfig for LeNetConfig {
    type Network = LeNet;

    /// Section III: uniform within 2.4 / fan-in.
    fn initialization(&self) -> Initialization {
        Initialization::LeCun
    }

    fn check(&self, size: [usize; 2]) -> Result<(), ConfigError> {
        ConfigError::if_not(SIZE, size)
    }

    fn check_map(&self, size: [usize; 2]) -> Result<(), ConfigError> {
        ConfigError::if_below(SIZE, size)
    }

    fn init(&self, init: &mut Init) -> LeNet {
        LeNet {
            conv1: Conv2dConfig::square(self.channels, 6, 5)
                .with_bias()
                .init(init),
            conv2: Conv2dConfig::square(6, MAPS, 5).with_bias().init(init),
            subsample: AvgPool2d::new(2, 2),
            fc1: Linear::new(SEEN.values(MAPS), 120, init),
            fc2: Linear::new(120, 84, init),
            fc3: Linear::new(84, self.classes, init),
        }
    }
}

/// LeNet-5.
#[derive(Module, Debug)]
pub struct LeNet {
    conv1: Conv2d,
    conv2: Conv2d,
    subsample: AvgPool2d,
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
}

impl Network for LeNet {
    /// Taps at `stage1` (S2) and `stage2` (S4).
    fn features(&self, images: Tensor<4>, tap: &mut impl Tap) -> Tensor<4> {
        let x = squash(self.conv1.forward(images)); // [n, 6, 24, 24]
        let x = tap.at("stage1", self.subsample.forward(x)); // [n, 6, 12, 12]
        let x = squash(self.conv2.forward(x)); // [n, 16, 8, 8]
        tap.at("stage2", self.subsample.forward(x)) // [n, 16, 4, 4]
    }

    fn seen(&self) -> Seen {
        SEEN
    }

    fn classify(&self, rows: Tensor<2>) -> Tensor<2> {
        let x = squash(self.fc1.forward(rows));
        let x = squash(self.fc2.forward(x));
        self.fc3.forward(x)
    }
}

/// `1.7159 tanh(2x/3)`: appendix A.
fn squash<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    scale(tanh(scale(x, 2.0 / 3.0)), 1.7159)
}
