//! A plan: what runs, with every duration in steps. It is saved as `plan.toml` before the first step.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Not;
use std::path::{Path, PathBuf};

use data::{JpegDecoder, OnBadImage, PaddingMode, Size, Sizes};
use models::Initialization;
use models::parts::is_within;
use serde::{Deserialize, Serialize};

use crate::decode::decode;
use crate::document::Node;
use crate::duration::{Duration, Epoch};
use crate::error::Error;
use crate::fault::Fault;
use crate::lookahead::Lookahead;
use crate::recipe::{
    self, Augment, Ema, Log, Loss, LossKind, Milestones, Model, Normalize, Optimizer, Precision,
    Recipe, RecipeFile, Transform,
};
use crate::schedule::{Curve, Schedule, WarmUp};

/// What a dataset turned out to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetFacts {
    /// What the dataset is called.
    pub name: String,
    /// Images of its training split, those for validation among them.
    pub train_images: usize,
    /// Images of its test split, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_images: Option<usize>,
    /// How many classes.
    pub classes: usize,
    /// Channels, height and width of an image; the channels alone, where images are of any size.
    #[serde(with = "sizes")]
    pub size: Sizes,
    /// SHA-256 of what was loaded, in hexadecimal.
    pub fingerprint: String,
    /// What decodes its JPEG files, where it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jpeg_decoder: Option<JpegDecoder>,
    /// Of the training split's colours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<Statistics>,
}

/// As `[3, 32, 32]`, or `[3]`.
mod sizes {
    use data::{Size, Sizes};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(sizes: &Sizes, serializer: S) -> Result<S::Ok, S::Error> {
        match sizes {
            Sizes::One(size) => [size.channels, size.height, size.width].serialize(serializer),
            Sizes::Any { channels } => [*channels].serialize(serializer),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Sizes, D::Error> {
        match *Vec::<usize>::deserialize(deserializer)?.as_slice() {
            [channels, height, width] => Ok(Size::new(channels, height, width).into()),
            [channels] => Ok(Sizes::Any { channels }),
            _ => Err(D::Error::custom(
                "expected channels, height and width, or channels alone",
            )),
        }
    }
}

/// Of the training split's colours, pixels in [0, 1].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statistics {
    /// The mean of each channel.
    pub mean: Vec<f64>,
    /// The standard deviation of each channel.
    pub std: Vec<f64>,
    /// Of the covariance of red, green and blue, falling; empty for other images.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub eigenvalues: Vec<f64>,
    /// One row a colour, one column an eigenvalue.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub eigenvectors: Vec<Vec<f64>>,
}

/// What a plan takes from elsewhere than the recipe and the dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct Circumstances {
    /// The device that runs.
    pub device: String,
    /// Threads that prepare batches.
    pub workers: usize,
    /// Threads that compute.
    pub threads: usize,
    /// Processes that share the batches.
    pub processes: usize,
    /// The folder that the recipe's paths go from, where that is known.
    pub started_in: Option<PathBuf>,
    /// How the paper of the model's family draws its weights.
    pub initialization: Initialization,
    /// SHA-256 of the weights that the recipe starts from; empty where it names none, or they are not
    /// read.
    pub init_sha256: String,
}

