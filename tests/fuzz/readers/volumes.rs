//! NIfTI, NumPy's arrays, betas in HDF5.

use super::{Input, Reader, any, written};
use crate::hdf5::with_checksums;
use hdf5_pure::FileBuilder;
use ndarray::{Array1, Array2, Array3, arr1, arr2};
use orthoscope::Result;
use orthoscope::data::{Affine, Grayordinates, Grid, Mask, Part, Places, Volume};
use orthoscope::io::nifti::{self, Datatype, Space};
use orthoscope::io::{cifti, gifti, glmsingle, hdf5_arrays as arrays_of_hdf5, npy, npz};
use orthoscope::rdm::files;
use orthoscope::rdm::{Measure, Rdm, measure};
use std::path::Path;

pub const READERS: &[Reader] = &[
    Reader::of_files("nifti", "volume.nii", volumes, read_nifti),
    Reader::of_files("nifti-gz", "volume.nii.gz", packed_volumes, read_nifti),
    Reader::of_bytes("npy", "array.npy", arrays, read_npy),
    Reader::of_files("npz", "arrays.npz", archives, read_npz),
    Reader::of_files("rdm-npy", "rdm.npy", squares, read_rdms),
    Reader::of_files("rdm-npz", "rdms.npz", layers, read_rdms),
    Reader::of_files("betas-hdf5", "betas.hdf5", betas, read_betas),
    Reader::of_files("arrays-hdf5", "arrays.h5", hdf5_arrays, read_hdf5_arrays),
    Reader::of_files("gifti", "surface.func.gii", surfaces, |input| gifti::read(input.path).map(drop)),
    Reader::of_files("cifti", "grayordinates.dscalar.nii", grayordinates, |input| cifti::read(input.path).map(drop)),
];

pub fn grid() -> Grid {
    Grid { shape: [3, 2, 2], affine: Affine::scaling([2.0; 3]) }
}

fn volume() -> Volume {
    Volume::new(grid(), (0..12).map(|v| (v % 5) as f32).collect()).expect("twelve voxels")
}

fn volumes() -> Vec<Vec<u8>> {
    nifti_files("volume.nii").into_iter().chain([first_version_big_endian(), second_version()]).collect()
}

fn packed_volumes() -> Vec<Vec<u8>> {
    nifti_files("volume.nii.gz")
}

fn nifti_files(name: &str) -> Vec<Vec<u8>> {
    let of = |datatype| {
        written(name, |path| nifti::write_volume_as(path, &volume(), Space::Scanner, datatype).expect("small numbers"))
    };
    let series: Vec<Vec<f32>> = (0..4).map(|t| (0..12).map(|v| (v * t) as f32 - 0.5).collect()).collect();
    let series: Vec<&[f32]> = series.iter().map(Vec::as_slice).collect();
    let in_time = written(name, |path| {
        nifti::write_series(path, &grid(), &series, Some(1.5), Space::Mni).expect("four volumes of twelve voxels");
    });
    [of(Datatype::U8), of(Datatype::I16), of(Datatype::I32), of(Datatype::F32), in_time].into()
}

/// NIfTI-1 with the most significant byte first: scaled int16, a quaternion.
fn first_version_big_endian() -> Vec<u8> {
    let mut bytes = vec![0u8; 352];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &348i32.to_be_bytes());
    [3i16, 3, 2, 2, 1, 1, 1, 1].iter().enumerate().for_each(|(i, n)| put(40 + 2 * i, &n.to_be_bytes()));
    put(70, &4i16.to_be_bytes());
    put(72, &16i16.to_be_bytes());
    [1.0f32, 2.0, 2.0, 2.0, 1.5].iter().enumerate().for_each(|(i, v)| put(76 + 4 * i, &v.to_be_bytes()));
    put(108, &352f32.to_be_bytes());
    put(112, &0.5f32.to_be_bytes());
    put(116, &1f32.to_be_bytes());
    put(123, &[2 | 8]);
    put(252, &1i16.to_be_bytes());
    put(256, &0.5f32.to_be_bytes());
    put(344, b"n+1\0");
    bytes.extend((0..12i16).flat_map(i16::to_be_bytes));
    bytes
}

