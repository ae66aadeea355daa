//! Convolution.

use burn::backend::Backend;
use burn::backend::autodiff::{
    NodeId,
    checkpoint::base::Checkpointer,
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn::backend::tensor::FloatTensor;

use super::is_second;
use crate::ops::{CnnGradients, CnnOps, Deformed, WantedGradients};
use crate::{Conv2dOptions, DeformConv2dOptions};

#[derive(Debug)]
pub(super) struct Conv2dBackward;

impl<B: CnnOps + CnnGradients> Backward<B, 2> for Conv2dBackward {
    type State = (NodeId, NodeId, Conv2dOptions);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let [images_node, weight_node] = ops.parents;
        let output_gradient = consume!(grads, ops.node);
        let (images, weight, options) = ops.state;
        let images: FloatTensor<B> = checkpointer.retrieve_node_output(images);
        let weight: FloatTensor<B> = checkpointer.retrieve_node_output(weight);

        let wanted = WantedGradients {
            images: images_node.is_some(),
            weight: weight_node.is_some(),
        };
        let (of_images, of_weight) =
            B::conv2d_gradients(images, weight, output_gradient, options, wanted);
        register!(grads, ops.node, images_node => of_images, weight_node => of_weight);
    }
}

/// Images, weight, offsets, and the mask where there is one.
pub(super) type DeformState = (Vec<NodeId>, DeformConv2dOptions);

fn deformed<B: Backend>(
    (ids, options): DeformState,
    checkpointer: &mut Checkpointer,
) -> Deformed<B> {
    let mut tensors = ids
        .into_iter()
        .map(|id| checkpointer.retrieve_node_output(id));
    let mut next = || tensors.next().expect("three operands at least");
    Deformed {
        images: next(),
        weight: next(),
        offsets: next(),
        mask: tensors.next(),
        options,
    }
}

#[derive(Debug)]
pub(super) struct DeformConv2dBackward;

impl<B: CnnOps + CnnGradients> Backward<B, 3> for DeformConv2dBackward {
    type State = DeformState;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let [images, weight, offsets] = ops.parents;
        let output_gradient = consume!(grads, ops.node);
        let deformed = deformed::<B>(ops.state, checkpointer);
        let gradients = B::deform_conv2d_gradients(deformed, output_gradient);
        register!(
            grads,
            ops.node,
            images => Some(gradients.images),
            weight => Some(gradients.weight),
            offsets => Some(gradients.offsets),
        );
    }
}

#[derive(Debug)]
pub(super) struct MaskedDeformConv2dBackward;

impl<B: CnnOps + CnnGradients> Backward<B, 4> for MaskedDeformConv2dBackward {
    type State = DeformState;

    fn backward(
        self,
        ops: Ops<Self::State, 4>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let [images, weight, offsets, mask] = ops.parents;
        let output_gradient = consume!(grads, ops.node);
        let deformed = deformed::<B>(ops.state, checkpointer);
        let gradients = B::deform_conv2d_gradients(deformed, output_gradient);
        register!(
            grads,
            ops.node,
            images => Some(gradients.images),
            weight => Some(gradients.weight),
            offsets => Some(gradients.offsets),
            mask => gradients.mask,
        );
    }
}
