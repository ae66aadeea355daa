//! What goes over each value once.

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
use crate::{Activation, IdentityShortcut};

#[derive(Debug)]
pub(super) struct AddBiasBackward;

impl<B: CnnOps + CnnGradients> Backward<B, 2> for AddBiasBackward {
    type State = Option<FloatTensor<B>>;

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [images, bias] = ops.parents;
        let output_gradient = consume!(grads, ops.node);
        let (of_images, of_bias) = B::add_bias_gradients(output_gradient, ops.state);
        register!(grads, ops.node, images => Some(of_images), bias => Some(of_bias));
    }
}

#[derive(Debug)]
pub(super) struct ActivationBackward;

impl<B: CnnOps + CnnGradients> Backward<B, 1> for ActivationBackward {
    type State = (FloatTensor<B>, Activation);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [images] = ops.parents;
        let output_gradient = consume!(grads, ops.node);
        let (kept, activation) = ops.state;
        let gradient = B::activation_gradient(kept, output_gradient, activation);
        register!(grads, ops.node, images => Some(gradient));
    }
}

#[derive(Debug)]
pub(super) struct ConcatBackward;

impl<B: CnnOps + CnnGradients> Backward<B, 2> for ConcatBackward {
    type State = usize;

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [left, right] = ops.parents;
        let output_gradient = consume!(grads, ops.node);
        let (of_left, of_right) = B::concat_gradients(output_gradient, ops.state);
        register!(grads, ops.node, left => Some(of_left), right => Some(of_right));
    }
}

/// Images and gates, and the output where it was rectified.
pub(super) type GateState<B> = ([NodeId; 2], Option<FloatTensor<B>>);

/// The gradients by images, gates, and what was added.
fn gate_gradients<B: CnnOps + CnnGradients>(
    (ids, rectified): GateState<B>,
    output_gradient: FloatTensor<B>,
    checkpointer: &mut Checkpointer,
) -> [FloatTensor<B>; 3] {
    let gradient = match rectified {
        Some(output) => B::activation_gradient(output, output_gradient, Activation::Relu),
        None => output_gradient,
    };
    let [images, gates] = ids.map(|id| checkpointer.retrieve_node_output(id));
    let (of_images, of_gates) = B::gate_channels_gradients(images, gates, gradient.clone());
    [of_images, of_gates, gradient]
}

#[derive(Debug)]
pub(super) struct GateBackward;

impl<B: CnnOps + CnnGradients> Backward<B, 2> for GateBackward {
    type State = GateState<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let [images, gates] = ops.parents;
        let output_gradient = consume!(grads, ops.node);
        let [of_images, of_gates, _] =
            gate_gradients::<B>(ops.state, output_gradient, checkpointer);
        register!(grads, ops.node, images => Some(of_images), gates => Some(of_gates));
    }
}

#[derive(Debug)]
pub(super) struct GateAddBackward;

impl<B: CnnOps + CnnGradients> Backward<B, 3> for GateAddBackward {
    type State = GateState<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let [images, gates, residual] = ops.parents;
        let output_gradient = consume!(grads, ops.node);
        let [of_images, of_gates, of_residual] =
            gate_gradients::<B>(ops.state, output_gradient, checkpointer);
        register!(
            grads,
            ops.node,
            images => Some(of_images),
            gates => Some(of_gates),
            residual => Some(of_residual),
        );
    }
}

#[derive(Debug)]
pub(super) struct IdentityShortcutBackward;

impl<B: CnnOps + CnnGradients> Backward<B, 1> for IdentityShortcutBackward {
    type State = (Shape, IdentityShortcut);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [images] = ops.parents;
        let output_gradient = consume!(grads, ops.node);
        let (shape, shortcut) = ops.state;
        let gradient = B::identity_shortcut_gradient(output_gradient, shape, shortcut);
        register!(grads, ops.node, images => Some(gradient));
    }
}
