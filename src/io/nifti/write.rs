//! Writing.

use super::header::{Datatype, SIZE_1, SIZE_2, Space};
use crate::data::{Affine, Grid, Volume};
use crate::error::{Error, Result};
use crate::io::atomic;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use std::path::Path;

/// Longest side that a NIfTI-1 header can hold.
const LONGEST_1: usize = i16::MAX as usize;
/// Unit codes: millimetres and seconds.
const MM_AND_S: u8 = 2 | 8;

/// Writes a volume of 32-bit floats; gzipped where the name ends in `.gz`.
///
/// # Errors
/// [`Error::Io`] when the file cannot be written.
pub fn write_volume(path: &Path, volume: &Volume, space: Space) -> Result<()> {
    write_volume_as(path, volume, space, Datatype::F32)
}

/// Writes a volume as numbers of another type: [`Datatype::U8`], [`Datatype::I16`],
/// [`Datatype::I32`] (rounded) or [`Datatype::F32`].
///
/// # Errors
/// [`Error::Io`]; [`Error::Invalid`] for another type, or a value that the type cannot hold.
pub fn write_volume_as(path: &Path, volume: &Volume, space: Space, datatype: Datatype) -> Result<()> {
    write(path, volume.grid(), &[volume.values()], None, space, datatype)
}

/// Writes volumes of one grid as a 4-D image of 32-bit floats; `tr_s`: seconds between them, where
/// they are a time series.
///
/// # Errors
/// [`Error::Io`]; [`Error::Invalid`] when a volume has not the grid's number of voxels, or there is
/// none.
pub fn write_series(path: &Path, grid: &Grid, volumes: &[&[f32]], tr_s: Option<f64>, space: Space) -> Result<()> {
    write(path, grid, volumes, tr_s, space, Datatype::F32)
}

fn write(
    path: &Path,
    grid: &Grid,
    volumes: &[&[f32]],
    tr_s: Option<f64>,
    space: Space,
    datatype: Datatype,
) -> Result<()> {
    let at = path.display().to_string();
    if volumes.is_empty() || volumes.iter().any(|v| v.len() != grid.n_voxels()) {
        let found = format!("{:?}", volumes.iter().map(|v| v.len()).collect::<Vec<_>>());
        return Err(Error::invalid(at, format!("volumes of {} values", grid.n_voxels()), found, ""));
    }
    let encode = encoder(datatype, &at)?;
    if let Some(value) = volumes.iter().flat_map(|v| v.iter()).find(|&&v| encode(v, &mut Vec::new()).is_none()) {
        return Err(Error::invalid(at, format!("values of type {datatype:?}"), value.to_string(), ""));
    }
    let header = header(grid, volumes.len(), tr_s, space, datatype);
    let zipped = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz"));
    atomic::write_with(path, |file| {
        let body = |out: &mut dyn Write| -> std::io::Result<()> {
            out.write_all(&header)?;
            let mut bytes = Vec::with_capacity(datatype.size() * grid.n_voxels());
            for volume in volumes {
                bytes.clear();
                volume.iter().for_each(|&v| encode(v, &mut bytes).expect("every value was tried above"));
                out.write_all(&bytes)?;
            }
            Ok(())
        };
        if zipped {
            let mut gz = GzEncoder::new(file, Compression::default());
            body(&mut gz)?;
            gz.finish().map(|_| ())
        } else {
            body(file)
        }
    })
}

type Encode = fn(f32, &mut Vec<u8>) -> Option<()>;

fn encoder(datatype: Datatype, at: &str) -> Result<Encode> {
    macro_rules! whole {
        ($t:ty) => {
            |v, out| {
                let rounded = f64::from(v).round();
                let fits = rounded >= f64::from(<$t>::MIN) && rounded <= f64::from(<$t>::MAX);
                fits.then(|| out.extend_from_slice(&(rounded as $t).to_le_bytes()))
            }
        };
    }
    match datatype {
        Datatype::F32 => Ok(|v, out| {
            out.extend_from_slice(&v.to_le_bytes());
            Some(())
        }),
        Datatype::U8 => Ok(whole!(u8)),
        Datatype::I16 => Ok(whole!(i16)),
        Datatype::I32 => Ok(whole!(i32)),
        _ => Err(Error::invalid(at, "U8, I16, I32 or F32", format!("{datatype:?}"), "")),
    }
}

