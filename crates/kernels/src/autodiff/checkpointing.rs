//! Gradient checkpointing.

use burn::backend::autodiff::{
    checkpoint::base::Checkpointer,
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, BackendTensor, DispatchKindConversion, DispatchTensor};
use burn::tensor::Tensor;

use super::is_second;
use crate::gradient_checkpoint::Recomputation;
use crate::ops::{CnnGradients, CnnOps};

/// A backend whose tensors Burn can carry with those of all others.
pub trait Dispatched: Backend {
    /// As the tensor that models know.
    fn into_tensor(values: FloatTensor<Self>) -> Tensor<4>;

    /// And back.
    ///
    /// # Panics
    ///
    /// Where the tensor is of another backend.
    fn from_tensor(tensor: Tensor<4>) -> FloatTensor<Self>;
}

impl<B: Backend> Dispatched for B
where
    DispatchTensor: DispatchKindConversion<B>,
{
    fn into_tensor(values: FloatTensor<Self>) -> Tensor<4> {
        Tensor::from_dispatch(DispatchTensor::from_backend(BackendTensor::Float(values)))
    }

    fn from_tensor(tensor: Tensor<4>) -> FloatTensor<Self> {
        DispatchTensor::try_into_backend(tensor.into_dispatch())
            .unwrap_or_else(|error| panic!("{error}"))
            .float()
    }
}

#[derive(Debug)]
pub(super) struct CheckpointedBackward;

impl<B: CnnOps + CnnGradients> Backward<B, 1> for CheckpointedBackward {
    type State = (FloatTensor<B>, Recomputation);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [images] = ops.parents;
        let output_gradient = B::into_tensor(consume!(grads, ops.node));
        let (kept, recomputation) = ops.state;
        let gradient = recomputation.gradient(B::into_tensor(kept), output_gradient);
        register!(grads, ops.node, images => Some(B::from_tensor(gradient)));
    }
}

#[derive(Debug)]
pub(super) struct WithGradientBackward;

impl<B: CnnOps + CnnGradients> Backward<B, 1> for WithGradientBackward {
    type State = FloatTensor<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [values] = ops.parents;
        let _ = consume!(grads, ops.node);
        register!(grads, ops.node, values => Some(ops.state));
    }
}
