//! OverFeat, the classifiers.
//!
//! P. Sermanet, D. Eigen, X. Zhang, M. Mathieu, R. Fergus, Y. LeCun. *OverFeat: Integrated Recognition,
//! Localization and Detection using Convolutional Networks*. 2013, arXiv:1312.6229, tables 1 and 3.
//!
//! | fast | input | accurate | input |
//! |---|---|---|---|
//! | 11x11, 96, stride 4; 2x2 max pool | 231 | 7x7, 96, stride 2; 3x3 max pool, stride 3 | 221 |
//! | 5x5, 256; 2x2 max pool | 28 | 7x7, 256; 2x2 max pool | 36 |
//! | 3x3, 512 | 12 | 3x3, 512 | 15 |
//! | 3x3, 1024 | 12 | 3x3, 512 | 15 |
//! | 3x3, 1024; 2x2 max pool | 12 | 3x3, 1024 | 15 |
//! | | | 3x3, 1024; 3x3 max pool, stride 3 | 15 |
//! | fully connected 3072, 4096, 1000 | 6 | fully connected 4096, 4096, 1000 | 5 |
//!
//! # Departures
//!
//! - Larger images have a map ([`forward_map`](Network::forward_map), section 3.3) and no single
//!   scores.
//! - Table 5 has the sizes of test images at six scales, and not how they come about: an image is
//!   scaled until it covers one, and its middle is cut out. Both networks see these sizes, which line
//!   up with the places of the accurate one. A class's largest score over the places (section 3.3) is
//!   taken before the softmax, so that a class has a probability.
//! - Table 1 has the second layer's input at 24x24, which is its output before pooling: 28x28 go in.
//! - Biases start at zero; the paper says how weights start alone.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::layers::{Conv2d, Conv2dConfig, Dropout, Linear, MaxPool2d};
use crate::{ConfigError, Init, Initialization, Network, NetworkConfig, Seen, Tap, TestScales};

/// Table 1.
pub const OVERFEAT_FAST: OverFeatConfig = OverFeatConfig {
    size: 231,
    convs: &[
        row(96, 11, 4, 0, Some(2)),
        row(256, 5, 1, 0, Some(2)),
        row(512, 3, 1, 1, None),
        row(1024, 3, 1, 1, None),
        row(1024, 3, 1, 1, None),
    ],
    seen: Seen::Pooled { side: 6, pool: 2 },
    hidden: [3072, 4096],
    dropout: 0.5,
    channels: 3,
    classes: 1000,
};
/// Table 3.
pub const OVERFEAT_ACCURATE: OverFeatConfig = OverFeatConfig {
    size: 221,
    convs: &[
        row(96, 7, 2, 0, Some(3)),
        row(256, 7, 1, 0, Some(2)),
        row(512, 3, 1, 1, None),
        row(512, 3, 1, 1, None),
        row(1024, 3, 1, 1, None),
        row(1024, 3, 1, 1, None),
    ],
    seen: Seen::Pooled { side: 5, pool: 3 },
    hidden: [4096, 4096],
    ..OVERFEAT_FAST
};

/// Table 5: height and width of test images.
const TEST_SIZES: [[usize; 2]; 6] = [
    [245, 245],
    [281, 317],
    [317, 389],
    [389, 461],
    [425, 497],
    [461, 569],
];

const fn row(
    filters: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    pool: Option<usize>,
) -> Row {
    Row {
        filters,
        kernel,
        stride,
        padding,
        pool,
    }
}

/// A convolution, and the windows of the pooling that follows, which do not overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Filters.
    pub filters: usize,
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Pixels from one output to the next.
    pub stride: usize,
    /// Zero pixels on every side.
    pub padding: usize,
    /// Height and width of a pooling's window.
    pub pool: Option<usize>,
}

/// An OverFeat classifier.
#[derive(Clone, Debug, PartialEq)]
pub struct OverFeatConfig {
    /// Height and width of the images.
    pub size: usize,
    /// The convolutions.
    pub convs: &'static [Row],
    /// What the first fully connected layer sees, with the pooling before it.
    pub seen: Seen,
    /// Features of the hidden fully connected layers.
    pub hidden: [usize; 2],
    /// Share of the hidden features that training drops.
    pub dropout: f64,
    /// Channels of the images.
    pub channels: usize,
    /// Scores.
    pub classes: usize,
}

