//! The reader of IDX files: the first byte says how many of the others are labels.
#![no_main]

use data::open_idx;
use data_fuzz::{Folder, look_at_all};
use libfuzzer_sys::fuzz_target;

thread_local!(static FOLDER: Folder = Folder::default());

fuzz_target!(|bytes: &[u8]| {
    let Some((labels, rest)) = bytes.split_first() else {
        return;
    };
    let (labels, images) = rest.split_at(usize::from(*labels).min(rest.len()));
    FOLDER.with(|folder| {
        folder.write("train-images-idx3-ubyte", images);
        folder.write("train-labels-idx1-ubyte", labels);
        if let Ok(opened) = open_idx(folder.path()) {
            look_at_all(&opened);
        }
    });
});
