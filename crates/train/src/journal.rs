//! The journal of a run, `journal.jsonl`: what happened, one JSON object a line, in the order it happened.
//!
//! Everything else that shows a run's course (metrics.csv, the report) is derived from it. A line reaches the operating
//! system in one write, so that a process killed at any instant loses at most the line it was writing; that torn last
//! line is passed over on reading and removed on resuming. Numbers are written in full precision: what is read back is
//! the same `f64`. JSON has no numbers that are not finite, so these are the strings `"NaN"`, `"Infinity"` and
//! `"-Infinity"`.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::files::{self, Error, Result};

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run began.
    Start(Start),
    /// The run went on from a checkpoint.
    Resume(Resume),
    /// Training reached a step that is logged.
    Step(Step),
    /// A split was evaluated.
    Eval(Eval),
    /// A checkpoint is complete on disk.
    Checkpoint(Checkpoint),
    /// Something worth telling in the report.
    Note(Note),
    /// The loss stopped being finite, and with it the run.
    Diverged(Diverged),
    /// The run reached its last step.
    End(End),
}

/// The names of [`Event`]'s variants in a journal.
const EVENTS: [&str; 8] = [
    "start",
    "resume",
    "step",
    "eval",
    "checkpoint",
    "note",
    "diverged",
    "end",
];

/// The beginning of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// The wall clock.
    pub time: Timestamp,
    /// How many steps the run will take.
    pub steps: u64,
    /// Where it computes, as in `--device`.
    pub device: String,
    /// Threads that compute.
    pub threads: usize,
}

/// A continuation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resume {
    /// The wall clock.
    pub time: Timestamp,
    /// The checkpoint's step: the run goes on with the one after it.
    pub step: u64,
    /// Where it computes, as in `--device`.
    pub device: String,
    /// Threads that compute.
    pub threads: usize,
}

/// Training as of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Optimizer updates since the run began.
    pub step: u64,
    /// The epoch that the step belongs to, counted from 1.
    pub epoch: u64,
    /// The loss of this step's batch.
    #[serde(with = "number")]
    pub loss: f64,
    /// The learning rate of this step.
    #[serde(with = "number")]
    pub lr: f64,
    /// Throughput since the last logged step.
    #[serde(with = "number")]
    pub images_per_second: f64,
    /// Seconds spent waiting for data since the last logged step.
    #[serde(with = "number")]
    pub data_seconds: f64,
    /// Percent of the (augmented) images since the last logged step that were classified right, where that is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top1: Option<f64>,
}

/// The evaluation of a split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Eval {
    /// Optimizer updates since the run began.
    pub step: u64,
    /// The name of the split.
    pub split: String,
    /// Percent of images whose class scores highest.
    #[serde(with = "number")]
    pub top1: f64,
    /// Percent of images whose class is among the five that score highest.
    #[serde(with = "number")]
    pub top5: f64,
    /// The mean loss of an image.
    #[serde(with = "number")]
    pub loss: f64,
    /// Images evaluated.
    pub images: u64,
}

/// A checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Optimizer updates since the run began.
    pub step: u64,
    /// Where it lies, relative to the run folder.
    pub path: PathBuf,
}

/// A remark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// Optimizer updates since the run began.
    pub step: u64,
    /// What to tell.
    pub text: String,
}

/// The end of a run whose loss is not finite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diverged {
    /// Optimizer updates since the run began.
    pub step: u64,
    /// The loss.
    #[serde(with = "number")]
    pub loss: f64,
    /// The batch: indices into the training split.
    pub images: Vec<usize>,
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// Optimizer updates since the run began.
    pub step: u64,
    /// Wall time since the run began or was last resumed.
    #[serde(with = "number")]
    pub seconds: f64,
}

impl Event {
    /// The step that the event belongs to; 0 for the start.
    pub fn step(&self) -> u64 {
        match self {
            Self::Start(_) => 0,
            Self::Resume(Resume { step, .. })
            | Self::Step(Step { step, .. })
            | Self::Eval(Eval { step, .. })
            | Self::Checkpoint(Checkpoint { step, .. })
            | Self::Note(Note { step, .. })
            | Self::Diverged(Diverged { step, .. })
            | Self::End(End { step, .. }) => *step,
        }
    }
}

