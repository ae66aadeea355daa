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

use crate::ops::{
    Activated, CnnGradients, CnnOps, Deformed, MaxPooled, Normalization, Optional, WantedGradients,
};
use crate::{
    Activation, Conv2dOptions, DeformConv2dOptions, IdentityShortcut, LocalResponseNorm,
    Pool2dOptions, SgdOptions,
};

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
                    B::conv2d_tracked(images.into_primitive(), weight.into_primitive(), options);
                prep.finish(state, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::conv2d_forward(
                images.into_primitive(),
                weight.into_primitive(),
                options,
            )),
        }
    }

    fn deform_conv2d_forward(
        images: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        offsets: FloatTensor<Self>,
        mask: Optional<Self>,
        options: DeformConv2dOptions,
    ) -> FloatTensor<Self> {
        // The two differ in the number of their parents, which is part of a type.
        macro_rules! deform {
            ($backward:expr, [$($parent:expr),*], $mask:expr) => {{
                let prepared = $backward
                    .prepare::<C>([$($parent.node()),*])
                    .compute_bound()
                    .stateful();
                match prepared {
                    OpsKind::Tracked(mut prep) => {
                        let ids = vec![$(prep.checkpoint(&$parent)),*];
                        let output = B::deform_conv2d_forward(
                            images.into_primitive(),
                            weight.into_primitive(),
                            offsets.into_primitive(),
                            $mask,
                            options,
                        );
                        prep.finish((ids, options), output)
                    }
                    OpsKind::UnTracked(prep) => prep.finish(B::deform_conv2d_forward(
                        images.into_primitive(),
                        weight.into_primitive(),
                        offsets.into_primitive(),
                        $mask,
                        options,
                    )),
                }
            }};
        }
        match mask {
            Optional::None => {
                deform!(
                    DeformConv2dBackward,
                    [images, weight, offsets],
                    Optional::None
                )
            }
            Optional::Some(mask) => deform!(
                MaskedDeformConv2dBackward,
                [images, weight, offsets, mask],
                Optional::Some(mask.into_primitive())
            ),
        }
    }

    fn batch_norm_forward(
        images: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: Optional<Self>,
        epsilon: f64,
        activation: Activation,
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
                        let ids = [
                            prep.checkpoint(&images),
                            prep.checkpoint(&weight),
                            prep.checkpoint(&bias),
                        ];
                        let (output, mean, variance) = B::batch_norm_forward(
                            images.into_primitive(),
                            weight.into_primitive(),
                            bias.into_primitive(),
                            $residual,
                            epsilon,
                            activation,
                        );
                        let state = BatchNormState {
                            ids,
                            mean: mean.clone(),
                            variance: variance.clone(),
                            epsilon,
                            activated: match activation {
                                Activation::Identity => Activated::Identity,
                                Activation::Relu => Activated::Relu(output.clone()),
                                Activation::Silu => Activated::Silu,
                            },
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
                            activation,
                        );
                        (prep.finish(output), mean, variance)
                    }
                }
            }};
        }
        let (output, mean, variance) = match residual {
            Optional::None => {
                normalize!(BatchNormBackward, [images, weight, bias], Optional::None)
            }
            Optional::Some(residual) => normalize!(
                BatchNormAddBackward,
                [images, weight, bias, residual],
                Optional::Some(residual.into_primitive())
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

    fn activation_forward(images: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        match ActivationBackward
            .prepare::<C>([images.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let images = images.into_primitive();
                let output = B::activation_forward(images.clone(), activation);
                let kept = match activation {
                    Activation::Relu => output.clone(),
                    Activation::Identity | Activation::Silu => images,
                };
                prep.finish((kept, activation), output)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::activation_forward(images.into_primitive(), activation))
            }
        }
    }

    fn concat_forward(left: FloatTensor<Self>, right: FloatTensor<Self>) -> FloatTensor<Self> {
        let left_channels = left.shape()[1];
        let prepared = ConcatBackward
            .prepare::<C>([left.node(), right.node()])
            .compute_bound()
            .stateful();
        let output = B::concat_forward(left.into_primitive(), right.into_primitive());
        match prepared {
            OpsKind::Tracked(prep) => prep.finish(left_channels, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn gate_channels_forward(
        images: FloatTensor<Self>,
        gates: FloatTensor<Self>,
        residual: Optional<Self>,
        rectifies: bool,
    ) -> FloatTensor<Self> {
        // The two differ in the number of their parents, which is part of a type.
        macro_rules! gate {
            ($backward:expr, [$($parent:expr),*], $residual:expr) => {{
                let prepared = $backward
                    .prepare::<C>([$($parent.node()),*])
                    .compute_bound()
                    .stateful();
                match prepared {
                    OpsKind::Tracked(mut prep) => {
                        let ids = [prep.checkpoint(&images), prep.checkpoint(&gates)];
                        let output = B::gate_channels_forward(
                            images.into_primitive(),
                            gates.into_primitive(),
                            $residual,
                            rectifies,
                        );
                        prep.finish((ids, rectifies.then(|| output.clone())), output)
                    }
                    OpsKind::UnTracked(prep) => prep.finish(B::gate_channels_forward(
                        images.into_primitive(),
                        gates.into_primitive(),
                        $residual,
                        rectifies,
                    )),
                }
            }};
        }
        match residual {
            Optional::None => gate!(GateBackward, [images, gates], Optional::None),
            Optional::Some(residual) => gate!(
                GateAddBackward,
                [images, gates, residual],
                Optional::Some(residual.into_primitive())
            ),
        }
    }

    fn local_response_norm_forward(
        images: FloatTensor<Self>,
        options: LocalResponseNorm,
    ) -> FloatTensor<Self> {
        match LocalResponseNormBackward
            .prepare::<C>([images.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(mut prep) => {
                let id = prep.checkpoint(&images);
                let output = B::local_response_norm_forward(images.into_primitive(), options);
                prep.finish((id, options), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::local_response_norm_forward(
                images.into_primitive(),
                options,
            )),
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

    fn sgd_update(
        weight: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        velocity: Optional<Self>,
        options: SgdOptions,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let velocity = match velocity {
            Optional::None => Optional::None,
            Optional::Some(velocity) => Optional::Some(velocity.into_primitive()),
        };
        let (weight, gradient) = (weight.into_primitive(), gradient.into_primitive());
        let (weight, velocity) = B::sgd_update(weight, gradient, velocity, options);
        (Self::from_inner(weight), Self::from_inner(velocity))
    }

    fn cross_entropy_forward(
        logits: FloatTensor<Self>,
        labels: IntTensor<Self>,
        smoothing: f64,
    ) -> FloatTensor<Self> {
        match CrossEntropyBackward
            .prepare::<C>([logits.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(mut prep) => {
                let id = prep.checkpoint(&logits);
                let logits = logits.into_primitive();
                let output = B::cross_entropy_forward(logits, labels.clone(), smoothing);
                prep.finish((id, labels, smoothing), output)
            }
            OpsKind::UnTracked(prep) => {
                let logits = logits.into_primitive();
                prep.finish(B::cross_entropy_forward(logits, labels, smoothing))
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

/// Images, weight, offsets, and the mask where there is one.
type DeformState = (Vec<NodeId>, DeformConv2dOptions);

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
struct DeformConv2dBackward;

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
struct MaskedDeformConv2dBackward;

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

#[derive(Clone, Debug)]
struct BatchNormState<B: Backend> {
    /// Of images, weight and bias.
    ids: [NodeId; 3],
    mean: FloatTensor<B>,
    variance: FloatTensor<B>,
    epsilon: f64,
    activated: Activated<B>,
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
        }
    }
}

#[derive(Debug)]
struct BatchNormBackward;

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
struct BatchNormAddBackward;

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
struct ActivationBackward;

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
struct ConcatBackward;

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
type GateState<B> = ([NodeId; 2], Option<FloatTensor<B>>);

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
struct GateBackward;

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
struct GateAddBackward;

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
struct LocalResponseNormBackward;

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
struct CrossEntropyBackward;

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
