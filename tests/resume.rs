//! Exact resume: whatever stops a run, wherever, it ends in the bytes of a run that nothing stopped.

mod support;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use support::{Place, RunFolder, Running, SMALL};

const LINE: &str = "--config small.toml";

/// A run that nothing stopped.
fn reference(place: &Place) -> RunFolder {
    place.finished_run("reference", &format!("{LINE} --workers 1"))
}

fn start(place: &Place, folder: &str, more: &str) -> Running {
    place.start(&format!("{LINE} --run-dir {folder} {more}"))
}

fn resume(place: &Place, folder: &str, more: &str) -> support::Said {
    place.train(&format!("{LINE} --run-dir {folder} --resume {more}"))
}

/// Starts a run, and kills it as soon as the journal has an event of this name and step.
fn killed_at(place: &Place, folder: &str, event: &str, step: u64, more: &str) -> RunFolder {
    let run = place.run(folder);
    let mut running = start(place, folder, more);
    running.wait_until(|| run.has_reached(event, step));
    running.kill();
    run
}

/// Fails unless both runs left the same behind, times apart.
#[track_caller]
fn assert_same(run: &RunFolder, reference: &RunFolder) {
    for file in [
        "model.safetensors",
        "checkpoints/best.safetensors",
        "evaluation.json",
    ] {
        assert!(run.bytes(file) == reference.bytes(file), "{file} differs");
    }
    let [last, expected] = [run, reference].map(|run| run.checkpoints().pop().unwrap());
    assert_eq!(last.file_name(), expected.file_name());
    assert!(
        fs::read(last).unwrap() == fs::read(expected).unwrap(),
        "the last checkpoint differs"
    );
    assert_eq!(run.steps("step"), reference.steps("step"), "logged steps");
    assert_eq!(run.steps("eval"), reference.steps("eval"), "evaluations");
    assert_eq!(run.metrics(), reference.metrics());
    assert!(run.join("report.html").exists());
}

#[test]
fn a_run_that_is_killed_at_any_step_ends_in_the_same_bytes() {
    let place = Place::new();
    let reference = reference(&place);
    assert_eq!(
        reference.steps("step"),
        (1..=21).map(|i| 2 * i).collect::<Vec<_>>()
    );
    let cases = [
        ("step", 2, "--workers 3", "--workers 0"),
        (
            "step",
            6,
            "--workers 0 --threads 1",
            "--workers 2 --threads 2",
        ),
        ("checkpoint", 5, "--workers 2", "--workers 1"),
        ("eval", 15, "--workers 1", "--workers 3 --set log.every=2"),
        (
            "step",
            35,
            "--workers 2 --threads 2",
            "--workers 0 --threads 1",
        ),
        ("checkpoint", 42, "--workers 1", "--workers 2"),
        ("end", 42, "--workers 0", "--workers 1"),
    ];
    for (event, step, first, then) in cases {
        let folder = format!("{event}-{step}");
        let run = killed_at(&place, &folder, event, step, first);
        resume(&place, &folder, then).is(0);
        assert_same(&run, &reference);
    }
}

#[test]
fn gradient_checkpointing_changes_no_bit() {
    let place = Place::new();
    let again = "--set gradient_checkpointing=true";
    let run = place.finished_run("again", &format!("{LINE} {again}"));
    assert_same(&run, &reference(&place));
}

/// What dropout drops is no part of the state: it depends on the seed, the step and the micro-batch.
#[test]
fn a_run_with_dropout_that_is_killed_ends_in_the_same_bytes() {
    let place = Place::new();
    let drops = "--set model.name=nin --set model.dropout=0.3 --set length.steps=15 \
                 --set eval.every.steps=6 --set schedule.cosine.start=0.01";
    let reference = place.finished_run("reference", &format!("{LINE} {drops}"));
    let run = killed_at(&place, "run", "checkpoint", 5, drops);
    resume(&place, "run", drops).is(0);
    assert_same(&run, &reference);

    let line = format!("{LINE} {drops} --set model.dropout=0.2");
    let other = place.finished_run("other", &line);
    assert!(other.bytes("model.safetensors") != reference.bytes("model.safetensors"));
}