/// Everything that a run is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key of its own, with its own meaning"
)]
pub struct Plan {
    /// The recipe's name.
    pub name: String,
    /// The device that runs.
    pub device: String,
    /// Threads that prepare batches.
    pub workers: usize,
    /// Threads that compute.
    pub threads: usize,
    /// Processes that share the batches.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub processes: usize,
    /// The folder that the recipe's paths go from, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_in: Option<PathBuf>,
    /// Of initial weights, order and augmentation.
    pub seed: u64,
    /// Updates of the weights.
    pub steps: u64,
    /// Steps of one pass over the training images.
    pub steps_per_epoch: u64,
    /// Images a step.
    pub batch: usize,
    /// Micro-batches a step.
    pub accumulate: usize,
    /// What training computes in.
    #[serde(default, skip_serializing_if = "Precision::is_full")]
    pub precision: Precision,
    /// Whether batch normalisation takes the statistics of all processes' images.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub sync_bn: bool,
    /// Whether the network's blocks are computed again in the backward pass.
    #[serde(default)]
    pub gradient_checkpointing: bool,
    /// Residual blocks that each micro-batch goes through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampled_blocks: Option<usize>,
    /// Images that are trained on.
    pub train_images: usize,
    /// Images held out of the end of the training split; 0 is none.
    pub validation_images: usize,
    /// Whether each epoch has its own random order.
    pub shuffle: bool,
    /// Whether a short last batch is left out.
    pub drop_last: bool,
    /// What is done where an image's file cannot be read.
    #[serde(default, skip_serializing_if = "stops")]
    pub on_bad_image: OnBadImage,
    /// How random weights are drawn.
    pub initialization: Initialization,
    /// The largest global norm of the gradient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// Parts of the network that stay as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<String>,
    /// What the user may not expect.
    pub notes: Vec<String>,
    /// The trained weights that it starts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<Init>,
    /// The network.
    pub model: Model,
    /// The images.
    pub dataset: Dataset,
    /// The rule of an update.
    pub optimizer: Optimizer,
    /// The learning rate of each step.
    pub schedule: Schedule,
    /// Details of the cross-entropy.
    pub loss: Loss,
    /// An exponential moving average of the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema: Option<Ema>,
    /// Slow weights that training goes on from again and again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookahead: Option<Lookahead>,
    /// A first convolution that whitens patches of the training images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whiten: Option<Whiten>,
    /// What the journal holds.
    pub log: Log,
    /// When the test and validation splits are evaluated.
    pub eval: Evaluation,
    /// When the run's state is saved.
    pub checkpoint: Checkpoint,
    /// What is done to each image.
    pub augment: Augment,
    /// What made the plan.
    pub provenance: Provenance,
}

fn counted(processes: usize) -> String {
    match processes {
        1 => "one process".into(),
        count => format!("{count} processes"),
    }
}

fn one() -> usize {
    1
}

fn is_one(processes: &usize) -> bool {
    *processes == 1
}

fn stops(on_bad_image: &OnBadImage) -> bool {
    *on_bad_image == OnBadImage::Stop
}

/// The trained weights that a run starts from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Init {
    /// The file.
    pub weights: PathBuf,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// The network that they are of, where the recipe says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The parts that start from them; without it all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Vec<String>>,
}

/// A first convolution that whitens patches of the training images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Whiten {
    /// The first so many training images.
    pub images: usize,
    /// What is added to each eigenvalue.
    pub epsilon: f64,
    /// Updates of the convolution's bias; without it, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias: Option<u64>,
}

/// The images of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    /// Where they come from.
    pub source: recipe::Dataset,
    /// What was found there.
    pub facts: DatasetFacts,
}

/// When the test and validation splits are evaluated; in any case at the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// Steps from one evaluation to the next.
    pub every: u64,
    /// Images at a time.
    pub batch: usize,
}

/// When the run's state is saved; in any case at the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Steps from one checkpoint to the next.
    pub every: u64,
    /// How many of the latest stay on disk.
    pub keep: usize,
}

/// What made a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Kiln's version.
    pub kiln: String,
    /// Burn's version, or `unknown`.
    pub burn: String,
    /// The git commit that Kiln was built from, where it was built in its repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

impl Provenance {
    /// Of this program.
    pub fn of_this_build() -> Self {
        Self {
            kiln: env!("CARGO_PKG_VERSION").into(),
            burn: option_env!("KILN_BURN_VERSION").unwrap_or("unknown").into(),
            commit: option_env!("KILN_COMMIT").map(String::from),
        }
    }
}

/// Keys that may differ between a run and its resumption: they change no result.
const FREE: &[&str] = &[
    "workers",
    "threads",
    "started_in",
    "log",
    "notes",
    "provenance",
];

const HEADER: &str =
    "# What runs, resolved from the recipe before the first step: durations are in steps.\n\n";

