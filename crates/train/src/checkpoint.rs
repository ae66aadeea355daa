//! Checkpoints: the whole state of a run, from which it goes on to the same bytes.
//!
//! A checkpoint is a safetensors file, and beside it a `.sha256` file as `sha256sum -c` reads it,
//! which is written first. Everything else that a run depends on (order, augmentation, learning
//! rate) is a pure function of the plan and the step.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use models::weights::{HostTensor, Weights};
use models::{Model, parameters};
use serde::{Deserialize, Serialize};

use crate::average::Average;
use crate::files;
use crate::loss_scale::LossScale;
use crate::optimizer::{Optimizer, Slots};
use crate::schedule::Plateaus;

/// The folder of checkpoints in a run folder.
pub const FOLDER: &str = "checkpoints";
/// The model file of the best evaluation, beside the checkpoints.
pub const BEST: &str = "best.safetensors";

const PREFIX: &str = "step-";
const EXTENSION: &str = "safetensors";
const METADATA: &str = "kiln";
const MODEL: &str = "model.";
const EMA: &str = "ema.";
const SLOW: &str = "slow.";

/// The best evaluation of the validation split so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// After this many updates.
    pub step: u64,
    /// Percent of its images whose class scores highest.
    pub top1: f64,
}

/// Training images since the last logged step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// How many.
    pub images: u64,
    /// How many of them were classified right.
    pub right: u64,
}

impl Tally {
    /// Percent of the images that were classified right.
    pub fn top1(&self) -> f64 {
        100.0 * self.right as f64 / self.images as f64
    }
}

/// The state of a run between two steps.
pub struct State {
    /// Updates so far.
    pub step: u64,
    /// The network in training.
    pub model: Model,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// Where the network stopped getting better.
    pub plateaus: Plateaus,
    /// What keeps gradients of 16 bits from becoming zero, where training computes in these.
    pub loss_scale: Option<LossScale>,
    /// The average of the network, where there is one.
    pub ema: Option<Average>,
    /// The slow weights of Lookahead, where the run has it.
    pub slow: Option<Average>,
    /// The best evaluation, where there is a validation split.
    pub best: Option<Best>,
    /// What the next logged step tells of the ones before it.
    pub tally: Tally,
}

/// What a checkpoint holds besides tensors.
#[derive(Serialize, Deserialize)]
struct Header {
    step: u64,
    /// Updates of the optimizer, where some were left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    updates: Option<u64>,
    #[serde(default, skip_serializing_if = "Plateaus::is_unseen")]
    plateaus: Plateaus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    loss_scale: Option<LossScale>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    best: Option<Best>,
    tally: Tally,
}

/// A checkpoint that was read.
pub struct Checkpoint {
    /// Updates behind it.
    pub step: u64,
    updates: Option<u64>,
    plateaus: Plateaus,
    loss_scale: Option<LossScale>,
    best: Option<Best>,
    tally: Tally,
    tensors: Weights,
}

/// The checkpoint to go on from.
pub struct Found {
    /// The newest one that is whole.
    pub checkpoint: Option<Checkpoint>,
    /// Newer ones that are damaged, and why.
    pub damaged: Vec<(PathBuf, String)>,
}

/// Writes the state of a run into its folder, and removes all but the `keep` newest of the checkpoints up to it.
/// Returns the file's path under the folder.
///
/// # Errors
///
/// Where the disk does not take it; the earlier checkpoints then stay.
pub fn write(folder: &Path, state: &State, keep: usize) -> files::Result<PathBuf> {
    let bytes = to_bytes(state);
    let name = Path::new(FOLDER).join(format!("{PREFIX}{:08}.{EXTENSION}", state.step));
    let path = folder.join(&name);
    let file_name = name.file_name().unwrap_or_default().to_string_lossy();
    let line = format!("{}  {file_name}\n", files::sha256_of(&bytes));
    files::replace(&checksum_of(&path), line.as_bytes())?;
    files::replace(&path, &bytes)?;
    remove_older(folder, &path, keep)?;
    Ok(name)
}

/// Finds the newest whole checkpoint of a run.
///
/// # Errors
///
/// Where the folder cannot be read.
pub fn newest(folder: &Path) -> files::Result<Found> {
    let mut damaged = Vec::new();
    for path in list(folder)?.into_iter().rev() {
        match read(&path) {
            Ok(checkpoint) => {
                let checkpoint = Some(checkpoint);
                return Ok(Found {
                    checkpoint,
                    damaged,
                });
            }
            Err(reason) => damaged.push((path, reason)),
        }
    }
    Ok(Found {
        checkpoint: None,
        damaged,
    })
}

