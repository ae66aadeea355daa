//! Datasets, augmentation and the deterministic loader.
//!
//! A dataset is a Burn [`Dataset`] of [`Sample`]s. [`open`] finds one on disk by its [`Manifest`]; [`open_idx`],
//! [`open_folder`], [`open_shards`], [`open_ilsvrc`] and [`open_tensors`] read a user's own; [`digits`] is compiled in. A [`Pipeline`] of [`Transform`]s
//! augments, and a [`Loader`] makes batches that depend on nothing but the seed and their position.
//!
//! No tensors, no TOML, no printing, no clock.

#![warn(clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

mod assembly;
pub mod augment;
mod batch;
mod dataset;
mod decode;
mod eigen;
mod error;
pub mod fetch;
mod fingerprint;
mod index;
mod loader;
mod manifest;
mod mix;
mod opened;
pub mod pack;
mod part;
mod progress;
pub mod random;
mod sample;
mod sources;
pub mod statistics;
mod view;
mod whitening;

pub use assembly::Share;
pub use augment::{
    Choice, Fill, Interpolation, Normalization, Operation, PaddingMode, Pipeline, Policy, Transform,
};
pub use batch::{Batch, Skipped};
pub use burn_dataset::Dataset;
pub use dataset::{InMemory, Source, Subset};
pub use decode::{Encoded, JpegDecoder, image_files, read_image};
pub use error::{Error, Result};
pub use index::Indexing;
pub use loader::{Batches, Loader, LoaderConfig, OnBadImage};
pub use manifest::{Format, Manifest, Split};
pub use mix::{Mix, MixChoice, Mixed};
pub use opened::{
    Opened, digits, open, open_folder, open_idx, open_ilsvrc, open_photographs, open_shards,
    open_tensors,
};
pub use progress::Progress;
pub use sample::{Image, Part, Pixels, Sample, Size, Sizes, Stored};
pub use sources::files::Files;
pub use sources::tensors::read_images;
pub use statistics::{Pca, Statistics};
pub use view::{Frame, Mirror, Places, View, Views};
pub use whitening::Whitening;
