//! Two-dimensional convolution.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use kernels::{Activation, Conv2dOptions, Finish, activate, add_bias, conv2d, profile};

use super::functions::finished;
use crate::Init;
use crate::trace::{self, Operation, Window};

/// The shape of a [`Conv2d`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2dConfig {
    /// Channels of the input.
    pub channels: usize,
    /// Channels of the output.
    pub filters: usize,
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// How the kernel moves.
    pub options: Conv2dOptions,
    /// Whether a value is added to each filter's output.
    pub bias: bool,
}

impl Conv2dConfig {
    /// A kernel of `[height, width]` at stride 1, without padding or bias.
    pub fn new(channels: usize, filters: usize, kernel: [usize; 2]) -> Self {
        Self {
            channels,
            filters,
            kernel,
            options: Conv2dOptions::default(),
            bias: false,
        }
    }

    /// A square kernel at stride 1, without padding or bias.
    pub fn square(channels: usize, filters: usize, kernel: usize) -> Self {
        Self::new(channels, filters, [kernel, kernel])
    }

    /// The same with this stride along both axes.
    pub fn stride(mut self, stride: usize) -> Self {
        self.options.stride = [stride, stride];
        self
    }

    /// The same with this many zero pixels on every side.
    pub fn padding(mut self, padding: usize) -> Self {
        self.options.padding = [padding, padding];
        self
    }

    /// The same with as many zero pixels as keep the image's size at stride 1, for a kernel with a
    /// pixel in its middle.
    pub fn same_padding(mut self) -> Self {
        for axis in 0..2 {
            self.options.padding[axis] = self.options.dilation[axis] * (self.kernel[axis] / 2);
        }
        self
    }

    /// The same with this many pixels from one tap of the kernel to the next.
    pub fn dilation(mut self, dilation: usize) -> Self {
        self.options.dilation = [dilation, dilation];
        self
    }

    /// The same with channels and filters in groups that are convolved apart.
    pub fn groups(mut self, groups: usize) -> Self {
        self.options.groups = groups;
        self
    }

    /// The same with a bias.
    pub fn with_bias(mut self) -> Self {
        self.bias = true;
        self
    }

    /// Makes the layer.
    pub fn init(&self, init: &mut Init) -> Conv2d {
        let [height, width] = self.kernel;
        let shape = [
            self.filters,
            self.channels / self.options.groups,
            height,
            width,
        ];
        Conv2d {
            weight: init.conv_weight(shape),
            bias: self.bias.then(|| init.conv_bias(shape)),
            options: self.options,
        }
    }

    /// Makes the layer with weights and biases of zero.
    pub(super) fn init_zero(&self, init: &mut Init) -> Conv2d {
        let [height, width] = self.kernel;
        let channels = self.channels / self.options.groups;
        Conv2d {
            weight: init.constant(0.0, [self.filters, channels, height, width]),
            bias: self.bias.then(|| init.constant(0.0, [self.filters])),
            options: self.options,
        }
    }
}

/// A convolution with learnt kernels.
#[derive(Module, Debug)]
pub struct Conv2d {
    /// `[filters, channels / groups, height, width]`.
    pub weight: Param<Tensor<4>>,
    /// `[filters]`.
    pub bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    pub(super) options: Conv2dOptions,
}

impl Conv2d {
    /// `[n, channels, h, w]` to `[n, filters, h', w']`.
    ///
    /// # Panics
    ///
    /// Where the channels do not fit, or the kernel is larger than the padded image.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        self.forward_with(images, Activation::Identity)
    }

    /// `relu(conv(x))`.
    pub fn forward_relu(&self, images: Tensor<4>) -> Tensor<4> {
        self.forward_with(images, Activation::Relu)
    }

    /// The activation of `conv(x)`, in the pass over memory that adds the bias.
    pub fn forward_with(&self, images: Tensor<4>, activation: Activation) -> Tensor<4> {
        if trace::is_active() {
            let operation = Operation::Conv2d {
                weight: self.weight.id,
                has_bias: self.bias.is_some(),
                kernel: self.kernel(),
                options: self.options,
            };
            let finish = Finish {
                activation,
                ..Finish::default()
            };
            return finished(self.trace(&[images], operation), finish);
        }
        profile::within(self.weight.id.val(), || {
            let output = conv2d(images, self.weight.val(), self.options);
            match &self.bias {
                Some(bias) => add_bias(output, bias.val(), activation),
                None => activate(output, activation),
            }
        })
    }

    /// Height and width.
    pub(super) fn kernel(&self) -> [usize; 2] {
        let [_, _, height, width] = self.weight.lazy_shape().dims();
        [height, width]
    }

    /// Notes an operation that slides the kernel over the first of its operands.
    pub(super) fn trace(&self, operands: &[Tensor<4>], operation: Operation) -> Tensor<4> {
        let [filters, channels, height, width] = self.weight.lazy_shape().dims();
        let [_, found, image_height, image_width] = operands[0].dims();
        assert_eq!(found, channels * self.options.groups, "channels");
        let image = [image_height, image_width];
        let biases = if self.bias.is_some() { filters } else { 0 };
        let weights = filters * channels * height * width;
        trace::window(
            operands,
            Window {
                operation,
                parameters: weights + biases,
                multiply_adds_per_pixel: weights as u64,
                filters,
                extent: self.options.dilation[0] * (height - 1) + 1,
                stride: self.options.stride[0],
                output: self.options.output_size(image, [height, width]),
            },
        )
    }
}
