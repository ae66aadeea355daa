//! docs/zoo.md is the registry, the references' counts and what onnxruntime made of it, as a table.

mod support;

use std::path::Path;

use models::registry::{Entry, MODELS};
use serde::Deserialize;
use support::{Counts, counts};

const EXPORTS: &[u8] = include_bytes!("../../../tests/goldens/export.csv");

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/zoo.md");

const ACCEPT: &str = "to write it again: `INSTA_UPDATE=always cargo test --workspace --test zoo`";

const HEAD: &str = "\
# The zoo

Every network of `train list`, with what it was checked against. This page is written by
`crates/models/tests/zoo.rs` from the registry, the counts of the reference models (tests/goldens/counts.csv) and the
comparison with onnxruntime (tests/goldens/export.csv).

- **Parameters and multiply-adds**, in millions, are those of the reference, counted on its running model (an image of
  the given height and width, evaluation; auxiliary classifiers are parameters, and compute nothing).
- **Published top-1** is what the weights of the reference or the paper reach, not what was trained with Kiln.
- **Reference**: with the same weights and images, Kiln's scores are the reference model's, within 1e-4 of the largest
  (tests/goldens/forward.json). \"After\" a paper means a model in PyTorch that was written for this test from the
  paper, where neither torchvision nor timm has it.
- **onnxruntime**: how far the scores that version 1.31.1 computes on a CPU, from the file that `train convert` writes, are
  from Kiln's, at most, as a part of the largest score.

| network | paper | image | parameters | multiply-adds | published top-1 | reference | onnxruntime |
|---|---|---|---|---|---|---|---|
";

/// A row of `export.csv`, whose script says what the columns are.
#[derive(Deserialize)]
struct Export {
    model: String,
    options: String,
    error: String,
}

fn exports() -> Vec<Export> {
    let rows = csv::Reader::from_reader(EXPORTS).into_deserialize();
    rows.collect::<Result<_, _>>().unwrap()
}

fn row(entry: &Entry, counts: &Counts, export: &Export) -> String {
    let result = entry.result.map_or_else(String::new, |result| {
        format!("{:.2} % ({})", result.top1, result.conditions)
    });
    format!(
        "| `{}` | {} | {} | {:.2} | {:.1} | {result} | {} | {} |\n",
        entry.name,
        entry.paper,
        entry.image_size,
        counts.parameters as f64 / 1e6,
        counts.multiply_adds as f64 / 1e6,
        counts.source.replace("networks.py after", "after"),
        export.error,
    )
}

#[test]
fn the_page_is_the_registry() {
    let (counts, exports) = (counts(), exports());
    let rows = MODELS.iter().map(|entry| {
        let counts = counts.iter().find(|counts| counts.model == entry.name);
        let mut exports = exports.iter().filter(|export| export.options.is_empty());
        let export = exports.find(|export| export.model == entry.name);
        let expected = "a row for each network";
        row(entry, counts.expect(expected), export.expect(expected))
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
