//! What a run says while it goes: one line that is drawn anew on a terminal, plain lines elsewhere. All on stderr.

use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::journal::{Eval, Event, Step};
use crate::streams::say;

/// Steps before the clock for the ETA starts: the first ones allocate, tune and compile.
const WARM_UP: u64 = 3;
/// Timed steps, and seconds, before the ETA of a whole run is stated.
const ENOUGH: (u64, Duration) = (5, Duration::from_secs(2));
const HOUR: Duration = Duration::from_hours(1);

/// How long a run is, and on what it computes.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Optimizer updates in all.
    pub steps: u64,
    /// Optimizer updates an epoch.
    pub steps_per_epoch: u64,
    /// Where it computes.
    pub machine: Machine,
}

impl Run {
    fn epochs(&self) -> u64 {
        self.steps.div_ceil(self.steps_per_epoch.max(1))
    }

    fn epoch_of(&self, step: u64) -> u64 {
        step.saturating_sub(1) / self.steps_per_epoch.max(1) + 1
    }
}

/// Where a run computes, as far as advice on speed goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    /// The device, as in `--device`.
    pub device: String,
    /// Whether that is a CPU.
    pub is_cpu: bool,
    /// Threads that compute.
    pub threads: usize,
    /// Threads that the machine could run at once.
    pub cores: usize,
    /// The GPU devices that this binary was built with.
    pub gpus: Vec<String>,
}

/// The progress of a run on stderr.
#[derive(Debug)]
pub struct Progress {
    run: Run,
    clock: Clock,
    told_eta: bool,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Begins to show a run that has `done` steps behind it.
    pub fn new(run: Run, done: u64) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(run.steps), ProgressDrawTarget::stderr());
            bar.set_style(style("{bar:24} {msg}"));
            bar.set_position(done);
            bar
        });
        Self {
            run,
            clock: Clock::default(),
            told_eta: false,
            bar,
        }
    }

    /// Notes that `step` is done; cheap enough for every step.
    pub fn advance(&mut self, step: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(step);
        }
        // A GPU only queues its work here: there, only logged steps, which wait for it, tell the time.
        if self.run.machine.is_cpu {
            self.time(step);
        }
    }

    /// States the ETA of the whole run once it is known.
    fn time(&mut self, step: u64) {
        self.clock.tick(step, Instant::now());
        if !self.told_eta
            && let Some(eta) = self
                .clock
                .settled_eta(self.run.steps - step.min(self.run.steps))
        {
            self.told_eta = true;
            self.say(announcement(eta, &self.run));
            if let Some(advice) = what_would_be_faster(eta, &self.run) {
                self.say(advice);
            }
        }
    }

    /// Shows an event: a step in the line that is drawn anew, an evaluation and a note as lines that stay.
    pub fn show(&mut self, event: &Event) {
        match event {
            Event::Step(step) => {
                if !self.run.machine.is_cpu {
                    self.time(step.step);
                }
                let line = step_line(
                    step,
                    &self.run,
                    self.clock.eta(self.run.steps.saturating_sub(step.step)),
                );
                match &self.bar {
                    Some(bar) => bar.set_message(line),
                    None => say(line),
                }
            }
            Event::Eval(eval) => self.say(evaluation_line(eval, &self.run)),
            Event::Note(note) => self.say(&note.text),
            _ => {}
        }
    }

    /// Writes a line that stays, above the one that is drawn anew.
    pub fn say(&self, line: impl Display) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(line)),
            None => say(line),
        }
    }

    /// Removes the line that is drawn anew.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("templates are constants")
        .progress_chars("━━─")
}

/// When steps were done, from the first ones after the warm-up on.
#[derive(Debug, Default)]
struct Clock {
    ticks: u64,
    timed_since: Option<(u64, Instant)>,
    last: Option<(u64, Instant)>,
}

impl Clock {
    fn tick(&mut self, step: u64, now: Instant) {
        self.ticks += 1;
        if self.ticks == WARM_UP {
            self.timed_since = Some((step, now));
        }
        self.last = Some((step, now));
    }

    fn timed(&self) -> Option<(u64, Duration)> {
        let ((first, since), (last, now)) = (self.timed_since?, self.last?);
        Some((last - first, now - since))
    }

    fn eta(&self, remaining: u64) -> Option<Duration> {
        let (steps, time) = self.timed()?;
        eta(remaining, steps, time)
    }

    fn settled_eta(&self, remaining: u64) -> Option<Duration> {
        let (steps, time) = self.timed()?;
        (steps >= ENOUGH.0 && time >= ENOUGH.1)
            .then(|| eta(remaining, steps, time))
            .flatten()
    }
}

/// How long `remaining` steps take when `steps` took `time`; not known before a step was timed.
pub fn eta(remaining: u64, steps: u64, time: Duration) -> Option<Duration> {
    (steps > 0).then(|| {
        Duration::try_from_secs_f64(time.as_secs_f64() / steps as f64 * remaining as f64).ok()
    })?
}

