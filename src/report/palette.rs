//! Colour maps and line colours.
//!
//! The two maps were constructed in OKLab (B. Ottosson, 2020): lightness falls linearly from the
//! middle to both ends of [`DIVERGING`] (0.97 to 0.40, blue hue 256 degrees and red hue 28 degrees,
//! equal lightness on both sides), and rises linearly along [`SEQUENTIAL`] (0.20 to 0.95, hue 290
//! to 100 degrees), with chroma cut to what sRGB can show.

/// 8-bit sRGB.
pub type Rgb = [u8; 3];

pub(crate) const INK: Rgb = [0x22, 0x26, 0x2b];
pub(crate) const MUTED: Rgb = [0x5f, 0x66, 0x6e];
pub(crate) const GRID: Rgb = [0xe3, 0xe6, 0xe9];
pub(crate) const WHITE: Rgb = [0xff, 0xff, 0xff];
/// A cell without a meaning, such as the diagonal.
pub(crate) const BLANK: Rgb = [0xe1, 0xe1, 0xe1];
/// A cell whose value is not a number.
pub(crate) const MISSING: Rgb = [0xb4, 0xb4, 0xb4];

/// Blue, white, red: values below, at and above zero.
pub const DIVERGING: [u32; 11] =
    [0x01458e, 0x0164c8, 0x3487ef, 0x71aeff, 0xb1d2ff, 0xf5f5f5, 0xfcbeb5, 0xf4887b, 0xdf5448, 0xbc211d, 0x8b0106];

/// Dark to light: small to large.
pub const SEQUENTIAL: [u32; 11] =
    [0x16102f, 0x172157, 0x003b6e, 0x015676, 0x047081, 0x018a8b, 0x03a78c, 0x45c181, 0x95d180, 0xcee095, 0xf7f0c2];

/// Colours that stay apart for colour-blind readers (Okabe and Ito, 2008), the yellow left out
/// because it is too light for lines.
pub const LINES: [Rgb; 7] = [
    [0x00, 0x72, 0xb2],
    [0xd5, 0x5e, 0x00],
    [0x00, 0x9e, 0x73],
    [0xcc, 0x79, 0xa7],
    [0xe6, 0x9f, 0x00],
    [0x56, 0xb4, 0xe9],
    [0x22, 0x26, 0x2b],
];

/// Colour of series `i`.
pub fn line(i: usize) -> Rgb {
    LINES[i % LINES.len()]
}

/// Which of the two maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Map {
    /// [`DIVERGING`], for limits -a..a.
    Diverging,
    /// [`SEQUENTIAL`].
    Sequential,
}

impl Map {
    /// The colour at `t` in 0..1 (clamped), linear between the table's points.
    pub fn at(self, t: f64) -> Rgb {
        let table = match self {
            Self::Diverging => &DIVERGING,
            Self::Sequential => &SEQUENTIAL,
        };
        let place = t.clamp(0.0, 1.0) * (table.len() - 1) as f64;
        let low = (place.floor() as usize).min(table.len() - 2);
        mix(hex(table[low]), hex(table[low + 1]), place - low as f64)
    }
}

fn hex(value: u32) -> Rgb {
    [(value >> 16) as u8, (value >> 8) as u8, value as u8]
}

/// `a` at 0, `b` at 1.
pub(crate) fn mix(a: Rgb, b: Rgb, t: f64) -> Rgb {
    std::array::from_fn(|i| (f64::from(a[i]) + t * (f64::from(b[i]) - f64::from(a[i]))).round() as u8)
}

/// Black or white, whichever reads better on `background` (Rec. 709 luma).
pub(crate) fn text_on(background: Rgb) -> Rgb {
    let luma =
        0.2126 * f64::from(background[0]) + 0.7152 * f64::from(background[1]) + 0.0722 * f64::from(background[2]);
    if luma > 135.0 { INK } else { WHITE }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// OKLab lightness of an sRGB colour.
    fn lightness(c: Rgb) -> f64 {
        let [r, g, b] = c.map(|v| {
            let v = f64::from(v) / 255.0;
            if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
        });
        let l = 0.412_221_470_8 * r + 0.536_332_536_3 * g + 0.051_445_992_9 * b;
        let m = 0.211_903_498_2 * r + 0.680_699_545_1 * g + 0.107_396_956_6 * b;
        let s = 0.088_302_461_9 * r + 0.281_718_837_6 * g + 0.629_978_700_5 * b;
        0.210_454_255_3 * l.cbrt() + 0.793_617_785_0 * m.cbrt() - 0.004_072_046_8 * s.cbrt()
    }

    #[test]
    fn lightness_is_symmetric_and_monotone() {
        for i in 0..=20 {
            let t = f64::from(i) / 40.0;
            let (low, high) = (lightness(Map::Diverging.at(t)), lightness(Map::Diverging.at(1.0 - t)));
            assert!((low - high).abs() < 0.02, "{t}: {low} {high}");
        }
        for map in [Map::Sequential, Map::Diverging] {
            let end = if map == Map::Sequential { 40 } else { 20 };
            for i in 0..end {
                assert!(
                    lightness(map.at(f64::from(i) / 40.0)) < lightness(map.at(f64::from(i + 1) / 40.0)),
                    "{map:?} {i}"
                );
            }
        }
    }

    #[test]
    fn values_out_of_range_take_the_end_colours() {
        assert_eq!(Map::Diverging.at(-3.0), Map::Diverging.at(0.0));
        assert_eq!(Map::Diverging.at(9.0), [0x8b, 0x01, 0x06]);
        assert_eq!(Map::Diverging.at(0.5), [0xf5, 0xf5, 0xf5]);
    }
}
