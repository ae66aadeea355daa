//! A TOML document whose every node knows where it was written: on a line of a file, or by `--set`.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::fault::Fault;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// On this line of the file, from 1.
    Line(usize),
    /// In this argument of `--set`.
    Set(Arc<str>),
}

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Date(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) origin: Origin,
    pub(crate) node: Node,
}

impl Node {
    /// Parses the text of a TOML file.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        Reader {
            place: &|span| Origin::Line(line_of(text, span.start)),
        }
        .document(text)
    }

    /// Parses TOML that was given by this argument of `--set`.
    pub(crate) fn parse_argument(text: &str, argument: &Arc<str>) -> Result<Self, Fault> {
        Reader {
            place: &|_| Origin::Set(argument.clone()),
        }
        .document(text)
    }

    /// Where the value at a dotted path was written; where the path ends early, its last part that is there.
    pub fn origin_of(&self, path: &str) -> &Origin {
        let mut node = self;
        for part in path.split('.') {
            match node.child(part) {
                Some(child) => node = child,
                None => break,
            }
        }
        &node.origin
    }

    /// Whether there is a value at a dotted path.
    pub fn has(&self, path: &str) -> bool {
        path.split('.')
            .try_fold(self, |node, part| node.child(part))
            .is_some()
    }

    fn child(&self, part: &str) -> Option<&Node> {
        match &self.value {
            Value::Table(entries) => entries
                .iter()
                .find(|entry| entry.key == part)
                .map(|entry| &entry.node),
            Value::List(nodes) => nodes.get(part.parse::<usize>().ok()?),
            _ => None,
        }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}

struct Reader<'a> {
    place: &'a dyn Fn(Range<usize>) -> Origin,
}

impl Reader<'_> {
    fn document(&self, text: &str) -> Result<Node, Fault> {
        let table = DeTable::parse(text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            let culprit = text
                .get(span.clone())
                .map(str::trim)
                .filter(|text| !text.is_empty());
            let near = culprit.map_or(String::new(), |text| format!(" at `{text}`"));
            let message = error.message().replace('\n', ", ");
            Fault::invalid(format!("not TOML: {message}{near}")).at("", &(self.place)(span))
        })?;
        Ok(Node {
            origin: (self.place)(0..0),
            value: self.table(table.get_ref())?,
        })
    }

    fn table(&self, table: &DeTable<'_>) -> Result<Value, Fault> {
        let entry = |(key, value): (&Spanned<_>, _)| -> Result<Entry, Fault> {
            let key: &Spanned<std::borrow::Cow<'_, str>> = key;
            Ok(Entry {
                key: key.get_ref().to_string(),
                origin: (self.place)(key.span()),
                node: self.node(value)?,
            })
        };
        Ok(Value::Table(
            table.iter().map(entry).collect::<Result<_, _>>()?,
        ))
    }

    fn node(&self, node: &Spanned<DeValue<'_>>) -> Result<Node, Fault> {
        let origin = (self.place)(node.span());
        let unreadable = |text: &str| {
            Fault::invalid(format!("the number `{text}` is out of range")).at("", &origin)
        };
        let value = match node.get_ref() {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(digits) => Value::Integer(
                i64::from_str_radix(digits.as_str(), digits.radix())
                    .map_err(|_| unreadable(digits.as_str()))?,
            ),
            DeValue::Float(digits) => Value::Float(
                digits
                    .as_str()
                    .parse()
                    .map_err(|_| unreadable(digits.as_str()))?,
            ),
            DeValue::Boolean(value) => Value::Boolean(*value),
            DeValue::Datetime(date) => Value::Date(date.to_string()),
            DeValue::Array(items) => Value::List(
                items
                    .iter()
                    .map(|item| self.node(item))
                    .collect::<Result<_, _>>()?,
            ),
            DeValue::Table(table) => self.table(table)?,
        };
        Ok(Node { value, origin })
    }
}
