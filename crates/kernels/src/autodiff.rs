//! The gradients of every operation, written once for all backends.

use std::cell::RefCell;
use std::collections::HashSet;

use burn::backend::autodiff::{
    NodeId,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, AutodiffBackend, Backend, TensorMetadata};
use burn::tensor::Shape;

use crate::ops::{CnnGradients, CnnOps, MaxPooled, Normalization, Residual, WantedGradients};
use crate::{Conv2dOptions, IdentityShortcut, Pool2dOptions};

thread_local! {
    /// Nodes that have a gradient from an operation of ours, and have not been passed yet.
    static REGISTERED: RefCell<HashSet<NodeId>> = RefCell::new(HashSet::new());
}

/// Nodes of ours that only Burn's operations pass stay in the set; past this many, it forgets all.
const MOST_REGISTERED: usize = 1 << 12;

/// The gradient by a node's output. (Burn does not name a node's type.)
macro_rules! consume {
    ($grads:ident, $node:expr) => {{
        REGISTERED.with_borrow_mut(|registered| registered.remove(&$node.id));
        $grads.consume::<B>(&$node)
    }};
}

/// Notes gradients by the outputs of parents of `$node`, where they are wanted.
macro_rules! register {
    ($grads:ident, $node:expr, $($parent:expr => $gradient:expr),+ $(,)?) => {
        $(if let Some(parent) = $parent
            && let Some(gradient) = $gradient
        {
            // What is passed on is required as this node is; what a user asked for, is kept.
            let is_passed_on = parent.requirement == $node.requirement;
            let gradient = if is_passed_on && is_second(parent.id) {
                B::add_images($grads.consume::<B>(&parent), gradient)
            } else {
                gradient
            };
            $grads.register::<B>(parent.id, gradient);
        })+
    };
}

/// Whether an operation of ours gave this node a gradient before.
///
/// Where there is one already, as at the fork of a residual block, Burn would add the two in its own
/// order of axes, which costs more than the convolution before it: they are added here.
fn is_second(node: NodeId) -> bool {
    REGISTERED.with_borrow_mut(|registered| {
        if registered.len() > MOST_REGISTERED {
            registered.clear();
        }
        !registered.insert(node)
    })
}

