//! The first command of the README: a real run of a built-in recipe, and what can be done with it.

mod support;

use std::fs;
use std::path::Path;

use support::{Place, png};

/// The images of the test split.
const TESTED: usize = 599;

#[test]
fn quickstart_does_what_the_readme_says() {
    let place = Place::new();
    let said = place.train("--config quickstart.toml").is(0);
    assert_eq!(said.stdout, "", "stdout is for data");
    assert!(
        !said.stderr.contains(['\r', '\u{1b}']),
        "plain lines where there is no terminal"
    );
    for text in [
        "device  cpu",
        "model   resnet8: 75,002 parameters",
        "ETA",
        "test: top-1",
    ] {
        assert!(
            said.stderr.contains(text),
            "expected `{text}`, found:\n{}",
            said.stderr
        );
    }

    let run = place.run("runs/quickstart-s0");
    let mut files: Vec<String> = fs::read_dir(&*run)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.'))
        .map(|name| match name.split_once(".tfevents.") {
            Some((start, _)) => format!("{start}.tfevents"),
            None => name,
        })
        .collect();
    files.sort();
    assert_eq!(
        files,
        [
            "checkpoints",
            "evaluation.json",
            "events.out.tfevents",
            "journal.jsonl",
            "metrics.csv",
            "model.safetensors",
            "plan.toml",
            "report.html",
        ]
    );
    let journal = run.journal();
    assert_eq!(journal[0]["event"], "start");
    assert_eq!(journal.last().unwrap()["event"], "end");
    let last = run.events("eval").pop().unwrap();
    assert_eq!(last["images"], TESTED);
    assert!(last["top1"].as_f64().unwrap() >= 98.5, "{last}");

    evaluates_elsewhere(&run, &last);
    predicts_elsewhere(&run);
    reports_elsewhere(&run);
}

fn evaluates_elsewhere(run: &Path, last: &serde_json::Value) {
    let elsewhere = Place::new();
    let run = run.to_str().unwrap();
    let figures = elsewhere.train_with(&["eval", "--run", run]).is(0).json();
    assert_eq!(figures["images"], TESTED);
    for figure in ["top1", "top5"] {
        assert_eq!(figures[figure], last[figure], "{figure}");
    }
    let [loss, trained] = [&figures, last].map(|figures| figures["loss"].as_f64().unwrap());
    assert!(
        (loss - trained).abs() < 1e-6,
        "{loss}, in training {trained}"
    );

    let text =
        elsewhere.train_with(&["eval", "--run", run, "--split", "train", "--format", "text"]);
    assert!(text.is(0).stdout.contains("images  1198"));
    let none = elsewhere
        .train_with(&["eval", "--run", run, "--checkpoint", "best"])
        .is(1);
    assert!(
        none.says("has no")
            .stderr
            .contains("hint: only a run with a validation split")
    );
    elsewhere
        .train_with(&["eval", "--run", run, "--split", "validation"])
        .is(2);
}

/// Real digits that the network has never seen, as a user would have them.
fn predicts_elsewhere(run: &Path) {
    let elsewhere = Place::new();
    let digits = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/digits/optdigits.tes");
    let digits = fs::read_to_string(digits).unwrap();
    let tested: Vec<&str> = digits.lines().rev().take(10).collect();
    let mut right = 0;
    for line in &tested {
        let values: Vec<u16> = line
            .split(',')
            .map(|field| field.parse().unwrap())
            .collect();
        let (label, pixels) = values.split_last().unwrap();
        let pixels: Vec<u8> = pixels
            .iter()
            .map(|&value| (value * 255 / 16) as u8)
            .collect();
        elsewhere.write("digit.png", png(8, 8, &pixels));
        let line = [
            "predict",
            "--run",
            run.to_str().unwrap(),
            "digit.png",
            "--format",
            "json",
        ];
        let classified = elsewhere.train_with(&line).is(0).json();
        let classes = &classified[0]["predictions"];
        let scores: Vec<f64> = (classes.as_array().unwrap().iter())
            .map(|class| class["score"].as_f64().unwrap())
            .collect();
        assert!(scores.is_sorted_by(|a, b| a >= b) && scores.iter().sum::<f64>() <= 1.0 + 1e-9);
        let class = classes[0]["class"].as_str().unwrap();
        right += usize::from(class.parse() == Ok(*label));
    }
    assert!(right >= 9, "{right} of {}", tested.len());
}

fn reports_elsewhere(run: &Path) {
    let elsewhere = Place::new();
    let report = run.join("report.html");
    let before = fs::read(&report).unwrap();
    fs::remove_file(&report).unwrap();
    let said = elsewhere
        .train_with(&["report", "--run", run.to_str().unwrap()])
        .is(0);
    assert_eq!(said.stdout.trim_end(), report.to_str().unwrap());
    assert!(
        fs::read(&report).unwrap() == before,
        "the report is a function of the run"
    );
}
