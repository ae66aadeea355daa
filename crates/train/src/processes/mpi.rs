//! Processes that MPI started.

use std::{fmt, thread};

use kernels::Communicator;
use mpi::Threading;
use mpi::collective::SystemOperation;
use mpi::datatype::PartitionMut;
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, CommunicatorCollectives};

use crate::error::Error;

/// What Rust's programs exit with where they panic.
const PANICKED: i32 = 101;

/// All processes of the job. Its thread alone speaks to the others.
pub struct World {
    /// Held until this process has nothing more to say.
    _universe: Universe,
    rank: usize,
    size: usize,
}

impl World {
    /// Says hello to the others.
    ///
    /// # Errors
    ///
    /// Where MPI was started already, or is not for programs that have threads.
    pub fn join() -> Result<Self, Error> {
        let cannot = |why: &'static str| Error::failure("cannot start MPI").because(why);
        let (universe, threading) = mpi::initialize_with_threading(Threading::Funneled)
            .ok_or_else(|| cannot("it was started already"))?;
        if threading < Threading::Funneled {
            return Err(cannot("it does not allow for threads that do not use it"));
        }
        let world = universe.world();
        Ok(Self {
            rank: world.rank() as usize,
            size: world.size() as usize,
            _universe: universe,
        })
    }
}

/// To say goodbye, as the universe does in the end, is to wait for all others: one that panics has them end, too.
impl Drop for World {
    fn drop(&mut self) {
        if thread::panicking() {
            self.abort(PANICKED);
        }
    }
}

fn world() -> SimpleCommunicator {
    SimpleCommunicator::world()
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} of {}", self.rank, self.size)
    }
}

impl Communicator for World {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn all_gather_bytes(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let own = i32::try_from(bytes.len()).expect("MPI counts in 31 bits");
        let mut counts = vec![0; self.size];
        world().all_gather_into(&own, &mut counts[..]);
        let starts: Vec<i32> = counts
            .iter()
            .scan(0, |next, count| {
                let start = *next;
                *next += count;
                Some(start)
            })
            .collect();
        // Without a byte more, where there are none, the addresses would be 1, which to Open MPI is `MPI_IN_PLACE`.
        let sent = [bytes, &[0]].concat();
        let length: usize = counts.iter().map(|count| *count as usize).sum();
        let mut gathered = vec![0; length + 1];
        let mut parts = PartitionMut::new(&mut gathered[..length], &counts[..], &starts[..]);
        world().all_gather_varcount_into(&sent[..bytes.len()], &mut parts);
        let part = |(start, count): (&i32, &i32)| {
            let (start, count) = (*start as usize, *count as usize);
            gathered[start..start + count].to_vec()
        };
        starts.iter().zip(&counts).map(part).collect()
    }

    fn all_gather(&self, values: &[f64]) -> Vec<Vec<f64>> {
        let mut gathered = vec![0.0; values.len() * self.size];
        world().all_gather_into(values, &mut gathered[..]);
        gathered
            .chunks(values.len().max(1))
            .map(<[f64]>::to_vec)
            .collect()
    }

    fn all_reduce(&self, values: &mut [f32]) {
        let own = values.to_vec();
        world().all_reduce_into(&own[..], values, SystemOperation::sum());
    }

    fn abort(&self, code: i32) -> ! {
        world().abort(code)
    }
}
