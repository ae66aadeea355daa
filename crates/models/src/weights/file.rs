//! Reading and writing files of weights.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::Path;

use half::{bf16, f16};
use pytorch_reader::PytorchReader;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use zip::ZipArchive;

use super::{HostTensor, Weights, WeightsError, pickle};

/// Keys under which training programs put the weights in a checkpoint.
const TOP_LEVEL_KEYS: &[&str] = &["state_dict", "model_state_dict", "model"];

/// What PyTorch's layers count and Kiln does not use. `load_state_dict` does without it, strictly,
/// where the file is not PyTorch's own.
const UNUSED_SUFFIX: &str = ".num_batches_tracked";

/// More than the largest network here has with the state of its optimizer, and less than brings a
/// machine down.
const MOST_BYTES: u64 = 4 << 30;

/// Weights do not compress, and `torch.save` does not try: a file that says it holds more times its
/// own length is a trap.
const MOST_TIMES_THE_FILE: u64 = 4;

/// Operations of the pickles of a file, of which PyTorch writes some 50 a tensor: so many, and one more
/// for every so many bytes of the file. A byte of a pickle may take 140 in memory.
const MOST_OPERATIONS: u64 = 1 << 17;
const BYTES_AN_OPERATION: u64 = 64;

/// Pickles that a file of PyTorch before 1.6 begins with.
const LEGACY_PICKLES: usize = 5;

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

    /// Reads the bytes of the safetensors file at `path`, which errors name.
    ///
    /// # Errors
    ///
    /// Where the bytes are no such file, or hold what are no weights.
    pub fn from_safetensors(bytes: &[u8], path: &Path) -> Result<Self, WeightsError> {
        let damaged = |reason: String| WeightsError::Format {
            path: path.to_owned(),
            format: "safetensors",
            reason,
        };
        let (length, header) =
            SafeTensors::read_metadata(bytes).map_err(|e| damaged(e.to_string()))?;
        let file = SafeTensors::deserialize(bytes).map_err(|e| damaged(e.to_string()))?;
        if let Some(name) = name_that_is_there_twice(&bytes[8..8 + length]) {
            return Err(WeightsError::Twice { name });
        }
        let mut weights = Self {
            metadata: header
                .metadata()
                .clone()
                .unwrap_or_default()
                .into_iter()
                .collect(),
            ..Self::default()
        };
        let tensors: BTreeMap<String, TensorView<'_>> = file.tensors().into_iter().collect();
        for (name, view) in tensors {
            if name.ends_with(UNUSED_SUFFIX) {
                continue;
            }
            let dtype = view.dtype();
            let float = Float::of_safetensors(dtype).ok_or_else(|| WeightsError::Type {
                name: name.clone(),
                dtype: dtype.to_string(),
            })?;
            weights.insert(name, view.shape(), float, view.data());
        }
        Ok(weights)
    }

    fn insert(&mut self, name: String, shape: &[usize], float: Float, bytes: &[u8]) {
        let (shape, values) = (shape.to_vec(), float.decode(bytes));
        self.tensors.insert(name, HostTensor { shape, values });
        if float != Float::F32 {
            *self.converted.entry(float.name()).or_default() += 1;
        }
    }
}

fn read_safetensors(path: &Path) -> Result<Weights, WeightsError> {
    length_of(path)?;
    let bytes = fs::read(path).map_err(WeightsError::accessing(path))?;
    Weights::from_safetensors(&bytes, path)
}

fn read_pytorch(path: &Path) -> Result<Weights, WeightsError> {
    let length = length_of(path)?;
    let damaged = |reason: String| WeightsError::Format {
        path: path.to_owned(),
        format: "PyTorch",
        reason,
    };
    let within = |bytes: u64| match bytes <= MOST_TIMES_THE_FILE * length {
        true => Ok(()),
        false => Err(damaged(format!(
            "it says that it holds {bytes} bytes, in a file of {length}"
        ))),
    };
    within(unpacked(path)?)?;
    let operations = operations(path, MOST_TIMES_THE_FILE * length)?;
    let most = MOST_OPERATIONS + length / BYTES_AN_OPERATION;
    if operations > most {
        return Err(damaged(format!(
            "its pickles have {operations} operations, expected at most {most} in a file of {length} bytes"
        )));
    }
    let reader = TOP_LEVEL_KEYS
        .iter()
        .find_map(|key| PytorchReader::with_top_level_key(path, key).ok())
        .filter(|reader| !reader.is_empty())
        .map_or_else(|| PytorchReader::new(path), Ok)
        .map_err(|error| damaged(error.to_string()))?;
    let tensors: BTreeMap<_, _> = reader.into_tensors().into_iter().collect();
    // A tensor may repeat a few bytes of the file any number of times.
    let sizes = tensors.values().map(|tensor| tensor.byte_len() as u64);
    within(sizes.fold(0, u64::saturating_add))?;
    let mut weights = Weights::default();
    for (name, tensor) in tensors {
        if name.ends_with(UNUSED_SUFFIX) {
            continue;
        }
        let float = Float::of_pytorch(tensor.dtype()).ok_or_else(|| WeightsError::Type {
            name: name.clone(),
            dtype: format!("{:?}", tensor.dtype()),
        })?;
        let bytes = tensor.read().map_err(|error| damaged(error.to_string()))?;
        weights.insert(name, tensor.shape(), float, &bytes);
    }
    Ok(weights)
}

