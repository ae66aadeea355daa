//! What is wrong in a recipe, and where: the key, and the line or the `--set` that wrote it.

use std::fmt::{self, Display};

use serde::de::{Expected, Unexpected};

use crate::document::Origin;
use crate::error::Hinted;
use crate::suggest;

/// One thing that is wrong in a recipe.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    problem: Problem,
    place: Option<Place>,
    hint: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
struct Place {
    path: String,
    origin: Origin,
}

#[derive(Debug, Clone, PartialEq)]
enum Problem {
    UnknownKey {
        key: String,
        known: &'static [&'static str],
    },
    MissingKey(String),
    UnknownWord {
        word: String,
        known: &'static [&'static str],
    },
    Contradiction(Vec<String>),
    Mismatch {
        expected: String,
        found: String,
    },
    Invalid(String),
}

impl Fault {
    /// A fault in words: lowercase, no full stop.
    pub fn invalid(message: impl Into<String>) -> Self {
        Problem::Invalid(message.into()).into()
    }

    /// Two or more keys of a table of which only one may be there.
    pub(crate) fn contradiction(keys: Vec<String>) -> Self {
        Problem::Contradiction(keys).into()
    }

    /// Says where, unless that is known already: the innermost place is the right one.
    pub fn at(mut self, path: &str, origin: &Origin) -> Self {
        self.place.get_or_insert_with(|| Place {
            path: path.into(),
            origin: origin.clone(),
        });
        self
    }

    /// Says what to type next.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn path(&self) -> &str {
        self.place.as_ref().map_or("", |place| &place.path)
    }

    fn set_argument(&self) -> Option<&str> {
        match &self.place.as_ref()?.origin {
            Origin::Set(argument) => Some(argument),
            Origin::Line(_) => None,
        }
    }
}

impl Fault {
    fn write_origin(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_of_whole_file =
            self.path().is_empty() && matches!(self.problem, Problem::MissingKey(_));
        match self.place.as_ref().map(|place| &place.origin) {
            Some(Origin::Set(argument)) => write!(f, ", from `--set {argument}`"),
            Some(Origin::Line(line)) if !is_of_whole_file => write!(f, ", line {line}"),
            _ => Ok(()),
        }
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            place: None,
            hint: None,
        }
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = match self.path() {
            "" => String::new(),
            path => format!(" in `[{path}]`"),
        };
        let subject = match self.path() {
            "" => String::new(),
            path => format!("`{path}`: "),
        };
        match &self.problem {
            Problem::UnknownKey { key, .. } => write!(f, "unknown key `{key}`{table}")?,
            Problem::MissingKey(key) => write!(f, "missing key `{key}`{table}")?,
            Problem::UnknownWord { word, known } => {
                write!(
                    f,
                    "{subject}expected {}, found `{word}`",
                    suggest::listed(known, "or")
                )?;
            }
            Problem::Contradiction(keys) => {
                write!(
                    f,
                    "{subject}expected one key, found {}",
                    suggest::listed(keys, "and")
                )?;
            }
            Problem::Mismatch { expected, found } => {
                write!(f, "{subject}expected {expected}, found {found}")?;
            }
            Problem::Invalid(message) => write!(f, "{subject}{message}")?,
        }
        self.write_origin(f)
    }
}

impl std::error::Error for Fault {}

impl Hinted for Fault {
    fn hint(&self) -> Option<String> {
        self.hint.clone().or_else(|| self.likely_hint())
    }
}

impl Fault {
    fn likely_hint(&self) -> Option<String> {
        match &self.problem {
            Problem::UnknownKey { key, known } => habit(key)
                .filter(|_| suggest::nearest(key, known.iter().copied()).is_none())
                .map(String::from)
                .or_else(|| suggest::hint(key, known.iter().copied())),
            Problem::MissingKey(key) => {
                example(key).map(|example| format!("add, for example, {example}"))
            }
            Problem::UnknownWord { word, known } => suggest::nearest(word, known.iter().copied())
                .map(|candidate| format!("did you mean `{candidate}`?")),
            Problem::Contradiction(keys) => self.contradiction_hint(keys),
            Problem::Mismatch { expected, found } if expected == DURATION => {
                Some(duration_hint(found))
            }
            Problem::Mismatch { expected, .. } if expected == TABLE => {
                let key = self.path().rsplit('.').next()?;
                example(key).map(|example| format!("write, for example, {example}"))
            }
            Problem::Mismatch { .. } => None,
            Problem::Invalid(_) => None,
        }
    }

    fn contradiction_hint(&self, keys: &[String]) -> Option<String> {
        let path = self.path();
        match self.set_argument() {
            Some(_) => Some(format!(
                "replace the whole of it with `--set '{path}={{ {} = .. }}'`",
                keys.last()?
            )),
            None => Some(format!("keep one of {}", suggest::listed(keys, "and"))),
        }
    }
}

