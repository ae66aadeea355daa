//! `train eval`: views of images, folders of them, and several networks together.

#[path = "../crates/models/tests/support/mod.rs"]
mod reference;
mod support;

use std::collections::BTreeMap;
use std::fs;

use burn::tensor::Device;
use models::registry;
use models::weights::Weights;
use serde::Deserialize;
use serde_json::Value;
use support::{Place, images_and_labels, png};

const GOLDENS: &str = include_str!("goldens/views.json");

/// Kiln computes in single precision, PyTorch computed in double.
const TOLERANCE: f64 = 1e-6;
/// Of images that are scaled: of noise, where a pixel may be a level away from Pillow's.
const TOLERANCE_SCALED: f64 = 2e-3;

const AGAIN: &str =
    "to make the goldens again: `python tests/goldens/views.py` (tests/goldens/README.md)";

#[derive(Deserialize)]
struct Goldens {
    torch: String,
    sizes: Vec<[usize; 2]>,
    unscaled: BTreeMap<String, f64>,
    scaled: BTreeMap<String, f64>,
}

/// A network of digits of 8x8, trained for a second.
fn place_with_a_run() -> Place {
    let place = Place::new();
    place.finished_run("run", "--config small.toml");
    place
}

fn figure(found: &Value, name: &str) -> f64 {
    found[name]
        .as_f64()
        .unwrap_or_else(|| panic!("no `{name}` in {found}"))
}

fn losses(place: &Place, line: &str) -> f64 {
    figure(&place.train(line).is(0).json(), "loss")
}

#[test]
fn views_are_averaged_as_with_pytorch() {
    let goldens: Goldens = serde_json::from_str(GOLDENS).unwrap();
    let place = Place::new();
    let lenet = &registry::find("lenet5").unwrap().architecture;
    let lenet = reference::filled(reference::build(lenet, &Device::flex()), 1.0);
    place.write("w.safetensors", Weights::of(&lenet).to_safetensors());
    for (class, [height, width]) in goldens.sizes.into_iter().enumerate() {
        let name = format!("image{class}");
        let pixels = reference::uniform(&name, height * width);
        let pixels: Vec<u8> = pixels.map(|u| (256.0 * u) as u8).collect();
        place.write(
            &format!("images/{class}/a.png"),
            png(width, height, &pixels),
        );
    }
    let unscaled = goldens.unscaled.iter().zip([TOLERANCE; 6]);
    let scaled = goldens.scaled.iter().zip([TOLERANCE_SCALED; 4]);
    for ((flags, expected), tolerance) in unscaled.chain(scaled) {
        let line = "eval --model lenet5 --weights w.safetensors --mean 0.5 --std 0.25";
        let evaluated = place.train(&format!("{line} --folder images {flags}"));
        let evaluated = evaluated.is(0).json();
        let (found, torch) = (figure(&evaluated, "loss"), &goldens.torch);
        assert!(
            (found - expected).abs() < tolerance * expected,
            "`{flags}`: PyTorch {torch} has {expected}, found {found}\n{AGAIN}"
        );
        let view = evaluated["view"].as_str().unwrap();
        assert!(flags.starts_with(&format!("--view {view}")), "{flags}");
    }
}

#[test]
fn a_datasets_images_are_seen_as_they_are_or_enlarged() {
    let place = place_with_a_run();
    let plain = place
        .train("eval --run run")
        .is(0)
        .says("run  middle of 8x8, normalize mean [")
        .json();
    let journal = place.run("run").events("eval").pop().unwrap();
    assert_eq!(plain["top1"], journal["top1"]);
    for line in [
        "--view ten-crop --padding 1",
        "--view ten-crop --resize 9",
        "--view five-random --padding 1",
        "--view multi-scale --scales 8,9,10",
        "--view multi-crop --scales 9,10",
    ] {
        let found = place.train(&format!("eval --run run {line}")).is(0).json();
        assert_ne!(figure(&found, "loss"), figure(&plain, "loss"), "{line}");
        assert!(figure(&found, "top1") > 30.0, "{line}: {found}");
    }
    place
        .train("eval --run run --view multi-scale --scales 8,10")
        .is(0)
        .says("run  resize 8x8 | 10x10 bilinear, the whole image, mirrored too, normalize mean [");
    place
        .train("eval --run run --view ten-crop --resize 9 --format text")
        .is(0)
        .says(
            "run  resize 9x9 bilinear, corners and middle of 8x8, mirrored too, normalize mean [",
        );
}

