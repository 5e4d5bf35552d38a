//! The 348 bytes of NIfTI-1 and the 540 of NIfTI-2.

use crate::data::{Affine, Grid};
use crate::error::{Error, Result};
use crate::size;
use crate::warning::Warning;
use std::path::Path;

/// Bytes of a NIfTI-1 header.
pub(super) const SIZE_1: usize = 348;
/// Bytes of a NIfTI-2 header.
pub(super) const SIZE_2: usize = 540;

/// Element type of the stored numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Datatype {
    U8,
    I8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F32,
    F64,
}

impl Datatype {
    /// From the header's code.
    pub fn from_code(code: i16) -> Option<Self> {
        Some(match code {
            2 => Self::U8,
            256 => Self::I8,
            4 => Self::I16,
            512 => Self::U16,
            8 => Self::I32,
            768 => Self::U32,
            1024 => Self::I64,
            1280 => Self::U64,
            16 => Self::F32,
            64 => Self::F64,
            _ => return None,
        })
    }

    /// The header's code.
    pub fn code(self) -> i16 {
        match self {
            Self::U8 => 2,
            Self::I8 => 256,
            Self::I16 => 4,
            Self::U16 => 512,
            Self::I32 => 8,
            Self::U32 => 768,
            Self::I64 => 1024,
            Self::U64 => 1280,
            Self::F32 => 16,
            Self::F64 => 64,
        }
    }

    /// Bytes of one number.
    pub fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }
}

/// What space an affine leads to (`sform_code`, `qform_code`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Space {
    Unknown,
    /// The scanner's coordinates.
    Scanner,
    /// Aligned to another image.
    #[default]
    Aligned,
    Talairach,
    Mni,
    /// Another template.
    Template,
}

impl Space {
    fn from_code(code: i32) -> Self {
        match code {
            1 => Self::Scanner,
            2 => Self::Aligned,
            3 => Self::Talairach,
            4 => Self::Mni,
            5 => Self::Template,
            _ => Self::Unknown,
        }
    }

    pub(super) fn code(self) -> i32 {
        match self {
            Self::Unknown => 0,
            Self::Scanner => 1,
            Self::Aligned => 2,
            Self::Talairach => 3,
            Self::Mni => 4,
            Self::Template => 5,
        }
    }
}

/// What a header says.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// Where the voxels are.
    pub grid: Grid,
    /// Volumes: the product of the sides after the third.
    pub n_volumes: usize,
    /// Seconds between volumes as the header has it, if it says so (`pixdim[4]` and its unit).
    pub tr_s: Option<f64>,
    /// Type of the stored numbers.
    pub datatype: Datatype,
    /// Stored number -> value: slope x + intercept; (1, 0) where the header's slope is 0 or not
    /// finite (`None` in nibabel), and intercept 0 where only that is not finite (as niftilib,
    /// which FSL and AFNI read with; nibabel refuses those files).
    pub scaling: (f64, f64),
    /// The header has a slope, and an intercept that is not finite.
    pub(super) half_scaled: bool,
    /// What space the affine leads to.
    pub space: Space,
    /// All sides, as many as the header has.
    pub(super) sides: Vec<usize>,
    /// 1 or 2.
    pub(super) version: u8,
    /// Where the numbers start.
    pub(super) offset: usize,
    /// Numbers are most significant byte first.
    pub(super) big_endian: bool,
}

/// Fields of a header at their offsets, in the file's byte order.
struct Fields<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

macro_rules! field {
    ($name:ident, $t:ty) => {
        fn $name(&self, at: usize) -> $t {
            let raw = self.bytes[at..at + size_of::<$t>()].try_into().expect("a slice of that size");
            if self.big_endian { <$t>::from_be_bytes(raw) } else { <$t>::from_le_bytes(raw) }
        }
    };
}

