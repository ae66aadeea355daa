//! Squeeze-and-excitation networks.
//!
//! J. Hu, L. Shen, S. Albanie, G. Sun, E. Wu. *Squeeze-and-Excitation Networks*. 2017,
//! arXiv:1709.01507. Residual networks whose blocks weigh their channels (figure 3) before the
//! shortcut is added: table 1, table 2, and SENet-154 of the appendix.
//!
//! | ImageNet form | output | 50 | 101 | 152 | ResNeXt-50 | SENet-154 |
//! |---|---|---|---|---|---|---|
//! | 7x7, 64, stride 2, or three 3x3; 3x3 max pool | 56 | 7x7 | 7x7 | 7x7 | 7x7 | 3x3, to 128 |
//! | width 64 | 56 | 3 | 3 | 3 | 3 | 3 |
//! | width 128 | 28 | 4 | 4 | 8 | 4 | 8 |
//! | width 256 | 14 | 6 | 23 | 36 | 6 | 36 |
//! | width 512 | 7 | 3 | 3 | 3 | 3 | 3 |
//! | channels of 1x1 and 3x3, groups | | 1, 1, 1 | 1, 1, 1 | 1, 1, 1 | 2, 2, 32 | 2, 4, 64 |
//! | mean, linear, softmax | 1 | | | | | |
//!
//! The CIFAR form (table 4) gates the blocks of ResNet-110.
//!
//! # Departures
//!
//! - The ImageNet networks are those of the authors' Caffe weights, as timm's `legacy_` models have
//!   them: a max pool without padding, whose windows reach over the far edge instead, and the stride
//!   of `se_resnet` on the first 1x1. `seresnet50` has torchvision's pool and stride, and is timm's.
//! - The squeeze layers have biases, as in those weights; the paper's equation 3 leaves them out.

use burn::module::Module;
use burn::tensor::Tensor;
use kernels::{Activation, Finish};

use crate::layers::{
    Conv2dConfig, ConvNorm, Dropout, Linear, MaxPool2d, Shortcut, SqueezeExcitation,
    StochasticDepth,
};
use crate::resnet::BottleneckStride;
use crate::stages::{self, Position, Stage};
use crate::{ConfigError, Init, Initialization, Network, NetworkConfig, Seen, Tap};

/// Table 1, SE-ResNet-50.
pub const SE_RESNET50: SeNetConfig = caffe(&[3, 4, 6, 3], RESNET);
/// Table 2, SE-ResNet-101.
pub const SE_RESNET101: SeNetConfig = caffe(&[3, 4, 23, 3], RESNET);
/// Table 2, SE-ResNet-152.
pub const SE_RESNET152: SeNetConfig = caffe(&[3, 8, 36, 3], RESNET);
/// Table 1, SE-ResNeXt-50 (32x4d).
pub const SE_RESNEXT50_32X4D: SeNetConfig = caffe(&[3, 4, 6, 3], RESNEXT);
/// Appendix, SENet-154.
pub const SENET154: SeNetConfig = SeNetConfig {
    stem: Stem::Deep,
    shortcut_kernel: 3,
    dropout: 0.2,
    ..caffe(&[3, 8, 36, 3], SENET)
};
/// SE-ResNet-50 with torchvision's pool and stride.
pub const SERESNET50: SeNetConfig = SeNetConfig {
    stem: Stem::Padded,
    block: Block::Bottleneck(Bottleneck {
        stride: BottleneckStride::Middle,
        ..RESNET
    }),
    ..SE_RESNET50
};
/// Table 4, SE-ResNet-110.
pub const SE_RESNET110: SeNetConfig = SeNetConfig {
    depths: &[18, 18, 18],
    width: 16,
    block: Block::Basic,
    stem: Stem::Cifar,
    classes: 10,
    ..SE_RESNET50
};

const RESNET: Bottleneck = Bottleneck {
    first: 1,
    middle: 1,
    groups: 1,
    stride: BottleneckStride::First,
};
const RESNEXT: Bottleneck = Bottleneck {
    first: 2,
    middle: 2,
    groups: 32,
    stride: BottleneckStride::Middle,
};
const SENET: Bottleneck = Bottleneck {
    first: 2,
    middle: 4,
    groups: 64,
    stride: BottleneckStride::Middle,
};

/// Channels of a block for each hidden one of its squeeze-and-excitation, the paper's r.
const REDUCTION: usize = 16;

const fn caffe(depths: &'static [usize], bottleneck: Bottleneck) -> SeNetConfig {
    SeNetConfig {
        depths,
        width: 64,
        block: Block::Bottleneck(bottleneck),
        stem: Stem::Caffe,
        shortcut_kernel: 1,
        dropout: 0.0,
        stochastic_depth: 0.0,
        channels: 3,
        classes: 1000,
    }
}

