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
//! Wider bottlenecks: S. Xie, R. Girshick, P. Dollár, Z. Tu, K. He. *Aggregated Residual
//! Transformations for Deep Neural Networks*. 2016, arXiv:1611.05431 (ResNeXt: Table 1, sections 5.1
//! and 5.3); S. Zagoruyko, N. Komodakis. *Wide Residual Networks*. 2016, arXiv:1605.07146, section 3.
//!
//! | 3x3 convolutions of the first stage | width | groups | layers |
//! |---|---|---|---|
//! | ResNet | 64 | 1 | 50, 101, 152 |
//! | ResNeXt 32x4d | 128 | 32 | 50 |
//! | ResNeXt 32x8d, 64x4d | 256 | 32, 64 | 101 |
//! | ResNeXt-29 8x64d, 16x64d, three stages for CIFAR | 512, 1024 | 8, 16 | 29 |
//! | Wide ResNet, twice as wide | 128 | 1 | 50, 101 |
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
//! - `resnext101_64x4d` and `wide_resnet101_2` are torchvision's; 64x4d is Table 4's and its papers'
//!   wide network has 50 layers.
//! - Stochastic depth (`stochastic_depth = 0.5` in a recipe's `[model]`: G. Huang, Y. Sun, Z. Liu, D. Sedra,
//!   K. Weinberger. *Deep Networks with Stochastic Depth*. 2016, arXiv:1603.09382) drops paths image by
//!   image and scales what is left in training, as torchvision's; its paper drops them batch by batch
//!   and scales in evaluation.
//! - Manipulated shortcuts (`manipulation = { dropout = 0.5 }` in a recipe's `[model]`: K. He, X. Zhang,
//!   S. Ren, J. Sun. *Identity Mappings in Deep Residual Networks*. 2016, arXiv:1603.05027, section 3.1) are
//!   manipulated where the shape changes, too, behind option A, B or C; gates have its stride there. That paper
//!   does not say what its networks do there.
//! - Without normalisation (`normalization = "none"`), which the papers' networks are never, convolutions have
//!   biases.
//! - PReLU (`activation = "prelu"` in a recipe's `[model]`: K. He, X. Zhang, S. Ren, J. Sun. *Delving Deep
//!   into Rectifiers*. 2015, arXiv:1502.01852) takes the place of each ReLU, the last of a block
//!   included; its paper has it in networks without shortcuts.
//! - `resnet18_cifar` is not the paper's: its 18-layer ImageNet form with the CIFAR form's stem.

mod blocks;

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use self::blocks::{ResidualBlock, Stem};
use crate::layers::{Linear, Manipulation, NormKind, RectifierKind};
use crate::stages::{self, Stage};
use crate::{ConfigError, Init, Initialization, Network, NetworkConfig, Seen, Tap, TestScales};

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
/// ResNeXt, Table 1: 32 groups of 4.
pub const RESNEXT50_32X4D: ResNetConfig = bottlenecks(RESNET50, 32, 4);
/// ResNeXt, 32 groups of 8.
pub const RESNEXT101_32X8D: ResNetConfig = bottlenecks(RESNET101, 32, 8);
/// ResNeXt, 64 groups of 4.
pub const RESNEXT101_64X4D: ResNetConfig = bottlenecks(RESNET101, 64, 4);
/// Twice as wide.
pub const WIDE_RESNET50_2: ResNetConfig = bottlenecks(RESNET50, 1, 128);
/// Twice as wide.
pub const WIDE_RESNET101_2: ResNetConfig = bottlenecks(RESNET101, 1, 128);
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
        outputs: 16,
        groups: 1,
        block: Block::Basic,
        stem: StemKind::Cifar,
        stem_width: 16,
        shortcut: Some(ShortcutKind::A),
        manipulation: None,
        bottleneck_stride: BottleneckStride::Middle,
        normalization: NormKind::Batch,
        activation: RectifierKind::Relu,
        stochastic_depth: 0.0,
        channels: 3,
        classes: 10,
    }
}

/// ResNeXt, section 5.3: `groups` of 64 and 29 layers.
pub const fn resnext29(groups: usize) -> ResNetConfig {
    let imagenet = bottlenecks(RESNET50, groups, 64);
    ResNetConfig {
        depths: &[3, 3, 3],
        stem: StemKind::Cifar,
        classes: 10,
        ..imagenet
    }
}