/// What would make a run faster, where it needs more than an hour on a CPU.
pub fn what_would_be_faster(eta: Duration, run: &Run) -> Option<String> {
    let Machine {
        is_cpu,
        threads,
        cores,
        gpus,
        ..
    } = &run.machine;
    if !is_cpu || eta <= HOUR {
        return None;
    }
    let gpu = match gpus.first() {
        Some(gpu) => format!("a GPU: `--device {gpu}`"),
        None => "a GPU: build with `--features vulkan` and add `--device vulkan`".into(),
    };
    let more_threads = (threads < cores).then(|| format!("all cores: `--threads {cores}`"));
    let shorter = format!(
        "a shorter run, about an hour: `--set {}`",
        length_of_an_hour(eta, run)
    );
    let ways: Vec<String> = [gpu]
        .into_iter()
        .chain(more_threads)
        .chain([shorter])
        .collect();
    Some(format!(
        "what would be faster:\n  - {}",
        ways.join("\n  - ")
    ))
}

fn length_of_an_hour(eta: Duration, run: &Run) -> String {
    let share = HOUR.as_secs_f64() / eta.as_secs_f64();
    match (run.epochs() as f64 * share) as u64 {
        0 => format!(
            "length.steps={}",
            ((run.steps as f64 * share) as u64).max(1)
        ),
        epochs => format!("length.epochs={epochs}"),
    }
}

fn announcement(eta: Duration, run: &Run) -> String {
    let Run { steps, machine, .. } = run;
    format!(
        "the run of {} steps will take about {} more on {}",
        grouped(*steps),
        spoken(eta),
        machine.device
    )
}

fn step_line(step: &Step, run: &Run, eta: Option<Duration>) -> String {
    let Step {
        step: number,
        epoch,
        loss,
        images_per_second,
        ..
    } = step;
    let eta = eta
        .map(|eta| format!("  ETA {}", spoken(eta)))
        .unwrap_or_default();
    format!(
        "epoch {epoch}/{}  step {}/{}  loss {loss:.4}  {} images/s{eta}",
        run.epochs(),
        grouped(*number),
        grouped(run.steps),
        rate(*images_per_second),
    )
}

fn evaluation_line(eval: &Eval, run: &Run) -> String {
    let Eval {
        step,
        split,
        top1,
        top5,
        loss,
        images,
    } = eval;
    format!(
        "epoch {}/{}  step {}  {split}: top-1 {top1:.2} %, top-5 {top5:.2} %, loss {loss:.4} on {} images",
        run.epoch_of(*step),
        run.epochs(),
        grouped(*step),
        grouped(*images),
    )
}

fn rate(per_second: f64) -> String {
    match per_second {
        few if few < 10.0 => format!("{few:.1}"),
        many => grouped(many as u64),
    }
}

/// A duration in its two largest units: `2 h 05 min`, `3 min 20 s`, `12 s`.
pub fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs_f64().round() as u64;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {:02} s", seconds % 60),
        3600..86_400 => format!("{hours} h {minutes:02} min"),
        _ => format!("{days} d {hours:02} h"),
    }
}

/// An integer with a comma between groups of three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// The progress of work on bytes, on stderr: a bar on a terminal, a line at each tenth elsewhere.
#[derive(Debug)]
pub struct Work {
    /// What is done, and what has been: `fetching`, `fetched`.
    verbs: [&'static str; 2],
    /// Less work is not worth a line.
    worth: u64,
    current: Option<Piece>,
}

#[derive(Debug)]
struct Piece {
    what: String,
    total: u64,
    done: u64,
    bar: Option<ProgressBar>,
}

impl Work {
    /// Work that is told whatever its length.
    pub fn new(verbs: [&'static str; 2]) -> Self {
        Self {
            verbs,
            worth: 0,
            current: None,
        }
    }

    /// Work that is told from so many bytes on.
    pub fn worth(self, worth: u64) -> Self {
        Self { worth, ..self }
    }
}

impl data::Progress for Work {
    fn start(&mut self, what: &str, total: u64, already: u64) {
        if total < self.worth {
            return;
        }
        let bar = io::stderr()
            .is_terminal()
            .then(|| bar_of_bytes(what, total, already));
        if bar.is_none() {
            say(format!("{} {what}, {}", self.verbs[0], size(total)));
        }
        self.current = Some(Piece {
            what: what.to_owned(),
            total,
            done: already,
            bar,
        });
    }

    fn advance(&mut self, bytes: u64) {
        let Some(piece) = &mut self.current else {
            return;
        };
        let before = piece.tenths();
        piece.done += bytes;
        match &piece.bar {
            Some(bar) => bar.set_position(piece.done),
            None if piece.tenths() > before => say(format!("  {} %", piece.tenths() * 10)),
            None => {}
        }
    }

    fn note(&mut self, text: &str) {
        match self.current.as_ref().and_then(|piece| piece.bar.as_ref()) {
            Some(bar) => bar.suspend(|| say(text)),
            None => say(text),
        }
    }

