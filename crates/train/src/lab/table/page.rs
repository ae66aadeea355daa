//! The table on a page.

use maud::{Markup, html};

use super::text::{cells, diverged};
use super::{Row, Table};
use crate::report::document;

/// The page, which needs nothing else.
pub fn page(table: &Table) -> String {
    let body = html! {
        header {
            p.kicker { "Kiln · reproduction of a published table" }
            h1 { (table.name) }
            p.quiet { (table.title) ", protocol " (table.protocol) }
            @for alarm in &table.alarms { p.notice { "Alarm: " (alarm) } }
        }
        @if !table.departures.is_empty() {
            section {
                h2 { "Where this departs from the paper" }
                ul { @for departure in &table.departures { li { (departure) } } }
            }
        }
        section {
            h2 { "Test error" }
            table {
                thead { tr {
                    @for head in ["experiment", "paper, %", "n", "ours, %", "s.d.", "95 % interval", "train, %", "verdict"] {
                        th { (head) }
                    }
                } }
                tbody { @for row in &table.rows { (line(row)) } }
            }
            p.quiet {
                "Percent of test images that the last iterate classifies wrong; the interval is Student's, of the \
                 mean over seeds. Train: of augmented images, in the last tenth of the steps. Inside: the paper's \
                 figure is where 95 of 100 further runs of ours would be."
            }
        }
        @if !table.effects.is_empty() {
            section {
                h2 { "What the paper reads from it" }
                ul { @for effect in &table.effects { li { (effect) } } }
                p.quiet { "Differences of means, with intervals by Welch's test." }
            }
        }
        section { h2 { "Cost" } p { (table.cost()) } }
    };
    let footer = html! { footer { p { "Made by Kiln " (env!("CARGO_PKG_VERSION")) "." } } };
    document(&table.name, &body, &footer).into_string()
}

fn line(row: &Row) -> Markup {
    let [paper, n, ours, deviation, interval, train] = cells(row);
    html! {
        tr {
            td {
                (row.experiment)
                @for departure in &row.departures { br; small.quiet { "departs: " (departure) } }
                @if !row.diverged.is_empty() { br; small { (diverged(row)) } }
            }
            td.number {
                (paper)
                @if let Some(published) = &row.published {
                    br; small.quiet { (published.place) ", " (published.sure) }
                }
            }
            td.number { (n) }
            td.number { (ours) }
            td.number { (deviation) }
            td.number { (interval) }
            td.number { (train) }
            td { (row.verdict) }
        }
    }
}
