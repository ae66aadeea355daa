//! docs/zoo.md is the registry and the references' counts, as a table.

mod support;

use std::path::Path;

use models::registry::{Entry, MODELS};
use support::{Counts, counts};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/zoo.md");

const ACCEPT: &str = "to write it again: `INSTA_UPDATE=always cargo test --workspace --test zoo`";

const HEAD: &str = "\
# The zoo

Every network of `train list`, with what it was checked against. This page is written by
`crates/models/tests/zoo.rs` from the registry and the counts of the reference models (tests/goldens/counts.csv).

- **Parameters and multiply-adds**, in millions, are those of the reference, counted on its running model (an image of
  the given height and width, evaluation; auxiliary classifiers are parameters, and compute nothing).
- **Published top-1** is what the weights of the reference or the paper reach, not what was trained with Kiln.
- **Reference**: with the same weights and images, Kiln's scores are the reference model's, within 1e-4 of the largest
  (tests/goldens/forward.json). \"After\" a paper means a model in PyTorch that was written for this test from the
  paper, where neither torchvision nor timm has it.

| network | paper | image | parameters | multiply-adds | published top-1 | reference |
|---|---|---|---|---|---|---|
";

fn row(entry: &Entry, counts: &Counts) -> String {
    let result = entry.result.map_or_else(String::new, |result| {
        format!("{:.2} % ({})", result.top1, result.conditions)
    });
    format!(
        "| `{}` | {} | {} | {:.2} | {:.1} | {result} | {} |\n",
        entry.name,
        entry.paper,
        entry.image_size,
        counts.parameters as f64 / 1e6,
        counts.multiply_adds as f64 / 1e6,
        counts.source.replace("networks.py after", "after"),
    )
}

#[test]
fn the_page_is_the_registry() {
    let counts = counts();
    let rows = MODELS.iter().map(|entry| {
        let of_entry = counts.iter().find(|counts| counts.model == entry.name);
        row(entry, of_entry.expect("a row for each network"))
    });
    let page = format!("{HEAD}{}", rows.collect::<String>());
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(PAGE, &page).expect("a page that can be written");
    }
    let found = std::fs::read_to_string(Path::new(PAGE)).unwrap_or_default();
    assert!(
        found == page,
        "docs/zoo.md is not what the registry says\n{ACCEPT}"
    );
}