/// By what the loss is scaled is: it falls with each update whose gradients overflow, which is left out.
#[test]
fn a_run_of_sixteen_bits_that_is_killed_ends_in_the_same_bytes() {
    let place = Place::new();
    let bits = "--set precision=f16 --set length.steps=15 --set eval.every.steps=6";
    let reference = place.finished_run("reference", &format!("{LINE} {bits}"));
    let run = killed_at(&place, "run", "checkpoint", 5, bits);
    resume(&place, "run", bits).is(0);
    assert_same(&run, &reference);

    let other = format!("{LINE} {bits} --set precision=f32");
    let other = place.finished_run("other", &other);
    assert!(other.bytes("model.safetensors") != reference.bytes("model.safetensors"));
}

/// Which blocks a micro-batch goes through is no part of the state either.
#[test]
fn a_run_through_some_blocks_at_a_time_that_is_killed_ends_in_the_same_bytes() {
    let place = Place::new();
    let some = "--set sampled_blocks=2";
    let whole = place.finished_run("whole", &format!("{LINE} {some}"));
    let run = killed_at(&place, "run", "checkpoint", 20, some);
    resume(&place, "run", some).is(0);
    assert_same(&run, &whole);

    let all = place.finished_run("all", &format!("{LINE} --set sampled_blocks=3"));
    assert_same(&all, &reference(&place));
}

/// What an optimizer keeps of each parameter, and which plateaus were seen, are parts of the state.
#[test]
fn a_run_by_lamb_on_plateaus_that_is_killed_ends_in_the_same_bytes() {
    let place = Place::new();
    let before = SMALL.find("[optimizer.sgd]").unwrap();
    let behind = SMALL.find("[ema]").unwrap();
    let rule = "
        [optimizer.lamb]
        betas        = [0.9, 0.999]
        epsilon      = 1e-6
        weight_decay = 0.02
        [schedule.plateau]
        start     = 0.005
        divide_by = 10.0
        patience  = 1
        margin    = 50.0
    ";
    let recipe = format!("{}{rule}{}", &SMALL[..before], &SMALL[behind..]);
    place.write("small.toml", recipe);
    let reference = reference(&place);
    let rates: Vec<f64> = (reference.events("step").iter())
        .map(|step| step["lr"].as_f64().unwrap())
        .collect();
    assert!(rates[0] > *rates.last().unwrap(), "it fell: {rates:?}");
    let run = killed_at(&place, "run", "checkpoint", 35, "");
    resume(&place, "run", "").is(0);
    assert_same(&run, &reference);
}

/// The slow weights, and until when the bias of what whitens learns, are parts of the state, or follow from the step.
#[test]
fn a_run_with_lookahead_and_whitening_that_is_killed_ends_in_the_same_bytes() {
    let place = Place::new();
    let (images, size) = (24, 3 * 25 * 25);
    let pixels: Vec<f32> = (0..images * size)
        .map(|i| ((i * i + 7 * i) % 251) as f32 / 250.0 - 0.5)
        .collect();
    let labels: Vec<i64> = (0..images as i64).map(|i| i % 10).collect();
    let tensors = support::images_and_labels([images, 3, 25, 25], &pixels, &labels);
    place.write("train.safetensors", tensors);
    place.write(
        "fast.toml",
        r#"
        model     = "airbench94"
        dataset   = { tensors = "train.safetensors" }
        batch     = 8
        length    = { steps = 11 }
        whiten    = { images = 20, epsilon = 1e-3, bias = { steps = 5 } }
        lookahead = { every = { steps = 2 }, decay = 0.95, power = 3 }
        [optimizer.sgd]
        momentum = 0.85
        nesterov = true
        norm     = { rate_factor = 64, weight_decay = 1e-5 }
        [schedule.constant]
        rate = 0.01
        [checkpoint]
        every = { steps = 1 }
        keep  = 20
        [[augment.train]]
        flip = { probability = 0.5, alternating = true }
        [[augment.train]]
        random_crop = { size = 25, padding = 2, padding_mode = "reflect" }
        "#,
    );
    let line = "--config fast.toml";
    let whole = place.finished_run("whole", line);
    for step in [2, 4, 7] {
        let folder = format!("killed-{step}");
        let run = place.run(&folder);
        let mut running = place.start(&format!("{line} --run-dir {folder}"));
        running.wait_until(|| run.has_reached("checkpoint", step));
        running.kill();
        place
            .train(&format!("{line} --run-dir {folder} --resume"))
            .is(0);
        for file in ["model.safetensors", "checkpoints/step-00000011.safetensors"] {
            assert!(run.bytes(file) == whole.bytes(file), "{file} differs");
        }
    }
}

