//! Messages of protocol buffers, decoded when what they decode to is of the file's size.
//!
//! A message without fields takes two bytes in a file and hundreds in memory, so that messages are
//! counted first. (The decoder itself stops at 100 messages within each other.)

use crate::size;
use prost::Message;
use prost::encoding::{WireType, decode_key, decode_varint};

/// A kind of message: bytes that one takes in memory, and the kinds of those that lie in it, by
/// field number.
pub struct Kind {
    pub size: usize,
    pub inner: &'static [(u32, &'static Kind)],
}

/// Bytes in memory for a byte of the file, beyond [`size::FREE`]: whole numbers take up to 8.
const GROWTH: u64 = 16;

/// Decodes a message of a kind.
///
/// # Errors
/// In words: bytes that do not decode, or that decode to far more.
pub fn decode<M: Message + Default>(bytes: &[u8], kind: &Kind) -> Result<M, String> {
    let n = bytes.len();
    if in_memory(bytes, kind) > size::FREE.max(GROWTH.saturating_mul(n as u64)) {
        return Err(format!("{n} bytes with millions of empty parts"));
    }
    M::decode(bytes).map_err(|e| format!("{n} bytes that do not decode ({e})"))
}

/// Bytes that the messages and texts of a message take, as far as it makes sense: the decoder says
/// where it does not.
fn in_memory(mut bytes: &[u8], kind: &Kind) -> u64 {
    let mut total = 0u64;
    while let Ok((field, wire)) = decode_key(&mut bytes) {
        let n = match wire {
            WireType::Varint => {
                if decode_varint(&mut bytes).is_err() {
                    break;
                }
                0
            }
            WireType::SixtyFourBit => 8,
            WireType::ThirtyTwoBit => 4,
            WireType::LengthDelimited => decode_varint(&mut bytes).unwrap_or(u64::MAX),
            WireType::StartGroup | WireType::EndGroup => 0,
        };
        let Some((part, rest)) = usize::try_from(n).ok().and_then(|n| bytes.split_at_checked(n)) else { break };
        bytes = rest;
        if wire == WireType::LengthDelimited {
            let inner = kind.inner.iter().find(|(number, _)| *number == field);
            total += inner.map_or(size_of::<String>() as u64, |(_, k)| k.size as u64 + in_memory(part, k));
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, PartialEq, Message)]
    struct Outer {
        #[prost(message, repeated, tag = "1")]
        inner: Vec<Inner>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct Inner {
        #[prost(string, optional, tag = "1")]
        name: Option<String>,
        #[prost(int64, repeated, tag = "2")]
        sizes: Vec<i64>,
    }
    static OUTER: Kind =
        Kind { size: size_of::<Outer>(), inner: &[(1, &Kind { size: size_of::<Inner>(), inner: &[] })] };

    #[test]
    fn messages_are_counted_and_decoded() {
        let inner = Inner { name: Some("a".into()), sizes: vec![1, 2, 300] };
        let outer = Outer { inner: vec![inner.clone(), Inner::default(), inner] };
        let bytes = outer.encode_to_vec();
        assert_eq!(decode::<Outer>(&bytes, &OUTER).unwrap(), outer);
        // Three messages; a name and a list in two of them.
        assert_eq!(in_memory(&bytes, &OUTER), (3 * size_of::<Inner>() + 4 * size_of::<String>()) as u64);
        for cut in 1..bytes.len() {
            decode::<Outer>(&bytes[..cut], &OUTER).ok();
        }
        assert!(decode::<Outer>(&bytes[..bytes.len() - 1], &OUTER).unwrap_err().contains("do not decode"));
    }

    #[test]
    fn millions_of_empty_messages_are_refused_and_nesting_ends() {
        let empty = [0x0a, 0x00].repeat(8 << 20);
        assert!(decode::<Outer>(&empty, &OUTER).unwrap_err().contains("millions"));
        // Groups that open and never end.
        assert!(decode::<Outer>(&[0x1b].repeat(1 << 20), &OUTER).is_err());
    }
}
