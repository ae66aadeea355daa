//! The network of airbench, for CIFAR-10 in seconds.
//!
//! K. Jordan. *94% on CIFAR-10 in 3.29 Seconds on a Single GPU*. 2024, arXiv:2404.00498, section 3.1:
//!
//! | layer | output |
//! |---|---|
//! | 2x2, 24, frozen but for its bias; GELU | 31 |
//! | 3x3, 64; 2x2 max pool; norm; GELU; 3x3, 64; norm; GELU | 15 |
//! | 3x3, 256; 2x2 max pool; norm; GELU; 3x3, 256; norm; GELU | 7 |
//! | 3x3, 256; 2x2 max pool; norm; GELU; 3x3, 256; norm; GELU | 3 |
//! | 3x3 max pool | 1 |
//! | linear, 10, times 1/9 | |
//!
//! The first convolution has two filters for each value of a patch, so that a recipe's `whiten` can make them what whitens
//! patches of the training images (section 3.2). The others begin as the identity on as many channels as they have, and
//! beyond these as PyTorch draws them (section 3.3). Numbers that the paper's text leaves open, such as the momentum of
//! normalisations, which have no scale to learn, are those of the author's airbench94.py.
//!
//! # Departures
//!
//! - Without `whiten`, the first convolution is drawn as the others are, and learns.
//! - The scores of [`forward_map`](Network::forward_map) are those of the last pooling at every offset, which the paper does
//!   not have.

use burn::module::Module;
use burn::tensor::Tensor;
use kernels::{Activation, Finish};

use crate::layers::{BatchNorm, Conv2d, Conv2dConfig, Linear, MaxPool2d, NormOptions, scale};
use crate::{
    ConfigError, Init, Initialization, Network, NetworkConfig, Seen, Tap, gradient_checkpointing,
};

/// The network that reaches 94 %.
pub const AIRBENCH94: AirbenchConfig = AirbenchConfig {
    widths: [64, 256, 256],
    channels: 3,
    classes: 10,
};

/// Height and width of the first convolution's kernel.
const PATCH: usize = 2;
/// What pooling leaves of the last features.
const POOL: usize = 3;
/// What the scores are multiplied by.
const SCALE: f64 = 1.0 / 9.0;
/// As in the author's program.
const NORM: NormOptions = NormOptions {
    momentum: 0.4,
    epsilon: 1e-12,
    learns_scale: false,
};
/// The least and the largest height and width of which the last pooling makes one pixel.
const SIDES: [usize; 2] = [25, 48];

/// A network of airbench.
#[derive(Clone, Debug, PartialEq)]
pub struct AirbenchConfig {
    /// Filters of each stage's convolutions.
    pub widths: [usize; 3],
    /// Channels of the images.
    pub channels: usize,
    /// Scores.
    pub classes: usize,
}

impl NetworkConfig for AirbenchConfig {
    type Network = Airbench;

    /// The identity as far as a convolution has filters for it, and PyTorch's way.
    fn initialization(&self) -> Initialization {
        Initialization::Paper
    }

    fn check(&self, size: [usize; 2]) -> Result<(), ConfigError> {
        let [least, most] = SIDES;
        if size.iter().all(|side| (least..=most).contains(side)) {
            return Ok(());
        }
        Err(ConfigError::ImageSize {
            expected: format!("{least}x{least} to {most}x{most}"),
            found: size,
        })
    }

    fn check_map(&self, size: [usize; 2]) -> Result<(), ConfigError> {
        ConfigError::if_below(SIDES[0], size)
    }

    fn init(&self, init: &mut Init) -> Airbench {
        init.paper(Initialization::PyTorch, Some(0.0));
        init.paper_identity();
        let mut channels = 2 * self.channels * PATCH * PATCH;
        let whitening = Conv2dConfig::square(self.channels, channels, PATCH).with_bias();
        let whitening = whitening.init(init);
        let mut stages = Vec::with_capacity(self.widths.len());
        for width in self.widths {
            stages.push(Stage::new(channels, width, init));
            channels = width;
        }
        Airbench {
            whitening,
            stages,
            head: Linear::without_bias(channels, self.classes, init),
        }
    }
}

/// A network of airbench: a convolution that whitens, three stages and a linear layer.
#[derive(Module, Debug)]
pub struct Airbench {
    whitening: Conv2d,
    stages: Vec<Stage>,
    head: Linear,
}