impl Plan {
    /// Resolves a recipe against its dataset.
    ///
    /// Errors are about keys that do not fit the dataset, such as a batch larger than it, and have exit code 2.
    pub fn new(
        file: &RecipeFile,
        facts: &DatasetFacts,
        here: &Circumstances,
    ) -> Result<Self, Error> {
        let recipe = &file.recipe;
        let train_images = train_images(file, facts)?;
        let epoch = Epoch {
            images: train_images as u64,
            batch: recipe.batch as u64,
            drop_last: recipe.drop_last,
        };
        let in_steps = |duration: &Duration| duration.steps(&epoch).min(i64::MAX as u64);
        let steps = in_steps(&recipe.length);
        let mut notes = Vec::new();
        let schedule = schedule(file, steps, &in_steps, &mut notes)?;
        check_augment(file, facts)?;
        check_loss(file)?;
        notes.extend(evaluation_notes(recipe, facts));
        Ok(Self {
            name: file.name.clone(),
            device: here.device.clone(),
            workers: here.workers,
            threads: here.threads,
            processes: here.processes,
            started_in: here.started_in.clone(),
            seed: recipe.seed,
            steps,
            steps_per_epoch: epoch.steps(),
            batch: recipe.batch,
            accumulate: recipe.accumulate,
            precision: recipe.precision,
            sync_bn: recipe.sync_bn,
            gradient_checkpointing: recipe.gradient_checkpointing,
            sampled_blocks: recipe.sampled_blocks,
            train_images,
            validation_images: facts.train_images - train_images,
            shuffle: recipe.shuffle,
            drop_last: recipe.drop_last,
            on_bad_image: recipe.on_bad_image,
            initialization: recipe
                .initialization
                .filter(|chosen| *chosen != Initialization::Paper)
                .unwrap_or(here.initialization),
            clip_norm: recipe.clip_norm,
            freeze: recipe.freeze.clone(),
            notes,
            init: recipe.init.clone().map(|init| Init {
                weights: init.weights,
                sha256: here.init_sha256.clone(),
                model: init.model,
                only: init.only,
            }),
            model: recipe.model.clone(),
            dataset: Dataset {
                source: recipe.dataset.clone(),
                facts: facts.clone(),
            },
            optimizer: recipe.optimizer.clone(),
            schedule,
            loss: recipe.loss.clone(),
            ema: recipe.ema.clone(),
            lookahead: recipe.lookahead.as_ref().map(|lookahead| Lookahead {
                every: in_steps(&lookahead.every),
                decay: lookahead.decay,
                power: lookahead.power,
            }),
            whiten: whiten(file, train_images, &in_steps)?,
            log: recipe.log.clone(),
            eval: Evaluation {
                every: in_steps(&recipe.eval.every),
                batch: recipe.eval.batch.unwrap_or(recipe.batch),
            },
            checkpoint: Checkpoint {
                every: in_steps(&recipe.checkpoint.every),
                keep: recipe.checkpoint.keep,
            },
            augment: recipe.augment.clone(),
            provenance: Provenance::of_this_build(),
        })
    }

    /// The dataset as it is found from here: its path goes from where the run was started, or, where nothing is there
    /// any more, from the working directory.
    pub fn dataset_from_here(&self) -> recipe::Dataset {
        let source = &self.dataset.source;
        match &self.started_in {
            Some(folder) => source.with_paths(|path| {
                let there = folder.join(path);
                if there.exists() {
                    there
                } else {
                    path.to_owned()
                }
            }),
            None => source.clone(),
        }
    }

    /// Training images that this many steps see, each as often as it is seen.
    pub fn images(&self, steps: u64) -> u64 {
        let batch = self.batch as u64;
        let epoch = if self.drop_last {
            self.steps_per_epoch * batch
        } else {
            self.train_images as u64
        };
        let rest = steps % self.steps_per_epoch;
        steps / self.steps_per_epoch * epoch + (rest * batch).min(epoch)
    }

