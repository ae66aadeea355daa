//! Runs that start from trained weights, and runs in which a part stays as it is.

mod support;

use std::collections::BTreeMap;

use support::{Place, RunFolder, images_and_labels};

/// Three classes of images of 8x8, in place of the ten digits.
const OWN: &str = r#"
model   = "resnet8"
dataset = { tensors = "own.safetensors" }
batch   = 4
length  = { steps = 6 }

[optimizer.sgd]
momentum     = 0.9
weight_decay = 1e-2

[schedule.constant]
rate = 0.05

[ema]
decay = 0.9

[checkpoint]
every = { steps = 2 }
"#;

/// A place with the model of a run on digits as `donor.safetensors`, and a recipe for three classes.
fn place() -> Place {
    let place = Place::new();
    let donor = place.finished_run("donor", "--config small.toml --set length.steps=3");
    place.write("donor.safetensors", donor.bytes("model.safetensors"));
    let pixels: Vec<f32> = (0..12 * 64).map(|i| ((i * i) % 17) as f32 / 17.0).collect();
    let labels: Vec<i64> = (0..12).map(|i| i % 3).collect();
    place.write(
        "own.safetensors",
        images_and_labels([12, 1, 8, 8], &pixels, &labels),
    );
    place.write("own.toml", OWN);
    place
}

/// The bytes of each tensor of a safetensors file.
fn tensors(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let (length, rest) = bytes.split_first_chunk().unwrap();
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let header: serde_json::Value = serde_json::from_slice(header).unwrap();
    let entries = header.as_object().unwrap().iter();
    entries
        .filter(|(name, _)| *name != "__metadata__")
        .map(|(name, entry)| {
            let offset = |end: usize| entry["data_offsets"][end].as_u64().unwrap() as usize;
            (name.clone(), data[offset(0)..offset(1)].to_vec())
        })
        .collect()
}

fn model(run: &RunFolder) -> BTreeMap<String, Vec<u8>> {
    tensors(&run.bytes("model.safetensors"))
}

/// The names of the tensors that are the same bytes in both.
fn same(a: &BTreeMap<String, Vec<u8>>, b: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    assert!(a.keys().eq(b.keys()));
    let names = a.keys().filter(|name| a[*name] == b[*name]);
    names.cloned().collect()
}

#[test]
fn a_classifier_of_other_classes_is_drawn() {
    let place = place();
    let line = "--config own.toml --set init=donor.safetensors --run-dir tuned";
    let said = place.train(line).is(0);
    let note = "the weights are of another number of classes: `fc.weight` and `fc.bias` are drawn";
    let said = said.says(note);
    assert!(said.stderr.contains("weights from `donor.safetensors`"));
    let run = place.run("tuned");
    let notes = run.events("note");
    assert!(notes.iter().any(|event| event["text"] == note), "{notes:?}");
    let plan = String::from_utf8(run.bytes("plan.toml")).unwrap();
    assert!(plan.contains("sha256 = \""), "{plan}");
}

/// What is frozen neither learns nor decays, and its normalisations keep their statistics.
#[test]
fn what_is_frozen_comes_out_as_it_went_in() {
    let place = place();
    let donor = tensors(&place.run("donor").bytes("model.safetensors"));
    let line = "--config own.toml --set init=donor.safetensors \
                --set freeze=[\"stem\",\"stage1\",\"layer2.0.conv1\"]";
    let run = place.finished_run("frozen", line);
    let mut frozen = donor.clone();
    frozen.retain(|name, _| {
        let parts = ["conv1.", "bn1.", "layer1.", "layer2.0.conv1."];
        parts.iter().any(|part| name.starts_with(part))
    });
    assert_eq!(frozen.len(), 16);
    let expected: Vec<String> = frozen.into_keys().collect();
    assert_eq!(same(&model(&run), &donor), expected);
    let text = "`stem`, `stage1` and `layer2.0.conv1` stay as they are: 9,456 of 74,547 parameters";
    let notes = run.events("note");
    assert!(notes.iter().any(|event| event["text"] == text), "{notes:?}");
}

#[test]
fn a_run_with_frozen_parts_that_is_killed_ends_in_the_same_bytes() {
    let place = place();
    let line = "--config own.toml --set init=donor.safetensors --set freeze=[\"stem\",\"stage1\",\"fc.bias\"]";
    let whole = place.finished_run("whole", line);
    let again = format!("{line} --set gradient_checkpointing=true");
    let again = place.finished_run("again", &again);
    assert!(again.bytes("model.safetensors") == whole.bytes("model.safetensors"));
    let mut running = place.start(&format!("{line} --run-dir cut"));
    let run = place.run("cut");
    running.wait_until(|| run.has_reached("checkpoint", 2));
    running.kill();
    place.train(&format!("{line} --run-dir cut --resume")).is(0);
    assert!(run.bytes("model.safetensors") == whole.bytes("model.safetensors"));

    // What starts it is part of the run, whatever it is called.
    let mut other = place.run("donor").bytes("model.safetensors");
    let last = other.len() - 1;
    other[last] ^= 1;
    place.write("donor.safetensors", other);
    let said = place.train(&format!("{line} --run-dir cut --resume")).is(2);
    said.says("its plan has changed: `init.sha256` was");
}

/// Simonyan and Zisserman 2014, section 3.1, on residual networks: a deeper one starts from some
/// layers of a shallower one, wherever the reference has them.
#[test]
fn some_parts_start_from_another_network() {
    let place = place();
    let donor = tensors(&place.run("donor").bytes("model.safetensors"));
    let line = "--config own.toml --set model=resnet20 --set length.steps=1 --set schedule.constant.rate=1e-30 \
                --set optimizer.sgd.weight_decay=0";
    let some = format!(
        "{line} --set init={{weights=\"donor.safetensors\",only=[\"stem\",\"stage2.block0\"]}}"
    );
    let run = place.finished_run("some", &some);
    let model = model(&run);
    let is_learnt = |name: &str| !name.contains("running");
    let carried = donor
        .iter()
        .filter(|(name, bytes)| is_learnt(name) && model.get(*name) == Some(*bytes))
        // Scales of one and shifts of zero are the same wherever they are drawn.
        .filter(|(name, _)| name.contains("conv") || name.starts_with("bn1."))
        .map(|(name, _)| name.as_str());
    assert_eq!(
        carried.collect::<Vec<_>>(),
        [
            "bn1.bias",
            "bn1.weight",
            "conv1.weight",
            "layer2.0.conv1.weight",
            "layer2.0.conv2.weight"
        ]
    );

    // All of it has to be there without `only`.
    let said = place.train(&format!(
        "{line} --set init=donor.safetensors --run-dir all"
    ));
    said.is(1).says("60 missing");
}
