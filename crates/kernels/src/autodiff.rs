//! The gradients of every operation, written once for all backends.

use burn::backend::autodiff::{
    NodeId,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend};

use crate::{CnnOps, Conv2dOptions};

impl<B: CnnOps, C: CheckpointStrategy> CnnOps for Autodiff<B, C> {
    fn conv2d_forward(
        images: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: Conv2dOptions,
    ) -> FloatTensor<Self> {
        match Conv2dBackward
            .prepare::<C>([images.node(), weight.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&images), prep.checkpoint(&weight), options);
                let output =
                    B::conv2d_forward(images.into_primitive(), weight.into_primitive(), options);
                prep.finish(state, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::conv2d_forward(
                images.into_primitive(),
                weight.into_primitive(),
                options,
            )),
        }
    }

    fn batch_norm_forward(
        images: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let prepared = BatchNormBackward
            .prepare::<C>([images.node(), weight.node(), bias.node()])
            .compute_bound()
            .stateful();
        let (output, mean, variance) = match prepared {
            OpsKind::Tracked(mut prep) => {
                let (images_id, weight_id) = (prep.checkpoint(&images), prep.checkpoint(&weight));
                let (output, mean, variance) = B::batch_norm_forward(
                    images.into_primitive(),
                    weight.into_primitive(),
                    bias.into_primitive(),
                    epsilon,
                );
                let state = BatchNormState {
                    images: images_id,
                    weight: weight_id,
                    mean: mean.clone(),
                    variance: variance.clone(),
                    epsilon,
                };
                (prep.finish(state, output), mean, variance)
            }
            OpsKind::UnTracked(prep) => {
                let (output, mean, variance) = B::batch_norm_forward(
                    images.into_primitive(),
                    weight.into_primitive(),
                    bias.into_primitive(),
                    epsilon,
                );
                (prep.finish(output), mean, variance)
            }
        };
        (output, Self::from_inner(mean), Self::from_inner(variance))
    }
}

#[derive(Debug)]
struct Conv2dBackward;

impl<B: CnnOps> Backward<B, 2> for Conv2dBackward {
    type State = (NodeId, NodeId, Conv2dOptions);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let [images_node, weight_node] = ops.parents;
        let output_gradient = grads.consume::<B>(&ops.node);
        let (images, weight, options) = ops.state;
        let images: FloatTensor<B> = checkpointer.retrieve_node_output(images);
        let weight: FloatTensor<B> = checkpointer.retrieve_node_output(weight);

        if let Some(node) = images_node {
            let gradient = B::conv2d_images_gradient(
                images.clone(),
                weight.clone(),
                output_gradient.clone(),
                options,
            );
            grads.register::<B>(node.id, gradient);
        }
        if let Some(node) = weight_node {
            let gradient = B::conv2d_weight_gradient(images, weight, output_gradient, options);
            grads.register::<B>(node.id, gradient);
        }
    }
}

#[derive(Debug)]
struct BatchNormBackward;

#[derive(Clone, Debug)]
struct BatchNormState<T> {
    images: NodeId,
    weight: NodeId,
    mean: T,
    variance: T,
    epsilon: f64,
}

impl<B: CnnOps> Backward<B, 3> for BatchNormBackward {
    type State = BatchNormState<FloatTensor<B>>;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let [images_node, weight_node, bias_node] = ops.parents;
        let output_gradient = grads.consume::<B>(&ops.node);
        let state = ops.state;
        let images: FloatTensor<B> = checkpointer.retrieve_node_output(state.images);
        let weight: FloatTensor<B> = checkpointer.retrieve_node_output(state.weight);

        let (images_gradient, weight_gradient, bias_gradient) = B::batch_norm_gradient(
            images,
            weight,
            state.mean,
            state.variance,
            output_gradient,
            state.epsilon,
        );
        let gradients = [
            (images_node, images_gradient),
            (weight_node, weight_gradient),
            (bias_node, bias_gradient),
        ];
        for (node, gradient) in gradients {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}
