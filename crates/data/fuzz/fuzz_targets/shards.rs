//! The reader of WebDataset shards, and of tar archives.
#![no_main]

use data::{Indexing, open_shards};
use data_fuzz::{Folder, look_at_all};
use libfuzzer_sys::fuzz_target;

thread_local!(static FOLDER: Folder = Folder::default());

fuzz_target!(|bytes: &[u8]| {
    FOLDER.with(|folder| {
        folder.write("train-000000.tar", bytes);
        if let Ok(opened) = open_shards(folder.path(), &mut Indexing::default()) {
            look_at_all(&opened);
        }
    });
});
