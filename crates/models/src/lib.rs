//! Convolutional image classifiers for Burn, number for number as their papers have them.
//!
//! A family of networks is one file: its header names the paper, its constants are the rows of the
//! paper's table. [`registry::MODELS`] lists them all by name.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use models::{Init, registry};
//!
//! let device = Device::flex();
//! let entry = registry::find("resnet20").unwrap();
//! let architecture = entry.architecture.with_classes(100);
//! let mut init = Init::new(&device, architecture.initialization(), 0);
//! let model = architecture.init(&mut init);
//! let scores = model.forward(Tensor::ones([2, 3, 32, 32], &device));
//! assert_eq!(scores.dims(), [2, 100]);
//! ```
//!
//! Whether a network trains is a property of its device: on `device.autodiff()` batch
//! normalisation uses the batch, after [`valid()`](burn::module::Module::valid) its running
//! statistics.

#![warn(clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

pub mod alexnet;
mod complexity;
pub mod deform_resnet;
pub mod densenet;
pub mod efficientnet;
mod error;
mod families;
pub mod gradient_checkpointing;
pub mod highway;
pub mod inception;
mod initialization;
pub mod layers;
pub mod lenet;
mod network;
pub mod nin;
pub mod noise;
pub mod overfeat;
pub mod parameters;
pub mod preact;
pub mod registry;
pub mod resnet;
pub mod senet;
pub mod squeezenet;
mod tap;
mod trace;
pub mod vgg;
pub mod weights;

pub use complexity::{Description, Layer, LayerKind, layer_names};
pub use error::ConfigError;
pub use families::{Architecture, Model};
pub use initialization::{Init, Initialization};
pub use network::{Network, NetworkConfig, Scores};
pub use tap::Tap;
