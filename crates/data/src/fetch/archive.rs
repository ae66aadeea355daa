//! What a manifest says about one file to download.

use std::fmt::{self, Display};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path};

use md5::Md5;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use sha2::digest::DynDigest;

use super::error::{FetchError, Mismatch};
use crate::fingerprint::hexadecimal;

/// One file of a dataset, as its publisher serves it.
///
/// In a manifest:
///
/// ```toml
/// [[archives]]
/// name     = "cifar-10-binary.tar.gz"
/// bytes    = 170_052_171
/// checksum = { md5 = "c32a1d4ab5d03f1284b67883e8d87530" }
/// mirrors  = ["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"]
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// Plain file name, without folders.
    pub name: String,
    /// Exact length.
    pub bytes: u64,
    /// Checksum of the whole file.
    pub checksum: Checksum,
    /// Addresses of the same bytes, the preferred one first; `http` or `https`.
    pub mirrors: Vec<String>,
}

/// A checksum in lowercase hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Checksum {
    /// SHA-256, 64 digits.
    Sha256(String),
    /// MD5, 32 digits: it finds damage, not malice; for publishers that state nothing better.
    Md5(String),
}

/// What lies where an archive belongs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The file, length and checksum right.
    Ok,
    /// Another file, or a damaged one.
    Mismatch(Mismatch),
    /// Nothing.
    Missing,
}

impl Archive {
    /// Checks that the name cannot leave its folder and that the checksum can be one.
    pub(super) fn check(&self) -> Result<(), FetchError> {
        if !is_plain(&self.name) {
            return Err(FetchError::Name {
                name: self.name.clone(),
            });
        }
        if !self.checksum.is_well_formed() {
            return Err(FetchError::Digits {
                name: self.name.clone(),
                checksum: self.checksum.clone(),
                expected: self.checksum.digits(),
            });
        }
        Ok(())
    }

    /// Compares the file of this archive in `directory` with what is declared, hashing it where its length is right.
    pub(super) fn state(&self, directory: &Path) -> Result<State, FetchError> {
        let path = directory.join(&self.name);
        let unreadable = |source| FetchError::Read {
            path: path.clone(),
            source,
        };
        let found = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::Missing),
            Err(error) => return Err(unreadable(error)),
            Ok(metadata) if metadata.is_dir() => {
                return Err(unreadable(io::ErrorKind::IsADirectory.into()));
            }
            Ok(metadata) => metadata.len(),
        };
        if found != self.bytes {
            return Ok(State::Mismatch(self.other_length(found)));
        }
        let found = File::open(&path)
            .and_then(|mut file| self.checksum.of(&mut file))
            .map_err(unreadable)?;
        Ok(match self.other_content(found) {
            Some(mismatch) => State::Mismatch(mismatch),
            None => State::Ok,
        })
    }

    /// The mismatch of a file that is `found` bytes long.
    pub(super) fn other_length(&self, found: u64) -> Mismatch {
        Mismatch::Bytes {
            expected: self.bytes,
            found,
        }
    }

    /// The mismatch of a file with checksum `found`, if it is one.
    pub(super) fn other_content(&self, found: Checksum) -> Option<Mismatch> {
        (found != self.checksum).then(|| Mismatch::Checksum {
            expected: self.checksum.clone(),
            found,
        })
    }
}

impl Checksum {
    /// The checksum, of the same kind as this one, of all that `reader` still holds.
    pub(crate) fn of(&self, reader: &mut impl Read) -> io::Result<Checksum> {
        Ok(match self {
            Checksum::Sha256(_) => Checksum::Sha256(digest(reader, Sha256::default())?),
            Checksum::Md5(_) => Checksum::Md5(digest(reader, Md5::default())?),
        })
    }

    fn digits(&self) -> usize {
        match self {
            Checksum::Sha256(_) => 64,
            Checksum::Md5(_) => 32,
        }
    }

    fn value(&self) -> &str {
        match self {
            Checksum::Sha256(value) | Checksum::Md5(value) => value,
        }
    }

    fn is_well_formed(&self) -> bool {
        self.value().len() == self.digits()
            && self
                .value()
                .bytes()
                .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    }
}

impl Display for Checksum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Checksum::Sha256(_) => "sha256",
            Checksum::Md5(_) => "md5",
        };
        write!(formatter, "{kind} `{}`", self.value())
    }
}

fn is_plain(name: &str) -> bool {
    let mut components = Path::new(name).components();
    matches!(components.next(), Some(Component::Normal(first)) if first == name)
        && !name.contains(['/', '\\'])
}

fn digest(reader: &mut impl Read, mut hasher: impl DynDigest) -> io::Result<String> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match reader.read(&mut buffer)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    Ok(hexadecimal(&Box::new(hasher).finalize()))
}
