//! The `kernels` crate of Kiln.
