//! The reader of the development kit's `meta.mat`.
#![no_main]

use data::{Indexing, open_ilsvrc};
use data_fuzz::{Folder, IMAGE, look_at_all, tar};
use libfuzzer_sys::fuzz_target;

thread_local!(static FOLDER: Folder = prepared());

fn prepared() -> Folder {
    let folder = Folder::default();
    let class = tar(&[("n00000001_1.JPEG", IMAGE)]);
    folder.write("ILSVRC2012_img_train.tar", &tar(&[("n00000001.tar", &class)]));
    let validation = tar(&[("ILSVRC2012_val_00000001.JPEG", IMAGE)]);
    folder.write("ILSVRC2012_img_val.tar", &validation);
    folder.write("ILSVRC2012_validation_ground_truth.txt", b"2\n");
    folder
}

fuzz_target!(|bytes: &[u8]| {
    FOLDER.with(|folder| {
        folder.write("meta.mat", bytes);
        if let Ok(opened) = open_ilsvrc(folder.path(), &mut Indexing::default()) {
            look_at_all(&opened);
        }
    });
});
