//! `train predict`: files, folders and raw tensors, and the photographs that PyTorch saw.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use models::weights::Weights;
use serde_json::Value;
use support::{Place, png, safetensors, skip};

/// A network of eight pixels a side, and a folder with two images of it and one that is torn.
fn place_with_images() -> Place {
    let place = Place::new();
    place.finished_run("run", "--config small.toml --set length.steps=1");
    let image = |value: u8| png(8, 8, &(0..64).map(|i| i * 3 + value).collect::<Vec<u8>>());
    place.write("images/b.png", image(0));
    place.write("images/a/2.PNG", image(60));
    place.write("images/a/notes.txt", "");
    place.write("images/torn.png", &image(9)[..60]);
    place
}

#[test]
fn a_folder_is_classified_and_what_is_torn_is_named() {
    let place = place_with_images();
    let told = place
        .train("predict --run run images --top 3 --format json")
        .is(1)
        .says("caused by: cannot decode image `images/torn.png`")
        .says("error: 1 of 3 images could not be read");
    let found = told.json();
    let names: Vec<&Value> = (0..2).map(|i| &found[i]["image"]).collect();
    assert_eq!(names, ["images/a/2.PNG", "images/b.png"]);
    let predictions = found[0]["predictions"].as_array().unwrap();
    let scores: Vec<f64> = predictions
        .iter()
        .map(|p| p["score"].as_f64().unwrap())
        .collect();
    assert!(
        scores.is_sorted_by(|a, b| a >= b) && scores.len() == 3,
        "{scores:?}"
    );

    let table = place
        .train("predict --run run images --top 3 --format csv")
        .is(1)
        .stdout;
    let first = &predictions[0];
    let mut lines = table.lines();
    assert_eq!(lines.next(), Some("image,rank,index,class,score"));
    let row = format!(
        "images/a/2.PNG,1,{},{},{}",
        first["index"],
        first["class"].as_str().unwrap(),
        first["score"]
    );
    assert_eq!(lines.next(), Some(row.as_str()));
    assert_eq!(table.lines().count(), 1 + 2 * 3);

    let text = place
        .train("predict --run run images/b.png --top 2")
        .is(0)
        .stdout;
    assert_eq!(text.lines().count(), 3);
    assert!(
        text.starts_with("images/b.png\n") && text.contains(" %  "),
        "{text}"
    );
}

/// An image of another size is scaled and cut; the flags say how.
#[test]
fn flags_frame_and_normalise_images() {
    let place = place_with_images();
    place.write("wide.png", png(20, 10, &[77; 200]));
    place
        .train("predict --run run wide.png --resize 9 --crop 8 --mean 0.5")
        .is(0)
        .says("images  resize 9x9 bilinear, center_crop 8x8, normalize mean [0.5] std ");
    place
        .train("predict --run run wide.png --resize 7")
        .is(2)
        .says("error: cannot cut 8x8 out of images that are scaled to cover 7x7")
        .says("hint: scale them to more, `--resize 8`, or cut out less, by `--crop N`");
}

#[test]
fn raw_tensors_get_the_scores_of_the_same_image() {
    let place = place_with_images();
    let pixels: Vec<u8> = (0..64).map(|i| i * 3).collect();
    let values = pixels
        .iter()
        .flat_map(|&v| (f32::from(v) / 255.0).to_le_bytes());
    let twice: Vec<u8> = values.clone().chain(values).collect();
    place.write(
        "x.safetensors",
        safetensors(&[("input", "F32", &[2, 1, 8, 8], twice)]),
    );
    place
        .train("predict --run run --input x.safetensors --output y.safetensors")
        .is(0);
    let written = Weights::read(&place.path("y.safetensors")).unwrap();
    let logits = &written.tensors["logits"];
    assert_eq!(logits.shape, [2, 10]);

    let line = "predict --run run images/b.png --mean 0 --std 1 --top 10 --format json";
    let found = place.train(line).is(0).json();
    let predictions = found[0]["predictions"].as_array().unwrap();
    let exponentials: Vec<f64> = logits.values[..10]
        .iter()
        .map(|v| f64::from(*v).exp())
        .collect();
    let sum: f64 = exponentials.iter().sum();
    for prediction in predictions {
        let index = prediction["index"].as_u64().unwrap() as usize;
        let score = prediction["score"].as_f64().unwrap();
        assert!(
            (exponentials[index] / sum - score).abs() < 1e-6,
            "{prediction}"
        );
    }
    assert_eq!(logits.values[..10], logits.values[10..]);

    place.write(
        "flat.safetensors",
        safetensors(&[("input", "F32", &[64], vec![0; 256])]),
    );
    place
        .train("predict --run run --input flat.safetensors --output y.safetensors")
        .is(1)
        .says("tensor `input` in `flat.safetensors` has the wrong shape: expected [N, C, H, W], found [64]")
        .says("hint: the file needs `input`, F32 of shape [N, C, H, W]");
}

/// Where `KILN_DATA_DIR` has the photographs, and `KILN_WEIGHTS_DIR` the weights, of `tests/goldens/predict.py`.
fn photographs_and_weights() -> Option<(PathBuf, PathBuf)> {
    let folder = |variable: &str, default: &str| {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        std::env::var_os(variable).map_or_else(|| here.join(default), PathBuf::from)
    };
    let photographs = folder("KILN_DATA_DIR", "datasets/cache").join("imagenet-samples");
    let weights = folder("KILN_WEIGHTS_DIR", "datasets/cache/weights")
        .join("squeezenet1_0_torchvision_keys_rgbnorm.pth");
    (photographs.is_dir() && weights.is_file()).then_some((photographs, weights))
}

/// How near the probabilities of PyTorch's first two classes are where another decoder may swap them.
const CLOSE: f64 = 0.02;
/// How far the probability of a class may be from PyTorch's.
const APART: f64 = 0.06;

#[test]
fn photographs_are_classified_as_pytorch_does() {
    let Some((photographs, weights)) = photographs_and_weights() else {
        return skip(
            "the photographs and SqueezeNet's weights are not here (tests/goldens/predict.py)",
        );
    };
    let place = Place::new();
    let found = place
        .train_with(&[
            "predict",
            "--model",
            "squeezenet1_0",
            "--weights",
            &weights.display().to_string(),
            "--crop",
            "227",
            "--format",
            "json",
            "--top",
            "1",
            &photographs.display().to_string(),
        ])
        .is(0)
        .json();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens/predict.json");
    let golden: Value = serde_json::from_str(&fs::read_to_string(golden).unwrap()).unwrap();
    let mut largest: f64 = 0.0;
    for classified in found.as_array().unwrap() {
        let path = Path::new(classified["image"].as_str().unwrap());
        let name = path.strip_prefix(&photographs).unwrap().to_str().unwrap();
        let (ours, theirs) = (&classified["predictions"][0], &golden["images"][name]);
        let difference = ours["score"].as_f64().unwrap() - theirs["score"].as_f64().unwrap();
        largest = largest.max(difference.abs());
        // Decoders of JPEG differ by a few levels: they may tip what PyTorch itself finds nearly equal.
        let is_close = theirs["second"].as_f64().unwrap() < CLOSE;
        assert!(ours["index"] == theirs["index"] || is_close, "{name}");
    }
    assert!(largest < APART, "probabilities are up to {largest} apart");
    assert_eq!(
        found.as_array().unwrap().len(),
        golden["images"].as_object().unwrap().len()
    );
}
