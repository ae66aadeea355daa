//! DenseNet.
//!
//! G. Huang, Z. Liu, L. van der Maaten, K. Weinberger. *Densely Connected Convolutional Networks*.
//! 2016, arXiv:1608.06993. The ImageNet form is its table 1, the CIFAR form its section 3.
//!
//! | ImageNet form | output | 121 | 169 | 201 | 264 | 161 |
//! |---|---|---|---|---|---|---|
//! | 7x7, 2k, stride 2; 3x3 max pool, stride 2 | 56 | | | | | |
//! | dense block; 1x1, 2x2 mean | 28 | 6 | 6 | 6 | 6 | 6 |
//! | dense block; 1x1, 2x2 mean | 14 | 12 | 12 | 12 | 12 | 12 |
//! | dense block; 1x1, 2x2 mean | 7 | 24 | 32 | 48 | 64 | 36 |
//! | dense block | 7 | 16 | 32 | 32 | 48 | 24 |
//! | norm, relu, mean, linear | 1 | | | | | |
//!
//! | CIFAR form | output | layers |
//! |---|---|---|
//! | 3x3, 16 (BC: 2k) | 32 | |
//! | three dense blocks, 1x1 and 2x2 mean between them | 32, 16, 8 | (L - 4) / 3 (BC: / 6) each |
//! | norm, relu, mean, linear | 1 | |
//!
//! k is the growth rate: 32, and 48 in 161.
//!
//! # Departures
//!
//! - Dropout, which the paper sets to 0.2 for data without augmentation, is off: `dropout = 0.2` in a
//!   recipe's `[model]` puts it behind every convolution but the first, as the paper does.
//! - 161 is of the authors' published models, not of the paper's table 1.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::layers::{
    AvgPool2d, BatchNorm, Conv2d, Conv2dConfig, Dropout, Linear, MaxPool2d, NormReluConv, concat,
    global_average,
};
use crate::resnet::StemKind;
use crate::{
    ConfigError, Init, Initialization, Network, NetworkConfig, Tap, gradient_checkpointing,
};

/// Table 1, 121 layers.
pub const DENSENET121: DenseNetConfig = imagenet(32, &[6, 12, 24, 16]);
/// Table 1, 169 layers.
pub const DENSENET169: DenseNetConfig = imagenet(32, &[6, 12, 32, 32]);
/// Table 1, 201 layers.
pub const DENSENET201: DenseNetConfig = imagenet(32, &[6, 12, 48, 32]);
/// Table 1, 264 layers.
pub const DENSENET264: DenseNetConfig = imagenet(32, &[6, 12, 64, 48]);
/// The authors' 161 layers.
pub const DENSENET161: DenseNetConfig = imagenet(48, &[6, 12, 36, 24]);

/// Section 3: `layers` of each dense block, of growth rate `growth`, for 3 `layers` + 4 in all.
pub const fn cifar(growth: usize, layers: &'static [usize; 3]) -> DenseNetConfig {
    DenseNetConfig {
        growth,
        layers,
        stem: StemKind::Cifar,
        stem_width: 16,
        has_bottlenecks: false,
        compresses: false,
        dropout: 0.0,
        channels: 3,
        classes: 10,
    }
}

/// Section 3, DenseNet-BC: `layers` of each dense block, for 6 `layers` + 4 in all.
pub const fn cifar_bc(growth: usize, layers: &'static [usize; 3]) -> DenseNetConfig {
    DenseNetConfig {
        stem_width: 2 * growth,
        has_bottlenecks: true,
        compresses: true,
        ..cifar(growth, layers)
    }
}

const fn imagenet(growth: usize, layers: &'static [usize; 4]) -> DenseNetConfig {
    DenseNetConfig {
        growth,
        layers,
        stem: StemKind::ImageNet,
        stem_width: 2 * growth,
        has_bottlenecks: true,
        compresses: true,
        dropout: 0.0,
        channels: 3,
        classes: 1000,
    }
}

/// A DenseNet.
#[derive(Clone, Debug, PartialEq)]
pub struct DenseNetConfig {
    /// Channels that each layer adds.
    pub growth: usize,
    /// Layers of each dense block.
    pub layers: &'static [usize],
    /// What comes before the first dense block.
    pub stem: StemKind,
    /// Filters of the first convolution.
    pub stem_width: usize,
    /// Whether a layer's 3x3 convolution comes after a 1x1 to four times its filters (the B of BC).
    pub has_bottlenecks: bool,
    /// Whether transitions halve the channels (the C of BC).
    pub compresses: bool,
    /// Share of each convolution's output that training drops.
    pub dropout: f64,
    /// Channels of the images.
    pub channels: usize,
    /// Scores.
    pub classes: usize,
}

impl NetworkConfig for DenseNetConfig {
    type Network = DenseNet;

    /// Section 4.2.
    fn initialization(&self) -> Initialization {
        Initialization::He
    }

    /// Each transition halves what the stem leaves: a quarter, rounded up, in the ImageNet form.
    fn check(&self, size: [usize; 2]) -> Result<(), ConfigError> {
        let least = 1 << (self.layers.len() - 1);
        ConfigError::if_below(
            match self.stem {
                StemKind::ImageNet => 4 * (least - 1) + 1,
                StemKind::Cifar => least,
            },
            size,
        )
    }

