//! CBOR to JSON and back, written against RFC 8949 and not with the crate's codec, so that the
//! vectors' decoded form is a second opinion. Byte strings become `{"hex": hex}`, long runs of
//! one byte `{"byte": hex, "times": n}`.

use serde_json::{Map, Value, json};

/// The JSON form of one well-formed item.
pub(crate) fn from_cbor(bytes: &[u8]) -> Value {
    let mut rest = bytes;
    let value = item(&mut rest);
    assert!(rest.is_empty(), "bytes stand behind the item");
    value
}

/// The deterministic encoding of a JSON form.
pub(crate) fn to_cbor(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(value, &mut out);
    out
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, after) = rest.split_at(count);
    *rest = after;
    taken
}

fn head(rest: &mut &[u8]) -> (u8, u64) {
    let first = take(rest, 1)[0];
    let argument = match first & 0x1f {
        small @ 0..=23 => u64::from(small),
        info @ 24..=27 => take(rest, 1 << (info - 24))
            .iter()
            .fold(0, |value, byte| (value << 8) | u64::from(*byte)),
        other => panic!("additional information {other}"),
    };
    (first >> 5, argument)
}

fn item(rest: &mut &[u8]) -> Value {
    let (major, argument) = head(rest);
    let count = usize::try_from(argument);
    match major {
        0 => json!(argument),
        2 => bytes_form(take(rest, count.unwrap())),
        3 => json!(core::str::from_utf8(take(rest, count.unwrap())).unwrap()),
        4 => (0..argument).map(|_| item(rest)).collect(),
        5 => {
            let pairs = (0..argument).map(|_| {
                let key = item(rest).as_str().unwrap().to_owned();
                (key, item(rest))
            });
            Value::Object(pairs.collect::<Map<_, _>>())
        }
        7 => json!(argument == 21),
        other => panic!("major type {other}"),
    }
}

fn bytes_form(bytes: &[u8]) -> Value {
    match bytes {
        [first, others @ ..] if bytes.len() > 128 && others.iter().all(|byte| byte == first) => {
            json!({ "byte": hex::encode([*first]), "times": bytes.len() })
        }
        _ => json!({ "hex": hex::encode(bytes) }),
    }
}

fn write_head(major: u8, argument: u64, out: &mut Vec<u8>) {
    let bytes = argument.to_be_bytes();
    let major = major << 5;
    match argument {
        0..=23 => out.push(major | bytes[7]),
        24..=0xff => out.extend([major | 24, bytes[7]]),
        0x100..=0xffff => {
            out.push(major | 25);
            out.extend(&bytes[6..]);
        }
        0x1_0000..=0xffff_ffff => {
            out.push(major | 26);
            out.extend(&bytes[4..]);
        }
        _ => {
            out.push(major | 27);
            out.extend(bytes);
        }
    }
}

fn write_bytes(major: u8, bytes: &[u8], out: &mut Vec<u8>) {
    write_head(major, bytes.len() as u64, out);
    out.extend(bytes);
}

fn bytes_of(object: &Map<String, Value>) -> Option<Vec<u8>> {
    let text = |key| object.get(key).and_then(Value::as_str).map(hex::decode);
    if let Some(bytes) = text("hex") {
        return Some(bytes.unwrap());
    }
    let times = object.get("times")?.as_u64()?;
    Some(
        text("byte")?
            .unwrap()
            .repeat(usize::try_from(times).unwrap()),
    )
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Bool(flag) => out.push(if *flag { 0xf5 } else { 0xf4 }),
        Value::Number(number) => write_head(0, number.as_u64().unwrap(), out),
        Value::String(text) => write_bytes(3, text.as_bytes(), out),
        Value::Array(items) => {
            write_head(4, items.len() as u64, out);
            items.iter().for_each(|item| write(item, out));
        }
        Value::Object(object) => match bytes_of(object) {
            Some(bytes) => write_bytes(2, &bytes, out),
            None => write_map(object, out),
        },
        Value::Null => panic!("null is not in the subset"),
    }
}

fn write_map(object: &Map<String, Value>, out: &mut Vec<u8>) {
    let mut pairs: Vec<_> = object
        .iter()
        .map(|(key, value)| (to_cbor(&json!(key)), value))
        .collect();
    pairs.sort_by(|(first, _), (second, _)| first.cmp(second));
    write_head(5, pairs.len() as u64, out);
    for (key, value) in pairs {
        out.extend(key);
        write(value, out);
    }
}
