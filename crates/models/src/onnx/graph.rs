//! The operations of a network as operators of ONNX.

use std::collections::HashMap;
use std::f32::consts::FRAC_1_SQRT_2;

use burn::module::{Module, ParamId};
use kernels::{Conv2dOptions, IdentityShortcut, Pool2dOptions};

use super::proto::{Attribute, Graph, Node, Tensor, Value};
use super::{INPUT, LOGITS};
use crate::trace::{self, Operation};
use crate::{Model, layer_names, parameters};

/// The graph of `model` in evaluation, for images of `[channels, height, width]`: its initializers are
/// the parameters that evaluation uses, by the reference's names, without their values.
///
/// # Panics
///
/// Where the network does not take images of that size.
pub fn of(model: &Model, input: [usize; 3], name: &str) -> Graph {
    let device = model.devices().into_iter().next().unwrap_or_default();
    let trace = trace::run(input, &device, |images| model.forward(images));
    let mut builder = Builder {
        graph: Graph {
            name: name.to_owned(),
            inputs: vec![Value::batch(INPUT, &input)],
            ..Graph::default()
        },
        layers: layer_names(model),
        shapes: parameters::of(model)
            .into_iter()
            .map(|parameter| (model.pytorch_name(&parameter.path), parameter.shape))
            .collect(),
        traced: &trace.nodes,
        values: Vec::with_capacity(trace.nodes.len()),
    };
    for node in &trace.nodes {
        let value = builder.operation(node);
        builder.values.push(value);
    }
    builder.finish()
}

struct Builder<'a> {
    graph: Graph,
    /// The reference's names of layers, by the identities of their weights.
    layers: HashMap<u64, String>,
    /// The shapes of parameters, by the reference's names.
    shapes: HashMap<String, Vec<usize>>,
    traced: &'a [trace::Node],
    /// What comes out of each traced node is called.
    values: Vec<String>,
}