    /// The text of `plan.toml`.
    pub fn to_toml(&self) -> String {
        let plan =
            toml::to_string(self).expect("a plan's texts are UTF-8 and its numbers fit TOML's");
        format!("{HEADER}{plan}")
    }

    /// Reads the text of a `plan.toml`.
    pub fn from_toml(text: &str) -> Result<Self, Fault> {
        decode(&Node::parse(text)?)
    }

    /// Reads a run's `plan.toml`; errors have exit code 1.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let unreadable = || Error::failure(format!("cannot read plan `{}`", path.display()));
        let text = fs::read_to_string(path).map_err(|error| {
            let folder = path.parent().unwrap_or(path).display();
            unreadable()
                .because(error)
                .with_hint(format!("is `{folder}` the folder of a run?"))
        })?;
        Self::from_toml(&text).map_err(|fault| {
            let copy = format!("restore `{}` from a copy", path.display());
            unreadable().because(fault).with_hint(copy)
        })
    }

    /// Where the run is written unless the user says otherwise: `runs/<recipe>-s<seed>`.
    pub fn run_folder(&self) -> PathBuf {
        Path::new("runs").join(format!("{}-s{}", self.name, self.seed))
    }

    /// The keys in which a resumed run's plan differs from this one so that the result would, each with both values.
    pub fn differences(&self, resumed: &Plan) -> Vec<String> {
        compare(&self.flat(), &resumed.flat(), |key| {
            !self.is_free(first_part(key))
        })
    }

    /// With the statistics of the whole batch, processes change no more than the order of sums.
    fn is_free(&self, key: &str) -> bool {
        FREE.contains(&key) || (key == "processes" && self.sync_bn)
    }

    /// The keys in which the plan of another run differs from this one, with both values: but for the seed, the name, and
    /// those that are, or are in, one of `factor`.
    pub fn differences_beside(&self, other: &Plan, factor: &[String]) -> Vec<String> {
        let is_free = |key: &str| self.is_free(key) || matches!(key, "seed" | "name" | "device");
        let is_factor = |key: &str| factor.iter().any(|factor| is_within(key, factor));
        compare(&self.flat(), &other.flat(), |key| {
            !is_free(first_part(key)) && !is_factor(key)
        })
    }

    /// What a resumed run tells where other processes go on with it.
    pub fn processes_note(&self, resumed: &Plan) -> Option<String> {
        let (before, now) = (self.processes, resumed.processes);
        let statistics = match self.sync_bn {
            true => "",
            false => {
                ", and batch normalisation takes the statistics of other shares of the batches"
            }
        };
        (before != now).then(|| {
            format!(
                "the run goes on in {}, and began in {}: sums are rounded in another order{statistics}; \
                 its bytes are not those of a run in {}",
                counted(now), counted(before), counted(before)
            )
        })
    }

    /// What differs in the programs that made two plans, which a resumed run notes.
    pub fn provenance_differences(&self, resumed: &Plan) -> Vec<String> {
        compare(&self.flat(), &resumed.flat(), |key| {
            first_part(key) == "provenance"
        })
    }

    fn flat(&self) -> BTreeMap<String, String> {
        let value = toml::Value::try_from(self)
            .expect("a plan's texts are UTF-8 and its numbers fit TOML's");
        let mut flat = BTreeMap::new();
        flatten("", &value, &mut flat);
        flat
    }
}

fn flatten(path: &str, value: &toml::Value, flat: &mut BTreeMap<String, String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                flatten(&path, value, flat);
            }
        }
        toml::Value::String(text) => {
            flat.insert(path.into(), text.clone());
        }
        value => {
            flat.insert(path.into(), value.to_string());
        }
    }
}

fn first_part(key: &str) -> &str {
    key.split('.').next().unwrap_or_default()
}