fn header(grid: &Grid, n_volumes: usize, tr_s: Option<f64>, space: Space, datatype: Datatype) -> Vec<u8> {
    let sides = [grid.shape[0], grid.shape[1], grid.shape[2], n_volumes];
    let rank: usize = if n_volumes == 1 { 3 } else { 4 };
    let version = if sides.iter().all(|&s| s <= LONGEST_1) { 1 } else { 2 };
    let size = if version == 1 { SIZE_1 } else { SIZE_2 };
    let mut bytes = vec![0u8; size + 4];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &(size as i32).to_le_bytes());
    let side = |i: usize| match i {
        0 => rank,
        _ if i <= rank => sides[i - 1],
        _ => 1,
    };
    let quaternion = Quaternion::of(&grid.affine);
    let voxel = grid.affine.voxel_size();
    let pixdim = [quaternion.qfac, voxel[0], voxel[1], voxel[2], tr_s.unwrap_or(1.0), 1.0, 1.0, 1.0];
    let float = |v: f64| if version == 1 { (v as f32).to_le_bytes().to_vec() } else { v.to_le_bytes().to_vec() };
    let mut floats = |at_1: usize, at_2: usize, values: &[f64]| {
        let (at, step) = if version == 1 { (at_1, 4) } else { (at_2, 8) };
        values.iter().enumerate().for_each(|(i, &v)| put(at + step * i, &float(v)));
    };
    floats(76, 104, &pixdim);
    floats(112, 176, &[1.0, 0.0]);
    floats(256, 352, &quaternion.bcd);
    floats(268, 376, &grid.affine.0.map(|row| row[3]));
    grid.affine.0.iter().enumerate().for_each(|(r, row)| floats(280 + 16 * r, 400 + 32 * r, row));
    let code = space.code();
    let bits = 8 * datatype.size() as i16;
    if version == 1 {
        (0..8).for_each(|i| put(40 + 2 * i, &(side(i) as i16).to_le_bytes()));
        put(70, &datatype.code().to_le_bytes());
        put(72, &bits.to_le_bytes());
        put(108, &((size + 4) as f32).to_le_bytes());
        put(123, &[MM_AND_S]);
        put(252, &(quaternion.code(code) as i16).to_le_bytes());
        put(254, &(code.max(2) as i16).to_le_bytes());
        put(148, b"orthoscope");
        put(344, b"n+1\0");
    } else {
        put(4, b"n+2\0\r\n\x1a\n");
        (0..8).for_each(|i| put(16 + 8 * i, &(side(i) as i64).to_le_bytes()));
        put(12, &datatype.code().to_le_bytes());
        put(14, &bits.to_le_bytes());
        put(168, &((size + 4) as i64).to_le_bytes());
        put(500, &i32::from(MM_AND_S).to_le_bytes());
        put(344, &quaternion.code(code).to_le_bytes());
        put(348, &code.max(2).to_le_bytes());
        put(240, b"orthoscope");
    }
    bytes
}

/// The rotation of an affine as a quaternion; it says nothing where the axes are not at right
/// angles.
struct Quaternion {
    bcd: [f64; 3],
    qfac: f64,
    exact: bool,
}

impl Quaternion {
    fn of(affine: &Affine) -> Self {
        let size = affine.voxel_size();
        let qfac = if affine.determinant() < 0.0 { -1.0 } else { 1.0 };
        let r = |i: usize, j: usize| affine.0[i][j] / size[j] * if j == 2 { qfac } else { 1.0 };
        let axes_dot = |a: usize, b: usize| (0..3).map(|i| r(i, a) * r(i, b)).sum::<f64>().abs();
        let exact = axes_dot(0, 1).max(axes_dot(0, 2)).max(axes_dot(1, 2)) < 1e-5;
        let trace = r(0, 0) + r(1, 1) + r(2, 2);
        // The largest of the four components first: no division by something small.
        let squares = [trace, 2.0 * r(0, 0) - trace, 2.0 * r(1, 1) - trace, 2.0 * r(2, 2) - trace];
        let largest = (0..4).max_by(|&a, &b| squares[a].total_cmp(&squares[b])).expect("four");
        let x = ((1.0 + squares[largest]).max(0.0)).sqrt() / 2.0;
        let (wb, wc, wd) = (r(2, 1) - r(1, 2), r(0, 2) - r(2, 0), r(1, 0) - r(0, 1));
        let (bc, bd, cd) = (r(1, 0) + r(0, 1), r(2, 0) + r(0, 2), r(2, 1) + r(1, 2));
        let q = match largest {
            0 => [4.0 * x * x, wb, wc, wd],
            1 => [wb, 4.0 * x * x, bc, bd],
            2 => [wc, bc, 4.0 * x * x, cd],
            _ => [wd, bd, cd, 4.0 * x * x],
        }
        .map(|v| v / (4.0 * x));
        let sign = if q[0] < 0.0 { -1.0 } else { 1.0 };
        Self { bcd: [sign * q[1], sign * q[2], sign * q[3]], qfac, exact }
    }

    fn code(&self, space: i32) -> i32 {
        if self.exact { space.max(2) } else { 0 }
    }
}
