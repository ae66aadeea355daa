//! The table for a terminal.

use super::{Row, Table};

/// The table in lines of text.
pub fn text(table: &Table) -> String {
    let mut lines = String::new();
    let mut line = |text: &str| {
        lines.push_str(text.trim_end());
        lines.push('\n');
    };
    line(&format!("{}: {}", table.name, table.title));
    line(&format!(
        "protocol {}{}",
        table.protocol,
        departing(&table.departures)
    ));
    line("");
    let width = (table.rows.iter()).map(|row| row.experiment.len()).max();
    let width = width.unwrap_or(0).max("experiment".len());
    line(&format!(
        "{:<width$}  {:>7}  {:>2}  {:>6}  {:>6}  {:>15}  {:>6}  verdict",
        "experiment", "paper", "n", "ours", "s.d.", "95 % interval", "train"
    ));
    for row in &table.rows {
        let [paper, n, ours, deviation, interval, train] = cells(row);
        line(&format!(
            "{:<width$}  {paper:>7}  {n:>2}  {ours:>6}  {deviation:>6}  {interval:>15}  {train:>6}  {}{}",
            row.experiment,
            row.verdict,
            departing(&row.departures)
        ));
        if !row.diverged.is_empty() {
            line(&format!("{:<width$}  {}", "", diverged(row)));
        }
    }
    line("");
    line(
        "test error in percent, of the last iterate; train: augmented images, in the last tenth of the steps",
    );
    if !table.effects.is_empty() {
        line("");
    }
    for effect in &table.effects {
        line(&effect.to_string());
    }
    line("");
    line(&table.cost().to_string());
    for alarm in &table.alarms {
        line(&format!("ALARM: {alarm}"));
    }
    lines
}

/// Paper, n, mean, deviation, interval and training error; empty where there are none.
pub(super) fn cells(row: &Row) -> [String; 6] {
    let percent = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.2}"));
    [
        percent(row.published.as_ref().map(|published| published.error)),
        row.errors.len().to_string(),
        percent(row.ours.map(|ours| ours.mean)),
        percent(row.ours.and_then(|ours| ours.deviation)),
        row.interval.map_or(String::new(), |interval| {
            format!("{:.2} to {:.2}", interval.low, interval.high)
        }),
        percent(row.train_error),
    ]
}

pub(super) fn diverged(row: &Row) -> String {
    let seeds: Vec<String> = row.diverged.iter().map(u64::to_string).collect();
    format!("diverged: seed {}", seeds.join(", "))
}

fn departing(departures: &[String]) -> String {
    if departures.is_empty() {
        String::new()
    } else {
        format!("; departs: {}", departures.join("; "))
    }
}