/// Differences in the keys that `counts`.
fn compare(
    was: &BTreeMap<String, String>,
    is: &BTreeMap<String, String>,
    counts: impl Fn(&str) -> bool,
) -> Vec<String> {
    let shown =
        |value: Option<&String>| value.map_or("absent".into(), |value| format!("`{value}`"));
    let keys: BTreeSet<_> = was.keys().chain(is.keys()).collect();
    keys.into_iter()
        .filter(|key| counts(key) && was.get(*key) != is.get(*key))
        .map(|key| {
            format!(
                "`{key}` was {}, is {}",
                shown(was.get(key)),
                shown(is.get(key))
            )
        })
        .collect()
}

fn check_loss(file: &RecipeFile) -> Result<(), Error> {
    let loss = &file.recipe.loss;
    if loss.target_threshold.is_some() && loss.kind != LossKind::Bce {
        let fault =
            Fault::invalid("the targets of a cross-entropy are shares of 1, which nothing cuts");
        let fault = fault.with_hint("leave it out, or set `loss.kind = \"bce\"`");
        return Err(file.error("loss.target_threshold", fault));
    }
    Ok(())
}

/// Images that are trained on, once those for validation are held out.
fn train_images(file: &RecipeFile, facts: &DatasetFacts) -> Result<usize, Error> {
    let (recipe, all) = (&file.recipe, facts.train_images);
    let held_out = recipe
        .validation
        .as_ref()
        .map_or(0, |validation| validation.images);
    if held_out > 0 && held_out >= all {
        let fault = format!("expected fewer than the {all} training images, found {held_out}");
        return Err(file.error("validation.images", Fault::invalid(fault)));
    }
    let rest = all - held_out;
    if recipe.batch > rest {
        let fault = Fault::invalid(format!(
            "expected at most the {rest} training images, found {}",
            recipe.batch
        ));
        let fault = if rest > 0 {
            fault.with_hint(format!("`--set batch={rest}`"))
        } else {
            fault
        };
        return Err(file.error("batch", fault));
    }
    Ok(rest)
}

fn whiten(
    file: &RecipeFile,
    train_images: usize,
    in_steps: &dyn Fn(&Duration) -> u64,
) -> Result<Option<Whiten>, Error> {
    let Some(whiten) = &file.recipe.whiten else {
        return Ok(None);
    };
    if whiten.images > train_images {
        let fault = format!(
            "expected at most the {train_images} training images, found {}",
            whiten.images
        );
        return Err(file.error("whiten.images", Fault::invalid(fault)));
    }
    Ok(Some(Whiten {
        images: whiten.images,
        epsilon: whiten.epsilon,
        bias: whiten.bias.as_ref().map(in_steps),
    }))
}

fn schedule(
    file: &RecipeFile,
    steps: u64,
    in_steps: &dyn Fn(&Duration) -> u64,
    notes: &mut Vec<String>,
) -> Result<Schedule, Error> {
    let written = &file.recipe.schedule;
    let warm_up = written.warm_up().map(|warm_up| {
        let length = in_steps(&warm_up.length);
        if length > steps {
            notes.push(format!(
                "the warm-up of {length} steps is cut to the run's {steps}"
            ));
        }
        WarmUp {
            shape: warm_up.shape,
            from: warm_up.from,
            steps: length.min(steps),
        }
    });
    let warmed_up = warm_up.as_ref().map_or(0, |warm_up| warm_up.steps);
    let curve =
        match written {
            recipe::Schedule::Constant(constant) => Curve::Constant {
                rate: constant.rate,
            },
            recipe::Schedule::Cosine(cosine) => Curve::Cosine {
                start: cosine.start,
                end: cosine.end,
                first: warmed_up,
                last: steps,
            },
            recipe::Schedule::Exponential(exponential) => Curve::Exponential {
                start: exponential.start,
                multiply_by: exponential.multiply_by,
                every: in_steps(&exponential.every),
                staircase: exponential.staircase,
            },
            recipe::Schedule::Polynomial(polynomial) => Curve::Polynomial {
                start: polynomial.start,
                end: polynomial.end,
                power: polynomial.power,
                first: warmed_up,
                last: steps,
            },
            recipe::Schedule::Plateau(plateau) => Curve::Plateau {
                start: plateau.start,
                divide_by: plateau.divide_by,
                patience: plateau.patience,
                margin: plateau.margin,
            },
            recipe::Schedule::Step(step) => match &step.milestones {
                Milestones::Every(every) => Curve::Periodic {
                    start: step.start,
                    divide_by: step.divide_by,
                    every: in_steps(every),
                },
                Milestones::At(at) => {
                    let at: Vec<_> = at.iter().map(in_steps).collect();
                    check_milestones(file, &at)?;
                    let past = at.iter().filter(|milestone| **milestone >= steps);
                    notes.extend(past.map(|at| {
                        format!("the milestone at step {at} is past the end, step {steps}")
                    }));
                    Curve::Milestones {
                        start: step.start,
                        divide_by: step.divide_by,
                        at,
                    }
                }
            },
        };
    Ok(Schedule { warm_up, curve })
}