impl Fields<'_> {
    field!(i16, i16);
    field!(i32, i32);
    field!(i64, i64);
    field!(f32, f32);
    field!(f64, f64);

    fn floats(&self, at: usize, version: u8) -> impl Fn(usize) -> f64 {
        move |i| if version == 1 { f64::from(self.f32(at + 4 * i)) } else { self.f64(at + 8 * i) }
    }
}

impl Header {
    /// Reads the first bytes of a file.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when they are no NIfTI header, of a kind that holds no plain numbers
    /// (RGB, complex), of an impossible size, or a pair of `.hdr` and `.img`.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
        let bad = |found: String, hint: &str| Error::corrupt(path, "a NIfTI image (.nii, .nii.gz)", found, hint);
        if bytes.len() < SIZE_1 {
            return Err(bad(format!("{} bytes", bytes.len()), "the file is truncated: copy it again"));
        }
        let little = i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let (version, big_endian) = match (little, little.swap_bytes()) {
            (348, _) => (1, false),
            (_, 348) => (1, true),
            (540, _) => (2, false),
            (_, 540) => (2, true),
            _ => return Err(bad("another kind of file".into(), "convert it with nibabel, or dcm2niix for DICOM")),
        };
        if version == 2 && bytes.len() < SIZE_2 {
            return Err(bad(
                format!("{} bytes of a NIfTI-2 header", bytes.len()),
                "the file is truncated: copy it again",
            ));
        }
        let magic = if version == 1 { &bytes[344..347] } else { &bytes[4..7] };
        match magic {
            b"n+1" | b"n+2" => {}
            b"ni1" | b"ni2" => {
                return Err(bad("the header of a .hdr/.img pair".into(), "save it as one .nii.gz file (nibabel.save)"));
            }
            _ => return Err(bad("an Analyze header".into(), "its axes are ambiguous: save it as .nii.gz")),
        }
        Self::fields(&Fields { bytes, big_endian }, version, path)
    }

    fn fields(f: &Fields<'_>, version: u8, path: &Path) -> Result<Self> {
        let bad = |expected: &str, found: String| Error::corrupt(path, expected, found, "the header is damaged");
        let sides: Vec<i64> =
            (0..8).map(|i| if version == 1 { i64::from(f.i16(40 + 2 * i)) } else { f.i64(16 + 8 * i) }).collect();
        let rank = sides[0];
        if !(1..=7).contains(&rank) || sides[1..=rank as usize].iter().any(|&s| !(1..=i64::from(i32::MAX)).contains(&s))
        {
            return Err(bad("1 to 7 sides of at least one voxel", format!("{sides:?}")));
        }
        let side = |i: usize| if i <= rank as usize { sides[i] as usize } else { 1 };
        let (type_at, bits_at) = if version == 1 { (70, 72) } else { (12, 14) };
        let datatype = Datatype::from_code(f.i16(type_at)).ok_or_else(|| {
            let found = format!("datatype {} of {} bits", f.i16(type_at), f.i16(bits_at));
            let hint = "complex, RGB and extended-precision images hold no single number a voxel: convert them first";
            Error::corrupt(path, "integers or floating-point numbers of up to 64 bits", found, hint)
        })?;
        let all = sides[1..=rank as usize].iter().map(|&s| s as usize);
        if size::product(all.chain([datatype.size()])).is_none() {
            return Err(bad("numbers that can be counted", format!("sides of {:?}", &sides[1..=rank as usize])));
        }
        let floats = |at_1: usize, at_2: usize| f.floats(if version == 1 { at_1 } else { at_2 }, version);
        let offset = if version == 1 { f64::from(f.f32(108)) } else { f.i64(168) as f64 };
        let least = if version == 1 { SIZE_1 } else { SIZE_2 } as f64;
        if !(least..1e9).contains(&offset) {
            return Err(bad("the numbers after the header", format!("them at byte {offset}")));
        }
        let (slope, intercept) = (floats(112, 176)(0), floats(116, 184)(0));
        let scaled = slope != 0.0 && slope.is_finite();
        let half_scaled = scaled && !intercept.is_finite();
        let (affine, space) = affine(f, version, &floats(76, 104));
        if affine.determinant() == 0.0 || !affine.determinant().is_finite() {
            return Err(bad("voxels with a volume", format!("the affine {affine}")));
        }
        let pixdim_4 = floats(76, 104)(4);
        let units = if version == 1 { i32::from(f.bytes[123]) } else { f.i32(500) };
        let second = match units & 0x38 {
            16 => 1e-3,
            24 => 1e-6,
            _ => 1.0,
        };
        Ok(Self {
            grid: Grid { shape: [side(1), side(2), side(3)], affine },
            n_volumes: (4..8).map(side).product(),
            tr_s: (pixdim_4 > 0.0 && units & 0x38 != 0).then_some(pixdim_4 * second),
            datatype,
            scaling: if scaled { (slope, if half_scaled { 0.0 } else { intercept }) } else { (1.0, 0.0) },
            half_scaled,
            space,
            sides: sides[1..=rank as usize].iter().map(|&s| s as usize).collect(),
            version,
            offset: offset as usize,
            big_endian: f.big_endian,
        })
    }

    /// Whether stored numbers are not the values.
    pub(super) fn is_scaled(&self) -> bool {
        self.scaling != (1.0, 0.0)
    }

    /// The distance between neighbouring values where integers are scaled, so that a value was
    /// rounded to within half of it when it was stored; else 0. A background of 0 comes back as
    /// anything up to half a step.
    pub fn step(&self) -> f64 {
        let floats = matches!(self.datatype, Datatype::F32 | Datatype::F64);
        if floats || !self.is_scaled() { 0.0 } else { self.scaling.0.abs() }
    }

    /// What the user should know of the header.
    pub fn warning(&self, path: &Path) -> Option<Warning> {
        self.half_scaled.then(|| Warning::Note {
            text: format!(
                "{}: the header has scl_slope {} and no finite scl_inter: values are slope x stored number, as FSL and AFNI read them (nibabel refuses the file)",
                path.display(),
                self.scaling.0
            ),
        })
    }

    /// Numbers in the file.
    pub fn n_values(&self) -> usize {
        self.grid.n_voxels() * self.n_volumes
    }
}

