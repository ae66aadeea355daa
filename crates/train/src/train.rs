//! The training loop.

use std::collections::BTreeSet;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use data::{Batch, Loader, OnBadImage, Skipped, Source};
use kernels::SharedBatch;
use models::routes::Sampling;
use models::{Model, gradient_checkpointing, noise, parameters};

use crate::checkpoint::{self, Best, State};
use crate::datasets;
use crate::error::Error;
use crate::evaluate::{self, Outcome};
use crate::files;
use crate::journal::{self, Diverged, End, Eval, Event, Note, Step};
use crate::loss::{self, Targets};
use crate::network::{self, Card};
use crate::optimizer::{self, Gradients};
use crate::plan::Plan;
use crate::processes::Processes;
use crate::record::Record;
use crate::report::{self, Evaluation};
use crate::start;
use crate::upload::images_of;

/// The model file of a run.
pub const MODEL: &str = "model.safetensors";
/// The name of the split that is held out of the training images.
pub const VALIDATION: &str = "validation";
/// The name of the split that is trained on.
const TRAIN: &str = "train";
/// The name of the split that nothing is chosen by.
pub const TEST: &str = "test";

/// A split that is evaluated.
pub struct Split {
    /// Its name.
    pub name: &'static str,
    /// Its images as they are.
    pub source: Source,
    /// Its images as the network sees them; of several processes, the share of this one.
    pub loader: Loader,
    /// The place of the first of these.
    pub start: usize,
}

/// A run that is ready to go.
pub struct Trainer<'a> {
    /// What runs.
    pub plan: &'a Plan,
    /// Where it is written.
    pub folder: PathBuf,
    /// Where it computes, without autodiff.
    pub device: Device,
    /// Whether that is a CPU, which never runs ahead of the program.
    pub is_cpu: bool,
    /// The training images.
    pub loader: Loader,
    /// What is evaluated.
    pub splits: Vec<Split>,
    /// What the model files say.
    pub card: Card,
    /// The state that the run starts or goes on from.
    pub state: State,
    /// The residual blocks that a forward pass goes through, where it is not all of them.
    pub sampling: Option<Sampling>,
    /// Where events are told; by the first process.
    pub record: Option<Record>,
    /// Those that train together.
    pub processes: Processes,
    /// Set where the user wants the run to stop.
    pub interrupted: Arc<AtomicBool>,
    /// Images that could not be read and were told of, by split and place.
    pub skipped: BTreeSet<(&'static str, usize)>,
    /// Whether a process was to stop when the last update was made.
    pub is_stopped_by_one: bool,
}

/// How a run ended.
pub enum Ending {
    /// At its last step.
    Finished,
    /// Where the user wanted it to, after this many steps.
    Interrupted(u64),
}

/// What an update of the weights tells, on the device.
struct Update {
    /// The loss of its batch.
    loss: Tensor<1>,
    /// How many of its images were classified right; of a mixed image, as the class with the larger share in its target.
    right: Tensor<1, Int>,
    /// How many images it has.
    images: usize,
}

/// A step whose update has not been looked at yet: that would wait for the device.
struct Pending {
    step: u64,
    images: Vec<usize>,
    update: Update,
}

