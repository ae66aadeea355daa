//! The convolutional network operations of Kiln, on every Burn backend.
//!
//! [`CnnOps`] is the one list of operations. Its default bodies are composed from Burn's own
//! primitives, so every backend works; a backend that can do better overrides them. Gradients are
//! written once, on [`Autodiff`](burn::backend::Autodiff), in terms of the operations themselves.
//!
//! Images may be of 16 bits where parameters are of 32: an operation computes in the precision of its images, and in 32 bits
//! where it sums over many values, as batch normalisation and the loss do.
//!
//! The functions of this crate are what models call:
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use kernels::{Conv2dOptions, conv2d};
//!
//! let device = Device::flex();
//! let images = Tensor::<4>::ones([1, 3, 8, 8], &device);
//! let weight = Tensor::<4>::ones([16, 3, 3, 3], &device);
//! let options = Conv2dOptions { padding: [1, 1], ..Conv2dOptions::default() };
//! assert_eq!(conv2d(images, weight, options).dims(), [1, 16, 8, 8]);
//! ```

#![warn(clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

mod activation;
mod autodiff;
mod batch_norm;
mod bias;
pub mod communicator;
mod concat;
mod conv2d;
mod cpu;
mod cross_entropy;
mod deform;
mod gate;
mod gradient_checkpoint;
mod linear;
mod lrn;
mod ops;
mod pool;
mod portable;
mod precision;
pub mod profile;
mod sgd;
mod shortcut;

pub use activation::{Activation, activate};
pub use autodiff::Dispatched;
pub use batch_norm::{BatchNormTrain, Finish, batch_norm, batch_norm_train};
pub use bias::add_bias;
pub use communicator::{Communicator, SharedBatch};
pub use concat::concat;
pub use conv2d::{Conv2dOptions, conv2d};
pub use cross_entropy::cross_entropy;
pub use deform::{DeformConv2dOptions, deform_conv2d};
pub use gate::gate_channels;
pub use gradient_checkpoint::{Recomputation, gradient_checkpoint, take_gradients};
pub use linear::linear;
pub use lrn::{LocalResponseNorm, local_response_norm};
pub use ops::{
    Activated, BatchNormGradients, CnnGradients, CnnOps, Deformed, DeformedGradients, MaxPooled,
    Normalization, Optional, WantedGradients,
};
pub use pool::{Pool2dOptions, avg_pool2d, global_average, max_pool2d};
pub use sgd::{SgdOptions, SgdUpdate, sgd_update};
pub use shortcut::{IdentityShortcut, identity_shortcut};
