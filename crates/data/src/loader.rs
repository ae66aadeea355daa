//! The loader: shuffled, augmented batches, the same whatever prepares them.
//!
//! A batch is a pure function of (seed, epoch, index). With `w` workers, worker `i` prepares batches `i`, `i + w`,
//! `i + 2w`, ... and hands them over in its own bounded queue; the reader takes from the queues in turn. So the order needs
//! no sorting, and memory is bounded.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use serde::{Deserialize, Serialize};

use crate::assembly::{Assembly, Order, Share};
use crate::dataset::first_size;
use crate::{Batch, Error, Mix, Pipeline, Result, Size, Source};

/// How a loader goes through its dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct LoaderConfig {
    /// Images a batch.
    pub batch: usize,
    /// Keys the order and the augmentation.
    pub seed: u64,
    /// Whether each epoch has its own random order; otherwise it is the dataset's.
    pub shuffle: bool,
    /// Whether the last batch of an epoch is left out where it would be short.
    pub drop_last: bool,
    /// In how many parts, one after the other, a batch is trained on; 1 is all at once.
    pub micro_batches: usize,
    /// What of each part is loaded.
    pub share: Share,
    /// How often an image is in a batch, each time augmented in another way; an epoch is as long as ever, and sees as many
    /// fewer images (Hoffer et al. 2019, arXiv:1901.09335; timm's `RepeatAugSampler`). 1 is once.
    pub repeats: usize,
    /// What batches are mixed by, each by one of these, all equally likely; nothing for none.
    pub mix: Vec<Mix>,
    /// What is done where an image's file cannot be read.
    pub on_bad_image: OnBadImage,
    /// Threads that prepare batches; 0 prepares each when it is asked for.
    pub workers: usize,
    /// Batches kept ready, rounded up to as many a worker; each worker holds one more in its hands.
    pub queue: usize,
}

/// What is done where an image's file cannot be read. No other image ever takes its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnBadImage {
    /// There are no more batches, but the error.
    #[default]
    Stop,
    /// Its batch has an image less, and tells which.
    Skip,
}

impl OnBadImage {
    /// Whether an image with this error is skipped.
    pub(crate) fn skips(self, error: &Error) -> bool {
        self == Self::Skip && error.is_of_a_file()
    }
}

/// Batches of a dataset.
#[derive(Clone)]
pub struct Loader {
    assembly: Arc<Assembly>,
    workers: usize,
    queue: usize,
}

impl Loader {
    /// A loader for training.
    ///
    /// Fails where the dataset is empty, its first image cannot be read, the pipeline does not fit its images, a batch
    /// is of no images or of more than there are, or a part of one is of fewer images than there are processes.
    pub fn new(source: Source, pipeline: Pipeline, config: LoaderConfig) -> Result<Self> {
        if config.batch > source.len() && !source.is_empty() {
            return Err(Error::BatchTooLarge {
                batch: config.batch,
                images: source.len(),
            });
        }
        Self::unchecked_batch(source, pipeline, config)
    }

    /// A loader for evaluation, by [`Loader::once`]: in the dataset's order, all images, in batches of `batch` or fewer.
    ///
    /// Fails as [`Loader::new`] does, but for a batch that is larger than the dataset.
    pub fn ordered(
        source: Source,
        pipeline: Pipeline,
        batch: usize,
        on_bad_image: OnBadImage,
        workers: usize,
    ) -> Result<Self> {
        let config = LoaderConfig {
            batch,
            seed: 0,
            shuffle: false,
            drop_last: false,
            micro_batches: 1,
            share: Share::WHOLE,
            repeats: 1,
            mix: Vec::new(),
            on_bad_image,
            workers,
            queue: 2 * workers,
        };
        Self::unchecked_batch(source, pipeline, config)
    }

    fn unchecked_batch(source: Source, pipeline: Pipeline, config: LoaderConfig) -> Result<Self> {
        if config.batch == 0 {
            return Err(Error::ZeroBatch);
        }
        if config.repeats == 0 {
            return Err(Error::ZeroRepeats);
        }
        config.mix.iter().try_for_each(Mix::check)?;
        let input = first_size(&source, config.on_bad_image)?;
        let output = pipeline.output_size(input)?;
        let (pipeline, normalization) = pipeline.split_normalization();
        let loader = Self {
            workers: config.workers,
            queue: config.queue,
            assembly: Arc::new(Assembly {
                images: source.len(),
                source,
                pipeline,
                normalization: normalization.map(Arc::new),
                output,
                batch: config.batch,
                seed: config.seed,
                shuffle: config.shuffle,
                drop_last: config.drop_last,
                micro_batches: config.micro_batches,
                share: config.share,
                repeats: config.repeats,
                mix: config.mix,
                on_bad_image: config.on_bad_image,
            }),
        };
        loader.assembly.check_share()?;
        Ok(loader)
    }