impl NetworkConfig for OverFeatConfig {
    type Network = OverFeat;

    /// Section 3.1.
    fn initialization(&self) -> Initialization {
        Initialization::Gaussian(0.01)
    }

    fn check(&self, size: [usize; 2]) -> Result<(), ConfigError> {
        ConfigError::if_not(self.size, size)
    }

    fn check_map(&self, size: [usize; 2]) -> Result<(), ConfigError> {
        ConfigError::if_below(self.size, size)
    }

    fn test_scales(&self) -> Option<TestScales> {
        Some(TestScales::Sizes(&TEST_SIZES))
    }

    fn init(&self, init: &mut Init) -> OverFeat {
        let mut layers = Vec::with_capacity(self.convs.len());
        let mut channels = self.channels;
        for row in self.convs {
            layers.push(Layer::new(channels, row, init));
            channels = row.filters;
        }
        let [hidden1, hidden2] = self.hidden;
        OverFeat {
            layers,
            seen: self.seen,
            fc1: Linear::new(self.seen.values(channels), hidden1, init),
            fc2: Linear::new(hidden1, hidden2, init),
            dropout: Dropout::new(self.dropout),
            fc3: Linear::new(hidden2, self.classes, init),
        }
    }

    fn dropout(&mut self) -> Option<&mut f64> {
        Some(&mut self.dropout)
    }
}

/// An OverFeat classifier.
#[derive(Module, Debug)]
pub struct OverFeat {
    layers: Vec<Layer>,
    #[module(skip)]
    seen: Seen,
    fc1: Linear,
    fc2: Linear,
    dropout: Dropout,
    fc3: Linear,
}

impl Network for OverFeat {
    /// Taps at `layer1` and so on, after their pooling; at the last before it, since the last pooling
    /// is where the classifier slides (section 3.3).
    fn features(&self, images: Tensor<4>, tap: &mut impl Tap) -> Tensor<4> {
        let mut x = images;
        for (index, layer) in self.layers.iter().enumerate() {
            x = tap.at(&format!("layer{}", index + 1), layer.forward(x));
        }
        x
    }

    fn seen(&self) -> Seen {
        self.seen
    }

    /// The largest score of each class (section 3.3).
    fn over_places(&self, map: Tensor<4>) -> Tensor<2> {
        let [n, classes, _, _] = map.dims();
        map.flatten::<3>(2, 3).max_dim(2).reshape([n, classes])
    }

    fn classify(&self, rows: Tensor<2>) -> Tensor<2> {
        let x = self.dropout.forward(self.fc1.forward_relu(rows));
        let x = self.dropout.forward(self.fc2.forward_relu(x));
        self.fc3.forward(x)
    }
}

/// `pool(relu(conv(x)))`, or without the pool.
#[derive(Module, Debug)]
struct Layer {
    conv: Conv2d,
    pool: Option<MaxPool2d>,
}

impl Layer {
    fn new(channels: usize, row: &Row, init: &mut Init) -> Self {
        let conv = Conv2dConfig::square(channels, row.filters, row.kernel)
            .stride(row.stride)
            .padding(row.padding)
            .with_bias();
        Self {
            conv: conv.init(init),
            pool: row.pool.map(|window| MaxPool2d::new(window, window, 0)),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = self.conv.forward_relu(x);
        match &self.pool {
            Some(pool) => pool.forward(x),
            None => x,
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::trace;

    /// Table 5, "map size".
    #[test]
    fn maps_of_the_test_sizes_are_the_papers() {
        let device = Device::flex();
        let network = OVERFEAT_ACCURATE.init(&mut Init::new(&device, Initialization::He, 0));
        // The classifier's window, pooled at every offset, is moved by a pixel of the features at a time.
        let places = |side: usize| side + 1 - network.seen().extent();
        let map = |[height, width]: [usize; 2]| {
            let mut found = [0; 2];
            trace::run([3, height, width], &device, |images| {
                let [_, _, height, width] = network.features(images, &mut ()).dims();
                found = [height, width].map(places);
            });
            found
        };
        let expected = [[3, 3], [6, 9], [9, 15], [15, 21], [18, 24], [21, 30]];
        assert_eq!(TEST_SIZES.map(map), expected);
    }
}
