//! Deformable residual networks.
//!
//! J. Dai, H. Qi, Y. Xiong, Y. Li, G. Zhang, H. Hu, Y. Wei. *Deformable Convolutional Networks*. 2017,
//! arXiv:1703.06211 (version 1); X. Zhu, H. Hu, S. Lin, J. Dai. *Deformable ConvNets v2: More
//! Deformable, Better Results*. 2018, arXiv:1811.11168 (version 2). ResNet-50 whose 3x3 convolutions
//! are deformable in its last stages:
//!
//! | stage | output | blocks | version 1 | version 2 |
//! |---|---|---|---|---|
//! | 7x7, 64, stride 2; 3x3 max pool, stride 2 | 56 | | | |
//! | conv2_x, width 64 | 56 | 3 | | |
//! | conv3_x, width 128 | 28 | 4 | | modulated |
//! | conv4_x, width 256 | 14 | 6 | | modulated |
//! | conv5_x, width 512 | 7 | 3 | deformable | modulated |
//! | mean, linear, softmax | 1 | | | |
//!
//! # Departures
//!
//! - Networks for classification, in which conv5_x has stride 2; the papers' are backbones of detectors
//!   and segmenters, where it is dilated instead.
//! - A bottleneck's stride is on its 3x3, as torchvision's.
//! - One offset group; version 1 has four in some of its detectors.
//! - Offsets learn at the rate of all else; version 2 has a tenth of it for them.

use burn::module::Module;
use burn::tensor::Tensor;
use kernels::{Activation, Finish};

use crate::layers::{
    BatchNorm, Conv2d, Conv2dConfig, ConvNorm, DeformConv2d, DeformConv2dConfig, Linear, MaxPool2d,
    Shortcut, StochasticDepth,
};
use crate::stages::{self, Position, Stage};
use crate::{ConfigError, Init, Initialization, Network, NetworkConfig, Seen, Tap};

/// Version 1: the last three 3x3 convolutions, those of conv5_x.
pub const DEFORM_RESNET50: DeformResNetConfig = DeformResNetConfig {
    depths: [3, 4, 6, 3],
    deformable: 1,
    modulates: false,
    stochastic_depth: 0.0,
    channels: 3,
    classes: 1000,
};
/// Version 2: modulated in conv3_x to conv5_x (section 3.1).
pub const DEFORM_RESNET50_V2: DeformResNetConfig = DeformResNetConfig {
    deformable: 3,
    modulates: true,
    ..DEFORM_RESNET50
};

/// Width of conv2_x; each further stage has twice as much.
const WIDTH: usize = 64;
/// Output channels of a block for each channel of its 3x3 convolution.
const EXPANSION: usize = 4;

/// A deformable residual network of bottlenecks.
#[derive(Clone, Debug, PartialEq)]
pub struct DeformResNetConfig {
    /// Blocks in each stage.
    pub depths: [usize; 4],
    /// Stages, of the last, that are deformable.
    pub deformable: usize,
    /// Whether taps are weighted.
    pub modulates: bool,
    /// The probability that training drops the path of the last block; those of the blocks before it
    /// are linear in depth.
    pub stochastic_depth: f64,
    /// Channels of the images.
    pub channels: usize,
    /// Scores.
    pub classes: usize,
}

impl DeformResNetConfig {
    fn is_deformable(&self, stage: usize) -> bool {
        stage + self.deformable >= self.depths.len()
    }
}

impl NetworkConfig for DeformResNetConfig {
    type Network = DeformResNet;

    /// As ResNet's; what the taps move by starts at zero.
    fn initialization(&self) -> Initialization {
        Initialization::He
    }

    /// Every layer is padded: images of any size do.
    fn check(&self, _size: [usize; 2]) -> Result<(), ConfigError> {
        Ok(())
    }

    fn init(&self, init: &mut Init) -> DeformResNet {
        let stem = Conv2dConfig::square(self.channels, WIDTH, 7).stride(2);
        let stem = ConvNorm::new(stem.padding(3), init);
        let (stages, channels) = stages::build(&self.depths, WIDTH, |position| {
            let outputs = EXPANSION * (WIDTH << position.stage);
            (DeformBlock::new(self, position, init), outputs)
        });
        DeformResNet {
            stem,
            pool: MaxPool2d::new(3, 2, 1),
            stages,
            head: Linear::new(channels, self.classes, init),
        }
    }

    fn stochastic_depth(&mut self) -> Option<&mut f64> {
        Some(&mut self.stochastic_depth)
    }
}