/// Where Kiln puts what other frameworks call by this name.
fn habit(key: &str) -> Option<&'static str> {
    Some(match key {
        "batch_size" | "batchsize" => "images a step are `batch = 128`",
        "epochs" | "steps" | "iterations" | "num_epochs" | "max_steps" => {
            "the run's length is `length = { epochs = 30 }`"
        }
        "lr" | "learning_rate" | "base_lr" => {
            "the rate stands in the schedule: `[schedule.constant]` with `rate`, `[schedule.step]` or `[schedule.cosine]` with `start`"
        }
        "gamma" => "the rate is divided: `divide_by = 10` is a gamma of 0.1",
        "milestones" => "milestones are `at = [{ steps = 32_000 }, ..]`",
        "wd" => "the key is `weight_decay`",
        "arch" | "network" => "the network is `model = \"resnet20\"`",
        _ => return None,
    })
}

fn example(key: &str) -> Option<&'static str> {
    Some(match key {
        "model" => "`model = \"resnet20\"`",
        "dataset" => "`dataset = \"cifar10\"`",
        "batch" => "`batch = 128`",
        "length" => "`length = { epochs = 30 }`",
        "optimizer" => "a table `[optimizer.sgd]` with `momentum = 0.9`",
        "schedule" => "a table `[schedule.constant]` with `rate = 0.1`",
        "validation" => "`validation = { images = 5_000 }`",
        "ema" => "a table `[ema]` with `decay = 0.999`",
        "random_crop" => "`random_crop = { size = 32, padding = 4 }`",
        "resize" => "`resize = { size = 256, interpolation = \"bilinear\" }`",
        "center_crop" => "`center_crop = { size = 224 }`",
        "random_resized_crop" => {
            "`random_resized_crop = { size = 224, scale = [0.08, 1], ratio = [0.75, 1.3333], interpolation = \"bilinear\" }`"
        }
        "scale_jitter" => {
            "`scale_jitter = { shorter_side = [256, 480], size = 224, interpolation = \"bilinear\" }`"
        }
        "flip" => "`flip = { probability = 0.5 }`",
        "mixup" => "`mixup = { alpha = 0.2 }`",
        "cutmix" => "`cutmix = { alpha = 1.0 }`",
        "color_jitter" => {
            "`color_jitter = { brightness = 0.4, contrast = 0.4, saturation = 0.4, hue = 0.1 }`"
        }
        "auto_augment" => "`auto_augment = { policy = \"imagenet\" }`",
        "rand_augment" => {
            "`rand_augment = { num_ops = 2, magnitude = 9, num_magnitude_bins = 31 }`"
        }
        "trivial_augment_wide" => "`trivial_augment_wide = { num_magnitude_bins = 31 }`",
        "random_erasing" => {
            "`random_erasing = { probability = 0.25, scale = [0.02, 0.33], ratio = [0.3, 3.3], value = 0 }`"
        }
        "pca_color" => "`pca_color = { std = 0.1 }`",
        "warm_up" => "`warm_up = { shape = \"linear\", from = 0.01, length = { epochs = 2 } }`",
        _ => return None,
    })
}

const DURATION: &str = "a duration";

const TABLE: &str = "a table";

fn duration_hint(found: &str) -> String {
    match found.trim_matches('`').parse::<u64>() {
        Ok(n) if n > 0 => format!("write `{{ epochs = {n} }}`, `{{ steps = {n} }}` or `{{ images = {n} }}`"),
        _ => "write, for example, `{ epochs = 30 }`, `{ steps = 64_000 }` or `{ images = 1_000_000 }`".into(),
    }
}

impl serde::de::Error for Fault {
    fn custom<T: Display>(message: T) -> Self {
        Self::invalid(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let (expected, found) = (in_words(&expected.to_string()), described(found));
        Problem::Mismatch { expected, found }.into()
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(word: &str, known: &'static [&'static str]) -> Self {
        Problem::UnknownWord {
            word: word.into(),
            known,
        }
        .into()
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        Problem::UnknownKey {
            key: key.into(),
            known,
        }
        .into()
    }

    fn missing_field(key: &'static str) -> Self {
        Problem::MissingKey(key.into()).into()
    }
}

fn in_words(expected: &str) -> String {
    match expected {
        "u64" | "usize" => "a whole number, 0 or more".into(),
        "f64" => "a number".into(),
        "a boolean" => "`true` or `false`".into(),
        "a sequence" => "a list".into(),
        "path string" => "a path in quotes".into(),
        table if table.starts_with("struct ") => TABLE.into(),
        words => words.into(),
    }
}

fn described(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Signed(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => format!("`{value}`"),
        Unexpected::Float(value) => format!("`{value:?}`"),
        Unexpected::Str(text) => format!("the string `{text}`"),
        Unexpected::Seq => "a list".into(),
        Unexpected::Map => "a table".into(),
        other => other.to_string(),
    }
}