impl Trainer<'_> {
    /// Trains to the last step.
    ///
    /// # Errors
    ///
    /// With exit code 1, where an image cannot be read, the disk does not take what is written, or
    /// the loss stops being finite; what was saved before stays.
    pub fn run(mut self) -> Result<Ending, Error> {
        let started = Instant::now();
        let mut batches = self.loader.batches(self.state.step);
        let mut pending = Vec::new();
        let mut lap = Lap::start();
        let mut tested = None;
        while !self.is_done() {
            let waiting = Instant::now();
            let batch = batches.next().expect("training batches are endless");
            let batch = batch.map_err(unreadable)?;
            lap.waited(waiting);
            let skipped = self.skipped_by_all(&batch);
            self.tell_skipped(TRAIN, &skipped)?;

            let rate = self
                .plan
                .schedule
                .rate(self.state.step, self.state.plateaus);
            let update = self.update(&batch, rate)?;
            pending.push(Pending {
                step: self.state.step,
                images: batch.indices.clone(),
                update,
            });
            if let Some(record) = &mut self.record {
                record.advance(self.state.step);
            }

            let (logs, evaluates, saves) = self.due();
            let stops = self.is_to_stop() && !self.is_done();
            if logs || evaluates || saves || stops || self.is_cpu {
                self.look_at(&mut pending, &mut lap)?;
                if logs {
                    self.log(batch.epoch, rate, &lap)?;
                    lap = Lap::start();
                }
            }
            if evaluates || saves || stops {
                self.check_weights(&batch.indices)?;
            }
            if evaluates {
                tested = lap.without(|| self.evaluate())?;
            }
            if saves || stops {
                lap.without(|| self.save())?;
            }
            if stops {
                return Ok(Ending::Interrupted(self.state.step));
            }
        }
        self.finish(started, tested)
    }

    /// One update of the weights; where gradients of 16 bits overflow, it is left out.
    fn update(&mut self, batch: &Batch, rate: f64) -> Result<Update, Error> {
        let shared = self.processes.shared(batch);
        let images = match &shared {
            Some(parts) => parts.iter().map(SharedBatch::whole).sum(),
            None => batch.labels.len(),
        };
        let mut gradients = Gradients::new();
        let mut told: Option<Update> = None;
        for (index, part) in batch.parts.iter().enumerate() {
            let shared = shared.as_ref().map(|parts| &parts[index]);
            let of_all = shared.map_or(part.len(), SharedBatch::whole);
            let share = of_all as f64 / images as f64;
            let part = batch.part(part.clone());
            let (more, found) = match shared {
                Some(batch) if self.plan.sync_bn => {
                    (batch.clone()).synchronized(|| self.gradients(&part, index, shared))
                }
                _ => self.gradients(&part, index, shared),
            };
            gradients = optimizer::accumulate(gradients, more, share);
            let loss = found.loss * share;
            told = Some(match told {
                Some(sum) => Update {
                    loss: sum.loss + loss,
                    right: sum.right + found.right,
                    images,
                },
                None => Update {
                    loss,
                    right: found.right,
                    images,
                },
            });
        }
        let mut told = told.expect("a batch has images");
        if shared.is_some() {
            gradients = self.processes.sum(gradients);
            told = self.told_by_all(told);
        }
        if let Some(gradients) = self.unscaled(gradients)? {
            self.apply(gradients, rate);
        }
        self.state.step += 1;
        self.look_ahead();
        Ok(told)
    }

    /// The gradients of the loss itself, where it was scaled; none where they overflowed.
    fn unscaled(&mut self, gradients: Gradients) -> Result<Option<Gradients>, Error> {
        let Some(scale) = self.state.loss_scale else {
            return Ok(Some(gradients));
        };
        let gradients = optimizer::scale(gradients, 1.0 / scale.factor());
        let finite = optimizer::are_finite(&gradients);
        self.state.loss_scale = Some(scale.after(finite));
        if finite {
            return Ok(Some(gradients));
        }
        let step = self.state.step + 1;
        let text = format!(
            "left out update {step}: its gradients overflowed, the loss being scaled by {}",
            scale.factor()
        );
        self.tell(&Event::Note(Note { step, text }))?;
        Ok(None)
    }

    /// Moves the weights, and their average.
    fn apply(&mut self, mut gradients: Gradients, rate: f64) {
        if let Some(bias) = self.frozen_bias() {
            gradients[bias] = None;
        }
        if let Some(largest) = self.plan.clip_norm {
            gradients = optimizer::clip_norm(gradients, largest);
        }
        let model = self.state.model.clone();
        self.state.model = self.state.optimizer.step(model, gradients, rate);
        if let (Some(average), Some(ema)) = (&mut self.state.ema, &self.plan.ema) {
            average.update(&self.state.model, ema.decay);
        }
    }

    /// The place among the learnt parameters of the whitening convolution's bias, once it learns no more.
    fn frozen_bias(&self) -> Option<usize> {
        let updates = self.plan.whiten.as_ref()?.bias?;
        (self.state.step >= updates).then(|| start::whitened_bias(&self.state.model))?
    }

    /// Moves the slow weights, and goes on from them, where it is time to.
    fn look_ahead(&mut self) {
        let Some(lookahead) = &self.plan.lookahead else {
            return;
        };
        let Some(kept) = lookahead.kept_after(self.state.step, self.plan.steps) else {
            return;
        };
        let State { model, slow, .. } = &mut self.state;
        let slow = slow.as_mut().expect("slow weights begin with the run");
        slow.update(model, kept);
        *model = slow.apply(model.clone());
    }

    /// What a micro-batch, number `index` of its batch, makes of the weights: of a shared one, this process's share of it.
    fn gradients(
        &self,
        part: &Batch,
        index: usize,
        shared: Option<&SharedBatch>,
    ) -> (Gradients, Update) {
        let device = self.device.clone().autodiff();
        let targets = Targets::of(part, &device);
        let (seed, step, index) = (self.plan.seed, self.state.step, index as u64);
        match shared {
            Some(batch) => noise::start_share(seed, step, index, batch),
            None => noise::start(seed, step, index),
        }
        let images = images_of(part, &device).cast(self.plan.precision.dtype());
        let model = &self.state.model;
        let scores =
            gradient_checkpointing::run(self.plan.gradient_checkpointing, || match self.sampling {
                Some(sampling) => sampling.forward_train(model, images),
                None => model.forward_train(images),
            });
        let right = count_right(&scores.logits, targets.main());
        let mut loss = loss::of_scores(scores, &targets, &self.plan.loss);
        if let Some(batch) = shared {
            loss = loss * (batch.own() as f64 / batch.whole() as f64);
        }
        let scaled = match self.state.loss_scale {
            Some(scale) => loss.clone() * scale.factor(),
            None => loss.clone(),
        };
        let mut found = scaled.backward();
        let gradients = parameters::take_gradients(model, &mut found);
        let update = Update {
            loss: loss.inner(),
            right,
            images: part.labels.len(),
        };
        (gradients, update)
    }

    /// What the shares of all processes tell together, and whether one of them is to stop.
    fn told_by_all(&mut self, own: Update) -> Update {
        let stops = self.interrupted.load(Ordering::Relaxed);
        let loss = own.loss.into_scalar::<f32>();
        let right = own.right.into_scalar::<i64>() as f32;
        let [loss, right, stops] = (self.processes).sum_numbers([loss, right, f32::from(stops)]);
        self.is_stopped_by_one = stops > 0.0;
        Update {
            loss: Tensor::from_floats([loss], &self.device),
            right: Tensor::from_ints([right as i64], &self.device),
            images: own.images,
        }
    }

    /// Whether the user wants the run to stop; of several processes, all say the same.
    fn is_to_stop(&self) -> bool {
        match self.processes.count() {
            1 => self.interrupted.load(Ordering::Relaxed),
            _ => self.is_stopped_by_one,
        }
    }

    fn is_done(&self) -> bool {
        self.state.step >= self.plan.steps
    }

    /// Whether the step that was made is logged, evaluated after, saved after.
    fn due(&self) -> (bool, bool, bool) {
        let step = self.state.step;
        let due = |every: u64| self.is_done() || step.is_multiple_of(every);
        (
            due(self.plan.log.every),
            due(self.plan.eval.every),
            due(self.plan.checkpoint.every),
        )
    }

    /// Waits for the updates that were not looked at yet.
    fn look_at(&mut self, pending: &mut Vec<Pending>, lap: &mut Lap) -> Result<(), Error> {
        for Pending {
            step,
            images,
            update,
        } in pending.drain(..)
        {
            let loss = f64::from(update.loss.into_scalar::<f32>());
            if !loss.is_finite() {
                let what = format!("the loss of step {step} is {loss}");
                return Err(self.diverged(what, step, &images, loss));
            }
            lap.loss = loss;
            lap.images += update.images;
            self.state.tally.images += update.images as u64;
            self.state.tally.right += update.right.into_scalar::<i64>() as u64;
        }
        Ok(())
    }

    /// Refuses weights that are not finite, to which a finite loss can lead: saved, they would take
    /// the place of good ones.
    fn check_weights(&mut self, images: &[usize]) -> Result<(), Error> {
        let is_finite = |values: Tensor<1>| values.is_finite().all().into_scalar::<bool>();
        if parameters::values(&self.state.model)
            .into_iter()
            .all(is_finite)
        {
            return Ok(());
        }
        let step = self.state.step;
        let what = format!("the weights after step {step} are not finite");
        Err(self.diverged(what, step, images, f64::NAN))
    }

    fn diverged(&mut self, what: String, step: u64, images: &[usize], loss: f64) -> Error {
        let images = self.processes.gather(&images.to_vec()).concat();
        let error = Error::failure(what)
            .because(format!("the step's images were {images:?}"))
            .with_hint(
                "lower the learning rate (`--set schedule...`), warm it up, or set `clip_norm`; the \
                 last checkpoint is from before this step",
            );
        match self.tell(&Event::Diverged(Diverged { step, loss, images })) {
            Ok(()) => error,
            Err(unwritten) => error.because(unwritten),
        }
    }

    fn log(&mut self, epoch: u64, rate: f64, lap: &Lap) -> Result<(), Error> {
        let tally = mem::take(&mut self.state.tally);
        let event = Event::Step(Step {
            step: self.state.step,
            epoch: epoch + 1,
            loss: lap.loss,
            lr: rate,
            images_per_second: lap.images as f64 / lap.seconds(),
            data_seconds: lap.waited,
            top1: Some(tally.top1()),
        });
        self.tell(&event)
    }

    /// What cannot be read of a batch.
    fn skipped_by_all(&self, batch: &Batch) -> Vec<Skipped> {
        match self.plan.on_bad_image {
            OnBadImage::Skip if self.processes.count() > 1 => {
                self.processes.gather(&batch.skipped).concat()
            }
            _ => batch.skipped.clone(),
        }
    }

    /// Notes images that could not be read, each once.
    fn tell_skipped(&mut self, split: &'static str, skipped: &[Skipped]) -> Result<(), Error> {
        for Skipped { index, reason } in skipped {
            if self.skipped.insert((split, *index)) {
                self.note(format!(
                    "skipped image {index} of the {split} split: {reason}"
                ))?;
            }
        }
        Ok(())
    }

    fn note(&mut self, text: String) -> Result<(), Error> {
        let step = self.state.step;
        self.tell(&Event::Note(Note { step, text }))
    }

    fn tell(&mut self, event: &Event) -> Result<(), Error> {
        match &mut self.record {
            Some(record) => record.add(event).map_err(unwritable),
            None => Ok(()),
        }
    }

    /// Evaluates every split. Returns what the network makes of the test split.
    fn evaluate(&mut self) -> Result<Option<Outcome>, Error> {
        let model = self.evaluated_model();
        let mut tested = None;
        for index in 0..self.splits.len() {
            let split = &self.splits[index];
            let name = split.name;
            let outcome = self.outcome(&model, split)?;
            self.tell_skipped(name, &outcome.skipped)?;
            let event = Event::Eval(Eval {
                step: self.state.step,
                split: name.to_owned(),
                top1: outcome.top(1),
                top5: outcome.top(5),
                loss: outcome.loss(),
                images: outcome.predictions.len() as u64,
            });
            self.tell(&event)?;
            match name {
                VALIDATION => {
                    let top1 = outcome.top(1);
                    self.state.plateaus = self
                        .plan
                        .schedule
                        .after_evaluation(self.state.plateaus, top1);
                    self.keep_if_best(&model, top1)?;
                }
                _ => tested = Some(outcome),
            }
        }
        Ok(tested)
    }

    /// What the network makes of a split.
    fn outcome(&self, model: &Model, split: &Split) -> Result<Outcome, Error> {
        let outcome = evaluate::evaluate(model, &split.loader, &self.device).map_err(unreadable)?;
        Ok(self.processes.whole(outcome.starting_at(split.start)))
    }

    /// The average of the weights, or the slow ones, where there are some, else the weights, ready for evaluation.
    fn evaluated_model(&self) -> Model {
        let model = self.state.model.valid();
        let model = match self.state.ema.as_ref().or(self.state.slow.as_ref()) {
            // What `valid` returns shares no running statistics with the network in training.
            Some(average) => average.apply(model),
            None => model,
        };
        self.processes.agreed(model)
    }

    fn keep_if_best(&mut self, model: &Model, top1: f64) -> Result<(), Error> {
        if self.state.best.is_some_and(|best| best.top1 >= top1) {
            return Ok(());
        }
        let step = self.state.step;
        self.state.best = Some(Best { step, top1 });
        let path = self.folder.join(checkpoint::FOLDER).join(checkpoint::BEST);
        self.write_model(&path, model)
    }

    fn write_model(&self, path: &Path, model: &Model) -> Result<(), Error> {
        if !self.processes.is_first() {
            return Ok(());
        }
        let card = Card {
            step: self.state.step,
            ..self.card.clone()
        };
        network::write(path, model, &card).map_err(unwritable)
    }

    fn save(&mut self) -> Result<(), Error> {
        self.processes.check_same_weights(&self.state.model)?;
        if !self.processes.is_first() {
            return Ok(());
        }
        let path = checkpoint::write(&self.folder, &self.state, self.plan.checkpoint.keep)
            .map_err(unwritable)?;
        let step = self.state.step;
        let event = Event::Checkpoint(journal::Checkpoint { step, path });
        self.tell(&event)
    }

    fn finish(mut self, started: Instant, tested: Option<Outcome>) -> Result<Ending, Error> {
        let model = self.evaluated_model();
        self.write_model(&self.folder.join(MODEL), &model)?;
        if let Some(split) = self.splits.iter().find(|split| split.name == TEST) {
            let outcome = match tested {
                Some(outcome) => outcome,
                // The run was killed after its last checkpoint: its journal has the figures only.
                None => self.outcome(&model, split)?,
            };
            if self.processes.is_first() {
                Evaluation::of_last(split.name, &outcome, &self.card.classes, &split.source)
                    .map_err(unreadable)?
                    .write(&self.folder.join(report::EVALUATION))
                    .map_err(unwritable)?;
            }
        }
        if !self.skipped.is_empty() {
            self.note(format!(
                "{} images could not be read and were skipped",
                self.skipped.len()
            ))?;
        }
        let event = Event::End(End {
            step: self.state.step,
            seconds: started.elapsed().as_secs_f64(),
        });
        self.tell(&event)?;
        Ok(Ending::Finished)
    }
}