    /// The size of the images in a batch.
    pub fn size(&self) -> Size {
        self.assembly.output
    }

    /// Images in the dataset.
    pub fn images(&self) -> usize {
        self.assembly.images
    }

    /// Batches an epoch, the short last one included unless it is dropped.
    pub fn batches_per_epoch(&self) -> u64 {
        self.assembly.batches_per_epoch()
    }

    /// The batches from number `start` on, counted from 0 since the first epoch's beginning, without end.
    pub fn batches(&self, start: u64) -> Batches {
        Batches::start(self, Arc::clone(&self.assembly), start, u64::MAX)
    }

    /// All images once, in the dataset's order, unmixed, the short last batch included.
    pub fn once(&self) -> Batches {
        let assembly = Arc::new(Assembly {
            shuffle: false,
            drop_last: false,
            micro_batches: 1,
            repeats: 1,
            mix: Vec::new(),
            ..(*self.assembly).clone()
        });
        let end = assembly.batches_per_epoch();
        Batches::start(self, assembly, 0, end)
    }
}

/// Batches in order; after an error there are no more. Dropping it stops its threads, and waits for them.
pub struct Batches {
    next: u64,
    end: u64,
    maker: Maker,
}

/// Who prepares the batches.
enum Maker {
    Caller {
        assembly: Arc<Assembly>,
        order: Order,
    },
    Threads(Workers),
    /// Nobody any more; the error is still to be told, or has been.
    Failed(Option<Error>),
}

impl Batches {
    fn start(loader: &Loader, assembly: Arc<Assembly>, start: u64, end: u64) -> Self {
        let maker = if loader.workers == 0 {
            Maker::Caller {
                assembly,
                order: Order::default(),
            }
        } else {
            Workers::start(loader, &assembly, start, end)
                .map_or_else(|error| Maker::Failed(Some(error)), Maker::Threads)
        };
        Self {
            next: start,
            end,
            maker,
        }
    }
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
        if self.next >= self.end {
            return None;
        }
        let batch = match &mut self.maker {
            Maker::Caller { assembly, order } => assembly.batch(self.next, order),
            Maker::Threads(workers) => workers.take(),
            Maker::Failed(error) => Err(error.take()?),
        };
        if batch.is_err() {
            self.maker = Maker::Failed(None);
        }
        self.next += 1;
        Some(batch)
    }
}

/// Threads with a bounded queue each.
struct Workers {
    queues: Vec<Receiver<Result<Batch>>>,
    threads: Vec<JoinHandle<()>>,
    turn: usize,
}

