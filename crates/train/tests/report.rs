//! The report of synthetic runs: what it says, what it never holds, and what a damaged run folder gets.

use std::error::Error as _;
use std::fs;
use std::path::Path;

use jiff::Timestamp;
use tempfile::TempDir;
use train::error::Hinted;
use train::files::Error;
use train::journal::{Diverged, End, Eval, Event, Journal, Note, Start, Step};
use train::report::{self, Evaluation, Misjudged};

const STEPS: u64 = 4_000;

/// A network that learns ten classes in 40 epochs of 100 steps, its rate divided by ten halfway.
fn events() -> Vec<Event> {
    let time = Timestamp::from_second(1_772_439_300).unwrap();
    let start = Start {
        time,
        steps: STEPS,
        device: "cpu".into(),
        threads: 2,
    };
    let logged = (10..=STEPS).step_by(10).flat_map(|step| {
        let evals =
            (step % 200 == 0).then(|| [eval(step, "validation", 500), eval(step, "test", 1_000)]);
        [Event::Step(logged(step))]
            .into_iter()
            .chain(evals.into_iter().flatten())
    });
    let end = Event::End(End {
        step: STEPS,
        seconds: 754.25,
    });
    [Event::Start(start)]
        .into_iter()
        .chain(logged)
        .chain([end])
        .collect()
}

fn logged(step: u64) -> Step {
    Step {
        step,
        epoch: (step - 1) / 100 + 1,
        loss: loss(step) * (1.0 + 0.2 * (step as f64).sin()),
        lr: if step <= STEPS / 2 { 0.1 } else { 0.01 },
        images_per_second: 640.0 + 8.0 * (0.7 * step as f64).cos(),
        data_seconds: 0.01,
        top1: Some(100.0 - 38.0 * loss(step)),
    }
}

fn loss(step: u64) -> f64 {
    2.3 * (-(step as f64) / 600.0).exp() + if step <= STEPS / 2 { 0.3 } else { 0.06 }
}

fn eval(step: u64, split: &str, images: u64) -> Event {
    let top1 = 100.0 - 38.0 * loss(step) - 4.0;
    Event::Eval(Eval {
        step,
        split: split.into(),
        top1,
        top5: 99.0,
        loss: loss(step) + 0.1,
        images,
    })
}

/// Nine in ten images right, the others taken for the next class.
fn evaluation(classes: usize) -> Evaluation {
    let confusion = (0..classes).map(|truth| {
        let count = |predicted| match predicted {
            _ if predicted == truth => 90,
            _ if predicted == (truth + 1) % classes => 10,
            _ => 0,
        };
        (0..classes).map(count).collect()
    });
    let pixels: Vec<u8> = (0..192).collect();
    let worst = Misjudged {
        index: 321,
        label: 0,
        predicted: 1,
        probability: 0.995,
        loss: 9.5,
        png: report::png_in_base64(3, 8, 8, &pixels),
    };
    Evaluation {
        split: "test".into(),
        checkpoint: "best".into(),
        chosen_by: Some("validation".into()),
        images: 100 * classes as u64,
        top1: 90.0,
        top5: 99.5,
        loss: 0.4,
        classes: (0..classes).map(|class| format!("class-{class}")).collect(),
        confusion: confusion.collect(),
        worst: vec![worst],
    }
}

const PLAN: &str = r#"
name = "resnet8"
device = "cpu"
seed = 7
steps = 4000
steps_per_epoch = 100
batch = 32
train_images = 3200
validation_images = 500
notes = []

[model]
name = "resnet8"

[dataset.facts]
name = "digits"

[[augment.train]]
flip = { probability = 0.5 }

[provenance]
kiln = "0.1.0"
"#;

fn folder(events: &[Event], evaluation: Option<&Evaluation>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plan.toml"), PLAN).unwrap();
    let mut journal = Journal::create(&folder.path().join("journal.jsonl")).unwrap();
    events
        .iter()
        .for_each(|event| journal.append(event).unwrap());
    if let Some(evaluation) = evaluation {
        evaluation
            .write(&folder.path().join("evaluation.json"))
            .unwrap();
    }
    folder
}

