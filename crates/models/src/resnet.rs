//! Residual networks, and the plain networks they are compared with.
//!
//! K. He, X. Zhang, S. Ren, J. Sun. *Deep Residual Learning for Image Recognition*. 2015,
//! arXiv:1512.03385. The ImageNet form is its Table 1, the CIFAR form its section 4.2.
//!
//! | ImageNet form | output | 18 | 34 | 50 | 101 | 152 |
//! |---|---|---|---|---|---|---|
//! | 7x7, 64, stride 2; 3x3 max pool, stride 2 | 56 | | | | | |
//! | conv2_x, width 64 | 56 | 2 | 3 | 3 | 3 | 3 |
//! | conv3_x, width 128 | 28 | 2 | 4 | 4 | 4 | 8 |
//! | conv4_x, width 256 | 14 | 2 | 6 | 6 | 23 | 36 |
//! | conv5_x, width 512 | 7 | 2 | 3 | 3 | 3 | 3 |
//! | mean, linear, softmax | 1 | | | | | |
//!
//! | CIFAR form, 6n+2 layers | output | blocks |
//! |---|---|---|
//! | 3x3, 16 | 32 | |
//! | width 16, 32, 64 | 32, 16, 8 | n each |
//! | mean, linear, softmax | 1 | |
//!
//! # Departures
//!
//! - `resnet50`, `resnet101` and `resnet152` put a bottleneck's stride on its 3x3 convolution, as
//!   torchvision does and most published weights want; the paper puts it on the first 1x1:
//!   [`BottleneckStride::First`].
//! - Option A's extra channels are zero on both sides of the identity, half and half, as in most
//!   implementations; the paper does not say where they go.
//! - Batch normalisation, with PyTorch's momentum and epsilon; the paper names neither.
//! - `resnet18_cifar` is not the paper's: its 18-layer ImageNet form with the CIFAR form's stem.

use burn::module::Module;
use burn::tensor::Tensor;
use kernels::{Activation, Finish, IdentityShortcut, identity_shortcut};
use serde::{Deserialize, Serialize};

use crate::layers::{Conv2dConfig, ConvNorm, Linear, MaxPool2d, global_average};
use crate::{ConfigError, Init, Initialization, Network, NetworkConfig, Tap};

/// Table 1, 18 layers.
pub const RESNET18: ResNetConfig = imagenet(Block::Basic, &[2, 2, 2, 2]);
/// Table 1, 34 layers.
pub const RESNET34: ResNetConfig = imagenet(Block::Basic, &[3, 4, 6, 3]);
/// Table 1, 50 layers.
pub const RESNET50: ResNetConfig = imagenet(Block::Bottleneck, &[3, 4, 6, 3]);
/// Table 1, 101 layers.
pub const RESNET101: ResNetConfig = imagenet(Block::Bottleneck, &[3, 4, 23, 3]);
/// Table 1, 152 layers.
pub const RESNET152: ResNetConfig = imagenet(Block::Bottleneck, &[3, 8, 36, 3]);
/// The 18-layer net behind a 3x3 stem without pooling, for images of 32x32.
pub const RESNET18_CIFAR: ResNetConfig = ResNetConfig {
    stem: StemKind::Cifar,
    classes: 10,
    ..RESNET18
};

/// Section 4.2 with option A: `depths` are n, n, n for 6n+2 layers.
pub const fn cifar(depths: &'static [usize]) -> ResNetConfig {
    ResNetConfig {
        depths,
        width: 16,
        block: Block::Basic,
        stem: StemKind::Cifar,
        shortcut: Some(ShortcutKind::A),
        bottleneck_stride: BottleneckStride::Middle,
        channels: 3,
        classes: 10,
    }
}

/// The plain counterpart: the same layers without shortcuts.
pub const fn plain(residual: ResNetConfig) -> ResNetConfig {
    ResNetConfig {
        shortcut: None,
        ..residual
    }
}

const fn imagenet(block: Block, depths: &'static [usize]) -> ResNetConfig {
    ResNetConfig {
        depths,
        width: 64,
        block,
        stem: StemKind::ImageNet,
        shortcut: Some(ShortcutKind::B),
        bottleneck_stride: BottleneckStride::Middle,
        channels: 3,
        classes: 1000,
    }
}

/// The convolutions of a block (figure 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// 3x3, 3x3.
    Basic,
    /// 1x1, 3x3, 1x1 with four times the channels.
    Bottleneck,
}

impl Block {
    /// Output channels of a block for each channel of its 3x3 convolution.
    pub fn expansion(self) -> usize {
        match self {
            Self::Basic => 1,
            Self::Bottleneck => 4,
        }
    }
}

