//! Reading.

use super::{CODE, STRUCTURE};
use crate::data::{Affine, Grayordinates, Grid, Part, Places};
use crate::error::{Error, Result};
use crate::io::nifti;
use crate::io::xml::{self, Element};
use crate::size;
use ndarray::Array2;
use std::path::Path;

const AGAIN: &str = "the file is truncated or damaged: copy or convert it again";

/// A file.
#[derive(Debug, Clone, PartialEq)]
pub struct Cifti {
    /// What the rows are.
    pub maps: Maps,
    /// Where the columns are.
    pub places: Grayordinates,
    /// n_maps x n_grayordinates.
    pub values: Array2<f32>,
}

/// What the rows of a file are.
#[derive(Debug, Clone, PartialEq)]
pub enum Maps {
    /// Names of scalars.
    Scalars(Vec<String>),
    /// Points of a series; seconds between them, if they are in time.
    Series { n: usize, step_s: Option<f64> },
    /// Label images.
    Labels(Vec<LabelMap>),
}

/// One label image.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelMap {
    pub name: String,
    /// Keys and their names.
    pub labels: Vec<(i64, String)>,
}

impl Maps {
    fn len(&self) -> usize {
        match self {
            Self::Scalars(names) => names.len(),
            Self::Series { n, .. } => *n,
            Self::Labels(maps) => maps.len(),
        }
    }
}

/// Reads a file.
///
/// # Errors
/// [`Error::Io`]; [`Error::Corrupt`] for another format, a damaged header, sides that do not fit
/// it, parcels, and connectivities.
pub fn read(path: &Path) -> Result<Cifti> {
    let mut file = nifti::read_matrix(path)?;
    let xml = file.extensions.iter().find(|(code, _)| *code == CODE);
    let (_, xml) = xml.ok_or_else(|| bad(path, "a NIfTI-2 file without CIFTI's extension (code 32)", AGAIN))?;
    let text = std::str::from_utf8(xml).map_err(|_| bad(path, "an extension that is no UTF-8", AGAIN))?;
    let root = xml::parse(text).map_err(|e| bad(path, e, AGAIN))?;
    let (maps, places) = header(&root, path)?;
    let [n_maps, n_places] = file.sides;
    if maps.len() != n_maps || places.len() != n_places {
        let found = format!("{} maps of {} grayordinates there", maps.len(), places.len());
        return Err(bad(path, format!("{n_maps} x {n_places} numbers, and {found}"), AGAIN));
    }
    // The numbers are known to lie in the file.
    let mut values = Array2::zeros((n_maps, n_places));
    for mut column in values.columns_mut() {
        let own = file.image.next_volume()?;
        column.iter_mut().zip(own).for_each(|(to, from)| *to = from);
    }
    Ok(Cifti { maps, places, values })
}

fn bad(path: &Path, found: impl Into<String>, hint: &str) -> Error {
    Error::corrupt(path, "numbers of grayordinates in CIFTI-2", found, hint)
}

fn header(root: &Element<'_>, path: &Path) -> Result<(Maps, Grayordinates)> {
    let version = root.attribute("Version").unwrap_or("none");
    if root.name != "CIFTI" || !matches!(version, "2" | "2.0") {
        let hint = "CIFTI-2 is read: wb_command -file-convert -cifti-version-convert FILE 2 OTHER";
        return Err(bad(path, format!("`{}` of version {version}", root.name), hint));
    }
    let maps: Vec<&Element<'_>> = root.all("Matrix").flat_map(|matrix| matrix.all("MatrixIndicesMap")).collect();
    let of = |side: &str| {
        let own = |map: &&&Element<'_>| {
            map.attribute("AppliesToMatrixDimension").unwrap_or("").split(',').any(|s| s.trim() == side)
        };
        let map = maps.iter().find(own).ok_or_else(|| bad(path, format!("nothing about side {side}"), AGAIN))?;
        Ok((*map, kind(map)))
    };
    let ((rows, row_kind), (columns, column_kind)) = (of("0")?, of("1")?);
    if column_kind == "PARCELS" || row_kind == "PARCELS" {
        let hint = "give the dense file (.dscalar.nii, .dtseries.nii) that they were averaged from, or their numbers as a table: wb_command -cifti-convert -to-text";
        return Err(bad(path, "numbers of parcels, which are averages of places", hint));
    }
    if column_kind != "BRAIN_MODELS" || row_kind == "BRAIN_MODELS" {
        let hint = ".dscalar.nii, .dtseries.nii and .dlabel.nii are read";
        return Err(bad(path, format!("a matrix of {row_kind} x {column_kind}"), hint));
    }
    let maps = match row_kind {
        "SCALARS" => Maps::Scalars(rows.all("NamedMap").map(map_name).collect()),
        "SERIES" => series(rows, path)?,
        "LABELS" => Maps::Labels(rows.all("NamedMap").map(label_map).collect()),
        other => {
            return Err(bad(path, format!("rows of {other}"), ".dscalar.nii, .dtseries.nii and .dlabel.nii are read"));
        }
    };
    Ok((maps, places(columns, path)?))
}

/// Such as `SCALARS`.
fn kind<'e>(map: &'e Element<'_>) -> &'e str {
    let kind = map.attribute("IndicesMapToDataType").unwrap_or("");
    kind.strip_prefix("CIFTI_INDEX_TYPE_").unwrap_or(kind)
}

fn map_name(map: &Element<'_>) -> String {
    map.text_of("MapName").unwrap_or_default().to_owned()
}

fn label_map(map: &Element<'_>) -> LabelMap {
    let label = |e: &Element<'_>| Some((e.attribute("Key")?.trim().parse().ok()?, e.text.trim().to_owned()));
    let labels = map.child("LabelTable").into_iter().flat_map(|table| table.all("Label")).filter_map(label).collect();
    LabelMap { name: map_name(map), labels }
}