fn check_milestones(file: &RecipeFile, at: &[u64]) -> Result<(), Error> {
    match at.windows(2).find(|pair| pair[0] >= pair[1]) {
        None => Ok(()),
        Some(pair) => {
            let fault = format!(
                "expected rising milestones, found step {} after step {}",
                pair[1], pair[0]
            );
            Err(file.error("schedule.step.at", Fault::invalid(fault)))
        }
    }
}

fn check_augment(file: &RecipeFile, facts: &DatasetFacts) -> Result<(), Error> {
    let Augment { train, test, .. } = &file.recipe.augment;
    for (name, transforms) in [("train", train), ("test", test)] {
        let mut size = facts.size;
        let mut numbers_from = None;
        for (index, transform) in transforms.iter().enumerate() {
            let place = format!("augment.{name}.{index}.{}", transform.key());
            let misplaced = numbers_from.filter(|_| transform.needs_bytes());
            if let Some(earlier) = misplaced {
                let fault = format!("changes bytes, which `{earlier}` makes numbers of");
                let hint = format!("put it before `{earlier}`");
                return Err(file.error(&place, Fault::invalid(fault).with_hint(hint)));
            }
            if transform.makes_numbers() {
                numbers_from.get_or_insert(transform.key());
            }
            size = after(transform, size, facts.size).map_err(|fault| file.error(&place, fault))?;
        }
    }
    if facts.size.one().is_some() {
        return Ok(());
    }
    let unequal = |name: &str, add: &str| {
        let fault = "the dataset's images are of any size, and the transforms leave them so";
        let hint = format!("add {add} to `[[augment.{name}]]`");
        file.error(
            &format!("augment.{name}"),
            Fault::invalid(fault).with_hint(hint),
        )
    };
    if seen(train, facts.size).is_none() {
        let add = "`random_resized_crop = { .. }`, or `scale_jitter = { .. }`";
        return Err(unequal("train", add));
    }
    let is_evaluated = facts.test_images.is_some() || file.recipe.validation.is_some();
    match test.as_slice() {
        [Transform::Resize { .. }, Transform::CenterCrop { .. }, ..] => Ok(()),
        _ if !is_evaluated => Ok(()),
        _ => Err(unequal(
            "test",
            "first `resize = { .. }`, then `center_crop = { .. }`,",
        )),
    }
}

/// The size of the images that a network is trained on, by these transforms.
///
/// # Errors
///
/// With exit code 1, where it is not one, which no plan that was made here allows.
pub fn input(train: &[Transform], images: Sizes) -> Result<Size, Error> {
    seen(train, images).ok_or_else(|| {
        Error::failure("the images of a run are of any size, and its transforms leave them so")
    })
}

/// The size of a dataset's images behind transforms that fit them; none where it is not one.
pub fn seen(transforms: &[Transform], images: Sizes) -> Option<Size> {
    let after = |size, transform| after(transform, size, images).unwrap_or(size);
    transforms.iter().fold(images, after).one()
}

