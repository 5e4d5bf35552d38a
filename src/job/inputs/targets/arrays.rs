//! One file of targets, whatever its format.

use super::Block;
use super::config::{Axis, MaskOrder, Rows, TargetsConfig};
use crate::data::{Grayordinates, Mask, Part, Place};
use crate::error::{Error, Result};
use crate::io::gifti::{DataArray, Gifti};
use crate::io::{cifti, gifti, hdf5_arrays, nifti, npy, npz, number_table};
use crate::warning::Warning;
use ndarray::{Array2, Array3, ArrayD, Axis as Side, Ix3};
use std::path::Path;

/// Reads a file; `n_rows`: how many rows there are, if that is known.
pub(super) fn read(
    path: &Path,
    config: &TargetsConfig,
    n_rows: Option<usize>,
    warnings: &mut Vec<Warning>,
) -> Result<Block> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let ends = |ending: &str| name.ends_with(ending);
    if [".dscalar.nii", ".dtseries.nii", ".dlabel.nii", ".pscalar.nii", ".ptseries.nii"].iter().any(|e| ends(e)) {
        no_mask(config, "CIFTI")?;
        return of_cifti(path);
    }
    if ends(".nii") || ends(".nii.gz") {
        return of_nifti(path, config, warnings);
    }
    if ends(".gii") {
        no_mask(config, "GIFTI")?;
        return of_gifti(path, config.rows);
    }
    if ends(".csv") || ends(".tsv") {
        let table = number_table::read(path)?;
        let mut block = Block::nowhere(table.values.insert_axis(Side(2)));
        (block.names, block.ids) = (Some(table.columns), table.rows);
        return masked(block, config, warnings);
    }
    let (array, matlab) = if ends(".npy") {
        (npy::read::<f32>(path)?, false)
    } else if ends(".npz") {
        (of_npz(path, config.key.as_deref())?, false)
    } else if [".h5", ".hdf5", ".mat"].iter().any(|e| ends(e)) {
        let found = hdf5_arrays::read(path, config.key.as_deref())?;
        (found.values, found.matlab)
    } else {
        let expected = "npy, npz, h5, hdf5, mat, nii, nii.gz, gii, dscalar.nii, dtseries.nii, csv or tsv as the ending";
        return Err(Error::invalid("targets.files", expected, format!("`{}`", path.display()), ""));
    };
    let values = arranged(array, path, config, n_rows, matlab)?;
    masked(Block::nowhere(values), config, warnings)
}

fn no_mask(config: &TargetsConfig, format: &str) -> Result<()> {
    if config.mask.is_none() {
        return Ok(());
    }
    let hint = "the file says where its targets are: leave the mask out";
    Err(Error::invalid("targets.mask", format!("no mask with {format}"), "one", hint))
}

fn of_npz(path: &Path, key: Option<&str>) -> Result<ArrayD<f32>> {
    let archive = npz::read(path)?;
    let names: Vec<&str> = archive.names().collect();
    match (key, &names[..]) {
        (Some(key), _) => archive.get(key),
        (None, [only]) => archive.get(only),
        (None, several) => {
            let found = format!("`{}`", several.join("`, `"));
            Err(Error::invalid(
                path.display().to_string(),
                "the name of one array",
                found,
                "name it with `targets.key`",
            ))
        }
    }
}

/// Brings an array to n_rows x n_targets x n_repeats.
fn arranged(
    array: ArrayD<f32>,
    path: &Path,
    config: &TargetsConfig,
    n_rows: Option<usize>,
    matlab: bool,
) -> Result<Array3<f32>> {
    let shape = array.shape().to_vec();
    let shown =
        |note: &str| format!("{shape:?}{note}{}", if matlab { ", in MATLAB its `size` in reverse" } else { "" });
    let at = path.display().to_string();
    let array = match (shape.len(), config.axes.len()) {
        // A single target, or a single row: MATLAB has no array of one axis, NumPy has.
        (1, 0 | 2) => array.insert_axis(Side(usize::from(config.axes.first() != Some(&Axis::Targets)))),
        _ => array,
    };
    let axes = named_axes(array.shape(), config, n_rows, (&at, &shown))?;
    let place = |axis: Axis| axes.iter().position(|a| *a == axis);
    let (Some(rows), Some(targets)) = (place(Axis::Rows), place(Axis::Targets)) else {
        unreachable!("axes were checked, and guesses have both");
    };
    let three = match place(Axis::Repeats) {
        Some(repeats) => array.permuted_axes(vec![rows, targets, repeats]),
        None => array.permuted_axes(vec![rows, targets]).insert_axis(Side(2)),
    };
    let three = three.into_dimensionality::<Ix3>().expect("three axes");
    if three.is_empty() {
        return Err(Error::corrupt(path, "an array with numbers", shown(""), ""));
    }
    Ok(three)
}

