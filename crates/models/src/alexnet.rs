//! AlexNet, as published in 2012 and as torchvision has it.
//!
//! A. Krizhevsky, I. Sutskever, G. Hinton. *ImageNet Classification with Deep Convolutional Neural
//! Networks*. NIPS 2012, section 3.5. torchvision's is that of A. Krizhevsky. *One weird trick for
//! parallelizing convolutional neural networks*. 2014, arXiv:1404.5997, section 5.
//!
//! | layer | output | 2012 | torchvision |
//! |---|---|---|---|
//! | 11x11, stride 4 | 55 | 96 | 64 |
//! | response normalisation; 3x3 max pool, stride 2 | 27 | both | pool |
//! | 5x5 | 27 | 256, 2 groups | 192 |
//! | response normalisation; 3x3 max pool, stride 2 | 13 | both | pool |
//! | 3x3 | 13 | 384 | 384 |
//! | 3x3 | 13 | 384, 2 groups | 256 |
//! | 3x3 | 13 | 256, 2 groups | 256 |
//! | 3x3 max pool, stride 2 | 6 | | |
//! | fully connected 4096, 4096, 1000 | | | |
//!
//! # Departures
//!
//! - The first convolution pads images of 224x224 by two pixels, as torchvision's does: the paper's
//!   sizes do not fit each other otherwise.
//! - The fully connected layers see 6x6 means, as torchvision's do, so that images of any size from
//!   63x63 will do; at 224x224 these are the values themselves.
//!   [`forward_map`](Network::forward_map) leaves them out: there, each window of 6x6 is classified.
//! - The two groups of the paper are the halves that its two GPUs held; here they are one tensor's.
//! - torchvision's `alexnet` drops what goes into the hidden layers, the paper what comes out.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::layers::{Conv2d, Conv2dConfig, Dropout, Linear, LocalResponseNorm, MaxPool2d};
use crate::{ConfigError, Init, Initialization, Network, NetworkConfig, Seen, Tap};

/// Section 3.5 of the paper of 2012.
pub const ALEXNET_2012: AlexNetConfig = AlexNetConfig {
    filters: [96, 256, 384, 384, 256],
    groups: [1, 2, 1, 2, 2],
    variant: Variant::Paper,
    dropout: 0.5,
    channels: 3,
    classes: 1000,
};
/// torchvision's.
pub const ALEXNET: AlexNetConfig = AlexNetConfig {
    filters: [64, 192, 384, 256, 256],
    groups: [1; 5],
    variant: Variant::Torchvision,
    ..ALEXNET_2012
};

/// Of each convolution: height and width of its kernel, padding.
const KERNELS: [(usize, usize); 5] = [(11, 2), (5, 2), (3, 1), (3, 1), (3, 1)];
/// Section 5: the biases of these convolutions start at 1, those of the others at 0.
const STARTS_POSITIVE: [bool; 5] = [false, true, false, true, true];
/// Whether pooling follows a convolution.
const IS_POOLED: [bool; 5] = [true, true, false, false, true];
/// What the first fully connected layer sees.
const SEEN: Seen = Seen::Means(6);
/// Features of the hidden fully connected layers.
const HIDDEN: usize = 4096;

/// Whose AlexNet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Local response normalisation, dropout behind the hidden layers, Gaussian weights.
    Paper,
    /// No normalisation, dropout before the hidden layers, PyTorch's weights.
    Torchvision,
}

/// An AlexNet.
#[derive(Clone, Debug, PartialEq)]
pub struct AlexNetConfig {
    /// Filters of the convolutions.
    pub filters: [usize; 5],
    /// Groups of the convolutions.
    pub groups: [usize; 5],
    /// What is around them.
    pub variant: Variant,
    /// Share of the features that training drops.
    pub dropout: f64,
    /// Channels of the images.
    pub channels: usize,
    /// Scores.
    pub classes: usize,
}

impl NetworkConfig for AlexNetConfig {
    type Network = AlexNet;

    /// Section 5 of the paper of 2012.
    fn initialization(&self) -> Initialization {
        match self.variant {
            Variant::Paper => Initialization::Paper,
            Variant::Torchvision => Initialization::PyTorch,
        }
    }

    /// Down to one pixel of the last pooling.
    fn check(&self, size: [usize; 2]) -> Result<(), ConfigError> {
        ConfigError::if_below(63, size)
    }

    /// Down to 6x6 pixels of the last pooling.
    fn check_map(&self, size: [usize; 2]) -> Result<(), ConfigError> {
        ConfigError::if_below(223, size)
    }

