use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::Device;
use prost::Message;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::proto::{Attribute, Graph, Model as File, Node, Tensor};
use super::{ExportError, INPUT, LOGITS, MOST_BYTES, export, graph};
use crate::layers::{Manipulation, NormKind, RectifierKind};
use crate::registry::{self, MODELS};
use crate::weights::Weights;
use crate::{Architecture, Description, Init, Model};

const COMPARED: &[u8] = include_bytes!("../../../../tests/goldens/export.csv");

const AGAIN: &str = "to compare with onnxruntime again: \
                     `python tests/goldens/export.py target/debug/train` (tests/goldens/README.md)";

/// A row of `export.csv`, whose script says what the columns are.
#[derive(Deserialize)]
struct Row {
    model: String,
    /// As JSON; empty for the registry's.
    options: String,
    image: usize,
    operators: String,
    sha256: String,
}

/// In place of the registry's choices.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    activation: Option<RectifierKind>,
    manipulation: Option<Manipulation>,
    normalization: Option<NormKind>,
}

fn rows() -> Vec<Row> {
    let rows = csv::Reader::from_reader(COMPARED).into_deserialize();
    rows.collect::<Result<_, _>>().unwrap()
}

fn network(architecture: &Architecture) -> Model {
    architecture.init(&mut Init::new(
        &Device::flex(),
        architecture.initialization(),
        0,
    ))
}

/// Of ten classes, as the script's.
fn graph_of(row: &Row) -> Graph {
    let entry = registry::find(&row.model).unwrap();
    let mut architecture = entry.architecture.with_classes(10);
    if !row.options.is_empty() {
        let options: Options = serde_json::from_str(&row.options).unwrap();
        if let Some(activation) = options.activation {
            architecture = architecture.with_activation(activation).unwrap();
        }
        if let Some(manipulation) = options.manipulation {
            architecture = architecture.with_manipulation(manipulation).unwrap();
        }
        if let Some(normalization) = options.normalization {
            architecture = architecture.with_normalization(normalization).unwrap();
        }
    }
    let input = [architecture.channels(), row.image, row.image];
    graph::of(&network(&architecture), input, entry.name)
}

fn operators(graph: &Graph) -> String {
    let mut counts = BTreeMap::<&str, usize>::new();
    for node in &graph.nodes {
        *counts.entry(&node.operator).or_default() += 1;
    }
    let counts = counts.iter().map(|(name, count)| format!("{name}:{count}"));
    counts.collect::<Vec<_>>().join(" ")
}

#[test]
fn graphs_are_those_that_onnxruntime_agreed_on() {
    for row in rows() {
        let graph = graph_of(&row);
        let name = &row.model;
        assert_eq!(operators(&graph), row.operators, "{name}\n{AGAIN}");
        let digest = Sha256::digest(graph.encode_to_vec());
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, row.sha256, "the graph of {name}\n{AGAIN}");
    }
}

#[test]
fn every_network_was_compared() {
    let rows = rows();
    for entry in MODELS {
        let is_its = |row: &Row| {
            row.model == entry.name && row.options.is_empty() && row.image == entry.image_size
        };
        assert!(rows.iter().any(is_its), "{}\n{AGAIN}", entry.name);
    }
}

/// What a trace was not told of would leave values that nothing uses.
#[test]
fn every_value_is_made_once_and_used() {
    for row in rows() {
        let graph = graph_of(&row);
        let name = &row.model;
        let parameters = graph.initializers.iter().map(|tensor| tensor.name.as_str());
        let mut known: BTreeSet<&str> = parameters.chain([INPUT]).collect();
        assert_eq!(known.len(), graph.initializers.len() + 1, "{name}");
        let mut used = BTreeSet::from([LOGITS]);
        for node in &graph.nodes {
            let inputs = node.inputs.iter().filter(|input| !input.is_empty());
            for input in inputs {
                assert!(known.contains(input.as_str()), "{name}: {input}");
                used.insert(input);
            }
            for output in &node.outputs {
                assert!(known.insert(output), "{name}: {output}");
            }
        }
        assert_eq!(known, used, "{name}");
    }
}

