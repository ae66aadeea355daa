//! Training in several processes: what they compute together is what one computes, and none of them is left behind.
//!
//! Tests are skipped, with a line, where there is no `mpirun`.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use safetensors::SafeTensors;
use support::{Place, RunFolder, Running, SMALL, png};

/// No part of the batch has to be shared out unevenly, and what is summed has no other order than in one process.
const LINE: &str = "--config small.toml --threads 1 --set length.steps=40";

/// How soon a job has to end after one of its processes.
const SOON: Duration = Duration::from_secs(10);

fn has_mpirun() -> bool {
    let found = Command::new("mpirun").arg("--version").output().is_ok();
    if !found {
        println!("skipped: there is no mpirun");
    }
    found
}

/// Starts processes that train together, on however few cores.
fn start(place: &Place, processes: usize, line: &str) -> Running {
    let mut command = place.command_under("mpirun");
    for name in [
        "OMPI_ALLOW_RUN_AS_ROOT",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM",
        "OMPI_MCA_rmaps_base_oversubscribe",
    ] {
        command.env(name, "1");
    }
    command.args(["-n", &processes.to_string(), env!("CARGO_BIN_EXE_train")]);
    Running::of(command.args(line.split_whitespace()))
}

fn finished(place: &Place, processes: usize, folder: &str, line: &str) -> RunFolder {
    let line = format!("{line} --run-dir {folder}");
    start(place, processes, &line).wait().is(0);
    place.run(folder)
}

fn losses(run: &RunFolder) -> Vec<f64> {
    let steps = run.events("step");
    steps
        .iter()
        .map(|step| step["loss"].as_f64().unwrap())
        .collect()
}

/// The tensors of the last checkpoint's network, by name.
fn weights(run: &RunFolder) -> BTreeMap<String, Vec<u8>> {
    let bytes = fs::read(run.checkpoints().pop().unwrap()).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let of_network = file.iter().filter(|(name, _)| name.starts_with("model."));
    of_network
        .map(|(name, tensor)| (name.to_owned(), tensor.data().to_vec()))
        .collect()
}

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (step, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found - expected).abs() / expected.abs();
        assert!(error < tolerance, "loss {step}: {found} is not {expected}");
    }
}

/// Two processes whose batch normalisation is their own do what one does that cuts its batches in two: bit for bit, since
/// there are two numbers to each sum. The running statistics are the first process's.
#[test]
fn two_processes_are_two_micro_batches() {
    if !has_mpirun() {
        return;
    }
    let place = Place::new();
    let one = place.finished_run("one", &format!("{LINE} --set accumulate=2"));
    let two = finished(&place, 2, "two", &format!("{LINE} --set accumulate=1"));
    assert_eq!(losses(&two), losses(&one));
    assert_eq!(two.steps("eval"), one.steps("eval"));
    let (one, two) = (weights(&one), weights(&two));
    assert_eq!(one.len(), two.len());
    for (name, values) in one.iter().filter(|(name, _)| !name.contains("running")) {
        assert!(two[name] == *values, "{name} differs");
    }
}

/// Three processes, with 10 or 11 images of each batch of 32, and the same statistics.
#[test]
fn with_sync_bn_processes_do_what_one_does() {
    if !has_mpirun() {
        return;
    }
    let place = Place::new();
    let line = "--config small.toml --threads 1 --set length.steps=6 --set accumulate=1 \
                --set log.every=1 --set eval.every.steps=6 --set schedule.cosine.start=0.01";
    let one = place.finished_run("one", line);
    let three = finished(&place, 3, "three", &format!("{line} --set sync_bn=true"));
    assert_close(&losses(&three), &losses(&one), 1e-4);
    let evaluations = [&one, &three].map(|run| run.events("eval").pop().unwrap());
    let [one, three] = evaluations
        .each_ref()
        .map(|last| last["loss"].as_f64().unwrap());
    assert_close(&[three], &[one], 1e-3);
    assert_eq!(evaluations[0]["images"], evaluations[1]["images"]);
}

/// A block that is computed again in the backward pass meets the other processes again.
#[test]
fn synchronised_statistics_are_found_again_in_the_backward_pass() {
    if !has_mpirun() {
        return;
    }
    let place = Place::new();
    let line = format!("{LINE} --set sync_bn=true");
    let kept = finished(&place, 2, "kept", &line);
    let again = finished(
        &place,
        2,
        "again",
        &format!("{line} --set gradient_checkpointing=true"),
    );
    assert_same(&again, &kept);
}

/// What dropout drops, and what is mixed with what, depends on the image, and not on the process that has it.
#[test]
fn what_is_drawn_is_drawn_for_the_image() {
    if !has_mpirun() {
        return;
    }
    let place = Place::new();
    let line = "--config small.toml --threads 1 --set length.steps=6 --set log.every=1 \
                --set model.name=nin --set model.dropout=0.3 --set schedule.cosine.start=0.01 \
                --set augment.mix=[{mixup={alpha=0.5}},{cutmix={alpha=1.0}}]";
    let one = place.finished_run("one", line);
    let two = finished(&place, 2, "two", line);
    assert_close(&losses(&two), &losses(&one), 1e-5);
}