#[test]
fn a_run_that_is_killed_again_and_again_ends_in_the_same_bytes() {
    let place = Place::new();
    let reference = reference(&place);
    let run = place.run("run");
    start(&place, "run", "--workers 2").kill();
    // Milliseconds from a generator with a fixed seed; each try has more time than the one before, so that the last one
    // gets to the end on any machine.
    let mut random = 20_150_312_u32;
    let mut kills = 1;
    for tries in 0.. {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let patience = Duration::from_millis(u64::from(random >> 26) + 30 * tries);
        let more = format!("--resume --workers {}", tries % 4);
        let mut running = start(&place, "run", &more);
        let since = Instant::now();
        while running.is_running() && since.elapsed() < patience {
            thread::sleep(Duration::from_millis(1));
        }
        if !running.is_running() {
            running.wait().is(0);
            break;
        }
        kills += usize::from(running.kill());
    }
    assert!(kills > 2, "killed {kills} times");
    assert_same(&run, &reference);
}

#[test]
fn a_run_that_is_killed_while_it_saves_ends_in_the_same_bytes() {
    let place = Place::new();
    let reference = reference(&place);
    let run = place.run("run");
    let mut running = start(&place, "run", "");
    running.wait_until(|| run.has_reached("checkpoint", 5) && run.is_saving());
    running.kill();
    // The run takes up what it had: it does not start from the beginning.
    resume(&place, "run", "").is(0);
    assert!(run.steps("resume").iter().all(|step| *step >= 5));
    assert_same(&run, &reference);
}

/// Big enough matrices that each thread gets a part of them.
#[test]
fn the_number_of_threads_changes_no_bit() {
    let place = Place::new();
    let (images, size) = (32, 3 * 16 * 16);
    let pixels: Vec<f32> = (0..images * size)
        .map(|i| ((i * i + 7 * i) % 251) as f32 / 250.0 - 0.5)
        .collect();
    let labels: Vec<i64> = (0..images as i64).map(|i| i % 10).collect();
    let shape = [images, 3, 16, 16];
    place.write(
        "train.safetensors",
        support::images_and_labels(shape, &pixels, &labels),
    );
    place.write(
        "wide.toml",
        r#"
        model   = "resnet18_cifar"
        dataset = { tensors = "train.safetensors" }
        batch   = 16
        length  = { steps = 2 }
        [optimizer.sgd]
        momentum = 0.9
        [schedule.constant]
        rate = 0.1
        [checkpoint]
        every = { steps = 100 }
        "#,
    );
    let one = place.finished_run("one", "--config wide.toml --threads 1");
    for threads in [2, 3] {
        let folder = format!("threads-{threads}");
        let line = format!("--config wide.toml --threads {threads}");
        let run = place.finished_run(&folder, &line);
        assert!(
            run.bytes("model.safetensors") == one.bytes("model.safetensors"),
            "{threads} threads and 1 thread differ"
        );
    }
}

#[cfg(unix)]
#[test]
fn an_interrupt_saves_and_exits_with_130() {
    let place = Place::new();
    let reference = reference(&place);
    let run = place.run("run");
    let mut running = start(&place, "run", "");
    running.wait_until(|| run.has_reached("step", 8));
    running.interrupt();
    let said = running.wait().is(130).says("--resume");
    let saved = run.steps("checkpoint").pop().unwrap();
    assert!(saved >= 8, "saved after step {saved}");
    assert!(said.stderr.contains(&format!("saved after step {saved};")));

    resume(&place, "run", "").is(0);
    assert_eq!(run.steps("resume"), [saved]);
    assert_same(&run, &reference);
}

/// A step of 1,098 passes through 110 layers takes longer than this test.
#[cfg(unix)]
#[test]
fn a_second_interrupt_exits_at_once() {
    let place = Place::new();
    let run = place.run("run");
    let mut running = start(
        &place,
        "run",
        "--set model=resnet110 --set batch=1098 --set accumulate=1098",
    );
    running.wait_until(|| run.join("journal.jsonl").exists());
    thread::sleep(Duration::from_secs(1));
    running.interrupt();
    thread::sleep(Duration::from_millis(300));
    assert!(
        running.is_running(),
        "the first interrupt waits for the step"
    );
    running.interrupt();
    running.wait().is(130).says("once more to stop at once");
    assert!(run.steps("step").is_empty() && run.checkpoints().is_empty());
}