#[test]
fn random_views_are_the_same_whatever_the_threads_and_the_batch() {
    let place = place_with_a_run();
    let line = "eval --run run --view five-random --padding 1";
    let expected = place.train(line).is(0).json();
    for threads in [1, 3] {
        let again = place.train(&format!("{line} --threads {threads}")).is(0);
        assert_eq!(again.json(), expected, "{threads} threads");
    }
    // A matrix product of other batches is summed in another order.
    for batch in [7, 500] {
        let found = losses(&place, &format!("{line} --batch {batch}"));
        assert!((found - figure(&expected, "loss")).abs() < 1e-6, "{found}");
    }
}

/// The probability of each class, by `predict`.
fn predicted(place: &Place, line: &str) -> Vec<f64> {
    let found = place.train(&format!("predict {line} --top 10 --format json"));
    let found = found.is(0).json();
    let predictions = found[0]["predictions"].as_array().unwrap();
    let mut probabilities = vec![0.0; 10];
    for prediction in predictions {
        let index = prediction["index"].as_u64().unwrap() as usize;
        probabilities[index] = figure(prediction, "score");
    }
    probabilities
}

/// Trained in one second each, from other weights.
#[test]
fn an_ensemble_is_the_mean_of_probabilities() {
    let place = place_with_a_run();
    place.finished_run("other", "--config small.toml --seed 5");
    let mut expected = 0.0;
    for class in 0..5_u8 {
        let pixels: Vec<u8> = (0..64)
            .map(|i: u8| i.wrapping_mul(37 + 2 * class))
            .collect();
        let image = format!("images/{class}/a.png");
        place.write(&image, png(8, 8, &pixels));
        let of = |run: &str| predicted(&place, &format!("--run {run} {image}"))[usize::from(class)];
        expected -= f64::midpoint(of("run"), of("other")).ln() / 5.0;
    }
    let line = "eval --run run --run other --folder images";
    assert!((losses(&place, line) - expected).abs() < 1e-5 * expected);

    let together = place.train("eval --run run --run other").is(0).json();
    for (member, run) in together["members"]
        .as_array()
        .unwrap()
        .iter()
        .zip(["run", "other"])
    {
        let alone = place.train(&format!("eval --run {run}")).is(0).json();
        assert_eq!(*member, alone["members"][0]);
    }
    let table = place
        .train("eval --run run --run other --format text")
        .is(0)
        .stdout;
    let row = |name: &str, of: &Value| {
        let (top1, top5, loss) = (figure(of, "top1"), figure(of, "top5"), figure(of, "loss"));
        format!("{name:<14}  {top1:>6.2} %  {top5:>6.2} %  {loss:>7.4}")
    };
    let expected = [
        format!("{:<14}  {:>8}  {:>8}  {:>7}", "", "top-1", "top-5", "loss"),
        row("run", &together["members"][0]),
        row("other", &together["members"][1]),
        row("all 2 together", &together),
        "on 599 images, center".to_owned(),
    ];
    assert_eq!(table.lines().collect::<Vec<_>>(), expected);
}

/// One of them sees colour of 12x12, scaled and cut by itself.
#[test]
fn members_of_an_ensemble_have_their_own_preprocessing() {
    let place = place_with_a_run();
    let pixels: Vec<f32> = (0..10 * 3 * 144).map(|i| (i % 17) as f32 / 17.0).collect();
    let labels: Vec<i64> = (0..10).collect();
    let file = images_and_labels([10, 3, 12, 12], &pixels, &labels);
    place.write("colour.safetensors", file);
    place.finished_run(
        "colour",
        "--config small.toml --set dataset={tensors=\"colour.safetensors\"} --set batch=4 \
         --set accumulate=1 --set validation.images=2 --set length.steps=3 --set augment={train=[],test=[]}",
    );
    place.write("images/4/a.png", png(20, 16, &[90; 320]));
    let together = place
        .train("eval --run run --run colour --folder images")
        .is(0)
        .says("run  resize 8x8 bilinear, middle of 8x8, normalize mean [")
        .says("colour  resize 12x12 bilinear, middle of 12x12\n");
    let of = |run: &str| predicted(&place, &format!("--run {run} images/4/a.png"))[4];
    let expected = -f64::midpoint(of("run"), of("colour")).ln();
    assert!((figure(&together.json(), "loss") - expected).abs() < 1e-5 * expected);

    place
        .train("eval --run run --run colour")
        .is(2)
        .says("error: runs `run` and `colour` are of different datasets\n\nhint: name one by `--dataset NAME`");
    place
        .train("eval --run run --run colour --split validation --dataset digits")
        .is(2)
        .says("error: runs `run` and `colour` hold out different images");
}