impl Checkpoint {
    /// The state, in the place of that before the first step.
    ///
    /// # Errors
    ///
    /// Where the checkpoint is another network's.
    pub fn restore(
        self,
        State {
            model,
            optimizer,
            ema,
            slow,
            ..
        }: State,
    ) -> Result<State, String> {
        let device = model_device(&model);
        let learnt = names(&model, true);
        let all = names(&model, false);
        let model = self.network(model)?;
        let mut kept: Vec<Slots> = vec![[None, None]; learnt.len()];
        for (slot, slot_name) in optimizer.slots().iter().enumerate() {
            let values = self.under(&format!("{slot_name}."));
            for (kept, name) in kept.iter_mut().zip(&learnt) {
                kept[slot] = values.tensors.get(name).map(|value| flat(value, &device));
            }
        }
        let average = |prefix, what| {
            let averages = self.under(prefix);
            let values: Option<Vec<_>> = all
                .iter()
                .map(|name| averages.tensors.get(name).map(|v| flat(v, &device)))
                .collect();
            let values = values.ok_or_else(|| format!("it lacks {what}"))?;
            Ok::<_, String>(Average::from_values(values))
        };
        let ema = ema.map(|_| average(EMA, "the average of the weights"));
        let slow = slow.map(|_| average(SLOW, "the slow weights"));
        Ok(State {
            step: self.step,
            model,
            optimizer: optimizer.with_kept(kept, self.updates.unwrap_or(self.step)),
            plateaus: self.plateaus,
            loss_scale: self.loss_scale,
            ema: ema.transpose()?,
            slow: slow.transpose()?,
            best: self.best,
            tally: self.tally,
        })
    }

    /// The network alone, in the place of one that is as the plan makes it.
    ///
    /// # Errors
    ///
    /// Where the checkpoint is another network's.
    pub fn network(&self, model: Model) -> Result<Model, String> {
        let weights = self.under(MODEL);
        weights.load_into(model).map_err(|error| error.to_string())
    }

    /// The tensors whose names begin with `prefix`, without it.
    fn under(&self, prefix: &str) -> Weights {
        let tensors = self
            .tensors
            .tensors
            .iter()
            .filter_map(|(name, tensor)| {
                Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone()))
            })
            .collect();
        Weights {
            tensors,
            ..Weights::default()
        }
    }
}

fn to_bytes(state: &State) -> Vec<u8> {
    let mut all = Weights::default();
    for (name, tensor) in Weights::of(&state.model).tensors {
        all.tensors.insert(format!("{MODEL}{name}"), tensor);
    }
    let slots = state.optimizer.slots();
    for (name, kept) in names(&state.model, true).iter().zip(state.optimizer.kept()) {
        for (slot, value) in slots.iter().zip(kept) {
            if let Some(value) = value {
                all.tensors.insert(format!("{slot}.{name}"), host(value));
            }
        }
    }
    for (prefix, average) in [(EMA, &state.ema), (SLOW, &state.slow)] {
        let values = average.iter().flat_map(Average::values);
        for (name, value) in names(&state.model, false).iter().zip(values) {
            all.tensors.insert(format!("{prefix}{name}"), host(value));
        }
    }
    let updates = state.optimizer.updates();
    let header = Header {
        step: state.step,
        updates: (updates != state.step).then_some(updates),
        plateaus: state.plateaus,
        loss_scale: state.loss_scale,
        best: state.best,
        tally: state.tally,
    };
    let header = serde_json::to_string(&header).expect("a header is plain data");
    all.metadata.insert(METADATA.to_owned(), header);
    all.to_safetensors()
}

/// Reads a checkpoint.
///
/// # Errors
///
/// Where it is damaged.
pub fn read(path: &Path) -> Result<Checkpoint, String> {
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let checksum = fs::read_to_string(checksum_of(path)).map_err(|_| "its checksum is missing")?;
    if checksum.split_whitespace().next() != Some(files::sha256_of(&bytes).as_str()) {
        return Err("its checksum does not match".into());
    }
    let tensors = Weights::from_safetensors(&bytes, path).map_err(|error| error.to_string())?;
    let header = tensors.metadata.get(METADATA).ok_or("it has no header")?;
    let Header {
        step,
        updates,
        plateaus,
        loss_scale,
        best,
        tally,
    } = serde_json::from_str(header).map_err(|e| e.to_string())?;
    Ok(Checkpoint {
        step,
        updates,
        plateaus,
        loss_scale,
        best,
        tally,
        tensors,
    })
}

