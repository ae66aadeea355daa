//! Convolutional highway networks for CIFAR.
//!
//! R. Srivastava, K. Greff, J. Schmidhuber. *Training Very Deep Networks*. 2015, arXiv:1507.06228,
//! section 3.3 (Highway B and C), after *Highway Networks*, arXiv:1505.00387. Sizes of the 19 layers
//! are those of the authors' Caffe model.
//!
//! | stage | output | 19 layers | 32 layers |
//! |---|---|---|---|
//! | 3x3; 3x3 highway layers; 2x2 max pool | 16 | 1 + 4, width 32 | 1 + 9, width 32 |
//! | 3x3; 3x3 highway layers; 2x2 max pool | 8 | 1 + 5, width 80 | 1 + 9, width 48 |
//! | 3x3; 3x3 highway layers | 8 | 1 + 5, width 128 | 1 + 9, width 64 |
//! | 1x1, width 100; mean; fully connected | 1 | | |
//!
//! Of 20 and of 56 layers, each stage is 1 + 5 and 1 + 17, with the widths of 32 layers.
//!
//! # Departures
//!
//! - The paper gives 32 layers and 1.25 M parameters, and neither widths nor where the layers are.
//!   Ten layers a stage, of widths 32, 48 and 64, are a choice: they have 1.25 M parameters.
//! - 20 and 56 layers are the depths of the residual networks that they are compared with, and not the paper's.
//! - Dropout of the image, of what is pooled and before the classifier is the authors' model's; the
//!   paper does not name it.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::layers::{Conv2d, Conv2dConfig, Dropout, Linear, MaxPool2d, blend, sigmoid};
use crate::{
    ConfigError, Init, Initialization, Network, NetworkConfig, Seen, Tap, gradient_checkpointing,
};

/// Highway B: 19 layers, 2.3 M parameters.
pub const HIGHWAY19: HighwayConfig = HighwayConfig {
    stages: [(4, 32), (5, 80), (5, 128)],
    dropout: 0.2,
    channels: 3,
    classes: 10,
};
/// Highway C: 32 layers, 1.25 M parameters.
pub const HIGHWAY32: HighwayConfig = highway_c(32);

/// Highway C of another depth: d highway layers a stage are 3 (1 + d) + 2 layers.
pub const fn highway_c(layers: usize) -> HighwayConfig {
    let depth = (layers - 2) / 3 - 1;
    HighwayConfig {
        stages: [(depth, 32), (depth, 48), (depth, 64)],
        ..HIGHWAY19
    }
}

/// Filters of the 1x1 convolution.
const LAST_WIDTH: usize = 100;
/// Layers carry their input at first (section 2.2); the value is the authors' Caffe model's.
const GATE_BIAS: f32 = -2.0;

/// A highway network.
#[derive(Clone, Debug, PartialEq)]
pub struct HighwayConfig {
    /// Highway layers of each stage, and their width.
    pub stages: [(usize, usize); 3],
    /// Share of the values between stages that training drops.
    pub dropout: f64,
    /// Channels of the images.
    pub channels: usize,
    /// Scores.
    pub classes: usize,
}

impl NetworkConfig for HighwayConfig {
    type Network = Highway;

    /// He's, but for the gates' biases: section 3.
    fn initialization(&self) -> Initialization {
        Initialization::Paper
    }

    /// Two poolings halve the image.
    fn check(&self, size: [usize; 2]) -> Result<(), ConfigError> {
        ConfigError::if_below(4, size)
    }

    fn init(&self, init: &mut Init) -> Highway {
        let mut channels = self.channels;
        let mut stages = Vec::with_capacity(self.stages.len());
        for (depth, width) in self.stages {
            stages.push(Stage::new(channels, width, depth, init));
            channels = width;
        }
        init.paper(Initialization::He, None);
        let last = Conv2dConfig::square(channels, LAST_WIDTH, 1).with_bias();
        Highway {
            dropout: Dropout::new(self.dropout),
            stages,
            pool: MaxPool2d::new(2, 2, 0),
            last: last.init(init),
            head: Linear::new(LAST_WIDTH, self.classes, init),
        }
    }

    fn dropout(&mut self) -> Option<&mut f64> {
        Some(&mut self.dropout)
    }
}

/// A highway network: stages, head.
#[derive(Module, Debug)]
pub struct Highway {
    dropout: Dropout,
    stages: Vec<Stage>,
    pool: MaxPool2d,
    last: Conv2d,
    head: Linear,
}

impl Network for Highway {
    /// Taps at `stage1` to `stage3`, before their pooling, and in each at `stage1.layer0` and so on.
    fn features(&self, images: Tensor<4>, tap: &mut impl Tap) -> Tensor<4> {
        let mut x = self.dropout.forward(images);
        for (index, stage) in self.stages.iter().enumerate() {
            if index > 0 {
                x = self.dropout.forward(self.pool.forward(x));
            }
            x = stage.forward(x, &format!("stage{}", index + 1), tap);
        }
        self.last.forward_relu(x) // [n, 100, h, w]
    }

    fn seen(&self) -> Seen {
        Seen::Mean
    }

    fn classify(&self, rows: Tensor<2>) -> Tensor<2> {
        self.head.forward(self.dropout.forward(rows))
    }
}

/// A convolution that changes the width, and highway layers.
#[derive(Module, Debug)]
struct Stage {
    widen: Conv2d,
    layers: Vec<HighwayLayer>,
}

impl Stage {
    fn new(channels: usize, width: usize, depth: usize, init: &mut Init) -> Self {
        init.paper(Initialization::He, None);
        let widen = Conv2dConfig::square(channels, width, 3);
        Self {
            widen: widen.same_padding().with_bias().init(init),
            layers: (0..depth).map(|_| HighwayLayer::new(width, init)).collect(),
        }
    }

    fn forward(&self, x: Tensor<4>, place: &str, tap: &mut impl Tap) -> Tensor<4> {
        let mut x = self.widen.forward_relu(x);
        for (index, layer) in self.layers.iter().enumerate() {
            x = gradient_checkpointing::block(layer, x, HighwayLayer::forward);
            x = tap.at(&format!("{place}.layer{index}"), x);
        }
        tap.at(place, x)
    }
}

/// `t(x) h(x) + (1 - t(x)) x`, with `h = relu(conv)` and `t = sigmoid(conv)`: equation 3.
#[derive(Module, Debug)]
struct HighwayLayer {
    transform: Conv2d,
    gate: Conv2d,
}

impl HighwayLayer {
    fn new(width: usize, init: &mut Init) -> Self {
        let conv = Conv2dConfig::square(width, width, 3).same_padding();
        init.paper(Initialization::He, None);
        let transform = conv.with_bias().init(init);
        init.paper(Initialization::He, Some(GATE_BIAS));
        let gate = conv.with_bias().init(init);
        Self { transform, gate }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let transformed = self.transform.forward_relu(x.clone());
        let gate = sigmoid(self.gate.forward(x.clone()));
        blend(transformed, x, gate)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn gates_carry_at_first() {
        let mut init = Init::new(&Device::flex(), Initialization::Paper, 0);
        let network = HIGHWAY19.init(&mut init);
        for layer in network.stages.iter().flat_map(|stage| &stage.layers) {
            let first = |conv: &Conv2d| -> f32 {
                let bias = conv.bias.as_ref().expect("both have biases");
                bias.val().slice(0..1).into_scalar()
            };
            assert_eq!((first(&layer.transform), first(&layer.gate)), (0.0, -2.0));
        }
    }
}
