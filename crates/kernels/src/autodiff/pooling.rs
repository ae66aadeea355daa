//! Pooling.

use burn::backend::autodiff::{
    NodeId,
    checkpoint::base::Checkpointer,
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::Shape;

use super::is_second;
use crate::Pool2dOptions;
use crate::ops::{CnnGradients, CnnOps, MaxPooled};

#[derive(Debug)]
pub(super) struct GlobalAverageBackward;

impl<B: CnnOps + CnnGradients> Backward<B, 1> for GlobalAverageBackward {
    type State = Shape;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [images] = ops.parents;
        let output_gradient = consume!(grads, ops.node);
        let gradient = B::global_average_gradient(output_gradient, ops.state);
        register!(grads, ops.node, images => Some(gradient));
    }
}

#[derive(Debug)]
pub(super) struct MaxPool2dBackward;

impl<B: CnnOps + CnnGradients> Backward<B, 1> for MaxPool2dBackward {
    type State = (NodeId, FloatTensor<B>, Option<IntTensor<B>>, Pool2dOptions);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let [images] = ops.parents;
        let output_gradient = consume!(grads, ops.node);
        let (id, output, indices, options) = ops.state;
        let pooled = MaxPooled {
            images: checkpointer.retrieve_node_output(id),
            output,
            indices,
            options,
        };
        let gradient = B::max_pool2d_gradient(pooled, output_gradient);
        register!(grads, ops.node, images => Some(gradient));
    }
}

#[derive(Debug)]
pub(super) struct AvgPool2dBackward;

impl<B: CnnOps + CnnGradients> Backward<B, 1> for AvgPool2dBackward {
    type State = (NodeId, Pool2dOptions, bool);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let [parent] = ops.parents;
        let output_gradient = consume!(grads, ops.node);
        let (id, options, counts_padding) = ops.state;
        let images = checkpointer.retrieve_node_output(id);
        let gradient = B::avg_pool2d_gradient(images, output_gradient, options, counts_padding);
        register!(grads, ops.node, parent => Some(gradient));
    }
}
