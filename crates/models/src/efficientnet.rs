//! EfficientNet.
//!
//! M. Tan, Q. V. Le. *EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks*. 2019,
//! arXiv:1905.11946. Table 1, EfficientNet-B0:
//!
//! | stage | input | operator | channels | layers |
//! |---|---|---|---|---|
//! | 1 | 224 | 3x3, stride 2 | 32 | 1 |
//! | 2 | 112 | MBConv1, 3x3 | 16 | 1 |
//! | 3 | 112 | MBConv6, 3x3, stride 2 | 24 | 2 |
//! | 4 | 56 | MBConv6, 5x5, stride 2 | 40 | 2 |
//! | 5 | 28 | MBConv6, 3x3, stride 2 | 80 | 3 |
//! | 6 | 14 | MBConv6, 5x5 | 112 | 3 |
//! | 7 | 14 | MBConv6, 5x5, stride 2 | 192 | 4 |
//! | 8 | 7 | MBConv6, 3x3 | 320 | 1 |
//! | 9 | 7 | 1x1, mean, linear | 1280 | 1 |
//!
//! Equation 3 scales depth, width and resolution together; the coefficients of each network are those
//! of the authors' code, since the paper gives their bases alone (1.2, 1.1 and 1.15).
//!
//! | | B0 | B1 | B2 | B3 | B4 | B5 | B6 | B7 |
//! |---|---|---|---|---|---|---|---|---|
//! | width | 1.0 | 1.0 | 1.1 | 1.2 | 1.4 | 1.6 | 1.8 | 2.0 |
//! | depth | 1.0 | 1.1 | 1.2 | 1.4 | 1.8 | 2.2 | 2.6 | 3.1 |
//! | resolution | 224 | 240 | 288 | 300 | 380 | 456 | 528 | 600 |
//! | dropout | 0.2 | 0.2 | 0.3 | 0.3 | 0.4 | 0.4 | 0.5 | 0.5 |
//!
//! # Departures
//!
//! - Momentum and epsilon of the batch normalisations are torchvision's: PyTorch's own up to B4, 0.01
//!   and 0.001 from B5 on. The paper has 0.99 as momentum, which is 0.01 here.
//! - B2's images are 288x288, as for torchvision's weights; the authors' are 260x260.
//! - Stochastic depth drops block `i` of `n` with probability `0.2 i / n`, as the authors' code does;
//!   the paper's "survival probability 0.8" is that behind the last.
//! - The classifier's weights are normal, of the variance of torchvision's uniform ones.

use burn::module::Module;
use burn::tensor::Tensor;
use kernels::{Activation, Finish};

use crate::layers::{
    Conv2dConfig, ConvNorm, Dropout, Linear, NormOptions, SqueezeExcitation, StochasticDepth,
};
use crate::stages::{self, Stage};
use crate::{ConfigError, Init, Initialization, Network, NetworkConfig, Seen, Tap};

/// Table 1.
pub const EFFICIENTNET_B0: EfficientNetConfig = scaled(1.0, 1.0, 0.2, PYTORCH);
/// B0, 1.1 times as deep.
pub const EFFICIENTNET_B1: EfficientNetConfig = scaled(1.0, 1.1, 0.2, PYTORCH);
/// B0, 1.1 times as wide and 1.2 times as deep.
pub const EFFICIENTNET_B2: EfficientNetConfig = scaled(1.1, 1.2, 0.3, PYTORCH);
/// B0, 1.2 times as wide and 1.4 times as deep.
pub const EFFICIENTNET_B3: EfficientNetConfig = scaled(1.2, 1.4, 0.3, PYTORCH);
/// B0, 1.4 times as wide and 1.8 times as deep.
pub const EFFICIENTNET_B4: EfficientNetConfig = scaled(1.4, 1.8, 0.4, PYTORCH);
/// B0, 1.6 times as wide and 2.2 times as deep.
pub const EFFICIENTNET_B5: EfficientNetConfig = scaled(1.6, 2.2, 0.4, AUTHORS);
/// B0, 1.8 times as wide and 2.6 times as deep.
pub const EFFICIENTNET_B6: EfficientNetConfig = scaled(1.8, 2.6, 0.5, AUTHORS);
/// B0, 2.0 times as wide and 3.1 times as deep.
pub const EFFICIENTNET_B7: EfficientNetConfig = scaled(2.0, 3.1, 0.5, AUTHORS);

const PYTORCH: NormOptions = NormOptions {
    momentum: 0.1,
    epsilon: 1e-5,
    learns_scale: true,
};
const AUTHORS: NormOptions = NormOptions {
    momentum: 0.01,
    epsilon: 1e-3,
    learns_scale: true,
};

