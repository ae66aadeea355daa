//! Pooling.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::module::adaptive_avg_pool2d;
use kernels::{Pool2dOptions, avg_pool2d, max_pool2d};

use crate::trace::{self, Operation, Window};

/// Square windows, which do not reach over the far edge.
fn square(kernel: usize, stride: usize, padding: usize) -> Pool2dOptions {
    Pool2dOptions {
        kernel: [kernel; 2],
        stride: [stride; 2],
        padding: [padding; 2],
        ceil: false,
    }
}

/// The largest value of each window.
#[derive(Module, Debug)]
pub struct MaxPool2d {
    #[module(skip)]
    options: Pool2dOptions,
}

impl MaxPool2d {
    /// Square windows; padding never wins.
    pub fn new(kernel: usize, stride: usize, padding: usize) -> Self {
        Self {
            options: square(kernel, stride, padding),
        }
    }

    /// The same with windows that reach over the far edge, PyTorch's `ceil_mode`.
    pub fn ceil(mut self) -> Self {
        self.options.ceil = true;
        self
    }

    /// `[n, channels, h, w]` to `[n, channels, h', w']`.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        if trace::is_active() {
            return trace_pool(images, Operation::MaxPool2d(self.options), self.options);
        }
        max_pool2d(images, self.options)
    }
}

/// The mean of each window.
#[derive(Module, Debug)]
pub struct AvgPool2d {
    #[module(skip)]
    options: Pool2dOptions,
    #[module(skip)]
    counts_padding: bool,
}

impl AvgPool2d {
    /// Square windows without padding.
    pub fn new(kernel: usize, stride: usize) -> Self {
        Self {
            options: square(kernel, stride, 0),
            counts_padding: true,
        }
    }

    /// The same with windows that reach over the far edge, PyTorch's `ceil_mode`.
    pub fn ceil(mut self) -> Self {
        self.options.ceil = true;
        self
    }

    /// The same with this many pixels on every side, whose zeros count in the mean where
    /// `counts_padding` says so, PyTorch's `count_include_pad`.
    pub fn padding(mut self, padding: usize, counts_padding: bool) -> Self {
        self.options.padding = [padding; 2];
        self.counts_padding = counts_padding;
        self
    }

    /// `[n, channels, h, w]` to `[n, channels, h', w']`.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        if trace::is_active() {
            let operation = Operation::AvgPool2d {
                options: self.options,
                counts_padding: self.counts_padding,
            };
            return trace_pool(images, operation, self.options);
        }
        avg_pool2d(images, self.options, self.counts_padding)
    }
}

/// The mean of each of `[height, width]` windows that cover the image, PyTorch's
/// `AdaptiveAvgPool2d`: window `i` of `k` goes from pixel `⌊i h / k⌋` to `⌈(i + 1) h / k⌉`.
#[derive(Module, Debug)]
pub struct AdaptiveAvgPool2d {
    #[module(skip)]
    output: [usize; 2],
}

impl AdaptiveAvgPool2d {
    /// As many windows as this along both axes.
    pub fn new(output: usize) -> Self {
        Self {
            output: [output; 2],
        }
    }

    /// `[n, channels, h, w]` to `[n, channels, h', w']`; the identity where these are the same.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = images.dims();
        if trace::is_active() {
            return trace::adaptive(images, self.output);
        }
        if [height, width] == self.output {
            return images;
        }
        adaptive_avg_pool2d(images, self.output)
    }
}

/// The mean of each channel: `[n, channels, h, w]` to `[n, channels]`.
pub fn global_average(images: Tensor<4>) -> Tensor<2> {
    if trace::is_active() {
        let [_, channels, _, _] = images.dims();
        return trace::global(images, Operation::GlobalAverage, channels);
    }
    kernels::global_average(images)
}

/// All values of an image in a row: `[n, channels, h, w]` to `[n, channels * h * w]`.
pub fn flatten(images: Tensor<4>) -> Tensor<2> {
    if trace::is_active() {
        let [_, channels, height, width] = images.dims();
        return trace::global(images, Operation::Flatten, channels * height * width);
    }
    images.flatten(1, 3)
}

/// Each row as an image of one pixel: `[n, channels]` to `[n, channels, 1, 1]`.
pub fn pixel(rows: Tensor<2>) -> Tensor<4> {
    let [n, channels] = rows.dims();
    let shape = [n, channels, 1, 1];
    if trace::is_active() {
        return trace::merged(Operation::Pixel, &[rows], shape);
    }
    rows.reshape(shape)
}

fn trace_pool(images: Tensor<4>, operation: Operation, options: Pool2dOptions) -> Tensor<4> {
    let [_, channels, height, width] = images.dims();
    trace::window(
        &[images],
        Window {
            operation,
            parameters: 0,
            multiply_adds_per_pixel: 0,
            filters: channels,
            extent: options.kernel[0],
            stride: options.stride[0],
            output: options.output_size([height, width]),
        },
    )
}
