//! Serde over a [`Node`]: an error says which key it is about and where that was written.
//!
//! Enums are tables with exactly one key, their variant's name, or, for a variant without contents, a string.

use std::marker::PhantomData;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, Unexpected, VariantAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;

use crate::document::{Entry, Node, Value};
use crate::fault::Fault;

/// Reads a value out of a document.
pub fn decode<T: de::DeserializeOwned>(document: &Node) -> Result<T, Fault> {
    At {
        node: document,
        path: String::new(),
    }
    .read(PhantomData)
}

/// An enum that is renamed to words, such as "a duration", has no variant that a string could name.
fn is_table_only(name: &str) -> bool {
    name.starts_with("a ")
}

/// A node and the dotted path that leads to it.
struct At<'a> {
    node: &'a Node,
    path: String,
}

impl<'a> At<'a> {
    fn child(&self, key: &str, node: &'a Node) -> At<'a> {
        let path = if self.path.is_empty() {
            key.into()
        } else {
            format!("{}.{key}", self.path)
        };
        At { node, path }
    }

    fn read<T: DeserializeSeed<'a>>(self, seed: T) -> Result<T::Value, Fault> {
        self.locate(|node| seed.deserialize(node))
    }

    /// Does something with the node: an error that does not know its place yet is about this one.
    fn locate<T>(self, act: impl FnOnce(Self) -> Result<T, Fault>) -> Result<T, Fault> {
        let (path, origin) = (self.path.clone(), &self.node.origin);
        act(self).map_err(|fault| fault.at(&path, origin))
    }

    fn unexpected(&self) -> Unexpected<'a> {
        match &self.node.value {
            Value::Text(text) => Unexpected::Str(text),
            Value::Integer(value) => Unexpected::Signed(*value),
            Value::Float(value) => Unexpected::Float(*value),
            Value::Boolean(value) => Unexpected::Bool(*value),
            Value::Date(_) => Unexpected::Other("a date"),
            Value::List(_) => Unexpected::Seq,
            Value::Table(_) => Unexpected::Map,
        }
    }

    fn visit<V: Visitor<'a>>(&self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::Integer(value) => visitor.visit_i64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Boolean(value) => visitor.visit_bool(*value),
            Value::Date(_) => Err(Fault::invalid_type(self.unexpected(), &visitor)),
            Value::List(nodes) => visitor.visit_seq(Items {
                list: self,
                rest: nodes.iter().enumerate(),
            }),
            Value::Table(entries) => visitor.visit_map(Entries {
                table: self,
                rest: entries.iter(),
                next: None,
            }),
        }
    }

    fn visit_enum<V: Visitor<'a>>(
        &self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Text(text) if !is_table_only(name) => {
                let word: StrDeserializer<'_, Fault> = text.as_str().into_deserializer();
                visitor
                    .visit_enum(word)
                    .map_err(|fault| match variants.contains(&text.as_str()) {
                        true => Fault::invalid(format!("`{text}` needs a value"))
                            .with_hint(format!("write `{{ {text} = .. }}`")),
                        false => fault,
                    })
            }
            Value::Table(entries) => visitor.visit_enum(Variant {
                at: self,
                entry: self.only(entries, variants)?,
            }),
            _ => Err(Fault::invalid_type(self.unexpected(), &name)),
        }
    }

    fn only(
        &self,
        entries: &'a [Entry],
        variants: &'static [&'static str],
    ) -> Result<&'a Entry, Fault> {
        if let Some(entry) = entries
            .iter()
            .find(|entry| !variants.contains(&entry.key.as_str()))
        {
            return Err(Fault::unknown_field(&entry.key, variants).at(&self.path, &entry.origin));
        }
        match entries {
            [entry] => Ok(entry),
            [] => Err(Fault::invalid(format!(
                "expected {}, found nothing",
                crate::suggest::listed(variants, "or")
            ))),
            [.., last] => {
                let keys = entries.iter().map(|entry| entry.key.clone()).collect();
                Err(Fault::contradiction(keys).at(&self.path, &last.origin))
            }
        }
    }
}

impl<'de> Deserializer<'de> for At<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.visit(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.visit_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Items<'p, 'a> {
    list: &'p At<'a>,
    rest: std::iter::Enumerate<std::slice::Iter<'a, Node>>,
}

impl<'de> de::SeqAccess<'de> for Items<'_, 'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let Some((index, node)) = self.rest.next() else {
            return Ok(None);
        };
        self.list
            .child(&index.to_string(), node)
            .read(seed)
            .map(Some)
    }
}

struct Entries<'p, 'a> {
    table: &'p At<'a>,
    rest: std::slice::Iter<'a, Entry>,
    next: Option<&'a Entry>,
}

impl<'de> de::MapAccess<'de> for Entries<'_, 'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        self.next = self.rest.next();
        let Some(entry) = self.next else {
            return Ok(None);
        };
        let key: StrDeserializer<'_, Fault> = entry.key.as_str().into_deserializer();
        seed.deserialize(key)
            .map(Some)
            .map_err(|fault| fault.at(&self.table.path, &entry.origin))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let entry = self.next.expect("serde asks for a key before its value");
        self.table.child(&entry.key, &entry.node).read(seed)
    }
}

struct Variant<'p, 'a> {
    at: &'p At<'a>,
    entry: &'a Entry,
}

impl<'a> Variant<'_, 'a> {
    fn contents(&self) -> At<'a> {
        self.at.child(&self.entry.key, &self.entry.node)
    }
}

impl<'de> de::EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let name: StrDeserializer<'_, Fault> = self.entry.key.as_str().into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        let fault = format!("expected the string `{}`, found a table", self.entry.key);
        Err(Fault::invalid(fault))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        self.contents().read(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.contents().locate(|contents| contents.visit(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.contents().locate(|contents| contents.visit(visitor))
    }
}
