//! `train study`, on networks that train in a second.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use support::{Place, images_and_labels};

const LINE: &str = "study degradation --config study.toml --run-dir runs";

const STUDY: &str = r#"
study  = "degradation"
title  = "small networks"
about  = "Do shortcuts help?"
recipe = "small.toml"
set    = ["length={ steps = 12 }", "eval.every={ steps = 4 }"]
seeds  = 2
factor = ["model"]

[[experiment]]
name   = "plain-8"
series = "plain"
depth  = 8
set    = ["model=plain8"]

[[experiment]]
name   = "residual-8"
series = "residual"
depth  = 8

[[effect]]
says   = "shortcuts help"
worse  = "plain-8"
better = "residual-8"

[[effect]]
says   = "shortcuts make it easier to fit"
of     = "train"
worse  = "plain-8"
better = "residual-8"
"#;

fn place() -> Place {
    let place = Place::new();
    place.write("study.toml", STUDY);
    place
}

#[test]
fn a_study_is_run_and_written_down() {
    let place = place();
    let said = place.train(&format!("{LINE} --format json")).is(0);
    let summary = said.json();
    let effects = summary["effects"].as_array().unwrap();
    assert_eq!(effects.len(), 2);
    for effect in effects {
        let [low, value, high] = ["low", "value", "high"].map(|key| effect[key].as_f64().unwrap());
        assert!(low < value && value < high, "{effect}");
        assert_eq!(effect["n"], 2);
    }
    let rows = |name: &str| {
        let text = fs::read_to_string(place.path(format!("runs/{name}.csv"))).unwrap();
        text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(rows("results").len(), 2);
    assert_eq!(rows("runs").len(), 4);
    // Every other of 12 steps is logged, every fourth evaluated.
    assert_eq!(rows("curves").len(), 4 * (6 + 3));
    let test_errors = rows("runs").into_iter().map(|row| {
        let error = row.rsplit(',').next().unwrap().parse::<f64>();
        error.unwrap()
    });
    let test_errors: Vec<f64> = test_errors.collect();
    let difference = (test_errors[0] + test_errors[1] - test_errors[2] - test_errors[3]) / 2.0;
    let value = effects[0]["value"].as_f64().unwrap();
    assert!((difference - value).abs() < 1e-9, "{difference}, {value}");
    for figure in [
        "training-error",
        "test-error",
        "training-error-by-depth",
        "test-error-by-depth",
    ] {
        for ending in ["svg", "png"] {
            assert!(
                place.path(format!("runs/{figure}.{ending}")).is_file(),
                "{figure}.{ending}"
            );
        }
    }
    let page = fs::read_to_string(place.path("runs/report.html")).unwrap();
    for part in [
        "Do shortcuts help?",
        "plain-8 minus residual-8",
        "<svg",
        "residual-8",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let again = place.train(&format!("{LINE} --format json")).is(0);
    assert_eq!(again.stdout, said.stdout, "nothing was run again");
}

#[test]
fn one_run_has_no_interval() {
    let said = place().train(&format!("{LINE} --seeds 1")).is(0);
    assert!(
        said.stdout.contains("of one run each: no interval"),
        "{}",
        said.stdout
    );
}

#[test]
fn what_differs_in_more_than_the_factor_is_not_compared() {
    let place = place();
    let other = STUDY.replace(r#"["model=plain8"]"#, r#"["model=plain8", "batch=64"]"#);
    place.write("study.toml", other);
    let said = place.train(LINE).is(2);
    assert!(
        said.stderr.contains("`batch` was `64`, is `32`"),
        "{}",
        said.stderr
    );
    assert!(!place.path("runs").exists(), "nothing ran");
}

#[test]
fn a_run_that_diverged_is_shown_and_not_compared() {
    let place = place();
    let wild = STUDY.replace(
        r#"["model=plain8"]"#,
        r#"["model=plain8", "schedule.cosine.start=1e30"]"#,
    );
    place.write(
        "study.toml",
        wild.replace(r#"["model"]"#, r#"["model", "schedule"]"#),
    );
    let said = place.train(&format!("{LINE} --seeds 1")).is(0);
    assert!(
        said.stdout.contains("some runs diverged"),
        "{}",
        said.stdout
    );
    assert!(
        fs::read_to_string(place.path("runs/report.html"))
            .unwrap()
            .contains("diverged")
    );
}

/// A study of the networks that `kind` looks into, trained for 12 steps.
fn study_of(kind: &str) -> Place {
    let place = place();
    let study = STUDY
        .replace(r#""degradation""#, &format!("{kind:?}"))
        .replace("seeds  = 2", "seeds  = 2\nimages = 64\nsamples = 2");
    place.write("study.toml", study);
    place
}

fn rows(place: &Place, name: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(place.path(format!("runs/{name}.csv"))).unwrap();
    let lines = text.lines().skip(1);
    lines
        .map(|line| line.split(',').map(str::to_owned).collect())
        .collect()
}

#[test]
fn blocks_are_deleted_from_what_was_trained() {
    let place = study_of("lesion");
    let all_images = fs::read_to_string(place.path("study.toml")).unwrap();
    place.write("study.toml", all_images.replace("images = 64\n", ""));
    let line = LINE.replace("degradation", "lesion");
    place.train(&line).is(0);
    let results = rows(&place, "results");
    assert_eq!(results.len(), 4, "two networks of two seeds");
    // With nothing deleted, the error is that of `eval`.
    for result in &results {
        let [name, seed, _, error, ..] = result.as_slice() else {
            panic!("{result:?}");
        };
        let eval = place
            .train(&format!("eval --run runs/{name}-s{seed}"))
            .is(0)
            .json();
        assert_eq!(
            100.0 - eval["top1"].as_f64().unwrap(),
            error.parse::<f64>().unwrap()
        );
    }
    // A plain network of three blocks has one that keeps the shape, a residual one can lose all.
    let deleted = rows(&place, "one-deleted");
    let of = |name: &str| deleted.iter().filter(|row| row[0] == name).count();
    assert_eq!((of("plain-8"), of("residual-8")), (2, 6));
    assert!(place.path("runs/one-deleted.svg").is_file());
}

#[test]
fn gradients_are_followed_along_paths() {
    let place = study_of("paths");
    let line = LINE.replace("degradation", "paths");
    let said = place.train(&line).is(2);
    assert!(
        said.stderr.contains("`plain-8` has one path alone"),
        "{}",
        said.stderr
    );
    let both_residual = fs::read_to_string(place.path("study.toml")).unwrap();
    place.write(
        "study.toml",
        both_residual.replace("model=plain8", "model=resnet8"),
    );
    let said = place.train(&line).is(2);
    let same = "`plain-8` and `residual-8` do not differ";
    assert!(said.stderr.contains(same), "{}", said.stderr);
    let projected = "model={ name = 'resnet8', shortcut = 'B' }";
    place.write(
        "study.toml",
        both_residual.replace("model=plain8", projected),
    );
    assert!(
        !place.path("runs").exists(),
        "nothing is trained for nothing"
    );
    place.train(&line).is(0);
    let paths = rows(&place, "paths");
    // Two names of two seeds, with paths through none to three blocks.
    assert_eq!(paths.len(), 2 * 2 * 4);
    for network in paths.chunks(4) {
        let sum = |column: usize| {
            let values = network
                .iter()
                .map(|row| row[column].parse::<f64>().unwrap());
            values.sum::<f64>()
        };
        assert!(
            (sum(3) - 1.0).abs() < 1e-9 && (sum(5) - 1.0).abs() < 1e-9,
            "{network:?}"
        );
    }
}

#[test]
fn layers_are_measured_one_by_one() {
    let place = study_of("gradients");
    let summary = place.train(&format!(
        "{} --format json",
        LINE.replace("degradation", "gradients")
    ));
    let summary = summary.is(0).json();
    assert_eq!(summary["effects"][0]["unit"], "decades");
    // Two networks of two seeds, of 7 convolutions and a linear layer: drawn, at a checkpoint, trained.
    let gradients = rows(&place, "gradients");
    let steps: BTreeSet<&str> = gradients.iter().map(|row| row[2].as_str()).collect();
    assert_eq!(steps, BTreeSet::from(["0", "10", "12"]));
    assert_eq!(gradients.len(), 2 * 2 * 3 * 8);
    assert!(place.path("runs/gradients-by-step.svg").is_file());
    for row in &gradients {
        let size: f64 = row.last().unwrap().parse().unwrap();
        assert!(size > 0.0 && size.is_finite(), "{row:?}");
    }
    let other = fs::read_to_string(place.path("study.toml")).unwrap();
    place.write(
        "study.toml",
        other.replace(r#""gradients""#, r#""responses""#),
    );
    place.train(&LINE.replace("degradation", "responses")).is(0);
    let responses = rows(&place, "responses");
    assert_eq!(responses.len(), 2 * 2 * 7, "nothing was trained again");
}

#[test]
fn gradients_are_measured_with_auxiliary_classifiers_and_without() {
    let place = Place::new();
    // GoogLeNet takes images of 15x15 pixels or more: more than digits have.
    let pixels: Vec<f32> = (0..8 * 16 * 16).map(|value| (value % 7) as f32).collect();
    let images = images_and_labels([8, 1, 16, 16], &pixels, &[0, 1, 2, 3, 0, 1, 2, 3]);
    place.write("images.safetensors", images);
    place.write(
        "googlenet.toml",
        r#"
        model   = "googlenet"
        dataset = { tensors = "images.safetensors", test = "images.safetensors" }
        batch   = 8
        length  = { steps = 1 }
        [optimizer.sgd]
        momentum = 0.9
        [schedule.constant]
        rate = 0.01
        [eval]
        every = { steps = 1 }
        "#,
    );
    place.write(
        "study.toml",
        r#"
        study   = "gradients"
        title   = "a network with auxiliary classifiers"
        about   = "What do they do?"
        recipe  = "googlenet.toml"
        samples = 1
        factor  = ["model"]
        [[experiment]]
        name    = "googlenet"
        "#,
    );
    let line = LINE.replace("degradation", "gradients");
    let summary = place.train(&format!("{line} --format json")).is(0).json();
    let name = summary["effects"][0]["name"].as_str().unwrap();
    assert!(name.contains("auxiliary classifiers"), "{name}");
    let gradients = rows(&place, "gradients");
    let of = |step: &str, auxiliary: &str| -> Vec<(String, f64)> {
        let ours = gradients
            .iter()
            .filter(|row| row[2] == step && row[3] == auxiliary);
        ours.map(|row| (row[5].clone(), row[6].parse().unwrap()))
            .collect()
    };
    let (with, without) = (of("0", "with"), of("0", "without"));
    assert_eq!(with.len(), without.len());
    for ((layer, with), (other, without)) in with.iter().zip(&without) {
        assert_eq!(layer, other);
        // The second auxiliary classifier branches off behind inception4d.
        let is_behind = ["inception4e", "inception5", "fc"];
        let is_behind = is_behind.iter().any(|behind| layer.starts_with(behind));
        assert_eq!(with == without, is_behind, "{layer}: {with} and {without}");
    }
}

#[test]
fn every_study_that_is_built_in_can_be_priced() {
    let place = Place::new();
    let studies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/studies");
    let mut count = 0;
    for entry in fs::read_dir(studies).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let (kind, _) = file.split_once('-').expect("a study is called as its kind");
        // The first run alone is priced: each network's speed is measured.
        let line = format!("study {kind} --config studies/{file} --dry-run --shard 1/10000");
        let said = place.train(&line).is(0);
        assert!(said.stdout.contains("all"), "{}", said.stdout);
        count += 1;
    }
    assert!(count >= 8, "found {count} studies");
}

#[test]
fn networks_are_measured_beside_each_other() {
    let place = study_of("compare");
    let study = fs::read_to_string(place.path("study.toml")).unwrap();
    let effect = study.find("[[effect]]").unwrap();
    let models = r#"factor = ["model"]
models = ["lenet5", "resnet20"]"#;
    place.write(
        "study.toml",
        study[..effect].replace(r#"factor = ["model"]"#, models),
    );
    let line = LINE.replace("degradation", "compare");
    let published = fs::read_to_string(place.path("study.toml")).unwrap();
    let projected = "model={ name = 'resnet8', shortcut = 'B' }";
    place.write("study.toml", published.replace("model=plain8", projected));
    let said = place.train(&line).is(2);
    let variant = "`plain-8` is a variant of `resnet8`";
    assert!(said.stderr.contains(variant), "{}", said.stderr);
    place.write("study.toml", published);
    place.train(&line).is(0);
    let results = rows(&place, "results");
    let names: Vec<&str> = results.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(names, ["lenet5", "resnet20", "plain-8", "residual-8"]);
    for row in &results {
        let speed: f64 = row[6].parse().unwrap();
        assert!(speed > 0.0, "{row:?}");
    }
    // LeNet-5 has no published figure here; those of ours are 100 less the mean error.
    assert_eq!(
        (results[0][2].as_str(), results[1][2].as_str()),
        ("", "91.25")
    );
    assert_eq!(results[2][10], "2 of ours on digits");
    assert!(place.path("runs/accuracy-by-operations.svg").is_file());
}
