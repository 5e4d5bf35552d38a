//! Writing.

use super::{CODE, STRUCTURE};
use crate::data::{Grayordinates, Part, Places};
use crate::error::{Error, Result};
use crate::io::{atomic, xml};
use ndarray::ArrayView2;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

const HEADER: usize = 540;
/// `NIFTI_INTENT_CONNECTIVITY_DENSE_SCALARS`.
const INTENT: i32 = 3006;

/// Writes maps of grayordinates as scalars (`.dscalar.nii`), 32-bit floats.
///
/// # Shapes
/// `values`: n_maps x n_grayordinates; `names`: n_maps.
///
/// # Errors
/// [`Error::Io`]; [`Error::Invalid`] when the shapes do not fit, or a name does not end in
/// `.dscalar.nii`, by which programs know what it is.
pub fn write(path: &Path, places: &Grayordinates, names: &[&str], values: ArrayView2<'_, f32>) -> Result<()> {
    let at = path.display().to_string();
    if !at.ends_with(".dscalar.nii") {
        return Err(Error::invalid(&at, "a name that ends in .dscalar.nii", "another", ""));
    }
    if values.dim() != (names.len(), places.len()) || names.is_empty() {
        let expected = format!("{} maps of {} grayordinates", names.len(), places.len());
        return Err(Error::invalid(at, expected, format!("{:?}", values.dim()), ""));
    }
    let mut xml = header(places, names).into_bytes();
    // Size, code and contents are a multiple of 16 bytes, as NIfTI has it.
    xml.resize((xml.len() + 8).next_multiple_of(16) - 8, 0);
    let offset = HEADER + 4 + 8 + xml.len();
    let header = nifti(values.dim(), offset);
    atomic::write_with(path, |file| {
        file.write_all(&header)?;
        file.write_all(&[1, 0, 0, 0])?;
        file.write_all(&(8 + xml.len() as i32).to_le_bytes())?;
        file.write_all(&CODE.to_le_bytes())?;
        file.write_all(&xml)?;
        values.columns().into_iter().flatten().try_for_each(|v| file.write_all(&v.to_le_bytes()))
    })
}

fn nifti((n_maps, n_places): (usize, usize), offset: usize) -> Vec<u8> {
    let mut bytes = vec![0u8; HEADER];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &(HEADER as i32).to_le_bytes());
    put(4, b"n+2\0\r\n\x1a\n");
    put(12, &16i16.to_le_bytes());
    put(14, &32i16.to_le_bytes());
    let sides = [6, 1, 1, 1, 1, n_maps as i64, n_places as i64, 1];
    sides.iter().enumerate().for_each(|(i, side)| put(16 + 8 * i, &side.to_le_bytes()));
    (0..8).for_each(|i| put(104 + 8 * i, &1f64.to_le_bytes()));
    put(168, &(offset as i64).to_le_bytes());
    put(176, &1f64.to_le_bytes());
    put(504, &INTENT.to_le_bytes());
    put(508, b"ConnDenseScalar");
    put(240, b"orthoscope");
    bytes
}

fn header(places: &Grayordinates, names: &[&str]) -> String {
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<CIFTI Version=\"2\"><Matrix>\
         <MatrixIndicesMap AppliesToMatrixDimension=\"0\" IndicesMapToDataType=\"CIFTI_INDEX_TYPE_SCALARS\">",
    );
    for name in names {
        let _ = write!(text, "<NamedMap><MapName>{}</MapName></NamedMap>", xml::escaped(name));
    }
    text.push_str(
        "</MatrixIndicesMap><MatrixIndicesMap AppliesToMatrixDimension=\"1\" \
         IndicesMapToDataType=\"CIFTI_INDEX_TYPE_BRAIN_MODELS\">",
    );
    if let Some(grid) = places.grid() {
        let [i, j, k] = grid.shape;
        let rows = grid.affine.0.map(|row| row.map(|v| v.to_string()).join(" ")).join("\n");
        let _ = write!(
            text,
            "<Volume VolumeDimensions=\"{i},{j},{k}\"><TransformationMatrixVoxelIndicesIJKtoXYZ MeterExponent=\"-3\">\
             {rows}\n0 0 0 1</TransformationMatrixVoxelIndicesIJKtoXYZ></Volume>"
        );
    }
    let mut offset = 0;
    for part in places.parts() {
        model(&mut text, part, offset);
        offset += part.len();
    }
    text.push_str("</MatrixIndicesMap></Matrix></CIFTI>\n");
    text
}

fn model(text: &mut String, part: &Part, offset: usize) {
    let structure = xml::escaped(&part.structure);
    let (kind, more) = match &part.places {
        Places::Vertices { n_vertices, .. } => ("SURFACE", format!(" SurfaceNumberOfVertices=\"{n_vertices}\"")),
        Places::Voxels(_) => ("VOXELS", String::new()),
    };
    let _ = write!(
        text,
        "<BrainModel IndexOffset=\"{offset}\" IndexCount=\"{}\" ModelType=\"CIFTI_MODEL_TYPE_{kind}\" \
         BrainStructure=\"{STRUCTURE}{structure}\"{more}>",
        part.len()
    );
    match &part.places {
        Places::Vertices { vertices, .. } => {
            let list: Vec<String> = vertices.iter().map(u32::to_string).collect();
            let _ = write!(text, "<VertexIndices>{}</VertexIndices>", list.join(" "));
        }
        Places::Voxels(voxels) => {
            let list: Vec<String> = voxels.iter().map(|v| v.map(|x| x.to_string()).join(" ")).collect();
            let _ = write!(text, "<VoxelIndicesIJK>{}</VoxelIndicesIJK>", list.join("\n"));
        }
    }
    text.push_str("</BrainModel>");
}
