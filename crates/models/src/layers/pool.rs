//! Pooling.

use burn::module::Module;
use burn::tensor::Tensor;
use kernels::{Conv2dOptions, Pool2dOptions, avg_pool2d, max_pool2d};

use crate::LayerKind;
use crate::trace::{self, Window};

/// The largest value of each window.
#[derive(Module, Debug)]
pub struct MaxPool2d {
    #[module(skip)]
    kernel: usize,
    #[module(skip)]
    stride: usize,
    #[module(skip)]
    padding: usize,
}

impl MaxPool2d {
    /// Square windows; padding never wins.
    pub fn new(kernel: usize, stride: usize, padding: usize) -> Self {
        Self {
            kernel,
            stride,
            padding,
        }
    }

    /// `[n, channels, h, w]` to `[n, channels, h', w']`.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        if trace::is_active() {
            let window = pool_window(
                LayerKind::MaxPool2d,
                &images,
                self.kernel,
                self.stride,
                self.padding,
            );
            return trace::window(images, window);
        }
        let options = Pool2dOptions {
            kernel: [self.kernel; 2],
            stride: [self.stride; 2],
            padding: [self.padding; 2],
            ceil: false,
        };
        max_pool2d(images, options)
    }
}

/// The mean of each window.
#[derive(Module, Debug)]
pub struct AvgPool2d {
    #[module(skip)]
    kernel: usize,
    #[module(skip)]
    stride: usize,
}

impl AvgPool2d {
    /// Square windows without padding.
    pub fn new(kernel: usize, stride: usize) -> Self {
        Self { kernel, stride }
    }

    /// `[n, channels, h, w]` to `[n, channels, h', w']`.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        if trace::is_active() {
            let window = pool_window(LayerKind::AvgPool2d, &images, self.kernel, self.stride, 0);
            return trace::window(images, window);
        }
        let options = Pool2dOptions {
            kernel: [self.kernel; 2],
            stride: [self.stride; 2],
            padding: [0; 2],
            ceil: false,
        };
        avg_pool2d(images, options, true)
    }
}

/// The mean of each channel: `[n, channels, h, w]` to `[n, channels]`.
pub fn global_average(images: Tensor<4>) -> Tensor<2> {
    if trace::is_active() {
        let [n, channels, _, _] = images.dims();
        return trace::global(images, Some(LayerKind::GlobalAveragePool))
            .slice([0..n, 0..channels, 0..1, 0..1])
            .reshape([n, channels]);
    }
    kernels::global_average(images)
}

/// All values of an image in a row: `[n, channels, h, w]` to `[n, channels * h * w]`.
pub fn flatten(images: Tensor<4>) -> Tensor<2> {
    let images = if trace::is_active() {
        trace::global(images, None)
    } else {
        images
    };
    images.flatten(1, 3)
}

fn pool_window(
    kind: LayerKind,
    images: &Tensor<4>,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Window {
    let [_, channels, _, _] = images.dims();
    Window {
        kind,
        parameter: None,
        parameters: 0,
        multiply_adds_per_pixel: 0,
        filters: channels,
        kernel: [kernel; 2],
        options: Conv2dOptions {
            stride: [stride; 2],
            padding: [padding; 2],
            ..Conv2dOptions::default()
        },
    }
}