    fn init(&self, init: &mut Init) -> AlexNet {
        let mut convs = Vec::with_capacity(KERNELS.len());
        let mut channels = self.channels;
        for (index, (kernel, padding)) in KERNELS.into_iter().enumerate() {
            starts_at(if STARTS_POSITIVE[index] { 1.0 } else { 0.0 }, init);
            let conv = Conv2dConfig::square(channels, self.filters[index], kernel)
                .stride(if index == 0 { 4 } else { 1 })
                .padding(padding)
                .groups(self.groups[index])
                .with_bias();
            convs.push(conv.init(init));
            channels = self.filters[index];
        }
        starts_at(1.0, init);
        let fc1 = Linear::new(SEEN.values(channels), HIDDEN, init);
        let fc2 = Linear::new(HIDDEN, HIDDEN, init);
        starts_at(0.0, init);
        AlexNet {
            convs,
            response_norm: (self.variant == Variant::Paper)
                .then(|| LocalResponseNorm::new(LocalResponseNorm::KRIZHEVSKY)),
            pool: MaxPool2d::new(3, 2, 0),
            dropout: Dropout::new(self.dropout),
            drops_inputs: self.variant == Variant::Torchvision,
            fc1,
            fc2,
            fc3: Linear::new(HIDDEN, self.classes, init),
        }
    }

    fn dropout(&mut self) -> Option<&mut f64> {
        Some(&mut self.dropout)
    }
}

/// Section 5: a deviation of 0.01, and biases of this value, in the layers that are made next.
fn starts_at(bias: f32, init: &mut Init) {
    init.paper(Initialization::Gaussian(0.01), Some(bias));
}

/// An AlexNet.
#[derive(Module, Debug)]
pub struct AlexNet {
    convs: Vec<Conv2d>,
    response_norm: Option<LocalResponseNorm>,
    pool: MaxPool2d,
    dropout: Dropout,
    #[module(skip)]
    drops_inputs: bool,
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
}

impl Network for AlexNet {
    /// Taps at `conv1` to `conv5`, after what follows each.
    fn features(&self, images: Tensor<4>, tap: &mut impl Tap) -> Tensor<4> {
        let mut x = images;
        for (index, conv) in self.convs.iter().enumerate() {
            x = conv.forward_relu(x);
            if let (0 | 1, Some(norm)) = (index, &self.response_norm) {
                x = norm.forward(x);
            }
            if IS_POOLED[index] {
                x = self.pool.forward(x);
            }
            x = tap.at(&format!("conv{}", index + 1), x);
        }
        x // [n, 256, 6, 6]
    }

    fn seen(&self) -> Seen {
        SEEN
    }

    fn classify(&self, rows: Tensor<2>) -> Tensor<2> {
        let x = self.hidden(&self.fc1, rows); // [n, 4096]
        let x = self.hidden(&self.fc2, x); // [n, 4096]
        self.fc3.forward(x)
    }

    /// torchvision's, which counts every layer.
    fn pytorch_name(&self, path: &str) -> String {
        match path.split('.').collect::<Vec<_>>().as_slice() {
            ["convs", index, name] => {
                let index: usize = index.parse().expect("an index of a Vec");
                let pools = IS_POOLED[..index].iter().filter(|pooled| **pooled).count();
                format!("features.{}.{name}", 2 * index + pools)
            }
            ["fc1", name] => format!("classifier.1.{name}"),
            ["fc2", name] => format!("classifier.4.{name}"),
            ["fc3", name] => format!("classifier.6.{name}"),
            _ => path.to_owned(),
        }
    }
}

impl AlexNet {
    fn hidden(&self, layer: &Linear, x: Tensor<2>) -> Tensor<2> {
        if self.drops_inputs {
            layer.forward_relu(self.dropout.forward(x))
        } else {
            self.dropout.forward(layer.forward_relu(x))
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    /// Section 5: the second, fourth and fifth convolution and the hidden layers.
    #[test]
    fn biases_start_where_the_paper_says() {
        let mut init = Init::new(&Device::flex(), Initialization::Paper, 0);
        let network = ALEXNET_2012.init(&mut init);
        let convs = network.convs.iter().map(|conv| conv.bias.as_ref());
        let linears = [&network.fc1, &network.fc2, &network.fc3].map(|layer| layer.bias.as_ref());
        let first: Vec<f32> = (convs.chain(linears))
            .map(|bias| bias.expect("all have biases"))
            .map(|bias| bias.val().slice(0..1).into_scalar())
            .collect();
        assert_eq!(first, [0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
    }
}
