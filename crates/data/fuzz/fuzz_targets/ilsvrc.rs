//! The reader of archives in an archive.
#![no_main]

use data::{Indexing, open_ilsvrc};
use data_fuzz::{Folder, look_at_all};
use libfuzzer_sys::fuzz_target;

thread_local!(static FOLDER: Folder = Folder::default());

fuzz_target!(|bytes: &[u8]| {
    FOLDER.with(|folder| {
        folder.write("ILSVRC2012_img_train.tar", bytes);
        if let Ok(opened) = open_ilsvrc(folder.path(), &mut Indexing::default()) {
            look_at_all(&opened);
        }
    });
});
