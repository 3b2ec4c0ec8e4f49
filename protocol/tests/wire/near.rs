//! Items that are nearly right: an item's JSON form with one part of it changed.

use serde_json::{Value, json};

/// The changed forms of one part.
pub(crate) type Change = fn(&Value) -> Vec<Value>;

/// Whether a value stands for a map and not for a byte string.
pub(crate) fn is_map(value: &Value) -> bool {
    value
        .as_object()
        .is_some_and(|object| !object.contains_key("hex") && !object.contains_key("byte"))
}

/// Applies `change` to every part of a value in turn.
pub(crate) fn changed(value: &Value, change: Change) -> Vec<Value> {
    let mut all = change(value);
    if let (true, Value::Object(object)) = (is_map(value), value) {
        for (key, inner) in object {
            all.extend(changed(inner, change).into_iter().map(|other| {
                let mut copy = object.clone();
                copy.insert(key.clone(), other);
                Value::Object(copy)
            }));
        }
    }
    if let Value::Array(items) = value {
        for (place, inner) in items.iter().enumerate() {
            all.extend(changed(inner, change).into_iter().map(|other| {
                let mut copy = items.clone();
                copy[place] = other;
                Value::Array(copy)
            }));
        }
    }
    all
}

/// A map with a key too many, and without each of its keys.
pub(crate) fn keys(value: &Value) -> Vec<Value> {
    let Some(object) = value.as_object().filter(|_| is_map(value)) else {
        return Vec::new();
    };
    let mut more = object.clone();
    more.insert("zzz".to_owned(), json!(1));
    let less = object.keys().map(|key| {
        let mut copy = object.clone();
        copy.remove(key);
        copy
    });
    [more].into_iter().chain(less).map(Value::Object).collect()
}

/// A value of every other type.
pub(crate) fn types(value: &Value) -> Vec<Value> {
    let kinds = [
        json!(1),
        json!("x"),
        json!(true),
        json!([]),
        json!({}),
        json!({ "hex": "00" }),
    ];
    let same = |other: &Value| match (value, other) {
        (Value::Object(_), Value::Object(_)) => is_map(value) == is_map(other),
        _ => core::mem::discriminant(value) == core::mem::discriminant(other),
    };
    kinds.into_iter().filter(|other| !same(other)).collect()
}

/// Numbers and byte strings of other sizes.
pub(crate) fn sizes(value: &Value) -> Vec<Value> {
    match value {
        Value::Number(_) => [0, 1, 16, 17, 18, 1_024, 1_025, 4_096, 65_536, u64::MAX]
            .map(|number| json!(number))
            .into(),
        Value::Object(_) if !is_map(value) => [0, 1, 16, 31, 32, 33, 64, 72, 100]
            .map(|length| json!({ "byte": "5a", "times": length }))
            .into(),
        _ => Vec::new(),
    }
}