    fn init(&self, init: &mut Init) -> DenseNet {
        let stem = Stem::new(self, init);
        let mut channels = self.stem_width;
        let mut blocks = Vec::with_capacity(self.layers.len());
        let mut transitions = Vec::with_capacity(self.layers.len() - 1);
        for (index, &layers) in self.layers.iter().enumerate() {
            blocks.push(DenseBlock::new(self, channels, layers, init));
            channels += layers * self.growth;
            if index + 1 < self.layers.len() {
                let kept = if self.compresses {
                    channels / 2
                } else {
                    channels
                };
                transitions.push(Transition::new(self, channels, kept, init));
                channels = kept;
            }
        }
        DenseNet {
            stem,
            blocks,
            transitions,
            norm: BatchNorm::new(channels, init),
            head: Linear::new(channels, self.classes, init),
        }
    }

    fn dropout(&mut self) -> Option<&mut f64> {
        Some(&mut self.dropout)
    }
}

/// A DenseNet: stem, dense blocks with transitions between them, head.
#[derive(Module, Debug)]
pub struct DenseNet {
    stem: Stem,
    blocks: Vec<DenseBlock>,
    transitions: Vec<Transition>,
    norm: BatchNorm,
    head: Linear,
}

impl Network for DenseNet {
    /// Taps at `stem` and after each dense block and transition, as in `block1` and `transition1`.
    fn forward_with(&self, images: Tensor<4>, tap: &mut impl Tap) -> Tensor<2> {
        let mut x = tap.at("stem", self.stem.forward(images));
        for (index, block) in self.blocks.iter().enumerate() {
            x = gradient_checkpointing::block(block, x, DenseBlock::forward);
            x = tap.at(&format!("block{}", index + 1), x);
            if let Some(transition) = self.transitions.get(index) {
                x = tap.at(&format!("transition{}", index + 1), transition.forward(x));
            }
        }
        self.head.forward(global_average(self.norm.forward_relu(x)))
    }

    /// torchvision's.
    fn pytorch_name(&self, path: &str) -> String {
        let ordinal = |index: &str| index.parse::<usize>().expect("an index of a Vec") + 1;
        match path.split('.').collect::<Vec<_>>().as_slice() {
            ["stem", layer, name] => format!("features.{layer}0.{name}"),
            ["blocks", block, "layers", layer, "path", place, kind, name] => {
                let (block, layer, place) = (ordinal(block), ordinal(layer), ordinal(place));
                format!("features.denseblock{block}.denselayer{layer}.{kind}{place}.{name}")
            }
            ["transitions", index, "layer", kind, name] => {
                format!("features.transition{}.{kind}.{name}", ordinal(index))
            }
            ["norm", name] => format!("features.norm5.{name}"),
            ["head", name] => format!("classifier.{name}"),
            _ => path.to_owned(),
        }
    }
}

/// `conv(x)`, or `pool(relu(norm(conv(x))))`.
#[derive(Module, Debug)]
struct Stem {
    conv: Conv2d,
    norm: Option<BatchNorm>,
    pool: MaxPool2d,
}

impl Stem {
    fn new(config: &DenseNetConfig, init: &mut Init) -> Self {
        let (kernel, stride) = match config.stem {
            StemKind::ImageNet => (7, 2),
            StemKind::Cifar => (3, 1),
        };
        let conv = Conv2dConfig::square(config.channels, config.stem_width, kernel);
        Self {
            conv: conv.stride(stride).same_padding().init(init),
            norm: (config.stem == StemKind::ImageNet)
                .then(|| BatchNorm::new(config.stem_width, init)),
            pool: MaxPool2d::new(3, 2, 1),
        }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let x = self.conv.forward(images);
        match &self.norm {
            Some(norm) => self.pool.forward(norm.forward_relu(x)),
            None => x,
        }
    }
}

/// `x`, then `[x, layer(x)]` for each layer.
#[derive(Module, Debug)]
struct DenseBlock {
    layers: Vec<DenseLayer>,
}

impl DenseBlock {
    fn new(config: &DenseNetConfig, channels: usize, layers: usize, init: &mut Init) -> Self {
        let layer = |index| DenseLayer::new(config, channels + index * config.growth, init);
        Self {
            layers: (0..layers).map(layer).collect(),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        (self.layers.iter()).fold(x, |x, layer| concat(vec![x.clone(), layer.forward(x)]))
    }
}

/// `conv(relu(norm(x)))` with a 3x3 convolution, or the same of it after a 1x1.
#[derive(Module, Debug)]
struct DenseLayer {
    path: Vec<NormReluConv>,
    dropout: Dropout,
}

impl DenseLayer {
    fn new(config: &DenseNetConfig, channels: usize, init: &mut Init) -> Self {
        let narrow = 4 * config.growth;
        let convs = if config.has_bottlenecks {
            vec![(channels, narrow, 1), (narrow, config.growth, 3)]
        } else {
            vec![(channels, config.growth, 3)]
        };
        let layer = |(channels, filters, kernel)| {
            let conv = Conv2dConfig::square(channels, filters, kernel);
            NormReluConv::new(conv.same_padding(), init)
        };
        Self {
            path: convs.into_iter().map(layer).collect(),
            dropout: Dropout::new(config.dropout),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let drop = |x| self.dropout.forward(x);
        self.path.iter().fold(x, |x, layer| drop(layer.forward(x)))
    }
}

/// `pool(conv(relu(norm(x))))`.
#[derive(Module, Debug)]
struct Transition {
    layer: NormReluConv,
    dropout: Dropout,
    pool: AvgPool2d,
}

impl Transition {
    fn new(config: &DenseNetConfig, channels: usize, kept: usize, init: &mut Init) -> Self {
        Self {
            layer: NormReluConv::new(Conv2dConfig::square(channels, kept, 1), init),
            dropout: Dropout::new(config.dropout),
            pool: AvgPool2d::new(2, 2),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.pool
            .forward(self.dropout.forward(self.layer.forward(x)))
    }
}
