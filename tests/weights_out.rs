//! What leaves the program for others: weights, networks, and what flows inside them.

mod support;

use std::fs;

use safetensors::SafeTensors;
use support::Place;

#[test]
fn weights_go_out_and_come_back_bit_for_bit() {
    let place = Place::new();
    let run = place.finished_run("run", "--config small.toml --set length.steps=2");
    place
        .train("convert --run run --output out.safetensors")
        .is(0)
        .says("resnet8");
    let written = fs::read(place.path("out.safetensors")).unwrap();
    assert!(written == run.bytes("model.safetensors"));

    // The file says what it is of.
    place
        .train("convert --weights out.safetensors --output back.safetensors")
        .is(0);
    assert!(written == fs::read(place.path("back.safetensors")).unwrap());
    let figures = |network: &str| {
        let mut evaluated = place.train(&format!("eval {network}")).is(0).json();
        // Which says where the network is from.
        evaluated["members"].take();
        evaluated
    };
    let of_file = figures("--dataset digits --weights back.safetensors");
    assert_eq!(of_file, figures("--run run"));
}

/// `crates/models/src/onnx` has the tests of what the graphs are.
#[test]
fn networks_go_out_as_onnx_with_their_weights() {
    let place = Place::new();
    let run = place.finished_run("run", "--config small.toml --set length.steps=2");
    place
        .train("convert --run run --output out.onnx")
        .is(0)
        .says("resnet8, from `input` [batch, 1, 8, 8] to `logits` [batch, 10]");
    let graph = fs::read(place.path("out.onnx")).unwrap();
    let holds = |part: &[u8]| graph.windows(part.len()).any(|window| window == part);
    assert!(holds(b"kiln") && holds(br#"{"model":{"name":"resnet8"}"#));
    let weights = run.bytes("model.safetensors");
    for (name, tensor) in SafeTensors::deserialize(&weights).unwrap().tensors() {
        assert!(holds(name.as_bytes()) && holds(tensor.data()), "{name}");
    }
    place
        .train("convert --run run --output larger.onnx --resize 12 --crop 12")
        .is(0)
        .says("[batch, 1, 12, 12]");
}

#[test]
fn features_are_those_of_the_splits_images() {
    let place = Place::new();
    place.finished_run("run", "--config small.toml --set length.steps=2");
    let line = "features --run run --at stage2 --split test";
    place
        .train(&format!("{line} --output f.safetensors"))
        .is(0)
        .says("32x4x4 values of each of 599 images");
    place
        .train(&format!("{line} --batch 7 --output again.safetensors"))
        .is(0);
    place
        .train(&format!("{line} --pool --output pooled.safetensors"))
        .is(0);
    let read = |name: &str| Features::of(&fs::read(place.path(name)).unwrap());

    let whole = read("f.safetensors");
    assert_eq!(whole.shape, [599, 32, 4, 4]);
    assert_eq!(whole.labels.len(), 599);
    assert!((0..10).all(|class| whole.labels.contains(&class)));

    let again = read("again.safetensors");
    assert_eq!(again.labels, whole.labels);
    assert_close(&again.values, &whole.values);

    let pooled = read("pooled.safetensors");
    assert_eq!(pooled.shape, [599, 32]);
    let maps = whole.values.chunks(16);
    let means: Vec<f32> = maps.map(|map| map.iter().sum::<f32>() / 16.0).collect();
    assert_close(&pooled.values, &means);

    place
        .train("features --run run --at stage7 --output g.safetensors")
        .is(2)
        .says("known here: `stem`, `stage1.block0`");
}

/// What `train features` writes.
struct Features {
    shape: Vec<usize>,
    values: Vec<f32>,
    labels: Vec<i64>,
}

impl Features {
    fn of(bytes: &[u8]) -> Self {
        let file = SafeTensors::deserialize(bytes).unwrap();
        let features = file.tensor("features").unwrap();
        let labels = file.tensor("labels").unwrap();
        Self {
            shape: features.shape().to_vec(),
            values: each(features.data(), f32::from_le_bytes),
            labels: each(labels.data(), i64::from_le_bytes),
        }
    }
}

fn each<const N: usize, T>(bytes: &[u8], value: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (chunks, _) = bytes.as_chunks();
    chunks.iter().map(|chunk| value(*chunk)).collect()
}

/// Batches of other sizes are computed by other kernels, whose sums are rounded elsewhere.
#[track_caller]
fn assert_close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-4, "{found} {expected}");
    }
}