impl<B: CnnOps + CnnGradients, C: CheckpointStrategy> CnnOps for Autodiff<B, C> {
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
        residual: Residual<Self>,
        epsilon: f64,
        rectifies: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        // The two differ in the number of their parents, which is part of a type.
        macro_rules! normalize {
            ($backward:expr, [$($parent:expr),*], $residual:expr) => {{
                let prepared = $backward
                    .prepare::<C>([$($parent.node()),*])
                    .compute_bound()
                    .stateful();
                match prepared {
                    OpsKind::Tracked(mut prep) => {
                        let ids = (prep.checkpoint(&images), prep.checkpoint(&weight));
                        let (output, mean, variance) = B::batch_norm_forward(
                            images.into_primitive(),
                            weight.into_primitive(),
                            bias.into_primitive(),
                            $residual,
                            epsilon,
                            rectifies,
                        );
                        let state = BatchNormState {
                            images: ids.0,
                            weight: ids.1,
                            mean: mean.clone(),
                            variance: variance.clone(),
                            epsilon,
                            rectified: rectifies.then(|| output.clone()),
                        };
                        (prep.finish(state, output), mean, variance)
                    }
                    OpsKind::UnTracked(prep) => {
                        let (output, mean, variance) = B::batch_norm_forward(
                            images.into_primitive(),
                            weight.into_primitive(),
                            bias.into_primitive(),
                            $residual,
                            epsilon,
                            rectifies,
                        );
                        (prep.finish(output), mean, variance)
                    }
                }
            }};
        }
        let (output, mean, variance) = match residual {
            Residual::None => {
                normalize!(BatchNormBackward, [images, weight, bias], Residual::None)
            }
            Residual::Added(residual) => normalize!(
                BatchNormAddBackward,
                [images, weight, bias, residual],
                Residual::Added(residual.into_primitive())
            ),
        };
        (output, Self::from_inner(mean), Self::from_inner(variance))
    }

    fn add_bias_forward(
        images: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        rectifies: bool,
    ) -> FloatTensor<Self> {
        let prepared = AddBiasBackward
            .prepare::<C>([images.node(), bias.node()])
            .compute_bound()
            .stateful();
        let (images, bias) = (images.into_primitive(), bias.into_primitive());
        let output = B::add_bias_forward(images, bias, rectifies);
        match prepared {
            OpsKind::Tracked(prep) => prep.finish(rectifies.then(|| output.clone()), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn identity_shortcut_forward(
        images: FloatTensor<Self>,
        shortcut: IdentityShortcut,
    ) -> FloatTensor<Self> {
        let shape = images.shape();
        match IdentityShortcutBackward
            .prepare::<C>([images.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish(
                (shape, shortcut),
                B::identity_shortcut_forward(images.into_primitive(), shortcut),
            ),
            OpsKind::UnTracked(prep) => prep.finish(B::identity_shortcut_forward(
                images.into_primitive(),
                shortcut,
            )),
        }
    }

    fn max_pool2d_forward(images: FloatTensor<Self>, options: Pool2dOptions) -> FloatTensor<Self> {
        match MaxPool2dBackward
            .prepare::<C>([images.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(mut prep) => {
                let id = prep.checkpoint(&images);
                let (output, indices) = B::max_pool2d_tracked(images.into_primitive(), options);
                prep.finish((id, output.clone(), indices, options), output)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::max_pool2d_forward(images.into_primitive(), options))
            }
        }
    }

    fn avg_pool2d_forward(
        images: FloatTensor<Self>,
        options: Pool2dOptions,
        counts_padding: bool,
    ) -> FloatTensor<Self> {
        match AvgPool2dBackward
            .prepare::<C>([images.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(mut prep) => {
                let id = prep.checkpoint(&images);
                let images = images.into_primitive();
                let output = B::avg_pool2d_forward(images, options, counts_padding);
                prep.finish((id, options, counts_padding), output)
            }
            OpsKind::UnTracked(prep) => {
                let images = images.into_primitive();
                prep.finish(B::avg_pool2d_forward(images, options, counts_padding))
            }
        }
    }

    fn global_average_forward(images: FloatTensor<Self>) -> FloatTensor<Self> {
        let shape = images.shape();
        match GlobalAverageBackward
            .prepare::<C>([images.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                prep.finish(shape, B::global_average_forward(images.into_primitive()))
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::global_average_forward(images.into_primitive()))
            }
        }
    }
}

#[derive(Debug)]
struct Conv2dBackward;

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

#[derive(Clone, Debug)]
struct BatchNormState<T> {
    images: NodeId,
    weight: NodeId,
    mean: T,
    variance: T,
    epsilon: f64,
    rectified: Option<T>,
}

impl<T> BatchNormState<T> {
    fn normalization<B: Backend<FloatTensorPrimitive = T>>(
        self,
        checkpointer: &mut Checkpointer,
        has_residual: bool,
    ) -> Normalization<B>
    where
        T: Clone + Send + 'static,
    {
        Normalization {
            images: checkpointer.retrieve_node_output(self.images),
            weight: checkpointer.retrieve_node_output(self.weight),
            mean: self.mean,
            variance: self.variance,
            epsilon: self.epsilon,
            rectified: self.rectified,
            has_residual,
        }
    }
}

#[derive(Debug)]
struct BatchNormBackward;

impl<B: CnnOps + CnnGradients> Backward<B, 3> for BatchNormBackward {
    type State = BatchNormState<FloatTensor<B>>;

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
struct BatchNormAddBackward;

impl<B: CnnOps + CnnGradients> Backward<B, 4> for BatchNormAddBackward {
    type State = BatchNormState<FloatTensor<B>>;

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
struct AddBiasBackward;

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
struct IdentityShortcutBackward;

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

#[derive(Debug)]
struct GlobalAverageBackward;

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
struct MaxPool2dBackward;

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
struct AvgPool2dBackward;

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
