//! The folder of a run: it is never overwritten, and what is in it survives divergence, a full disk and damage.

mod support;

use std::fs;

use support::{Place, SMALL};

#[test]
fn an_existing_run_is_never_overwritten() {
    let place = Place::new();
    let line = "--config small.toml --set length.steps=2";
    place.train(line).is(0);
    let run = place.run("runs/small-s3");
    let before = (run.bytes("model.safetensors"), run.bytes("journal.jsonl"));
    let again = place.train(line).is(2);
    assert_eq!(
        again.stderr,
        "error: run folder `runs/small-s3` exists already\n\n\
         hint: go on with it by `--resume`, or choose another by `--run-dir DIR` or `--seed N`\n"
    );
    assert_eq!(
        (run.bytes("model.safetensors"), run.bytes("journal.jsonl")),
        before
    );

    place.write("occupied/notes.txt", "mine");
    place
        .train(&format!("{line} --run-dir occupied"))
        .is(2)
        .says("`occupied` exists already");
    place
        .train(&format!("{line} --run-dir small.toml"))
        .is(2)
        .says("`small.toml` exists already");
    assert_eq!(fs::read_to_string(place.path("small.toml")).unwrap(), SMALL);
    fs::create_dir_all(place.path("empty/checkpoints")).unwrap();
    place.train(&format!("{line} --run-dir empty")).is(0);
}

/// Whose the checkpoints are, nobody knows.
#[test]
fn checkpoints_without_a_plan_are_left_alone() {
    let place = Place::new();
    let run = place.finished_run("run", "--config small.toml --set length.steps=2");
    for entry in fs::read_dir(&*run).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::remove_file(path).unwrap();
        }
    }
    place
        .train("--config small.toml --run-dir run")
        .is(2)
        .says("exists already");
    let said = place
        .train("--config small.toml --run-dir run --resume")
        .is(1);
    insta::assert_snapshot!(said.stderr, @r"
    error: cannot resume the run in `run`
      caused by: it has checkpoints, but no `plan.toml`

    hint: restore it from a copy, or choose another `--run-dir DIR`
    ");
}

#[test]
fn a_run_that_is_going_on_is_not_joined() {
    let place = Place::new();
    let run = place.run("run");
    let mut running = place.start("--config small.toml --run-dir run --set length.steps=100000");
    running.wait_until(|| run.has_reached("step", 2));
    place
        .train("--config small.toml --run-dir run --set length.steps=100000 --resume")
        .is(1)
        .says("`run` is in use by another process");
    assert!(running.kill());
}

/// Three good steps, each of them saved, then a rate beyond all bounds.
const DIVERGING: &str = "--config small.toml --run-dir run --set clip_norm=1e30 --set checkpoint.every.steps=1 \
    --set schedule.cosine.warm_up.shape=constant --set schedule.cosine.warm_up.length.steps=3 \
    --set schedule.cosine.start";

#[test]
fn a_loss_that_is_not_finite_stops_the_run() {
    let place = Place::new();
    let said = place.train(&format!("{DIVERGING}=1e38")).is(1);
    let run = place.run("run");
    let diverged = run.events("diverged");
    let [event] = &diverged[..] else {
        panic!("expected one, found {diverged:?}");
    };
    let (step, images) = (&event["step"], event["images"].as_array().unwrap());
    assert_eq!(event["loss"], "NaN");
    assert_eq!(images.len(), 32);
    for text in [
        &format!("error: the loss of step {step} is NaN\n"),
        &format!(
            "\n  caused by: the step's images were [{}, {}, ",
            images[0], images[1]
        ),
        "\nhint: lower the learning rate",
    ] {
        assert!(
            said.stderr.contains(text),
            "expected {text}, found:\n{}",
            said.stderr
        );
    }
    assert!(!run.join("model.safetensors").exists());
    assert_eq!(
        run.steps("checkpoint").last(),
        step.as_u64().map(|step| step - 1).as_ref()
    );
}

/// The loss of the step is finite, the weights after it are not: the next loss would show it, after they were saved.
#[test]
fn weights_that_are_not_finite_are_never_saved() {
    let place = Place::new();
    place
        .train(&format!("{DIVERGING}=1e39"))
        .is(1)
        .says("error: the weights after step 4 are not finite\n");
    let run = place.run("run");
    assert_eq!(run.steps("diverged"), [4]);
    assert_eq!(run.steps("checkpoint"), [1, 2, 3]);
    // The checkpoint is whole, and leads to the same end.
    place
        .train(&format!("{DIVERGING}=1e39 --resume"))
        .is(1)
        .says("the weights after step 4 are not finite");
    assert_eq!(run.steps("resume"), [3]);
    assert_eq!(run.steps("diverged"), [4]);
}

#[test]
fn a_run_folder_that_cannot_be_made_is_an_error() {
    let place = Place::new();
    let said = place
        .train("--config small.toml --run-dir small.toml/run")
        .is(1);
    insta::assert_snapshot!(said.stderr, @r"
    error: cannot make run folder `small.toml/run`
      caused by: Not a directory (os error 20)

    hint: choose a folder that can be written with `--run-dir DIR`
    ");
}

#[cfg(target_os = "linux")]
#[test]
fn a_read_only_folder_is_an_error() {
    let place = Place::new();
    fs::create_dir(place.path("locked")).unwrap();
    let script = r#"
        mount --bind locked locked
        mount -o remount,bind,ro locked
        "$TRAIN" --config small.toml --run-dir locked/run
    "#;
    match support::with_mounts(&place, script) {
        Err(reason) => support::skip(&reason),
        Ok(said) => insta::assert_snapshot!(said.is(1).stderr, @r"
        error: cannot make run folder `locked/run`
          caused by: Read-only file system (os error 30)

        hint: choose a folder that can be written with `--run-dir DIR`
        "),
    }
}

/// The disk has room for a checkpoint, and not for the one after it.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_loses_nothing() {
    let place = Place::new();
    let reference = place.finished_run("reference", "--config small.toml");
    let script = r#"
        mkdir disk
        mount -t tmpfs -o size=1500k none disk
        code=0
        "$TRAIN" --config small.toml --run-dir disk/run || code=$?
        ls disk/run/checkpoints >&2
        mount -o remount,size=100m disk
        "$TRAIN" --config small.toml --run-dir disk/run --resume >&2
        cp disk/run/model.safetensors disk/run/journal.jsonl .
        exit $code
    "#;
    match support::with_mounts(&place, script) {
        Err(reason) => support::skip(&reason),
        Ok(said) => {
            let said = said.is(1);
            let after_error = said.stderr.split_once("error: cannot").expect("an error").1;
            let error = after_error.split_once("\ndevice ").expect("a second run").0;
            insta::assert_snapshot!(format!("error: cannot{error}"));
            let after = place.run(".");
            assert!(after.bytes("model.safetensors") == reference.bytes("model.safetensors"));
            assert_eq!(after.steps("step"), reference.steps("step"));
            assert_eq!(after.steps("resume").len(), 1);
        }
    }
}
