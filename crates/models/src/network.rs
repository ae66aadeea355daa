//! What all families have in common.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::layers::{NormKind, RectifierKind, global_average};
use crate::{ConfigError, Init, Initialization, Seen, Tap};

/// The configuration of a network: a row of its paper's table.
pub trait NetworkConfig {
    /// The network.
    type Network: Network;

    /// How its paper draws the weights.
    fn initialization(&self) -> Initialization;

    /// Whether the network can be built and takes images of `[height, width]`.
    fn check(&self, size: [usize; 2]) -> Result<(), ConfigError>;

    /// Whether [`Network::forward_map`] takes images of `[height, width]`: those on which the
    /// classifier's window fits the features.
    fn check_map(&self, size: [usize; 2]) -> Result<(), ConfigError> {
        self.check(size)
    }

    /// The sizes at which its paper looks at a test image to average what the network says, where it
    /// does that.
    fn test_scales(&self) -> Option<TestScales> {
        None
    }

    /// Makes the network.
    ///
    /// What comes last among its parameters has a row for each class: the classifier's bias, or its weight where it has none.
    fn init(&self, init: &mut Init) -> Self::Network;

    /// Which rectifier the network has, where there is a choice.
    fn activation(&mut self) -> Option<&mut RectifierKind> {
        None
    }

    /// What normalises, where there is a choice.
    fn normalization(&mut self) -> Option<&mut NormKind> {
        None
    }

    /// With what probability training drops values, where the network drops any.
    fn dropout(&mut self) -> Option<&mut f64> {
        None
    }

    /// With what probability training drops the last of the paths beside shortcuts, where there are any.
    fn stochastic_depth(&mut self) -> Option<&mut f64> {
        None
    }
}

/// The sizes at which a test image is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestScales {
    /// Pixels of the shorter side of the whole image.
    Sides(&'static [usize]),
    /// `[height, width]` that the image is scaled to cover, and of the middle that is cut out then.
    Sizes(&'static [[usize; 2]]),
}

/// A network of some family: features of an image, and a classifier of what it sees of them.
pub trait Network: Module {
    /// Other names that published weights use, as prefixes: (theirs, the reference's).
    const ALIASES: &'static [(&'static str, &'static str)] = &[];

    /// `[n, channels, h, w]` to the features `[n, c, h', w']`, showing what flows to `tap`.
    fn features(&self, images: Tensor<4>, tap: &mut impl Tap) -> Tensor<4>;

    /// What of the features is one row for the classifier.
    fn seen(&self) -> Seen;

    /// The classifier: `[rows, values]` to `[rows, classes]`.
    fn classify(&self, rows: Tensor<2>) -> Tensor<2>;

    /// `[n, channels, h, w]` to `[n, classes]`, showing what flows to `tap`.
    fn forward_with(&self, images: Tensor<4>, tap: &mut impl Tap) -> Tensor<2> {
        self.classify(self.seen().whole(self.features(images, tap)))
    }

    /// `[n, channels, h, w]` to `[n, classes]`.
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.forward_with(images, &mut ())
    }

    /// The network as a fully convolutional one: its classifier at every place of the features,
    /// `[n, channels, h, w]` to `[n, classes, h', w']`.
    fn forward_map(&self, images: Tensor<4>) -> Tensor<4> {
        let features = self.features(images, &mut ());
        self.seen().slide(features, |rows| self.classify(rows))
    }

    /// What a map says of the whole image, `[n, classes, h, w]` to `[n, classes]`: the mean of its
    /// places (Simonyan and Zisserman 2014, arXiv:1409.1556, section 3.2).
    fn over_places(&self, map: Tensor<4>) -> Tensor<2> {
        global_average(map)
    }

    /// The scores of [`forward_map`](Self::forward_map), taken together as
    /// [`over_places`](Self::over_places) does: `[n, channels, h, w]` to `[n, classes]`.
    fn forward_dense(&self, images: Tensor<4>) -> Tensor<2> {
        self.over_places(self.forward_map(images))
    }

    /// The scores that a training step needs, auxiliary classifiers included.
    fn forward_train(&self, images: Tensor<4>) -> Scores {
        Scores::from(self.forward(images))
    }

    /// The name that the reference implementation gives the parameter at `path`.
    fn pytorch_name(&self, path: &str) -> String {
        path.to_owned()
    }
}

/// What a network says of a batch in training.
#[derive(Clone, Debug)]
pub struct Scores {
    /// `[n, classes]`.
    pub logits: Tensor<2>,
    /// The auxiliary classifiers' scores, `[n, classes]` each, and the weight of their loss.
    pub auxiliary: Vec<(Tensor<2>, f64)>,
}

/// Scores of a network without auxiliary classifiers.
impl From<Tensor<2>> for Scores {
    fn from(logits: Tensor<2>) -> Self {
        Self {
            logits,
            auxiliary: Vec::new(),
        }
    }
}
