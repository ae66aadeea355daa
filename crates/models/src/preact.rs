//! Residual networks with pre-activation, and wide ones, for CIFAR.
//!
//! K. He, X. Zhang, S. Ren, J. Sun. *Identity Mappings in Deep Residual Networks*. 2016,
//! arXiv:1603.05027, figure 4(e) and section 5. S. Zagoruyko, N. Komodakis. *Wide Residual Networks*.
//! 2016, arXiv:1605.07146, table 1.
//!
//! | layer | output | 6n+2 or WRN (6n+4) | 9n+2 |
//! |---|---|---|---|
//! | 3x3, 16 | 32 | | |
//! | width k 16, n blocks | 32 | 3x3, 3x3 | 1x1, 3x3, 1x1 with four times as many |
//! | width k 32, n blocks | 16 | 3x3, 3x3 | 1x1, 3x3, 1x1 |
//! | width k 64, n blocks | 8 | 3x3, 3x3 | 1x1, 3x3, 1x1 |
//! | norm, relu, mean, linear | 1 | | |
//!
//! # Departures
//!
//! - Where the shape changes, the shortcut is a 1x1 convolution of the activated input, as in both
//!   papers' published code. For 110 layers the first paper does not say what it is, and its code has
//!   none.
//! - A bottleneck's stride is on its first 1x1, as in the first paper's code.
//! - A WRN of depth 6n+4 counts its projections; n is the same.

use burn::module::Module;
use burn::tensor::Tensor;
use kernels::Finish;

use crate::layers::{
    BatchNorm, Conv2d, Conv2dConfig, Dropout, Linear, NormReluConv, StochasticDepth, residual_add,
};
use crate::resnet::Block;
use crate::stages::{self, Position, Stage};
use crate::{ConfigError, Init, Initialization, Network, NetworkConfig, Seen, Tap};

/// Of the first convolution.
const STEM_WIDTH: usize = 16;

/// He et al. 2016 with blocks of two 3x3: 6n+2 layers.
pub const fn basic(n: usize) -> PreActConfig {
    PreActConfig {
        depth: n,
        width: 16,
        block: Block::Basic,
        dropout: 0.0,
        stochastic_depth: 0.0,
        channels: 3,
        classes: 10,
    }
}

/// He et al. 2016 with bottlenecks: 9n+2 layers.
pub const fn bottleneck(n: usize) -> PreActConfig {
    PreActConfig {
        block: Block::Bottleneck,
        ..basic(n)
    }
}

/// WRN-`depth`-`k` of Zagoruyko and Komodakis 2016.
pub const fn wide(depth: usize, k: usize) -> PreActConfig {
    PreActConfig {
        width: 16 * k,
        ..basic((depth - 4) / 6)
    }
}

/// A residual network with pre-activation.
#[derive(Clone, Debug, PartialEq)]
pub struct PreActConfig {
    /// Blocks of each of the three stages.
    pub depth: usize,
    /// Channels of the first stage's 3x3 convolutions; each further stage has twice as many.
    pub width: usize,
    /// What a block is made of.
    pub block: Block,
    /// Share of the values within blocks that training drops.
    pub dropout: f64,
    /// The probability that training drops the path of the last block; those of the blocks before it
    /// are linear in depth.
    pub stochastic_depth: f64,
    /// Channels of the images.
    pub channels: usize,
    /// Scores.
    pub classes: usize,
}

impl NetworkConfig for PreActConfig {
    type Network = PreAct;

    /// Of both papers.
    fn initialization(&self) -> Initialization {
        Initialization::He
    }

    /// Every layer is padded: images of any size do.
    fn check(&self, _size: [usize; 2]) -> Result<(), ConfigError> {
        Ok(())
    }

