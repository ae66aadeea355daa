//! Network in Network, the form for CIFAR-10.
//!
//! M. Lin, Q. Chen, S. Yan. *Network In Network*. 2013, arXiv:1312.4400, section 4.2. The paper says
//! three mlpconv layers, each followed by pooling, with dropout between them; the numbers are those
//! of the authors' Caffe model for CIFAR-10.
//!
//! | layer | output |
//! |---|---|
//! | mlpconv: 5x5, 192; 1x1, 160; 1x1, 96 | 32 |
//! | 3x3 max pool, stride 2; dropout | 16 |
//! | mlpconv: 5x5, 192; 1x1, 192; 1x1, 192 | 16 |
//! | 3x3 mean, stride 2; dropout | 8 |
//! | mlpconv: 3x3, 192; 1x1, 192; 1x1, 10 | 8 |
//! | mean | 1 |
//!
//! # Departures
//!
//! None known. The authors' model was not at hand itself: sizes, poolings that reach over the edge
//! and the deviation of 0.05 are as others have it.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::layers::{AvgPool2d, Conv2d, Conv2dConfig, Dropout, MaxPool2d};
use crate::{ConfigError, Init, Initialization, Network, NetworkConfig, Seen, Tap};

/// The network for CIFAR-10.
pub const NIN: NinConfig = NinConfig {
    dropout: 0.5,
    channels: 3,
    classes: 10,
};

/// A Network in Network.
#[derive(Clone, Debug, PartialEq)]
pub struct NinConfig {
    /// Share of what is pooled that training drops.
    pub dropout: f64,
    /// Channels of the images.
    pub channels: usize,
    /// Scores.
    pub classes: usize,
}

impl NetworkConfig for NinConfig {
    type Network = Nin;

    /// The authors' model.
    fn initialization(&self) -> Initialization {
        Initialization::Gaussian(0.05)
    }

    /// Each pooling wants two pixels.
    fn check(&self, size: [usize; 2]) -> Result<(), ConfigError> {
        ConfigError::if_below(4, size)
    }

    fn init(&self, init: &mut Init) -> Nin {
        Nin {
            mlpconv1: MlpConv::new(self.channels, 5, [192, 160, 96], init),
            pool1: MaxPool2d::new(3, 2, 0).ceil(),
            mlpconv2: MlpConv::new(96, 5, [192, 192, 192], init),
            pool2: AvgPool2d::new(3, 2).ceil(),
            mlpconv3: MlpConv::new(192, 3, [192, 192, self.classes], init),
            dropout: Dropout::new(self.dropout),
        }
    }

    fn dropout(&mut self) -> Option<&mut f64> {
        Some(&mut self.dropout)
    }
}

/// A Network in Network.
#[derive(Module, Debug)]
pub struct Nin {
    mlpconv1: MlpConv,
    pool1: MaxPool2d,
    mlpconv2: MlpConv,
    pool2: AvgPool2d,
    mlpconv3: MlpConv,
    dropout: Dropout,
}

impl Network for Nin {
    /// Taps at `stage1` and `stage2`, after their pooling, and `stage3`.
    fn features(&self, images: Tensor<4>, tap: &mut impl Tap) -> Tensor<4> {
        let x = self.pool1.forward(self.mlpconv1.forward(images)); // [n, 96, 16, 16]
        let x = self.dropout.forward(tap.at("stage1", x));
        let x = self.pool2.forward(self.mlpconv2.forward(x)); // [n, 192, 8, 8]
        let x = self.dropout.forward(tap.at("stage2", x));
        let x = self.mlpconv3.forward(x); // [n, classes, 8, 8]
        tap.at("stage3", x)
    }

    fn seen(&self) -> Seen {
        Seen::Mean
    }

    /// Means of the last layer's maps, one for each class, are the scores.
    fn classify(&self, rows: Tensor<2>) -> Tensor<2> {
        rows
    }
}

/// `relu(conv(..))` three times, the second and third 1x1: equation 2.
#[derive(Module, Debug)]
struct MlpConv {
    convs: Vec<Conv2d>,
}

impl MlpConv {
    fn new(mut channels: usize, kernel: usize, filters: [usize; 3], init: &mut Init) -> Self {
        let mut convs = Vec::with_capacity(filters.len());
        for (filters, kernel) in filters.into_iter().zip([kernel, 1, 1]) {
            let conv = Conv2dConfig::square(channels, filters, kernel);
            convs.push(conv.same_padding().with_bias().init(init));
            channels = filters;
        }
        Self { convs }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.convs.iter().fold(x, |x, conv| conv.forward_relu(x))
    }
}
