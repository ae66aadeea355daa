//! Training on a user's own files: tensors, a folder of idx files, folders of images.

mod support;

use std::f32::consts::PI;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use serde_json::Value;
use support::{Place, RunFolder, images_and_labels, png};

const SIDE: usize = 8;

/// Stripes that stand or lie, with a phase of their own: two classes that any convolution tells apart.
fn stripes(index: usize) -> (Vec<f32>, usize) {
    let (label, phase) = (index % 2, index as f32);
    let value = |place: usize| {
        let across = if label == 0 {
            place % SIDE
        } else {
            place / SIDE
        };
        0.5 + 0.5 * (PI / 2.0 * across as f32 + phase).sin()
    };
    ((0..SIDE * SIDE).map(value).collect(), label)
}

/// As [`stripes`], from 0 to 255.
fn grey_stripes(index: usize) -> (Vec<u8>, usize) {
    let (pixels, label) = stripes(index);
    (
        pixels.iter().map(|value| (value * 255.0) as u8).collect(),
        label,
    )
}

fn tensors(range: std::ops::Range<usize>) -> Vec<u8> {
    let (images, labels): (Vec<_>, Vec<_>) = range.map(stripes).unzip();
    let labels: Vec<i64> = labels.iter().map(|&label| label as i64).collect();
    images_and_labels([labels.len(), 1, SIDE, SIDE], &images.concat(), &labels)
}

/// A file of MNIST's layout: its dimensions, then its bytes.
fn idx(dimensions: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, dimensions.len() as u8];
    file.extend(
        dimensions
            .iter()
            .flat_map(|dimension| dimension.to_be_bytes()),
    );
    file.extend(bytes);
    file
}

fn write_idx(place: &Place, name: &str, range: std::ops::Range<usize>) {
    let (images, labels): (Vec<_>, Vec<_>) = range.map(grey_stripes).unzip();
    let (count, side) = (labels.len() as u32, SIDE as u32);
    let labels: Vec<u8> = labels.iter().map(|&label| label as u8).collect();
    place.write(
        &format!("{name}-images-idx3-ubyte"),
        idx(&[count, side, side], &images.concat()),
    );
    place.write(&format!("{name}-labels-idx1-ubyte"), idx(&[count], &labels));
}

fn write_images(place: &Place, folder: &str, range: std::ops::Range<usize>) {
    for index in range {
        let (pixels, label) = grey_stripes(index);
        let class = ["standing", "lying"][label];
        place.write(
            &format!("{folder}/{class}/{index}.png"),
            png(SIDE, SIDE, &pixels),
        );
    }
}

fn train(place: &Place, dataset: &str) -> RunFolder {
    place.write(
        "own.toml",
        format!(
            r#"
            model   = "resnet8"
            dataset = {dataset}
            batch   = 16
            length  = {{ steps = 20 }}
            [optimizer.sgd]
            momentum = 0.9
            [schedule.constant]
            rate = 0.05
            [eval]
            every = {{ steps = 20 }}
            [[augment.train]]
            normalize = "per-channel"
            [[augment.test]]
            normalize = "per-channel"
            "#
        ),
    );
    place.finished_run("run", "--config own.toml")
}

/// The network has learnt the two classes, in training and in `eval`.
fn assert_learnt(place: &Place, run: &RunFolder) {
    let top1 = run.events("eval").pop().unwrap()["top1"].as_f64().unwrap();
    assert!(top1 > 90.0, "{top1} %");
    let evaluated = place.train("eval --run run").is(0).json();
    assert_eq!(evaluated["top1"].as_f64(), Some(top1));
    assert_eq!(evaluated["images"], 32);
}

#[test]
fn tensors_train_and_are_evaluated() {
    let place = Place::new();
    place.write("train.safetensors", tensors(0..96));
    place.write("test.safetensors", tensors(96..128));
    let run = train(
        &place,
        r#"{ tensors = "train.safetensors", test = "test.safetensors" }"#,
    );
    assert_learnt(&place, &run);
}

