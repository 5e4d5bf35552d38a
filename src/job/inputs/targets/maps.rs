//! Numbers of targets as maps, in the format that their places came in.

use crate::data::{Grayordinates, Part, Place, Places};
use crate::error::{Error, Result};
use crate::io::gifti::{self, Intent};
use crate::io::{cifti, nifti};
use ndarray::{ArrayView2, Axis};
use std::path::{Path, PathBuf};

/// Writes maps of targets below `folder`, their names beginning with `stem`: voxels as one NIfTI
/// file a map (`stem_desc-NAME.nii.gz`), surfaces as GIFTI (`stem_hemi-L.func.gii`, one array a
/// map), grayordinates with voxels or a part of a surface's vertices as CIFTI (`stem.dscalar.nii`).
/// What is no target is NaN. Targets without a place make no map.
///
/// # Shapes
/// `values`: n_maps x n_targets; `names`: n_maps, letters and digits.
///
/// # Errors
/// [`Error::Invalid`] when the shapes do not fit; [`Error::Io`].
pub fn write(
    place: &Place,
    space: nifti::Space,
    (folder, stem): (&Path, &str),
    names: &[&str],
    values: ArrayView2<'_, f32>,
) -> Result<Vec<PathBuf>> {
    let Some(n_places) = place.n_places() else { return Ok(vec![]) };
    if values.dim() != (names.len(), n_places) {
        let expected = format!("{} maps of {n_places} targets", names.len());
        return Err(Error::invalid("maps", expected, format!("{:?}", values.dim()), ""));
    }
    match place {
        Place::Nowhere => Ok(vec![]),
        Place::Volume(mask) => {
            let one = |(name, row): (&&str, ndarray::ArrayView1<'_, f32>)| {
                let path = folder.join(format!("{stem}_desc-{name}.nii.gz"));
                nifti::write_volume(&path, &mask.unmask(&row.to_vec(), f32::NAN), space)?;
                Ok(path)
            };
            names.iter().zip(values.rows()).map(one).collect()
        }
        Place::Brain(brain) if brain.parts().iter().all(is_whole_surface) => {
            surfaces(brain, (folder, stem), names, values)
        }
        Place::Brain(brain) => {
            let path = folder.join(format!("{stem}.dscalar.nii"));
            cifti::write(&path, brain, names, values)?;
            Ok(vec![path])
        }
    }
}

/// Whether targets are all vertices of a surface, in their order, as GIFTI has them.
fn is_whole_surface(part: &Part) -> bool {
    match &part.places {
        Places::Vertices { n_vertices, vertices } => {
            vertices.len() == *n_vertices && vertices.iter().enumerate().all(|(i, &v)| v as usize == i)
        }
        Places::Voxels(_) => false,
    }
}

fn surfaces(
    brain: &Grayordinates,
    (folder, stem): (&Path, &str),
    names: &[&str],
    values: ArrayView2<'_, f32>,
) -> Result<Vec<PathBuf>> {
    let mut first = 0;
    let mut paths = vec![];
    for part in brain.parts() {
        let label = match part.structure.as_str() {
            "CORTEX_LEFT" => "hemi-L".to_owned(),
            "CORTEX_RIGHT" => "hemi-R".to_owned(),
            other => format!("structure-{}", other.chars().filter(char::is_ascii_alphanumeric).collect::<String>()),
        };
        let path = folder.join(format!("{stem}_{label}.func.gii"));
        let own = values.slice_axis(Axis(1), (first..first + part.len()).into());
        let rows: Vec<Vec<f32>> = own.rows().into_iter().map(|row| row.to_vec()).collect();
        let maps: Vec<(&str, &[f32])> = names.iter().copied().zip(rows.iter().map(Vec::as_slice)).collect();
        gifti::write(&path, &part.structure, &maps, Intent::None)?;
        paths.push(path);
        first += part.len();
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Affine, Grid, Mask};
    use ndarray::array;

    #[test]
    fn maps_are_of_the_format_that_their_places_came_in() {
        let dir = tempfile::tempdir().unwrap();
        let names = |place: &Place, n: usize| {
            let values = ndarray::Array2::from_shape_fn((2, n), |(m, t)| (10 * m + t) as f32);
            let paths = write(place, nifti::Space::Mni, (dir.path(), "s"), &["r", "r2"], values.view()).unwrap();
            paths.iter().map(|p| p.file_name().unwrap().to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        let grid = Grid { shape: [2, 2, 1], affine: Affine::scaling([2.0; 3]) };
        let mask = Mask::from_fn(grid, |v| v != 1).unwrap();
        assert_eq!(names(&Place::Volume(mask), 3), ["s_desc-r.nii.gz", "s_desc-r2.nii.gz"]);
        let volume = nifti::read_volume(&dir.path().join("s_desc-r2.nii.gz")).unwrap();
        assert!(volume.values()[1].is_nan() && volume.values()[2..] == [11.0, 12.0]);
        let both = vec![Part::surface("CORTEX_LEFT", 2), Part::surface("CORTEX_RIGHT", 3)];
        let brain = Place::Brain(Grayordinates::new(both, None).unwrap());
        assert_eq!(names(&brain, 5), ["s_hemi-L.func.gii", "s_hemi-R.func.gii"]);
        let right = gifti::read(&dir.path().join("s_hemi-R.func.gii")).unwrap();
        assert_eq!(right.arrays[1].numbers.to_f32(), [12.0, 13.0, 14.0]);
        let some = Places::Vertices { n_vertices: 9, vertices: vec![4, 5] };
        let some = vec![Part { structure: "CORTEX_LEFT".into(), places: some }];
        let brain = Place::Brain(Grayordinates::new(some, None).unwrap());
        assert_eq!(names(&brain, 2), ["s.dscalar.nii"]);
        assert!(names(&Place::Nowhere, 4).is_empty());
        let wrong = array![[1.0f32]];
        assert!(write(&brain, nifti::Space::Mni, (dir.path(), "s"), &["r"], wrong.view()).is_err());
    }
}
