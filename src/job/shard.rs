//! A slice of a job's independent items, for several machines.

use serde::{Deserialize, Serialize};

/// One of `of` slices of the items, counted from 1; written `2/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Shard {
    pub index: usize,
    pub of: usize,
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        format!("{}/{}", shard.index, shard.of)
    }
}

impl TryFrom<String> for Shard {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(i, n)| Some((i.trim().parse().ok()?, n.trim().parse().ok()?)));
        match numbers {
            Some((index, of)) if (1..=of).contains(&index) => Ok(Self { index, of }),
            _ => Err(format!("expected a slice as in 2/8, found `{text}`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Shard;

    #[test]
    fn slices_are_counted_from_one() {
        let read = |text: &str| Shard::try_from(text.to_owned());
        assert_eq!(read("2/8"), Ok(Shard { index: 2, of: 8 }));
        assert_eq!(String::from(Shard { index: 2, of: 8 }), "2/8");
        assert!(["0/8", "9/8", "2", "a/b"].iter().all(|text| read(text).is_err()));
    }
}
