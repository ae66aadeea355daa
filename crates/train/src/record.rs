//! The record of a run: each event goes to the journal, to TensorBoard and to the terminal.

use std::path::{Path, PathBuf};

use crate::files::Result;
use crate::journal::{self, Event, Journal};
use crate::metrics;
use crate::progress::{Progress, Run};
use crate::tensorboard::TensorBoard;

/// The name of the journal in a run folder.
pub const JOURNAL: &str = "journal.jsonl";
/// The name of the table of metrics in a run folder.
pub const METRICS: &str = "metrics.csv";

/// Where a run's events are told.
#[derive(Debug)]
pub struct Record {
    folder: PathBuf,
    journal: Journal,
    tensorboard: TensorBoard,
    progress: Progress,
}

impl Record {
    /// Begins the record of a run in its folder.
    ///
    /// # Errors
    ///
    /// [`files::Error::Write`](crate::files::Error::Write), also when there is a journal already.
    pub fn create(folder: &Path, run: Run) -> Result<Self> {
        let journal = Journal::create(&folder.join(JOURNAL))?;
        Self::of(folder, journal, None, run)
    }

    /// Goes on with the record of a run after `step`; what was recorded of later steps is dropped.
    ///
    /// # Errors
    ///
    /// As [`Journal::resume`].
    pub fn resume(folder: &Path, step: u64, run: Run) -> Result<Self> {
        let journal = Journal::resume(&folder.join(JOURNAL), step)?;
        Self::of(folder, journal, Some(step), run)
    }

    fn of(folder: &Path, journal: Journal, resumed: Option<u64>, run: Run) -> Result<Self> {
        Ok(Self {
            folder: folder.to_owned(),
            journal,
            tensorboard: TensorBoard::create(folder, resumed, journal::now())?,
            progress: Progress::new(run, resumed.unwrap_or(0)),
        })
    }

    /// Notes that `step` is done; cheap enough for every step.
    pub fn advance(&mut self, step: u64) {
        self.progress.advance(step);
    }

    /// Records an event. The table of metrics is written anew at all but logged steps, which are frequent.
    ///
    /// # Errors
    ///
    /// [`files::Error::Write`](crate::files::Error::Write), for one when the disk is full.
    pub fn add(&mut self, event: &Event) -> Result<()> {
        self.journal.append(event)?;
        self.tensorboard.append(event, journal::now())?;
        self.progress.show(event);
        match event {
            Event::Step(_) => Ok(()),
            _ => metrics::write(
                &self.folder.join(METRICS),
                &journal::read(&self.folder.join(JOURNAL))?,
            ),
        }
    }

    /// Says a line on the terminal that is not recorded.
    pub fn say(&self, line: &str) {
        self.progress.say(line);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::journal::{End, Step};
    use crate::progress::Machine;

    fn run() -> Run {
        let machine = Machine {
            device: "cpu".into(),
            is_cpu: true,
            threads: 1,
            cores: 1,
            gpus: Vec::new(),
        };
        Run {
            steps: 4,
            steps_per_epoch: 2,
            machine,
        }
    }

    fn step(step: u64, loss: f64) -> Event {
        let (lr, images_per_second, data_seconds) = (0.1, 100.0, 0.0);
        Event::Step(Step {
            step,
            epoch: 1,
            loss,
            lr,
            images_per_second,
            data_seconds,
            top1: None,
        })
    }

    #[test]
    fn a_resumed_run_leaves_the_metrics_of_one_that_was_not_killed() {
        let folder = tempfile::tempdir().unwrap();
        let mut record = Record::create(folder.path(), run()).unwrap();
        record.add(&step(2, 2.0)).unwrap();
        record.add(&step(3, 9.0)).unwrap();
        drop(record);
        let mut record = Record::resume(folder.path(), 2, run()).unwrap();
        record.add(&step(3, 1.0)).unwrap();
        record
            .add(&Event::End(End {
                step: 3,
                seconds: 1.0,
            }))
            .unwrap();
        assert_eq!(
            fs::read_to_string(folder.path().join(METRICS)).unwrap(),
            "step,epoch,loss,lr,images_per_second,data_seconds,top1\n2,1,2,0.1,100,0,\n3,1,1,0.1,100,0,\n"
        );
        let boards = fs::read_dir(folder.path()).unwrap().filter(|entry| {
            entry
                .as_ref()
                .unwrap()
                .file_name()
                .to_string_lossy()
                .contains("tfevents")
        });
        assert_eq!(boards.count(), 2);
    }
}