/// The axes of an array of this shape: those that the configuration names, or the number of rows
/// tells.
fn named_axes(
    shape: &[usize],
    config: &TargetsConfig,
    n_rows: Option<usize>,
    (at, shown): (&str, &dyn Fn(&str) -> String),
) -> Result<Vec<Axis>> {
    let axes = &config.axes;
    if axes.is_empty() {
        return guessed(shape, n_rows).ok_or_else(|| {
            let expected = match n_rows {
                Some(n) => format!("one axis of {n} rows (as many as there are ids) and one of targets"),
                None => "the names of the axes".into(),
            };
            let hint =
                "say which is which: targets.axes = [\"rows\", \"targets\"], or [\"targets\", \"rows\", \"repeats\"]";
            Error::invalid(at, expected, shown(""), hint)
        });
    }
    if axes.len() != shape.len() {
        let found = shown(&format!(", {} axes", shape.len()));
        return Err(Error::invalid(at, format!("an array of {} axes, as `targets.axes` says", axes.len()), found, ""));
    }
    Ok(axes.clone())
}

/// The axes where the number of rows says which is which.
fn guessed(shape: &[usize], n_rows: Option<usize>) -> Option<Vec<Axis>> {
    match (shape, n_rows?) {
        (&[a, b], n) if a == n && b != n => Some(vec![Axis::Rows, Axis::Targets]),
        (&[a, b], n) if b == n && a != n => Some(vec![Axis::Targets, Axis::Rows]),
        _ => None,
    }
}