/// The same with this many groups in the 3x3 convolutions of bottlenecks, of this width in the first
/// stage.
const fn bottlenecks(residual: ResNetConfig, groups: usize, group_width: usize) -> ResNetConfig {
    ResNetConfig {
        width: groups * group_width,
        groups,
        ..residual
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
        outputs: match block {
            Block::Basic => 64,
            Block::Bottleneck => 256,
        },
        groups: 1,
        block,
        stem: StemKind::ImageNet,
        stem_width: 64,
        shortcut: Some(ShortcutKind::B),
        manipulation: None,
        bottleneck_stride: BottleneckStride::Middle,
        normalization: NormKind::Batch,
        activation: RectifierKind::Relu,
        stochastic_depth: 0.0,
        channels: 3,
        classes: 1000,
    }
}

/// The convolutions of a block (figure 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// 3x3, 3x3.
    Basic,
    /// 1x1, 3x3, 1x1 with more channels.
    Bottleneck,
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
#[derive(Clone, Debug, PartialEq)]
pub struct ResNetConfig {
    /// Blocks in each stage.
    pub depths: &'static [usize],
    /// Channels of the first stage's 3x3 convolutions; each further stage has twice as many.
    pub width: usize,
    /// Channels that the first stage puts out; each further stage twice as many.
    pub outputs: usize,
    /// Groups of a bottleneck's 3x3 convolutions.
    pub groups: usize,
    /// What a block is made of.
    pub block: Block,
    /// What comes before the first stage.
    pub stem: StemKind,
    /// Filters of the first convolution.
    pub stem_width: usize,
    /// The shortcuts; a plain network has none.
    pub shortcut: Option<ShortcutKind>,
    /// What is done to the shortcuts and the paths beside them, where anything is.
    pub manipulation: Option<Manipulation>,
    /// Where a bottleneck's stride is.
    pub bottleneck_stride: BottleneckStride,
    /// What normalises.
    pub normalization: NormKind,
    /// What rectifies.
    pub activation: RectifierKind,
    /// The probability that training drops the path of the last block; those of the blocks before it
    /// are linear in depth.
    pub stochastic_depth: f64,
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

    /// Section 3.4; on CIFAR, images are looked at as they are.
    fn test_scales(&self) -> Option<TestScales> {
        match self.stem {
            StemKind::ImageNet => Some(TestScales::Sides(&[224, 256, 384, 480, 640])),
            StemKind::Cifar => None,
        }
    }

    /// Every layer is padded: images of any size do.
    fn check(&self, _size: [usize; 2]) -> Result<(), ConfigError> {
        Ok(())
    }

    fn init(&self, init: &mut Init) -> ResNet {
        init.behind(self.activation);
        let stem = Stem::new(self, init);
        let (stages, channels) = stages::build(self.depths, self.stem_width, |position| {
            let outputs = self.outputs << position.stage;
            (ResidualBlock::new(self, position, outputs, init), outputs)
        });
        ResNet {
            stem,
            stages,
            head: Linear::new(channels, self.classes, init),
        }
    }

    fn activation(&mut self) -> Option<&mut RectifierKind> {
        Some(&mut self.activation)
    }

    fn normalization(&mut self) -> Option<&mut NormKind> {
        Some(&mut self.normalization)
    }

    fn stochastic_depth(&mut self) -> Option<&mut f64> {
        self.shortcut
            .is_some()
            .then_some(&mut self.stochastic_depth)
    }
}

/// A plain or residual network: stem, stages, head.
#[derive(Module, Debug)]
pub struct ResNet {
    stem: Stem,
    stages: Vec<Stage<ResidualBlock>>,
    head: Linear,
}

impl Network for ResNet {
    const ALIASES: &'static [(&'static str, &'static str)] = &[("linear.", "fc.")];

    /// Taps at `stem` and after each block, as in `stage1.block0`.
    fn features(&self, images: Tensor<4>, tap: &mut impl Tap) -> Tensor<4> {
        let x = tap.at("stem", self.stem.forward(images));
        stages::forward(&self.stages, 1, x, tap)
    }

    fn seen(&self) -> Seen {
        Seen::Mean
    }

    fn classify(&self, rows: Tensor<2>) -> Tensor<2> {
        self.head.forward(rows)
    }

    /// torchvision's; rectifiers that learn count as the normalisations before them do.
    fn pytorch_name(&self, path: &str) -> String {
        let parts: Vec<&str> = path.split('.').collect();
        match parts.as_slice() {
            ["stem", "rectifier", leaf] => format!("relu.{leaf}"),
            ["stages", stage, "blocks", block, "rectifiers", index, leaf] => {
                let (stage, index) = (ordinal(stage), ordinal(index));
                format!("layer{stage}.{block}.relu{index}.{leaf}")
            }
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
            ["stages", stage, "blocks", block, "manipulation", rest @ ..] => {
                dotted(&format!("layer{}.{block}", ordinal(stage)), rest)
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