/// sform, else qform, else voxel sizes with the centre of the image at 0.
fn affine(f: &Fields<'_>, version: u8, pixdim: &dyn Fn(usize) -> f64) -> (Affine, Space) {
    let (qform, sform) = match version {
        1 => (i32::from(f.i16(252)), i32::from(f.i16(254))),
        _ => (f.i32(344), f.i32(348)),
    };
    let floats = |at_1: usize, at_2: usize| f.floats(if version == 1 { at_1 } else { at_2 }, version);
    if sform > 0 {
        let row = floats(280, 400);
        let rows = [0, 1, 2].map(|r| [0, 1, 2, 3].map(|c| row(4 * r + c)));
        return (Affine(rows), Space::from_code(sform));
    }
    // A missing or zero size counts as 1 mm; only its magnitude matters, directions are in the
    // quaternion.
    let size = [1, 2, 3].map(|i| match pixdim(i).abs() {
        s if s > 0.0 && s.is_finite() => s,
        _ => 1.0,
    });
    if qform > 0 {
        let (q, o) = (floats(256, 352), floats(268, 376));
        let affine = Affine::from_quaternion([q(0), q(1), q(2)], size, [o(0), o(1), o(2)], pixdim(0));
        return (affine, Space::from_code(qform));
    }
    let side = |i: usize| if version == 1 { f64::from(f.i16(40 + 2 * i)) } else { f.i64(16 + 8 * i) as f64 };
    let mut base = Affine::scaling([-size[0], size[1], size[2]]);
    for axis in 0..3 {
        base.0[axis][3] = -base.0[axis][axis] * (side(axis + 1).max(1.0) - 1.0) / 2.0;
    }
    (base, Space::Unknown)
}
