//! The page: templates from a run's files to HTML. Everything that comes from them is escaped by `maud`.

use std::time::Duration;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::curves::{self, Curve};
use super::{Evaluation, Misjudged, Run};
use crate::chart::{Across, Chart, Scale};
use crate::journal::{self, Eval, Event};
use crate::progress::{grouped, spoken};

/// More classes than this have their most confused pairs shown in place of the matrix.
const MATRIX_CLASSES: usize = 30;
/// More classes than this make a matrix crowded.
const ROOMY_CLASSES: usize = 15;
/// More evaluations than this are shown on demand, and the latest at once.
const EVALUATIONS: usize = 12;
const PAIRS: usize = 20;

/// Neither scripts nor any address but the page itself.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

pub fn page(run: &Run) -> Markup {
    let content = html! {
        (header(run))
        (result(run))
        (charts(run))
        div.beside {
            (evaluations(&run.events))
            @if let Some(evaluation) = &run.evaluation { (confusion(evaluation)) }
        }
        @if let Some(evaluation) = &run.evaluation { (worst(evaluation)) }
        (plan(run))
        (course(&run.events))
    };
    document(&run.name, &content, &footer(run))
}

/// A page of Kiln's that needs nothing else.
pub fn document(title: &str, content: &Markup, footer: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (title) " · Kiln" }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                main { (content) }
                (footer)
            }
        }
    }
}

/// How far a run has come.
enum State {
    Finished,
    Diverged { step: u64, loss: f64 },
    Unfinished { step: u64 },
}

fn state(events: &[Event]) -> State {
    match events.last() {
        Some(Event::End(_)) => State::Finished,
        Some(Event::Diverged(diverged)) => State::Diverged {
            step: diverged.step,
            loss: diverged.loss,
        },
        last => State::Unfinished {
            step: last.map_or(0, Event::step),
        },
    }
}

fn steps(run: &Run) -> u64 {
    let started = run.events.iter().find_map(|event| match event {
        Event::Start(start) => Some(start.steps),
        _ => None,
    });
    let latest = run.events.iter().map(Event::step).max().unwrap_or(0);
    run.plan
        .count("steps")
        .or(started)
        .unwrap_or(latest)
        .max(latest)
}

fn header(run: &Run) -> Markup {
    let of = [
        ("model.name", "model"),
        ("dataset.facts.name", "dataset.source.name"),
    ]
    .map(|(key, other)| run.plan.text(key).or_else(|| run.plan.text(other)));
    html! {
        header {
            p.kicker { "Kiln · report of a training run" }
            h1 { (run.name) }
            @if let [Some(model), Some(dataset)] = &of {
                p.quiet { (model) " trained on " (dataset) }
            }
            @match state(&run.events) {
                State::Finished => {}
                State::Unfinished { step } => p.notice {
                    "Not finished: the journal ends at step " (grouped(step)) " of " (grouped(steps(run)))
                    ". The run is going on, or it was stopped."
                },
                State::Diverged { step, loss } => p.notice {
                    "Diverged: the loss at step " (grouped(step)) " of " (grouped(steps(run))) " was " (loss) "."
                },
            }
        }
    }
}

/// A result, wherever it stands.
struct Headline<'a> {
    split: &'a str,
    images: u64,
    top1: f64,
    top5: f64,
    loss: f64,
    classes: Option<usize>,
    choice: String,
    /// The step of the weights, where that is not the checkpoint's business.
    step: Option<u64>,
    doubtful: bool,
}

fn headline(run: &Run) -> Option<Headline<'_>> {
    match &run.evaluation {
        Some(evaluation) => Some(of_evaluation(evaluation)),
        None => latest_eval(&run.events).map(of_journal),
    }
}

/// The latest evaluation; of several at one step that of the test split, or else the last.
fn latest_eval(events: &[Event]) -> Option<&Eval> {
    let evals = events.iter().filter_map(|event| match event {
        Event::Eval(eval) => Some(eval),
        _ => None,
    });
    evals.max_by_key(|eval| (eval.step, eval.split == "test"))
}

