//! Every operation against a naive reference in f64, on random shapes, and its gradient against
//! finite differences of that reference.

mod convolution;
mod deformation;
mod edges;
mod elementwise;
mod gradient_checkpoint;
mod normalization;
mod pooling;
mod profile;
mod support;
mod training;
