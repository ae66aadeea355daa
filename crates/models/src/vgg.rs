//! VGG.
//!
//! K. Simonyan, A. Zisserman. *Very Deep Convolutional Networks for Large-Scale Image Recognition*.
//! 2014, arXiv:1409.1556. Table 1:
//!
//! | stage | output | A | B | C | D | E |
//! |---|---|---|---|---|---|---|
//! | width 64, 2x2 max pool | 112 | 1 | 2 | 2 | 2 | 2 |
//! | width 128, 2x2 max pool | 56 | 1 | 2 | 2 | 2 | 2 |
//! | width 256, 2x2 max pool | 28 | 2 | 2 | 2 + 1x1 | 3 | 4 |
//! | width 512, 2x2 max pool | 14 | 2 | 2 | 2 + 1x1 | 3 | 4 |
//! | width 512, 2x2 max pool | 7 | 2 | 2 | 2 + 1x1 | 3 | 4 |
//! | fully connected 4096, 4096, 1000 | | | | | | |
//!
//! A-LRN is A with local response normalisation after the first convolution.
//!
//! For CIFAR's images of 32x32 there are forms with batch normalisation, whose hidden fully connected layers have 512
//! features: after the fifth pooling, one pixel is left. They are not the paper's; their shape and names are those of
//! github.com/chenyaofo/pytorch-cifar-models, and close to what later papers train on CIFAR as VGG.
//!
//! # Departures
//!
//! - Weights are drawn as torchvision draws them (convolutions by He et al. 2015 with fan-out, fully
//!   connected layers normal with deviation 0.01). The paper's own is `initialization = { gaussian =
//!   0.01 }`, and starts B to E from the trained A (section 3.1): `init = { weights = "vgg11.pth",
//!   model = "vgg11", only = ["stage1.layer0", "stage2.layer0", "stage3.layer0", "stage3.layer1",
//!   "fc1", "fc2", "fc3"] }`.
//! - The fully connected layers see 7x7 means, as torchvision's do, so that images of any size from
//!   32x32 will do; at 224x224 these are the values themselves.
//!   [`forward_map`](Network::forward_map) leaves them out: there, each window of 7x7 is classified,
//!   which is the paper's dense evaluation (section 3.2).
//! - `_bn`, with batch normalisation after each convolution, is torchvision's and not the paper's.
//! - C is not torchvision's; its 1x1 convolutions are not padded.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::layers::{
    BatchNorm, Conv2d, Conv2dConfig, Dropout, Linear, LocalResponseNorm, MaxPool2d, Rectifier,
    RectifierKind,
};
use crate::{
    ConfigError, Init, Initialization, Network, NetworkConfig, Seen, Tap, TestScales,
    gradient_checkpointing, routes,
};

/// Table 1, A.
pub const VGG11: VggConfig = table1([&[3], &[3], &[3, 3], &[3, 3], &[3, 3]]);
/// Table 1, A-LRN.
pub const VGG11_LRN: VggConfig = VggConfig {
    norm: Norm::LocalResponse,
    ..VGG11
};
/// Table 1, B.
pub const VGG13: VggConfig = table1([&[3, 3], &[3, 3], &[3, 3], &[3, 3], &[3, 3]]);
/// Table 1, C.
pub const VGG16_C: VggConfig = table1([&[3, 3], &[3, 3], &[3, 3, 1], &[3, 3, 1], &[3, 3, 1]]);
/// Table 1, D.
pub const VGG16: VggConfig = table1([&[3, 3], &[3, 3], &[3, 3, 3], &[3, 3, 3], &[3, 3, 3]]);
/// Table 1, E.
pub const VGG19: VggConfig = table1([
    &[3, 3],
    &[3, 3],
    &[3, 3, 3, 3],
    &[3, 3, 3, 3],
    &[3, 3, 3, 3],
]);

/// Filters of each stage's convolutions.
const WIDTHS: [usize; 5] = [64, 128, 256, 512, 512];