fn of_evaluation(evaluation: &Evaluation) -> Headline<'_> {
    let Evaluation {
        split,
        checkpoint,
        chosen_by,
        images,
        top1,
        top5,
        loss,
        classes,
        ..
    } = evaluation;
    let choice = match chosen_by {
        Some(chooser) => format!("{checkpoint}, chosen by the {chooser} split"),
        None => format!("{checkpoint}; no split chose it"),
    };
    Headline {
        split,
        images: *images,
        top1: *top1,
        top5: *top5,
        loss: *loss,
        classes: Some(classes.len()),
        choice,
        step: None,
        doubtful: chosen_by.as_ref() == Some(split),
    }
}

fn of_journal(eval: &Eval) -> Headline<'_> {
    let Eval {
        step,
        split,
        top1,
        top5,
        loss,
        images,
    } = eval;
    Headline {
        split,
        images: *images,
        top1: *top1,
        top5: *top5,
        loss: *loss,
        classes: None,
        choice: "none yet: the weights at the latest evaluation, which no split chose".into(),
        step: Some(*step),
        doubtful: false,
    }
}

fn result(run: &Run) -> Markup {
    let Some(headline) = headline(run) else {
        return html! { p.quiet { "No split has been evaluated yet: there is no result." } };
    };
    let Headline {
        split,
        images,
        top1,
        top5,
        loss,
        doubtful,
        ..
    } = &headline;
    let (low, high) = interval(*top1, *images);
    html! {
        section.result aria-label="Result" {
            div {
                p.figure { (format!("{top1:.2}")) small { " %" } }
                p { strong { "top-1 accuracy" } " on the " (split) " split" }
                p.quiet {
                    (format!("95 % interval {low:.2} to {high:.2} %: "))
                    "the chance in " (grouped(*images)) " images alone, not the spread over seeds."
                }
                p.quiet {
                    @if headline.classes.is_none_or(|classes| classes > 5) { "top-5 " (format!("{top5:.2}")) " %, " }
                    "mean loss " (format!("{loss:.4}"))
                }
            }
            dl { @for (name, value) in conditions(run, &headline) { dt { (name) } dd { (value) } } }
        }
        @if *doubtful {
            p.notice { "The " (split) " split chose this checkpoint itself, so the result is too good." }
        }
    }
}

