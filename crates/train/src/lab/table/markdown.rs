//! The table as Markdown.

use super::text::{cells, diverged};
use super::{Row, Table};

/// The table with its departures, effects and cost.
pub fn markdown(table: &Table) -> String {
    let mut lines = vec![format!("# {}", table.title), String::new()];
    lines.push(format!("`{}`, protocol `{}`.", table.name, table.protocol));
    lines.extend((table.departures.iter()).map(|departure| format!("- departs: {departure}")));
    lines.extend(
        [
            "",
            "| experiment | paper, % | n | ours, % | s.d. | 95 % interval | train, % | verdict | departs |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        .map(str::to_owned),
    );
    lines.extend(table.rows.iter().map(line));
    lines.push(String::new());
    lines.push(
        "Test error of the last iterate; train: of augmented images, in the last tenth of the steps."
            .to_owned(),
    );
    for effect in &table.effects {
        lines.push(format!("- {effect}"));
    }
    lines.push(String::new());
    lines.push(format!("{}.", table.cost()));
    lines.extend((table.alarms.iter()).map(|alarm| format!("\n**Alarm:** {alarm}")));
    lines.join("\n") + "\n"
}

fn line(row: &Row) -> String {
    let [paper, n, ours, deviation, interval, train] = cells(row);
    let paper = match &row.published {
        Some(published) => format!("{paper} ({}; {})", published.place, published.sure),
        None => String::new(),
    };
    let n = if row.diverged.is_empty() {
        n
    } else {
        format!("{n} ({})", diverged(row))
    };
    let cells = [
        row.experiment.clone(),
        paper,
        n,
        ours,
        deviation,
        interval,
        train,
        row.verdict.to_string(),
        row.departures.join("; "),
    ];
    format!(
        "| {} |",
        cells.map(|cell| cell.replace('|', "\\|")).join(" | ")
    )
}