impl Builder<'_> {
    /// Adds the operators that an operation is, and gives the name of what comes out.
    fn operation(&mut self, node: &trace::Node) -> String {
        let inputs: Vec<String> = (node.inputs.iter())
            .map(|input| self.values[*input].clone())
            .collect();
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        match &node.operation {
            Operation::Input => INPUT.to_owned(),
            Operation::Dropout | Operation::StochasticDepth => inputs[0].to_owned(),
            Operation::Conv2d {
                weight,
                has_bias,
                kernel,
                options,
            } => {
                let attributes = convolution(*kernel, options);
                self.layer("Conv", *weight, &inputs, leaves(*has_bias), attributes)
            }
            Operation::DeformConv2d {
                weight,
                kernel,
                options,
            } => {
                let mut attributes = convolution(*kernel, &options.convolution);
                attributes.push(Attribute::of_int("offset_group", options.offset_groups));
                self.deformable(*weight, &inputs, attributes)
            }
            Operation::BatchNorm { weight, epsilon } => {
                let leaves = ["weight", "bias", "running_mean", "running_var"];
                let epsilon = vec![Attribute::of_float("epsilon", *epsilon)];
                self.layer("BatchNormalization", *weight, &inputs, &leaves, epsilon)
            }
            Operation::LocalResponseNorm(options) => {
                // ONNX's alpha is that of the mean.
                let alpha = options.alpha * options.size as f64;
                let attributes = vec![
                    Attribute::of_int("size", options.size),
                    Attribute::of_float("alpha", alpha),
                    Attribute::of_float("beta", options.beta),
                    Attribute::of_float("bias", options.k),
                ];
                self.add_with("LRN", &inputs, attributes)
            }
            Operation::PRelu { weight } => self.prelu(*weight, inputs[0], &node.output),
            Operation::MaxPool2d(options) => {
                let image = self.size_of_input(node);
                self.pool("MaxPool", inputs[0], *options, image, &node.output[1..])
            }
            Operation::AvgPool2d {
                options,
                counts_padding,
            } => self.average(inputs[0], *options, *counts_padding, node),
            Operation::AdaptiveAvgPool2d => self.adaptive(inputs[0], node),
            Operation::GlobalAverage => {
                let means = self.add("GlobalAveragePool", &inputs);
                self.add("Flatten", &[&means])
            }
            Operation::Linear { weight, has_bias } => {
                let transposed = vec![Attribute::of_int("transB", 1)];
                self.layer("Gemm", *weight, &inputs, leaves(*has_bias), transposed)
            }
            Operation::Relu => self.add("Relu", &inputs),
            Operation::Silu => {
                let gate = self.add("Sigmoid", &inputs);
                self.add("Mul", &[inputs[0], &gate])
            }
            Operation::Gelu => self.gelu(inputs[0]),
            Operation::Sigmoid => self.add("Sigmoid", &inputs),
            Operation::Tanh => self.add("Tanh", &inputs),
            Operation::Scale(factor) => {
                let factor = self.constant(Tensor::floats(&[], &[*factor as f32]));
                self.add("Mul", &[inputs[0], &factor])
            }
            Operation::Add => self.add("Add", &inputs),
            Operation::Subtract => self.add("Sub", &inputs),
            Operation::Multiply => self.add("Mul", &inputs),
            Operation::Concat => {
                self.add_with("Concat", &inputs, vec![Attribute::of_int("axis", 1)])
            }
            Operation::Channels { first, count } => {
                let range = [*first as i64, (first + count) as i64];
                self.slice(inputs[0], &[1], range, 1)
            }
            Operation::IdentityShortcut(shortcut) => self.shortcut(inputs[0], *shortcut),
            Operation::Flatten => self.add("Flatten", &inputs),
            Operation::Pixel => self.unsqueeze(inputs[0], &[2, 3]),
        }
    }

    /// `x (1 + erf(x / sqrt(2))) / 2`.
    fn gelu(&mut self, x: &str) -> String {
        let mut number = |value: f32| self.constant(Tensor::floats(&[], &[value]));
        let [root, one, half] = [FRAC_1_SQRT_2, 1.0, 0.5].map(&mut number);
        let scaled = self.add("Mul", &[x, &root]);
        let erf = self.add("Erf", &[&scaled]);
        let sum = self.add("Add", &[&erf, &one]);
        let product = self.add("Mul", &[x, &sum]);
        self.add("Mul", &[&product, &half])
    }

    /// An absent bias stands between offsets and mask.
    fn deformable(
        &mut self,
        weight: ParamId,
        inputs: &[&str],
        attributes: Vec<Attribute>,
    ) -> String {
        let layer = self.layers[&weight.val()].clone();
        let weight = self.parameter(&layer, "weight");
        let inputs = match inputs {
            [images, offsets] => vec![images, weight.as_str(), offsets],
            [images, offsets, mask] => vec![*images, &weight, offsets, "", mask],
            _ => unreachable!("images, offsets and perhaps a mask"),
        };
        self.add_as(layer, "DeformConv", &inputs, attributes)
    }

    /// The slopes are one a channel, which is the last axis of rows, but not of images.
    fn prelu(&mut self, weight: ParamId, x: &str, output: &[usize]) -> String {
        let layer = self.layers[&weight.val()].clone();
        let mut slopes = self.parameter(&layer, "weight");
        if output.len() > 1 {
            slopes = self.unsqueeze(&slopes, &[1, 2]);
        }
        self.add_as(layer, "PRelu", &[x, &slopes], Vec::new())
    }

    /// Padding that counts is a part of the image; what a window reaches past it never counts.
    fn average(
        &mut self,
        images: &str,
        mut options: Pool2dOptions,
        counts_padding: bool,
        node: &trace::Node,
    ) -> String {
        let mut image = self.size_of_input(node);
        let mut padded = images.to_owned();
        if counts_padding && options.padding != [0, 0] {
            let [height, width] = options.padding;
            padded = self.pad(images, [0, height, width], [0, height, width]);
            image = [image[0] + 2 * height, image[1] + 2 * width];
            options.padding = [0, 0];
        }
        self.pool("AveragePool", &padded, options, image, &node.output[1..])
    }

    /// What windows reach over the far edge is padded, which neither wins a maximum nor counts in a mean:
    /// runtimes differ in what they make of `ceil_mode`.
    fn pool(
        &mut self,
        operator: &str,
        images: &str,
        options: Pool2dOptions,
        image: [usize; 2],
        output: &[usize],
    ) -> String {
        let behind = |axis: usize| {
            let padding = options.padding[axis];
            let reached = (output[axis] - 1) * options.stride[axis] + options.kernel[axis];
            reached.saturating_sub(padding + image[axis]).max(padding)
        };
        let [above, before] = options.padding;
        let attributes = vec![
            Attribute::of_ints("kernel_shape", &options.kernel),
            Attribute::of_ints("strides", &options.stride),
            Attribute::of_ints("pads", &[above, before, behind(0), behind(1)]),
        ];
        self.add_with(operator, &[images], attributes)
    }

    /// Means of columns by a matrix on the left, and of rows by one on the right: ONNX has no pooling whose
    /// windows differ in size.
    fn adaptive(&mut self, images: &str, node: &trace::Node) -> String {
        let image = self.size_of_input(node);
        let [_, rows, columns] = node.output[..] else {
            unreachable!("images have channels, rows and columns");
        };
        if image == [rows, columns] {
            return images.to_owned();
        }
        let [height, width] = image;
        let left = self.matrix([rows, height], |row, pixel| share(rows, height, row, pixel));
        let right = self.matrix([width, columns], |pixel, column| {
            share(columns, width, column, pixel)
        });
        let squeezed = self.add("MatMul", &[&left, images]);
        self.add("MatMul", &[&squeezed, &right])
    }

    /// Every `stride`th pixel, between channels of zeros.
    fn shortcut(&mut self, images: &str, shortcut: IdentityShortcut) -> String {
        let stride = shortcut.stride as i64;
        let kept = self.slice(images, &[2, 3], [0, i64::MAX], stride);
        self.pad(&kept, [shortcut.before, 0, 0], [shortcut.after, 0, 0])
    }

    /// Every `step`th index from the first one of the range on, along each of the axes.
    fn slice(&mut self, x: &str, axes: &[i64], [start, end]: [i64; 2], step: i64) -> String {
        let along_all = |value: i64| Tensor::ints(&vec![value; axes.len()]);
        let operands = [
            along_all(start),
            along_all(end),
            Tensor::ints(axes),
            along_all(step),
        ];
        let [starts, ends, axes, steps] = operands.map(|operand| self.constant(operand));
        self.add("Slice", &[x, &starts, &ends, &axes, &steps])
    }

    /// Zeros before and behind channels, rows and columns.
    fn pad(&mut self, images: &str, before: [usize; 3], behind: [usize; 3]) -> String {
        let of_batch = [0];
        let pads = [&of_batch[..], &before, &of_batch, &behind].concat();
        let pads: Vec<i64> = pads.into_iter().map(|pixels| pixels as i64).collect();
        let pads = self.constant(Tensor::ints(&pads));
        self.add("Pad", &[images, &pads])
    }

    fn unsqueeze(&mut self, x: &str, axes: &[i64]) -> String {
        let axes = self.constant(Tensor::ints(axes));
        self.add("Unsqueeze", &[x, &axes])
    }

    fn matrix(
        &mut self,
        [rows, columns]: [usize; 2],
        value: impl Fn(usize, usize) -> f32,
    ) -> String {
        let values: Vec<f32> = (0..rows * columns)
            .map(|index| value(index / columns, index % columns))
            .collect();
        self.constant(Tensor::floats(&[rows, columns], &values))
    }

    fn constant(&mut self, value: Tensor) -> String {
        self.add_with("Constant", &[], vec![Attribute::of_tensor("value", value)])
    }

    /// Height and width of the images that a node is given.
    fn size_of_input(&self, node: &trace::Node) -> [usize; 2] {
        let [_, height, width] = self.traced[node.inputs[0]].output[..] else {
            unreachable!("images have channels, rows and columns");
        };
        [height, width]
    }

    /// Adds an operator that takes parameters of its layer behind its inputs.
    fn layer(
        &mut self,
        operator: &str,
        weight: ParamId,
        inputs: &[&str],
        leaves: &[&str],
        attributes: Vec<Attribute>,
    ) -> String {
        let layer = self.layers[&weight.val()].clone();
        let parameters: Vec<String> = (leaves.iter())
            .map(|leaf| self.parameter(&layer, leaf))
            .collect();
        let parameters = parameters.iter().map(String::as_str);
        let inputs: Vec<&str> = inputs.iter().copied().chain(parameters).collect();
        self.add_as(layer, operator, &inputs, attributes)
    }

    fn parameter(&mut self, layer: &str, leaf: &str) -> String {
        let name = format!("{layer}.{leaf}");
        let initializer = Tensor::named(&name, &self.shapes[&name]);
        self.graph.initializers.push(initializer);
        name
    }

    fn add(&mut self, operator: &str, inputs: &[&str]) -> String {
        self.add_with(operator, inputs, Vec::new())
    }

    fn add_with(&mut self, operator: &str, inputs: &[&str], attributes: Vec<Attribute>) -> String {
        let name = format!("{operator}{}", self.graph.nodes.len());
        self.add_as(name, operator, inputs, attributes)
    }

    /// Adds an operator of this name, which is also that of what comes out.
    fn add_as(
        &mut self,
        name: String,
        operator: &str,
        inputs: &[&str],
        attributes: Vec<Attribute>,
    ) -> String {
        self.graph.nodes.push(Node {
            inputs: inputs.iter().map(|input| (*input).to_owned()).collect(),
            outputs: vec![name.clone()],
            name: name.clone(),
            operator: operator.to_owned(),
            attributes,
        });
        name
    }

    /// The graph, whose last value is its output.
    fn finish(mut self) -> Graph {
        let scores = self.traced.last().expect("a network does something");
        self.graph.outputs = vec![Value::batch(LOGITS, &scores.output)];
        let last = self
            .graph
            .nodes
            .last_mut()
            .expect("a network does something");
        last.outputs = vec![LOGITS.to_owned()];
        self.graph
    }
}

/// The parameters of a layer with a weight.
fn leaves(has_bias: bool) -> &'static [&'static str] {
    if has_bias {
        &["weight", "bias"]
    } else {
        &["weight"]
    }
}

fn convolution(kernel: [usize; 2], options: &Conv2dOptions) -> Vec<Attribute> {
    let [height, width] = options.padding;
    vec![
        Attribute::of_ints("kernel_shape", &kernel),
        Attribute::of_ints("strides", &options.stride),
        Attribute::of_ints("pads", &[height, width, height, width]),
        Attribute::of_ints("dilations", &options.dilation),
        Attribute::of_int("group", options.groups),
    ]
}

/// How much of a pixel is in a mean of `windows` over so many pixels.
fn share(windows: usize, pixels: usize, window: usize, pixel: usize) -> f32 {
    let start = window * pixels / windows;
    let end = ((window + 1) * pixels).div_ceil(windows);
    if (start..end).contains(&pixel) {
        1.0 / (end - start) as f32
    } else {
        0.0
    }
}
