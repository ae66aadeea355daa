//! The plan of a run as a reader sees it: the conditions of its result, and every key in tables.

use std::fs;
use std::path::Path;

use toml::{Table, Value};

use crate::files::{Error, Result};

/// A run's `plan.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan(Table);

/// A table of the plan: its name, empty for the keys at the top, and its keys with their values.
pub type Section = (String, Vec<(String, String)>);

impl Plan {
    /// Reads the file of a plan.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] and [`Error::Toml`].
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(Error::reading(path))?;
        let table = text.parse().map_err(|source| Error::Toml {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        Ok(Self(table))
    }

    /// The text of a key such as `dataset.facts.name`, if the plan has it.
    pub fn text(&self, key: &str) -> Option<String> {
        self.get(key).map(plain)
    }

    /// The count of a key such as `steps`, if the plan has it.
    pub fn count(&self, key: &str) -> Option<u64> {
        self.get(key)?.as_integer()?.try_into().ok()
    }

    fn get(&self, key: &str) -> Option<&Value> {
        let mut parts = key.split('.');
        let first = self.0.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    }

    /// All keys: those at the top, then a section for each table.
    pub fn sections(&self) -> Vec<Section> {
        let (tables, top): (Vec<_>, Vec<_>) =
            self.0.iter().partition(|(_, value)| value.is_table());
        let top = top
            .into_iter()
            .map(|(key, value)| (key.clone(), plain(value)))
            .collect();
        let tables = tables.into_iter().map(|(key, value)| {
            let mut rows = Vec::new();
            flatten("", value, &mut rows);
            (key.clone(), rows)
        });
        [(String::new(), top)]
            .into_iter()
            .chain(tables)
            .filter(|(_, rows)| !rows.is_empty())
            .collect()
    }
}

fn flatten(path: &str, value: &Value, rows: &mut Vec<(String, String)>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                flatten(
                    &if path.is_empty() {
                        key.clone()
                    } else {
                        format!("{path}.{key}")
                    },
                    value,
                    rows,
                );
            }
        }
        Value::Array(tables) if tables.iter().any(Value::is_table) => {
            for (index, table) in tables.iter().enumerate() {
                flatten(&format!("{path} {}", index + 1), table, rows);
            }
        }
        value => rows.push((path.to_owned(), plain(value))),
    }
}

/// A value without the quotes of TOML's strings.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Plan {
        Plan(text.parse().unwrap())
    }

    #[test]
    fn keys_are_found_by_their_path() {
        let plan =
            plan("steps = 5\nname = 'a'\n[dataset.facts]\nname = 'digits'\nsize = [1, 8, 8]");
        assert_eq!(plan.text("dataset.facts.name"), Some("digits".into()));
        assert_eq!(plan.text("dataset.facts.size"), Some("1, 8, 8".into()));
        assert_eq!(plan.count("steps"), Some(5));
        assert_eq!(
            [
                plan.count("name"),
                plan.count("steps.of"),
                plan.count("seed")
            ],
            [None; 3]
        );
    }

    #[test]
    fn every_key_is_in_a_section() {
        let plan = plan(
            "seed = 0\nempty = []\n[[augment.train]]\nflip = 0.5\n[[augment.train]]\ncrop = { size = 32 }",
        );
        let rows = |rows: &[(&str, &str)]| {
            rows.iter()
                .map(|(key, value)| (key.to_string(), value.to_string()))
                .collect()
        };
        assert_eq!(
            plan.sections(),
            [
                (String::new(), rows(&[("seed", "0"), ("empty", "")])),
                (
                    "augment".into(),
                    rows(&[("train 1.flip", "0.5"), ("train 2.crop.size", "32")])
                ),
            ]
        );
    }
}
