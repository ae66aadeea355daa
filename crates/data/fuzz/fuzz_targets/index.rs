//! The reader of a kept index: whatever lies there, unless its checksum is right, the dataset is the one on the disk.
#![no_main]

use std::fs;
use std::path::PathBuf;

use data::{Indexing, Opened, open_shards};
use data_fuzz::{Folder, IMAGE, look_at_all, tar};
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};

struct Kept {
    shards: Folder,
    cache: Folder,
    /// The file of the index.
    path: PathBuf,
    fingerprint: String,
}

thread_local!(static KEPT: Kept = Kept::new());

impl Kept {
    fn new() -> Self {
        let (shards, cache) = (Folder::default(), Folder::default());
        let members: [(&str, &[u8]); 2] = [("00000/1.png", IMAGE), ("00000/1.cls", b"0")];
        shards.write("train-000000.tar", &tar(&members));
        let opened = open(&shards, &cache).expect("the shards are whole");
        let mut entries = fs::read_dir(cache.path()).expect("it was written");
        let entry = entries.next().expect("it holds the index");
        Self {
            path: entry.expect("it is there").path(),
            fingerprint: opened.fingerprint().to_owned(),
            shards,
            cache,
        }
    }
}

fn open(shards: &Folder, cache: &Folder) -> data::Result<Opened> {
    let mut indexing = Indexing {
        cache: Some(cache.path().to_owned()),
        ..Indexing::default()
    };
    open_shards(shards.path(), &mut indexing)
}

fn seal(body: &[u8]) -> Vec<u8> {
    [Sha256::digest(body).as_slice(), body].concat()
}

fuzz_target!(|bytes: &[u8]| {
    KEPT.with(|kept| {
        let is_sealed = bytes.get(32..).is_some_and(|body| seal(body) == bytes);
        for (index, is_sealed) in [(bytes, is_sealed), (&seal(bytes), true)] {
            fs::write(&kept.path, index).expect("the disk takes a small file");
            let opened = open(&kept.shards, &kept.cache);
            if !is_sealed {
                let fingerprint = opened.as_ref().map(Opened::fingerprint);
                assert_eq!(fingerprint.ok(), Some(&*kept.fingerprint));
            }
            opened.iter().for_each(look_at_all);
        }
    });
});