fn conditions(run: &Run, headline: &Headline<'_>) -> Vec<(&'static str, String)> {
    let text = |key: &str| run.plan.text(key);
    let count = |key: &str| run.plan.count(key);
    let trained = count("train_images").map(|images| match count("validation_images") {
        None | Some(0) => format!("on {} images", grouped(images)),
        Some(held_out) => format!(
            "on {} images; {} held out for validation",
            grouped(images),
            grouped(held_out)
        ),
    });
    let batch = count("batch").map(|batch| format!("{} images a step", grouped(batch)));
    [
        (
            "Dataset",
            text("dataset.facts.name").or_else(|| text("dataset.source.name")),
        ),
        (
            "Split",
            Some(format!(
                "{}, {} images",
                headline.split,
                grouped(headline.images)
            )),
        ),
        ("Model", text("model.name").or_else(|| text("model"))),
        ("Checkpoint", Some(headline.choice.clone())),
        ("Trained", trained),
        ("Length", Some(length(run, headline.step))),
        ("Batch", batch),
        ("Seed", text("seed").map(|seed| format!("{seed} (one run)"))),
        ("Device", text("device")),
        ("Time", time(&run.events)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

/// How long a run trained, or how far it had come at `step`.
fn length(run: &Run, step: Option<u64>) -> String {
    let steps = steps(run);
    let done = step.unwrap_or(steps);
    let so_far = |done: String, all: String| {
        if done == all {
            all
        } else {
            format!("{done} of {all}")
        }
    };
    let in_steps = format!("{} steps", so_far(grouped(done), grouped(steps)));
    match run.plan.count("steps_per_epoch").filter(|&each| each > 0) {
        None => in_steps,
        Some(each) => {
            let epochs = |steps: u64| trimmed(steps as f64 / each as f64);
            format!("{} epochs, {in_steps}", so_far(epochs(done), epochs(steps)))
        }
    }
}

/// The wall time of a run that was never resumed: of others it is not known.
fn time(events: &[Event]) -> Option<String> {
    if events.iter().any(|event| matches!(event, Event::Resume(_))) {
        return None;
    }
    match events.last() {
        Some(Event::End(end)) => Duration::try_from_secs_f64(end.seconds).ok().map(spoken),
        _ => None,
    }
}

/// Wilson's 95 % interval (1927), in percent, of a share that was counted over `images`.
fn interval(percent: f64, images: u64) -> (f64, f64) {
    const Z: f64 = 1.96;
    let (share, n) = (percent / 100.0, images.max(1) as f64);
    let centre = share + Z * Z / (2.0 * n);
    let reach = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let bound = |sum: f64| 100.0 * sum / (1.0 + Z * Z / n);
    (bound(centre - reach), bound(centre + reach))
}

fn charts(run: &Run) -> Markup {
    let (events, end) = (&run.events, steps(run));
    let alone = |name: &str, value: fn(&journal::Step) -> f64| -> Vec<Curve> {
        curves::of_steps(events, end, name, |step| Some(value(step)))
            .into_iter()
            .collect()
    };
    let loss = Figure {
        title: "Training loss",
        unit: "per batch",
        curves: alone("loss", |step| step.loss),
        scale: Scale::Spread,
        number: trimmed,
        has_legend: false,
    };
    let error = Figure {
        title: "Error",
        unit: "% of images",
        curves: curves::of_errors(events, end),
        scale: Scale::Zero,
        number: |percent| format!("{percent:.2} %"),
        has_legend: true,
    };
    let rates = curves::of_rates(events, end);
    let rate = Figure {
        title: "Learning rate",
        unit: "",
        scale: if rates.iter().all(Curve::has_levels) {
            Scale::Spread
        } else {
            Scale::Zero
        },
        curves: rates.into_iter().collect(),
        number: trimmed,
        has_legend: false,
    };
    let throughput = Figure {
        title: "Throughput",
        unit: "images a second",
        curves: alone("throughput", |step| step.images_per_second),
        scale: Scale::Zero,
        number: trimmed,
        has_legend: false,
    };
    let epoch = run.plan.count("steps_per_epoch");
    html! {
        section {
            h2 { "Curves" }
            p.quiet {
                "Across: optimizer steps"
                @if let Some(epoch) = epoch { "; an epoch has " (grouped(epoch)) }
                "."
            }
            div.charts { @for chart in [loss, error, rate, throughput] { (chart.markup(end)) } }
        }
    }
}

/// A chart with its title and what is said below it.
struct Figure {
    title: &'static str,
    unit: &'static str,
    curves: Vec<Curve>,
    scale: Scale,
    number: fn(f64) -> String,
    /// Whether the title alone does not say what is drawn.
    has_legend: bool,
}

impl Figure {
    fn markup(&self, end: u64) -> Markup {
        let Self {
            title,
            unit,
            curves,
            scale,
            ..
        } = self;
        let chart = Chart {
            lines: curves.iter().map(|curve| curve.line.clone()).collect(),
            x: Across::Linear(0.0..end as f64),
            scale: *scale,
        };
        html! {
            figure.chart {
                h3 { (title) @if !unit.is_empty() { " " span.quiet { (unit) } } }
                @if chart.lines.is_empty() {
                    p.quiet { "Nothing was measured." }
                } @else {
                    div role="img" aria-label=(self.description()) {
                        (PreEscaped(chart.inline()))
                    }
                    figcaption { (self.caption()) }
                }
            }
        }
    }

    fn caption(&self) -> Markup {
        let left_out: usize = self.curves.iter().map(|curve| curve.left_out).sum();
        let banded = self
            .curves
            .iter()
            .filter(|curve| !curve.line.band.is_empty());
        html! {
            @if self.has_legend {
                ul.legend {
                    @for curve in &self.curves {
                        li class=(curve.line.ink.classes()) {
                            span { (curve.name) " " span.quiet { ((self.number)(curve.last)) } }
                        }
                    }
                }
            } @else {
                @for curve in &self.curves { "Last " ((self.number)(curve.last)) ". " }
            }
            @if let Some(each) = banded.map(|curve| curve.each).max() {
                "Line: mean of " (each) " logged steps; band: their range. "
            }
            @if left_out > 0 { "Not drawn, since not finite: " (grouped(left_out as u64)) "." }
        }
    }

    /// The chart in words.
    fn description(&self) -> String {
        let each = |curve: &Curve| {
            let first = curve
                .line
                .points
                .first()
                .map_or(curve.last, |point| point.1);
            format!(
                "{} from {} to {}",
                curve.name,
                (self.number)(first),
                (self.number)(curve.last)
            )
        };
        format!(
            "{} by step: {}",
            self.title,
            self.curves.iter().map(each).collect::<Vec<_>>().join("; ")
        )
    }
}

/// Four significant digits, without zeros at the end.
fn trimmed(value: f64) -> String {
    let magnitude = value.abs().max(f64::MIN_POSITIVE).log10().floor() as i32;
    match magnitude {
        _ if value == 0.0 => "0".into(),
        ..-4 => format!("{value:.2e}"),
        4.. => grouped_float(value),
        _ => {
            let text = format!("{value:.*}", (3 - magnitude).max(0) as usize);
            if text.contains('.') {
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            } else {
                text
            }
        }
    }
}

fn grouped_float(value: f64) -> String {
    let sign = if value < 0.0 { "-" } else { "" };
    format!("{sign}{}", grouped(value.abs().round() as u64))
}

fn evaluations(events: &[Event]) -> Markup {
    let evals: Vec<&Eval> = events
        .iter()
        .filter_map(|event| match event {
            Event::Eval(eval) => Some(eval),
            _ => None,
        })
        .collect();
    let latest = &evals[evals.len().saturating_sub(EVALUATIONS)..];
    html! {
        @if !evals.is_empty() {
            section {
                h2 { "Evaluations" }
                div.wide { (evaluation_table(latest)) }
                @if evals.len() > latest.len() {
                    details {
                        summary { "All " (evals.len()) " evaluations; the table above has the last " (latest.len()) }
                        div.wide { (evaluation_table(&evals)) }
                    }
                }
            }
        }
    }
}

fn evaluation_table(evals: &[&Eval]) -> Markup {
    html! {
        table {
            thead {
                tr {
                    th.number scope="col" { "Step" }
                    th scope="col" { "Split" }
                    th.number scope="col" { "Images" }
                    th.number scope="col" { "Top-1, %" }
                    th.number scope="col" { "Top-5, %" }
                    th.number scope="col" { "Error, %" }
                    th.number scope="col" { "Loss" }
                }
            }
            tbody {
                @for eval in evals {
                    tr {
                        th.number scope="row" { (grouped(eval.step)) }
                        td { (eval.split) }
                        td.number { (grouped(eval.images)) }
                        td.number { (format!("{:.2}", eval.top1)) }
                        td.number { (format!("{:.2}", eval.top5)) }
                        td.number { (format!("{:.2}", 100.0 - eval.top1)) }
                        td.number { (format!("{:.4}", eval.loss)) }
                    }
                }
            }
        }
    }
}

fn confusion(evaluation: &Evaluation) -> Markup {
    let few = evaluation.classes.len() <= MATRIX_CLASSES;
    html! {
        section {
            h2 { @if few { "Confusion matrix" } @else { "What is confused" } }
            @if few { (matrix(evaluation)) } @else { (pairs(evaluation)) }
        }
    }
}

fn matrix(evaluation: &Evaluation) -> Markup {
    let Evaluation {
        classes,
        confusion,
        split,
        ..
    } = evaluation;
    let worst = mistakes(evaluation)
        .map(|mistake| mistake.share)
        .fold(0.0, f64::max);
    html! {
        div.wide {
            table.confusion.crowded[classes.len() > ROOMY_CLASSES] {
                caption { "Images of the " (split) " split. Rows: true class; columns: predicted class." }
                thead {
                    tr {
                        td { "true" }
                        @for class in classes { th scope="col" { (class) } }
                        th scope="col" { "recall, %" }
                    }
                }
                tbody {
                    @for (truth, row) in confusion.iter().enumerate() {
                        tr {
                            th scope="row" title=(classes[truth]) { (classes[truth]) }
                            @for (predicted, &count) in row.iter().enumerate() {
                                (cell(count, share(count, row), truth == predicted, worst))
                            }
                            td.sum { (recall(evaluation, truth).map_or("–".into(), |recall| format!("{recall:.1}"))) }
                        }
                    }
                }
            }
        }
    }
}

fn cell(count: u64, share: f64, right: bool, worst: f64) -> Markup {
    let strength = if right {
        0.9 * share
    } else {
        0.75 * share / worst.max(f64::MIN_POSITIVE)
    };
    let style = format!("--share: {strength:.3}");
    html! {
        @match (count, right) {
            (0, _) => td.none { "·" },
            (_, true) => td.right.dark[strength > 0.5] style=(style) { (grouped(count)) },
            (_, false) => td.wrong style=(style) { (grouped(count)) },
        }
    }
}

fn share(count: u64, row: &[u64]) -> f64 {
    count as f64 / row.iter().sum::<u64>().max(1) as f64
}

/// Percent of a class's images that are classified right; none where it has no images.
fn recall(evaluation: &Evaluation, class: usize) -> Option<f64> {
    let row = &evaluation.confusion[class];
    row.iter()
        .any(|&count| count > 0)
        .then(|| 100.0 * share(row[class], row))
}

/// Images of one class that are taken for another.
struct Mistake {
    truth: usize,
    predicted: usize,
    count: u64,
    share: f64,
}

fn mistakes(evaluation: &Evaluation) -> impl Iterator<Item = Mistake> {
    evaluation
        .confusion
        .iter()
        .enumerate()
        .flat_map(|(truth, row)| {
            let wrong = row
                .iter()
                .enumerate()
                .filter(move |(predicted, count)| truth != *predicted && **count > 0);
            wrong.map(move |(predicted, &count)| Mistake {
                truth,
                predicted,
                count,
                share: share(count, row),
            })
        })
}

fn pairs(evaluation: &Evaluation) -> Markup {
    let classes = &evaluation.classes;
    let mut worst: Vec<Mistake> = mistakes(evaluation).collect();
    worst.sort_by(|a, b| b.count.cmp(&a.count).then(b.share.total_cmp(&a.share)));
    worst.truncate(PAIRS);
    let mut recalls: Vec<(f64, usize)> = (0..classes.len())
        .filter_map(|class| Some((recall(evaluation, class)?, class)))
        .collect();
    recalls.sort_by(|a, b| a.0.total_cmp(&b.0));
    recalls.truncate(PAIRS);
    html! {
        div.pairs {
            table {
                caption { "The most confused pairs of " (classes.len()) " classes" }
                thead { tr { th scope="col" { "True" } th scope="col" { "Predicted" } th.number scope="col" { "Images" } th scope="col" { "Of the class" } } }
                tbody {
                    @for Mistake { truth, predicted, count, share } in &worst {
                        tr {
                            th scope="row" { (classes[*truth]) }
                            td { (classes[*predicted]) }
                            td.number { (grouped(*count)) }
                            td { (bar(100.0 * share, "wrong")) }
                        }
                    }
                }
            }
            table {
                caption { "The classes with the lowest recall" }
                thead { tr { th scope="col" { "Class" } th scope="col" { "Right" } } }
                tbody {
                    @for (recall, class) in &recalls {
                        tr { th scope="row" { (classes[*class]) } td { (bar(*recall, "right")) } }
                    }
                }
            }
        }
    }
}

fn bar(percent: f64, kind: &str) -> Markup {
    html! { span.bar.(kind) style=(format!("--share: {percent:.1}%")) {} " " (format!("{percent:.0} %")) }
}

fn worst(evaluation: &Evaluation) -> Markup {
    let Evaluation {
        worst,
        classes,
        split,
        ..
    } = evaluation;
    html! {
        @if !worst.is_empty() {
            section {
                h2 { "Worst-classified images" }
                p.quiet { "The " (worst.len()) " images of the " (split) " split with the highest loss: the true class, then the predicted one, coloured where it is wrong." }
                ul.images { @for image in worst { (misjudged(image, classes, split)) } }
            }
        }
    }
}

fn misjudged(image: &Misjudged, classes: &[String], split: &str) -> Markup {
    let Misjudged {
        index,
        label,
        predicted,
        probability,
        loss,
        png,
    } = image;
    let (truth, said) = (&classes[*label], &classes[*predicted]);
    html! {
        li {
            img src=(format!("data:image/png;base64,{png}")) alt=(format!("{split} image {index}"));
            strong { (truth) } br;
            span.wrong[label != predicted] { "→ " (said) " " (format!("{:.1} %", 100.0 * probability)) } br;
            span.quiet { "no. " (index) ", loss " (format!("{loss:.2}")) }
        }
    }
}

fn plan(run: &Run) -> Markup {
    html! {
        section {
            h2 { "Plan" }
            p.quiet { "What ran, resolved from the recipe before the first step: durations are in steps." }
            div.plan {
                @for (name, rows) in run.plan.sections() {
                    section {
                        h3 { @if name.is_empty() { "run" } @else { (name) } }
                        table { tbody { @for (key, value) in rows { tr { th scope="row" { (key) } td { @if value.is_empty() { "–" } @else { (value) } } } } } }
                    }
                }
            }
        }
    }
}

fn course(events: &[Event]) -> Markup {
    let lines: Vec<(u64, String)> = events
        .iter()
        .filter_map(|event| Some((event.step(), told(event)?)))
        .collect();
    html! {
        @if !lines.is_empty() {
            section {
                h2 { "Course of the run" }
                table {
                    thead { tr { th.number scope="col" { "Step" } th scope="col" { "What happened" } } }
                    tbody { @for (step, text) in lines { tr { th.number scope="row" { (grouped(step)) } td { (text) } } } }
                }
            }
        }
    }
}

fn told(event: &Event) -> Option<String> {
    match event {
        Event::Start(start) => Some(format!(
            "started {} on {}, {}",
            start.time,
            start.device,
            threads(start.threads)
        )),
        Event::Resume(resume) => Some(format!(
            "resumed {} on {}, {}",
            resume.time,
            resume.device,
            threads(resume.threads)
        )),
        Event::Note(note) => Some(note.text.clone()),
        Event::Diverged(diverged) => Some(format!(
            "the loss is {}, in the batch of training images {:?}",
            diverged.loss, diverged.images
        )),
        Event::End(end) => {
            let time =
                Duration::try_from_secs_f64(end.seconds).map_or("an unknown time".into(), spoken);
            Some(format!("finished after {time}"))
        }
        Event::Step(_) | Event::Eval(_) | Event::Checkpoint(_) => None,
    }
}

fn threads(count: usize) -> String {
    format!("{count} thread{}", if count == 1 { "" } else { "s" })
}

fn footer(run: &Run) -> Markup {
    let made_by = [("kiln", "Kiln"), ("burn", "Burn"), ("commit", "commit")].map(|(key, name)| {
        run.plan
            .text(&format!("provenance.{key}"))
            .map(|version| format!("{name} {version}"))
    });
    html! {
        footer {
            @let versions: Vec<String> = made_by.into_iter().flatten().collect();
            @if !versions.is_empty() { "Trained with " (versions.join(", ")) ". " }
            @if run.evaluation.is_some() { "Made from plan.toml, journal.jsonl and evaluation.json." }
            @else { "Made from plan.toml and journal.jsonl." }
        }
    }
}
