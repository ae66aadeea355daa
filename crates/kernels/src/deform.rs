//! Deformable convolution.

use burn::backend::Dispatch;
use burn::tensor::{Tensor, ops::DeformConvOptions};

use crate::conv2d::multiply_adds;
use crate::ops::{CnnOps, Optional};
use crate::precision::summing;
use crate::{Conv2dOptions, profile};

/// How a deformable convolution's kernel moves over the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeformConv2dOptions {
    /// Where the taps are before they are moved.
    pub convolution: Conv2dOptions,
    /// Groups of the images' channels whose taps are moved together.
    pub offset_groups: usize,
}

impl From<DeformConv2dOptions> for DeformConvOptions<2> {
    fn from(options: DeformConv2dOptions) -> Self {
        let Conv2dOptions {
            stride,
            padding,
            dilation,
            groups,
        } = options.convolution;
        DeformConvOptions::new(stride, padding, dilation, groups, options.offset_groups)
    }
}

/// Convolves images where `offsets` move each tap, and `mask` weights it, pixel by pixel (Dai et al.
/// 2017, arXiv:1703.06211, equations 2 to 4; with a mask Zhu et al. 2018, arXiv:1811.11168,
/// equation 1).
///
/// Values between pixels are interpolated; outside of the image they are zero. The order of offsets
/// and masks is torchvision's: by offset group, then by tap, then vertical before horizontal.
///
/// # Shapes
///
/// - `images`: `[n, channels, height, width]`
/// - `weight`: `[filters, channels / groups, kernel height, kernel width]`
/// - `offsets`: `[n, 2 · offset groups · kernel height · kernel width, output height, output width]`
/// - `mask`: `[n, offset groups · kernel height · kernel width, output height, output width]`
/// - output: `[n, filters, output height, output width]`
///
/// # Panics
///
/// Where the shapes do not fit each other.
pub fn deform_conv2d(
    images: Tensor<4>,
    weight: Tensor<4>,
    offsets: Tensor<4>,
    mask: Option<Tensor<4>>,
    options: DeformConv2dOptions,
) -> Tensor<4> {
    let output = options.convolution.check(images.dims(), weight.dims());
    let [n, channels, ..] = images.dims();
    let [_, _, kernel_height, kernel_width] = weight.dims();
    let groups = options.offset_groups;
    assert!(
        groups > 0 && channels.is_multiple_of(groups),
        "{channels} channels in {groups} offset groups"
    );
    let expected = |values: usize| {
        let [height, width] = output;
        let per_pixel = values * groups * kernel_height * kernel_width;
        [n, per_pixel, height, width]
    };
    assert_eq!(offsets.dims(), expected(2), "two offsets for each tap");
    if let Some(mask) = &mask {
        assert_eq!(mask.dims(), expected(1), "a weight for each tap");
    }
    let multiply_adds = multiply_adds(&images, &weight);
    profile::product("deform_conv2d", multiply_adds, || {
        // Places between pixels want more digits than 16 bits have.
        summing(images, |images| {
            let precision = images.dtype();
            let mask = mask.map(|mask| mask.cast(precision).into_dispatch());
            Tensor::from_dispatch(Dispatch::deform_conv2d_forward(
                images.into_dispatch(),
                weight.cast(precision).into_dispatch(),
                offsets.cast(precision).into_dispatch(),
                mask.map_or(Optional::None, Optional::Some),
                options,
            ))
        })
    })
}
