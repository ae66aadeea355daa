//! The processes that a run trains in: one, or several that MPI started.
//!
//! Each has a copy of the network and a share of every batch. All compute the same update, from the sums of their
//! gradients; the first one writes.

#[cfg(feature = "mpi")]
mod mpi;

use std::env;
use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use burn::tensor::{Tensor, TensorData};
use data::{Batch, Share};
use kernels::{Communicator, SharedBatch, communicator};
use models::Model;
use models::parameters::{self, Role};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::evaluate::{Outcome, Prediction};
use crate::optimizer::Gradients;
use crate::streams::say;

/// Where launchers tell a process how many there are: Open MPI's, MPICH's, and Slurm's with PMIx.
const SIZES: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"];
/// Values that are summed at a time: gradients of small tensors go together, and none waits for all of a large network.
const BUCKET: usize = 1 << 20;
/// How long a process waits for the first one to tell what most likely all of them have to say.
const PATIENCE: Duration = Duration::from_secs(2);

/// The processes of a run, as one of them sees them.
#[derive(Clone, Debug)]
pub struct Processes(Arc<dyn Communicator>);

impl Processes {
    /// This one, on its own.
    pub fn alone() -> Self {
        let mut threads = communicator::threads(1);
        Self(threads.remove(0))
    }

    /// Those that a launcher started with this one, if one did.
    ///
    /// # Errors
    ///
    /// With exit code 2, where there are several and this program was built without MPI, or MPI does not know of them.
    pub fn join() -> Result<Self, Error> {
        match launched() {
            Some(count @ 2..) => several(Some(count)),
            // PMIx tells a process its own number alone.
            None if cfg!(feature = "mpi") && env::var_os("PMIX_RANK").is_some() => several(None),
            _ => Ok(Self::alone()),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.size()
    }

    /// Whether this is the first one, which writes and talks.
    pub fn is_first(&self) -> bool {
        self.0.rank() == 0
    }

    /// What of every batch is this process's.
    pub fn share(&self) -> Share {
        Share {
            process: self.0.rank(),
            processes: self.0.size(),
        }
    }

    /// How many of them share this process's cores.
    pub fn on_these_cores(&self) -> usize {
        let cores = format!("{} {}", machine(), allowed_cores());
        let all = self.gather(&cores);
        all.iter().filter(|other| **other == cores).count()
    }

    /// The number of this process among those of its machine.
    pub fn number_here(&self) -> usize {
        let machine = machine();
        let before = &self.gather(&machine)[..self.0.rank()];
        before.iter().filter(|other| **other == machine).count()
    }

    /// Waits for all.
    pub fn meet(&self) {
        self.0.all_gather_bytes(&[]);
    }

    /// Does `work`, which may change what is on the disk: the first process, then one of each machine, then the others.
    pub fn in_turn<T>(&self, work: impl FnOnce() -> T) -> T {
        let turn = match self.number_here() {
            0 if self.is_first() => 0,
            0 => 1,
            _ => 2,
        };
        (0..turn).for_each(|_| self.meet());
        let done = work();
        (turn..2).for_each(|_| self.meet());
        done
    }

    /// The parts of a batch, each as all processes have it; nothing where this process is alone.
    pub fn shared(&self, batch: &Batch) -> Option<Vec<SharedBatch>> {
        if self.count() == 1 {
            return None;
        }
        let own: Vec<f64> = batch.parts.iter().map(|part| part.len() as f64).collect();
        let gathered = self.0.all_gather(&own);
        let part = |part: usize| {
            let images = gathered.iter().map(|parts| parts[part] as usize).collect();
            SharedBatch::new(Arc::clone(&self.0), images)
        };
        Some((0..own.len()).map(part).collect())
    }

    /// The sums of the gradients over all processes, in each of them.
    pub fn sum(&self, gradients: Gradients) -> Gradients {
        let mut summed = Vec::with_capacity(gradients.len());
        let mut bucket = Bucket::default();
        for gradient in gradients {
            bucket.add(gradient);
            if bucket.values.len() >= BUCKET {
                summed.extend(bucket.take().summed(&*self.0));
            }
        }
        summed.extend(bucket.summed(&*self.0));
        summed
    }

    /// The sums of some numbers over all processes.
    pub fn sum_numbers<const N: usize>(&self, mut numbers: [f32; N]) -> [f32; N] {
        self.0.all_reduce(&mut numbers);
        numbers
    }

    /// What each process says.
    pub fn gather<T: Serialize + DeserializeOwned>(&self, own: &T) -> Vec<T> {
        let said = self.0.all_gather_bytes(&to_json(own));
        said.iter().map(|text| of_json(text)).collect()
    }

    /// What the first one says.
    pub fn first<T: Serialize + DeserializeOwned>(&self, own: &T) -> T {
        let text = match self.is_first() {
            true => to_json(own),
            false => Vec::new(),
        };
        of_json(&self.0.all_gather_bytes(&text)[0])
    }

    /// The evaluation of all images, of which each process has looked at some.
    pub fn whole(&self, own: Outcome) -> Outcome {
        if self.count() == 1 {
            return own;
        }
        let predictions: Vec<Figures> = own.predictions.iter().map(figures).collect();
        let gathered = self.0.all_gather_bytes(bytemuck::cast_slice(&predictions));
        let predictions = gathered.iter().flat_map(|bytes| {
            let of_process: Vec<Figures> = bytemuck::pod_collect_to_vec(bytes);
            of_process.into_iter().map(prediction)
        });
        Outcome {
            predictions: predictions.collect(),
            skipped: self.gather(&own.skipped).concat(),
        }
    }

    /// `model` with the running statistics of the first process's: the others' are of other shares of the batches.
    pub fn agreed(&self, model: Model) -> Model {
        if self.count() == 1 {
            return model;
        }
        let own: Vec<f32> = match self.is_first() {
            true => running_statistics(&model),
            false => Vec::new(),
        };
        let said = self.0.all_gather_bytes(bytemuck::cast_slice(&own));
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(&said[0]);
        let mut values = values.as_slice();
        parameters::map_values(model, |role, tensor| match role {
            Role::RunningStatistic => replaced(&tensor, &mut values),
            _ => tensor,
        })
    }

    /// Checks that all processes have the same weights, bit for bit.
    ///
    /// # Errors
    ///
    /// With exit code 1, where they do not.
    pub fn check_same_weights(&self, model: &Model) -> Result<(), Error> {
        if self.count() == 1 {
            return Ok(());
        }
        let mut digest = Sha256::new();
        for (parameter, value) in parameters::of(model).iter().zip(parameters::values(model)) {
            if parameter.role.is_learnt() {
                digest.update(bytemuck::cast_slice(&values_of(value)));
            }
        }
        let digests = self.0.all_gather_bytes(&digest.finalize());
        match digests.iter().position(|digest| *digest != digests[0]) {
            None => Ok(()),
            Some(other) => Err(Error::failure(format!(
                "process {other} has other weights than process 0"
            ))
            .because(
                "each computes every update from the same sums, and these came out differently",
            )
            .with_hint("start processes on machines of one kind, with the same program")),
        }
    }

    /// Ends all processes where this one cannot go on, with what it has to say.
    pub fn fail(&self, error: &Error) -> ! {
        if self.is_first() {
            say(error.report());
        } else {
            // What every process finds, the first one tells, and ends the others meanwhile.
            thread::sleep(PATIENCE);
            say(format_args!(
                "process {}: {}",
                self.0.rank(),
                error.report()
            ));
        }
        self.0.abort(error.exit_code().into())
    }
}

/// How many processes a launcher says it started together.
pub fn launched() -> Option<usize> {
    let told = SIZES.iter().find_map(|name| env::var(name).ok());
    told.and_then(|count| count.parse().ok())
}

#[cfg(feature = "mpi")]
fn several(count: Option<usize>) -> Result<Processes, Error> {
    let processes = Processes(Arc::new(mpi::World::join()?));
    match count {
        Some(count) if count != processes.count() => Err(Error::usage(format!(
            "cannot train in {count} processes"
        ))
        .because(format!("MPI knows of {} of them", processes.count()))
        .with_hint(
            "start them by the launcher of the MPI that this program was built with (under Slurm, `srun --mpi=pmix`), or \
             add `--alone` where each is a run of its own",
        )),
        _ => Ok(processes),
    }
}

#[cfg(not(feature = "mpi"))]
fn several(count: Option<usize>) -> Result<Processes, Error> {
    let count = count.unwrap_or_default();
    Err(Error::usage(format!("cannot train in {count} processes"))
        .because("this program was built without the feature `mpi`")
        .with_hint(
            "build it with MPI, `cargo build -p train --features mpi`, or add `--alone` where each is a run of its own",
        ))
}

/// The name of this machine, where the system tells it.
fn machine() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default()
}