/// Stages 2 to 8 of table 1.
const STAGES: [Row; 7] = [
    row(1, 3, 1, 16, 1),
    row(6, 3, 2, 24, 2),
    row(6, 5, 2, 40, 2),
    row(6, 3, 2, 80, 3),
    row(6, 5, 1, 112, 3),
    row(6, 5, 2, 192, 4),
    row(6, 3, 1, 320, 1),
];
/// Filters of stage 1.
const STEM: usize = 32;
/// Filters of stage 9 for each channel of stage 8.
const HEAD_EXPANSION: usize = 4;
/// Channels of a block for each hidden one of its squeeze-and-excitation.
const REDUCTION: usize = 4;

/// A row of table 1.
#[derive(Clone, Copy)]
struct Row {
    expansion: usize,
    kernel: usize,
    stride: usize,
    filters: usize,
    layers: usize,
}

const fn row(expansion: usize, kernel: usize, stride: usize, filters: usize, layers: usize) -> Row {
    Row {
        expansion,
        kernel,
        stride,
        filters,
        layers,
    }
}

const fn scaled(width: f64, depth: f64, dropout: f64, norm: NormOptions) -> EfficientNetConfig {
    EfficientNetConfig {
        width,
        depth,
        dropout,
        stochastic_depth: 0.2,
        norm,
        channels: 3,
        classes: 1000,
    }
}

/// An EfficientNet.
#[derive(Clone, Debug, PartialEq)]
pub struct EfficientNetConfig {
    /// Channels for each of B0's.
    pub width: f64,
    /// Layers for each of B0's.
    pub depth: f64,
    /// Share of the classifier's features that training drops.
    pub dropout: f64,
    /// The probability that training drops the path of a block behind the last; it grows with depth.
    pub stochastic_depth: f64,
    /// Of all batch normalisations.
    pub norm: NormOptions,
    /// Channels of the images.
    pub channels: usize,
    /// Scores.
    pub classes: usize,
}

impl EfficientNetConfig {
    /// A number of B0's channels, scaled and rounded to a multiple of 8, by at most a tenth down.
    fn filters(&self, of_b0: usize) -> usize {
        let wanted = of_b0 as f64 * self.width;
        let nearest = 8.max((wanted + 4.0) as usize / 8 * 8);
        if (nearest as f64) < 0.9 * wanted {
            return nearest + 8;
        }
        nearest
    }

    /// A number of B0's layers, scaled and rounded up.
    fn layers(&self, of_b0: usize) -> usize {
        (of_b0 as f64 * self.depth).ceil() as usize
    }
}

impl NetworkConfig for EfficientNetConfig {
    type Network = EfficientNet;

    fn initialization(&self) -> Initialization {
        Initialization::Paper
    }

    /// Every layer is padded: images of any size do.
    fn check(&self, _size: [usize; 2]) -> Result<(), ConfigError> {
        Ok(())
    }

    fn init(&self, init: &mut Init) -> EfficientNet {
        init.paper(Initialization::HeFanOut, None);
        let stem_width = self.filters(STEM);
        let stem = Conv2dConfig::square(self.channels, stem_width, 3).stride(2);
        let stem = ConvNorm::with(stem.same_padding(), Some(self.norm), init);
        let depths = STAGES.map(|row| self.layers(row.layers));
        let (stages, channels) = stages::build(&depths, stem_width, |position| {
            let row = STAGES[position.stage];
            let shape = Row {
                filters: self.filters(row.filters),
                stride: if position.is_first { row.stride } else { 1 },
                ..row
            };
            let dropped = self.stochastic_depth * position.before as f64 / position.of as f64;
            let block = MbConv::new(position.channels, shape, self.norm, dropped, init);
            (block, shape.filters)
        });
        let features = HEAD_EXPANSION * channels;
        let last = Conv2dConfig::square(channels, features, 1);
        let last = ConvNorm::with(last, Some(self.norm), init);
        let deviation = 1.0 / (3.0 * self.classes as f64).sqrt();
        init.paper(Initialization::Gaussian(deviation), None);
        EfficientNet {
            stem,
            stages,
            last,
            dropout: Dropout::new(self.dropout),
            head: Linear::new(features, self.classes, init),
        }
    }

    fn dropout(&mut self) -> Option<&mut f64> {
        Some(&mut self.dropout)
    }

    fn stochastic_depth(&mut self) -> Option<&mut f64> {
        Some(&mut self.stochastic_depth)
    }
}