fn page(folder: &Path) -> String {
    fs::read_to_string(report::write(folder).unwrap()).unwrap()
}

/// The text that a reader sees, with one space for any number of tags.
fn text(page: &str) -> String {
    let body = page.split_once("</style>").unwrap().1;
    let words = body
        .split('<')
        .map(|piece| piece.split_once('>').map_or(piece, |(_, text)| text));
    words
        .flat_map(str::split_whitespace)
        .collect::<Vec<_>>()
        .join(" ")
}

#[track_caller]
fn says(page: &str, expected: &str) {
    let text = text(page);
    assert!(text.contains(expected), "expected `{expected}` in:\n{text}");
}

#[test]
fn a_finished_run_shows_its_result_with_its_conditions() {
    let folder = folder(&events(), Some(&evaluation(10)));
    let page = page(folder.path());
    says(&page, "90.00 % top-1 accuracy on the test split");
    says(&page, "95 % interval 87.98 to 91.71 %");
    says(
        &page,
        "Dataset digits Split test, 1,000 images Model resnet8",
    );
    says(&page, "Checkpoint best, chosen by the validation split");
    says(
        &page,
        "Trained on 3,200 images; 500 held out for validation",
    );
    says(&page, "Length 40 epochs, 4,000 steps");
    says(&page, "Seed 7 (one run) Device cpu Time 12 min 34 s");
    says(&page, "All 40 evaluations; the table above has the last 12");
    says(&page, "class-0 90 10 · · · · · · · · 90.0");
    says(&page, "class-0 → class-1 99.5 % no. 321, loss 9.50");
    says(&page, "train.0.flip.probability 0.5");
    assert_eq!(page.matches("<svg").count(), 4);
    assert!(!text(&page).contains("Not finished"));
}

#[test]
fn a_report_needs_nothing_but_itself() {
    let folder = folder(&events(), Some(&evaluation(10)));
    let page = page(folder.path()).replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for fetches in [
        "http:", "https:", "//", "<script", "<link", "@import", "url(", "href", "srcset",
    ] {
        let data = page.find("data:image/png;base64,").unwrap();
        let (before, image) = page.split_at(data);
        let after = &image[image.find('"').unwrap()..];
        assert!(
            !before.contains(fetches) && !after.contains(fetches),
            "{fetches}"
        );
    }
    assert_eq!(
        page.matches("src=").count(),
        page.matches("src=\"data:").count()
    );
}

#[test]
fn names_are_text_wherever_they_come_from() {
    let nasty = "</style><script>alert(1)</script>\" onload=\"x";
    let mut evaluation = evaluation(10);
    evaluation.classes[0] = nasty.into();
    evaluation.split = nasty.into();
    let mut events = events();
    events.insert(
        2,
        Event::Note(Note {
            step: 10,
            text: nasty.into(),
        }),
    );
    events.push(eval(STEPS, nasty, 10));
    let folder = folder(&events, Some(&evaluation));
    let plan = PLAN.replace("\"digits\"", &format!("'{nasty}'"));
    fs::write(folder.path().join("plan.toml"), plan).unwrap();
    let page = page(folder.path());
    assert!(!page.contains("<script"), "{page}");
    assert!(!page.contains("\" onload=\"x"), "{page}");
    assert_eq!(page.matches("</style>").count(), 1);
}

#[test]
fn a_run_that_was_killed_midway_has_a_report() {
    let events = events();
    let folder = folder(&events[..150], None);
    let journal = folder.path().join("journal.jsonl");
    let torn = fs::read_to_string(&journal).unwrap() + "{\"event\":\"step\",\"st";
    fs::write(&journal, torn).unwrap();
    let page = page(folder.path());
    says(
        &page,
        "Not finished: the journal ends at step 1,370 of 4,000.",
    );
    says(
        &page,
        "Checkpoint none yet: the weights at the latest evaluation, which no split chose",
    );
    says(&page, "Length 12 of 40 epochs, 1,200 of 4,000 steps");
    assert!(!page.contains("Confusion matrix"));
}