/// What comes before the first stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StemKind {
    /// 7x7 at stride 2, then 3x3 max pooling at stride 2.
    ImageNet,
    /// 3x3.
    Cifar,
}

/// Shortcuts where the shape changes (section 3.3 and Table 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShortcutKind {
    /// The identity, every other pixel, padded with zero channels: no parameters.
    A,
    /// A projection where the shape changes, else the identity.
    B,
    /// Projections everywhere.
    C,
}

/// Which convolution of a bottleneck has its stride.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BottleneckStride {
    /// The first 1x1: the paper.
    #[serde(rename = "1x1")]
    First,
    /// The 3x3: torchvision ("ResNet V1.5").
    #[serde(rename = "3x3")]
    Middle,
}

/// A plain or residual network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResNetConfig {
    /// Blocks in each stage.
    pub depths: &'static [usize],
    /// Channels of the first stage's 3x3 convolutions; each further stage has twice as many.
    pub width: usize,
    /// What a block is made of.
    pub block: Block,
    /// What comes before the first stage.
    pub stem: StemKind,
    /// The shortcuts; a plain network has none.
    pub shortcut: Option<ShortcutKind>,
    /// Where a bottleneck's stride is.
    pub bottleneck_stride: BottleneckStride,
    /// Channels of the images.
    pub channels: usize,
    /// Scores.
    pub classes: usize,
}

impl NetworkConfig for ResNetConfig {
    type Network = ResNet;

    /// Section 3.4: as in He et al. 2015 (arXiv:1502.01852).
    fn initialization(&self) -> Initialization {
        Initialization::He
    }

    /// Every layer is padded: images of any size do.
    fn check(&self, _size: [usize; 2]) -> Result<(), ConfigError> {
        Ok(())
    }

    fn init(&self, init: &mut Init) -> ResNet {
        let stem = Stem::new(self, init);
        let mut channels = self.width;
        let mut stages = Vec::with_capacity(self.depths.len());
        for (stage, &depth) in self.depths.iter().enumerate() {
            let width = self.width << stage;
            let stride = if stage == 0 { 1 } else { 2 };
            stages.push(Stage::new(self, channels, width, stride, depth, init));
            channels = width * self.block.expansion();
        }
        ResNet {
            stem,
            stages,
            head: Linear::new(channels, self.classes, init),
        }
    }
}

/// A plain or residual network: stem, stages, head.
#[derive(Module, Debug)]
pub struct ResNet {
    stem: Stem,
    stages: Vec<Stage>,
    head: Linear,
}

impl Network for ResNet {
    const ALIASES: &'static [(&'static str, &'static str)] = &[("linear.", "fc.")];

    /// Taps at `stem` and after each block, as in `stage1.block0`.
    fn forward_with(&self, images: Tensor<4>, tap: &mut impl Tap) -> Tensor<2> {
        let mut x = tap.at("stem", self.stem.forward(images));
        for (stage, Stage { blocks }) in self.stages.iter().enumerate() {
            for (index, block) in blocks.iter().enumerate() {
                let place = format!("stage{}.block{index}", stage + 1);
                x = tap.at(&place, block.forward(x));
            }
        }
        self.head.forward(global_average(x))
    }

    /// torchvision's.
    fn pytorch_name(&self, path: &str) -> String {
        let parts: Vec<&str> = path.split('.').collect();
        match parts.as_slice() {
            ["stem", "conv", layer, rest @ ..] => torch_conv_norm("", 1, layer, rest),
            [
                "stages",
                stage,
                "blocks",
                block,
                "path",
                index,
                layer,
                rest @ ..,
            ] => {
                let prefix = format!("layer{}.{block}.", ordinal(stage));
                torch_conv_norm(&prefix, ordinal(index), layer, rest)
            }
            [
                "stages",
                stage,
                "blocks",
                block,
                "shortcut",
                "projection",
                layer,
                rest @ ..,
            ] => {
                let place = if *layer == "conv" { 0 } else { 1 };
                let prefix = format!("layer{}.{block}.downsample.{place}", ordinal(stage));
                dotted(&prefix, rest)
            }
            ["head", rest @ ..] => dotted("fc", rest),
            _ => path.to_owned(),
        }
    }
}

fn torch_conv_norm(prefix: &str, number: usize, layer: &str, rest: &[&str]) -> String {
    let kind = if layer == "conv" { "conv" } else { "bn" };
    dotted(&format!("{prefix}{kind}{number}"), rest)
}

fn dotted(prefix: &str, rest: &[&str]) -> String {
    format!("{prefix}.{}", rest.join("."))
}