impl Workers {
    fn start(loader: &Loader, assembly: &Arc<Assembly>, start: u64, end: u64) -> Result<Self> {
        let mut workers = Self {
            queues: Vec::new(),
            threads: Vec::new(),
            turn: 0,
        };
        for worker in 0..loader.workers {
            let (ready, queue) = sync_channel(loader.queue.div_ceil(loader.workers));
            let assembly = Arc::clone(assembly);
            let numbers = (start..end).skip(worker).step_by(loader.workers);
            let thread = thread::Builder::new()
                .name(format!("loader-{worker}"))
                .spawn(move || work(&assembly, numbers, &ready))
                .map_err(|source| Error::Thread { source })?;
            workers.queues.push(queue);
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    fn take(&mut self) -> Result<Batch> {
        let batch = self.queues[self.turn].recv();
        self.turn = (self.turn + 1) % self.queues.len();
        batch.unwrap_or(Err(Error::WorkerStopped))
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.queues.clear();
        for thread in self.threads.drain(..) {
            // A thread that panicked has been reported by `take` where anybody still asked for its batches.
            let _ = thread.join();
        }
    }
}

/// Prepares batches until there are no more, or nobody takes them.
fn work(
    assembly: &Assembly,
    numbers: impl Iterator<Item = u64>,
    ready: &SyncSender<Result<Batch>>,
) {
    let mut order = Order::default();
    for number in numbers {
        if ready.send(assembly.batch(number, &mut order)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{self, Purpose};
    use crate::{Dataset, Fill, InMemory, Mixed, PaddingMode, Pixels, Sample, Skipped, Transform};

    const IMAGES: usize = 10;

    /// Ten images of 1x2x2, image `i` with the values `4 i` to `4 i + 3` and label `i`.
    fn ten_images() -> Source {
        Arc::new(InMemory::new(
            Size::new(1, 2, 2),
            Pixels::U8((0..4 * IMAGES as u8).collect()),
            (0..IMAGES).collect(),
        ))
    }

    fn augmented() -> Pipeline {
        Pipeline(vec![
            Transform::RandomCrop {
                size: 2,
                padding: 1,
                padding_mode: PaddingMode::Constant,
            },
            Transform::Flip {
                probability: 0.5,
                alternating: false,
            },
        ])
    }

    fn config(workers: usize) -> LoaderConfig {
        LoaderConfig {
            batch: 4,
            seed: 7,
            shuffle: true,
            drop_last: false,
            micro_batches: 1,
            share: Share::WHOLE,
            repeats: 1,
            mix: Vec::new(),
            on_bad_image: OnBadImage::Stop,
            workers,
            queue: 4,
        }
    }

    fn loader(config: LoaderConfig) -> Loader {
        Loader::new(ten_images(), augmented(), config).unwrap()
    }

    fn take(loader: &Loader, start: u64, count: usize) -> Vec<Batch> {
        let batches: Result<Vec<Batch>> = loader.batches(start).take(count).collect();
        batches.unwrap()
    }

    #[test]
    fn workers_change_nothing() {
        let expected = take(&loader(config(0)), 0, 8);
        for workers in [1, 3] {
            assert_eq!(take(&loader(config(workers)), 0, 8), expected);
        }
    }

    #[test]
    fn starting_later_is_skipping() {
        for workers in [0, 3] {
            let loader = loader(LoaderConfig {
                mix: vec![Mix::Mixup { alpha: 1.0 }, Mix::Cutmix { alpha: 1.0 }],
                repeats: 2,
                ..config(workers)
            });
            assert_eq!(take(&loader, 4, 3), take(&loader, 0, 7)[4..]);
        }
    }

    #[test]
    fn an_epoch_is_a_permutation_and_the_next_is_another() {
        let batches = take(&loader(config(0)), 0, 6);
        let order = |batches: &[Batch]| -> Vec<usize> {
            batches.iter().flat_map(|b| b.indices.clone()).collect()
        };
        let (first, second) = (order(&batches[..3]), order(&batches[3..]));
        for order in [&first, &second] {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..IMAGES).collect::<Vec<_>>());
        }
        assert_ne!(first, second);
    }

    #[test]
    fn the_last_batch_is_short_or_dropped() {
        let positions = |drop_last| -> Vec<(u64, u64, usize)> {
            let config = LoaderConfig {
                drop_last,
                ..config(0)
            };
            let batches = take(&loader(config), 0, 4);
            batches
                .iter()
                .map(|b| (b.epoch, b.index, b.labels.len()))
                .collect()
        };
        assert_eq!(
            positions(false),
            [(0, 0, 4), (0, 1, 4), (0, 2, 2), (1, 0, 4)]
        );
        assert_eq!(
            positions(true),
            [(0, 0, 4), (0, 1, 4), (1, 0, 4), (1, 1, 4)]
        );
    }

    #[test]
    fn images_are_augmented_differently_each_epoch() {
        let config = LoaderConfig {
            shuffle: false,
            ..config(0)
        };
        let batches = take(&loader(config), 0, 4);
        assert_eq!(batches[0].indices, batches[3].indices);
        assert_ne!(batches[0].images, batches[3].images);
    }

    /// Ten images in batches of 4, each twice: an epoch visits the first five of its order.
    #[test]
    fn repeated_images_follow_each_other_and_are_augmented_each_by_itself() {
        let config = LoaderConfig {
            repeats: 2,
            ..config(0)
        };
        let batches = take(&loader(config), 0, 3);
        let visited: Vec<usize> = batches.iter().flat_map(|b| b.indices.clone()).collect();
        let order = random::permutation(7, 0, IMAGES);
        assert_eq!(
            visited,
            order[..5].iter().flat_map(|i| [*i; 2]).collect::<Vec<_>>()
        );
        let values: Vec<f32> = batches.iter().flat_map(Batch::values).collect();
        let mut pairs = values.chunks_exact(8);
        assert_eq!(pairs.len(), 5);
        assert!(pairs.any(|pair| pair[..4] != pair[4..]));
    }

    #[test]
    fn a_mixed_batch_is_the_batch_with_its_neighbours() {
        let mixed = LoaderConfig {
            mix: vec![Mix::Mixup { alpha: 1.0 }],
            ..config(0)
        };
        let plain = take(&loader(config(0)), 0, 3);
        for (mixed, plain) in take(&loader(mixed), 0, 3).iter().zip(plain) {
            let Mixed { labels, share } = mixed.mixed.as_ref().unwrap();
            assert_eq!(mixed.labels, plain.labels);
            let last = plain.labels.len() - 1;
            assert_eq!(
                (labels[0], labels[last]),
                (plain.labels[last], plain.labels[last - 1])
            );
            let values = plain.values();
            let own = values[4] * share + values[0] * (1.0 - share);
            assert_eq!(mixed.values()[4], own);
        }
    }

    /// Whichever way a batch goes, the network gets what the whole pipeline makes of each image.
    #[test]
    fn bytes_are_normalised_at_last_as_they_would_be_at_once() {
        let normalizations = [
            Transform::Normalize {
                mean: vec![0.4914],
                std: vec![0.2470],
            },
            Transform::SubtractPixelMean {
                mean: vec![0.1, 0.2, 0.3, 0.4],
            },
        ];
        let erase = Transform::RandomErasing {
            probability: 0.5,
            scale: [0.2, 0.5],
            ratio: [0.5, 2.0],
            value: Fill::Value(0.5),
        };
        for normalize in normalizations {
            for (before, are_bytes) in [(vec![], true), (vec![erase.clone()], false)] {
                let pipeline = Pipeline([before, vec![normalize.clone()]].concat());
                let source = ten_images();
                let loader = Loader::new(source.clone(), pipeline.clone(), config(0)).unwrap();
                let batch = loader.batches(0).next().unwrap().unwrap();
                assert_eq!(matches!(batch.images, Pixels::U8(_)), are_bytes);
                assert_eq!(batch.normalization.is_some(), are_bytes);
                let image = |index: &usize| {
                    let mut rng = random::stream(7, Purpose::Augment, 0, *index as u64);
                    let image = source.get(*index).unwrap().image;
                    pipeline.apply(image, &mut rng).unwrap().into_f32()
                };
                let expected: Vec<f32> = batch.indices.iter().flat_map(image).collect();
                assert_eq!(batch.values(), expected);
            }
        }
    }

    #[test]
    fn once_is_every_image_in_order() {
        for workers in [0, 3] {
            let loader = Loader::ordered(
                ten_images(),
                Pipeline::default(),
                4,
                OnBadImage::Stop,
                workers,
            )
            .unwrap();
            let batches: Vec<Batch> = loader.once().map(Result::unwrap).collect();
            let labels: Vec<usize> = batches.iter().flat_map(|b| b.labels.clone()).collect();
            assert_eq!(labels, (0..IMAGES).collect::<Vec<_>>());
            let expected: Vec<f32> = (0..16).map(|v| v as f32 / 255.0).collect();
            assert_eq!(batches[0].values(), expected);
        }
    }

    /// What processes have of a batch, part by part and process by process, is the batch of one process, mixed with the same
    /// neighbours, whatever cannot be read.
    #[test]
    fn shares_make_up_the_batch() {
        let mixes = [
            vec![],
            vec![Mix::Mixup { alpha: 1.0 }],
            vec![Mix::Cutmix { alpha: 1.0 }],
        ];
        for (mix, micro_batches, repeats) in mixes.into_iter().flat_map(|mix| {
            [(1, 1), (2, 1), (1, 3)].map(|(parts, repeats)| (mix.clone(), parts, repeats))
        }) {
            let config = |process, processes| LoaderConfig {
                batch: 9,
                drop_last: true,
                micro_batches,
                share: Share { process, processes },
                repeats,
                mix: mix.clone(),
                on_bad_image: OnBadImage::Skip,
                ..config(0)
            };
            let batches = |process, processes| {
                let config = config(process, processes);
                take(
                    &Loader::new(Arc::new(Damaged), augmented(), config).unwrap(),
                    0,
                    3,
                )
            };
            let whole = batches(0, 1);
            let shares: Vec<Vec<Batch>> = (0..2).map(|process| batches(process, 2)).collect();
            for (number, whole) in whole.iter().enumerate() {
                let of_parts = (0..micro_batches).flat_map(|part| {
                    let share = |batches: &Vec<Batch>| {
                        let batch = &batches[number];
                        batch.part(batch.parts[part].clone())
                    };
                    shares.iter().map(share).collect::<Vec<Batch>>()
                });
                let of_parts: Vec<Batch> = of_parts.collect();
                let values: Vec<f32> = of_parts.iter().flat_map(Batch::values).collect();
                assert_eq!(values, whole.values());
                let labels: Vec<usize> = of_parts.iter().flat_map(|p| p.labels.clone()).collect();
                assert_eq!(labels, whole.labels);
                let mixed = of_parts.iter().filter_map(|part| part.mixed.clone());
                let others: Vec<usize> = mixed.flat_map(|mixed| mixed.labels).collect();
                assert_eq!(
                    others,
                    whole.mixed.as_ref().map_or(vec![], |m| m.labels.clone())
                );
            }
        }
    }

    #[test]
    fn parts_with_fewer_images_than_processes_are_refused() {
        let build = |batch, micro_batches, drop_last| {
            let config = LoaderConfig {
                batch,
                drop_last,
                micro_batches,
                share: Share {
                    process: 0,
                    processes: 3,
                },
                ..config(0)
            };
            Loader::new(ten_images(), augmented(), config).err()
        };
        let refused = |error| matches!(error, Some(Error::FewerThanProcesses { images: 1, .. }));
        assert!(refused(build(9, 1, false)), "the last batch has one image");
        assert!(build(9, 1, true).is_none());
        assert!(refused(build(3, 2, true)), "the second part has one image");
        assert!(build(6, 2, true).is_none());
    }

    /// The threads hold the dataset: once they have ended, nobody else does.
    #[test]
    fn dropping_the_iterator_ends_its_threads() {
        let source = ten_images();
        let loader = Loader::new(source.clone(), augmented(), config(3)).unwrap();
        let mut batches = loader.batches(0);
        batches.next().unwrap().unwrap();
        drop(loader);
        drop(batches);
        assert_eq!(Arc::strong_count(&source), 1);
    }

    /// Ten images, of which number 5 cannot be read.
    struct Damaged;

    impl Dataset<Sample, Error> for Damaged {
        fn get(&self, index: usize) -> Result<Sample> {
            if index == 5 {
                return Err(Error::MissingFile {
                    path: "five.png".into(),
                });
            }
            ten_images().get(index)
        }

        fn len(&self) -> usize {
            IMAGES
        }
    }

    #[test]
    fn an_error_comes_in_its_turn_and_names_the_image() {
        for workers in [0, 1, 3] {
            let config = LoaderConfig {
                shuffle: false,
                ..config(workers)
            };
            let loader = Loader::new(Arc::new(Damaged), Pipeline::default(), config).unwrap();
            let mut batches = loader.batches(0);
            assert!(batches.next().unwrap().is_ok());
            let error = batches.next().unwrap().unwrap_err();
            assert!(matches!(error, Error::Sample { index: 5, .. }), "{error}");
            assert!(batches.next().is_none());
        }
    }

    #[test]
    fn an_image_that_cannot_be_read_can_be_skipped_and_is_told() {
        for workers in [0, 3] {
            let config = LoaderConfig {
                shuffle: false,
                on_bad_image: OnBadImage::Skip,
                ..config(workers)
            };
            let loader = Loader::new(Arc::new(Damaged), Pipeline::default(), config).unwrap();
            let batches = take(&loader, 0, 3);
            assert_eq!(batches[1].indices, [4, 6, 7]);
            assert_eq!(batches[1].labels, [4, 6, 7]);
            assert_eq!(batches[1].images.len(), 3 * 4);
            let five = Skipped {
                index: 5,
                reason: "`five.png` does not exist".into(),
            };
            assert_eq!(batches[1].skipped, [five]);
            assert!(batches[0].skipped.is_empty() && batches[2].skipped.is_empty());
        }
    }

    struct Panicking;

    impl Dataset<Sample, Error> for Panicking {
        fn get(&self, index: usize) -> Result<Sample> {
            assert!(index < 4, "a bug in a dataset, as this test wants it");
            ten_images().get(index)
        }

        fn len(&self) -> usize {
            IMAGES
        }
    }

    #[test]
    fn a_thread_that_panics_is_an_error_and_no_hang() {
        let config = LoaderConfig {
            shuffle: false,
            ..config(2)
        };
        let loader = Loader::new(Arc::new(Panicking), Pipeline::default(), config).unwrap();
        let mut batches = loader.batches(0);
        assert!(batches.next().unwrap().is_ok());
        assert!(matches!(batches.next(), Some(Err(Error::WorkerStopped))));
    }

    #[test]
    fn impossible_batches_are_refused() {
        let build = |batch| {
            let config = LoaderConfig { batch, ..config(0) };
            Loader::new(ten_images(), augmented(), config).err()
        };
        assert!(matches!(build(0), Some(Error::ZeroBatch)));
        assert!(matches!(
            build(11),
            Some(Error::BatchTooLarge {
                batch: 11,
                images: 10
            })
        ));
        assert!(build(10).is_none());
        assert!(
            Loader::ordered(ten_images(), Pipeline::default(), 11, OnBadImage::Stop, 0).is_ok()
        );
    }
}
