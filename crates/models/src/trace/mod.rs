//! A forward pass in which shapes stand for arithmetic.
//!
//! While a trace runs on a thread, layers compute nothing and touch no weight: they note what they
//! would have done and hand on a tensor of the right shape. It owns a single value, the number of the
//! operation that it comes from: so the one definition of a network, its `forward`, is also the graph
//! of its operations, whatever the size of the images.
//!
//! These numbers are negative integers. What computes with such a tensor and does not tell the trace mostly
//! makes a number, or a shape, that no operation has, and the next layer panics.

mod operation;

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;

use burn::tensor::{Device, Tensor};

pub(crate) use operation::Operation;

thread_local! {
    static TRACE: RefCell<Option<Trace>> = const { RefCell::new(None) };
}

/// One operation of a network, for one image.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub operation: Operation,
    /// The nodes, by index, that it takes the outputs of.
    pub inputs: Vec<usize>,
    /// Channels, and height and width where there are any.
    pub output: Vec<usize>,
    pub cost: Cost,
    pub receptive_field: usize,
}

/// What an operation costs, for one image.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    pub parameters: usize,
    pub multiply_adds: u64,
}

/// What a forward pass did.
#[derive(Default)]
pub(crate) struct Trace {
    /// Each behind those whose outputs it takes.
    pub nodes: Vec<Node>,
    /// Blocks that gradient checkpointing would compute again.
    pub blocks: usize,
    /// Input pixels from one pixel of a feature map to the next, by the map's height and width.
    strides: HashMap<[usize; 2], usize>,
}

/// Ends the trace even where the forward pass panics.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        TRACE.with_borrow_mut(|trace| *trace = None);
    }
}

/// Runs `forward` on a blank image of `[channels, height, width]` and tells what it did.
pub(crate) fn run<T>(
    input: [usize; 3],
    device: &Device,
    forward: impl FnOnce(Tensor<4>) -> T,
) -> Trace {
    let [_, height, width] = input;
    TRACE.set(Some(Trace::default()));
    let _guard = Guard;
    note_stride([height, width], 1);
    let images = note(
        Node {
            operation: Operation::Input,
            inputs: Vec::new(),
            output: input.to_vec(),
            cost: Cost::default(),
            receptive_field: 1,
        },
        device,
    );
    forward(images);
    TRACE.take().expect("the trace begun above")
}

pub(crate) fn is_active() -> bool {
    TRACE.with_borrow(Option::is_some)
}

/// A block that gradient checkpointing would compute again.
pub(crate) fn note_block() {
    with_trace(|trace| trace.blocks += 1);
}

/// A layer that slides a window over the image.
pub(crate) struct Window {
    pub operation: Operation,
    pub parameters: usize,
    pub multiply_adds_per_pixel: u64,
    pub filters: usize,
    /// Rows from the first that the window sees to the last, both included.
    pub extent: usize,
    /// Rows from one window to the next.
    pub stride: usize,
    /// Height and width of the output, where one window fits.
    pub output: Option<[usize; 2]>,
}

/// The window slides over the first of the operands.
///
/// # Panics
///
/// Where the window is larger than the padded image.
pub(crate) fn window(operands: &[Tensor<4>], layer: Window) -> Tensor<4> {
    let images = &operands[0];
    let [_, _, height, width] = images.dims();
    let [out_height, out_width] = layer.output.unwrap_or_else(|| {
        panic!(
            "a window of {} rows does not fit an image of {height}x{width}",
            layer.extent
        )
    });
    let stride = stride_of([height, width]);
    note_stride([out_height, out_width], stride * layer.stride);
    let node = Node {
        operation: layer.operation,
        inputs: operands.iter().map(source).collect(),
        output: vec![layer.filters, out_height, out_width],
        cost: Cost {
            parameters: layer.parameters,
            multiply_adds: layer.multiply_adds_per_pixel * (out_height * out_width) as u64,
        },
        receptive_field: receptive_field(images) + (layer.extent - 1) * stride,
    };
    note(node, &images.device())
}

/// A layer that averages windows which cover the image, however large it is.
pub(crate) fn adaptive(images: Tensor<4>, [out_height, out_width]: [usize; 2]) -> Tensor<4> {
    let [_, channels, height, _] = images.dims();
    let extent =
        |index: usize| ((index + 1) * height).div_ceil(out_height) - index * height / out_height;
    let window = Window {
        operation: Operation::AdaptiveAvgPool2d,
        parameters: 0,
        multiply_adds_per_pixel: 0,
        filters: channels,
        extent: (0..out_height).map(extent).max().unwrap_or(1),
        stride: (height / out_height).max(1),
        output: Some([out_height, out_width]),
    };
    self::window(&[images], window)
}