#[test]
fn a_run_that_was_killed_at_once_has_a_report() {
    let page = page(folder(&[], None).path());
    says(&page, "Not finished: the journal ends at step 0 of 4,000.");
    says(&page, "there is no result");
    says(&page, "Training loss per batch Nothing was measured.");
}

#[test]
fn a_run_that_diverged_says_so_and_draws_what_is_finite() {
    let mut events = events();
    events.truncate(20);
    events.push(Event::Step(Step {
        loss: f64::NAN,
        ..logged(200)
    }));
    events.push(Event::Diverged(Diverged {
        step: 200,
        loss: f64::NAN,
        images: vec![5, 77],
    }));
    let page = page(folder(&events, None).path());
    says(&page, "training batches, augmented 74.02 %");
    says(&page, "Diverged: the loss at step 200 of 4,000 was NaN.");
    says(&page, "Not drawn, since not finite: 1.");
    says(&page, "in the batch of training images [5, 77]");
}

#[test]
fn a_split_that_chose_its_own_checkpoint_is_called_out() {
    let mut evaluation = evaluation(10);
    evaluation.chosen_by = Some("test".into());
    says(
        &page(folder(&events(), Some(&evaluation)).path()),
        "so the result is too good",
    );
    evaluation.chosen_by = None;
    evaluation.checkpoint = "last".into();
    says(
        &page(folder(&events(), Some(&evaluation)).path()),
        "Checkpoint last; no split chose it",
    );
}

#[test]
fn many_classes_have_their_most_confused_pairs() {
    let mut evaluation = evaluation(1_000);
    evaluation.confusion[41][42] += 5;
    evaluation.confusion[41][41] -= 5;
    let page = page(folder(&events(), Some(&evaluation)).path());
    says(
        &page,
        "The most confused pairs of 1000 classes True Predicted Images Of the class class-41 class-42 15 15 %",
    );
    says(
        &page,
        "The classes with the lowest recall Class Right class-41 85 %",
    );
    assert!(page.len() < 300_000, "{} bytes", page.len());
}

#[test]
fn a_damaged_folder_is_an_error_that_says_where() {
    let broken = |file: &str, from: &str, to: &str| -> Error {
        let folder = folder(&events(), Some(&evaluation(10)));
        let path = folder.path().join(file);
        let damaged = fs::read_to_string(&path).unwrap().replacen(from, to, 1);
        fs::write(&path, damaged).unwrap();
        let error = report::write(folder.path()).unwrap_err();
        assert!(!folder.path().join("report.html").exists());
        error
    };
    let journal = broken("journal.jsonl", "\"step\":20,", "\"step\":-20,");
    assert!(
        journal
            .to_string()
            .ends_with("journal.jsonl` is damaged at line 3"),
        "{journal}"
    );
    let evaluation = broken("evaluation.json", "[90,10,", "[90,10");
    assert!(evaluation.to_string().ends_with("evaluation.json` contradicts itself: expected 10 columns in row 0 of the confusion matrix, found 9"), "{evaluation}");
    let cut = broken("evaluation.json", "\"classes\"", "");
    assert!(
        cut.source().unwrap().to_string().contains("line 1 column"),
        "{cut:?}"
    );
    let plan = broken("plan.toml", "seed = 7", "seed = ");
    assert!(
        plan.source().unwrap().to_string().contains("line 4"),
        "{plan:?}"
    );
    for error in [journal, evaluation, cut, plan] {
        assert!(error.hint().is_some(), "{error}");
    }
}

#[test]
fn a_folder_that_is_not_a_runs_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = report::write(folder.path()).unwrap_err();
    assert!(error.to_string().ends_with("plan.toml`"), "{error}");
    assert_eq!(
        error.hint().unwrap(),
        format!("is `{}` the folder of a run?", folder.path().display())
    );
}