/// The recipe's paths go from where the run was started, or from here where all of it was moved.
#[test]
fn a_run_finds_its_dataset_from_another_folder() {
    let place = Place::new();
    place.write("project/train.safetensors", tensors(0..32));
    place.write("project/test.safetensors", tensors(32..48));
    let recipe = r#"
        model   = "resnet8"
        dataset = { tensors = "train.safetensors", test = "test.safetensors" }
        batch   = 16
        length  = { steps = 1 }
        [optimizer.sgd]
        [schedule.constant]
        rate = 0.05
    "#;
    place.write("project/own.toml", recipe);
    place
        .train_in("project", "--config own.toml --run-dir run")
        .is(0);
    let evaluated = place.train("eval --run project/run").is(0).json();
    assert_eq!(evaluated["images"], 16);
    place
        .train("features --run project/run --at stage1 --output features.safetensors")
        .is(0);

    fs::rename(place.path("project"), place.path("moved")).unwrap();
    place.train_in("moved", "eval --run run").is(0);
    place
        .train("eval --run moved/run")
        .is(1)
        .says("caused by: `train.safetensors` does not exist");
    // A plan of before there was `started_in`.
    let plan = String::from_utf8(place.run("moved/run").bytes("plan.toml")).unwrap();
    let lines = plan.lines().filter(|line| !line.starts_with("started_in"));
    place.write("moved/run/plan.toml", lines.collect::<Vec<_>>().join("\n"));
    place.train_in("moved", "eval --run run").is(0);
}

