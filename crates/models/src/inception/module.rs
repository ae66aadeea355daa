//! What Inception networks are made of: branches of layers over the same values, joined.

use burn::module::Module;
use burn::tensor::Tensor;
use kernels::Activation;

use super::DEVIATION;
use crate::layers::{
    AdaptiveAvgPool2d, AvgPool2d, Conv2d, Conv2dConfig, ConvNorm, LocalResponseNorm, MaxPool2d,
    NormOptions, SqueezeExcitation, concat, relu, residual_add, scale,
};
use crate::{Init, Initialization};

/// A convolution under the name that the reference has for it in its module.
#[derive(Clone, Debug)]
pub(super) struct ConvConfig {
    name: String,
    filters: usize,
    kernel: [usize; 2],
    stride: usize,
    is_padded: bool,
    /// Standard deviation of the weights, where they are drawn layer by layer.
    deviation: f64,
}

/// A layer of a branch.
#[derive(Clone, Debug)]
pub(super) enum LayerConfig {
    /// Convolutions of the same values, joined; mostly one.
    Convs(Vec<ConvConfig>),
    /// What has no parameters.
    Fixed(Layer),
}

/// Layers, one after the other.
pub(super) type BranchConfig = Vec<LayerConfig>;

impl LayerConfig {
    /// The same with this standard deviation of the weights, where they are drawn layer by layer.
    pub fn deviation(mut self, deviation: f64) -> Self {
        if let Self::Convs(convs) = &mut self {
            convs.iter_mut().for_each(|conv| conv.deviation = deviation);
        }
        self
    }
}

/// A convolution at stride 1 that keeps the image's size.
pub(super) fn conv(name: &str, filters: usize, kernel: [usize; 2]) -> LayerConfig {
    strided_conv(name, filters, kernel, 1)
}

/// A convolution that is padded as at stride 1.
pub(super) fn strided_conv(
    name: &str,
    filters: usize,
    kernel: [usize; 2],
    stride: usize,
) -> LayerConfig {
    LayerConfig::Convs(vec![ConvConfig {
        stride,
        ..ConvConfig::padded(name, filters, kernel)
    }])
}

/// A convolution without padding.
pub(super) fn valid_conv(
    name: &str,
    filters: usize,
    kernel: [usize; 2],
    stride: usize,
) -> LayerConfig {
    LayerConfig::Convs(vec![ConvConfig {
        stride,
        is_padded: false,
        ..ConvConfig::padded(name, filters, kernel)
    }])
}

/// A 1x3 and a 3x1 convolution of the same values.
pub(super) fn fork(across: &str, down: &str, filters: usize) -> LayerConfig {
    LayerConfig::Convs(vec![
        ConvConfig::padded(across, filters, [1, 3]),
        ConvConfig::padded(down, filters, [3, 1]),
    ])
}

impl ConvConfig {
    /// At stride 1, keeping the image's size.
    fn padded(name: &str, filters: usize, kernel: [usize; 2]) -> Self {
        Self {
            name: name.to_owned(),
            filters,
            kernel,
            stride: 1,
            is_padded: true,
            deviation: DEVIATION,
        }
    }
}

/// 3x3 at stride 2 without padding.
pub(super) fn reducing_max_pool() -> LayerConfig {
    LayerConfig::Fixed(Layer::MaxPool(MaxPool2d::new(3, 2, 0)))
}

/// 3x3 at stride 1, which keeps the size.
pub(super) fn max_pool() -> LayerConfig {
    LayerConfig::Fixed(Layer::MaxPool(MaxPool2d::new(3, 1, 1)))
}

/// 3x3 at stride 1, which keeps the size; padding counts in the means where `counts_padding`.
pub(super) fn avg_pool(counts_padding: bool) -> LayerConfig {
    LayerConfig::Fixed(Layer::AvgPool(
        AvgPool2d::new(3, 1).padding(1, counts_padding),
    ))
}

/// A layer of a branch.
#[derive(Module, Debug)]
pub(super) enum Layer {
    Convs(Vec<Unit>),
    MaxPool(MaxPool2d),
    AvgPool(AvgPool2d),
    AdaptiveAvgPool(AdaptiveAvgPool2d),
    ResponseNorm(LocalResponseNorm),
}

impl Layer {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Convs(units) => {
                concat(units.iter().map(|unit| unit.forward(x.clone())).collect())
            }
            Self::MaxPool(pool) => pool.forward(x),
            Self::AvgPool(pool) => pool.forward(x),
            Self::AdaptiveAvgPool(pool) => pool.forward(x),
            Self::ResponseNorm(norm) => norm.forward(x),
        }
    }
}

/// `relu(norm(conv(x)))`, or `relu(conv(x))` with biases.
#[derive(Module, Debug)]
pub(super) struct Unit {
    #[module(skip)]
    name: String,
    layer: ConvNorm,
}

