//! Inception networks: GoogLeNet and what followed.
//!
//! A module joins branches that look at the same values at several scales. The papers' tables are
//! in the files beside this one: [`googlenet`] (versions 1), [`bn_inception`], [`v3`], [`v4`] and
//! [`inception_resnet`]; here is what they share.

pub mod bn_inception;
pub mod googlenet;
pub mod inception_resnet;
mod module;
pub mod v3;
pub mod v4;

use burn::module::Module;
use burn::tensor::Tensor;

use crate::layers::{Dropout, Linear, NormOptions, flatten};
use crate::{
    ConfigError, Init, Initialization, Network, NetworkConfig, Scores, Seen, Tap,
    gradient_checkpointing,
};
use module::{Branch, BranchConfig, InceptionModule, ModuleConfig, index};

/// Which paper's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// GoogLeNet as torchvision has it.
    GoogLeNet,
    /// GoogLeNet as the paper has it.
    GoogLeNet2014,
    /// GoogLeNet of modules without dimension reduction.
    Naive,
    /// Inception with batch normalisation.
    BatchNorm,
    /// Inception-v3.
    V3,
    /// Inception-v4.
    V4,
    /// Inception-ResNet-v1.
    ResNetV1,
    /// Inception-ResNet-v2.
    ResNetV2,
}

/// An Inception network.
#[derive(Clone, Debug, PartialEq)]
pub struct InceptionConfig {
    /// The paper's table.
    pub version: Version,
    /// Channels of a module for each hidden one of its squeeze-and-excitation; without one, none.
    pub reduction: Option<usize>,
    /// Share of the classifier's features that training drops.
    pub dropout: f64,
    /// Channels of the images.
    pub channels: usize,
    /// Scores.
    pub classes: usize,
}

/// Of all networks that came from TensorFlow.
const TENSORFLOW: NormOptions = NormOptions {
    momentum: 0.1,
    epsilon: 0.001,
    learns_scale: true,
};
/// Standard deviation of weights that are drawn layer by layer, where a table says nothing else.
const DEVIATION: f64 = 0.1;

/// The table of a version.
struct Table {
    modules: Vec<ModuleConfig>,
    auxiliary: Vec<AuxiliaryConfig>,
    /// Of the batch normalisation; without it, convolutions have biases.
    norm: Option<NormOptions>,
    /// The reference's name of the classifier.
    classifier: &'static str,
}

/// A classifier on the way.
struct AuxiliaryConfig {
    /// The module whose output it classifies.
    place: &'static str,
    /// The reference's name of it.
    name: &'static str,
    features: BranchConfig,
    /// Pixels of the features.
    pixels: usize,
    /// Features of a hidden layer, and the share that training drops of them.
    hidden: Option<(usize, f64)>,
    /// Standard deviation of its last weights, where they are drawn layer by layer.
    deviation: f64,
    /// Of its loss.
    weight: f64,
}

impl InceptionConfig {
    fn table(&self) -> Table {
        match self.version {
            Version::GoogLeNet => googlenet::torchvision(),
            Version::GoogLeNet2014 => googlenet::paper(),
            Version::Naive => googlenet::naive(),
            Version::BatchNorm => bn_inception::table(),
            Version::V3 => v3::table(),
            Version::V4 => v4::table(),
            Version::ResNetV1 => inception_resnet::v1(),
            Version::ResNetV2 => inception_resnet::v2(),
        }
    }

    /// The least images on which every layer fits, auxiliary classifiers included.
    fn least(&self) -> usize {
        match self.version {
            Version::GoogLeNet => 15,
            Version::GoogLeNet2014 | Version::Naive => 79,
            Version::BatchNorm => 7,
            Version::V3 => 299,
            Version::V4 | Version::ResNetV1 | Version::ResNetV2 => 75,
        }
    }
}

impl NetworkConfig for InceptionConfig {
    type Network = Inception;

    fn initialization(&self) -> Initialization {
        match self.version {
            Version::GoogLeNet => Initialization::Gaussian(0.01),
            Version::GoogLeNet2014 | Version::Naive => Initialization::Glorot,
            Version::V3 => Initialization::Paper,
            Version::BatchNorm | Version::V4 | Version::ResNetV1 | Version::ResNetV2 => {
                Initialization::He
            }
        }
    }

    fn check(&self, size: [usize; 2]) -> Result<(), ConfigError> {
        ConfigError::if_below(self.least(), size)
    }