/// What makes one row of so many values of the whole image.
pub(crate) fn global(images: Tensor<4>, operation: Operation, values: usize) -> Tensor<2> {
    let [_, _, height, width] = images.dims();
    let beside = (height.max(width) - 1) * stride_of([height, width]);
    let node = Node {
        operation,
        inputs: vec![source(&images)],
        output: vec![values],
        cost: Cost::default(),
        receptive_field: receptive_field(&images) + beside,
    };
    note(node, &images.device())
}

/// What works on each value, or each channel, alone.
pub(crate) fn pointwise<const D: usize>(
    x: Tensor<D>,
    operation: Operation,
    parameters: usize,
) -> Tensor<D> {
    let shape = x.dims();
    let cost = Cost {
        parameters,
        multiply_adds: 0,
    };
    pixelwise(operation, &[x], shape, cost)
}

/// What several values make together, in this shape.
pub(crate) fn merged<const D: usize, const E: usize>(
    operation: Operation,
    operands: &[Tensor<E>],
    shape: [usize; D],
) -> Tensor<D> {
    pixelwise(operation, operands, shape, Cost::default())
}

/// A fully connected layer, which looks at everything it is given.
pub(crate) fn linear(
    features: Tensor<2>,
    operation: Operation,
    [outputs, inputs]: [usize; 2],
) -> Tensor<2> {
    let shape = [features.dims()[0], outputs];
    let has_bias = matches!(operation, Operation::Linear { has_bias: true, .. });
    let biases = if has_bias { outputs } else { 0 };
    let cost = Cost {
        parameters: inputs * outputs + biases,
        multiply_adds: (inputs * outputs) as u64,
    };
    pixelwise(operation, &[features], shape, cost)
}

/// What sees no further than its operands do.
fn pixelwise<const D: usize, const E: usize>(
    operation: Operation,
    operands: &[Tensor<E>],
    shape: [usize; D],
    cost: Cost,
) -> Tensor<D> {
    let fields = operands.iter().map(receptive_field);
    let node = Node {
        operation,
        inputs: operands.iter().map(source).collect(),
        output: shape[1..].to_vec(),
        cost,
        receptive_field: fields.max().expect("at least one operand"),
    };
    note(node, &operands[0].device())
}

/// The tensor that comes out of a node: one value under a shape of many.
fn note<const D: usize>(node: Node, device: &Device) -> Tensor<D> {
    let mut shape = [1; D];
    shape[1..].copy_from_slice(&node.output);
    let number = with_trace(|trace| {
        trace.nodes.push(node);
        trace.nodes.len()
    });
    Tensor::<D>::full([1; D], -(number as f32), device).expand(shape)
}

/// The node that a tensor comes out of.
///
/// # Panics
///
/// Where something else was done to it since, as far as its first value and its shape tell.
fn source<const D: usize>(x: &Tensor<D>) -> usize {
    let first: [Range<usize>; D] = std::array::from_fn(|_| 0..1);
    let number = -x.clone().slice(first).into_scalar::<f32>();
    with_trace(|trace| {
        let is_noted = number >= 1.0
            && number.fract() == 0.0
            && (trace.nodes.get(number as usize - 1))
                .is_some_and(|node| node.output == x.dims()[1..]);
        assert!(
            is_noted,
            "something was computed that the trace was not told"
        );
    });
    number as usize - 1
}

fn receptive_field<const D: usize>(x: &Tensor<D>) -> usize {
    let node = source(x);
    with_trace(|trace| trace.nodes[node].receptive_field)
}

fn stride_of(size: [usize; 2]) -> usize {
    with_trace(|trace| trace.strides.get(&size).copied().unwrap_or(1))
}

fn note_stride(size: [usize; 2], stride: usize) {
    with_trace(|trace| trace.strides.entry(size).or_insert(stride).to_owned());
}

fn with_trace<T>(use_it: impl FnOnce(&mut Trace) -> T) -> T {
    TRACE.with_borrow_mut(|trace| use_it(trace.as_mut().expect("called while a trace runs")))
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use burn::tensor::activation::relu;

    use super::*;
    use crate::layers::global_average;

    #[test]
    fn what_a_trace_is_not_told_is_found_out() {
        let traced = |function: fn(Tensor<4>) -> Tensor<4>| {
            let forward = |images| global_average(function(images));
            let run = || run([3, 8, 8], &Device::flex(), forward).nodes.len();
            catch_unwind(AssertUnwindSafe(run)).ok()
        };
        let untold: [fn(Tensor<4>) -> Tensor<4>; 5] = [
            relu,
            Tensor::tanh,
            |x| x * 0.5,
            |x| x.clone() + x,
            |x| x.narrow(1, 0, 2),
        ];
        assert_eq!(traced(|x| x), Some(2));
        for function in untold {
            assert_eq!(traced(function), None);
        }
    }
}
