//! One archive, from its mirrors in order, into its `.part` file.

use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::Options;
use super::archive::Archive;
use super::client::{Answer, Client};
use super::error::{Failure, Fault, FetchError, Retry};
use crate::Progress;
use crate::part::Part;

/// A download in progress.
pub(super) struct Download<'a> {
    archive: &'a Archive,
    directory: &'a Path,
    part: Part,
    client: &'a Client,
    progress: &'a mut dyn Progress,
    retries: u32,
    backoff: Duration,
}

/// A mirror, and what is known of the bytes in the `.part` file that it sent.
struct Source<'a> {
    address: &'a str,
    etag: Option<String>,
    /// Whether all bytes in the `.part` file are this mirror's, sent since this call began.
    sent_all: bool,
}

/// Why an attempt ended: here, which ends everything, or at the mirror, which is what other mirrors are for.
enum Stop {
    Here(FetchError),
    There(Fault),
}

impl From<FetchError> for Stop {
    fn from(error: FetchError) -> Stop {
        Stop::Here(error)
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::There(fault)
    }
}

impl<'a> Download<'a> {
    /// A download that continues what `part` holds.
    pub(super) fn new(
        archive: &'a Archive,
        directory: &'a Path,
        part: Part,
        client: &'a Client,
        progress: &'a mut dyn Progress,
        options: &Options,
    ) -> Download<'a> {
        Download {
            archive,
            directory,
            part,
            client,
            progress,
            retries: options.retries,
            backoff: options.backoff,
        }
    }

    /// Downloads, checks and publishes the archive.
    pub(super) fn run(mut self) -> Result<(), FetchError> {
        if self.part.length() > self.archive.bytes {
            self.drop_bytes()?;
        }
        self.progress
            .start(&self.archive.name, self.archive.bytes, self.part.length());
        let outcome = self.try_mirrors();
        self.progress.finish();
        if let Err(error) = outcome {
            self.part.abandon();
            return Err(error);
        }
        let path = self.directory.join(&self.archive.name);
        self.part
            .publish(&path)
            .map_err(|source| FetchError::Write {
                path,
                missing: self.archive.bytes,
                source,
            })
    }

    /// Fills the `.part` file with the right bytes, from the first mirror that has them.
    fn try_mirrors(&mut self) -> Result<(), FetchError> {
        let mut failures = Vec::new();
        let mut mirrors = self.archive.mirrors.iter().peekable();
        while let Some(mirror) = mirrors.next() {
            let fault = match self.try_mirror(mirror) {
                Ok(()) => return Ok(()),
                Err(Stop::Here(error)) => return Err(error),
                Err(Stop::There(fault)) => fault,
            };
            if let Some(next) = mirrors.peek() {
                self.progress
                    .note(&format!("`{mirror}` {fault}; trying `{next}`"));
            }
            failures.push(Failure {
                mirror: mirror.clone(),
                fault,
            });
        }
        Err(FetchError::Unfetched {
            name: self.archive.name.clone(),
            bytes: self.archive.bytes,
            kept: self.part.length(),
            directory: self.directory.into(),
            failures,
            waiting: Vec::new(),
        })
    }

    /// Asks one mirror, and again after a pause where its fault may pass.
    fn try_mirror(&mut self, address: &str) -> Result<(), Stop> {
        let mut source = Source {
            address,
            etag: None,
            sent_all: self.part.length() == 0,
        };
        let mut pause = self.backoff;
        for _ in 0..self.retries {
            match self.attempt(&mut source) {
                Err(Stop::There(fault)) if fault.retry() == Retry::Later => {
                    self.progress
                        .note(&format!("`{address}` {fault}; trying again in {pause:?}"));
                }
                outcome => return outcome,
            }
            thread::sleep(pause);
            pause = pause.saturating_mul(2);
        }
        self.attempt(&mut source)
    }

    /// Completes the `.part` file, and checks it.
    ///
    /// Wrong bytes that an earlier run or another mirror may have sent are no fault of this one: it starts over.
    fn attempt(&mut self, source: &mut Source) -> Result<(), Stop> {
        loop {
            if self.part.length() < self.archive.bytes {
                self.transfer(source)?;
            }
            let found = self
                .part
                .checksum(&self.archive.checksum)
                .map_err(|error| self.unreadable(error))?;
            let Some(mismatch) = self.archive.other_content(found) else {
                return Ok(());
            };
            let fault = Fault::Different(mismatch);
            let blameless = !source.sent_all;
            self.start_over(source)?;
            if !blameless {
                return Err(fault.into());
            }
            self.progress.note(&format!(
                "the bytes that were kept of `{}` are not right; starting over",
                self.archive.name
            ));
        }
    }

    /// Appends what the mirror sends, up to the last byte of the archive.
    fn transfer(&mut self, source: &mut Source) -> Result<(), Stop> {
        let mut answer =
            self.client
                .ask(source.address, self.part.length(), source.etag.as_deref())?;
        self.reconcile(&answer, source)?;
        source.etag = answer.etag.take();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = answer
                .body
                .read(&mut buffer)
                .map_err(|error| self.client.body_fault(error))?;
            if read == 0 {
                break;
            }
            if read as u64 > self.missing() {
                self.start_over(source)?;
                return Err(Fault::TooLong(self.archive.bytes).into());
            }
            self.part
                .append(&buffer[..read])
                .map_err(|error| self.unwritable(error))?;
            self.progress.advance(read as u64);
        }
        if self.missing() > 0 {
            return Err(Fault::Cut.into());
        }
        Ok(())
    }

    /// Makes the `.part` file end where the answer begins, if the answer is about a file of the right length.
    fn reconcile(&mut self, answer: &Answer, source: &mut Source) -> Result<(), Stop> {
        if let Some(total) = answer.total
            && total != self.archive.bytes
        {
            return Err(Fault::Different(self.archive.other_length(total)).into());
        }
        if answer.start == self.part.length() {
            Ok(())
        } else if answer.start == 0 {
            self.start_over(source)
        } else {
            let fault = format!(
                "asked for the bytes from {} on, got those from {} on",
                self.part.length(),
                answer.start
            );
            Err(Fault::Transport(fault, Retry::Never).into())
        }
    }

    fn start_over(&mut self, source: &mut Source) -> Result<(), Stop> {
        self.drop_bytes()?;
        source.sent_all = true;
        self.progress
            .start(&self.archive.name, self.archive.bytes, 0);
        Ok(())
    }

    fn drop_bytes(&mut self) -> Result<(), FetchError> {
        self.part.restart().map_err(|error| self.unwritable(error))
    }

    fn missing(&self) -> u64 {
        self.archive.bytes - self.part.length()
    }

    fn unwritable(&self, source: io::Error) -> FetchError {
        FetchError::Write {
            path: self.part.path().into(),
            missing: self.archive.bytes.saturating_sub(self.part.length()),
            source,
        }
    }

    fn unreadable(&self, source: io::Error) -> FetchError {
        FetchError::Read {
            path: self.part.path().into(),
            source,
        }
    }
}