/// A journal open for appending.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Journal {
    /// Begins a journal.
    ///
    /// # Errors
    ///
    /// [`Error::Write`] when there is one already, or the folder cannot be written.
    pub fn create(path: &Path) -> Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(path)
            .map_err(Error::writing(path))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            length: 0,
        })
    }

    /// Goes on with the journal of a run that resumes after `step`.
    ///
    /// Events of later steps are dropped, since they will happen again, and so are the end and a torn last line; the file
    /// is replaced whole. Other events of `step` itself stay. A journal that is missing is begun.
    ///
    /// # Errors
    ///
    /// As [`read`], and [`Error::Write`].
    pub fn resume(path: &Path, step: u64) -> Result<Self> {
        let mut events = if path.exists() {
            read(path)?
        } else {
            Vec::new()
        };
        events.retain(|event| event.step() <= step && !matches!(event, Event::End(_)));
        let kept: Vec<u8> = events.iter().flat_map(line).collect();
        files::replace(path, &kept)?;
        let file = OpenOptions::new()
            .append(true)
            .open(path)
            .map_err(Error::writing(path))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            length: kept.len() as u64,
        })
    }

    /// Appends an event, which is with the operating system when this returns.
    ///
    /// # Errors
    ///
    /// [`Error::Write`], for one when the disk is full; the journal then stays as it was before.
    pub fn append(&mut self, event: &Event) -> Result<()> {
        let line = line(event);
        match self.file.write_all(&line) {
            Ok(()) => {
                self.length += line.len() as u64;
                Ok(())
            }
            Err(source) => {
                // Should this fail too, what is left is a torn last line, which readers pass over.
                let _ = self.file.set_len(self.length);
                Err(Error::Write {
                    path: self.path.clone(),
                    source,
                })
            }
        }
    }
}

/// Reads a journal: its events in order, without a last line that was torn by a kill.
///
/// # Errors
///
/// [`Error::Read`]; [`Error::Line`] or [`Error::UnknownEvent`] with the number of a line that is not an event.
pub fn read(path: &Path) -> Result<Vec<Event>> {
    let bytes = fs::read(path).map_err(Error::reading(path))?;
    let mut events = Vec::new();
    for (index, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        match serde_json::from_slice(line) {
            Ok(event) => events.push(event),
            Err(_) if !line.ends_with(b"\n") => break,
            Err(source) => return Err(not_an_event(path, index + 1, line, source)),
        }
    }
    Ok(events)
}

fn not_an_event(path: &Path, line: usize, text: &[u8], source: serde_json::Error) -> Error {
    #[derive(Deserialize)]
    struct Tag {
        event: String,
    }
    let path = path.to_owned();
    match serde_json::from_slice(text) {
        Ok(Tag { event }) if !EVENTS.contains(&event.as_str()) => {
            Error::UnknownEvent { path, line, event }
        }
        _ => Error::Line { path, line, source },
    }
}

fn line(event: &Event) -> Vec<u8> {
    let mut line =
        serde_json::to_vec(event).expect("events have string keys and no failing serializers");
    line.push(b'\n');
    line
}

/// `f64` as a JSON number, or as a string where it is not finite.
pub(crate) mod number {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            _ if value.is_finite() => serializer.serialize_f64(*value),
            _ if value.is_nan() => serializer.serialize_str("NaN"),
            _ if *value > 0.0 => serializer.serialize_str("Infinity"),
            _ => serializer.serialize_str("-Infinity"),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(
            untagged,
            expecting = "expected a number, \"NaN\", \"Infinity\" or \"-Infinity\""
        )]
        enum Written {
            Number(f64),
            Name(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(value) => Ok(value),
            Written::Name(name) => match name.as_str() {
                "NaN" => Ok(f64::NAN),
                "Infinity" => Ok(f64::INFINITY),
                "-Infinity" => Ok(f64::NEG_INFINITY),
                _ => Err(D::Error::custom(format!(
                    "expected a number, found `{name}`"
                ))),
            },
        }
    }
}

/// The splits that were evaluated, in the order of their first evaluation.
pub fn splits(events: &[Event]) -> Vec<&str> {
    let mut splits = Vec::new();
    for event in events {
        if let Event::Eval(eval) = event
            && !splits.contains(&eval.split.as_str())
        {
            splits.push(&eval.split);
        }
    }
    splits
}