/// The processes that `mpirun` started.
fn processes_of(job: &Running) -> Vec<String> {
    let parent = job.id().to_string();
    let found = Command::new("pgrep")
        .args(["-P", &parent])
        .output()
        .unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    found.lines().map(str::to_owned).collect()
}

fn signal(name: &str, process: &str) {
    let sent = Command::new("kill").args([name, process]).status();
    assert!(sent.unwrap().success());
}

#[track_caller]
fn assert_same(run: &RunFolder, reference: &RunFolder) {
    for file in [
        "model.safetensors",
        "checkpoints/best.safetensors",
        "evaluation.json",
    ] {
        assert!(run.bytes(file) == reference.bytes(file), "{file} differs");
    }
    assert_eq!(run.metrics(), reference.metrics());
}

/// A process that dies takes the others down, at once and with an error; the run goes on from its last checkpoint to the
/// bytes of one that nothing stopped. Of three numbers the sum depends on their order.
#[test]
fn a_process_that_dies_takes_the_job_down() {
    if !has_mpirun() {
        return;
    }
    let place = Place::new();
    let reference = finished(&place, 3, "reference", LINE);
    for which in [0, 1] {
        let folder = format!("killed-{which}");
        let line = format!("{LINE} --run-dir {folder}");
        let run = place.run(&folder);
        let mut job = start(&place, 3, &line);
        job.wait_until(|| run.has_reached("checkpoint", 10));
        let processes = processes_of(&job);
        assert_eq!(processes.len(), 3);
        signal("-KILL", &processes[which]);
        let killed = Instant::now();
        let said = job.wait();
        assert!(killed.elapsed() < SOON, "took {:?}", killed.elapsed());
        assert_ne!(said.code, Some(0), "{said:?}");
        assert!(said.stderr.contains("signal 9"), "{}", said.stderr);
        start(&place, 3, &format!("{line} --resume")).wait().is(0);
        assert_same(&run, &reference);
    }
}

/// An interrupt of one process stops all after the same step, saved.
#[test]
fn an_interrupted_process_stops_all() {
    if !has_mpirun() {
        return;
    }
    let place = Place::new();
    let reference = finished(&place, 2, "reference", LINE);
    let line = format!("{LINE} --run-dir stopped");
    let run = place.run("stopped");
    let mut job = start(&place, 2, &line);
    job.wait_until(|| run.has_reached("step", 8));
    signal("-INT", &processes_of(&job)[1]);
    job.wait().is(130).says("interrupted: saved after step");
    start(&place, 2, &format!("{line} --resume")).wait().is(0);
    assert_same(&run, &reference);
}

#[test]
fn another_number_of_processes_is_told() {
    if !has_mpirun() {
        return;
    }
    let place = Place::new();
    let line = format!("{LINE} --run-dir run");
    let run = place.run("run");
    let mut job = start(&place, 2, &line);
    job.wait_until(|| run.has_reached("step", 2));
    signal("-INT", &processes_of(&job)[0]);
    job.wait().is(130);
    place.train(&format!("{line} --resume")).is(0);
    let notes = run.events("note");
    let text = notes[0]["text"].as_str().unwrap();
    assert!(
        text.starts_with("the run goes on in one process, and began in 2 processes"),
        "{text}"
    );
}

/// An image that one process alone has to read.
#[test]
fn an_error_of_one_process_names_it_and_ends_all() {
    if !has_mpirun() {
        return;
    }
    let place = Place::new();
    for index in 0..8 {
        let image = png(8, 8, &[index; 64]);
        place.write(&format!("mine/train/one/{index}.png"), &image);
        place.write(&format!("mine/train/other/{index}.png"), &image);
    }
    let whole = png(8, 8, &[3; 64]);
    place.write("mine/train/one/3.png", &whole[..whole.len() - 24]);
    let recipe = SMALL
        .replace("\"digits\"", "{ folder = \"mine\" }")
        .replace("validation", "# validation")
        .replace("batch      = 32", "batch      = 4\nshuffle    = false");
    place.write("mine.toml", recipe.replace("accumulate = 2", ""));
    let job = start(
        &place,
        2,
        "--config mine.toml --set augment={train=[],test=[]}",
    );
    let said = job.wait().is(1);
    assert!(
        said.stderr
            .contains("process 1: error: cannot read the images"),
        "{}",
        said.stderr
    );
    assert!(
        said.stderr.contains("mine/train/one/3.png"),
        "{}",
        said.stderr
    );
}

/// What is wrong in a recipe, every process finds.
#[test]
fn errors_of_all_are_told_by_the_first() {
    if !has_mpirun() {
        return;
    }
    let place = Place::new();
    let said = |processes, line: &str| start(&place, processes, line).wait();
    let typed = said(2, "--config small.toml --set optimizer.sgd.momentun=0.9").is(2);
    assert_eq!(
        typed.stderr.matches("error:").count(),
        1,
        "{}",
        typed.stderr
    );
    assert!(typed.stderr.contains("momentun"), "{}", typed.stderr);

    // An epoch's last batch has 10 images.
    said(6, "--config small.toml --threads 1")
        .is(2)
        .says("6 processes cannot share 5 images, which a batch or a part of one has")
        .says("hint: choose a larger `batch`");
}