/// The cores of the machine that this process may use, where the system tells them.
fn allowed_cores() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let allowed = (status.lines()).find(|line| line.starts_with("Cpus_allowed:"));
    allowed.unwrap_or_default().to_owned()
}

/// Gradients that are summed together.
#[derive(Default)]
struct Bucket {
    gradients: Gradients,
    values: Vec<f32>,
}

impl Bucket {
    fn add(&mut self, gradient: Option<Tensor<1>>) {
        if let Some(gradient) = &gradient {
            self.values.extend(values_of(gradient.clone()));
        }
        self.gradients.push(gradient);
    }

    fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    fn summed(mut self, communicator: &dyn Communicator) -> Gradients {
        communicator.all_reduce(&mut self.values);
        let mut sums = self.values.as_slice();
        let mut sum = |gradient: Tensor<1>| replaced(&gradient, &mut sums);
        self.gradients
            .into_iter()
            .map(|gradient| gradient.map(&mut sum))
            .collect()
    }
}

/// A tensor of this one's size, with the next values.
fn replaced(tensor: &Tensor<1>, values: &mut &[f32]) -> Tensor<1> {
    let shape = tensor.dims();
    let (own, rest) = values.split_at(shape[0]);
    *values = rest;
    Tensor::from_data(TensorData::new(own.to_vec(), shape), &tensor.device())
}

fn values_of(tensor: Tensor<1>) -> Vec<f32> {
    let values = tensor.into_data().try_to_vec();
    values.expect("the numbers of a network are f32")
}

fn running_statistics(model: &Model) -> Vec<f32> {
    let parameters = parameters::of(model);
    let values = parameters.iter().zip(parameters::values(model));
    let statistics = values.filter(|(parameter, _)| !parameter.role.is_learnt());
    statistics.flat_map(|(_, value)| values_of(value)).collect()
}

/// A prediction as numbers, all of which are exact.
type Figures = [f64; 6];

fn figures(prediction: &Prediction) -> Figures {
    [
        prediction.index as f64,
        prediction.label as f64,
        prediction.predicted as f64,
        prediction.probability,
        prediction.loss,
        prediction.rank as f64,
    ]
}

fn prediction([index, label, predicted, probability, loss, rank]: Figures) -> Prediction {
    Prediction {
        index: index as usize,
        label: label as usize,
        predicted: predicted as usize,
        probability,
        loss,
        rank: rank as usize,
    }
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("what processes say is plain data")
}

fn of_json<T: DeserializeOwned>(text: &[u8]) -> T {
    serde_json::from_slice(text).expect("all processes are of one program")
}
