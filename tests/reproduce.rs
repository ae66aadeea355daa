//! `train reproduce`, on tables of networks that train in a second.

mod support;

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::{Place, Running};

const LINE: &str = "reproduce small-table --targets targets.toml --run-dir runs";

const TARGETS: &str = r#"
[[table]]
name  = "small-table"
title = "small networks on digits"

[[table.protocol]]
name = "full"
set  = ["length={ steps = 12 }"]

[[table.protocol]]
name    = "short"
only    = ["plain"]
set     = ["length={ steps = 4 }"]
departs = ["4 steps in place of 12"]

[[table.experiment]]
name   = "plain"
recipe = "small.toml"
set    = ["model=plain8"]
error  = 50.0
place  = "Table 1"
sure   = "primary"

[[table.experiment]]
name    = "residual"
recipe  = "small.toml"
departs = ["a small network"]

[[table.effect]]
says   = "shortcuts help"
worse  = "plain"
better = "residual"
"#;

fn place() -> Place {
    let place = Place::new();
    place.write("targets.toml", TARGETS);
    place
}

fn table(place: &Place, flags: &str) -> Value {
    place
        .train(&format!("{LINE} --format json {flags}"))
        .is(0)
        .json()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let from = entry.unwrap().path();
        let to = to.join(from.file_name().unwrap());
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

#[test]
fn a_table_is_run_and_compared() {
    let place = place();
    let made = table(&place, "--seeds 2");
    let rows = made["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for row in rows {
        let errors = row["errors"].as_object().unwrap();
        let values: Vec<f64> = errors
            .values()
            .map(|error| error.as_f64().unwrap())
            .collect();
        assert_eq!(values.len(), 2, "{row}");
        let mean = f64::midpoint(values[0], values[1]);
        assert!((row["ours"]["mean"].as_f64().unwrap() - mean).abs() < 1e-9);
        assert!(row["interval"]["low"].as_f64().unwrap() <= mean);
        // 12 steps of 32 images, twice.
        assert_eq!(row["cost"]["images"], 768);
        assert!(row["cost"]["petaflop"].as_f64().unwrap() > 1e-9);
    }
    assert_eq!(
        rows[1]["verdict"]["not_comparable"],
        "the paper has no figure"
    );
    assert_eq!(made["effects"][0]["n"], 2);
    assert_eq!(made["alarms"], Value::Array(Vec::new()));
    let journal = place.run("runs/plain-s0").bytes("journal.jsonl");
    assert_eq!(table(&place, "--seeds 2"), made, "again");
    assert_eq!(place.run("runs/plain-s0").bytes("journal.jsonl"), journal);
    for file in ["table.txt", "table.md", "table.html", "table.json"] {
        assert!(place.path("runs").join(file).exists(), "{file}");
    }
}

#[test]
fn a_short_protocol_is_not_compared_with_the_paper() {
    let made = table(&place(), "--protocol short --seeds 2");
    let row = &made["rows"][0];
    assert_eq!(
        row["verdict"]["not_comparable"],
        "the protocol is shortened"
    );
    assert_eq!(made["departures"][0], "4 steps in place of 12");
    assert_eq!(made["rows"].as_array().unwrap().len(), 1);
    assert_eq!(made["effects"], Value::Array(Vec::new()));
}

#[test]
fn what_a_run_takes_is_told_before() {
    let place = place();
    let prices = table(&place, "--dry-run");
    assert_eq!(prices[0]["run"], "plain-s0");
    assert_eq!(prices[0]["steps"], 12);
    assert_eq!(prices[0]["images"], 384);
    assert!(prices[0]["hours"].as_f64().unwrap() > 0.0);
    assert!(!place.path("runs").exists());
}

/// A scheduler stops the program that it started, and knows nothing of that one's runs.
#[cfg(unix)]
#[test]
fn runs_stop_with_the_program_that_makes_them() {
    type Stop = fn(Running) -> Option<i32>;
    let interrupt: Stop = |running| {
        running.interrupt();
        running.wait().code
    };
    let kill: Stop = |running| {
        running.kill();
        None
    };
    for (stop, code) in [(interrupt, Some(130)), (kill, None)] {
        let place = place();
        let long = r#"length={ steps = 1000000 }", "checkpoint.every={ steps = 1000000 }"#;
        place.write(
            "targets.toml",
            TARGETS.replace("length={ steps = 12 }", long),
        );
        let run = place.run("runs/plain-s0");
        let mut running = place.start(LINE);
        running.wait_until(|| run.has_reached("step", 3));
        assert_eq!(stop(running), code);
        support::wait_until(|| !run.steps("checkpoint").is_empty());
    }
}

#[test]
fn parts_of_several_machines_make_one_table() {
    let place = place();
    table(&place, "--shard 1/2");
    place
        .train(&LINE.replace("--run-dir runs", "--run-dir other --shard 2/2"))
        .is(0);
    assert!(!place.path("runs/residual-s0").exists());
    // What a folder is called does not matter.
    copy(
        &place.path("other/residual-s0"),
        &place.path("runs/from-elsewhere"),
    );
    let made = table(&place, "--dry-run");
    assert_eq!(made, Value::Array(Vec::new()), "nothing is missing");
    assert_eq!(table(&place, "")["rows"][1]["ours"]["n"], 1);
}

#[test]
fn runs_of_one_seed_that_disagree_are_an_alarm() {
    let place = place();
    table(&place, "--only plain");
    copy(&place.path("runs/plain-s0"), &place.path("runs/copy"));
    assert_eq!(
        table(&place, "--only plain")["alarms"],
        Value::Array(Vec::new())
    );
    let journal = String::from_utf8(place.run("runs/copy").bytes("journal.jsonl")).unwrap();
    let changed = journal.replace(
        "\"split\":\"test\",\"top1\":",
        "\"split\":\"test\",\"top1\":1",
    );
    assert_ne!(changed, journal);
    place.write("runs/copy/journal.jsonl", &changed);
    let said = place.train(&format!("{LINE} --only plain")).is(0);
    assert!(
        said.stdout
            .contains("ALARM: two runs of plain with seed 0 disagree")
    );
    let diverged = r#"{"event":"diverged","step":12,"loss":"NaN","images":[]}"#;
    place.write("runs/copy/journal.jsonl", format!("{journal}{diverged}\n"));
    let said = place.train(&format!("{LINE} --only plain")).is(0);
    let alarm = "and a loss that is not finite";
    assert!(said.stdout.contains(alarm), "{}", said.stdout);
}

#[test]
fn a_run_that_diverges_is_shown() {
    let place = place();
    let targets = TARGETS.replace(
        "set    = [\"model=plain8\"]",
        "set = [\"clip_norm=1e30\", \"schedule.cosine={ start = 1e30, end = 0.0 }\"]",
    );
    place.write("targets.toml", targets);
    let said = place.train(&format!("{LINE} --only plain")).is(0);
    assert!(said.stdout.contains("diverged: seed 0"), "{}", said.stdout);
    assert!(said.stdout.contains("not comparable: some runs diverged"));
}
