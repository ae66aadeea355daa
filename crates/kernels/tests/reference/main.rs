//! Every operation against a naive reference in f64, on random shapes, and its gradient against
//! finite differences of that reference.
//!
//! Built with a GPU's feature, the tests compute each operation there, too, on shapes that do not change.

mod convolution;
mod deformation;
mod edges;
mod elementwise;
mod gpu;
mod gradient_checkpoint;
mod normalization;
mod pooling;
mod profile;
mod support;
mod training;