#[test]
fn tensors_without_a_test_split_train_and_are_not_evaluated() {
    let place = Place::new();
    place.write("train.safetensors", tensors(0..96));
    let run = train(&place, r#"{ tensors = "train.safetensors" }"#);
    assert!(run.events("eval").is_empty());
    assert!(!run.join("evaluation.json").exists());
    assert!(run.join("model.safetensors").exists() && run.join("report.html").exists());
    let resumed = place
        .train("--config own.toml --run-dir run --resume")
        .is(0);
    assert_eq!(resumed.stderr, "the run in `run` is finished\n");

    place
        .train("eval --run run")
        .is(2)
        .says("error: the dataset has no test split\n\nhint: use `--split train`");
    let top1 = place.train("eval --run run --split train").is(0).json()["top1"].as_f64();
    assert!(top1.is_some_and(|top1| top1 > 90.0), "{top1:?} %");
}

#[test]
fn a_folder_of_idx_files_trains() {
    let place = Place::new();
    write_idx(&place, "mine/train", 0..96);
    write_idx(&place, "mine/t10k", 96..128);
    let run = train(&place, r#"{ idx = "mine" }"#);
    assert_learnt(&place, &run);
}

#[test]
fn folders_of_images_train_and_their_classes_have_names() {
    let place = Place::new();
    write_images(&place, "mine/train", 0..96);
    write_images(&place, "mine/test", 96..128);
    let run = train(&place, r#"{ folder = "mine" }"#);
    assert_learnt(&place, &run);
    let predicted = place.train("predict --run run mine/test/lying/97.png --format json");
    assert_eq!(
        predicted.is(0).json()[0]["predictions"][0]["class"],
        "lying"
    );
    draws_where_a_class_is(&place);
}

/// As [`grey_stripes`], in an image of a size of its own.
fn write_images_of_any_size(place: &Place, folder: &str, range: std::ops::Range<usize>) {
    for index in range {
        let (width, height, label) = (10 + index % 5, 9 + index % 7, index % 2);
        let pixels = (0..width * height).map(|at| {
            let across = if label == 0 { at % width } else { at / width };
            (127.5 + 127.5 * (PI / 2.0 * across as f32 + index as f32).sin()) as u8
        });
        let class = ["standing", "lying"][label];
        place.write(
            &format!("{folder}/{class}/{index}.png"),
            png(width, height, &pixels.collect::<Vec<_>>()),
        );
    }
}

const ANY_SIZE: &str = r#"
    model   = "resnet8"
    dataset = { folder = "mine" }
    batch   = 16
    length  = { steps = 20 }
    [optimizer.sgd]
    momentum = 0.9
    [schedule.constant]
    rate = 0.05
    [eval]
    every = { steps = 20 }
    [[augment.train]]
    random_resized_crop = { size = 8, scale = [0.6, 1], ratio = [0.75, 1.3333], interpolation = "bilinear" }
    [[augment.train]]
    normalize = "per-channel"
    [[augment.test]]
    resize = { size = 9, interpolation = "bilinear" }
    [[augment.test]]
    center_crop = { size = 8 }
    [[augment.test]]
    normalize = "per-channel"
"#;

#[test]
fn images_of_any_size_train_and_are_evaluated_as_in_training() {
    let place = Place::new();
    write_images_of_any_size(&place, "mine/train", 0..96);
    write_images_of_any_size(&place, "mine/val", 96..128);
    place.write("own.toml", ANY_SIZE);
    let run = place.finished_run("run", "--config own.toml");
    assert_learnt(&place, &run);
    let several = place.finished_run("several", "--config own.toml --workers 3");
    assert_eq!(
        run.bytes("model.safetensors"),
        several.bytes("model.safetensors")
    );
    let predicted = place.train("predict --run run mine/val/lying/97.png --format json");
    predicted
        .is(0)
        .says("images  resize 9x9 bilinear, center_crop 8x8, normalize");
    let lines = [
        "features --run run --at stage1 --output features.safetensors",
        "convert --run run --output again.safetensors",
        "eval --weights again.safetensors --folder mine/val",
    ];
    for line in lines {
        place.train(line).is(0);
    }
}

#[test]
fn images_of_any_size_are_not_trained_on_as_they_are() {
    let place = Place::new();
    write_images_of_any_size(&place, "mine/train", 0..32);
    write_images_of_any_size(&place, "mine/test", 32..40);
    place.write("own.toml", ANY_SIZE);
    let any = "cannot use recipe `own.toml`\n  caused by: `augment.";
    let train = |set: &str| place.train(&format!("--config own.toml --set {set}")).is(2);
    train("augment.train=[{flip={probability=0.5}}]")
        .says(&format!("error: {any}train`"))
        .says("hint: add `random_resized_crop = { .. }`, or `scale_jitter = { .. }` to `[[augment.train]]`");
    train("augment.test=[{center_crop={size=8}}]")
        .says(&format!("error: {any}test`"))
        .says(
            "hint: add first `resize = { .. }`, then `center_crop = { .. }`, to `[[augment.test]]`",
        );
    train("augment.train.1.normalize=per-pixel-mean").says("which have no mean image");
    // A crop that the smaller ones of the images have no room for.
    place
        .train("--config own.toml --set augment.train.0={random_crop={size=10,padding=0}}")
        .is(1)
        .says("`random_crop` of 10x10 does not fit an image of 1x9x");
}

/// An empty file, one that is no image, and one that ends too early: the run that skips them says which, and is the same
/// for any number of workers.
#[test]
fn images_that_cannot_be_read_are_skipped_where_the_recipe_says_so() {
    let place = Place::new();
    write_images_of_any_size(&place, "mine/train", 0..48);
    write_images_of_any_size(&place, "mine/val", 48..56);
    place.write("mine/train/lying/1000.jpg", "");
    place.write("mine/train/standing/1000.png", "no image");
    let whole = png(9, 9, &[7; 81]);
    place.write("mine/val/lying/1000.png", &whole[..whole.len() - 24]);
    place.write("own.toml", ANY_SIZE);
    place
        .train("--config own.toml")
        .is(1)
        .says("error: 2 images of the dataset cannot be read, of which this is the first")
        .says("caused by: cannot decode image `mine/train/lying/1000.jpg`")
        .says("caused by: the file is empty")
        .says("hint: replace or remove the file, or leave such images out and be told which: `on_bad_image = \"skip\"`");

    let run = place.finished_run("run", "--config own.toml --set on_bad_image=skip");
    let notes: Vec<String> = (run.events("note").iter())
        .map(|note| note["text"].as_str().unwrap().to_owned())
        .collect();
    for skipped in [
        "of the train split: cannot decode image `mine/train/lying/1000.jpg`",
        "of the train split: cannot decode image `mine/train/standing/1000.png`",
        "of the test split: cannot decode image `mine/val/lying/1000.png`",
    ] {
        assert!(
            notes.iter().any(|note| note.ends_with(skipped)),
            "{notes:?}"
        );
    }
    assert_eq!(
        notes.last().unwrap(),
        "3 images could not be read and were skipped"
    );
    assert_eq!(run.events("eval").pop().unwrap()["images"], 8);
    let several = place.finished_run(
        "several",
        "--config own.toml --set on_bad_image=skip --workers 3",
    );
    assert_eq!(
        run.bytes("model.safetensors"),
        several.bytes("model.safetensors")
    );
}

/// mixup, cutmix and repeated images: the run is the same for any number of workers.
#[test]
fn mixed_batches_train() {
    let place = Place::new();
    write_images(&place, "mine/train", 0..96);
    write_images(&place, "mine/test", 96..128);
    let mixed = r#"
        [augment]
        repeated_augmentation = 2
        mix   = [{ mixup = { alpha = 0.2 } }, { cutmix = { alpha = 1 } }]
        train = [
            { color_jitter = { brightness = 0.2 } },
            { normalize = "per-channel" },
            { random_erasing = { probability = 0.5, scale = [0.02, 0.2], ratio = [0.3, 3.3], value = "random" } },
        ]
        test  = [{ normalize = "per-channel" }]
    "#;
    let head = &ANY_SIZE[..ANY_SIZE.find("[[augment").unwrap()];
    let recipe = format!("{head}{mixed}").replace("steps = 20", "steps = 60");
    place.write("own.toml", recipe);
    let run = place.finished_run("run", "--config own.toml");
    assert_learnt(&place, &run);
    let several = place.finished_run("several", "--config own.toml --workers 3");
    assert_eq!(
        run.bytes("model.safetensors"),
        several.bytes("model.safetensors")
    );
    place
        .train("--config own.toml --set augment.train.2={rand_augment={num_ops=2,magnitude=9,num_magnitude_bins=31}}")
        .is(2)
        .says("changes bytes, which `normalize` makes numbers of")
        .says("hint: put it before `normalize`");
}

/// On an image whose left half lies and whose right half stands.
fn draws_where_a_class_is(place: &Place) {
    const HALF: usize = 4 * SIDE;
    let both = (0..HALF * 2 * HALF).map(|at| {
        let (row, column) = (at / (2 * HALF), at % (2 * HALF));
        let across = if column < HALF { row } else { column };
        (127.5 + 127.5 * (PI / 2.0 * across as f32 + 1.0).sin()) as u8
    });
    place.write("both.png", png(2 * HALF, HALF, &both.collect::<Vec<_>>()));
    for (class, is_left) in [("lying", true), ("0", true), ("standing", false)] {
        let line = format!("predict --run run --dense --heatmap seen.png --class {class} both.png");
        place.train(&line).is(0).says("map     8x16 places");
        let [left, right] = greens(&place.path("seen.png"));
        assert_eq!(left > right, is_left, "{class}: {left} and {right}");
    }
    place
        .train("predict --run run --dense --heatmap seen.png --class lyng both.png")
        .is(2)
        .says("error: the network has no class `lyng`\n\nhint: did you mean `lying`?");
    place
        .train("predict --run run --dense --heatmap seen.png --class 2 both.png")
        .is(2)
        .says("error: the network has no class `2`\n\nhint: name one of its classes, or give a number from 0 to 1");
    place
        .train("predict --run run --dense --heatmap nowhere/seen.png both.png")
        .is(1)
        .says("error: cannot write the heatmap");
    place
        .train("predict --run run --dense --heatmap seen.png both.png mine/test")
        .is(2)
        .says("error: `--heatmap` draws one image, found 33");
    place
        .train("predict --run run --dense --resize 16 both.png")
        .is(0)
        .says("map     4x8 places");
}

/// The mean green of the left and the right half of a PNG file, which is the more the higher the map is.
fn greens(path: &Path) -> [f64; 2] {
    let file = BufReader::new(File::open(path).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    let (width, height) = (info.width as usize, info.height as usize);
    let mut sums = [0.0; 2];
    for (at, pixel) in pixels.chunks_exact(3).enumerate() {
        sums[usize::from(at % width >= width / 2)] += f64::from(pixel[1]);
    }
    sums.map(|sum| sum / (width / 2 * height) as f64)
}

/// Its header is whole, so that it shows only when it is wanted: the run stops, and no other image takes its place.
#[test]
fn an_image_that_cannot_be_read_stops_the_run() {
    let place = Place::new();
    write_images(&place, "mine/train", 0..32);
    let (pixels, _) = grey_stripes(32);
    let whole = png(SIDE, SIDE, &pixels);
    place.write("mine/train/lying/torn.png", &whole[..whole.len() - 24]);
    place.write("own.toml", "");
    place.write(
        "own.toml",
        r#"
        model   = "resnet8"
        dataset = { folder = "mine" }
        batch   = 8
        length  = { epochs = 1 }
        [optimizer.sgd]
        [schedule.constant]
        rate = 0.1
        "#,
    );
    for workers in [0, 2] {
        place
            .train(&format!(
                "--config own.toml --run-dir run-{workers} --workers {workers}"
            ))
            .is(1)
            .says("error: cannot read the images")
            .says("caused by: cannot decode image `mine/train/lying/torn.png`")
            .says("hint: replace or remove the file, or leave such images out");
    }
}

/// A made tree of ImageNet's layout: photographs in name, of every kind that ImageNet has.
fn write_imagenet(place: &Place) {
    let kinds = [
        (
            "1.JPEG",
            include_bytes!("goldens/images/baseline.jpg").as_slice(),
        ),
        ("2.JPEG", include_bytes!("goldens/images/progressive.jpg")),
        ("3.JPEG", include_bytes!("goldens/images/cmyk.jpg")),
        ("4.JPEG", include_bytes!("goldens/images/grey.jpg")),
        (
            "5.JPEG",
            include_bytes!("goldens/images/png_in_disguise.JPEG"),
        ),
    ];
    for class in ["n01440764", "n01443537", "n01484850"] {
        for (name, bytes) in kinds {
            for split in ["train", "val"] {
                place.write(&format!("tree/{split}/{class}/{name}"), bytes);
            }
        }
    }
}

#[test]
#[ignore = "large networks: minutes and six gigabytes"]
fn every_recipe_for_imagenet_takes_steps() {
    let place = Place::new();
    write_imagenet(&place);
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/imagenet");
    let mut count = 0;
    for recipe in fs::read_dir(recipes).unwrap() {
        let path = recipe.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let mut line = format!("--config imagenet/{name}.toml");
        let held_out = text
            .contains("\nvalidation")
            .then_some("validation.images=3");
        let cut = text.contains("\naccumulate").then_some("accumulate=2");
        let always = ["dataset={folder=\"tree\"}", "batch=4", "length={steps=2}"];
        for set in always.into_iter().chain(held_out).chain(cut) {
            line.push_str(&format!(" --set {set}"));
        }
        let run = place.finished_run(&name, &line);
        let steps = run.events("step");
        let has_loss = |step: Option<&Value>| step.is_some_and(|step| step["loss"].is_number());
        assert!(has_loss(steps.last()), "{name}");
        count += 1;
    }
    assert!(count >= 10, "found {count} recipes");
}