fn number<T: std::str::FromStr>(element: &Element<'_>, name: &str, path: &Path) -> Result<T> {
    let text = element.attribute(name).unwrap_or_default().trim();
    text.parse().map_err(|_| bad(path, format!("`{text}` as {name} of {}", element.name), AGAIN))
}

fn series(rows: &Element<'_>, path: &Path) -> Result<Maps> {
    let n = number(rows, "NumberOfSeriesPoints", path)?;
    let exponent: i32 = number(rows, "SeriesExponent", path)?;
    let step: f64 = number(rows, "SeriesStep", path)?;
    let in_time = rows.attribute("SeriesUnit").is_none_or(|unit| unit == "SECOND");
    let step_s = Some(step * 10f64.powi(exponent)).filter(|s| in_time && *s > 0.0 && s.is_finite());
    Ok(Maps::Series { n, step_s })
}

fn places(columns: &Element<'_>, path: &Path) -> Result<Grayordinates> {
    let grid = columns.child("Volume").map(|volume| grid(volume, path)).transpose()?;
    let mut parts: Vec<(usize, Part)> = vec![];
    for model in columns.all("BrainModel") {
        parts.push((number(model, "IndexOffset", path)?, part(model, path)?));
    }
    parts.sort_by_key(|(offset, _)| *offset);
    let mut next = 0;
    for (offset, part) in &parts {
        if *offset != next {
            return Err(bad(
                path,
                format!("`{}` from {offset} on, and {next} places before it", part.structure),
                AGAIN,
            ));
        }
        next += part.len();
    }
    Grayordinates::new(parts.into_iter().map(|(_, part)| part).collect(), grid).map_err(|e| match e {
        Error::Invalid { found, .. } => bad(path, found, AGAIN),
        other => other,
    })
}

/// A brain model.
fn part(model: &Element<'_>, path: &Path) -> Result<Part> {
    let n: usize = number(model, "IndexCount", path)?;
    let structure = model.attribute("BrainStructure").unwrap_or_default();
    let structure = structure.strip_prefix(STRUCTURE).unwrap_or(structure).to_owned();
    let indices = |name: &str| {
        let words = model.child(name).map_or("", |list| &list.text).split_ascii_whitespace();
        let read = |word: &str| word.parse::<u32>().map_err(|_| bad(path, format!("`{word}` in {name}"), AGAIN));
        words.map(read).collect::<Result<Vec<u32>>>()
    };
    let places = match model.attribute("ModelType").unwrap_or_default() {
        "CIFTI_MODEL_TYPE_SURFACE" => {
            Places::Vertices { n_vertices: n_vertices(model, path)?, vertices: indices("VertexIndices")? }
        }
        "CIFTI_MODEL_TYPE_VOXELS" => {
            let numbers = indices("VoxelIndicesIJK")?;
            let (voxels, rest) = numbers.as_chunks::<3>();
            if !rest.is_empty() {
                return Err(bad(path, format!("{} numbers for voxels of `{structure}`", numbers.len()), AGAIN));
            }
            Places::Voxels(voxels.to_vec())
        }
        other => return Err(bad(path, format!("a brain model of type `{other}`"), AGAIN)),
    };
    let part = Part { structure, places };
    if part.len() != n {
        let found = format!("{} places of `{}` where it says {n}", part.len(), part.structure);
        return Err(bad(path, found, AGAIN));
    }
    Ok(part)
}

/// Most vertices of a surface that is read: ten times the finest meshes in use.
const MOST_VERTICES: usize = 10_000_000;

fn n_vertices(model: &Element<'_>, path: &Path) -> Result<usize> {
    let n: usize = number(model, "SurfaceNumberOfVertices", path)?;
    if n > MOST_VERTICES { Err(bad(path, format!("a surface of {n} vertices"), AGAIN)) } else { Ok(n) }
}

fn grid(volume: &Element<'_>, path: &Path) -> Result<Grid> {
    let text = volume.attribute("VolumeDimensions").unwrap_or_default();
    let sides: Option<Vec<usize>> = text.split(',').map(|side| side.trim().parse().ok()).collect();
    let shape: Option<[usize; 3]> = sides.and_then(|sides| sides.try_into().ok());
    let fits = |shape: &[usize; 3]| size::product(*shape).is_some_and(|n| 0 < n && n <= MOST_VOXELS);
    let shape = shape.filter(fits).ok_or_else(|| bad(path, format!("a volume of `{text}` voxels"), AGAIN))?;
    let matrix = volume.child("TransformationMatrixVoxelIndicesIJKtoXYZ");
    let matrix = matrix.ok_or_else(|| bad(path, "a volume without its transformation", AGAIN))?;
    let exponent: i32 = number(matrix, "MeterExponent", path)?;
    let numbers: Option<Vec<f64>> = matrix.text.split_ascii_whitespace().map(|word| word.parse().ok()).collect();
    let numbers = numbers.filter(|list| list.len() == 16);
    let numbers = numbers.ok_or_else(|| bad(path, "a transformation that is not 16 numbers", AGAIN))?;
    let mm = 10f64.powi(exponent.saturating_add(3));
    let affine = Affine([0, 1, 2].map(|r| [0, 1, 2, 3].map(|c| numbers[4 * r + c] * mm)));
    if affine.determinant() == 0.0 || !affine.determinant().is_finite() {
        return Err(bad(path, format!("voxels without a volume ({affine})"), AGAIN));
    }
    Ok(Grid { shape, affine })
}

/// Most voxels of a volume that is read: 1000^3, far beyond any scan.
const MOST_VOXELS: usize = 1_000_000_000;
