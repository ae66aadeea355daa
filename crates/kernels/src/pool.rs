//! Pooling.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use crate::ops::CnnOps;
use crate::precision::summing;
use crate::profile;

/// How a pooling window moves over the image, as `[vertical, horizontal]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool2dOptions {
    /// Height and width of the window.
    pub kernel: [usize; 2],
    /// Pixels between neighbouring windows.
    pub stride: [usize; 2],
    /// Pixels around the image, which never win a maximum.
    pub padding: [usize; 2],
    /// Whether a window that reaches over the far edge counts, as PyTorch's `ceil_mode`.
    pub ceil: bool,
}

impl Pool2dOptions {
    /// The `[height, width]` of the output for an image of this size, by PyTorch's rule: a window
    /// begins inside of the image or of the padding before it. `None` where not one window fits.
    pub fn output_size(&self, image: [usize; 2]) -> Option<[usize; 2]> {
        let along = |axis: usize| {
            let (stride, padding) = (self.stride[axis], self.padding[axis]);
            let extra = if self.ceil { stride.checked_sub(1)? } else { 0 };
            let padded = image[axis].checked_add(padding.checked_mul(2)?)?;
            let room = padded.checked_add(extra)?.checked_sub(self.kernel[axis])?;
            let windows = room.checked_div(stride)? + 1;
            let is_outside = self.ceil && (windows - 1) * stride >= image[axis] + padding;
            Some(windows - usize::from(is_outside))
        };
        Some([along(0)?, along(1)?])
    }
}

/// The largest value of each window; where one is not a number, neither is the output.
///
/// # Shapes
///
/// - `images`: `[n, channels, height, width]`
/// - output: `[n, channels, output height, output width]`
///
/// # Panics
///
/// Where the kernel or the stride is zero, the padding is more than half of the kernel, or not one
/// window fits.
pub fn max_pool2d(images: Tensor<4>, options: Pool2dOptions) -> Tensor<4> {
    check(images.dims(), options);
    profile::pass("max_pool2d", || {
        Tensor::from_dispatch(Dispatch::max_pool2d_forward(
            images.into_dispatch(),
            options,
        ))
    })
}

/// The mean of each window.
///
/// The padding's zeros count where `count_padding` says so, as PyTorch's `count_include_pad`; what a
/// window reaches past the padding never does.
///
/// # Shapes and panics
///
/// As of [`max_pool2d`].
pub fn avg_pool2d(images: Tensor<4>, options: Pool2dOptions, count_padding: bool) -> Tensor<4> {
    check(images.dims(), options);
    profile::pass("avg_pool2d", || {
        Tensor::from_dispatch(Dispatch::avg_pool2d_forward(
            images.into_dispatch(),
            options,
            count_padding,
        ))
    })
}

fn check([_, _, height, width]: [usize; 4], options: Pool2dOptions) {
    let is_sane = (0..2).all(|axis| {
        let kernel = options.kernel[axis];
        kernel > 0 && options.stride[axis] > 0 && options.padding[axis] <= kernel / 2
    });
    assert!(is_sane, "{options:?} is no pooling");
    assert!(
        options.output_size([height, width]).is_some(),
        "{options:?} does not fit images of {height}x{width}"
    );
}

/// The mean of each channel over all pixels (Lin et al. 2013, arXiv:1312.4400, section 3.2).
///
/// # Shapes
///
/// - `images`: `[n, channels, height, width]`
/// - output: `[n, channels]`
pub fn global_average(images: Tensor<4>) -> Tensor<2> {
    profile::pass("global_average", || {
        summing(images, |images| {
            Tensor::from_dispatch(Dispatch::global_average_forward(images.into_dispatch()))
        })
    })
}
