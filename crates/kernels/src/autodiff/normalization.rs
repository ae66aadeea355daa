//! Normalisation.

use burn::backend::Backend;
use burn::backend::autodiff::{
    NodeId,
    checkpoint::base::Checkpointer,
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn::backend::tensor::FloatTensor;

use super::is_second;
use crate::ops::{Activated, CnnGradients, CnnOps, Normalization};
use crate::{LocalResponseNorm, SharedBatch};

#[derive(Clone, Debug)]
pub(super) struct BatchNormState<B: Backend> {
    /// Of images, weight and bias.
    pub ids: [NodeId; 3],
    pub mean: FloatTensor<B>,
    pub variance: FloatTensor<B>,
    pub epsilon: f64,
    pub activated: Activated<B>,
    pub shared: Option<SharedBatch>,
}

impl<B: Backend> BatchNormState<B> {
    fn normalization(
        self,
        checkpointer: &mut Checkpointer,
        has_residual: bool,
    ) -> Normalization<B> {
        let [images, weight, bias] = self.ids.map(|id| checkpointer.retrieve_node_output(id));
        Normalization {
            images,
            weight,
            bias,
            mean: self.mean,
            variance: self.variance,
            epsilon: self.epsilon,
            activated: self.activated,
            has_residual,
            shared: self.shared,
        }
    }
}

#[derive(Debug)]
pub(super) struct BatchNormBackward;

impl<B: CnnOps + CnnGradients> Backward<B, 3> for BatchNormBackward {
    type State = BatchNormState<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let [images, weight, bias] = ops.parents;
        let output_gradient = consume!(grads, ops.node);
        let normalization = ops.state.normalization(checkpointer, false);
        let gradients = B::batch_norm_gradients(normalization, output_gradient);
        register!(
            grads,
            ops.node,
            images => Some(gradients.images),
            weight => Some(gradients.weight),
            bias => Some(gradients.bias),
        );
    }
}

#[derive(Debug)]
pub(super) struct BatchNormAddBackward;

impl<B: CnnOps + CnnGradients> Backward<B, 4> for BatchNormAddBackward {
    type State = BatchNormState<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 4>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let [images, weight, bias, residual] = ops.parents;
        let output_gradient = consume!(grads, ops.node);
        let normalization = ops.state.normalization(checkpointer, true);
        let gradients = B::batch_norm_gradients(normalization, output_gradient);
        register!(
            grads,
            ops.node,
            images => Some(gradients.images),
            weight => Some(gradients.weight),
            bias => Some(gradients.bias),
            residual => gradients.residual,
        );
    }
}

#[derive(Debug)]
pub(super) struct LocalResponseNormBackward;

impl<B: CnnOps + CnnGradients> Backward<B, 1> for LocalResponseNormBackward {
    type State = (NodeId, LocalResponseNorm);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let [parent] = ops.parents;
        let output_gradient = consume!(grads, ops.node);
        let (id, options) = ops.state;
        let images = checkpointer.retrieve_node_output(id);
        let gradient = B::local_response_norm_gradient(images, output_gradient, options);
        register!(grads, ops.node, parent => Some(gradient));
    }
}
