//! Image files in folders and in archives: the same images train to the same bytes, and packing loses none of them.

mod support;

use std::f32::consts::PI;
use std::fs;
use std::path::Path;

use support::{Place, RunFolder, tar};

const TRAIN: usize = 24;
const TEST: usize = 6;
/// WordNet numbers of two classes.
const CLASSES: [&str; 2] = ["n00000001", "n00000002"];

/// Image `index` of stripes that lie or stand, as JPEG, in a size of its own.
fn stripes(index: usize) -> Vec<u8> {
    let (width, height) = (20 + index % 5, 18 + index % 7);
    let level = |at: usize| {
        let across = [at / width, at % width][index % 2];
        (127.5 + 127.5 * (PI / 2.0 * across as f32 + index as f32).sin()) as u8
    };
    let pixels: Vec<u8> = (0..width * height)
        .flat_map(|at| [level(at), level(at + index), 90])
        .collect();
    jpeg(&pixels, [width, height])
}

fn jpeg(pixels: &[u8], [width, height]: [usize; 2]) -> Vec<u8> {
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new(&mut bytes)
        .encode(
            pixels,
            width as u32,
            height as u32,
            image::ExtendedColorType::Rgb8,
        )
        .unwrap();
    bytes
}

/// As in ILSVRC, images for training are called by their class, and those for validation are numbered.
fn name(index: usize) -> String {
    match index < TRAIN {
        true => format!("{}_{index}.JPEG", CLASSES[index % 2]),
        false => format!("ILSVRC2012_val_{:08}.JPEG", index - TRAIN + 1),
    }
}

fn write_folders(place: &Place, folder: &str) {
    for index in 0..TRAIN + TEST {
        let split = if index < TRAIN { "train" } else { "val" };
        let class = CLASSES[index % 2];
        let path = format!("{folder}/{split}/{class}/{}", name(index));
        place.write(&path, stripes(index));
    }
}

/// The same images in archives as ILSVRC has them. Of the development kit there are the two files that are needed.
fn write_archives(place: &Place, folder: &str) {
    let member = |index| (name(index), stripes(index));
    let class = |class: usize| {
        let images: Vec<_> = (class..TRAIN).step_by(2).map(member).collect();
        (format!("{}.tar", CLASSES[class]), tar(&images))
    };
    let train = tar(&[1, 0].map(class));
    place.write(&format!("{folder}/ILSVRC2012_img_train.tar"), train);
    let validation: Vec<_> = (TRAIN..TRAIN + TEST).rev().map(member).collect();
    let validation = tar(&validation);
    place.write(&format!("{folder}/ILSVRC2012_img_val.tar"), validation);
    // By the numbers of the kit, class 2 is the first.
    let numbers: String = (TRAIN..TRAIN + TEST)
        .map(|index| format!("{}\n", 2 - index % 2))
        .collect();
    let truth = format!("{folder}/ILSVRC2012_validation_ground_truth.txt");
    place.write(&truth, numbers);
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens");
    let meta = fs::read(goldens.join("ilsvrc/meta.mat")).unwrap();
    place.write(&format!("{folder}/meta.mat"), meta);
}

const RECIPE: &str = r#"
model   = "resnet8"
dataset = { folder = "folders" }
batch   = 8
length  = { steps = 12 }
shuffle = false

[optimizer.sgd]
momentum = 0.9
[schedule.constant]
rate = 0.05
[log]
every = 1
[eval]
every = { steps = 6 }
[checkpoint]
every = { steps = 4 }

[[augment.train]]
random_resized_crop = { size = 8, scale = [0.3, 1], ratio = [0.75, 1.3333], interpolation = "bilinear" }
[[augment.train]]
flip = { probability = 0.5 }
[[augment.train]]
normalize = "per-channel"
[[augment.test]]
resize = { size = 10, interpolation = "bilinear" }
[[augment.test]]
center_crop = { size = 8 }
[[augment.test]]
normalize = "per-channel"
"#;

fn place_with_folders() -> Place {
    let place = Place::new();
    write_folders(&place, "folders");
    place.write("own.toml", RECIPE);
    place
}

/// Packs the folders into shards of about four images each.
fn pack(place: &Place, output: &str) -> support::Said {
    place.train(&format!(
        "pack --folder folders --output {output} --shard-bytes 4kB"
    ))
}

