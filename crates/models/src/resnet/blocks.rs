//! What residual networks are made of.

use burn::module::Module;
use burn::tensor::Tensor;

use super::{Block, BottleneckStride, ResNetConfig, ShortcutKind, StemKind};
use crate::Init;
use crate::layers::{
    Conv2dConfig, ConvNorm, Manipulator, MaxPool2d, NormKind, Rectifier, Shortcut, StochasticDepth,
};
use crate::stages::{self, Position};

/// `pool(relu(norm(conv(x))))`; the pool is the ImageNet form's.
#[derive(Module, Debug)]
pub(super) struct Stem {
    conv: ConvNorm,
    rectifier: Rectifier,
    pool: Option<MaxPool2d>,
}

impl Stem {
    pub(super) fn new(config: &ResNetConfig, init: &mut Init) -> Self {
        let (conv, pool) = match config.stem {
            StemKind::ImageNet => (
                Conv2dConfig::square(config.channels, config.stem_width, 7)
                    .stride(2)
                    .padding(3),
                Some(MaxPool2d::new(3, 2, 1)),
            ),
            StemKind::Cifar => (
                Conv2dConfig::square(config.channels, config.stem_width, 3).padding(1),
                None,
            ),
        };
        Self {
            conv: ConvNorm::with(conv, config.normalization.options(), init),
            rectifier: Rectifier::new(config.activation, config.stem_width, init),
            pool,
        }
    }

    pub(super) fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let conv = |finish| self.conv.forward_with(images, finish);
        let x = self.rectifier.after(None, conv);
        match &self.pool {
            Some(pool) => pool.forward(x),
            None => x,
        }
    }
}

/// `relu(path(x) + shortcut(x))`, or `relu(path(x))` in a plain network, where the path is
/// `norm(conv(..))` with `relu` in between, or `conv(..)` where nothing normalises; the manipulation
/// multiplies either summand.
#[derive(Module, Debug)]
pub(crate) struct ResidualBlock {
    path: Vec<ConvNorm>,
    rectifiers: Vec<Rectifier>,
    shortcut: Option<Shortcut>,
    manipulation: Manipulator,
    depth: StochasticDepth,
}

impl ResidualBlock {
    pub(super) fn new(
        config: &ResNetConfig,
        position: Position,
        outputs: usize,
        init: &mut Init,
    ) -> Self {
        let (channels, stride) = (position.channels, position.stride());
        let width = config.width << position.stage;
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
                        .padding(1)
                        .groups(config.groups),
                    Conv2dConfig::square(width, outputs, 1),
                ]
            }
        };
        let rectifier = |conv: &Conv2dConfig| Rectifier::new(config.activation, conv.filters, init);
        let rectifiers = convs.iter().map(rectifier).collect();
        Self {
            path: convs
                .into_iter()
                .map(|conv| ConvNorm::with(conv, config.normalization.options(), init))
                .collect(),
            rectifiers,
            shortcut: config
                .shortcut
                .map(|kind| shortcut(kind, config.normalization, channels, outputs, stride, init)),
            manipulation: Manipulator::new(config.manipulation, channels, outputs, stride, init),
            depth: StochasticDepth::new(position.dropped(config.stochastic_depth)),
        }
    }
}

impl stages::Block for ResidualBlock {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [of_shortcut, of_path] = self.manipulation.factors(&x);
        let shortcut = self.shortcut.as_ref();
        let residual = shortcut.map(|shortcut| of_shortcut.times(shortcut.forward(x.clone())));
        let mut layers = self.path.iter().zip(&self.rectifiers);
        let (last, rectifier) = layers.next_back().expect("a block has layers");
        let y = layers.fold(x, |y, (layer, rectifier)| {
            rectifier.after(None, |finish| layer.forward_with(y, finish))
        });
        let last = |finish| of_path.after(finish, |finish| last.forward_with(y, finish));
        rectifier.after(residual, |finish| self.depth.after(finish, last))
    }
}

/// Option A, B or C.
fn shortcut(
    kind: ShortcutKind,
    normalization: NormKind,
    channels: usize,
    outputs: usize,
    stride: usize,
    init: &mut Init,
) -> Shortcut {
    let changes = stride != 1 || channels != outputs;
    let projects = match kind {
        ShortcutKind::A => false,
        ShortcutKind::B => changes,
        ShortcutKind::C => true,
    };
    if projects {
        let conv = Conv2dConfig::square(channels, outputs, 1).stride(stride);
        Shortcut::projection(ConvNorm::with(conv, normalization.options(), init))
    } else {
        Shortcut::identity(channels, outputs, stride)
    }
}
