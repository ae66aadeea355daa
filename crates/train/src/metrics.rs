//! `metrics.csv`: the journal's numbers as a table, a row a step.

use std::collections::BTreeMap;
use std::path::Path;

use crate::files::{self, Result};
use crate::journal::{self, Eval, Event, Step};

/// Writes the table of a journal's events, whole.
///
/// # Errors
///
/// [`files::Error::Write`]; the table that was there before then stays.
pub fn write(path: &Path, events: &[Event]) -> Result<()> {
    files::replace(path, &table(events))
}

/// The table as CSV.
///
/// Columns are `step,epoch,loss,lr,images_per_second,data_seconds,top1` of the step events, then for each split, in the
/// order of their first evaluation, `<split>_top1,<split>_top5,<split>_loss`. A step that was evaluated but not logged
/// has a row of its own; what is not known is empty.
pub fn table(events: &[Event]) -> Vec<u8> {
    let splits = journal::splits(events);
    let rows = rows(events);
    let mut csv = csv::Writer::from_writer(Vec::new());
    let mut record = |fields: Vec<String>| {
        csv.write_record(fields)
            .expect("rows of one length go into memory");
    };
    record(header(&splits));
    for (step, row) in rows {
        record(row.fields(step, &splits));
    }
    csv.into_inner().expect("flushing into memory succeeds")
}

const STEP_COLUMNS: [&str; 7] = [
    "step",
    "epoch",
    "loss",
    "lr",
    "images_per_second",
    "data_seconds",
    "top1",
];

fn header(splits: &[&str]) -> Vec<String> {
    let of_split =
        |split: &&str| ["top1", "top5", "loss"].map(|column| format!("{split}_{column}"));
    STEP_COLUMNS
        .iter()
        .map(ToString::to_string)
        .chain(splits.iter().flat_map(of_split))
        .collect()
}

#[derive(Default)]
struct Row<'a> {
    step: Option<&'a Step>,
    evals: Vec<&'a Eval>,
}

fn rows(events: &[Event]) -> BTreeMap<u64, Row<'_>> {
    let mut rows: BTreeMap<u64, Row<'_>> = BTreeMap::new();
    for event in events {
        match event {
            Event::Step(step) => rows.entry(step.step).or_default().step = Some(step),
            Event::Eval(eval) => rows.entry(eval.step).or_default().evals.push(eval),
            _ => {}
        }
    }
    rows
}

impl Row<'_> {
    fn fields(&self, number: u64, splits: &[&str]) -> Vec<String> {
        let mut fields = vec![number.to_string()];
        match self.step {
            Some(step) => {
                fields.push(step.epoch.to_string());
                fields.extend(
                    [
                        step.loss,
                        step.lr,
                        step.images_per_second,
                        step.data_seconds,
                    ]
                    .map(|x| x.to_string()),
                );
                fields.push(step.top1.map(|x| x.to_string()).unwrap_or_default());
            }
            None => fields.resize(STEP_COLUMNS.len(), String::new()),
        }
        for split in splits {
            match self.evals.iter().rfind(|eval| eval.split == *split) {
                Some(eval) => {
                    fields.extend([eval.top1, eval.top5, eval.loss].map(|x| x.to_string()));
                }
                None => fields.extend([const { String::new() }; 3]),
            }
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(step: u64, loss: f64, top1: Option<f64>) -> Event {
        Event::Step(Step {
            step,
            epoch: 1,
            loss,
            lr: 0.1,
            images_per_second: 512.5,
            data_seconds: 0.0,
            top1,
        })
    }

    fn eval(step: u64, split: &str, top1: f64) -> Event {
        Event::Eval(Eval {
            step,
            split: split.into(),
            top1,
            top5: 99.0,
            loss: 0.5,
            images: 100,
        })
    }

    #[test]
    fn evaluations_join_the_row_of_their_step_or_have_their_own() {
        let events = [
            step(50, 0.1 + 0.2, Some(12.5)),
            eval(50, "test", 90.0),
            eval(75, "a, b", 91.0),
            step(100, f64::NAN, None),
        ];
        let expected = "\
step,epoch,loss,lr,images_per_second,data_seconds,top1,test_top1,test_top5,test_loss,\"a, b_top1\",\"a, b_top5\",\"a, b_loss\"
50,1,0.30000000000000004,0.1,512.5,0,12.5,90,99,0.5,,,
75,,,,,,,,,,91,99,0.5
100,1,NaN,0.1,512.5,0,,,,,,,
";
        assert_eq!(String::from_utf8(table(&events)).unwrap(), expected);
    }

    #[test]
    fn a_run_without_events_is_a_header() {
        assert_eq!(
            String::from_utf8(table(&[])).unwrap(),
            "step,epoch,loss,lr,images_per_second,data_seconds,top1\n"
        );
    }
}
