//! Gradient checkpointing: a network keeps what goes into its blocks, and computes the rest again in
//! the backward pass (Chen et al. 2016, arXiv:1604.06174, section 4).
//!
//! Training then takes the time of a second forward pass more, and memory for the blocks' inputs and
//! the inside of one block at a time. Every number stays the same to the bit; only where an auxiliary classifier
//! branches off between two blocks, the gradients that meet there are added in another order.

use std::cell::Cell;
use std::thread::LocalKey;

use burn::module::Module;
use burn::tensor::Tensor;
use kernels::gradient_checkpoint;

use crate::{noise, parameters, trace};

thread_local! {
    static IS_ON: Cell<bool> = const { Cell::new(false) };
    static RECOMPUTES: Cell<bool> = const { Cell::new(false) };
}

/// Runs a network's forward pass, with gradient checkpointing where `is_on`.
///
/// The gradients of what follows are complete where
/// [`take_gradients`](crate::parameters::take_gradients) collects them.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use models::{Init, Initialization, gradient_checkpointing, parameters, registry};
///
/// let device = Device::flex().autodiff();
/// let entry = registry::find("resnet8").unwrap();
/// let model = entry.architecture.init(&mut Init::new(&device, Initialization::He, 0));
/// let images = Tensor::ones([2, 3, 32, 32], &device);
/// let scores = gradient_checkpointing::run(true, || model.forward(images));
/// let mut found = scores.sum().backward();
/// let gradients = parameters::take_gradients(&model, &mut found);
/// assert!(gradients.iter().all(Option::is_some));
/// ```
pub fn run<T>(is_on: bool, forward: impl FnOnce() -> T) -> T {
    during(&IS_ON, is_on, forward)
}

/// Whether a block is computed for the second time, so that what counts its passes must not.
pub(crate) fn recomputes() -> bool {
    RECOMPUTES.get()
}

/// `forward` of a block of a network, of which [`run`] keeps the input alone: `[n, c, h, w]` to
/// `[n, c', h', w']`.
pub(crate) fn block<M: Module + 'static>(
    block: &M,
    x: Tensor<4>,
    forward: fn(&M, Tensor<4>) -> Tensor<4>,
) -> Tensor<4> {
    if trace::is_active() {
        trace::note_block();
        return forward(block, x);
    }
    if !IS_ON.get() || !x.is_autodiff() {
        return forward(block, x);
    }
    // A parameter that is drawn when it is first used would be drawn in each clone by itself.
    parameters::draw(block);
    let drawn = noise::position();
    let output = during(&IS_ON, false, || {
        forward(&block.clone().no_grad(), x.clone().detach())
    });
    let block = block.clone();
    gradient_checkpoint(x, output, move |x| {
        noise::replay(drawn, || during(&RECOMPUTES, true, || forward(&block, x)))
    })
}

/// Runs with the flag at `value`; it is as before afterwards, even where `run` panics.
fn during<T>(flag: &'static Flag, value: bool, run: impl FnOnce() -> T) -> T {
    let _restore = Restore(flag, flag.replace(value));
    run()
}

type Flag = LocalKey<Cell<bool>>;

struct Restore(&'static Flag, bool);

impl Drop for Restore {
    fn drop(&mut self) {
        self.0.set(self.1);
    }
}