/// NIfTI-2: a series of two volumes of float64.
fn second_version() -> Vec<u8> {
    let mut bytes = vec![0u8; 544];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &540i32.to_le_bytes());
    put(4, b"n+2\0\r\n\x1a\n");
    put(12, &64i16.to_le_bytes());
    put(14, &64i16.to_le_bytes());
    [4i64, 3, 2, 2, 2, 1, 1, 1].iter().enumerate().for_each(|(i, n)| put(16 + 8 * i, &n.to_le_bytes()));
    [1.0f64, 2.0, 2.0, 2.0, 1.5].iter().enumerate().for_each(|(i, v)| put(104 + 8 * i, &v.to_le_bytes()));
    put(168, &544i64.to_le_bytes());
    put(348, &1i32.to_le_bytes());
    (0..3).for_each(|row| put(400 + 32 * row + 8 * row, &2f64.to_le_bytes()));
    put(500, &(2i32 | 8).to_le_bytes());
    bytes.extend((0..24).flat_map(|v| f64::from(v).to_le_bytes()));
    bytes
}

fn read_nifti(input: &Input<'_>) -> Result<()> {
    let path = input.path;
    let series = || {
        let mut file = nifti::read(path)?;
        for _ in 0..file.header().n_volumes {
            file.next_volume()?;
        }
        Ok(())
    };
    let masked = || {
        let mask = Mask::from_fn(grid(), |v| v % 2 == 0)?;
        nifti::read(path)?.masked(&mask).map(drop)
    };
    any([
        nifti::read_header(path).map(|header| drop(header.warning(path))),
        series(),
        masked(),
        nifti::read_volume(path).map(drop),
        nifti::read_mask(path).map(drop),
        nifti::read_labels(path).map(drop),
    ])
}

fn arrays() -> Vec<Vec<u8>> {
    let columns = Array2::from_shape_vec(ndarray::ShapeBuilder::f((3, 2)), vec![1.0f32; 6]).expect("six numbers");
    vec![
        npy::encode(&arr2(&[[1.0f64, 2.0, f64::NAN], [4.0, 5.0, 6.0]])),
        npy::encode(&columns),
        npy::encode(&Array3::<u8>::zeros((2, 3, 4))),
        npy::encode(&arr1(&[1i64, -2, 3])),
        npy::encode(&arr1(&[true, false])),
        npy::encode(&arr1(&[1i16, -2, 3])),
    ]
}

fn read_npy(input: &Input<'_>) -> Result<()> {
    let (bytes, path) = (input.bytes, input.path);
    any([
        npy::decode::<f32>(bytes, path).map(drop),
        npy::decode::<f64>(bytes, path).map(drop),
        npy::decode::<u8>(bytes, path).map(drop),
        npy::decode::<i64>(bytes, path).map(drop),
        npy::decode::<bool>(bytes, path).map(drop),
        npy::kind(bytes, path).map(drop),
    ])
}

fn archives() -> Vec<Vec<u8>> {
    let one = npz::NpzWriter::new().add("mixed4a/relu", &Array2::<f32>::ones((2, 3))).add("b", &arr1(&[1i64, 2]));
    let two = npz::NpzWriter::new().add("a", &Array1::<f64>::ones(40));
    [one, two].iter().map(|w| written("a.npz", |path| w.write(path).expect("two names"))).collect()
}

fn read_npz(input: &Input<'_>) -> Result<()> {
    let file = npz::read(input.path)?;
    file.all::<f64>()?;
    Ok(())
}

fn square(n: usize) -> Array2<f64> {
    Array2::from_shape_fn((n, n), |(i, j)| if i == j { 0.0 } else { 0.1 * (i + j) as f64 })
}

fn squares() -> Vec<Vec<u8>> {
    let stack = Array3::from_shape_fn((3, 4, 4), |(s, i, j)| (1 + s) as f64 * square(4)[[i, j]]);
    vec![npy::encode(&square(5)), npy::encode(&stack), npy::encode(&Array2::<f32>::ones((2, 6)))]
}

/// RDMs of five images by correlation, as a run directory holds them.
pub fn layers() -> Vec<Vec<u8>> {
    let layer = |turn: usize| {
        let patterns = Array2::from_shape_fn((5, 7), |(i, j)| ((i * i + turn * j * (i + 1)) * 37 % 23) as f32);
        measure::rdm(patterns.view(), Measure::Correlation, Rdm::default_labels(5)).expect("patterns that vary")
    };
    let layers = [("conv/1".to_owned(), layer(1)), ("conv2".to_owned(), layer(3))];
    vec![written("rdms.npz", |path| files::rdms_npz(&layers).expect("one size").write(path).expect("two names"))]
}