#[test]
fn model_files_make_an_ensemble() {
    let place = place_with_a_run();
    fs::copy(
        place.path("run/model.safetensors"),
        place.path("twin.safetensors"),
    )
    .unwrap();
    let alone = losses(&place, "eval --run run");
    let named = "--model resnet8 --weights twin.safetensors";
    for line in [
        "eval --dataset digits --weights twin.safetensors --weights run/model.safetensors"
            .to_owned(),
        format!("eval --dataset digits {named} {named} --mean 0.3053 --std 0.3759"),
    ] {
        let found = place.train(&line).is(0).json();
        assert_eq!(found["members"].as_array().unwrap().len(), 2);
        assert!(
            (figure(&found, "loss") - alone).abs() < 1e-2,
            "{line}: {found}"
        );
    }
    place
        .train("eval --dataset digits --model resnet8 --weights a.pth --weights b.pth")
        .is(2)
        .says("error: expected a file of weights for each network\n  caused by: found 1 of `--model`, 2 of `--weights`");
    place
        .train("predict --run run --run other a.png")
        .is(2)
        .says(
            "error: several networks are named, expected one\n\nhint: `train eval` takes several",
        );
}

#[test]
fn networks_of_other_classes_make_no_ensemble() {
    let place = place_with_a_run();
    let pixels: Vec<f32> = (0..6 * 64).map(|i| (i % 7) as f32 / 7.0).collect();
    let three = images_and_labels([6, 1, 8, 8], &pixels, &[0, 1, 2, 0, 1, 2]);
    place.write("three.safetensors", three);
    place.finished_run(
        "three",
        "--config small.toml --set dataset={tensors=\"three.safetensors\"} --set batch=2 \
         --set accumulate=1 --set validation.images=2 --set length.steps=1",
    );
    place
        .train("eval --run run --run three --folder images")
        .is(2)
        .says("error: `run` and `three` do not know the same classes\n  caused by: 10 classes of the one, 3 of the other");
}

#[test]
fn views_that_make_no_sense_say_why() {
    let place = place_with_a_run();
    for (line, said) in [
        (
            "--view ten-crop",
            "error: the views do not fit the images\n  caused by: no room for several parts of 8x8 in an image of 8x8\n\n\
             hint: scale the images to 9 or more, by `--resize` or `--scales`, pad them, by `--padding`, or cut out less, by `--crop`",
        ),
        (
            "--view multi-scale",
            "error: `run` has no scales of its own: its paper looks at images at one\n\n\
             hint: name pixels of the shorter side, for example `--scales 256,384,512`",
        ),
        (
            "--view dense --crop 7",
            "error: `--crop` does not go with `--view dense`\n\n\
             hint: it goes with center, ten-crop, five-random, multi-crop",
        ),
        (
            "--scales 8,9",
            "error: `--scales` does not go with `--view center`",
        ),
        (
            "--view ten-crop --padding 5000",
            "caused by: `padding` of `view` is out of range: expected 0 to 4096, found 5000",
        ),
        (
            "--view multi-scale --scales 5000",
            "caused by: `height` of `resize` is out of range",
        ),
        (
            "--view multi-scale --scales 0",
            "error: invalid value '0' for '--scales <N,..>'",
        ),
        (
            "--crop 9",
            "error: cannot cut 9x9 out of images that are scaled to cover 8x8",
        ),
        (
            "--view multi-crop --crop 8 --scales 7",
            "caused by: no room for several parts of 8x8 in an image of 7x7",
        ),
        (
            "--view all",
            "[possible values: center, ten-crop, five-random, dense, multi-scale, multi-crop, mirror-translate]",
        ),
        ("--folder images --split train", "cannot be used with"),
    ] {
        place
            .train(&format!("eval --run run {line}"))
            .is(2)
            .says(said);
    }
}

#[test]
fn folders_of_images_have_the_networks_classes() {
    let place = place_with_a_run();
    place.write("images/3/a.png", png(9, 8, &[7; 72]));
    place.train("eval --run run --folder images").is(0);
    place.write("images/eleven/a.png", png(8, 8, &[7; 64]));
    place.write("torn/3/a.png", png(8, 8, &[7; 64]));
    place.write("torn/4/b.png", "no image");
    place.write("bare/a.png", png(8, 8, &[7; 64]));
    fs::create_dir_all(place.path("empty/3")).unwrap();
    for (folder, said) in [
        (
            "images",
            "caused by: class `eleven` in `images` is not a class of the network",
        ),
        ("torn", "caused by: cannot decode image `torn/4/b.png`"),
        (
            "nowhere",
            "caused by: no PNG or JPEG images in `nowhere`\n\nhint: images lie in class folders, `CLASS/*.png`",
        ),
        ("bare", "caused by: no PNG or JPEG images in `bare`"),
        ("empty", "caused by: no PNG or JPEG images in `empty/3`"),
    ] {
        place
            .train(&format!("eval --run run --folder {folder}"))
            .is(1)
            .says(said);
    }
}
