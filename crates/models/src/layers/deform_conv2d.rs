//! Deformable convolution.

use burn::module::Module;
use burn::tensor::Tensor;
use kernels::{DeformConv2dOptions, deform_conv2d, profile};

use super::functions::channels;
use super::{Conv2d, Conv2dConfig, sigmoid};
use crate::Init;
use crate::trace::{self, Operation};

/// The shape of a [`DeformConv2d`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeformConv2dConfig {
    /// The convolution, where no tap moves.
    pub conv: Conv2dConfig,
    /// Groups of the images' channels whose taps are moved together.
    pub offset_groups: usize,
    /// Whether each tap is weighted, too (version 2).
    pub modulates: bool,
}

impl DeformConv2dConfig {
    /// Makes the layer: taps start where they are, with half of their weight where it modulates.
    pub fn init(&self, init: &mut Init) -> DeformConv2d {
        let [height, width] = self.conv.kernel;
        let values = if self.modulates { 3 } else { 2 };
        let deformation = Conv2dConfig {
            filters: values * self.offset_groups * height * width,
            bias: true,
            options: kernels::Conv2dOptions {
                groups: 1,
                ..self.conv.options
            },
            ..self.conv
        };
        DeformConv2d {
            conv: self.conv.init(init),
            offset: deformation.init_zero(init),
            offset_groups: self.offset_groups,
            offsets: 2 * self.offset_groups * height * width,
        }
    }
}

/// A convolution whose taps are moved at each pixel by what another convolution says (Dai et al.
/// 2017, arXiv:1703.06211, section 2.1), and weighted by the sigmoid of more that it says (Zhu et
/// al. 2018, arXiv:1811.11168, equation 1).
#[derive(Module, Debug)]
pub struct DeformConv2d {
    /// The convolution whose taps are moved; it has no bias.
    pub conv: Conv2d,
    /// Of the offsets and, behind them, the weights of the taps.
    pub offset: Conv2d,
    #[module(skip)]
    offset_groups: usize,
    /// Channels that are offsets.
    #[module(skip)]
    offsets: usize,
}

impl DeformConv2d {
    /// `[n, channels, h, w]` to `[n, filters, h', w']`.
    ///
    /// # Panics
    ///
    /// As [`Conv2d::forward`].
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let deformation = self.offset.forward(images.clone());
        let said = deformation.dims()[1];
        let offsets = channels(deformation.clone(), 0, self.offsets);
        let mask = (said > self.offsets)
            .then(|| sigmoid(channels(deformation, self.offsets, said - self.offsets)));
        let options = DeformConv2dOptions {
            convolution: self.conv.options,
            offset_groups: self.offset_groups,
        };
        let weight = &self.conv.weight;
        if trace::is_active() {
            let operation = Operation::DeformConv2d {
                weight: weight.id,
                kernel: self.conv.kernel(),
                options,
            };
            let operands: Vec<_> = [images, offsets].into_iter().chain(mask).collect();
            return self.conv.trace(&operands, operation);
        }
        profile::within(weight.id.val(), || {
            deform_conv2d(images, weight.val(), offsets, mask, options)
        })
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;
    use crate::Initialization;

    /// No tap moves at first: version 1 is the convolution, version 2 half of it.
    #[test]
    fn it_starts_as_the_convolution() {
        let device = Device::flex();
        let images = Tensor::<4>::random([2, 4, 9, 7], Distribution::Default, &device);
        for (modulates, share) in [(false, 1.0), (true, 0.5)] {
            let config = DeformConv2dConfig {
                conv: Conv2dConfig::square(4, 6, 3).stride(2).padding(1).groups(2),
                offset_groups: 2,
                modulates,
            };
            let layer = config.init(&mut Init::new(&device, Initialization::He, 0));
            let expected = layer.conv.forward(images.clone()) * share;
            let error = (layer.forward(images.clone()) - expected).abs().max();
            assert!(error.into_scalar::<f32>() < 1e-5, "modulates: {modulates}");
        }
    }
}