/// The checkpoints of a run, oldest first.
///
/// # Errors
///
/// Where the folder cannot be read.
pub fn list(folder: &Path) -> files::Result<Vec<PathBuf>> {
    let folder = folder.join(FOLDER);
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut paths = Vec::new();
    for entry in fs::read_dir(&folder).map_err(files::Error::reading(&folder))? {
        let path = entry.map_err(files::Error::reading(&folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(PREFIX) && name.ends_with(&format!(".{EXTENSION}")) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Removes all but the `keep` newest checkpoints up to `newest`. Later ones, which a run passed over when it was resumed,
/// are damaged: they count for nothing, and are overwritten when the run gets there.
fn remove_older(folder: &Path, newest: &Path, keep: usize) -> files::Result<()> {
    let mut paths = list(folder)?;
    paths.retain(|path| path.as_path() <= newest);
    paths.truncate(paths.len().saturating_sub(keep));
    for path in paths {
        for part in [&path, &checksum_of(&path)] {
            if part.exists() {
                fs::remove_file(part).map_err(files::Error::writing(part))?;
            }
        }
    }
    Ok(())
}

fn checksum_of(path: &Path) -> PathBuf {
    path.with_extension("sha256")
}

/// PyTorch's names of a network's tensors, in its own order.
fn names(model: &Model, learnt: bool) -> Vec<String> {
    parameters::of(model)
        .into_iter()
        .filter(|parameter| !learnt || parameter.role.is_learnt())
        .map(|parameter| model.pytorch_name(&parameter.path))
        .collect()
}

fn host(tensor: &Tensor<1>) -> HostTensor {
    let data = tensor.clone().into_data();
    HostTensor {
        shape: data.shape().to_vec(),
        values: data.try_to_vec().expect("training is in f32"),
    }
}

fn flat(tensor: &HostTensor, device: &Device) -> Tensor<1> {
    let length = tensor.values.len();
    Tensor::from_data(TensorData::new(tensor.values.clone(), [length]), device)
}

/// The device of a network, without autodiff.
fn model_device(model: &Model) -> Device {
    use burn::module::Module;
    let device = model.devices().into_iter().next().unwrap_or_default();
    device.without_autodiff()
}

#[cfg(test)]
mod tests {
    use models::{Init, Initialization, registry};

    use super::*;
    use crate::recipe;

    fn state(step: u64) -> State {
        let device = Device::flex().autodiff();
        let entry = registry::find("resnet8").unwrap();
        let mut init = Init::new(&device, Initialization::He, step);
        let model = entry.architecture.init(&mut init);
        let learnt = parameters::of(&model);
        let learnt = learnt.iter().filter(|parameter| parameter.role.is_learnt());
        let kept = learnt.map(|parameter| {
            let length: usize = parameter.shape.iter().product();
            [1.0, 2.0].map(|value| Some(Tensor::full([length], value, &Device::flex())))
        });
        State {
            step,
            optimizer: optimizer().with_kept(kept.collect(), step - 1),
            plateaus: Plateaus::default(),
            loss_scale: Some(LossScale::default().after(step == 3)),
            ema: Some(Average::new(&model)),
            slow: Some(Average::new(&model)),
            best: Some(Best { step, top1: 12.5 }),
            tally: Tally {
                images: 64,
                right: step,
            },
            model,
        }
    }

    fn optimizer() -> Optimizer {
        Optimizer::new(recipe::Optimizer::Adamw(recipe::Adamw {
            betas: recipe::Betas(0.9, 0.999),
            epsilon: 1e-8,
            weight_decay: 0.0,
            decay_exclude: Vec::new(),
        }))
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(FOLDER)).unwrap();
        folder
    }

    #[test]
    fn what_is_restored_is_written_as_the_same_bytes() {
        let folder = folder();
        write(folder.path(), &state(3), 2).unwrap();
        let found = newest(folder.path()).unwrap();
        let restored = found.checkpoint.unwrap().restore(state(4)).unwrap();
        assert_eq!(restored.step, 3);
        assert_eq!(
            restored.best,
            Some(Best {
                step: 3,
                top1: 12.5
            })
        );
        assert_eq!(to_bytes(&restored), to_bytes(&state(3)));
    }

    #[test]
    fn the_newest_are_kept_and_a_damaged_one_is_passed_over() {
        let folder = folder();
        for step in [1, 2, 10] {
            write(folder.path(), &state(step), 2).unwrap();
        }
        let paths = list(folder.path()).unwrap();
        assert_eq!(paths.len(), 2);

        let mut bytes = fs::read(&paths[1]).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&paths[1], bytes).unwrap();
        let found = newest(folder.path()).unwrap();
        assert_eq!(found.checkpoint.unwrap().step, 2);
        assert_eq!(
            found.damaged,
            [(paths[1].clone(), "its checksum does not match".to_owned())]
        );
    }
}
