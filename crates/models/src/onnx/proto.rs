//! The messages that an ONNX file is made of, as far as networks need them.
//!
//! They are written out here as `prost` structs, as those of TensorBoard's files are: generating them would take `protoc`
//! to build. Numbers of fields and types are those of ONNX 1.14's `onnx.proto`.

use prost::{Message, Oneof};

#[derive(Clone, PartialEq, Message)]
pub struct Model {
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    #[prost(string, tag = "2")]
    pub producer_name: String,
    #[prost(string, tag = "3")]
    pub producer_version: String,
    #[prost(message, optional, tag = "7")]
    pub graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    pub operator_sets: Vec<OperatorSet>,
    #[prost(message, repeated, tag = "14")]
    pub metadata: Vec<Entry>,
}

/// A version of ONNX's own operators, whose domain has no name.
#[derive(Clone, PartialEq, Message)]
pub struct OperatorSet {
    #[prost(int64, tag = "2")]
    pub version: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Entry {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub nodes: Vec<Node>,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(message, repeated, tag = "5")]
    pub initializers: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    pub inputs: Vec<Value>,
    #[prost(message, repeated, tag = "12")]
    pub outputs: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Node {
    #[prost(string, repeated, tag = "1")]
    pub inputs: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub outputs: Vec<String>,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(string, tag = "4")]
    pub operator: String,
    #[prost(message, repeated, tag = "5")]
    pub attributes: Vec<Attribute>,
}

/// A constant of an operator: one of its fields, which `kind` says.
#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(float, optional, tag = "2")]
    pub float: Option<f32>,
    #[prost(int64, optional, tag = "3")]
    pub int: Option<i64>,
    #[prost(message, optional, tag = "5")]
    pub tensor: Option<Tensor>,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub ints: Vec<i64>,
    #[prost(int32, tag = "20")]
    pub kind: i32,
}

impl Attribute {
    pub fn of_float(name: &str, value: f64) -> Self {
        Self {
            float: Some(value as f32),
            ..Self::empty(name, 1)
        }
    }

    pub fn of_int(name: &str, value: usize) -> Self {
        Self {
            int: Some(value as i64),
            ..Self::empty(name, 2)
        }
    }

    pub fn of_tensor(name: &str, value: Tensor) -> Self {
        Self {
            tensor: Some(value),
            ..Self::empty(name, 4)
        }
    }

    pub fn of_ints(name: &str, values: &[usize]) -> Self {
        Self {
            ints: lengths(values),
            ..Self::empty(name, 7)
        }
    }

    fn empty(name: &str, kind: i32) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            ..Self::default()
        }
    }
}

/// A tensor of one of the types below.
#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub shape: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    #[prost(string, tag = "8")]
    pub name: String,
    /// Its values, little-endian, the last axis fastest.
    #[prost(bytes = "vec", tag = "9")]
    pub bytes: Vec<u8>,
}

const FLOAT: i32 = 1;
const INT64: i32 = 7;

impl Tensor {
    /// A tensor of this name, whose values are still to come.
    pub fn named(name: &str, shape: &[usize]) -> Self {
        Self {
            shape: lengths(shape),
            data_type: FLOAT,
            name: name.to_owned(),
            bytes: Vec::new(),
        }
    }

    pub fn floats(shape: &[usize], values: &[f32]) -> Self {
        let mut tensor = Self::named("", shape);
        tensor.fill(values);
        tensor
    }

    pub fn ints(values: &[i64]) -> Self {
        Self {
            shape: vec![values.len() as i64],
            data_type: INT64,
            name: String::new(),
            bytes: values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        }
    }

    pub fn fill(&mut self, values: &[f32]) {
        self.bytes = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
    }
}

/// What the graph is given, or gives.
#[derive(Clone, PartialEq, Message)]
pub struct Value {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub kind: Option<Type>,
}

impl Value {
    /// Any number of floating-point tensors of this shape.
    pub fn batch(name: &str, shape: &[usize]) -> Self {
        let any = Length::Name("batch".to_owned());
        let lengths = lengths(shape).into_iter().map(Length::Fixed);
        let axes = std::iter::once(any).chain(lengths).map(|length| Axis {
            length: Some(length),
        });
        let tensor = TensorType {
            data_type: FLOAT,
            shape: Some(Shape {
                axes: axes.collect(),
            }),
        };
        Self {
            name: name.to_owned(),
            kind: Some(Type {
                tensor: Some(tensor),
            }),
        }
    }
}

#[derive(Clone, PartialEq, Message)]
pub struct Type {
    #[prost(message, optional, tag = "1")]
    pub tensor: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
pub struct TensorType {
    #[prost(int32, tag = "1")]
    pub data_type: i32,
    #[prost(message, optional, tag = "2")]
    pub shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Shape {
    #[prost(message, repeated, tag = "1")]
    pub axes: Vec<Axis>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Axis {
    #[prost(oneof = "Length", tags = "1, 2")]
    pub length: Option<Length>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum Length {
    #[prost(int64, tag = "1")]
    Fixed(i64),
    /// Any, and the same wherever it has this name.
    #[prost(string, tag = "2")]
    Name(String),
}

fn lengths(shape: &[usize]) -> Vec<i64> {
    shape.iter().map(|length| *length as i64).collect()
}
