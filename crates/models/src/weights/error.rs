//! What can be wrong with a file of weights.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Weights that could not be read, written or used.
#[derive(Debug, Error)]
pub enum WeightsError {
    /// The file could not be opened, read or written.
    #[error("cannot access `{path}`")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A folder, a pipe or a device.
    #[error("`{path}` is no regular file")]
    NoFile {
        /// What it is called.
        path: PathBuf,
    },
    /// The file is longer than those of any network.
    #[error("`{path}` has {found} bytes, expected at most {most}")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// So many bytes would do.
        most: u64,
        /// Its length.
        found: u64,
    },
    /// The format of PyTorch's first releases, whose pickles lie between the weights: what they take to
    /// read cannot be told before.
    #[error("`{path}` is in the format that PyTorch wrote before 0.1.10, of 2017")]
    Tar {
        /// The file.
        path: PathBuf,
    },
    /// The file is not what its name says.
    #[error("`{path}` is damaged or not a {format} file: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// The format that it was read as.
        format: &'static str,
        /// What the reader said.
        reason: String,
    },
    /// Neither safetensors nor PyTorch.
    #[error("`{path}` is no file of weights: expected `.safetensors`, `.pt`, `.pth` or `.th`")]
    Extension {
        /// The file.
        path: PathBuf,
    },
    /// A tensor of a type that weights do not have.
    #[error("tensor `{name}` is of type {dtype}, expected a floating-point type")]
    Type {
        /// The tensor.
        name: String,
        /// Its type.
        dtype: String,
    },
    /// Two tensors of one name, once the prefixes of wrappers are off.
    #[error("tensor `{name}` is there twice")]
    Twice {
        /// The tensor.
        name: String,
    },
    /// A weight is NaN or infinite.
    #[error("tensor `{name}` holds a value that is not finite")]
    NotFinite {
        /// The tensor.
        name: String,
    },
    /// The weights are another network's.
    #[error("the weights do not fit the model: {0}")]
    Mismatch(Mismatch),
}

impl WeightsError {
    pub(super) fn accessing(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    /// What to try next, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { .. } => None,
            Self::NoFile { .. } => Some("name a file of weights, or a run by `--run DIR`".into()),
            Self::TooLarge { .. } => Some("save the network alone, as its state dict".into()),
            Self::Tar { .. } => Some("save the weights again with any later PyTorch".into()),
            Self::Format { path, .. } => Some(format!(
                "get `{}` again, or check that it is a state dict",
                path.display()
            )),
            Self::Extension { path } if path.extension().is_some_and(|ending| ending == "onnx") => {
                Some(
                    "ONNX files are written, not read: name the weights that it was made of".into(),
                )
            }
            Self::Extension { .. } => Some("rename the file after its format".into()),
            Self::Type { .. } => Some("save the weights as float32".into()),
            Self::Twice { .. } => {
                Some("save the network once, with or without the prefix of its wrapper".into())
            }
            Self::NotFinite { .. } => {
                Some("the training that wrote the weights diverged: use an earlier file".into())
            }
            Self::Mismatch(mismatch) => Some(mismatch.hint()),
        }
    }
}

/// How a set of weights differs from what a network wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mismatch {
    /// Names that the network wants and the file lacks.
    pub missing: Vec<String>,
    /// Names that the file has and the network does not.
    pub unexpected: Vec<String>,
    /// Names with another shape: expected, found.
    pub reshaped: Vec<(String, Vec<usize>, Vec<usize>)>,
}

/// So many names of a kind are printed before the rest are only counted.
const SHOWN: usize = 5;

impl Mismatch {
    /// Whether there is no difference.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.reshaped.is_empty()
    }
}

impl Mismatch {
    fn hint(&self) -> String {
        if self.missing.is_empty() && self.unexpected.is_empty() {
            "check the model's options: its number of classes and channels, its shortcuts".into()
        } else {
            "name the network that the weights are of with `--model`; `train list` shows all".into()
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |names: &[String]| names.iter().map(|name| format!("`{name}`")).collect();
        let reshaped = self
            .reshaped
            .iter()
            .map(|(name, expected, found)| {
                format!("`{name}` (expected {expected:?}, found {found:?})")
            })
            .collect();
        let parts: Vec<String> = [
            ("missing", quoted(&self.missing)),
            ("unexpected", quoted(&self.unexpected)),
            ("of another shape", reshaped),
        ]
        .into_iter()
        .filter(|(_, names): &(_, Vec<String>)| !names.is_empty())
        .map(|(kind, names)| format!("{} {kind}: {}", names.len(), shortened(&names)))
        .collect();
        write!(f, "{}", parts.join("; "))
    }
}

fn shortened(names: &[String]) -> String {
    let mut text = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}
