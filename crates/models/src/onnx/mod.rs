//! Networks as ONNX files, for other runtimes.
//!
//! A trace of the network's own `forward` says which operations it is made of; each becomes one or a
//! few operators.

mod graph;
mod proto;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use prost::Message;
use thiserror::Error;

use crate::Model;
use crate::weights::Weights;

/// What a network is given, in a file of raw tensors or as a graph: images `[n, channels, height, width]`.
pub const INPUT: &str = "input";
/// What it gives: `[n, classes]`.
pub const LOGITS: &str = "logits";

/// The first with deformable convolution.
const OPERATOR_SET: i64 = 19;
/// The format that came with these operators.
const IR_VERSION: i64 = 9;

/// Readers of protobuf stop short of 2 GiB; what is left is for names.
const MOST_BYTES: u64 = 2_000_000_000;

/// A network that has no ONNX file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExportError {
    /// The weights do not fit the format.
    #[error("an ONNX file holds at most {most} bytes of weights, the network has {found}")]
    TooLarge {
        /// What fits.
        most: u64,
        /// The length of the weights.
        found: u64,
    },
}

/// The bytes of an ONNX file of `model` in evaluation, for any number of images of
/// `[channels, height, width]`.
///
/// Its parameters have the names of [`Weights::of`]; auxiliary classifiers are left out. `name` is the
/// graph's, `metadata` the file's.
///
/// # Errors
///
/// Where the weights are larger than ONNX takes.
///
/// # Panics
///
/// Where the network does not take images of that size.
pub fn export(
    model: &Model,
    input: [usize; 3],
    name: &str,
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>, ExportError> {
    let mut graph = graph::of(model, input, name);
    let found = graph.initializers.iter().map(length).sum();
    if found > MOST_BYTES {
        let most = MOST_BYTES;
        return Err(ExportError::TooLarge { most, found });
    }
    let weights = Weights::of(model).tensors;
    for initializer in &mut graph.initializers {
        initializer.fill(&weights[&initializer.name].values);
    }
    let entries = metadata.iter().map(|(key, value)| proto::Entry {
        key: key.clone(),
        value: value.clone(),
    });
    let file = proto::Model {
        ir_version: IR_VERSION,
        producer_name: "Kiln".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(graph),
        operator_sets: vec![proto::OperatorSet {
            version: OPERATOR_SET,
        }],
        metadata: entries.collect(),
    };
    Ok(file.encode_to_vec())
}

/// Bytes of the values of a parameter.
fn length(initializer: &proto::Tensor) -> u64 {
    let values: i64 = initializer.shape.iter().product();
    size_of::<f32>() as u64 * values as u64
}