impl Network for Airbench {
    /// Taps at `whitening` and `stage1` to `stage3`.
    fn features(&self, images: Tensor<4>, tap: &mut impl Tap) -> Tensor<4> {
        let x = self.whitening.forward_with(images, Activation::Gelu); // [n, 24, 31, 31]
        let mut x = tap.at("whitening", x);
        for (index, stage) in self.stages.iter().enumerate() {
            x = gradient_checkpointing::block(stage, x, Stage::forward);
            x = tap.at(&format!("stage{}", index + 1), x);
        }
        x // [n, 256, 3, 3]
    }

    fn seen(&self) -> Seen {
        Seen::Pooled {
            side: 1,
            pool: POOL,
        }
    }

    fn classify(&self, rows: Tensor<2>) -> Tensor<2> {
        scale(self.head.forward(rows), SCALE)
    }

    /// Those of the author's `nn.Sequential`.
    fn pytorch_name(&self, path: &str) -> String {
        let parts: Vec<&str> = path.split('.').collect();
        match parts.as_slice() {
            ["whitening", name] => format!("0.{name}"),
            ["stages", stage, layer, name] => {
                let stage: usize = stage.parse().expect("an index of a Vec");
                format!("{}.{layer}.{name}", stage + 2)
            }
            ["head", name] => format!("7.{name}"),
            _ => path.to_owned(),
        }
    }
}

/// `gelu(norm(conv(gelu(norm(pool(conv(x)))))))`.
#[derive(Module, Debug)]
struct Stage {
    conv1: Conv2d,
    pool: MaxPool2d,
    norm1: BatchNorm,
    conv2: Conv2d,
    norm2: BatchNorm,
}

impl Stage {
    fn new(channels: usize, width: usize, init: &mut Init) -> Self {
        let conv = |channels| Conv2dConfig::square(channels, width, 3).same_padding();
        Self {
            conv1: conv(channels).init(init),
            pool: MaxPool2d::new(2, 2, 0),
            norm1: BatchNorm::with(width, NORM, init),
            conv2: conv(width).init(init),
            norm2: BatchNorm::with(width, NORM, init),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let gelu = || Finish {
            activation: Activation::Gelu,
            ..Finish::default()
        };
        let x = self.pool.forward(self.conv1.forward(x));
        let x = self.norm1.forward_with(x, gelu());
        self.norm2.forward_with(self.conv2.forward(x), gelu())
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::parameters;

    fn network(initialization: Initialization) -> Airbench {
        AIRBENCH94.init(&mut Init::new(&Device::flex(), initialization, 0))
    }

    fn filters(network: &Airbench) -> Tensor<4> {
        network.stages[1].conv1.weight.val() // [256, 64, 3, 3]
    }

    #[test]
    fn convolutions_begin_as_the_identity_as_far_as_they_have_filters() {
        let device = Device::flex();
        let x = Tensor::<4>::random([1, 64, 5, 5], burn::tensor::Distribution::Default, &device);
        let network = network(Initialization::Paper);
        let y = network.stages[1].conv1.forward(x.clone());
        let first = y.clone().narrow(1, 0, 64);
        let error: f32 = (first - x).abs().max().into_scalar();
        assert!(error < 1e-5, "{error}");
        let others: f32 = filters(&network)
            .narrow(0, 64, 192)
            .abs()
            .max()
            .into_scalar();
        let bound = 1.0 / f32::sqrt(64.0 * 9.0);
        assert!(others <= bound && others > 0.99 * bound, "{others}");
    }

    #[test]
    fn another_initialisation_has_no_identity() {
        let first = filters(&network(Initialization::He)).narrow(0, 0, 1);
        let zeros: i64 = first.equal_elem(0.0).int().sum().into_scalar();
        assert_eq!(zeros, 0);
    }

    #[test]
    fn what_learns_has_no_scale_of_a_normalisation() {
        let device = Device::flex().autodiff();
        let network = AIRBENCH94.init(&mut Init::new(&device, Initialization::Paper, 0));
        let images = Tensor::<4>::ones([2, 3, 32, 32], &device);
        let mut found = network.forward(images).sum().backward();
        let gradients = parameters::take_gradients(&network, &mut found);
        let learnt = parameters::of(&network).into_iter();
        let learnt = learnt.filter(|parameter| parameter.role.is_learnt());
        for (parameter, gradient) in learnt.zip(gradients) {
            let is_scale = parameter.path.contains("norm") && parameter.path.ends_with("weight");
            assert_eq!(gradient.is_none(), is_scale, "{}", parameter.path);
        }
    }
}
