//! The `train` crate of Kiln.