    fn init(&self, init: &mut Init) -> Inception {
        let table = self.table();
        let (norm, mut channels) = (table.norm, self.channels);
        let mut modules = Vec::with_capacity(table.modules.len());
        let mut auxiliary = Vec::with_capacity(table.auxiliary.len());
        for config in table.modules {
            let (module, out) = InceptionModule::new(config, channels, norm, self.reduction, init);
            channels = out;
            let here = table.auxiliary.iter().filter(|a| a.place == module.place);
            auxiliary.extend(here.map(|a| Auxiliary::new(a, channels, norm, self.classes, init)));
            modules.push(module);
        }
        init.paper(Initialization::Gaussian(DEVIATION), None);
        Inception {
            modules,
            auxiliary,
            dropout: Dropout::new(self.dropout),
            head: Linear::new(channels, self.classes, init),
            classifier: table.classifier,
        }
    }

    fn dropout(&mut self) -> Option<&mut f64> {
        Some(&mut self.dropout)
    }
}

/// An Inception network: modules, and a classifier of their means.
#[derive(Module, Debug)]
pub struct Inception {
    modules: Vec<InceptionModule>,
    auxiliary: Vec<Auxiliary>,
    dropout: Dropout,
    head: Linear,
    #[module(skip)]
    classifier: &'static str,
}

impl Network for Inception {
    /// Taps after each module, at its name in the paper, and after the layers before the first, as
    /// in `stem` and `3a`.
    fn features(&self, images: Tensor<4>, tap: &mut impl Tap) -> Tensor<4> {
        self.modules.iter().fold(images, |x, module| {
            let x = gradient_checkpointing::block(module, x, InceptionModule::forward);
            tap.at(&module.place, x)
        })
    }

    fn seen(&self) -> Seen {
        Seen::Mean
    }

    fn classify(&self, rows: Tensor<2>) -> Tensor<2> {
        self.head.forward(self.dropout.forward(rows))
    }

    fn forward_train(&self, images: Tensor<4>) -> Scores {
        let mut onlookers = Onlookers {
            classifiers: &self.auxiliary,
            scores: Vec::with_capacity(self.auxiliary.len()),
        };
        Scores {
            logits: self.forward_with(images, &mut onlookers),
            auxiliary: onlookers.scores,
        }
    }

    fn pytorch_name(&self, path: &str) -> String {
        let parts: Vec<&str> = path.split('.').collect();
        match parts.as_slice() {
            ["modules", module, rest @ ..] => self.modules[index(module)].pytorch_name(rest),
            ["auxiliary", place, rest @ ..] => self.auxiliary[index(place)].pytorch_name(rest),
            ["head", leaf] => format!("{}.{leaf}", self.classifier),
            _ => path.to_owned(),
        }
    }
}

/// Auxiliary classifiers, which look at what flows by, and what they say of it.
struct Onlookers<'a> {
    classifiers: &'a [Auxiliary],
    scores: Vec<(Tensor<2>, f64)>,
}

impl Tap for Onlookers<'_> {
    fn at(&mut self, place: &str, x: Tensor<4>) -> Tensor<4> {
        let here = self.classifiers.iter().filter(|a| a.place == place);
        self.scores
            .extend(here.map(|a| (a.forward(x.clone()), a.weight)));
        x
    }
}

/// `head(dropout(relu(hidden(features(x)))))`, or `head(features(x))` without a hidden layer.
#[derive(Module, Debug)]
struct Auxiliary {
    features: Branch,
    hidden: Option<Linear>,
    dropout: Dropout,
    head: Linear,
    #[module(skip)]
    place: &'static str,
    #[module(skip)]
    name: &'static str,
    #[module(skip)]
    weight: f64,
}

impl Auxiliary {
    fn new(
        config: &AuxiliaryConfig,
        channels: usize,
        norm: Option<NormOptions>,
        classes: usize,
        init: &mut Init,
    ) -> Self {
        let (features, filters) = Branch::new(config.features.clone(), channels, norm, init);
        let seen = filters * config.pixels;
        let (hidden, dropout) = config.hidden.unzip();
        let inputs = hidden.unwrap_or(seen);
        let hidden = hidden.map(|outputs| Linear::new(seen, outputs, init));
        init.paper(Initialization::Gaussian(config.deviation), None);
        Self {
            features,
            hidden,
            dropout: Dropout::new(dropout.unwrap_or(0.0)),
            head: Linear::new(inputs, classes, init),
            place: config.place,
            name: config.name,
            weight: config.weight,
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let mut features = flatten(self.features.forward(x));
        if let Some(hidden) = &self.hidden {
            features = self.dropout.forward(hidden.forward_relu(features));
        }
        self.head.forward(features)
    }

    fn pytorch_name(&self, path: &[&str]) -> String {
        let name = match path {
            ["features", "layers", rest @ ..] => self.features.pytorch_name(rest),
            ["hidden", leaf] => format!("fc1.{leaf}"),
            ["head", leaf] if self.hidden.is_some() => format!("fc2.{leaf}"),
            ["head", leaf] => format!("fc.{leaf}"),
            _ => unreachable!("an auxiliary classifier has no other parameters: {path:?}"),
        };
        format!("{}.{name}", self.name)
    }
}