impl Unit {
    fn new(
        config: ConvConfig,
        channels: usize,
        norm: Option<NormOptions>,
        init: &mut Init,
    ) -> Self {
        let mut conv =
            Conv2dConfig::new(channels, config.filters, config.kernel).stride(config.stride);
        if config.is_padded {
            conv = conv.same_padding();
        }
        init.paper(Initialization::Gaussian(config.deviation), None);
        Self {
            name: config.name,
            layer: ConvNorm::with(conv, norm, init),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.layer.forward_relu(x)
    }
}

/// Layers, one after the other.
#[derive(Module, Debug)]
pub(super) struct Branch {
    layers: Vec<Layer>,
}

impl Branch {
    /// The branch on so many channels, and how many it puts out.
    pub fn new(
        config: BranchConfig,
        mut channels: usize,
        norm: Option<NormOptions>,
        init: &mut Init,
    ) -> (Self, usize) {
        let mut layers = Vec::with_capacity(config.len());
        for layer in config {
            layers.push(match layer {
                LayerConfig::Fixed(layer) => layer,
                LayerConfig::Convs(convs) => {
                    let filters = convs.iter().map(|conv| conv.filters).sum();
                    let units = convs
                        .into_iter()
                        .map(|conv| Unit::new(conv, channels, norm, init));
                    let units = Layer::Convs(units.collect());
                    channels = filters;
                    units
                }
            });
        }
        (Self { layers }, channels)
    }

    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.layers.iter().fold(x, |x, layer| layer.forward(x))
    }

    /// The reference's name of the parameter at `path` below `layers`.
    pub fn pytorch_name(&self, path: &[&str]) -> String {
        let [layer, unit, "layer", kind, leaf] = path else {
            unreachable!("a branch has parameters in its convolutions alone: {path:?}");
        };
        let Layer::Convs(units) = &self.layers[index(layer)] else {
            unreachable!("only convolutions have parameters: {path:?}");
        };
        let kind = if *kind == "norm" { "bn" } else { kind };
        format!("{}.{kind}.{leaf}", units[index(unit)].name)
    }
}

pub(super) fn index(text: &str) -> usize {
    text.parse().expect("an index of a Vec")
}

/// A module: where it is, the reference's name of it, its branches, what it adds to.
#[derive(Clone, Debug)]
pub(super) struct ModuleConfig {
    pub place: String,
    pub name: String,
    pub branches: Vec<BranchConfig>,
    pub residual: Option<ResidualConfig>,
}

/// How much of a residual is added, and whether the sum is rectified.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResidualConfig {
    pub scale: f64,
    pub rectifies: bool,
}

impl ModuleConfig {
    /// Branches, joined.
    pub fn new(
        place: impl Into<String>,
        name: impl Into<String>,
        branches: Vec<BranchConfig>,
    ) -> Self {
        Self {
            place: place.into(),
            name: name.into(),
            branches,
            residual: None,
        }
    }

    /// Layers, one after the other.
    pub fn sequence(place: &str, name: &str, branch: BranchConfig) -> Self {
        Self::new(place, name, vec![branch])
    }
}

/// `concat(branch(x), ...)`, with squeeze-and-excitation where it has one, or
/// `relu(x + scale · conv(concat(branch(x), ...)))` where it is residual.
#[derive(Module, Debug)]
pub(super) struct InceptionModule {
    #[module(skip)]
    pub place: String,
    #[module(skip)]
    name: String,
    branches: Vec<Branch>,
    gate: Option<SqueezeExcitation>,
    residual: Option<Residual>,
}

impl InceptionModule {
    /// The module on so many channels, and how many it puts out.
    pub fn new(
        config: ModuleConfig,
        channels: usize,
        norm: Option<NormOptions>,
        reduction: Option<usize>,
        init: &mut Init,
    ) -> (Self, usize) {
        let mut joined = 0;
        let mut branches = Vec::with_capacity(config.branches.len());
        for branch in config.branches {
            let (branch, filters) = Branch::new(branch, channels, norm, init);
            branches.push(branch);
            joined += filters;
        }
        let is_inception = branches.len() > 1;
        let gate = reduction.filter(|_| is_inception).map(|reduction| {
            SqueezeExcitation::new(joined, joined / reduction, Activation::Relu, init)
        });
        let residual =
            (config.residual).map(|residual| Residual::new(residual, joined, channels, init));
        let out = if residual.is_some() { channels } else { joined };
        let module = Self {
            place: config.place,
            name: config.name,
            branches,
            gate,
            residual,
        };
        (module, out)
    }

    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let branches = self.branches.iter();
        let mut joined = concat(branches.map(|branch| branch.forward(x.clone())).collect());
        if let Some(gate) = &self.gate {
            joined = gate.forward(joined);
        }
        match &self.residual {
            Some(residual) => residual.forward(x, joined),
            None => joined,
        }
    }

    /// The reference's name of the parameter at `path`.
    pub fn pytorch_name(&self, path: &[&str]) -> String {
        let name = match path {
            ["branches", branch, "layers", rest @ ..] => {
                self.branches[index(branch)].pytorch_name(rest)
            }
            ["gate", rest @ ..] => format!("se_module.{}", rest.join(".")),
            ["residual", "conv", leaf] => format!("conv2d.{leaf}"),
            _ => unreachable!("a module has no other parameters: {path:?}"),
        };
        if self.name.is_empty() {
            return name;
        }
        format!("{}.{name}", self.name)
    }
}

/// `relu(x + scale · conv(y))`; the convolution is 1x1, with biases and without normalisation.
#[derive(Module, Debug)]
struct Residual {
    conv: Conv2d,
    #[module(skip)]
    scale: f64,
    #[module(skip)]
    rectifies: bool,
}

impl Residual {
    fn new(config: ResidualConfig, channels: usize, filters: usize, init: &mut Init) -> Self {
        let conv = Conv2dConfig::square(channels, filters, 1).with_bias();
        Self {
            conv: conv.init(init),
            scale: config.scale,
            rectifies: config.rectifies,
        }
    }

    fn forward(&self, x: Tensor<4>, y: Tensor<4>) -> Tensor<4> {
        let scaled = scale(self.conv.forward(y), self.scale);
        let sum = residual_add(scaled, x);
        if self.rectifies { relu(sum) } else { sum }
    }
}