    fn finish(&mut self) {
        let Some(Piece {
            what,
            total,
            done,
            bar,
        }) = self.current.take()
        else {
            return;
        };
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        if done == total {
            say(format!("{} {what}, {}", self.verbs[1], size(total)));
        }
    }
}

impl Piece {
    fn tenths(&self) -> u64 {
        (self.done.min(self.total) * 10)
            .checked_div(self.total)
            .unwrap_or(0)
    }
}

fn bar_of_bytes(what: &str, total: u64, already: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    bar.set_style(style(
        "{bar:24} {msg}  {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}  ETA {eta}",
    ));
    bar.set_message(what.to_owned());
    bar.set_position(already);
    bar.reset_eta();
    bar
}

fn size(bytes: u64) -> String {
    indicatif::DecimalBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(steps: u64, machine: Machine) -> Run {
        Run {
            steps,
            steps_per_epoch: 391,
            machine,
        }
    }

    fn cpu() -> Machine {
        Machine {
            device: "cpu".into(),
            is_cpu: true,
            threads: 2,
            cores: 2,
            gpus: vec![],
        }
    }

    fn hours(hours: u64) -> Duration {
        HOUR * hours as u32
    }

    #[test]
    fn the_eta_is_the_pace_so_far_for_the_rest() {
        assert_eq!(
            eta(100, 10, Duration::from_secs(5)),
            Some(Duration::from_secs(50))
        );
        assert_eq!(eta(0, 10, Duration::from_secs(5)), Some(Duration::ZERO));
        assert_eq!(eta(100, 0, Duration::from_secs(5)), None);
        assert_eq!(eta(u64::MAX, 1, Duration::MAX), None);
    }

    #[test]
    fn the_first_steps_do_not_count_and_a_settled_eta_needs_time() {
        let (start, mut clock) = (Instant::now(), Clock::default());
        let mut tick = |step, millis| clock.tick(step, start + Duration::from_millis(millis));
        (101..=103).for_each(|step| tick(step, (step - 100) * 10_000));
        tick(108, 31_000);
        assert_eq!(clock.settled_eta(50), None);
        assert_eq!(clock.eta(50), Some(Duration::from_secs(10)));
        clock.tick(113, start + Duration::from_secs(32));
        assert_eq!(clock.settled_eta(50), Some(Duration::from_secs(10)));
    }

    #[test]
    fn advice_is_for_long_runs_on_a_cpu() {
        let gpu = Machine {
            is_cpu: false,
            ..cpu()
        };
        assert_eq!(what_would_be_faster(hours(1), &run(64_000, cpu())), None);
        assert_eq!(what_would_be_faster(hours(99), &run(64_000, gpu)), None);
    }

    #[test]
    fn advice_names_what_can_be_typed() {
        let idle_cores = Machine { cores: 8, ..cpu() };
        assert_eq!(
            what_would_be_faster(hours(10), &run(64_000, idle_cores)).unwrap(),
            "what would be faster:
  - a GPU: build with `--features vulkan` and add `--device vulkan`
  - all cores: `--threads 8`
  - a shorter run, about an hour: `--set length.epochs=16`"
        );
        let with_gpu = Machine {
            gpus: vec!["wgpu".into()],
            ..cpu()
        };
        assert_eq!(
            what_would_be_faster(hours(1000), &run(64_000, with_gpu)).unwrap(),
            "what would be faster:
  - a GPU: `--device wgpu`
  - a shorter run, about an hour: `--set length.steps=64`"
        );
    }

    #[test]
    fn lines_read_well() {
        let step = Step {
            step: 1_200,
            epoch: 4,
            loss: 1.23456,
            lr: 0.1,
            images_per_second: 1234.5,
            data_seconds: 0.0,
            top1: None,
        };
        let run = run(64_000, cpu());
        assert_eq!(
            step_line(&step, &run, Some(Duration::from_mins(125))),
            "epoch 4/164  step 1,200/64,000  loss 1.2346  1,234 images/s  ETA 2 h 05 min"
        );
        let eval = Eval {
            step: 1_173,
            split: "test".into(),
            top1: 91.726,
            top5: 99.5,
            loss: 0.3,
            images: 10_000,
        };
        assert_eq!(
            evaluation_line(&eval, &run),
            "epoch 3/164  step 1,173  test: top-1 91.73 %, top-5 99.50 %, loss 0.3000 on 10,000 images"
        );
        assert_eq!(
            announcement(hours(3), &run),
            "the run of 64,000 steps will take about 3 h 00 min more on cpu"
        );
    }

    #[test]
    fn durations_are_spoken_in_two_units() {
        let spoken = |seconds| spoken(Duration::from_secs_f64(seconds));
        let said = [0.4, 59.6, 200.0, 3_599.7, 7_500.0, 200_000.0].map(spoken);
        assert_eq!(
            said,
            [
                "0 s",
                "1 min 00 s",
                "3 min 20 s",
                "1 h 00 min",
                "2 h 05 min",
                "2 d 07 h"
            ]
        );
    }

    #[test]
    fn digits_are_grouped_in_threes() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
    }

    #[test]
    fn tenths_of_a_download_never_pass_ten() {
        let tenths = |total, done| {
            Piece {
                what: String::new(),
                total,
                done,
                bar: None,
            }
            .tenths()
        };
        assert_eq!(
            [tenths(100, 99), tenths(100, 200), tenths(0, 5)],
            [9, 10, 0]
        );
    }
}