/// The wall clock to the second, as events carry it.
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Hinted;

    fn step(step: u64, loss: f64) -> Event {
        Event::Step(Step {
            step,
            epoch: 1,
            loss,
            lr: 0.1,
            images_per_second: 512.5,
            data_seconds: 0.25,
            top1: None,
        })
    }

    fn one_of_each() -> Vec<Event> {
        let time = Timestamp::from_second(1_700_000_000).unwrap();
        vec![
            Event::Start(Start {
                time,
                steps: 200,
                device: "cpu".into(),
                threads: 2,
            }),
            step(50, 0.1 + 0.2),
            Event::Eval(Eval {
                step: 50,
                split: "test".into(),
                top1: 10.01,
                top5: 50.0,
                loss: 2.25,
                images: 10_000,
            }),
            Event::Checkpoint(Checkpoint {
                step: 50,
                path: "checkpoints/50".into(),
            }),
            Event::Resume(Resume {
                time,
                step: 50,
                device: "cpu".into(),
                threads: 4,
            }),
            Event::Note(Note {
                step: 100,
                text: "a \"quoted\"\nnote".into(),
            }),
            Event::Diverged(Diverged {
                step: 150,
                loss: f64::INFINITY,
                images: vec![3, 1, 2],
            }),
            Event::End(End {
                step: 200,
                seconds: 12.5,
            }),
        ]
    }

    fn written(events: &[Event]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let mut journal = Journal::create(&path).unwrap();
        events
            .iter()
            .for_each(|event| journal.append(event).unwrap());
        (folder, path)
    }

    #[test]
    fn every_event_is_read_back_as_it_was_written() {
        let (_folder, path) = written(&one_of_each());
        assert_eq!(read(&path).unwrap(), one_of_each());
    }

    #[test]
    fn the_list_of_names_is_the_list_of_variants() {
        let mut names: Vec<String> = one_of_each()
            .iter()
            .map(|event| {
                serde_json::to_value(event).unwrap()["event"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        names.sort();
        let mut known = EVENTS;
        known.sort_unstable();
        assert_eq!(names, known);
    }

    #[test]
    fn the_documented_lines_are_what_is_written() {
        let text = |event: &Event| String::from_utf8(line(event)).unwrap();
        assert_eq!(
            text(&step(50, 0.1 + 0.2)),
            "{\"event\":\"step\",\"step\":50,\"epoch\":1,\"loss\":0.30000000000000004,\"lr\":0.1,\
             \"images_per_second\":512.5,\"data_seconds\":0.25}\n"
        );
        assert_eq!(
            text(&one_of_each()[2]),
            "{\"event\":\"eval\",\"step\":50,\"split\":\"test\",\"top1\":10.01,\"top5\":50.0,\"loss\":2.25,\
             \"images\":10000}\n"
        );
    }

    #[test]
    fn numbers_that_are_not_finite_come_back() {
        for loss in [
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MIN_POSITIVE,
            f64::MAX,
            -0.0,
        ] {
            let (_folder, path) = written(&[step(1, loss)]);
            let Event::Step(read) = &read(&path).unwrap()[0] else {
                panic!("not a step")
            };
            assert!(
                read.loss.to_bits() == loss.to_bits() || (read.loss.is_nan() && loss.is_nan()),
                "{loss}"
            );
        }
    }

    #[test]
    fn a_line_torn_anywhere_is_passed_over_and_removed_on_resuming() {
        let whole = line(&step(10, 1.5));
        let torn = line(&step(20, 0.5));
        for cut in 0..torn.len() - 1 {
            let (_folder, path) = written(&[step(10, 1.5)]);
            fs::write(&path, [&whole[..], &torn[..cut]].concat()).unwrap();
            assert_eq!(read(&path).unwrap(), [step(10, 1.5)], "cut at {cut}");
            Journal::resume(&path, 20)
                .unwrap()
                .append(&step(20, 0.25))
                .unwrap();
            assert_eq!(
                read(&path).unwrap(),
                [step(10, 1.5), step(20, 0.25)],
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn resuming_drops_what_will_happen_again() {
        let (_folder, path) = written(&one_of_each());
        drop(Journal::resume(&path, 50).unwrap());
        assert_eq!(read(&path).unwrap(), one_of_each()[..5]);
        drop(Journal::resume(&path, 0).unwrap());
        assert_eq!(read(&path).unwrap(), one_of_each()[..1]);
    }

    #[test]
    fn a_missing_journal_is_begun_on_resuming_but_an_existing_one_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        Journal::resume(&path, 0)
            .unwrap()
            .append(&step(1, 1.0))
            .unwrap();
        let error = Journal::create(&path).unwrap_err();
        assert!(error.hint().unwrap().contains("--resume"));
        assert_eq!(read(&path).unwrap(), [step(1, 1.0)]);
    }

    #[test]
    fn a_damaged_line_in_the_middle_is_named_and_stops_a_resume() {
        let (_folder, path) = written(&one_of_each());
        let text = fs::read_to_string(&path)
            .unwrap()
            .replace("\"loss\":2.25", "\"loss\":2.2z");
        fs::write(&path, &text).unwrap();
        let error = read(&path).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("journal.jsonl` is damaged at line 3"),
            "{error}"
        );
        assert!(Journal::resume(&path, 50).is_err());
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            text,
            "a refused resume changes nothing"
        );
    }

    #[test]
    fn a_missing_key_and_a_wrong_type_say_what_was_expected() {
        let explain = |line: &str| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("journal.jsonl");
            fs::write(&path, line).unwrap();
            let error = read(&path).unwrap_err();
            std::error::Error::source(&error).unwrap().to_string()
        };
        assert!(explain("{\"event\":\"end\",\"step\":1}\n").contains("missing field `seconds`"));
        let wrong = explain("{\"event\":\"end\",\"step\":1,\"seconds\":[]}\n");
        assert!(wrong.contains("expected a number"), "{wrong}");
    }

    #[test]
    fn an_event_of_a_newer_version_is_named() {
        let (_folder, path) = written(&[step(1, 1.0)]);
        let text = fs::read_to_string(&path).unwrap() + "{\"event\":\"teleport\",\"step\":2}\n";
        fs::write(&path, text).unwrap();
        let error = read(&path).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("has an unknown event `teleport` at line 2"),
            "{error}"
        );
    }
}
