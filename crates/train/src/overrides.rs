//! `--set key.path=value`: any key of a recipe from the command line.

use std::sync::Arc;

use crate::document::{Entry, Node, Origin, Value};
use crate::fault::Fault;

const UNITS: &[&str] = &["epochs", "steps", "images"];

/// What a string stands for where a table could be: `model = "resnet20"` is `model = { name = "resnet20" }`.
const NAMED: &[&str] = &["model", "dataset"];

/// Writes the value of one `key.path=value` into a document; whether the key exists is checked when it is decoded.
///
/// The value is TOML, or a bare string. Setting one unit of a duration replaces the whole duration. Lists are
/// indexed from 0: `augment.train.1.flip.probability=0`.
pub fn set(document: &mut Node, argument: &str) -> Result<(), Fault> {
    let argument: Arc<str> = argument.into();
    let origin = Origin::Set(argument.clone());
    let (path, value) = split(&argument).map_err(|fault| fault.at("", &origin))?;
    let value = parse(value, &argument);
    let (key, parents) = path.split_last().expect("`split` gives at least one key");
    let mut node = document;
    for (depth, part) in parents.iter().enumerate() {
        let named = depth == 0 && NAMED.contains(part);
        node = descend(node, part, &origin)
            .map_err(|fault| fault.at(&path[..depth].join("."), &origin))?;
        become_container(node, named, &origin);
    }
    let parent = parents.join(".");
    if UNITS.contains(key) {
        drop_units(node);
    }
    *descend(node, key, &origin).map_err(|fault| fault.at(&parent, &origin))? = value;
    Ok(())
}

fn split(argument: &str) -> Result<(Vec<&str>, &str), Fault> {
    let example = "write, for example, `--set optimizer.sgd.momentum=0.9`";
    let wrong = |message: &str| Fault::invalid(message).with_hint(example);
    let (path, value) = argument
        .split_once('=')
        .ok_or_else(|| wrong("expected `key.path=value`, found no `=`"))?;
    let path: Vec<_> = path.split('.').map(str::trim).collect();
    if path.iter().any(|part| part.is_empty()) {
        return Err(wrong("expected `key.path=value`, found an empty key"));
    }
    match value.trim() {
        "" => Err(wrong("expected `key.path=value`, found no value")),
        value => Ok((path, value)),
    }
}

fn parse(value: &str, argument: &Arc<str>) -> Node {
    let bare = || Node {
        value: Value::Text(value.into()),
        origin: Origin::Set(argument.clone()),
    };
    let Ok(document) = Node::parse_argument(&format!("value = {value}"), argument) else {
        return bare();
    };
    match document.value {
        Value::Table(mut entries) if entries.len() == 1 => entries.remove(0).node,
        _ => bare(),
    }
}

/// The child called `part`, which is made where a table has none.
fn descend<'a>(node: &'a mut Node, part: &str, origin: &Origin) -> Result<&'a mut Node, Fault> {
    match &mut node.value {
        Value::List(items) => {
            let count = items.len();
            let item = part
                .parse::<usize>()
                .ok()
                .and_then(|index| items.get_mut(index));
            item.ok_or_else(|| Fault::invalid(no_such_item(part, count)))
        }
        Value::Table(entries) => Ok(child(entries, part, origin)),
        _ => unreachable!("`become_container` made a table of it"),
    }
}

fn no_such_item(part: &str, count: usize) -> String {
    match count {
        0 => format!("expected an entry, found `{part}` in an empty list"),
        _ => format!("expected an entry from 0 to {}, found `{part}`", count - 1),
    }
}

fn child<'a>(entries: &'a mut Vec<Entry>, key: &str, origin: &Origin) -> &'a mut Node {
    let index = entries
        .iter()
        .position(|entry| entry.key == key)
        .unwrap_or_else(|| {
            let node = Node {
                value: Value::Table(Vec::new()),
                origin: origin.clone(),
            };
            entries.push(Entry {
                key: key.into(),
                origin: origin.clone(),
                node,
            });
            entries.len() - 1
        });
    &mut entries[index].node
}

/// Makes a table of a plain value that stands in the way; the name of a model or dataset is kept.
fn become_container(node: &mut Node, named: bool, origin: &Origin) {
    if matches!(node.value, Value::Table(_) | Value::List(_)) {
        return;
    }
    let old = std::mem::replace(
        node,
        Node {
            value: Value::Table(Vec::new()),
            origin: origin.clone(),
        },
    );
    if let (true, Value::Text(_), Value::Table(entries)) = (named, &old.value, &mut node.value) {
        entries.push(Entry {
            key: "name".into(),
            origin: old.origin.clone(),
            node: old,
        });
    }
}

fn drop_units(duration: &mut Node) {
    if let Value::Table(entries) = &mut duration.value {
        entries.retain(|entry| !UNITS.contains(&entry.key.as_str()));
    }
}
