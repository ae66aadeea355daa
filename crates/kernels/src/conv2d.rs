//! Two-dimensional convolution.

use burn::backend::Dispatch;
use burn::tensor::{Tensor, ops::ConvOptions};

use crate::ops::CnnOps;
use crate::profile;

/// How a convolution's kernel moves over the image, as `[vertical, horizontal]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2dOptions {
    /// Pixels between neighbouring outputs.
    pub stride: [usize; 2],
    /// Zero pixels added on each of two opposite sides.
    pub padding: [usize; 2],
    /// Pixels between neighbouring taps of the kernel.
    pub dilation: [usize; 2],
    /// Groups of channels that are convolved apart.
    pub groups: usize,
}

impl Default for Conv2dOptions {
    fn default() -> Self {
        Self {
            stride: [1, 1],
            padding: [0, 0],
            dilation: [1, 1],
            groups: 1,
        }
    }
}

impl Conv2dOptions {
    /// The `[height, width]` of the output for an image and a kernel of these sizes; `None` where
    /// the kernel is larger than the padded image, or a size is beyond all bounds.
    pub fn output_size(&self, image: [usize; 2], kernel: [usize; 2]) -> Option<[usize; 2]> {
        let along = |axis: usize| {
            let extent = self.dilation[axis].checked_mul(kernel[axis].checked_sub(1)?)?;
            let padded = image[axis].checked_add(self.padding[axis].checked_mul(2)?)?;
            let room = padded.checked_sub(extent.checked_add(1)?)?;
            Some(room.checked_div(self.stride[axis])? + 1)
        };
        Some([along(0)?, along(1)?])
    }

    /// The `[height, width]` of the output of such images and such a weight. Burn checks that they fit
    /// only on some backends.
    ///
    /// # Panics
    ///
    /// Where they do not.
    pub(crate) fn check(self, images: [usize; 4], weight: [usize; 4]) -> [usize; 2] {
        let [n, channels, height, width] = images;
        let [filters, group, kernel_height, kernel_width] = weight;
        let groups = self.groups;
        assert!(
            groups > 0 && channels == group * groups && filters.is_multiple_of(groups),
            "images of {channels} channels do not fit a weight of {filters} filters by {group} \
             channels in {groups} groups"
        );
        assert!(
            (self.stride.iter().chain(&self.dilation)).all(|pixels| *pixels > 0),
            "{self:?} has a stride or a dilation of zero"
        );
        let is_possible = |[height, width]: &[usize; 2]| {
            [n, filters, *height, *width]
                .into_iter()
                .try_fold(size_of::<f32>(), usize::checked_mul)
                .is_some_and(|bytes| bytes < isize::MAX as usize)
        };
        self.output_size([height, width], [kernel_height, kernel_width])
            .filter(is_possible)
            .unwrap_or_else(|| {
                panic!(
                    "a kernel of {kernel_height}x{kernel_width} with {self:?} does not fit images \
                     of {height}x{width}"
                )
            })
    }
}

impl From<Conv2dOptions> for ConvOptions<2> {
    fn from(options: Conv2dOptions) -> Self {
        ConvOptions::new(
            options.stride,
            options.padding,
            options.dilation,
            options.groups,
        )
    }
}

/// Convolves images with a bank of kernels (cross-correlation, as in PyTorch).
///
/// # Shapes
///
/// - `images`: `[n, channels, height, width]`
/// - `weight`: `[filters, channels / groups, kernel height, kernel width]`
/// - output: `[n, filters, output height, output width]`
///
/// # Panics
///
/// Where the shapes do not fit each other.
pub fn conv2d(images: Tensor<4>, weight: Tensor<4>, options: Conv2dOptions) -> Tensor<4> {
    options.check(images.dims(), weight.dims());
    let weight = weight.cast(images.dtype());
    let multiply_adds = multiply_adds(&images, &weight);
    profile::product("conv2d", multiply_adds, || {
        Tensor::from_dispatch(Dispatch::conv2d_forward(
            images.into_dispatch(),
            weight.into_dispatch(),
            options,
        ))
    })
}

/// Of a convolution and of its gradients, by its output.
pub(crate) fn multiply_adds(
    images: &Tensor<4>,
    weight: &Tensor<4>,
) -> impl FnOnce(&Tensor<4>) -> u64 + use<> {
    let passes = 1 + u64::from(images.is_tracked()) + u64::from(weight.is_tracked());
    let [filters, ..] = weight.dims();
    let a_filter = weight.shape().num_elements() / filters.max(1);
    move |output| passes * (output.shape().num_elements() * a_filter) as u64
}
