//! Processes that train one network together, each on a share of every batch.

use std::cell::RefCell;
use std::fmt::Debug;
use std::mem;
use std::process;
use std::sync::{Arc, Barrier, Mutex, PoisonError};

/// What one of several processes says to all of them, itself included, and hears from them.
///
/// All make the same calls in the same order; each call waits for all.
pub trait Communicator: Debug + Send + Sync {
    /// This process's number, from 0.
    fn rank(&self) -> usize;

    /// How many processes there are.
    fn size(&self) -> usize;

    /// What each process gives, in the order of their numbers.
    fn all_gather_bytes(&self, bytes: &[u8]) -> Vec<Vec<u8>>;

    /// The same of numbers, of which all give as many.
    fn all_gather(&self, values: &[f64]) -> Vec<Vec<f64>> {
        let gathered = self.all_gather_bytes(bytemuck::cast_slice(values));
        let numbers = gathered
            .iter()
            .map(|bytes| bytemuck::pod_collect_to_vec(bytes));
        numbers.collect()
    }

    /// Puts the sum over all processes in the place of each value; the same bits in every process.
    fn all_reduce(&self, values: &mut [f32]);

    /// Ends all processes with this exit code, where this one cannot go on.
    fn abort(&self, code: i32) -> !;
}

/// A batch whose images several processes have, each a share.
#[derive(Clone, Debug)]
pub struct SharedBatch {
    communicator: Arc<dyn Communicator>,
    /// How many each process has.
    images: Arc<[usize]>,
}

thread_local! {
    static SYNCHRONIZED: RefCell<Option<SharedBatch>> = const { RefCell::new(None) };
}

impl SharedBatch {
    /// A batch of which process after process has so many images.
    ///
    /// # Panics
    ///
    /// Where these are not as many numbers as processes.
    pub fn new(communicator: Arc<dyn Communicator>, images: Vec<usize>) -> Self {
        assert_eq!(images.len(), communicator.size(), "images of each process");
        Self {
            communicator,
            images: images.into(),
        }
    }

    /// Images that this process has.
    pub fn own(&self) -> usize {
        self.images[self.communicator.rank()]
    }

    /// Images that processes before this one have.
    pub fn before(&self) -> usize {
        self.images[..self.communicator.rank()].iter().sum()
    }

    /// Images that all processes have.
    pub fn whole(&self) -> usize {
        self.images.iter().sum()
    }

    /// Does `work`, in which batch normalisation takes the statistics of the whole batch, forward and backward; PyTorch's
    /// `SyncBatchNorm`.
    pub fn synchronized<T>(self, work: impl FnOnce() -> T) -> T {
        let _restore = Restore(SYNCHRONIZED.replace(Some(self)));
        work()
    }

    /// That of the [`SharedBatch::synchronized`] that the thread is in.
    pub(crate) fn current() -> Option<Self> {
        SYNCHRONIZED.with_borrow(Clone::clone)
    }

    /// The means and the biased variances of all channels over the whole batch, from those over this process's images.
    ///
    /// Chan, Golub, LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances": nothing
    /// cancels, however far the mean is from zero.
    pub(crate) fn statistics(&self, own: &[Vec<f64>; 2]) -> [Vec<f64>; 2] {
        let channels = own[0].len();
        let gathered = self.communicator.all_gather(&own.concat());
        let whole = self.whole() as f64;
        let share = |process: usize| self.images[process] as f64 / whole;
        let of_channel = |channel: usize| {
            let each = || gathered.iter().enumerate();
            let mean: f64 = each()
                .map(|(process, values)| share(process) * values[channel])
                .sum();
            let variance: f64 = each()
                .map(|(process, values)| {
                    let distance = values[channel] - mean;
                    share(process) * (values[channels + channel] + distance * distance)
                })
                .sum();
            (mean, variance)
        };
        let (mean, variance) = (0..channels).map(of_channel).unzip();
        [mean, variance]
    }

    /// The sums of two values a channel over all processes, in the order of their numbers.
    pub(crate) fn sums(&self, own: &[Vec<f64>; 2]) -> [Vec<f64>; 2] {
        let channels = own[0].len();
        let gathered = self.communicator.all_gather(&own.concat());
        let sum = |at: usize| gathered.iter().map(|values| values[at]).sum();
        [0, channels].map(|start| (start..start + channels).map(sum).collect())
    }
}

/// What was synchronised before, even where something panics.
struct Restore(Option<SharedBatch>);

impl Drop for Restore {
    fn drop(&mut self) {
        SYNCHRONIZED.set(self.0.take());
    }
}

/// Communicators of threads of this process, each of which does what a process would.
pub fn threads(count: usize) -> Vec<Arc<dyn Communicator>> {
    let meeting = Arc::new(Meeting {
        barrier: Barrier::new(count),
        said: Mutex::new(vec![Vec::new(); count]),
    });
    let thread = |rank| -> Arc<dyn Communicator> {
        let meeting = Arc::clone(&meeting);
        Arc::new(Thread { meeting, rank })
    };
    (0..count).map(thread).collect()
}

/// Where threads meet, and what each of them says there.
#[derive(Debug)]
struct Meeting {
    barrier: Barrier,
    said: Mutex<Vec<Vec<u8>>>,
}

#[derive(Debug)]
struct Thread {
    meeting: Arc<Meeting>,
    rank: usize,
}

impl Thread {
    fn said<T>(&self, look: impl FnOnce(&mut Vec<Vec<u8>>) -> T) -> T {
        let said = self.meeting.said.lock();
        look(&mut said.unwrap_or_else(PoisonError::into_inner))
    }
}

impl Communicator for Thread {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.said(|said| said.len())
    }

    fn all_gather_bytes(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.said(|said| said[self.rank] = bytes.to_vec());
        self.meeting.barrier.wait();
        let gathered = self.said(|said| said.clone());
        self.meeting.barrier.wait();
        gathered
    }

    fn all_reduce(&self, values: &mut [f32]) {
        let gathered = self.all_gather_bytes(bytemuck::cast_slice(values));
        values.fill(0.0);
        for bytes in gathered {
            let (each, _) = bytes.as_chunks::<{ mem::size_of::<f32>() }>();
            for (sum, value) in values.iter_mut().zip(each) {
                *sum += f32::from_ne_bytes(*value);
            }
        }
    }

    fn abort(&self, code: i32) -> ! {
        process::exit(code)
    }
}