/// An EfficientNet: stem, stages of blocks, a last convolution and the classifier of its means.
#[derive(Module, Debug)]
pub struct EfficientNet {
    stem: ConvNorm,
    stages: Vec<Stage<MbConv>>,
    last: ConvNorm,
    dropout: Dropout,
    head: Linear,
}

impl Network for EfficientNet {
    /// Taps at `stem`, after each block, as in `stage2.block0`, and at `last`; stages are counted as
    /// in table 1.
    fn features(&self, images: Tensor<4>, tap: &mut impl Tap) -> Tensor<4> {
        let x = tap.at("stem", self.stem.forward_with(images, silu()));
        let x = stages::forward(&self.stages, 2, x, tap);
        tap.at("last", self.last.forward_with(x, silu()))
    }

    fn seen(&self) -> Seen {
        Seen::Mean
    }

    fn classify(&self, rows: Tensor<2>) -> Tensor<2> {
        self.head.forward(self.dropout.forward(rows))
    }

    /// torchvision's.
    fn pytorch_name(&self, path: &str) -> String {
        let parts: Vec<&str> = path.split('.').collect();
        let index = |text: &str| text.parse::<usize>().expect("an index of a Vec");
        match parts.as_slice() {
            ["stem", layer, leaf] => format!("features.0.{}.{leaf}", conv_or_norm(layer)),
            ["stages", stage, "blocks", block, part, layer, leaf] => {
                let (stage, number) = (index(stage), index(block));
                let place = self.stages[stage].blocks[number].place(part);
                let layer = match *part {
                    "gate" => (*layer).to_owned(),
                    _ => conv_or_norm(layer).to_string(),
                };
                format!(
                    "features.{}.{number}.block.{place}.{layer}.{leaf}",
                    stage + 1
                )
            }
            ["last", layer, leaf] => {
                let place = self.stages.len() + 1;
                format!("features.{place}.{}.{leaf}", conv_or_norm(layer))
            }
            ["head", leaf] => format!("classifier.1.{leaf}"),
            _ => path.to_owned(),
        }
    }
}

/// The place of a layer in torchvision's sequence of convolution and normalisation.
fn conv_or_norm(layer: &str) -> usize {
    usize::from(layer == "norm")
}

fn silu() -> Finish {
    Finish {
        activation: Activation::Silu,
        ..Finish::default()
    }
}

/// `norm(project(gate(silu(norm(depthwise(silu(norm(expand(x))))))))`, plus `x` where the shape
/// stays (figure 3 of Sandler et al. 2018, arXiv:1801.04381, with squeeze-and-excitation).
#[derive(Module, Debug)]
pub(crate) struct MbConv {
    expand: Option<ConvNorm>,
    depthwise: ConvNorm,
    gate: SqueezeExcitation,
    project: ConvNorm,
    depth: StochasticDepth,
    #[module(skip)]
    is_residual: bool,
}

impl MbConv {
    fn new(channels: usize, shape: Row, norm: NormOptions, dropped: f64, init: &mut Init) -> Self {
        let width = channels * shape.expansion;
        let expand = Conv2dConfig::square(channels, width, 1);
        let depthwise = Conv2dConfig::square(width, width, shape.kernel)
            .stride(shape.stride)
            .groups(width)
            .same_padding();
        let project = Conv2dConfig::square(width, shape.filters, 1);
        let hidden = 1.max(channels / REDUCTION);
        Self {
            expand: (shape.expansion > 1).then(|| ConvNorm::with(expand, Some(norm), init)),
            depthwise: ConvNorm::with(depthwise, Some(norm), init),
            gate: SqueezeExcitation::new(width, hidden, Activation::Silu, init),
            project: ConvNorm::with(project, Some(norm), init),
            depth: StochasticDepth::new(dropped),
            is_residual: shape.stride == 1 && channels == shape.filters,
        }
    }

    /// The place of a part in torchvision's sequence.
    fn place(&self, part: &str) -> usize {
        let before = usize::from(self.expand.is_some());
        match part {
            "expand" => 0,
            "depthwise" => before,
            "gate" => before + 1,
            _ => before + 2,
        }
    }
}

impl stages::Block for MbConv {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let mut y = x.clone();
        if let Some(expand) = &self.expand {
            y = expand.forward_with(y, silu());
        }
        y = self.gate.forward(self.depthwise.forward_with(y, silu()));
        let finish = Finish {
            residual: self.is_residual.then_some(x),
            ..Finish::default()
        };
        let project = |finish| self.project.forward_with(y, finish);
        self.depth.after(finish, project)
    }
}
