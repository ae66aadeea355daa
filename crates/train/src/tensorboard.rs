//! TensorBoard event files.
//!
//! The few messages are written out here, as `prost` structs without a build script. Of the crates that
//! write such files, tensorboard-rs 0.5 brings `image` 0.23 and `protobuf` 2, tboard 0.1 needs `protoc`
//! to build, and tfrecord 0.15 has a build script with an HTTP client.
//!
//! A file is a sequence of records: the length of the payload (u64, little-endian), its masked CRC-32C, the payload (an
//! `Event`), its masked CRC-32C. Numbers and names of fields are those of TensorFlow's `event.proto` and
//! `summary.proto`.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crc::{CRC_32_ISCSI, Crc};
use jiff::Timestamp;
use prost::Message;

use crate::files::{Error, Result};
use crate::journal;

/// An event file open for appending.
#[derive(Debug)]
pub struct TensorBoard {
    path: PathBuf,
    file: File,
}

impl TensorBoard {
    /// Begins a new event file in `folder`, next to those that are there.
    ///
    /// `resumed` is the step of the checkpoint from which a run goes on: TensorBoard then drops the later steps that it
    /// has from earlier files, since they happen again. It does so at the second beginning of a session, which is
    /// why the file of a run that begins has one, too.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub fn create(folder: &Path, resumed: Option<u64>, now: Timestamp) -> Result<Self> {
        let (path, file) = new_file(folder, now)?;
        let mut board = Self { path, file };
        board.write(&Event {
            file_version: Some(FILE_VERSION.into()),
            ..Event::at(now, 0)
        })?;
        let next = resumed.map_or(0, |step| step + 1);
        board.write(&Event {
            session_log: Some(SessionLog {
                status: SESSION_START,
            }),
            ..Event::at(now, next)
        })?;
        Ok(board)
    }

    /// Appends the numbers of an event, which TensorBoard shows at once; other events have none and pass.
    ///
    /// The tags of a step are `train/loss`, `train/lr`, `train/images_per_second`, `train/data_seconds` and, where it
    /// is measured, `train/top1`; those of an evaluation `<split>/top1`, `<split>/top5` and `<split>/loss`, with the
    /// split `train` as `train_eval`.
    ///
    /// # Errors
    ///
    /// [`Error::Write`].
    pub fn append(&mut self, event: &journal::Event, now: Timestamp) -> Result<()> {
        let values = scalars(event);
        if values.is_empty() {
            return Ok(());
        }
        self.write(&Event {
            summary: Some(Summary { values }),
            ..Event::at(now, event.step())
        })
    }

    fn write(&mut self, event: &Event) -> Result<()> {
        self.file
            .write_all(&record(&event.encode_to_vec()))
            .map_err(Error::writing(&self.path))
    }
}

/// Creates the first free `events.out.tfevents.<second>.<n>.kiln`: TensorBoard reads a folder's files in the order of
/// their names.
fn new_file(folder: &Path, now: Timestamp) -> Result<(PathBuf, File)> {
    let mut number = 0_u32;
    loop {
        let path = folder.join(format!(
            "events.out.tfevents.{:010}.{number:04}.kiln",
            now.as_second()
        ));
        match OpenOptions::new().append(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(Error::writing(&path)(error)),
        }
    }
}

fn scalars(event: &journal::Event) -> Vec<Value> {
    match event {
        journal::Event::Step(step) => {
            let mut values = vec![
                scalar("train", "loss", step.loss),
                scalar("train", "lr", step.lr),
                scalar("train", "images_per_second", step.images_per_second),
                scalar("train", "data_seconds", step.data_seconds),
            ];
            values.extend(step.top1.map(|top1| scalar("train", "top1", top1)));
            values
        }
        journal::Event::Eval(eval) => {
            let group = if eval.split == "train" {
                "train_eval"
            } else {
                &eval.split
            };
            vec![
                scalar(group, "top1", eval.top1),
                scalar(group, "top5", eval.top5),
                scalar(group, "loss", eval.loss),
            ]
        }
        _ => Vec::new(),
    }
}

fn scalar(group: &str, name: &str, value: f64) -> Value {
    Value {
        tag: format!("{group}/{name}"),
        simple_value: Some(value as f32),
    }
}

fn record(payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u64).to_le_bytes();
    [
        &length[..],
        &masked_crc(&length).to_le_bytes(),
        payload,
        &masked_crc(payload).to_le_bytes(),
    ]
    .concat()
}

