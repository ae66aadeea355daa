//! SqueezeNet.
//!
//! F. Iandola, S. Han, M. Moskewicz, K. Ashraf, W. Dally, K. Keutzer. *SqueezeNet: AlexNet-level
//! accuracy with 50x fewer parameters and <0.5MB model size*. 2016, arXiv:1602.07360, table 1. 1.1 is
//! the authors' later version.
//!
//! | layer | 1.0 | 1.1 |
//! |---|---|---|
//! | convolution, stride 2 | 7x7, 96 | 3x3, 64 |
//! | 3x3 max pool, stride 2 | | |
//! | fire: squeeze to, expand to twice | 16, 64; 16, 64; 32, 128 | 16, 64; 16, 64 |
//! | 3x3 max pool, stride 2 | | |
//! | fire | 32, 128; 48, 192; 48, 192; 64, 256 | 32, 128; 32, 128 |
//! | 3x3 max pool, stride 2 | | |
//! | fire | 64, 256 | 48, 192; 48, 192; 64, 256; 64, 256 |
//! | dropout; 1x1, 1000; mean | | |
//!
//! # Departures
//!
//! - The first convolution of 1.0 does not pad, as torchvision's: 109 pixels of output, where the
//!   paper's table has 111.
//! - Weights are drawn as torchvision draws them: He's, uniform, the last convolution normal with
//!   deviation 0.01. The paper does not say how.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::layers::{Conv2d, Conv2dConfig, Dropout, MaxPool2d, concat, global_average};
use crate::{
    ConfigError, Init, Initialization, Network, NetworkConfig, Tap, gradient_checkpointing,
};

/// Table 1.
pub const SQUEEZENET1_0: SqueezeNetConfig = SqueezeNetConfig {
    stem: (96, 7),
    fires: [
        &[(16, 64), (16, 64), (32, 128)],
        &[(32, 128), (48, 192), (48, 192), (64, 256)],
        &[(64, 256)],
    ],
    dropout: 0.5,
    channels: 3,
    classes: 1000,
};
/// The authors' version 1.1.
pub const SQUEEZENET1_1: SqueezeNetConfig = SqueezeNetConfig {
    stem: (64, 3),
    fires: [
        &[(16, 64), (16, 64)],
        &[(32, 128), (32, 128)],
        &[(48, 192), (48, 192), (64, 256), (64, 256)],
    ],
    ..SQUEEZENET1_0
};

/// A SqueezeNet.
#[derive(Clone, Debug, PartialEq)]
pub struct SqueezeNetConfig {
    /// Filters of the first convolution, height and width of its kernel.
    pub stem: (usize, usize),
    /// What each fire module squeezes to and expands to twice, between poolings.
    pub fires: [&'static [(usize, usize)]; 3],
    /// Share of the last features that training drops.
    pub dropout: f64,
    /// Channels of the images.
    pub channels: usize,
    /// Scores.
    pub classes: usize,
}

impl NetworkConfig for SqueezeNetConfig {
    type Network = SqueezeNet;

    fn initialization(&self) -> Initialization {
        Initialization::Paper
    }

    /// The three poolings want 8 pixels, the first convolution makes them of every other.
    fn check(&self, size: [usize; 2]) -> Result<(), ConfigError> {
        let (_, kernel) = self.stem;
        ConfigError::if_below(kernel + 2 * (8 - 1), size)
    }

    fn init(&self, init: &mut Init) -> SqueezeNet {
        init.paper(Initialization::HeUniform, None);
        let (mut channels, kernel) = self.stem;
        let stem = Conv2dConfig::square(self.channels, channels, kernel);
        let stem = stem.stride(2).with_bias().init(init);
        let mut stages = Vec::with_capacity(self.fires.len());
        for rows in self.fires {
            let mut fires = Vec::with_capacity(rows.len());
            for &(squeezed, expanded) in rows {
                fires.push(Fire::new(channels, squeezed, expanded, init));
                channels = 2 * expanded;
            }
            stages.push(Stage { fires });
        }
        init.paper(Initialization::Gaussian(0.01), None);
        let head = Conv2dConfig::square(channels, self.classes, 1).with_bias();
        SqueezeNet {
            stem,
            pool: MaxPool2d::new(3, 2, 0).ceil(),
            stages,
            dropout: Dropout::new(self.dropout),
            head: head.init(init),
        }
    }

    fn dropout(&mut self) -> Option<&mut f64> {
        Some(&mut self.dropout)
    }
}

/// A SqueezeNet: stem, fire modules, head.
#[derive(Module, Debug)]
pub struct SqueezeNet {
    stem: Conv2d,
    pool: MaxPool2d,
    stages: Vec<Stage>,
    dropout: Dropout,
    head: Conv2d,
}

/// Fire modules between poolings.
#[derive(Module, Debug)]
struct Stage {
    fires: Vec<Fire>,
}

impl Network for SqueezeNet {
    /// Taps at `stem` and after each fire module, as in `stage1.fire0`.
    fn forward_with(&self, images: Tensor<4>, tap: &mut impl Tap) -> Tensor<2> {
        let mut x = tap.at("stem", self.stem.forward_relu(images));
        for (stage, Stage { fires }) in self.stages.iter().enumerate() {
            x = self.pool.forward(x);
            for (index, fire) in fires.iter().enumerate() {
                let place = format!("stage{}.fire{index}", stage + 1);
                x = tap.at(
                    &place,
                    gradient_checkpointing::block(fire, x, Fire::forward),
                );
            }
        }
        global_average(self.head.forward_relu(self.dropout.forward(x)))
    }

    /// torchvision's, which counts every layer.
    fn pytorch_name(&self, path: &str) -> String {
        let index = |text: &str| text.parse::<usize>().expect("an index of a Vec");
        match path.split('.').collect::<Vec<_>>().as_slice() {
            ["stem", name] => format!("features.0.{name}"),
            ["stages", stage, "fires", fire, rest @ ..] => {
                let before = &self.stages[..index(stage)];
                let fires: usize = before.iter().map(|stage| stage.fires.len()).sum();
                let stem_and_pools = 3 + before.len();
                let place = stem_and_pools + fires + index(fire);
                format!("features.{place}.{}", rest.join("."))
            }
            ["head", name] => format!("classifier.1.{name}"),
            _ => path.to_owned(),
        }
    }
}

/// `[expand1x1(y), expand3x3(y)]` of `y = squeeze(x)`, each convolution with its `relu`.
#[derive(Module, Debug)]
struct Fire {
    squeeze: Conv2d,
    expand1x1: Conv2d,
    expand3x3: Conv2d,
}

impl Fire {
    fn new(channels: usize, squeezed: usize, expanded: usize, init: &mut Init) -> Self {
        let mut conv = |channels, filters, kernel| {
            let config = Conv2dConfig::square(channels, filters, kernel);
            config.same_padding().with_bias().init(init)
        };
        Self {
            squeeze: conv(channels, squeezed, 1),
            expand1x1: conv(squeezed, expanded, 1),
            expand3x3: conv(squeezed, expanded, 3),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.squeeze.forward_relu(x);
        concat(vec![
            self.expand1x1.forward_relu(y.clone()),
            self.expand3x3.forward_relu(y),
        ])
    }
}