    fn init(&self, init: &mut Init) -> PreAct {
        let stem = Conv2dConfig::square(self.channels, STEM_WIDTH, 3).same_padding();
        let stem = stem.init(init);
        let (stages, channels) = stages::build(&[self.depth; 3], STEM_WIDTH, |position| {
            let outputs = self.outputs(self.width << position.stage);
            (PreActBlock::new(self, position, init), outputs)
        });
        PreAct {
            stem,
            stages,
            norm: BatchNorm::new(channels, init),
            head: Linear::new(channels, self.classes, init),
        }
    }

    /// Between the convolutions of a block (section 2.4 of the second paper).
    fn dropout(&mut self) -> Option<&mut f64> {
        Some(&mut self.dropout)
    }

    fn stochastic_depth(&mut self) -> Option<&mut f64> {
        Some(&mut self.stochastic_depth)
    }
}

impl PreActConfig {
    /// Channels of the output of a block whose 3x3 convolutions have `width`.
    fn outputs(&self, width: usize) -> usize {
        match self.block {
            Block::Basic => width,
            Block::Bottleneck => 4 * width,
        }
    }
}

/// A residual network with pre-activation: stem, stages, head.
#[derive(Module, Debug)]
pub struct PreAct {
    stem: Conv2d,
    stages: Vec<Stage<PreActBlock>>,
    norm: BatchNorm,
    head: Linear,
}

impl Network for PreAct {
    /// Taps at `stem` and after each block, as in `stage1.block0`.
    fn features(&self, images: Tensor<4>, tap: &mut impl Tap) -> Tensor<4> {
        let x = tap.at("stem", self.stem.forward(images));
        let x = stages::forward(&self.stages, 1, x, tap);
        self.norm.forward_relu(x)
    }

    fn seen(&self) -> Seen {
        Seen::Mean
    }

    fn classify(&self, rows: Tensor<2>) -> Tensor<2> {
        self.head.forward(rows)
    }
}

/// `path(x) + x`, or `path(x) + projection(relu(norm(x)))` where the shape changes, with the path
/// `conv(relu(norm(..)))`, whose first activation the projection shares.
#[derive(Module, Debug)]
pub(crate) struct PreActBlock {
    path: Vec<NormReluConv>,
    projection: Option<Conv2d>,
    dropout: Dropout,
    depth: StochasticDepth,
}

impl PreActBlock {
    fn new(config: &PreActConfig, position: Position, init: &mut Init) -> Self {
        let (channels, stride) = (position.channels, position.stride());
        let width = config.width << position.stage;
        let outputs = config.outputs(width);
        let convs = match config.block {
            Block::Basic => vec![
                Conv2dConfig::square(channels, width, 3).stride(stride),
                Conv2dConfig::square(width, width, 3),
            ],
            Block::Bottleneck => vec![
                Conv2dConfig::square(channels, width, 1).stride(stride),
                Conv2dConfig::square(width, width, 3),
                Conv2dConfig::square(width, outputs, 1),
            ],
        };
        let changes = stride != 1 || channels != outputs;
        let projection = Conv2dConfig::square(channels, outputs, 1).stride(stride);
        Self {
            path: convs
                .into_iter()
                .map(|conv| NormReluConv::new(conv.same_padding(), init))
                .collect(),
            projection: changes.then(|| projection.init(init)),
            dropout: Dropout::new(config.dropout),
            depth: StochasticDepth::new(position.dropped(config.stochastic_depth)),
        }
    }
}

impl stages::Block for PreActBlock {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let (first, rest) = self.path.split_first().expect("a block has layers");
        let activated = first.norm.forward_relu(x.clone());
        let shortcut = match &self.projection {
            Some(projection) => projection.forward(activated.clone()),
            None => x,
        };
        let y = rest.iter().fold(first.conv.forward(activated), |y, layer| {
            let activated = layer.norm.forward_relu(y);
            layer.conv.forward(self.dropout.forward(activated))
        });
        let finish = Finish {
            residual: Some(shortcut),
            ..Finish::default()
        };
        self.depth.after(finish, |finish| match finish.residual {
            Some(shortcut) => residual_add(y, shortcut),
            None => y,
        })
    }
}
