//! What stands between layers: functions without parameters.

use burn::tensor::{Tensor, activation};
use kernels::{Activation, Finish, activate};

use crate::trace::{self, Operation};

/// `max(0, x)`, of any shape.
pub fn relu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    elementwise(x, Operation::Relu, activation::relu)
}

/// `1 / (1 + exp(-x))`, of any shape.
pub fn sigmoid<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    elementwise(x, Operation::Sigmoid, activation::sigmoid)
}

/// The hyperbolic tangent, of any shape.
pub fn tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    elementwise(x, Operation::Tanh, Tensor::tanh)
}

/// `factor · x`, of any shape.
pub fn scale<const D: usize>(x: Tensor<D>, factor: f64) -> Tensor<D> {
    elementwise(x, Operation::Scale(factor), |x| x * factor)
}

/// `path + shortcut`, both `[n, channels, h, w]`.
pub fn residual_add(path: Tensor<4>, shortcut: Tensor<4>) -> Tensor<4> {
    pairwise([path, shortcut], Operation::Add, Tensor::add)
}

/// `left · right`, both `[n, channels, h, w]`.
pub fn multiply(left: Tensor<4>, right: Tensor<4>) -> Tensor<4> {
    pairwise([left, right], Operation::Multiply, Tensor::mul)
}

/// `gate · changed + (1 - gate) · carried`, all `[n, c, h, w]`.
pub fn blend(changed: Tensor<4>, carried: Tensor<4>, gate: Tensor<4>) -> Tensor<4> {
    let change = pairwise([changed, carried.clone()], Operation::Subtract, Tensor::sub);
    residual_add(multiply(gate, change), carried)
}

/// Images of any numbers of channels behind each other: `[n, c, h, w]` each to `[n, sum of c, h, w]`.
pub fn concat(images: Vec<Tensor<4>>) -> Tensor<4> {
    if !trace::is_active() || images.len() == 1 {
        return kernels::concat(images);
    }
    let [n, _, height, width] = images[0].dims();
    let channels = images.iter().map(|image| image.dims()[1]).sum();
    let fit = |image: &Tensor<4>| image.dims()[2..] == [height, width];
    assert!(images.iter().all(fit), "images of one size");
    trace::merged(Operation::Concat, &images, [n, channels, height, width])
}

/// Some of the channels: `[n, c, h, w]` to `[n, count, h, w]`.
pub(super) fn channels(images: Tensor<4>, first: usize, count: usize) -> Tensor<4> {
    if !trace::is_active() {
        return images.narrow(1, first, count);
    }
    let [n, _, height, width] = images.dims();
    let operation = Operation::Channels { first, count };
    trace::merged(operation, &[images], [n, count, height, width])
}

/// What a kernel does behind its own work in one pass over memory, as the operations that it is.
pub(super) fn finished(x: Tensor<4>, finish: Finish) -> Tensor<4> {
    let x = match finish.residual {
        Some(residual) => residual_add(x, residual),
        None => x,
    };
    if !trace::is_active() {
        return activate(x, finish.activation);
    }
    match finish.activation {
        Activation::Identity => x,
        Activation::Relu => relu(x),
        Activation::Silu => trace::pointwise(x, Operation::Silu, 0),
        Activation::Gelu => trace::pointwise(x, Operation::Gelu, 0),
    }
}

/// A function of each value alone.
fn elementwise<const D: usize>(
    x: Tensor<D>,
    operation: Operation,
    function: impl FnOnce(Tensor<D>) -> Tensor<D>,
) -> Tensor<D> {
    if trace::is_active() {
        return trace::pointwise(x, operation, 0);
    }
    function(x)
}

/// A function of the values that two tensors of one shape have at each place.
fn pairwise(
    operands: [Tensor<4>; 2],
    operation: Operation,
    function: impl FnOnce(Tensor<4>, Tensor<4>) -> Tensor<4>,
) -> Tensor<4> {
    if !trace::is_active() {
        let [left, right] = operands;
        return function(left, right);
    }
    let [left, right] = operands.each_ref().map(Tensor::dims);
    assert_eq!(left, right, "operands of one shape");
    trace::merged(operation, &operands, left)
}
