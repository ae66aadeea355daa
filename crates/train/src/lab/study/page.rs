//! A study on a page.

use maud::{Markup, PreEscaped, html};

use super::Figure;
use super::findings::{Cell, Findings, Grid};
use crate::chart::Ink;
use crate::report::{REPORT, document};

/// The name of its file.
pub const NAME: &str = REPORT;

/// The page, which needs nothing else.
pub fn page(findings: &Findings) -> String {
    let study = &findings.study;
    let body = html! {
        header {
            p.kicker { "Kiln · a study of " (study.study) }
            h1 { (study.title) }
            p { (study.about) }
            @for alarm in &findings.alarms { p.notice { "Alarm: " (alarm) } }
        }
        section {
            h2 { "Findings" }
            @if findings.measured.effects.is_empty() { p { "The study expects nothing: see the figures." } }
            ul { @for effect in &findings.measured.effects { li { (effect) } } }
            p.quiet {
                "In brackets: 95 % intervals over independent runs, of differences of means by Welch's test, else by Student's t. \
                 One run has none."
            }
        }
        section {
            h2 { "Figures" }
            div.charts { @for figure in &findings.measured.figures { (drawn(figure)) } }
        }
        @for grid in &findings.measured.grids { (tabled(grid)) }
        @if !study.departs.is_empty() {
            section {
                h2 { "Where this departs from the paper" }
                ul { @for departure in &study.departs { li { (departure) } } }
            }
        }
        @if findings.cost.images > 0 { section { h2 { "Cost" } p { (findings.cost) } } }
    };
    let footer = html! { footer { p {
        "Made by Kiln " (env!("CARGO_PKG_VERSION"))
        ". Beside this page: the numbers as CSV, the figures as SVG and PNG, the findings as summary.json, and each run in a folder of its own."
    } } };
    document(&findings.name, &body, &footer).into_string()
}

fn drawn(figure: &Figure) -> Markup {
    html! {
        figure.chart {
            h3 { (figure.title) " " span.quiet { (figure.y) } }
            @if figure.has_points() {
                div role="img" aria-label=(description(figure)) { (PreEscaped(figure.inline())) }
                figcaption {
                    ul.legend { @for (rank, series) in figure.series.iter().enumerate().filter(|(_, series)| !series.labelled) {
                        li class=(Ink::Series(rank).classes()) { span { (series.name) } }
                    } }
                    p { "Across: " (figure.x) ". " (figure.reading) }
                }
            } @else {
                p.quiet { "Nothing was measured." }
            }
        }
    }
}

/// The figure in words.
fn description(figure: &Figure) -> String {
    let ends = figure.series.iter().filter_map(|series| {
        let (first, last) = (series.points.first()?, series.points.last()?);
        Some(format!(
            "{} from {:.2} to {:.2}",
            series.name, first.1, last.1
        ))
    });
    let ends: Vec<String> = ends.collect();
    format!("{} by {}: {}", figure.title, figure.x, ends.join("; "))
}

/// A grid that has a title.
fn tabled(grid: &Grid) -> Markup {
    html! {
        @if let Some(title) = &grid.title {
            section {
                h2 { (title) }
                div.wide { table {
                    thead { tr { @for head in &grid.head { th { (head) } } } }
                    tbody { @for row in &grid.rows { tr { @for cell in row {
                        td class=[is_number(cell).then_some("number")] { (cell.shown()) }
                    } } } }
                } }
            }
        }
    }
}

fn is_number(cell: &Cell) -> bool {
    matches!(cell, Cell::Count(_) | Cell::Number(_))
}
