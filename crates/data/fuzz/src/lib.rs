//! What the fuzz targets share: a folder of files, and looking at all that was opened in it.

use std::fs;
use std::path::Path;

use data::{Opened, Source, Stored};
use tempfile::TempDir;

/// Values of an image that is still decoded: the decoders' own speed is not of interest.
const MOST_VALUES: usize = 1 << 18;

/// A grey PNG file of one pixel.
pub const IMAGE: &[u8] = include_bytes!("pixel.png");

/// A folder, whose files are other ones each time.
pub struct Folder(TempDir);

impl Default for Folder {
    fn default() -> Self {
        Self(tempfile::tempdir().expect("a place for temporary files"))
    }
}

impl Folder {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file.
    pub fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path().join(name), bytes).expect("the disk takes a small file");
    }
}

/// A tar archive of files.
pub fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        let appended = archive.append_data(&mut header, name, *bytes);
        appended.expect("memory takes a small file");
    }
    archive.into_inner().expect("memory takes a small archive")
}

/// Reads and decodes all images.
pub fn look_at_all(opened: &Opened) {
    look_at(&opened.train);
    opened.test.iter().for_each(look_at);
}

fn look_at(source: &Source) {
    for index in 0..source.len() {
        if let Ok(sample) = source.get(index) {
            decode(sample.image);
        }
    }
}

/// Decodes an image; whether it can be is its own affair.
pub fn decode(image: Stored) {
    if image.size().values() <= MOST_VALUES {
        let size = image.size();
        if let Ok(decoded) = image.decode() {
            assert_eq!(decoded.size, size);
            assert_eq!(decoded.pixels.len(), size.values());
        }
    }
}
