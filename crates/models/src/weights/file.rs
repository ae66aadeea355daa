//! Reading and writing files of weights.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use half::{bf16, f16};
use pytorch_reader::PytorchReader;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::{HostTensor, UNUSED_SUFFIX, Weights, WeightsError};

/// Keys under which training programs put the weights in a checkpoint.
const TOP_LEVEL_KEYS: &[&str] = &["state_dict", "model_state_dict", "model"];

impl Weights {
    /// Reads a `.safetensors`, `.pt`, `.pth` or `.th` file.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read, is damaged, or holds what are no weights.
    pub fn read(path: &Path) -> Result<Self, WeightsError> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("safetensors") => read_safetensors(path),
            Some("pt" | "pth" | "th") => read_pytorch(path),
            _ => Err(WeightsError::Extension {
                path: path.to_owned(),
            }),
        }
    }

    /// The bytes of a safetensors file; the same weights and metadata give the same bytes where
    /// there is at most one entry of metadata.
    ///
    /// # Panics
    ///
    /// Where a tensor has not as many values as its shape says.
    pub fn to_safetensors(&self) -> Vec<u8> {
        let bytes: BTreeMap<&String, Vec<u8>> = self
            .tensors
            .iter()
            .map(|(name, tensor)| (name, to_bytes(&tensor.values)))
            .collect();
        let views = self.tensors.iter().map(|(name, tensor)| {
            let view = TensorView::new(Dtype::F32, tensor.shape.clone(), &bytes[name])
                .expect("a tensor has as many values as its shape says");
            (name, view)
        });
        let metadata: HashMap<String, String> = self.metadata.clone().into_iter().collect();
        let metadata = (!metadata.is_empty()).then_some(metadata);
        safetensors::serialize(views, metadata).expect("names and shapes of any kind serialise")
    }

    /// Reads the bytes of a safetensors file.
    ///
    /// # Errors
    ///
    /// What the reader said, where the bytes are no such file.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self, String> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
        let file = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
        let mut weights = Self {
            tensors: BTreeMap::new(),
            metadata: header
                .metadata()
                .clone()
                .unwrap_or_default()
                .into_iter()
                .collect(),
        };
        for (name, view) in file.tensors() {
            if name.ends_with(UNUSED_SUFFIX) {
                continue;
            }
            let float = Float::of_safetensors(view.dtype())
                .ok_or_else(|| format!("tensor `{name}` is of type {}", view.dtype()))?;
            let values = float.decode(view.data());
            let shape = view.shape().to_vec();
            weights.tensors.insert(name, HostTensor { shape, values });
        }
        Ok(weights)
    }
}

fn read_safetensors(path: &Path) -> Result<Weights, WeightsError> {
    let bytes = fs::read(path).map_err(|source| WeightsError::Io {
        path: path.to_owned(),
        source,
    })?;
    Weights::from_safetensors(&bytes).map_err(|reason| WeightsError::Format {
        path: path.to_owned(),
        format: "safetensors",
        reason,
    })
}

fn read_pytorch(path: &Path) -> Result<Weights, WeightsError> {
    // The reader reports a missing file as a damaged one.
    fs::File::open(path).map_err(|source| WeightsError::Io {
        path: path.to_owned(),
        source,
    })?;
    let damaged = |reason: String| WeightsError::Format {
        path: path.to_owned(),
        format: "PyTorch",
        reason,
    };
    let reader = TOP_LEVEL_KEYS
        .iter()
        .find_map(|key| PytorchReader::with_top_level_key(path, key).ok())
        .filter(|reader| !reader.is_empty())
        .map_or_else(|| PytorchReader::new(path), Ok)
        .map_err(|error| damaged(error.to_string()))?;
    let mut weights = Weights::default();
    for (name, tensor) in reader.tensors() {
        if name.ends_with(UNUSED_SUFFIX) {
            continue;
        }
        let bytes = tensor.read().map_err(|error| damaged(error.to_string()))?;
        let float = Float::of_pytorch(tensor.dtype()).ok_or_else(|| WeightsError::Type {
            name: name.clone(),
            dtype: format!("{:?}", tensor.dtype()),
        })?;
        let values = float.decode(&bytes);
        let shape = tensor.shape().to_vec();
        weights
            .tensors
            .insert(name.clone(), HostTensor { shape, values });
    }
    Ok(weights)
}

fn to_bytes(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// The floating-point types of files.
#[derive(Clone, Copy)]
enum Float {
    F64,
    F32,
    F16,
    BF16,
}

impl Float {
    fn of_safetensors(dtype: Dtype) -> Option<Self> {
        match dtype {
            Dtype::F64 => Some(Self::F64),
            Dtype::F32 => Some(Self::F32),
            Dtype::F16 => Some(Self::F16),
            Dtype::BF16 => Some(Self::BF16),
            _ => None,
        }
    }

    fn of_pytorch(dtype: pytorch_reader::DType) -> Option<Self> {
        match dtype {
            pytorch_reader::DType::F64 => Some(Self::F64),
            pytorch_reader::DType::F32 => Some(Self::F32),
            pytorch_reader::DType::F16 => Some(Self::F16),
            pytorch_reader::DType::BF16 => Some(Self::BF16),
            _ => None,
        }
    }

    fn decode(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F64 => each(bytes, |b| f64::from_le_bytes(b) as f32),
            Self::F32 => each(bytes, f32::from_le_bytes),
            Self::F16 => each(bytes, |b| f16::from_le_bytes(b).to_f32()),
            Self::BF16 => each(bytes, |b| bf16::from_le_bytes(b).to_f32()),
        }
    }
}

fn each<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|chunk| value(*chunk))
        .collect()
}