fn unreadable(error: data::Error) -> Error {
    let is_of_a_file = error.is_of_a_file();
    let error = Error::failure("cannot read the images").explained_by(error);
    match is_of_a_file {
        true => error.with_hint(datasets::SKIP),
        false => error,
    }
}

fn unwritable(error: files::Error) -> Error {
    Error::failure("cannot write the run").explained_by(error)
}

fn count_right(logits: &Tensor<2>, labels: &Tensor<1, Int>) -> Tensor<1, Int> {
    let predicted = logits.clone().inner().argmax(1).squeeze_dim::<1>(1);
    predicted.equal(labels.clone().inner()).int().sum()
}

/// The time since the last logged step, without the time of evaluations and checkpoints.
struct Lap {
    since: Instant,
    paused: f64,
    waited: f64,
    images: usize,
    loss: f64,
}

impl Lap {
    fn start() -> Self {
        Self {
            since: Instant::now(),
            paused: 0.0,
            waited: 0.0,
            images: 0,
            loss: f64::NAN,
        }
    }

    fn waited(&mut self, since: Instant) {
        self.waited += since.elapsed().as_secs_f64();
    }

    fn without<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = work();
        self.paused += started.elapsed().as_secs_f64();
        result
    }

    fn seconds(&self) -> f64 {
        self.since.elapsed().as_secs_f64() - self.paused
    }
}
