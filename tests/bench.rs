//! `train bench`, on a network that takes milliseconds.

mod support;

use serde_json::Value;
use support::Place;

const LINE: &str = "bench --model lenet5 --batch 4 --steps 2 --threads 1 --device cpu";

fn number(figures: &Value, key: &str) -> f64 {
    figures[key]
        .as_f64()
        .unwrap_or_else(|| panic!("`{key}` in {figures}"))
}

fn figures(flags: &str) -> Value {
    Place::new()
        .train(&format!("{LINE} --format json {flags}"))
        .is(0)
        .json()
}

fn assert_sane(figures: &Value, operations: f64) {
    let step = &figures["step_seconds"];
    let [min, median, max] = ["min", "median", "max"].map(|key| number(step, key));
    assert!(0.0 < min && min <= median && median <= max, "{figures}");
    let speed = number(figures, "images_per_second");
    assert!((speed * median / 4.0 - 1.0).abs() < 1e-9, "{figures}");
    assert!(number(figures, "forward_seconds") <= max);
    let gflops = operations * number(figures, "multiply_adds") * speed / 1e9;
    assert!((number(figures, "gflops") / gflops - 1.0).abs() < 1e-9);
    assert!(number(figures, "matrix_gflops") > 0.0);
    if cfg!(target_os = "linux") {
        assert!(number(figures, "peak_memory_bytes") > 1e6);
    }
}

#[test]
fn a_step_of_training_is_measured() {
    let figures = figures("");
    for (key, expected) in [
        ("model", Value::from("lenet5")),
        ("batch", 4.into()),
        ("size", 28.into()),
        ("classes", 10.into()),
        ("mode", "train".into()),
        ("threads", 1.into()),
        ("device", "cpu".into()),
        ("steps", 2.into()),
    ] {
        assert_eq!(figures[key], expected, "{key}");
    }
    assert_sane(&figures, 6.0);
    for part in ["backward_seconds", "update_seconds"] {
        assert!(number(&figures, part) > 0.0, "{part}");
    }
}

#[test]
fn inference_has_a_forward_pass_only() {
    let figures = figures("--mode infer --classes 7");
    assert_eq!(figures["mode"], "infer");
    assert_eq!(figures["classes"], 7);
    assert_sane(&figures, 2.0);
    for part in ["backward_seconds", "update_seconds"] {
        assert!(figures[part].is_null(), "{part}");
    }
}

#[test]
fn layers_are_told_in_their_order() {
    let told = figures("--layers");
    let layers = told["layers"].as_array().unwrap();
    let convolutions: Vec<&str> = (layers.iter())
        .filter(|layer| layer["operation"] == "conv2d")
        .map(|layer| layer["name"].as_str().unwrap())
        .collect();
    assert_eq!(convolutions, ["conv1", "conv2"]);
    let seconds: f64 = (layers.iter())
        .map(|layer| number(layer, "forward_seconds") + number(layer, "backward_seconds"))
        .sum();
    assert!(seconds > 0.0 && seconds < 2.0 * number(&told["step_seconds"], "max"));
    assert!(figures("")["layers"].is_null());
}

#[test]
fn the_text_is_a_table() {
    let said = Place::new().train(LINE).is(0);
    assert_eq!(said.stderr, "");
    let (head, rows) = said.stdout.split_once('\n').unwrap();
    assert_eq!(
        head,
        "lenet5: training, batches of 4 x 1x28x28, 10 classes, cpu, 1 threads, 2 steps"
    );
    for name in [
        "images/s",
        "step",
        "  forward",
        "  backward",
        "  update",
        "rate",
    ] {
        assert!(rows.lines().any(|row| row.starts_with(name)), "{name}");
    }
}