/// The sizes of images after a transform, with `whole` those of the dataset's.
fn after(transform: &Transform, sizes: Sizes, whole: Sizes) -> Result<Sizes, Fault> {
    let channels = sizes.channels();
    let square = |side: usize| Sizes::One(Size::new(channels, side, side));
    let shorter = |sizes: Sizes| sizes.one().map(|size| size.height.min(size.width));
    match transform {
        Transform::RandomCrop {
            padding,
            padding_mode: PaddingMode::Reflect,
            ..
        } if shorter(sizes).is_some_and(|side| *padding >= side) => {
            let side = shorter(sizes).unwrap_or_default();
            Err(Fault::invalid(format!(
                "expected a padding below {side}, the image's side, to reflect it, found {padding}"
            )))
        }
        Transform::RandomCrop {
            size: side,
            padding,
            ..
        } => {
            let room = shorter(sizes).map(|side| padding.saturating_mul(2).saturating_add(side));
            match room.filter(|room| side > room) {
                Some(room) => Err(Fault::invalid(format!(
                    "expected a size of at most {room}, the padded image's side, found {side}"
                ))),
                None => Ok(square(*side)),
            }
        }
        Transform::CenterCrop { size: side } => match shorter(sizes).filter(|room| side > room) {
            Some(room) => Err(Fault::invalid(format!(
                "expected a size of at most {room}, the image's side, found {side}"
            ))),
            None => Ok(square(*side)),
        },
        Transform::Resize {
            size: side,
            interpolation,
        } => {
            let resize = data::Transform::Resize {
                height: *side,
                width: *side,
                interpolation: *interpolation,
            };
            match sizes {
                Sizes::One(size) => resize.output_size(size).map(Sizes::One),
                Sizes::Any { .. } => Ok(sizes),
            }
            .map_err(|error| Fault::invalid(error.to_string()))
        }
        Transform::ScaleJitter {
            shorter_side: [least, _],
            size: side,
            ..
        } if side > least => Err(Fault::invalid(format!(
            "expected a size of at most {least}, the least shorter side, found {side}"
        ))),
        Transform::ScaleJitter { size: side, .. }
        | Transform::RandomResizedCrop { size: side, .. } => Ok(square(*side)),
        Transform::PcaColor { .. } if channels != 3 => Err(Fault::invalid(format!(
            "expected images of 3 channels, found {channels}"
        ))),
        Transform::Normalize(Normalize::PerPixelMean) if whole.one().is_none() => Err(
            Fault::invalid("the dataset's images are of any size, which have no mean image")
                .with_hint("use `normalize = \"per-channel\"`"),
        ),
        Transform::Normalize(Normalize::PerPixelMean) if sizes != whole => {
            Err(Fault::invalid(format!(
                "expected {} images, found {}",
                by_sides(whole),
                by_sides(sizes)
            ))
            .with_hint("subtract the mean before the crop"))
        }
        Transform::Normalize(Normalize::Values(values)) if values.mean.len() != channels => {
            Err(Fault::invalid(format!(
                "expected {channels} numbers, one a channel, found {}",
                values.mean.len()
            )))
        }
        Transform::RandAugment {
            magnitude,
            num_magnitude_bins,
            ..
        } if magnitude >= num_magnitude_bins => Err(Fault::invalid(format!(
            "expected a magnitude below {num_magnitude_bins}, the number of magnitudes, found {magnitude}"
        ))),
        _ => Ok(sizes),
    }
}

fn by_sides(sizes: Sizes) -> String {
    sizes.one().map_or_else(
        || sizes.to_string(),
        |size| format!("{}x{}", size.height, size.width),
    )
}

fn evaluation_notes(recipe: &Recipe, facts: &DatasetFacts) -> Vec<String> {
    let normalization = |transforms: &[Transform]| {
        transforms
            .iter()
            .find(|transform| matches!(transform, Transform::Normalize(_)))
            .cloned()
    };
    match facts.test_images {
        None => vec!["the dataset has no test split: there is no test result".into()],
        Some(_) if normalization(&recipe.augment.train) != normalization(&recipe.augment.test) => {
            vec!["`augment.train` and `augment.test` normalize differently".into()]
        }
        Some(_) => Vec::new(),
    }
}