fn shards(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// That so many images are in the shards of a folder, and none is wrong.
#[track_caller]
fn assert_whole(place: &Place, shards: &str, images: usize) {
    let said = place.train(&format!("verify --shards {shards}")).is(0);
    let expected = format!("{shards}: {images} images, 0 wrong files\n");
    assert!(said.stdout.ends_with(&expected), "{}", said.stdout);
}

#[track_caller]
fn assert_same(run: &RunFolder, reference: &RunFolder) {
    for file in ["model.safetensors", "evaluation.json"] {
        assert!(run.bytes(file) == reference.bytes(file), "{file} differs");
    }
    assert_eq!(run.metrics(), reference.metrics());
}

/// Trains on the same images in folders, shards and archives, with `more` on the command line.
fn train_on_all_packings(more: &str) {
    let place = place_with_folders();
    let line = format!("--config own.toml {more}");
    let reference = place.finished_run("reference", &line);
    pack(&place, "shards").is(0);
    assert!(place.path("shards/train-000003.tar").exists());
    write_archives(&place, "archives");
    for packing in [
        "{folder=\"folders\"}",
        "{shards=\"shards\"}",
        "{ilsvrc=\"archives\"}",
    ] {
        let folder = packing.replace(|c: char| !c.is_ascii_alphabetic(), "");
        let line = format!("{line} --set dataset={packing} --workers 3");
        let run = place.finished_run(&folder, &line);
        assert_same(&run, &reference);
    }
    let shuffled = place.finished_run("shuffled", &format!("{line} --set shuffle=true"));
    assert!(shuffled.bytes("model.safetensors") != reference.bytes("model.safetensors"));
}

#[test]
fn all_packings_train_to_the_same_bytes() {
    train_on_all_packings("");
}

#[test]
#[ignore = "takes minutes"]
fn all_packings_train_resnet18_to_the_same_bytes() {
    train_on_all_packings(
        "--set model=resnet18 --set length.steps=50 \
         --set augment.train.0.random_resized_crop.size=64 \
         --set augment.test.0.resize.size=72 --set augment.test.1.center_crop.size=64",
    );
}

#[test]
fn a_run_on_files_that_is_killed_ends_in_the_same_bytes() {
    let place = place_with_folders();
    pack(&place, "shards").is(0);
    for packing in ["{folder=\"folders\"}", "{shards=\"shards\"}"] {
        let line = format!("--config own.toml --set shuffle=true --set dataset={packing}");
        let folder = packing.replace(|c: char| !c.is_ascii_alphabetic(), "");
        let reference = place.finished_run(&format!("{folder}-reference"), &line);
        let run = place.run(&folder);
        let mut running = place.start(&format!("{line} --run-dir {folder} --workers 2"));
        running.wait_until(|| run.has_reached("checkpoint", 4));
        running.kill();
        place
            .train(&format!("{line} --run-dir {folder} --resume --workers 1"))
            .is(0);
        assert!(run.steps("resume").iter().all(|step| *step >= 4));
        assert_same(&run, &reference);
    }
}

/// Killed at any instant and typed again, it ends in the same files.
#[test]
fn packing_that_is_killed_is_gone_on_with() {
    let place = place_with_folders();
    let said = pack(&place, "whole").is(0);
    let whole = place.path("whole");
    let written = said.stdout.lines().count();
    assert!(written > 6, "{}", said.stdout);
    let line = "pack --folder folders --output parts --shard-bytes 4kB";
    for shard in 0..4 {
        let mut running = place.start(line);
        let next = place.path(format!("parts/train-{shard:06}.tar"));
        running.wait_until(|| next.exists());
        running.kill();
    }
    place.train(line).is(0);
    assert_eq!(shards(&place.path("parts")), shards(&whole));
    for name in shards(&whole) {
        let [found, expected] = ["parts", "whole"].map(|folder| {
            let path = place.path(folder).join(&name);
            fs::read(path).unwrap()
        });
        assert!(found == expected, "{name} differs");
    }
    let again = place.train(line).is(0);
    assert_eq!(again.stdout, "");
    place
        .train(&format!("{line} --shorter-side 16"))
        .is(1)
        .says("error: cannot pack the images")
        .says("caused by: `parts` holds other shards")
        .says("hint: name an empty folder with `--output`");
}

#[cfg(unix)]
#[test]
fn packing_that_is_interrupted_says_so_and_is_gone_on_with() {
    let place = Place::new();
    // Scaling them takes longer than an interrupt.
    for index in 0..200 {
        let image = support::png(1000, 1000, &vec![index; 1_000_000]);
        place.write(&format!("folders/train/grey/{index}.png"), image);
    }
    let line = "pack --folder folders --output shards --shorter-side 8 --shard-bytes 1kB";
    let mut running = place.start(line);
    let first = place.path("shards/train-000000.tar");
    running.wait_until(|| first.exists());
    running.interrupt();
    running
        .wait()
        .is(130)
        .says("stopping: the shards that are whole stay; once more to stop at once")
        .says("interrupted: type the same line to go on");
    place.train("verify --shards shards").is(1);

    place.train(line).is(0);
    assert_whole(&place, "shards", 200);
}

#[test]
fn images_are_scaled_to_a_shorter_side() {
    let place = place_with_folders();
    place.write(
        "folders/train/n00000001/small.png",
        support::png(8, 8, &[7; 64]),
    );
    place
        .train("pack --folder folders --output small --shorter-side 16 --quality 90")
        .is(0)
        .says("31 images in 2 new shards, 0 skipped");
    assert_whole(&place, "small", 31);
    let files = fs::read(place.path("small/train-000000.tar")).unwrap();
    let has = |name: &[u8]| files.windows(name.len()).any(|window| window == name);
    assert!(has(b"00000/n00000001_0.jpg") && has(b"00000/small.png"));
    place.train("stats --shards small").is(0);
}

#[test]
fn broken_images_are_told_by_name() {
    let place = place_with_folders();
    place.write("folders/train/n00000001/a.jpg", "no image");
    let whole = support::png(9, 9, &[7; 81]);
    // Its header is whole: it shows when it is decoded.
    place.write("folders/val/n00000002/torn.png", &whole[..whole.len() - 24]);
    place
        .train("pack --folder folders --output shards")
        .is(1)
        .says("error: cannot pack the images")
        .says("caused by: cannot decode image `folders/train/n00000001/a.jpg`")
        .says("hint: replace or remove the file, or leave such images out and be told which: `--on-bad-image skip`");
    place
        .train("pack --folder folders --output shards --on-bad-image skip")
        .is(0)
        .says("skipped: cannot decode image `folders/train/n00000001/a.jpg`")
        .says("skipped: cannot decode image `folders/val/n00000002/torn.png`")
        .says("30 images in 2 new shards, 2 skipped");
    let verified = place.train("verify --folder folders").is(1);
    for bad in [
        "cannot decode image `folders/train/n00000001/a.jpg`: ",
        "cannot decode image `folders/val/n00000002/torn.png`: ",
        "folders: 32 images, 2 wrong files",
    ] {
        assert!(verified.stdout.contains(bad), "{}", verified.stdout);
    }
    place.train("verify --shards shards").is(0);
}

/// As long as no JPEG file may be.
#[test]
fn an_image_that_is_too_narrow_to_be_scaled_is_told_by_name() {
    let place = place_with_folders();
    place.write(
        "folders/train/n00000001/long.png",
        support::png(1 << 17, 2, &vec![7; 1 << 18]),
    );
    let line = "pack --folder folders --output shards --shorter-side 1";
    place
        .train(line)
        .is(1)
        .says("caused by: cannot scale image `folders/train/n00000001/long.png`")
        .says("caused by: an image of 1x2x131072 would be of 1x1x65536 when it is scaled")
        .says("hint: replace or remove the file");
    place
        .train(&format!("{line} --on-bad-image skip"))
        .is(0)
        .says("skipped: cannot scale image `folders/train/n00000001/long.png`")
        .says("30 images in 2 new shards, 1 skipped");
}

#[test]
fn a_flipped_bit_is_found() {
    let place = place_with_folders();
    pack(&place, "shards").is(0);
    let path = place.path("shards/train-000001.tar");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let verified = place.train("verify --shards shards").is(1);
    assert!(
        verified
            .stdout
            .contains("shards: `shards/train-000001.tar` expected sha256"),
        "{}",
        verified.stdout
    );
    assert!(
        verified
            .stdout
            .contains("shards: `shards/train-000000.tar` ok")
    );
}

/// Shards of which some are still to be written are not trained on.
#[test]
fn packing_that_is_not_at_its_end_is_refused() {
    let place = place_with_folders();
    pack(&place, "shards").is(0);
    let description = fs::read_to_string(place.path("shards/pack.json")).unwrap();
    let unfinished = description.replace("\"is_whole\": true", "\"is_whole\": false");
    place.write("shards/pack.json", unfinished);
    place
        .train("--config own.toml --set dataset={shards=\"shards\"}")
        .is(1)
        .says("caused by: not all shards are in `shards` yet")
        .says("hint: type the same `train pack` line again, which goes on");
}