fn read_rdms(input: &Input<'_>) -> Result<()> {
    let path = input.path;
    any([
        files::load_rdms(path, None, None).map(drop),
        files::load_subjects(path, 5).map(drop),
        files::read_rdms_npz(path).map(drop),
    ])
}

fn betas() -> Vec<Vec<u8>> {
    let values: Vec<f32> = (0..60).map(|v| v as f32 * 0.25).collect();
    let whole: Vec<i16> = (0..60).map(|v| 300 * v).collect();
    let mut plain = FileBuilder::new();
    plain.create_dataset("betasmd").with_f32_data(&values).with_shape(&[3, 2, 2, 5]);
    plain.create_dataset("R2").with_f32_data(&values[..12]).with_shape(&[3, 2, 2]);
    let mut divided = FileBuilder::new();
    divided.create_dataset("betas").with_i16_data(&whole).with_shape(&[5, 2, 2, 3]);
    let mut packed = FileBuilder::new();
    packed
        .create_dataset("betasmd")
        .with_f32_data(&values)
        .with_shape(&[3, 2, 2, 5])
        .with_chunks(&[3, 2, 1, 5])
        .with_deflate(1);
    let files = [plain, divided, packed].map(|file| file.finish().expect("arrays with shapes"));
    for file in &files {
        let mut again = file.clone();
        with_checksums(&mut again);
        assert!(again == *file, "checksums are put as HDF5 does");
    }
    files.into()
}

fn read_betas(input: &Input<'_>) -> Result<()> {
    let mask = Mask::from_fn(grid(), |v| v < 8)?;
    glmsingle::read(input.path, &mask).map(drop)
}

/// A mask of the [`grid`].
pub fn write_mask(path: &Path) {
    let inside = Volume::filled(grid(), 1.0);
    nifti::write_volume_as(path, &inside, Space::Scanner, Datatype::U8).expect("ones");
}

fn hdf5_arrays() -> Vec<Vec<u8>> {
    let mut file = FileBuilder::new();
    file.create_dataset("rt").with_f32_data(&[1.0, f32::NAN, 3.0, 4.0]).with_shape(&[2, 2]);
    let mut group = file.create_group("roi");
    group.create_dataset("v1").with_u8_data(&[0, 1]).with_shape(&[2, 1]);
    file.add_group(group.finish());
    vec![file.finish().expect("numbers and a group")]
}

fn read_hdf5_arrays(input: &Input<'_>) -> Result<()> {
    any([
        arrays_of_hdf5::read(input.path, Some("rt")).map(drop),
        arrays_of_hdf5::read(input.path, None).map(drop),
        arrays_of_hdf5::masks(input.path, "roi", 2).map(drop),
    ])
}

fn surfaces() -> Vec<Vec<u8>> {
    let maps: [(&str, &[f32]); 2] = [("r", &[0.5, f32::NAN, 3.0]), ("<r2>", &[1.0, 2.0, 3.0])];
    let packed = written("a.func.gii", |path| {
        gifti::write(path, "CORTEX_LEFT", &maps, gifti::Intent::TimeSeries).expect("three vertices");
    });
    let array = |encoding: &str, data: &str| {
        format!(
            "<?xml version=\"1.0\"?><!DOCTYPE GIFTI SYSTEM \"gifti.dtd\"><GIFTI NumberOfDataArrays=\"1\"><LabelTable>\
             <Label Key=\"1\">V1</Label></LabelTable><DataArray DataType=\"NIFTI_TYPE_INT32\" \
             ArrayIndexingOrder=\"ColumnMajorOrder\" Dimensionality=\"2\" Dim0=\"2\" Dim1=\"1\" Encoding=\"{encoding}\" \
             Endian=\"BigEndian\"><Data>{data}</Data></DataArray></GIFTI>"
        )
        .into_bytes()
    };
    vec![packed, array("ASCII", "1 -7"), array("Base64Binary", "AAAAAQAAAAI=")]
}

fn grayordinates() -> Vec<Vec<u8>> {
    let cortex =
        Part { structure: "CORTEX_LEFT".into(), places: Places::Vertices { n_vertices: 9, vertices: vec![0, 8] } };
    let thalamus = Part { structure: "THALAMUS_LEFT".into(), places: Places::Voxels(vec![[2, 1, 1]]) };
    let places = Grayordinates::new(vec![cortex, thalamus], Some(grid())).expect("places inside");
    let values = arr2(&[[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]]);
    vec![written("a.dscalar.nii", |path| {
        cifti::write(path, &places, &["r", "r2"], values.view()).expect("two maps of three places");
    })]
}
