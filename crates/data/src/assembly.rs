//! How a batch is made: a pure function of its number, and of which share of it is wanted.

use std::ops::Range;
use std::sync::Arc;

use crate::augment;
use crate::dataset::at;
use crate::random::{self, Purpose};
use crate::{
    Batch, Error, Image, Mix, Mixed, Normalization, OnBadImage, Pipeline, Pixels, Result, Sample,
    Size, Skipped, Source,
};

/// What one of several processes that train together has of every part of every batch: consecutive images, as many as any
/// other process, or one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// The process, counted from 0.
    pub process: usize,
    /// How many processes there are.
    pub processes: usize,
}

impl Share {
    /// That of a process on its own.
    pub const WHOLE: Self = Self {
        process: 0,
        processes: 1,
    };

    /// What of `range` belongs to the share.
    pub fn of(self, range: Range<usize>) -> Range<usize> {
        let start = |process: usize| range.start + (process * range.len()).div_ceil(self.processes);
        start(self.process)..start(self.process + 1)
    }
}

/// Everything that a batch is a function of, but for its number.
#[derive(Clone)]
pub(crate) struct Assembly {
    pub source: Source,
    pub images: usize,
    /// But for the normalisation at its end.
    pub pipeline: Pipeline,
    pub normalization: Option<Arc<Normalization>>,
    pub output: Size,
    pub batch: usize,
    pub seed: u64,
    pub shuffle: bool,
    pub drop_last: bool,
    pub micro_batches: usize,
    pub share: Share,
    pub repeats: usize,
    pub mix: Vec<Mix>,
    pub on_bad_image: OnBadImage,
}

/// Where in an epoch the images of a batch stand.
struct Place<'a> {
    epoch: u64,
    /// The batch's number in the epoch.
    index: u64,
    /// The order of the epoch, where it is not the dataset's.
    order: Option<&'a [usize]>,
    /// The places in that order which the whole batch takes.
    whole: Range<usize>,
}

/// What was read for a batch.
#[derive(Default)]
struct Found {
    indices: Vec<usize>,
    images: Vec<Image>,
    labels: Vec<usize>,
    skipped: Vec<Skipped>,
}

impl Assembly {
    /// Checks that every process has an image of every part of every batch.
    pub fn check_share(&self) -> Result<()> {
        let last = match self.drop_last {
            true => 0,
            false => self.images % self.batch,
        };
        let batches = [self.batch.min(self.images), last].into_iter();
        let parts = batches.flat_map(|images| self.micro_batches(0..images));
        let fewest = parts.map(|part| part.len()).min();
        match fewest {
            Some(images) if images < self.share.processes => Err(Error::FewerThanProcesses {
                images,
                processes: self.share.processes,
            }),
            _ => Ok(()),
        }
    }

    pub fn batches_per_epoch(&self) -> u64 {
        let batches = match self.drop_last {
            true => self.images / self.batch,
            false => self.images.div_ceil(self.batch),
        };
        batches as u64
    }

    /// Batch `number`, counted since the first epoch's beginning.
    pub fn batch(&self, number: u64, order: &mut Order) -> Result<Batch> {
        let epoch = number / self.batches_per_epoch();
        let index = number % self.batches_per_epoch();
        let start = index as usize * self.batch;
        let place = Place {
            epoch,
            index,
            order: self.shuffle.then(|| order.of(self, epoch)),
            whole: start..(start + self.batch).min(self.images),
        };
        let mut found = Found::default();
        let mut parts = Vec::new();
        for micro_batch in self.micro_batches(place.whole.clone()) {
            let first = found.labels.len();
            for position in self.share.of(micro_batch) {
                self.find(&place, position, &mut found)?;
            }
            parts.push(first..found.labels.len());
        }
        if self.share == Share::WHOLE {
            parts.retain(|part| !part.is_empty());
        }
        if parts.is_empty() || parts.iter().any(Range::is_empty) {
            let place = format!("batch {index} of epoch {epoch}, both counted from 0");
            return Err(Error::NoImages { place });
        }
        self.finish(&place, found, parts)
    }

    /// What is trained on at a time, of images in this range; the last part is shorter where it must be.
    fn micro_batches(&self, images: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let part = images.len().div_ceil(self.micro_batches).max(1);
        let end = images.end;
        images
            .step_by(part)
            .map(move |start| start..(start + part).min(end))
    }

    /// Reads the image at a position of the epoch, or skips it.
    fn find(&self, place: &Place<'_>, position: usize, found: &mut Found) -> Result<()> {
        let (visited, repeat) = (position / self.repeats, position % self.repeats);
        let index = place.order.map_or(visited, |order| order[visited]);
        match self.image(place.epoch, index, repeat) {
            Ok((image, label)) => {
                found.indices.push(index);
                found.images.push(image);
                found.labels.push(label);
            }
            Err(error) if self.on_bad_image.skips(&error) => {
                found.skipped.push(Skipped {
                    index,
                    reason: error.to_string(),
                });
            }
            Err(error) => return Err(at(index, error)),
        }
        Ok(())
    }

