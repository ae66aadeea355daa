//! The `data` crate of Kiln.
