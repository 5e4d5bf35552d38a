//! Protocol buffers by their wire format alone: fields are changed, and the lengths around them
//! follow.

use crate::mutate::{self, integer};
use orthoscope::rng::Stream;

#[derive(Clone)]
enum Value {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    Bytes(Vec<u8>),
}

#[derive(Clone)]
struct Field {
    number: u64,
    value: Value,
}

/// The message with a field changed, at any depth; `None` for what is no message.
pub fn mutant(bytes: &[u8], rng: &mut Stream) -> Option<Vec<u8>> {
    let mut fields = parse(bytes)?;
    for _ in 0..[1, 1, 1, 2, 3][rng.below(5)] {
        change(&mut fields, rng, 0);
    }
    Some(encode(&fields))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn parse(mut bytes: &[u8]) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let n = match key & 7 {
            0 => 0,
            1 => 8,
            5 => 4,
            2 => usize::try_from(varint(&mut bytes)?).ok()?,
            _ => return None,
        };
        let value = if key & 7 == 0 {
            Value::Varint(varint(&mut bytes)?)
        } else {
            let (data, rest) = bytes.split_at_checked(n)?;
            bytes = rest;
            match key & 7 {
                1 => Value::Fixed64(data.try_into().ok()?),
                5 => Value::Fixed32(data.try_into().ok()?),
                _ => Value::Bytes(data.to_vec()),
            }
        };
        if key >> 3 == 0 {
            return None;
        }
        fields.push(Field { number: key >> 3, value });
    }
    Some(fields)
}

fn encode(fields: &[Field]) -> Vec<u8> {
    let mut out = Vec::new();
    for field in fields {
        let wire = match &field.value {
            Value::Varint(_) => 0,
            Value::Fixed64(_) => 1,
            Value::Bytes(_) => 2,
            Value::Fixed32(_) => 5,
        };
        put(&mut out, field.number << 3 | wire);
        match &field.value {
            Value::Varint(value) => put(&mut out, *value),
            Value::Fixed64(data) => out.extend(data),
            Value::Fixed32(data) => out.extend(data),
            Value::Bytes(data) => {
                put(&mut out, data.len() as u64);
                out.extend(data);
            }
        }
    }
    out
}

/// Changes one field, or a field within it.
fn change(fields: &mut Vec<Field>, rng: &mut Stream, depth: usize) {
    if fields.is_empty() {
        return;
    }
    let at = rng.below(fields.len());
    let from = rng.below(fields.len());
    match rng.below(24) {
        0 => {
            fields.remove(at);
        }
        1 => fields.insert(at, fields[from].clone()),
        2 => fields.swap(at, from),
        3 => fields[at].value = fields[from].value.clone(),
        4 => {
            let n = [16, 300][rng.below(2)];
            let many = vec![fields[at].clone(); n];
            fields.splice(at..at, many);
        }
        5 => {
            let value = Value::Varint(integer(rng) as u64);
            fields.push(Field { number: 1 + rng.below(20) as u64, value });
        }
        _ => alter(&mut fields[at].value, rng, depth),
    }
}

fn alter(value: &mut Value, rng: &mut Stream, depth: usize) {
    match value {
        Value::Varint(v) if rng.below(3) == 0 => *v = v.wrapping_add([1, u64::MAX, 2, 16][rng.below(4)]),
        Value::Varint(v) => *v = integer(rng) as u64,
        Value::Fixed64(data) => mutate_fixed(data, rng),
        Value::Fixed32(data) => mutate_fixed(data, rng),
        Value::Bytes(data) => match parse(data).filter(|inner| !inner.is_empty() && rng.below(10) > 0) {
            Some(mut inner) if depth < 12 => {
                change(&mut inner, rng, depth + 1);
                *data = encode(&inner);
            }
            _ if rng.below(3) == 0 => packed(data, rng),
            _ => mutate::bytes(data, b"Conv", rng),
        },
    }
}

fn mutate_fixed(data: &mut [u8], rng: &mut Stream) {
    let mut changed = data.to_vec();
    mutate::bytes(&mut changed, &[0xff; 8], rng);
    changed.resize(data.len(), 0);
    data.copy_from_slice(&changed);
}

/// Bytes as varints in a row, one of them changed.
fn packed(data: &mut Vec<u8>, rng: &mut Stream) {
    let (mut rest, mut all) = (data.as_slice(), Vec::new());
    while let Some(value) = varint(&mut rest) {
        all.push(value);
    }
    if all.is_empty() {
        return;
    }
    let at = rng.below(all.len());
    all[at] = integer(rng) as u64;
    data.clear();
    all.into_iter().for_each(|value| put(data, value));
}

/// A message that is being written, field by field.
#[derive(Default, Clone)]
pub struct Message(pub Vec<u8>);

impl Message {
    pub fn varint(mut self, number: u64, value: u64) -> Self {
        put(&mut self.0, number << 3);
        put(&mut self.0, value);
        self
    }

    pub fn float(mut self, number: u64, value: f32) -> Self {
        put(&mut self.0, number << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn bytes(mut self, number: u64, bytes: &[u8]) -> Self {
        put(&mut self.0, number << 3 | 2);
        put(&mut self.0, bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    pub fn message(self, number: u64, message: &Self) -> Self {
        self.bytes(number, &message.0)
    }
}