const fn table1(kernels: [&'static [usize]; 5]) -> VggConfig {
    VggConfig {
        kernels,
        norm: Norm::None,
        activation: RectifierKind::Relu,
        seen: Seen::Means(7),
        hidden: 4096,
        dropout: 0.5,
        channels: 3,
        classes: 1000,
    }
}

/// The same with batch normalisation after each convolution.
pub const fn batch_normalized(config: VggConfig) -> VggConfig {
    VggConfig {
        norm: Norm::Batch,
        ..config
    }
}

/// The same for CIFAR's images, with batch normalisation.
pub const fn cifar(config: VggConfig) -> VggConfig {
    VggConfig {
        seen: Seen::Mean,
        hidden: 512,
        classes: 10,
        ..batch_normalized(config)
    }
}

/// What normalises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// Nothing.
    None,
    /// Batch normalisation, between each convolution and its ReLU.
    Batch,
    /// Local response normalisation, once, after the first convolution's ReLU.
    LocalResponse,
}

/// A VGG network.
#[derive(Clone, Debug, PartialEq)]
pub struct VggConfig {
    /// Height and width of each convolution's kernel, by stage.
    pub kernels: [&'static [usize]; 5],
    /// What normalises.
    pub norm: Norm,
    /// What rectifies.
    pub activation: RectifierKind,
    /// What the first fully connected layer sees.
    pub seen: Seen,
    /// Features of the hidden fully connected layers.
    pub hidden: usize,
    /// Share of the hidden features that training drops.
    pub dropout: f64,
    /// Channels of the images.
    pub channels: usize,
    /// Scores.
    pub classes: usize,
}

impl NetworkConfig for VggConfig {
    type Network = Vgg;

    fn initialization(&self) -> Initialization {
        Initialization::Paper
    }

    /// Section 4.2, of networks that were trained on shorter sides of 256 to 512.
    fn test_scales(&self) -> Option<TestScales> {
        Some(TestScales::Sides(&[256, 384, 512]))
    }

    /// Five poolings halve the image.
    fn check(&self, size: [usize; 2]) -> Result<(), ConfigError> {
        ConfigError::if_below(32, size)
    }

    /// Down to what is seen of the last pooling.
    fn check_map(&self, size: [usize; 2]) -> Result<(), ConfigError> {
        ConfigError::if_below(32 * self.seen.extent(), size)
    }

    fn init(&self, init: &mut Init) -> Vgg {
        init.paper(Initialization::HeFanOut, None);
        init.behind(self.activation);
        let mut channels = self.channels;
        let mut stages = Vec::with_capacity(WIDTHS.len());
        for (kernels, width) in self.kernels.into_iter().zip(WIDTHS) {
            stages.push(Stage::new(self, channels, width, kernels, init));
            channels = width;
        }
        init.paper(Initialization::Gaussian(0.01), None);
        Vgg {
            stages,
            response_norm: (self.norm == Norm::LocalResponse)
                .then(|| LocalResponseNorm::new(LocalResponseNorm::KRIZHEVSKY)),
            pool: MaxPool2d::new(2, 2, 0),
            seen: self.seen,
            fc1: Linear::new(self.seen.values(channels), self.hidden, init),
            rectifier1: Rectifier::new(self.activation, self.hidden, init),
            fc2: Linear::new(self.hidden, self.hidden, init),
            rectifier2: Rectifier::new(self.activation, self.hidden, init),
            dropout: Dropout::new(self.dropout),
            fc3: Linear::new(self.hidden, self.classes, init),
        }
    }

    fn activation(&mut self) -> Option<&mut RectifierKind> {
        Some(&mut self.activation)
    }

    fn dropout(&mut self) -> Option<&mut f64> {
        Some(&mut self.dropout)
    }
}

/// A VGG network: five stages and three fully connected layers.
#[derive(Module, Debug)]
pub struct Vgg {
    stages: Vec<Stage>,
    response_norm: Option<LocalResponseNorm>,
    pool: MaxPool2d,
    #[module(skip)]
    seen: Seen,
    fc1: Linear,
    rectifier1: Rectifier,
    fc2: Linear,
    rectifier2: Rectifier,
    dropout: Dropout,
    fc3: Linear,
}

impl Network for Vgg {
    /// Taps at `stage1` to `stage5`, after their pooling.
    fn features(&self, images: Tensor<4>, tap: &mut impl Tap) -> Tensor<4> {
        let mut x = images;
        for (index, stage) in self.stages.iter().enumerate() {
            x = gradient_checkpointing::block(stage, x, Stage::forward);
            if let (0, Some(norm)) = (index, &self.response_norm) {
                x = norm.forward(x);
            }
            x = tap.at(&format!("stage{}", index + 1), self.pool.forward(x));
        }
        x // [n, 512, 7, 7]; of CIFAR's images [n, 512, 1, 1]
    }

