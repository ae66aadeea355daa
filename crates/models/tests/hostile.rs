//! Files of weights that are damaged or made to do harm give an error or weights, never a panic, and
//! take memory in proportion to their length.
//!
//! One test, since the memory of a process is measured.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use models::weights::{HostTensor, Weights, WeightsError};
use peak_alloc::PeakAlloc;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Beyond what there was before: some small buffers, and a file's own bytes some times over; a byte of a
/// pickle is up to 140 in memory, for as many of them as any file may have.
fn bound(length: usize) -> usize {
    ((1 << 20) + 150 * length).min((18 << 20) + 16 * length)
}

/// Reads the file, and fails where that took too much memory.
fn read(path: &Path) -> Result<Weights, WeightsError> {
    let length = fs::metadata(path).unwrap().len() as usize;
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let result = Weights::read(path);
    let taken = MEMORY.peak_usage().saturating_sub(before);
    assert!(
        taken <= bound(length),
        "{} of {length} bytes took {taken}",
        path.display()
    );
    result
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/goldens/weights")
        .join(name)
}

fn safetensors() -> Vec<u8> {
    let tensor = |shape: &[usize], values: &[f32]| HostTensor {
        shape: shape.to_vec(),
        values: values.to_vec(),
    };
    let mut weights = Weights::default();
    for (name, tensor) in [
        ("fc.weight", tensor(&[2, 3], &[0.5; 6])),
        ("fc.bias", tensor(&[2], &[1.0; 2])),
    ] {
        weights.tensors.insert(name.to_owned(), tensor);
    }
    weights.to_safetensors()
}

/// What became of a file on its way.
#[derive(Clone, Debug)]
enum Damage {
    Cut(prop::sample::Index),
    Changed(Vec<(prop::sample::Index, u8)>),
}

fn damage() -> impl Strategy<Value = Damage> {
    let change = (any::<prop::sample::Index>(), any::<u8>());
    prop_oneof![
        1 => any::<prop::sample::Index>().prop_map(Damage::Cut),
        4 => prop::collection::vec(change, 1..8).prop_map(Damage::Changed),
    ]
}

fn damaged(bytes: &[u8], damage: &Damage) -> Vec<u8> {
    match damage {
        Damage::Cut(length) => bytes[..length.index(bytes.len())].to_vec(),
        Damage::Changed(changes) => {
            let mut bytes = bytes.to_vec();
            for (place, byte) in changes {
                let place = place.index(bytes.len());
                bytes[place] = *byte;
            }
            bytes
        }
    }
}

/// A pickle of an empty dictionary under so many more objects.
fn pickle_of(objects: usize) -> Vec<u8> {
    [b"\x80\x02}".as_slice(), &vec![b'N'; objects], b"."].concat()
}

/// An archive as `torch.save` makes them, of that pickle alone.
fn archive(pickle: &[u8]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    archive.start_file("archive/data.pkl", stored).unwrap();
    archive.write_all(pickle).unwrap();
    archive.finish().unwrap().into_inner()
}

/// What begins a file of PyTorch before 1.6, up to its weights' own pickle.
fn legacy_head() -> Vec<u8> {
    let whole = fs::read(fixture("legacy.pth")).unwrap();
    let ends = whole.iter().enumerate().filter(|(_, byte)| **byte == b'.');
    // Of the magic number's pickle, the version's and the system's.
    let (third, _) = ends.take(3).last().unwrap();
    whole[..=third].to_vec()
}

/// A byte of a pickle that becomes an object of a hundred.
fn many_objects_are_refused(folder: &Path) {
    let many = pickle_of(4 << 20);
    for (name, bytes) in [
        ("plain.pth", many.clone()),
        ("legacy.pth", [legacy_head(), many.clone()].concat()),
        ("archive.pth", archive(&many)),
    ] {
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("its pickles have 4194"), "{name}: {error}");
    }
    let few = folder.join("few.pth");
    fs::write(&few, archive(&pickle_of(130_000))).unwrap();
    let error = read(&few).unwrap_err().to_string();
    assert!(!error.contains("its pickles have"), "{error}");
    let tar = folder.join("tar.pth");
    fs::write(
        &tar,
        [vec![0; 257], b"ustar".to_vec(), vec![0; 250]].concat(),
    )
    .unwrap();
    assert!(matches!(read(&tar), Err(WeightsError::Tar { .. })));
}

#[test]
fn damaged_and_hostile_files_take_bounded_memory() {
    for name in ["bomb", "pickle_bomb", "expanded", "petabytes", "code"] {
        let path = fixture(&format!("{name}.pth"));
        assert!(read(&path).is_err(), "{name}");
    }
    read(&fixture("code_inside.pth")).expect("what is asked for beside the weights is passed by");
    assert!(!Path::new("executed").exists());

    let folder = tempfile::tempdir().unwrap();
    many_objects_are_refused(folder.path());
    let whole = [
        ("zip.pth", fs::read(fixture("layer.pth")).unwrap()),
        ("legacy.pth", fs::read(fixture("legacy.pth")).unwrap()),
        ("layer.safetensors", safetensors()),
    ];
    for (name, bytes) in whole {
        let path = folder.path().join(name);
        fs::write(&path, &bytes).unwrap();
        read(&path).unwrap();
        let mut runner = TestRunner::new_with_rng(
            ProptestConfig::with_cases(1000),
            prop::test_runner::TestRng::deterministic_rng(prop::test_runner::RngAlgorithm::ChaCha),
        );
        let result = runner.run(&damage(), |damage| {
            fs::write(&path, damaged(&bytes, &damage)).unwrap();
            // An error or weights: a flipped bit of a value is a value.
            let _ = read(&path);
            Ok(())
        });
        result.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}
