//! Gradient checkpointing (Chen et al. 2016, arXiv:1604.06174): what is between two activations is
//! computed again in the backward pass, and not kept until then.

use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::Dispatch;
use burn::tensor::{Gradients, Tensor};

use crate::ops::CnnOps;

thread_local! {
    /// What backward passes on this thread found within blocks.
    static FOUND: RefCell<Vec<Gradients>> = const { RefCell::new(Vec::new()) };
}

/// `output`, which `block` makes of `images`, and will make again, with a graph, when a backward pass
/// comes to it.
///
/// Only `images` and `output` are kept. The backward pass goes on to what `images` was made of; the
/// gradients of weights within the block are for [`take_gradients`]. `output` has to be what `block`
/// computes, without a graph of its own.
pub fn gradient_checkpoint(
    images: Tensor<4>,
    output: Tensor<4>,
    block: impl FnOnce(Tensor<4>) -> Tensor<4> + Send + 'static,
) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::checkpointed(
        images.into_dispatch(),
        output.inner().into_dispatch(),
        Recomputation::new(block),
    ))
}

/// The gradients by weights within blocks that backward passes on this thread went through since the
/// last call.
pub fn take_gradients() -> Vec<Gradients> {
    FOUND.take()
}

/// How a block's output is computed again.
#[derive(Clone)]
pub struct Recomputation(Arc<Mutex<Option<Block>>>);

type Block = Box<dyn FnOnce(Tensor<4>) -> Tensor<4> + Send>;

impl fmt::Debug for Recomputation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recomputation").finish_non_exhaustive()
    }
}

impl Recomputation {
    fn new(block: impl FnOnce(Tensor<4>) -> Tensor<4> + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Some(Box::new(block)))))
    }

    /// The gradient by the images, from that by the output.
    ///
    /// The graph is the block's own: a leaf stands for the images, so that the backward pass within
    /// a backward pass shares nothing with the one around it.
    pub(crate) fn gradient(self, images: Tensor<4>, output_gradient: Tensor<4>) -> Tensor<4> {
        let block = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let block = block.expect("a backward pass comes to a node once");
        let images = images.autodiff().require_grad();
        let output = block(images.clone());
        let mut gradients = with_gradient(output, output_gradient).backward();
        let by_images = images.grad_remove(&mut gradients);
        FOUND.with_borrow_mut(|found| found.push(gradients));
        by_images.unwrap_or_else(|| images.inner().zeros_like())
    }
}

/// Zero `[1]`, whose gradient by `values` is `gradient`.
fn with_gradient(values: Tensor<4>, gradient: Tensor<4>) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::with_gradient(
        values.into_dispatch(),
        gradient.into_dispatch(),
    ))
}