    fn seen(&self) -> Seen {
        self.seen
    }

    fn classify(&self, rows: Tensor<2>) -> Tensor<2> {
        let x = self.rectifier1.forward(self.fc1.forward(rows)); // [n, hidden]
        let x = self.fc2.forward(self.dropout.forward(x)); // [n, hidden]
        let x = self.rectifier2.forward(x);
        self.fc3.forward(self.dropout.forward(x))
    }

    /// torchvision's, which counts every layer.
    fn pytorch_name(&self, path: &str) -> String {
        let parts: Vec<&str> = path.split('.').collect();
        let index = |text: &str| text.parse::<usize>().expect("an index of a Vec");
        match parts.as_slice() {
            ["stages", stage, "layers", layer, kind, name] => {
                let before = &self.stages[..index(stage)];
                let stages: usize = before.iter().map(Stage::pytorch_layers).sum();
                let layers = index(layer) * self.stages[0].layers[0].pytorch_layers();
                let place = match *kind {
                    "conv" => 0,
                    "norm" => 1,
                    _ => self.stages[0].layers[0].pytorch_layers() - 1,
                };
                let place = stages + layers + place;
                format!("features.{place}.{name}")
            }
            ["fc1", name] => format!("classifier.0.{name}"),
            ["rectifier1", name] => format!("classifier.1.{name}"),
            ["rectifier2", name] => format!("classifier.4.{name}"),
            ["fc2", name] => format!("classifier.3.{name}"),
            ["fc3", name] => format!("classifier.6.{name}"),
            _ => path.to_owned(),
        }
    }
}

/// Layers of one width, before their pooling.
#[derive(Module, Debug)]
struct Stage {
    layers: Vec<Layer>,
}

impl Stage {
    fn new(
        config: &VggConfig,
        mut channels: usize,
        width: usize,
        kernels: &[usize],
        init: &mut Init,
    ) -> Self {
        let mut layers = Vec::with_capacity(kernels.len());
        for &kernel in kernels {
            let conv = Conv2dConfig::square(channels, width, kernel);
            layers.push(Layer::new(config, conv.same_padding().with_bias(), init));
            channels = width;
        }
        Self { layers }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let layers = self.layers.iter().enumerate();
        layers.fold(x, |x, (index, layer)| {
            if layer.keeps_shape && routes::skips_layer(index) {
                x
            } else {
                layer.forward(x)
            }
        })
    }

    fn pytorch_layers(&self) -> usize {
        let pool = 1;
        self.layers.iter().map(Layer::pytorch_layers).sum::<usize>() + pool
    }
}

/// `relu(conv(x))` or `relu(norm(conv(x)))`.
#[derive(Module, Debug)]
struct Layer {
    conv: Conv2d,
    norm: Option<BatchNorm>,
    rectifier: Rectifier,
    /// So that the network can do without it.
    #[module(skip)]
    keeps_shape: bool,
}

impl Layer {
    fn new(config: &VggConfig, conv: Conv2dConfig, init: &mut Init) -> Self {
        Self {
            conv: conv.init(init),
            norm: (config.norm == Norm::Batch).then(|| BatchNorm::new(conv.filters, init)),
            rectifier: Rectifier::new(config.activation, conv.filters, init),
            keeps_shape: conv.channels == conv.filters,
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.rectifier.after(None, |finish| match &self.norm {
            Some(norm) => norm.forward_with(self.conv.forward(x), finish),
            None => self.conv.forward_with(x, finish.activation),
        })
    }

    fn pytorch_layers(&self) -> usize {
        if self.norm.is_some() { 3 } else { 2 }
    }
}
