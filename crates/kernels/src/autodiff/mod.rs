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

use crate::gradient_checkpoint::Recomputation;
use crate::ops::{Activated, CnnGradients, CnnOps, Optional};
use crate::profile;
use crate::{
    Activation, Conv2dOptions, DeformConv2dOptions, IdentityShortcut, LocalResponseNorm,
    Pool2dOptions, SgdOptions, SharedBatch,
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
        super::REGISTERED.with_borrow_mut(|registered| registered.remove(&$node.id));
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

/// A gradient that a [profile](crate::profile) sees.
#[derive(Debug)]
struct Profiled<G> {
    gradient: G,
    operation: Option<usize>,
}

impl<G> Profiled<G> {
    /// The gradient of the operation that runs.
    fn new(gradient: G) -> Self {
        let operation = profile::current();
        Self {
            gradient,
            operation,
        }
    }
}

impl<B: Backend, G: Backward<B, N>, const N: usize> Backward<B, N> for Profiled<G> {
    type State = G::State;

    fn backward(
        self,
        ops: Ops<Self::State, N>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        profile::gradient(self.operation, || {
            self.gradient.backward(ops, grads, checkpointer);
        });
    }
}

mod checkpointing;
mod convolution;
mod elementwise;
mod linear;
mod loss;
mod normalization;
mod pooling;

pub use self::checkpointing::Dispatched;
use self::checkpointing::{CheckpointedBackward, WithGradientBackward};
use self::convolution::{Conv2dBackward, DeformConv2dBackward, MaskedDeformConv2dBackward};
use self::elementwise::{
    ActivationBackward, AddBiasBackward, ConcatBackward, GateAddBackward, GateBackward,
    IdentityShortcutBackward,
};
use self::linear::LinearBackward;
use self::loss::CrossEntropyBackward;
use self::normalization::{
    BatchNormAddBackward, BatchNormBackward, BatchNormState, LocalResponseNormBackward,
};
use self::pooling::{AvgPool2dBackward, GlobalAverageBackward, MaxPool2dBackward};

impl<B: CnnOps + CnnGradients, C: CheckpointStrategy> CnnOps for Autodiff<B, C> {
    fn conv2d_forward(
        images: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: Conv2dOptions,
    ) -> FloatTensor<Self> {
        match Profiled::new(Conv2dBackward)
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
            OpsKind::UnTracked(prep) => prep.finish(B::conv2d_tracked(
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
                let prepared = Profiled::new($backward)
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
        shared: Option<SharedBatch>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        // The two differ in the number of their parents, which is part of a type.
        macro_rules! normalize {
            ($backward:expr, [$($parent:expr),*], $residual:expr) => {{
                let prepared = Profiled::new($backward)
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
                            shared.clone(),
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
                                Activation::Gelu => Activated::Gelu,
                            },
                            shared,
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
                            shared,
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
        let prepared = Profiled::new(AddBiasBackward)
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
        match Profiled::new(ActivationBackward)
            .prepare::<C>([images.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let images = images.into_primitive();
                let output = B::activation_forward(images.clone(), activation);
                let kept = match activation {
                    Activation::Relu => output.clone(),
                    Activation::Identity | Activation::Silu | Activation::Gelu => images,
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
        let prepared = Profiled::new(ConcatBackward)
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
                let prepared = Profiled::new($backward)
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
        match Profiled::new(LocalResponseNormBackward)
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
        match Profiled::new(IdentityShortcutBackward)
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
        match Profiled::new(MaxPool2dBackward)
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
        match Profiled::new(AvgPool2dBackward)
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

    fn linear_forward(
        features: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let prepared = Profiled::new(LinearBackward)
            .prepare::<C>([features.node(), weight.node(), bias.node()])
            .compute_bound()
            .stateful();
        match prepared {
            OpsKind::Tracked(mut prep) => {
                let ids = (prep.checkpoint(&features), prep.checkpoint(&weight));
                let output = B::linear_forward(
                    features.into_primitive(),
                    weight.into_primitive(),
                    bias.into_primitive(),
                );
                prep.finish(ids, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::linear_forward(
                features.into_primitive(),
                weight.into_primitive(),
                bias.into_primitive(),
            )),
        }
    }

    fn cross_entropy_forward(
        logits: FloatTensor<Self>,
        labels: IntTensor<Self>,
        smoothing: f64,
    ) -> FloatTensor<Self> {
        match Profiled::new(CrossEntropyBackward)
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
        match Profiled::new(GlobalAverageBackward)
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

    fn checkpointed(
        images: FloatTensor<Self>,
        output: FloatTensor<Self>,
        recomputation: Recomputation,
    ) -> FloatTensor<Self> {
        // What the block's weights get does not depend on whether the images want a gradient.
        let images = if images.is_tracked() {
            images
        } else {
            images.require_grad()
        };
        match CheckpointedBackward
            .prepare::<C>([images.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish(
                (images.into_primitive(), recomputation),
                output.into_primitive(),
            ),
            OpsKind::UnTracked(_) => unreachable!("the images are tracked"),
        }
    }

    fn with_gradient(values: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        let gradient = gradient.into_primitive();
        let prepared = WithGradientBackward
            .prepare::<C>([values.node()])
            .compute_bound()
            .stateful();
        let zero = B::with_gradient(values.into_primitive(), gradient.clone());
        match prepared {
            OpsKind::Tracked(prep) => prep.finish(gradient, zero),
            OpsKind::UnTracked(prep) => prep.finish(zero),
        }
    }
}
