//! The fully connected layer.

use burn::backend::TensorMetadata;
use burn::backend::autodiff::{
    NodeId,
    checkpoint::base::Checkpointer,
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn::backend::tensor::FloatTensor;
use burn::tensor::Shape;

use super::is_second;
use crate::ops::{CnnGradients, CnnOps};

#[derive(Debug)]
pub(super) struct LinearBackward;

impl<B: CnnOps + CnnGradients> Backward<B, 3> for LinearBackward {
    type State = (NodeId, NodeId);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let [features_node, weight_node, bias] = ops.parents;
        let output_gradient = consume!(grads, ops.node);
        let (features, weight) = ops.state;
        let features: FloatTensor<B> = checkpointer.retrieve_node_output(features);
        let weight: FloatTensor<B> = checkpointer.retrieve_node_output(weight);
        let of_features = features_node
            .is_some()
            .then(|| B::float_matmul(output_gradient.clone(), weight));
        let of_weight = weight_node
            .is_some()
            .then(|| B::linear_weight_gradient(features, output_gradient.clone()));
        let outputs = output_gradient.shape()[1];
        let sums = B::float_sum_dim(output_gradient, 0);
        register!(
            grads,
            ops.node,
            features_node => of_features,
            weight_node => of_weight,
            bias => Some(B::float_reshape(sums, Shape::from([outputs]))),
        );
    }
}