/// Burn counts from 0, torchvision's layers from 1.
fn ordinal(index: &str) -> usize {
    index.parse::<usize>().expect("an index of a Vec") + 1
}

/// `pool(relu(norm(conv(x))))`; the pool is the ImageNet form's.
#[derive(Module, Debug)]
struct Stem {
    conv: ConvNorm,
    pool: Option<MaxPool2d>,
}

impl Stem {
    fn new(config: &ResNetConfig, init: &mut Init) -> Self {
        let (conv, pool) = match config.stem {
            StemKind::ImageNet => (
                Conv2dConfig::square(config.channels, config.width, 7)
                    .stride(2)
                    .padding(3),
                Some(MaxPool2d::new(3, 2, 1)),
            ),
            StemKind::Cifar => (
                Conv2dConfig::square(config.channels, config.width, 3).padding(1),
                None,
            ),
        };
        Self {
            conv: ConvNorm::new(conv, init),
            pool,
        }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let x = self.conv.forward_relu(images);
        match &self.pool {
            Some(pool) => pool.forward(x),
            None => x,
        }
    }
}

/// Blocks of one width; the first changes the shape.
#[derive(Module, Debug)]
struct Stage {
    blocks: Vec<ResidualBlock>,
}

impl Stage {
    fn new(
        config: &ResNetConfig,
        channels: usize,
        width: usize,
        stride: usize,
        depth: usize,
        init: &mut Init,
    ) -> Self {
        let out = width * config.block.expansion();
        let blocks = (0..depth)
            .map(|index| match index {
                0 => ResidualBlock::new(config, channels, width, stride, init),
                _ => ResidualBlock::new(config, out, width, 1, init),
            })
            .collect();
        Self { blocks }
    }
}

/// `relu(path(x) + shortcut(x))`, or `relu(path(x))` in a plain network, where the path is
/// `norm(conv(..))` with `relu` in between.
#[derive(Module, Debug)]
struct ResidualBlock {
    path: Vec<ConvNorm>,
    shortcut: Option<Shortcut>,
}

impl ResidualBlock {
    fn new(
        config: &ResNetConfig,
        channels: usize,
        width: usize,
        stride: usize,
        init: &mut Init,
    ) -> Self {
        let out = width * config.block.expansion();
        let convs = match config.block {
            Block::Basic => vec![
                Conv2dConfig::square(channels, width, 3)
                    .stride(stride)
                    .padding(1),
                Conv2dConfig::square(width, width, 3).padding(1),
            ],
            Block::Bottleneck => {
                let (first, middle) = match config.bottleneck_stride {
                    BottleneckStride::First => (stride, 1),
                    BottleneckStride::Middle => (1, stride),
                };
                vec![
                    Conv2dConfig::square(channels, width, 1).stride(first),
                    Conv2dConfig::square(width, width, 3)
                        .stride(middle)
                        .padding(1),
                    Conv2dConfig::square(width, out, 1),
                ]
            }
        };
        Self {
            path: convs
                .into_iter()
                .map(|conv| ConvNorm::new(conv, init))
                .collect(),
            shortcut: config
                .shortcut
                .map(|kind| Shortcut::new(kind, channels, out, stride, init)),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let (last, others) = self.path.split_last().expect("a block has layers");
        let residual = (self.shortcut.as_ref()).map(|shortcut| shortcut.forward(x.clone()));
        let y = others.iter().fold(x, |y, layer| layer.forward_relu(y));
        let finish = Finish {
            residual,
            activation: Activation::Relu,
        };
        last.forward_with(y, finish)
    }
}

/// Option A, B or C.
#[derive(Module, Debug)]
struct Shortcut {
    projection: Option<ConvNorm>,
    #[module(skip)]
    stride: usize,
    #[module(skip)]
    added_channels: usize,
}

impl Shortcut {
    fn new(
        kind: ShortcutKind,
        channels: usize,
        out: usize,
        stride: usize,
        init: &mut Init,
    ) -> Self {
        let changes = stride != 1 || channels != out;
        let projects = match kind {
            ShortcutKind::A => false,
            ShortcutKind::B => changes,
            ShortcutKind::C => true,
        };
        let conv = Conv2dConfig::square(channels, out, 1).stride(stride);
        Self {
            projection: projects.then(|| ConvNorm::new(conv, init)),
            stride,
            added_channels: out.saturating_sub(channels),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        if let Some(projection) = &self.projection {
            return projection.forward(x);
        }
        if self.stride == 1 && self.added_channels == 0 {
            return x;
        }
        let before = self.added_channels / 2;
        let identity = IdentityShortcut {
            stride: self.stride,
            before,
            after: self.added_channels - before,
        };
        identity_shortcut(x, identity)
    }
}
