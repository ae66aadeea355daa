//! `train study`, on networks that train in a second.

mod support;

use std::fs;

use support::Place;

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
