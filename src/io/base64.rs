//! Base64 as XML files hold it (RFC 4648, section 4): white space anywhere, padding at the end.

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The six bits of a letter.
fn bits(letter: u8) -> Option<u32> {
    Some(
        match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        }
        .into(),
    )
}

/// The bytes of a text.
///
/// # Errors
/// In words: another character, padding that is not at the end, or a text that ends within a group
/// of four.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut group, mut n_bits, mut n_letters, mut n_padding) = (0u32, 0u32, 0usize, 0usize);
    for (at, letter) in text.bytes().enumerate().filter(|(_, letter)| !letter.is_ascii_whitespace()) {
        n_letters += 1;
        if letter == b'=' {
            n_padding += 1;
            continue;
        }
        let value = bits(letter).filter(|_| n_padding == 0);
        let value = value.ok_or_else(|| format!("base64 with another character at position {at}"))?;
        group = (group << 6 | value) & 0xffff;
        n_bits += 6;
        if n_bits >= 8 {
            n_bits -= 8;
            bytes.push((group >> n_bits) as u8);
        }
    }
    if !n_letters.is_multiple_of(4) || n_padding > 2 {
        return Err("base64 that ends too early".into());
    }
    Ok(bytes)
}

/// Bytes as text, in one line.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0u32, |all, &b| all << 8 | u32::from(b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let letter = LETTERS[(group >> (18 - 6 * i)) as usize & 63];
            text.push(if i <= chunk.len() { letter as char } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of RFC 4648, section 10.
    #[test]
    fn vectors_of_the_standard() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(plain.as_bytes()), coded);
            assert_eq!(decode(coded).unwrap(), plain.as_bytes());
        }
        assert_eq!(decode(" Zm\n9v\tYg\r\n= =").unwrap(), b"foob");
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&all)).unwrap(), all);
        assert!(encode(&[0xfb, 0xff, 0xfe]).contains(['+', '/']));
    }

    #[test]
    fn what_is_cut_off_or_foreign_is_refused() {
        for (text, words) in [
            ("Zm9", "too early"),
            ("Zg=", "too early"),
            ("Z===", "too early"),
            ("Zg==Zg==", "position 4"),
            ("Zm9_", "position 3"),
        ] {
            let error = decode(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