/// Targets of an array that are the voxels of a mask.
fn masked(block: Block, config: &TargetsConfig, warnings: &mut Vec<Warning>) -> Result<Block> {
    let Some(path) = &config.mask else { return Ok(block) };
    let (mask, said) = nifti::read_mask(path)?;
    let header = nifti::read_header(path)?;
    let n_targets = block.values.dim().1;
    if mask.n_voxels() != n_targets {
        let expected = format!("a mask of {n_targets} voxels, as many as there are targets");
        return Err(Error::invalid("targets.mask", expected, mask.n_voxels().to_string(), ""));
    }
    let order = config.mask_order.ok_or_else(|| {
        let hint = "`numpy` where it was data[mask] or a nilearn masker (last index fastest), `matlab` where it was data(mask) (first index fastest)";
        Error::invalid("targets.mask_order", "the order in which the mask's voxels stand in the array", "none", hint)
    })?;
    for warning in said {
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
    let columns = (order == MaskOrder::Numpy).then(|| numpy_ranks(&mask));
    let values = match &columns {
        None => block.values,
        Some(columns) => block.values.select(Side(1), columns),
    };
    let names = block.names.map(|names| in_order(names, columns.as_deref()));
    Ok(Block { values, names, columns, place: Place::Volume(mask), space: header.space, ..block })
}

/// What is known of the columns of a file, target by target.
pub(super) fn in_order<T: Clone>(of_columns: Vec<T>, columns: Option<&[usize]>) -> Vec<T> {
    columns.map_or_else(|| of_columns.clone(), |columns| columns.iter().map(|&c| of_columns[c].clone()).collect())
}

/// For each voxel of a mask, its number among all where the last index runs fastest.
fn numpy_ranks(mask: &Mask) -> Vec<usize> {
    let mut order: Vec<usize> = (0..mask.n_voxels()).collect();
    order.sort_by_key(|&rank| mask.grid().voxel(mask.voxels()[rank] as usize));
    let mut ranks = vec![0; order.len()];
    order.into_iter().enumerate().for_each(|(numpy, rank)| ranks[rank] = numpy);
    ranks
}

fn of_nifti(path: &Path, config: &TargetsConfig, warnings: &mut Vec<Warning>) -> Result<Block> {
    if config.mask_order.is_some() {
        let hint = "the image says where its voxels are: leave it out";
        return Err(Error::invalid("targets.mask_order", "no order with NIfTI images", "one", hint));
    }
    let file = nifti::read(path)?;
    let header = file.header().clone();
    let (mask, said) = match &config.mask {
        Some(mask) => nifti::read_mask(mask)?,
        None => (Mask::from_fn(header.grid, |_| true)?, vec![]),
    };
    for warning in said.into_iter().chain(header.warning(path)) {
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
    let values = file.masked(&mask)?.insert_axis(Side(2));
    Ok(Block { place: Place::Volume(mask), tr_s: header.tr_s, space: header.space, ..Block::nowhere(values) })
}

fn of_cifti(path: &Path) -> Result<Block> {
    let file = cifti::read(path)?;
    let (ids, tr_s) = match file.maps {
        cifti::Maps::Series { step_s, .. } => (None, step_s),
        cifti::Maps::Scalars(names) => {
            // Names that are empty or there twice name nothing.
            let distinct = crate::data::names::twice(names.iter().map(String::as_str)).is_none();
            (Some(names).filter(|names| distinct && names.iter().all(|n| !n.is_empty())), None)
        }
        cifti::Maps::Labels(_) => {
            return Err(Error::corrupt(path, "numbers of grayordinates", "labels", "labels are for `targets.rois`"));
        }
    };
    let place = Place::Brain(file.places);
    Ok(Block { place, ids, tr_s, ..Block::nowhere(file.values.insert_axis(Side(2))) })
}

fn of_gifti(path: &Path, rows: Rows) -> Result<Block> {
    let file = gifti::read(path)?;
    let values = surface_rows(&file, path)?;
    let structure = structure(&file, path)?;
    let ids = file.arrays.iter().map(|array| array.meta("Name").map(str::to_owned)).collect::<Option<Vec<String>>>();
    let distinct = |names: &Vec<String>| {
        names.len() == values.nrows() && crate::data::names::twice(names.iter().map(String::as_str)).is_none()
    };
    let ids = ids.filter(|names| rows == Rows::Stimuli && distinct(names) && names.iter().all(|n| !n.is_empty()));
    let brain = Grayordinates::new(vec![Part::surface(structure, values.ncols())], None)?;
    Ok(Block { place: Place::Brain(brain), ids, ..Block::nowhere(values.insert_axis(Side(2))) })
}

/// The structure of a surface: what the file says, else BIDS's `hemi-L`, else FreeSurfer's `lh.`.
pub(super) fn structure(file: &Gifti, path: &Path) -> Result<String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let said = || {
        let hemi = name.split('_').find_map(|part| part.strip_prefix("hemi-")?.chars().next());
        match hemi {
            Some('L') => Some("CORTEX_LEFT"),
            Some('R') => Some("CORTEX_RIGHT"),
            _ if name.starts_with("lh.") => Some("CORTEX_LEFT"),
            _ if name.starts_with("rh.") => Some("CORTEX_RIGHT"),
            _ => None,
        }
    };
    file.structure().or_else(|| said().map(str::to_owned)).ok_or_else(|| {
        let hint = "AnatomicalStructurePrimary = CortexLeft in the file (wb_command -set-structure), or a name with hemi-L or hemi-R";
        Error::corrupt(path, "the structure that the surface is of", "none", hint)
    })
}

/// Intents of arrays that are no data of vertices.
const GEOMETRY: [&str; 2] = ["NIFTI_INTENT_POINTSET", "NIFTI_INTENT_TRIANGLE"];

/// The arrays of a file as rows: one each, or the columns of a single one with two axes.
fn surface_rows(file: &Gifti, path: &Path) -> Result<Array2<f32>> {
    let bad = |found: String, hint: &str| Error::corrupt(path, "numbers of the vertices of a surface", found, hint);
    if let Some(array) = file.arrays.iter().find(|array| GEOMETRY.contains(&array.intent.as_str())) {
        return Err(bad(
            format!("its geometry ({})", array.intent),
            "give the data (.func.gii, .shape.gii), not the surface",
        ));
    }
    let side = |array: &DataArray| match array.shape[..] {
        [n] | [n, 1] => Some(n),
        _ => None,
    };
    if let [only] = &file.arrays[..]
        && let [n_vertices, n_rows] = only.shape[..]
        && n_rows > 1
    {
        let values = Array2::from_shape_vec((n_vertices, n_rows), only.numbers.to_f32());
        return Ok(values.expect("as many numbers as the shape says").reversed_axes());
    }
    let sides: Vec<Option<usize>> = file.arrays.iter().map(side).collect();
    let Some(Some(n_vertices)) = sides.first().copied() else {
        let found = file.arrays.first().map_or("no array".into(), |array| format!("an array of {:?}", array.shape));
        return Err(bad(found, "one array a map or time point"));
    };
    if let Some(other) = sides.iter().position(|n| *n != Some(n_vertices)) {
        let shape = &file.arrays[other].shape;
        return Err(bad(
            format!("{n_vertices} vertices in array 0 and {shape:?} in array {other}"),
            "one surface a file",
        ));
    }
    let mut values = Array2::zeros((file.arrays.len(), n_vertices));
    for (mut row, array) in values.rows_mut().into_iter().zip(&file.arrays) {
        row.iter_mut().zip(array.numbers.to_f32()).for_each(|(to, from)| *to = from);
    }
    Ok(values)
}
