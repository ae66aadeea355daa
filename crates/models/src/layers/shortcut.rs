//! What runs beside the path of a residual block.

use burn::module::Module;
use burn::tensor::Tensor;
use kernels::{IdentityShortcut, identity_shortcut};

use super::ConvNorm;
use crate::trace::{self, Operation};

/// The input of a residual block in the shape of its output (He et al. 2015, arXiv:1512.03385,
/// section 3.3).
#[derive(Module, Debug)]
pub struct Shortcut {
    projection: Option<ConvNorm>,
    #[module(skip)]
    stride: usize,
    #[module(skip)]
    added_channels: usize,
}

impl Shortcut {
    /// The identity, and where the shape changes option A: every `stride`th pixel, between zero
    /// channels.
    pub fn identity(channels: usize, outputs: usize, stride: usize) -> Self {
        Self {
            projection: None,
            stride,
            added_channels: outputs.saturating_sub(channels),
        }
    }

    /// Options B and C: a convolution.
    pub fn projection(conv: ConvNorm) -> Self {
        Self {
            projection: Some(conv),
            stride: 1,
            added_channels: 0,
        }
    }

    /// `[n, channels, h, w]` to `[n, outputs, ceil(h / stride), ceil(w / stride)]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        if let Some(projection) = &self.projection {
            return projection.forward(x);
        }
        if self.stride == 1 && self.added_channels == 0 {
            return x;
        }
        let before = self.added_channels / 2;
        let identity = IdentityShortcut {
            stride: self.stride,
            before,
            after: self.added_channels - before,
        };
        if trace::is_active() {
            let [n, channels, height, width] = x.dims();
            let kept = |pixels: usize| pixels.div_ceil(self.stride);
            let shape = [n, channels + self.added_channels, kept(height), kept(width)];
            return trace::merged(Operation::IdentityShortcut(identity), &[x], shape);
        }
        identity_shortcut(x, identity)
    }
}