#[test]
fn initializers_are_the_parameters_of_evaluation() {
    for entry in MODELS {
        let model = network(&entry.architecture);
        let graph = graph::of(&model, entry.input(), entry.name);
        let learnt = graph.initializers.iter().filter(|tensor| {
            !tensor.name.ends_with("running_mean") && !tensor.name.ends_with("running_var")
        });
        let values: i64 = learnt
            .map(|tensor| tensor.shape.iter().product::<i64>())
            .sum();
        let Description {
            parameters,
            auxiliary_parameters,
            ..
        } = Description::of(&model, entry.input());
        let expected = parameters - auxiliary_parameters;
        assert_eq!(values as usize, expected, "{}", entry.name);
    }
}

/// An operator a line, with its attributes.
fn listing(graph: &Graph) -> String {
    let line = |node: &Node| {
        let (output, operator) = (&node.outputs[0], &node.operator);
        let inputs = node.inputs.join(", ");
        let attributes: String = node.attributes.iter().map(attribute).collect();
        format!("{output} = {operator}({inputs}){attributes}\n")
    };
    graph.nodes.iter().map(line).collect()
}

fn attribute(attribute: &Attribute) -> String {
    let Attribute {
        name,
        float,
        int,
        tensor,
        ints,
        ..
    } = attribute;
    let numbers = match (float, int, tensor) {
        (Some(float), ..) => format!("{float}"),
        (_, Some(int), _) => format!("{int}"),
        (.., Some(tensor)) => values(tensor),
        _ => format!("{ints:?}"),
    };
    format!(" {name}={numbers}")
}

/// Of floats, or of indices.
fn values(tensor: &Tensor) -> String {
    if tensor.data_type == Tensor::floats(&[], &[]).data_type {
        let (values, _) = tensor.bytes.as_chunks();
        let values = values.iter().map(|value| f32::from_le_bytes(*value));
        return format!("{:?}", values.collect::<Vec<_>>());
    }
    let (values, _) = tensor.bytes.as_chunks();
    let values = values.iter().map(|value| i64::from_le_bytes(*value));
    format!("{:?}", values.collect::<Vec<_>>())
}

#[test]
fn graphs_read_as_the_networks_do() {
    for name in ["lenet5", "resnet8", "se_resnet50"] {
        let entry = registry::find(name).unwrap();
        let graph = graph::of(&network(&entry.architecture), entry.input(), name);
        let listing = listing(&graph);
        let head: Vec<&str> = listing.lines().take(28).collect();
        insta::assert_snapshot!(name, head.join("\n"));
    }
}

#[test]
fn files_hold_the_weights_and_what_is_said_of_them() {
    let entry = registry::find("lenet5").unwrap();
    let model = network(&entry.architecture);
    let metadata = BTreeMap::from([("key".to_owned(), "value".to_owned())]);
    let bytes = export(&model, entry.input(), entry.name, &metadata).unwrap();
    let file = File::decode(bytes.as_slice()).unwrap();
    assert_eq!(file.producer_name, "Kiln");
    assert_eq!(file.metadata[0].key, "key");
    assert_eq!(file.metadata[0].value, "value");
    let graph = file.graph.unwrap();
    assert_eq!(graph.name, "lenet5");
    let weights = Weights::of(&model).tensors;
    assert_eq!(graph.initializers.len(), weights.len());
    for initializer in graph.initializers {
        let (values, _) = initializer.bytes.as_chunks();
        let values: Vec<f32> = values
            .iter()
            .map(|value| f32::from_le_bytes(*value))
            .collect();
        assert_eq!(
            values, weights[&initializer.name].values,
            "{}",
            initializer.name
        );
    }
}

/// Without drawing any.
#[test]
fn weights_that_do_not_fit_are_refused() {
    let entry = registry::find("lenet5").unwrap();
    let model = network(&entry.architecture.with_classes(7_000_000));
    let refused = export(&model, entry.input(), entry.name, &BTreeMap::new());
    let before = 4 * (6 * 25 + 6 + 16 * 6 * 25 + 16 + 256 * 120 + 120 + 120 * 84 + 84);
    let error = ExportError::TooLarge {
        most: MOST_BYTES,
        found: before + 4 * (84 + 1) * 7_000_000,
    };
    assert_eq!(refused, Err(error));
}
