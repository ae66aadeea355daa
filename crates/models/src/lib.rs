//! The `models` crate of Kiln.
