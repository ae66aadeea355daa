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
//! A network also serves as the backbone of a program of one's own. Here the features of its last
//! stage, which stay as they are, feed a head that Burn's optimizer trains:
//!
//! ```
//! use burn::tensor::activation::log_softmax;
//! use burn::tensor::{Device, Int, Tensor};
//! // Which is `burn::optim` with Burn's feature of that name.
//! use burn_optim::{GradientsParams, SgdConfig};
//! use models::layers::{Linear, global_average};
//! use models::{Init, Initialization, registry};
//!
//! let device = Device::flex();
//! let architecture = &registry::find("resnet8").unwrap().architecture;
//! let backbone = architecture.init(&mut Init::new(&device, Initialization::He, 0));
//!
//! let learning = device.clone().autodiff();
//! let mut head = Linear::new(64, 2, &mut Init::new(&learning, Initialization::PyTorch, 1));
//! let mut optimizer = SgdConfig::new().init();
//!
//! let images = Tensor::ones([4, 3, 32, 32], &device); // [n, 3, 32, 32]
//! let labels = Tensor::<1, Int>::from_data([0, 1, 0, 1], &learning);
//! let features = backbone.features(images, "stage3").unwrap(); // [n, 64, 8, 8]
//! let scores = head.forward(Tensor::from_inner(global_average(features))); // [n, 2]
//! let chosen = log_softmax(scores, 1).gather(1, labels.unsqueeze_dim(1));
//! let gradients = GradientsParams::from_grads(chosen.mean().neg().backward(), &head);
//! head = optimizer.step(0.1, head, gradients);
//! ```
//!
//! Whether a network trains is a property of its device: on `device.autodiff()` batch
//! normalisation uses the batch, after [`valid()`](burn::module::Module::valid) its running
//! statistics.

#![warn(clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

pub mod airbench;
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
pub mod onnx;
pub mod overfeat;
pub mod parameters;
pub mod parts;
pub mod preact;
pub mod registry;
pub mod resnet;
mod responses;
pub mod routes;
mod seen;
pub mod senet;
pub mod squeezenet;
mod stages;
mod tap;
mod trace;
pub mod vgg;
pub mod weights;

pub use complexity::{Description, Layer, LayerKind, layer_names};
pub use error::ConfigError;
pub use families::{Architecture, Model};
pub use initialization::{Init, Initialization};
pub use network::{Network, NetworkConfig, Scores, TestScales};
pub use responses::Response;
pub use seen::Seen;
pub use tap::{Place, Tap};
