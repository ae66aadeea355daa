//! What a classifier sees of a network's features: all of them at once, or a window that slides.
//!
//! A fully connected layer behind a window is a convolution whose kernel is as large as the window
//! (Sermanet et al. 2013, arXiv:1312.6229, section 3.5). Here the windows become rows and the layers
//! stay what they are: the same product of the same weights, whether there is one window or a map.

use burn::tensor::Tensor;
use burn::tensor::s;

use crate::layers::{AdaptiveAvgPool2d, MaxPool2d, flatten, global_average};

/// What of the features `[n, c, h, w]` is one row of values for the classifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The mean of each channel; in a map, each pixel.
    Mean,
    /// A square of this height and width.
    Square(usize),
    /// A square of this height and width, which adaptive means make of features of any size; in a
    /// map, the features as they are.
    Means(usize),
    /// A square of the largest values of windows that do not overlap; in a map, of those at every
    /// offset.
    Pooled {
        /// Height and width of the square.
        side: usize,
        /// Height and width of the pooling's windows.
        pool: usize,
    },
}

impl Seen {
    /// Rows of features from the first that the classifier sees in a map to the last, both included.
    pub fn extent(self) -> usize {
        match self {
            Self::Mean => 1,
            Self::Square(side) | Self::Means(side) => side,
            Self::Pooled { side, pool } => side * pool,
        }
    }

    /// Values of a row, of features with so many channels.
    pub(crate) fn values(self, channels: usize) -> usize {
        match self {
            Self::Mean => channels,
            Self::Square(side) | Self::Means(side) | Self::Pooled { side, .. } => {
                channels * side * side
            }
        }
    }

    /// All of the features as one row an image: `[n, c, h, w]` to `[n, values]`.
    pub(crate) fn whole(self, features: Tensor<4>) -> Tensor<2> {
        match self {
            Self::Mean => global_average(features),
            Self::Square(_) => flatten(features),
            Self::Means(side) => flatten(AdaptiveAvgPool2d::new(side).forward(features)),
            Self::Pooled { pool, .. } => flatten(MaxPool2d::new(pool, pool, 0).forward(features)),
        }
    }

    /// What `classify` says of each window: `[n, c, h, w]` to
    /// `[n, classes, h - extent + 1, w - extent + 1]`.
    ///
    /// Pooling at stride 1, and windows whose pixels are as far apart as the pooling's windows were,
    /// are the pooling at every offset and its predictions interleaved (Sermanet et al. 2013, section
    /// 3.3 and figure 3).
    ///
    /// # Panics
    ///
    /// Where no window fits the features.
    pub(crate) fn slide(
        self,
        features: Tensor<4>,
        classify: impl FnOnce(Tensor<2>) -> Tensor<2>,
    ) -> Tensor<4> {
        match self {
            Self::Mean => at_each_window(features, 1, 1, classify),
            Self::Square(side) | Self::Means(side) => at_each_window(features, side, 1, classify),
            Self::Pooled { side, pool } => {
                let pooled = MaxPool2d::new(pool, 1, 0).forward(features);
                at_each_window(pooled, side, pool, classify)
            }
        }
    }
}

/// What `classify` says of each window of `side` by `side` pixels that are `step` apart.
fn at_each_window(
    features: Tensor<4>,
    side: usize,
    step: usize,
    classify: impl FnOnce(Tensor<2>) -> Tensor<2>,
) -> Tensor<4> {
    let [n, channels, height, width] = features.dims();
    let reach = step * (side - 1);
    assert!(
        height.min(width) > reach,
        "a window of {} pixels does not fit features of {height}x{width}",
        reach + 1
    );
    let (rows, columns) = (height - reach, width - reach);
    let offsets = (0..side * side).map(|tap| (step * (tap / side), step * (tap % side)));
    let shifted = offsets.map(|(y, x)| {
        features
            .clone()
            .slice(s![.., .., y..y + rows, x..x + columns])
    });
    let windows: Tensor<5> = Tensor::stack(shifted.collect(), 2); // [n, c, side², h', w']
    let windows = windows.permute([0, 3, 4, 1, 2]);
    let scores = classify(windows.reshape([n * rows * columns, channels * side * side]));
    let [_, classes] = scores.dims();
    scores
        .reshape([n, rows, columns, classes])
        .permute([0, 3, 1, 2])
}