#[test]
fn resume_without_a_checkpoint_starts_from_the_beginning() {
    let place = Place::new();
    let reference = reference(&place);
    resume(&place, "fresh", "").is(0);
    assert_same(&place.run("fresh"), &reference);

    let once = "--set checkpoint.every.steps=42";
    let run = killed_at(&place, "run", "step", 2, once);
    assert!(run.checkpoints().is_empty());
    resume(&place, "run", once)
        .is(0)
        .says("note: no checkpoint to go on from: starting from the beginning");
    assert_same(&run, &reference);
}

#[test]
fn resume_of_a_finished_run_says_so_and_changes_nothing() {
    let place = Place::new();
    let run = reference(&place);
    let before = (run.bytes("journal.jsonl"), run.bytes("report.html"));
    let said = resume(&place, "reference", "--workers 3").is(0);
    assert_eq!(said.stderr, "the run in `reference` is finished\n");
    assert_eq!(
        (run.bytes("journal.jsonl"), run.bytes("report.html")),
        before
    );
}

/// Killed between its last event and its report, a run is finished but for that.
#[test]
fn resume_of_a_finished_run_makes_its_report() {
    let place = Place::new();
    let run = reference(&place);
    let report = run.bytes("report.html");
    fs::remove_file(run.join("report.html")).unwrap();
    resume(&place, "reference", "").is(0);
    assert!(run.bytes("report.html") == report);
}

#[test]
fn resume_of_a_changed_plan_names_the_keys() {
    let place = Place::new();
    let run = killed_at(&place, "run", "checkpoint", 5, "");
    let before = run.bytes("journal.jsonl");
    let said = resume(
        &place,
        "run",
        "--set batch=64 --set optimizer.sgd.momentum=0.8 --set length.steps=50 --seed 4",
    )
    .is(2);
    for change in [
        "`batch` was `32`, is `64`",
        "`optimizer.sgd.momentum` was `0.9`, is `0.8`",
        "`seed` was `3`, is `4`",
        "`steps` was `42`, is `50`",
    ] {
        assert!(said.stderr.contains(change), "{}", said.stderr);
    }
    assert_eq!(run.bytes("journal.jsonl"), before);
    resume(&place, "run", "--workers 3 --threads 1 --set log.every=1").is(0);
}

fn flip_a_byte(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn cut_in_half(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

fn empty(path: &Path) {
    fs::write(path, "").unwrap();
}

#[test]
fn a_damaged_checkpoint_is_passed_over_for_the_one_before() {
    let place = Place::new();
    let reference = reference(&place);
    for (index, damage) in [flip_a_byte, cut_in_half, empty].into_iter().enumerate() {
        let folder = format!("run-{index}");
        let run = killed_at(&place, &folder, "checkpoint", 15, "");
        let checkpoints = run.checkpoints();
        let [.., before, newest] = &checkpoints[..] else {
            panic!("expected two checkpoints, found {checkpoints:?}");
        };
        damage(newest);
        let name = newest.file_name().unwrap().to_str().unwrap();
        resume(&place, &folder, "").is(0).says(&format!(
            "note: passed over `{folder}/checkpoints/{name}`: its checksum does not match"
        ));
        let from = run.steps("resume")[0];
        assert!(before.to_str().unwrap().contains(&format!("{from:08}")));
        assert_same(&run, &reference);
    }
}

#[test]
fn where_all_checkpoints_are_damaged_the_run_starts_from_the_beginning() {
    let place = Place::new();
    let reference = reference(&place);
    let run = killed_at(&place, "run", "checkpoint", 15, "");
    let checkpoints = run.checkpoints();
    for path in &checkpoints {
        flip_a_byte(path);
    }
    let said = resume(&place, "run", "").is(0);
    let passed_over = said.stderr.matches("note: passed over").count();
    assert_eq!(passed_over, checkpoints.len());
    assert!(said.stderr.contains("starting from the beginning"));
    assert_same(&run, &reference);
}

/// The damaged one has the highest step, and takes no good one's place.
#[test]
fn a_damaged_checkpoint_is_not_kept_in_place_of_a_new_one() {
    let place = Place::new();
    place.write(
        "small.toml",
        SMALL.replace("every = { steps = 5 }", "every = { steps = 5 }\nkeep = 1"),
    );
    let run = killed_at(&place, "run", "checkpoint", 24, "");
    for path in run.checkpoints() {
        flip_a_byte(&path);
    }
    fs::remove_file(run.join("journal.jsonl")).unwrap();
    let mut running = start(&place, "run", "--resume");
    running.wait_until(|| run.has_reached("step", 8));
    running.kill();
    resume(&place, "run", "").is(0);
    assert!(run.steps("resume")[0] >= 5, "{:?}", run.steps("resume"));
}
