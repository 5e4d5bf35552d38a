//! Stored bytes as numbers.

use super::header::{Datatype, Header};
use crate::data::HALF_A_STEP;
use crate::error::{Error, Result};
use std::path::Path;

/// Whole numbers beyond this are not all 64-bit floats.
const WHOLE: f64 = (1u64 << f64::MANTISSA_DIGITS) as f64;
/// What rounding to 32 bits may leave of a whole number.
const NEARLY: f64 = 1e-6;

/// Calls `$do!(type)` with the type of the stored numbers.
macro_rules! by_datatype {
    ($datatype:expr, $do:ident) => {
        match $datatype {
            Datatype::U8 => $do!(u8),
            Datatype::I8 => $do!(i8),
            Datatype::I16 => $do!(i16),
            Datatype::U16 => $do!(u16),
            Datatype::I32 => $do!(i32),
            Datatype::U32 => $do!(u32),
            Datatype::I64 => $do!(i64),
            Datatype::U64 => $do!(u64),
            Datatype::F32 => $do!(f32),
            Datatype::F64 => $do!(f64),
        }
    };
}

/// An iterator over the stored numbers of one type.
macro_rules! stored {
    ($t:ty, $bytes:expr, $header:expr) => {{
        let big_endian = $header.big_endian;
        let (raw, _) = $bytes.as_chunks::<{ size_of::<$t>() }>();
        raw.iter().map(move |raw| if big_endian { <$t>::from_be_bytes(*raw) } else { <$t>::from_le_bytes(*raw) })
    }};
}

/// Numbers without scaling.
pub(super) fn to_f32(bytes: &[u8], header: &Header) -> Vec<f32> {
    macro_rules! numbers {
        ($t:ty) => {
            stored!($t, bytes, header).map(|x| x as f32).collect()
        };
    }
    by_datatype!(header.datatype, numbers)
}

/// Scaled numbers.
pub(super) fn to_f64(bytes: &[u8], header: &Header) -> Vec<f64> {
    let (slope, intercept) = header.scaling;
    macro_rules! numbers {
        ($t:ty) => {
            if header.is_scaled() {
                stored!($t, bytes, header).map(|x| x as f64 * slope + intercept).collect()
            } else {
                stored!($t, bytes, header).map(|x| x as f64).collect()
            }
        };
    }
    by_datatype!(header.datatype, numbers)
}

/// The nearest 32-bit floats, where these can tell the numbers apart.
pub(super) fn narrow(values: &[f64], path: &Path) -> Result<Vec<f32>> {
    let largest = values.iter().map(|v| v.abs()).filter(|v| v.is_finite()).fold(0.0, f64::max);
    if largest > f64::from(f32::MAX) || (largest > 0.0 && largest < f64::from(f32::MIN_POSITIVE)) {
        let expected = "numbers that 32-bit floats hold (largest from 1.2e-38 to 3.4e38)";
        let hint = "multiply the image by a power of ten";
        return Err(Error::corrupt(path, expected, format!("a largest one of {largest:e}"), hint));
    }
    Ok(values.iter().map(|&v| v as f32).collect())
}

/// Whole numbers, exactly; NaN is 0.
pub(super) fn to_whole(bytes: &[u8], header: &Header, path: &Path) -> Result<Vec<i64>> {
    let refuse = |found: String, hint: &str| Error::corrupt(path, "a label image of whole numbers", found, hint);
    let rounding = header.step();
    let (slope, intercept) = header.scaling;
    if rounding > 0.5 && (slope.fract() != 0.0 || intercept.fract() != 0.0) {
        let found = format!("integers that are scaled in steps of {rounding}");
        let hint = "numbers of regions were rounded: write the labels as integers without scl_slope";
        return Err(refuse(found, hint));
    }
    if !header.is_scaled() && !matches!(header.datatype, Datatype::F32 | Datatype::F64) {
        macro_rules! numbers {
            ($t:ty) => {
                stored!($t, bytes, header).map(|x| x as i128).collect()
            };
        }
        let whole: Vec<i128> = by_datatype!(header.datatype, numbers);
        let fits = |x: i128| i64::try_from(x).map_err(|_| refuse(x.to_string(), "labels are at most 2^63 - 1"));
        return whole.into_iter().map(fits).collect();
    }
    let label = |x: f64| {
        let near = x.round();
        match x.is_nan() {
            true => Ok(0),
            // A number that was scaled is as exact as its step.
            false
                if near.abs() <= WHOLE && (x - near).abs() <= NEARLY * near.abs().max(1.0) + HALF_A_STEP * rounding =>
            {
                Ok(near as i64)
            }
            false => {
                let hint = "resample label images with nearest neighbour, never by interpolation";
                Err(refuse(x.to_string(), hint))
            }
        }
    };
    to_f64(bytes, header).into_iter().map(label).collect()
}
