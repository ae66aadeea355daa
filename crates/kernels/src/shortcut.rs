//! The shortcut of residual networks that has no parameters (He et al. 2015, arXiv:1512.03385,
//! section 3.3, option A).

use std::ops::Range;

use burn::backend::Dispatch;
use burn::tensor::{Slice, Tensor};

use crate::ops::CnnOps;
use crate::profile;

/// An identity between shapes: of every `stride`th pixel, between zero channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdentityShortcut {
    /// Pixels from one that is kept to the next, along both axes.
    pub stride: usize,
    /// Zero channels before the images' own.
    pub before: usize,
    /// Zero channels after them.
    pub after: usize,
}

impl IdentityShortcut {
    /// The pixels that are kept of these channels.
    pub(crate) fn slices(self, channels: Range<usize>) -> [Slice; 4] {
        let step = self.stride as isize;
        [
            Slice::full(),
            Slice::from(channels),
            Slice::new(0, None, step),
            Slice::new(0, None, step),
        ]
    }
}

/// Every `stride`th pixel of the images, with zero channels before and after.
///
/// # Shapes
///
/// - `images`: `[n, channels, height, width]`
/// - output: `[n, before + channels + after, ceil(height / stride), ceil(width / stride)]`
///
/// # Panics
///
/// Where the stride is zero.
pub fn identity_shortcut(images: Tensor<4>, shortcut: IdentityShortcut) -> Tensor<4> {
    assert!(shortcut.stride > 0, "a stride of zero");
    profile::pass("identity_shortcut", || {
        Tensor::from_dispatch(Dispatch::identity_shortcut_forward(
            images.into_dispatch(),
            shortcut,
        ))
    })
}
