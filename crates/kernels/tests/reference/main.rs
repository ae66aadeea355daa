//! Every operation against a naive reference in f64, on random shapes, and its gradient against
//! finite differences of that reference.

mod convolution;
mod deformation;
mod edges;
mod elementwise;
mod normalization;
mod pooling;
mod support;
mod training;