/// A deformable residual network: stem, stages, head.
#[derive(Module, Debug)]
pub struct DeformResNet {
    stem: ConvNorm,
    pool: MaxPool2d,
    stages: Vec<Stage<DeformBlock>>,
    head: Linear,
}

impl Network for DeformResNet {
    /// Taps at `stem` and after each block, as in `stage1.block0`.
    fn features(&self, images: Tensor<4>, tap: &mut impl Tap) -> Tensor<4> {
        let x = tap.at("stem", self.pool.forward(self.stem.forward_relu(images)));
        stages::forward(&self.stages, 1, x, tap)
    }

    fn seen(&self) -> Seen {
        Seen::Mean
    }

    fn classify(&self, rows: Tensor<2>) -> Tensor<2> {
        self.head.forward(rows)
    }

    /// torchvision's of a ResNet, with `offset` in a deformable convolution.
    fn pytorch_name(&self, path: &str) -> String {
        let parts: Vec<&str> = path.split('.').collect();
        match parts.as_slice() {
            ["stem", "conv", leaf] => format!("conv1.{leaf}"),
            ["stem", "norm", leaf] => format!("bn1.{leaf}"),
            ["stages", stage, "blocks", block, rest @ ..] => {
                let name = match rest {
                    ["first", "conv", leaf] => format!("conv1.{leaf}"),
                    ["first", _, leaf] => format!("bn1.{leaf}"),
                    ["middle", "offset", leaf] => format!("conv2.offset.{leaf}"),
                    ["middle", .., leaf] => format!("conv2.{leaf}"),
                    ["norm", leaf] => format!("bn2.{leaf}"),
                    ["last", "conv", leaf] => format!("conv3.{leaf}"),
                    ["last", _, leaf] => format!("bn3.{leaf}"),
                    ["shortcut", "projection", "conv", leaf] => format!("downsample.0.{leaf}"),
                    ["shortcut", "projection", _, leaf] => format!("downsample.1.{leaf}"),
                    _ => rest.join("."),
                };
                let stage = stage.parse::<usize>().expect("an index of a Vec") + 1;
                format!("layer{stage}.{block}.{name}")
            }
            ["head", leaf] => format!("fc.{leaf}"),
            _ => path.to_owned(),
        }
    }
}

/// `relu(last(relu(norm(middle(relu(first(x)))))) + shortcut(x))`.
#[derive(Module, Debug)]
pub(crate) struct DeformBlock {
    first: ConvNorm,
    middle: Middle,
    norm: BatchNorm,
    last: ConvNorm,
    shortcut: Shortcut,
    depth: StochasticDepth,
}

/// The 3x3 convolution of a block.
#[derive(Module, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a network has few blocks, and moves none of them"
)]
enum Middle {
    Regular(Conv2d),
    Deformable(DeformConv2d),
}

impl DeformBlock {
    fn new(config: &DeformResNetConfig, position: Position, init: &mut Init) -> Self {
        let (channels, stride) = (position.channels, position.stride());
        let width = WIDTH << position.stage;
        let out = EXPANSION * width;
        let first = ConvNorm::new(Conv2dConfig::square(channels, width, 1), init);
        let conv = Conv2dConfig::square(width, width, 3)
            .stride(stride)
            .padding(1);
        let middle = if config.is_deformable(position.stage) {
            let deformable = DeformConv2dConfig {
                conv,
                offset_groups: 1,
                modulates: config.modulates,
            };
            Middle::Deformable(deformable.init(init))
        } else {
            Middle::Regular(conv.init(init))
        };
        let norm = BatchNorm::new(width, init);
        let changes = stride != 1 || channels != out;
        let projection = Conv2dConfig::square(channels, out, 1).stride(stride);
        let last = ConvNorm::new(Conv2dConfig::square(width, out, 1), init);
        Self {
            first,
            middle,
            norm,
            last,
            shortcut: if changes {
                Shortcut::projection(ConvNorm::new(projection, init))
            } else {
                Shortcut::identity(channels, out, stride)
            },
            depth: StochasticDepth::new(position.dropped(config.stochastic_depth)),
        }
    }
}

impl stages::Block for DeformBlock {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.first.forward_relu(x.clone());
        let y = match &self.middle {
            Middle::Regular(conv) => conv.forward(y),
            Middle::Deformable(conv) => conv.forward(y),
        };
        let relu_of = |residual| Finish {
            residual,
            activation: Activation::Relu,
        };
        let y = self.norm.forward_with(y, relu_of(None));
        let shortcut = self.shortcut.forward(x);
        let last = |finish| self.last.forward_with(y, finish);
        self.depth.after(relu_of(Some(shortcut)), last)
    }
}