    fn finish(&self, place: &Place<'_>, found: Found, parts: Vec<Range<usize>>) -> Result<Batch> {
        let Found {
            indices,
            images,
            labels,
            skipped,
        } = found;
        let (images, normalization, mixed) = match joined_bytes(&images) {
            Some(bytes) if self.mix.is_empty() => {
                (Pixels::U8(bytes), self.normalization.clone(), None)
            }
            _ => {
                let mut values = self.values(images)?;
                let mixed = self.mix(place, &mut values, &labels, &parts)?;
                (Pixels::F32(values), None, mixed)
            }
        };
        Ok(Batch {
            epoch: place.epoch,
            index: place.index,
            indices,
            images,
            normalization,
            size: self.output,
            labels,
            mixed,
            parts,
            skipped,
        })
    }

    /// The images as the network gets them.
    fn values(&self, images: Vec<Image>) -> Result<Vec<f32>> {
        let mut values = Vec::with_capacity(images.len() * self.output.values());
        for image in images {
            let normalized = match &self.normalization {
                Some(normalization) => normalization.apply(image)?,
                None => image,
            };
            values.extend(normalized.into_f32());
        }
        Ok(values)
    }

    /// Mixes the images of a batch, where they are to be mixed. Of a share of it, the first image of a part is mixed with
    /// one that is another process's.
    fn mix(
        &self,
        place: &Place<'_>,
        values: &mut [f32],
        labels: &[usize],
        parts: &[Range<usize>],
    ) -> Result<Option<Mixed>> {
        if self.mix.is_empty() {
            return Ok(None);
        }
        let mut rng = random::stream(self.seed, Purpose::Mix, place.epoch, place.index);
        let choice = Mix::choose(&self.mix, self.output, &mut rng);
        let mut others = labels.to_vec();
        if self.share == Share::WHOLE {
            let share = choice.apply(values, self.output);
            others.rotate_right(1);
            return Ok(Some(Mixed {
                labels: others,
                share,
            }));
        }
        let mut share = 1.0;
        let length = self.output.values();
        let shares = self.micro_batches(place.whole.clone());
        for (part, positions) in parts.iter().zip(shares.map(|part| self.share.of(part))) {
            let (before, label) = self.image_before(place, positions.start)?;
            let own = &mut values[part.start * length..part.end * length];
            let mut mixed = [&before, &*own].concat();
            share = choice.apply(&mut mixed, self.output);
            own.copy_from_slice(&mixed[length..]);
            others[part.clone()].rotate_right(1);
            others[part.start] = label;
        }
        Ok(Some(Mixed {
            labels: others,
            share,
        }))
    }

    /// The values and the label of the image before a position of the batch that can be read; the last is before the first.
    fn image_before(&self, place: &Place<'_>, position: usize) -> Result<(Vec<f32>, usize)> {
        let whole = &place.whole;
        let before = (whole.start..position).rev();
        for position in before.chain((position..whole.end).rev()) {
            let mut found = Found::default();
            self.find(place, position, &mut found)?;
            if let Some(label) = found.labels.pop() {
                return Ok((self.values(found.images)?, label));
            }
        }
        // There was one a moment ago: its file is gone since.
        let place = format!(
            "batch {} of epoch {}, both counted from 0",
            place.index, place.epoch
        );
        Err(Error::NoImages { place })
    }

    /// The image at `place`, as epoch `epoch` sees it the time after `repeat` others, and its label.
    fn image(&self, epoch: u64, place: usize, repeat: usize) -> Result<(Image, usize)> {
        let Sample { image, label } = self.source.get(place)?;
        let key = (repeat * self.images + place) as u64;
        let place = augment::Place {
            seed: self.seed,
            epoch,
            image: key,
        };
        let image = self.pipeline.apply_at(image, place)?;
        match image.size == self.output {
            true => Ok((image, label)),
            false => Err(Error::SampleSize {
                expected: self.output,
                found: image.size,
            }),
        }
    }
}

/// The bytes of all images, where all have bytes.
fn joined_bytes(images: &[Image]) -> Option<Vec<u8>> {
    let bytes = images.iter().map(|image| match &image.pixels {
        Pixels::U8(bytes) => Some(bytes.as_slice()),
        Pixels::F32(_) => None,
    });
    let bytes: Vec<&[u8]> = bytes.collect::<Option<_>>()?;
    Some(bytes.concat())
}

/// The order of the epoch that was asked for last.
#[derive(Default)]
pub(crate) struct Order {
    epoch: Option<u64>,
    places: Vec<usize>,
}

impl Order {
    fn of(&mut self, assembly: &Assembly, epoch: u64) -> &[usize] {
        if self.epoch != Some(epoch) {
            self.places = random::permutation(assembly.seed, epoch, assembly.images);
            self.epoch = Some(epoch);
        }
        &self.places
    }
}