/// CRC-32C, rotated and shifted as TensorFlow does, so that the CRC of data that holds CRCs stays useful.
fn masked_crc(bytes: &[u8]) -> u32 {
    Crc::<u32>::new(&CRC_32_ISCSI)
        .checksum(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

const FILE_VERSION: &str = "brain.Event:2";
const SESSION_START: i32 = 1;

#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
    #[prost(message, optional, tag = "7")]
    session_log: Option<SessionLog>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    values: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    /// In a `oneof` there: written even when it is 0.
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(int32, tag = "1")]
    status: i32,
}

impl Event {
    fn at(time: Timestamp, step: u64) -> Self {
        Self {
            wall_time: time.as_duration().as_secs_f64(),
            step: step.cast_signed(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn step(step: u64) -> journal::Event {
        journal::Event::Step(journal::Step {
            step,
            epoch: 1,
            loss: 1.5,
            lr: 0.0,
            images_per_second: 512.0,
            data_seconds: 0.25,
            top1: None,
        })
    }

    fn eval(split: &str) -> journal::Event {
        journal::Event::Eval(journal::Eval {
            step: 3,
            split: split.into(),
            top1: 90.0,
            top5: 99.0,
            loss: 0.5,
            images: 10,
        })
    }

    fn events(bytes: &[u8]) -> Vec<Event> {
        let mut rest = bytes;
        let mut events = Vec::new();
        while !rest.is_empty() {
            let (length, after) = rest.split_at(8);
            let (length_crc, after) = after.split_at(4);
            assert_eq!(length_crc, masked_crc(length).to_le_bytes());
            let (payload, after) =
                after.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
            let (payload_crc, after) = after.split_at(4);
            assert_eq!(payload_crc, masked_crc(payload).to_le_bytes());
            events.push(Event::decode(payload).unwrap());
            rest = after;
        }
        events
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        let mut paths: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        paths
    }

    /// Written with tensorboard 2.21.0:
    ///
    /// ```python
    /// writer = RecordWriter(open("tensorboard-2.21.0.tfevents", "wb"))
    /// time, value = 1_700_000_000, lambda tag, x: Summary.Value(tag=tag, simple_value=x)
    /// scores = [value("test/top1", 90), value("test/top5", 99), value("test/loss", 0.5)]
    /// for event in [
    ///     Event(wall_time=time, file_version="brain.Event:2"),
    ///     Event(wall_time=time, step=3, session_log=SessionLog(status=SessionLog.START)),
    ///     Event(wall_time=time, step=3, summary=Summary(value=scores)),
    /// ]:
    ///     writer.write(event.SerializeToString())
    /// ```
    #[test]
    fn the_bytes_are_those_of_tensorboards_own_writer() {
        let folder = tempfile::tempdir().unwrap();
        TensorBoard::create(folder.path(), Some(2), at(1_700_000_000))
            .unwrap()
            .append(&eval("test"), at(1_700_000_000))
            .unwrap();
        let golden = include_bytes!("../tests/golden/tensorboard-2.21.0.tfevents");
        assert_eq!(fs::read(&files(folder.path())[0]).unwrap(), golden);
    }

    #[test]
    fn a_resumed_run_has_a_later_file_that_begins_a_session_after_the_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        TensorBoard::create(folder.path(), None, at(1_700_000_000))
            .unwrap()
            .append(&step(60), at(1_700_000_000))
            .unwrap();
        TensorBoard::create(folder.path(), Some(50), at(1_700_000_000)).unwrap();
        let files = files(folder.path());
        let [first, second] = &files[..] else {
            panic!("two files, found {files:?}")
        };
        assert_eq!(events(&fs::read(first).unwrap())[2].step, 60);
        assert_eq!(
            events(&fs::read(first).unwrap())[1].session_log,
            Some(SessionLog {
                status: SESSION_START
            })
        );
        let restart = &events(&fs::read(second).unwrap())[1];
        assert_eq!(
            (restart.step, &restart.session_log),
            (
                51,
                &Some(SessionLog {
                    status: SESSION_START
                })
            )
        );
    }

    #[test]
    fn tags_of_steps_and_of_evaluations_never_meet() {
        let tags = |event: &journal::Event| {
            scalars(event)
                .into_iter()
                .map(|value| value.tag)
                .collect::<Vec<_>>()
        };
        let of_step = tags(&step(1));
        assert_eq!(
            of_step,
            [
                "train/loss",
                "train/lr",
                "train/images_per_second",
                "train/data_seconds"
            ]
        );
        assert_eq!(tags(&eval("test")), ["test/top1", "test/top5", "test/loss"]);
        assert!(
            tags(&eval("train"))
                .iter()
                .all(|tag| !of_step.contains(tag))
        );
    }

    #[test]
    fn a_value_of_zero_is_written() {
        let lr = &scalars(&step(1))[1];
        assert_eq!(
            Value::decode(&lr.encode_to_vec()[..]).unwrap().simple_value,
            Some(0.0)
        );
    }
}
