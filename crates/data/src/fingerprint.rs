//! Fingerprints: whether two runs saw the same data.

use sha2::{Digest, Sha256};

use crate::{InMemory, Pixels};

/// What can be told apart by its contents.
pub(crate) trait Fingerprint {
    /// Feeds all contents to `hasher`.
    fn feed(&self, hasher: &mut Sha256);
}

impl Fingerprint for InMemory {
    fn feed(&self, hasher: &mut Sha256) {
        let size = self.size();
        let labels = self.labels();
        feed_numbers(
            hasher,
            [size.channels, size.height, size.width, labels.len()],
        );
        match self.pixels() {
            Pixels::U8(bytes) => {
                hasher.update(b"u8");
                hasher.update(bytes);
            }
            Pixels::F32(values) => {
                hasher.update(b"f32");
                for chunk in values.chunks(4096) {
                    let bytes: Vec<u8> = chunk.iter().flat_map(|v| v.to_le_bytes()).collect();
                    hasher.update(bytes);
                }
            }
        }
        feed_numbers(hasher, labels.iter().copied());
    }
}

/// Feeds numbers as little-endian `u64`.
pub(crate) fn feed_numbers(hasher: &mut Sha256, numbers: impl IntoIterator<Item = usize>) {
    for number in numbers {
        hasher.update((number as u64).to_le_bytes());
    }
}

/// SHA-256 in hexadecimal over the names of the classes and the contents of the splits, in order.
pub(crate) fn of(classes: &[String], splits: &[&dyn Fingerprint]) -> String {
    let mut hasher = Sha256::new();
    for class in classes {
        feed_numbers(&mut hasher, [class.len()]);
        hasher.update(class);
    }
    for split in splits {
        split.feed(&mut hasher);
    }
    hexadecimal(&hasher.finalize())
}

/// Two digits a byte.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