/// The length of a file, which is a regular one: a pipe or a device has no end.
fn length_of(path: &Path) -> Result<u64, WeightsError> {
    let metadata = fs::metadata(path).map_err(WeightsError::accessing(path))?;
    if !metadata.is_file() {
        return Err(WeightsError::NoFile {
            path: path.to_owned(),
        });
    }
    if metadata.len() > MOST_BYTES {
        return Err(WeightsError::TooLarge {
            path: path.to_owned(),
            most: MOST_BYTES,
            found: metadata.len(),
        });
    }
    Ok(metadata.len())
}

/// What the entries of an archive say that they unpack to; nothing for a file that is none, of which
/// the reader says what is wrong with it.
fn unpacked(path: &Path) -> Result<u64, WeightsError> {
    let file = File::open(path).map_err(WeightsError::accessing(path))?;
    let Ok(mut archive) = ZipArchive::new(BufReader::new(file)) else {
        return Ok(0);
    };
    let entries = archive.len();
    let size = |index| archive.by_index_raw(index).map_or(0, |entry| entry.size());
    Ok((0..entries).map(size).fold(0, u64::saturating_add))
}

/// How many operations the pickles of a file have, those of an archive within so many bytes each.
fn operations(path: &Path, most_bytes: u64) -> Result<u64, WeightsError> {
    let file = File::open(path).map_err(WeightsError::accessing(path))?;
    let mut file = BufReader::new(file);
    if is_tar(&mut file).map_err(WeightsError::accessing(path))? {
        return Err(WeightsError::Tar {
            path: path.to_owned(),
        });
    }
    let Ok(mut archive) = ZipArchive::new(&mut file) else {
        file.rewind().map_err(WeightsError::accessing(path))?;
        return Ok(operations_in_a_row(&mut file));
    };
    let mut operations = 0;
    for index in 0..archive.len() {
        // Where an entry is damaged, the reader says so.
        if let Ok(entry) = archive.by_index(index)
            && entry.name().is_ok_and(|name| name.ends_with(".pkl"))
        {
            let mut entry = BufReader::new(entry.take(most_bytes));
            operations += pickle::pass(&mut entry).operations;
        }
    }
    Ok(operations)
}

/// Leaves the file at its beginning.
fn is_tar(file: &mut (impl Read + Seek)) -> io::Result<bool> {
    let mut head = Vec::new();
    file.by_ref().take(262).read_to_end(&mut head)?;
    file.rewind()?;
    Ok(head.ends_with(b"ustar"))
}

fn operations_in_a_row(file: &mut impl BufRead) -> u64 {
    let mut operations = 0;
    for _ in 0..LEGACY_PICKLES {
        let passed = pickle::pass(file);
        operations += passed.operations;
        if !passed.is_whole {
            break;
        }
    }
    operations
}

/// The first name that a safetensors header has a second time; the reader keeps one of the two.
fn name_that_is_there_twice(header: &[u8]) -> Option<String> {
    let Names(mut names) = serde_json::from_slice(header).ok()?;
    names.sort();
    let pair = names.windows(2).find(|pair| pair[0] == pair[1])?;
    Some(pair[0].clone())
}

/// The keys of a JSON object, repeated ones, too.
struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;

        impl<'de> Visitor<'de> for Keys {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some((name, IgnoredAny)) = map.next_entry()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }

        deserializer.deserialize_map(Keys)
    }
}

fn to_bytes(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// The floating-point types of files.
#[derive(Clone, Copy, PartialEq, Eq)]
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

    /// PyTorch's name of it.
    fn name(self) -> &'static str {
        match self {
            Self::F64 => "float64",
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::BF16 => "bfloat16",
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