/// The convolutions of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// 3x3, 3x3.
    Basic,
    /// 1x1, 3x3, 1x1.
    Bottleneck(Bottleneck),
}

/// 1x1, 3x3, 1x1 with four times the stage's width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bottleneck {
    /// Channels of the first 1x1, by the stage's width.
    pub first: usize,
    /// Channels of the 3x3, by the stage's width.
    pub middle: usize,
    /// Groups of the 3x3.
    pub groups: usize,
    /// Which of them has the stride.
    pub stride: BottleneckStride,
}

/// What comes before the first stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stem {
    /// 7x7 at stride 2, and a pool over the far edge.
    Caffe,
    /// Three 3x3, the first at stride 2, to twice the first stage's width, and a pool over the far
    /// edge.
    Deep,
    /// 7x7 at stride 2, and a padded pool.
    Padded,
    /// 3x3.
    Cifar,
}

/// A residual network with squeeze-and-excitation.
#[derive(Clone, Debug, PartialEq)]
pub struct SeNetConfig {
    /// Blocks in each stage.
    pub depths: &'static [usize],
    /// Channels of the first stage; each further stage has twice as many.
    pub width: usize,
    /// What a block is made of.
    pub block: Block,
    /// What comes before the first stage.
    pub stem: Stem,
    /// Height and width of the projections' kernels at stride 2.
    pub shortcut_kernel: usize,
    /// Share of the classifier's features that training drops.
    pub dropout: f64,
    /// The probability that training drops the path of the last block; those of the blocks before it
    /// are linear in depth.
    pub stochastic_depth: f64,
    /// Channels of the images.
    pub channels: usize,
    /// Scores.
    pub classes: usize,
}

impl SeNetConfig {
    /// Convolutions of the stem.
    fn stem_convs(&self) -> Vec<Conv2dConfig> {
        let (channels, width) = (self.channels, self.width);
        let conv = |channels, filters, kernel| {
            Conv2dConfig::square(channels, filters, kernel).same_padding()
        };
        match self.stem {
            Stem::Caffe | Stem::Padded => vec![conv(channels, width, 7).stride(2)],
            Stem::Deep => vec![
                conv(channels, width, 3).stride(2),
                conv(width, width, 3),
                conv(width, 2 * width, 3),
            ],
            Stem::Cifar => vec![conv(channels, width, 3)],
        }
    }

    fn stem_pool(&self) -> Option<MaxPool2d> {
        match self.stem {
            Stem::Caffe | Stem::Deep => Some(MaxPool2d::new(3, 2, 0).ceil()),
            Stem::Padded => Some(MaxPool2d::new(3, 2, 1)),
            Stem::Cifar => None,
        }
    }

    /// Channels of a block in a stage of this width.
    fn filters(&self, width: usize) -> usize {
        match self.block {
            Block::Basic => width,
            Block::Bottleneck(_) => 4 * width,
        }
    }

    fn is_caffes(&self) -> bool {
        matches!(self.stem, Stem::Caffe | Stem::Deep)
    }
}

impl NetworkConfig for SeNetConfig {
    type Network = SeNet;

    /// As in He et al. 2015 (arXiv:1502.01852), to which the paper refers.
    fn initialization(&self) -> Initialization {
        Initialization::He
    }

    /// The unpadded pool needs 2x2 pixels behind a stride of 2.
    fn check(&self, size: [usize; 2]) -> Result<(), ConfigError> {
        ConfigError::if_below(if self.is_caffes() { 3 } else { 1 }, size)
    }

    fn init(&self, init: &mut Init) -> SeNet {
        let convs = self.stem_convs();
        let channels = convs.last().map_or(self.channels, |conv| conv.filters);
        let stem = convs.into_iter().map(|conv| ConvNorm::new(conv, init));
        let stem = stem.collect();
        let (stages, channels) = stages::build(self.depths, channels, |position| {
            let outputs = self.filters(self.width << position.stage);
            (SeBlock::new(self, position, init), outputs)
        });
        SeNet {
            stem,
            pool: self.stem_pool(),
            stages,
            dropout: Dropout::new(self.dropout),
            head: Linear::new(channels, self.classes, init),
            is_caffes: self.is_caffes(),
        }
    }

    fn dropout(&mut self) -> Option<&mut f64> {
        Some(&mut self.dropout)
    }

    fn stochastic_depth(&mut self) -> Option<&mut f64> {
        Some(&mut self.stochastic_depth)
    }
}

/// A residual network with squeeze-and-excitation: stem, stages, head.
#[derive(Module, Debug)]
pub struct SeNet {
    stem: Vec<ConvNorm>,
    pool: Option<MaxPool2d>,
    stages: Vec<Stage<SeBlock>>,
    dropout: Dropout,
    head: Linear,
    #[module(skip)]
    is_caffes: bool,
}

