//! The loss.

use burn::backend::autodiff::{
    NodeId,
    checkpoint::base::Checkpointer,
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn::backend::tensor::IntTensor;

use super::is_second;
use crate::ops::{CnnGradients, CnnOps};

#[derive(Debug)]
pub(super) struct CrossEntropyBackward;

impl<B: CnnOps + CnnGradients> Backward<B, 1> for CrossEntropyBackward {
    type State = (NodeId, IntTensor<B>, f64);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let [parent] = ops.parents;
        let output_gradient = consume!(grads, ops.node);
        let (id, labels, smoothing) = ops.state;
        let logits = checkpointer.retrieve_node_output(id);
        let gradient = B::cross_entropy_gradient(logits, labels, output_gradient, smoothing);
        register!(grads, ops.node, parent => Some(gradient));
    }
}
