//! The error that a command ends with: what failed, the chain of causes, one hint.

use std::error::Error as StdError;
use std::fmt::{self, Display};

/// An error that knows what the user could type next.
pub trait Hinted: StdError + Send + Sync + 'static {
    /// What to type next, without the word `hint`.
    fn hint(&self) -> Option<String>;
}

/// A command's failure, with the exit code of the process.
///
/// `Display` gives the first line only; [`Error::report`] gives everything.
#[derive(Debug)]
pub struct Error {
    message: String,
    cause: Option<Box<dyn StdError + Send + Sync>>,
    hint: Option<String>,
    exit_code: u8,
}

impl Error {
    /// What was typed is wrong, on the command line or in a recipe: exit code 2.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(message, 2)
    }

    /// A run failed on data, weights, disk, network or numbers: exit code 1.
    pub fn failure(message: impl Into<String>) -> Self {
        Self::new(message, 1)
    }

    fn new(message: impl Into<String>, exit_code: u8) -> Self {
        let (message, cause, hint) = (message.into(), None, None);
        Self {
            message,
            cause,
            hint,
            exit_code,
        }
    }

    /// Adds the cause: any error, an `anyhow::Error` or a plain message.
    pub fn because(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Adds the cause, and its hint if it has one.
    pub fn explained_by(self, cause: impl Hinted) -> Self {
        let hint = cause.hint();
        let explained = self.because(cause);
        match hint {
            Some(hint) => explained.with_hint(hint),
            None => explained,
        }
    }

    /// Says what to type next.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What to type next, if that is known.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The exit code of the process: 1 where a run failed, 2 where what was typed is wrong.
    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }

    /// The whole message: the error, its causes, a blank line and the hint.
    pub fn report(&self) -> impl Display + '_ {
        Report(self)
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_deref().map(|cause| cause as &dyn StdError)
    }
}

struct Report<'a>(&'a Error);

impl Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.0)?;
        let causes = std::iter::successors(self.0.source(), |cause| (*cause).source());
        for cause in causes {
            write!(
                f,
                "\n  caused by: {}",
                cause.to_string().replace('\n', "\n    ")
            )?;
        }
        match &self.0.hint {
            Some(hint) => write!(f, "\n\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read `train-images-idx3-ubyte`")]
    struct Unreadable {
        source: std::io::Error,
    }

    impl Hinted for Unreadable {
        fn hint(&self) -> Option<String> {
            Some("put the four MNIST files into `mnist/`".into())
        }
    }

    #[test]
    fn a_report_has_the_chain_of_causes_and_one_hint() {
        let source = std::io::Error::other("the disk is gone");
        let error =
            Error::failure("cannot open dataset `mnist`").explained_by(Unreadable { source });
        insta::assert_snapshot!(error.report(), @r"
        error: cannot open dataset `mnist`
          caused by: cannot read `train-images-idx3-ubyte`
          caused by: the disk is gone

        hint: put the four MNIST files into `mnist/`
        ");
        assert_eq!(error.exit_code(), 1);
    }

    #[test]
    fn a_report_without_cause_and_hint_is_one_line() {
        let error = Error::usage("unknown device `gpu`");
        assert_eq!(error.report().to_string(), "error: unknown device `gpu`");
        assert_eq!(error.exit_code(), 2);
    }
}