impl Network for SeNet {
    /// Taps at `stem` and after each block, as in `stage1.block0`.
    fn features(&self, images: Tensor<4>, tap: &mut impl Tap) -> Tensor<4> {
        let stem = self.stem.iter();
        let mut x = stem.fold(images, |x, layer| layer.forward_relu(x));
        if let Some(pool) = &self.pool {
            x = pool.forward(x);
        }
        let x = tap.at("stem", x);
        stages::forward(&self.stages, 1, x, tap)
    }

    fn seen(&self) -> Seen {
        Seen::Mean
    }

    fn classify(&self, rows: Tensor<2>) -> Tensor<2> {
        self.head.forward(self.dropout.forward(rows))
    }

    /// timm's.
    fn pytorch_name(&self, path: &str) -> String {
        let parts: Vec<&str> = path.split('.').collect();
        let index = |text: &str| text.parse::<usize>().expect("an index of a Vec");
        let numbered = |number: &str, layer: &str, leaf: &str| {
            let kind = if layer == "conv" { "conv" } else { "bn" };
            format!("{kind}{}.{leaf}", index(number) + 1)
        };
        let (stem, gate, head) = if self.is_caffes {
            ("layer0.", "se_module", "last_linear")
        } else {
            ("", "se", "fc")
        };
        match parts.as_slice() {
            ["stem", number, layer, leaf] => format!("{stem}{}", numbered(number, layer, leaf)),
            ["stages", stage, "blocks", block, rest @ ..] => {
                let name = match rest {
                    ["path", number, layer, leaf] => numbered(number, layer, leaf),
                    ["gate", rest @ ..] => format!("{gate}.{}", rest.join(".")),
                    ["shortcut", "projection", layer, leaf] => {
                        format!("downsample.{}.{leaf}", usize::from(*layer == "norm"))
                    }
                    _ => rest.join("."),
                };
                format!("layer{}.{block}.{name}", index(stage) + 1)
            }
            ["head", leaf] => format!("{head}.{leaf}"),
            _ => path.to_owned(),
        }
    }
}

/// `relu(gate(path(x)) + shortcut(x))`, where the path is `norm(conv(..))` with `relu` in between.
#[derive(Module, Debug)]
pub(crate) struct SeBlock {
    path: Vec<ConvNorm>,
    gate: SqueezeExcitation,
    shortcut: Shortcut,
    depth: StochasticDepth,
}

impl SeBlock {
    fn new(config: &SeNetConfig, position: Position, init: &mut Init) -> Self {
        let (channels, stride) = (position.channels, position.stride());
        let width = config.width << position.stage;
        let out = config.filters(width);
        let path = path(config.block, channels, width, stride);
        let path = path.into_iter().map(|conv| ConvNorm::new(conv, init));
        let path = path.collect();
        let gate = SqueezeExcitation::new(out, out / REDUCTION, Activation::Relu, init);
        let changes = stride != 1 || channels != out;
        let projects = changes && config.block != Block::Basic;
        let kernel = if stride == 1 {
            1
        } else {
            config.shortcut_kernel
        };
        let projection = Conv2dConfig::square(channels, out, kernel).stride(stride);
        let shortcut = if projects {
            Shortcut::projection(ConvNorm::new(projection.same_padding(), init))
        } else {
            Shortcut::identity(channels, out, stride)
        };
        Self {
            path,
            gate,
            shortcut,
            depth: StochasticDepth::new(position.dropped(config.stochastic_depth)),
        }
    }
}

impl stages::Block for SeBlock {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let (last, others) = self.path.split_last().expect("a block has layers");
        let y = others
            .iter()
            .fold(x.clone(), |y, conv| conv.forward_relu(y));
        let finish = Finish {
            residual: Some(self.shortcut.forward(x)),
            activation: Activation::Relu,
        };
        let gated = |finish| self.gate.forward_with(last.forward(y), finish);
        self.depth.after(finish, gated)
    }
}

/// The convolutions of a block in a stage of this width.
fn path(block: Block, channels: usize, width: usize, stride: usize) -> Vec<Conv2dConfig> {
    let conv =
        |channels, filters, kernel| Conv2dConfig::square(channels, filters, kernel).same_padding();
    match block {
        Block::Basic => vec![
            conv(channels, width, 3).stride(stride),
            conv(width, width, 3),
        ],
        Block::Bottleneck(shape) => {
            let (first, middle) = (shape.first * width, shape.middle * width);
            let (first_stride, middle_stride) = match shape.stride {
                BottleneckStride::First => (stride, 1),
                BottleneckStride::Middle => (1, stride),
            };
            vec![
                conv(channels, first, 1).stride(first_stride),
                conv(first, middle, 3)
                    .stride(middle_stride)
                    .groups(shape.groups),
                conv(middle, 4 * width, 1),
            ]
        }
    }
}
