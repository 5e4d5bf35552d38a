use super::*;
use crate::data::{Affine, Grayordinates, Grid, Part, Places};
use ndarray::{Array2, array};
use std::path::PathBuf;

fn places() -> Grayordinates {
    let grid = Grid {
        shape: [2, 3, 4],
        affine: Affine([[-2.0, 0.0, 0.0, 90.0], [0.0, 2.5, 0.0, -126.0], [0.0, 0.0, 2.0, -72.5]]),
    };
    let vertices = |name: &str, list: &[u32]| Part {
        structure: name.into(),
        places: Places::Vertices { n_vertices: 5, vertices: list.to_vec() },
    };
    let voxels = Part { structure: "THALAMUS_LEFT".into(), places: Places::Voxels(vec![[0, 2, 3], [1, 0, 1]]) };
    Grayordinates::new(vec![vertices("CORTEX_LEFT", &[0, 2, 3]), vertices("CORTEX_RIGHT", &[4]), voxels], Some(grid))
        .unwrap()
}

fn values() -> Array2<f32> {
    array![[0.0, 1.0, 2.0, 3.0, 4.0, f32::MAX], [10.0, 11.0, 12.0, 13.0, 14.0, -15.5]]
}

fn file() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scores.dscalar.nii");
    write(&path, &places(), &["r", "R2 <held out>"], values().view()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    (dir, path, bytes)
}

#[test]
fn what_is_written_comes_back() {
    let (dir, path, bytes) = file();
    let found = read(&path).unwrap();
    assert_eq!(found.maps, Maps::Scalars(vec!["r".into(), "R2 <held out>".into()]));
    assert_eq!((&found.places, &found.values), (&places(), &values()));
    // The maps of one grayordinate lie together.
    let last: Vec<f32> =
        bytes[bytes.len() - 16..].chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    assert_eq!(last, [4.0, 14.0, f32::MAX, -15.5]);
    let names = ["a", "b"];
    assert!(write(&dir.path().join("a.nii"), &places(), &names, values().view()).is_err());
    assert!(write(&path, &places(), &names[..1], values().view()).is_err());
}

/// The file with another header text of the same length, or longer by what padding there is.
fn with(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(&bytes[552..bytes.len() - 48]).into_owned();
    assert!(text.contains(from), "{from}");
    let mut changed = text.replace(from, to).into_bytes();
    changed.resize(changed.len().next_multiple_of(16) + 8, 0);
    let mut out = bytes[..552].to_vec();
    out[544..548].copy_from_slice(&(8 + changed.len() as i32).to_le_bytes());
    out[168..176].copy_from_slice(&(552 + changed.len() as i64).to_le_bytes());
    out.extend(changed);
    out.extend(&bytes[bytes.len() - 48..]);
    out
}

#[test]
fn series_and_labels() {
    let (_dir, path, bytes) = file();
    let scalars = "IndicesMapToDataType=\"CIFTI_INDEX_TYPE_SCALARS\"";
    let series = "IndicesMapToDataType=\"CIFTI_INDEX_TYPE_SERIES\" NumberOfSeriesPoints=\"2\" SeriesExponent=\"-3\" SeriesStart=\"0\" SeriesStep=\"720\" SeriesUnit=\"SECOND\"";
    std::fs::write(&path, with(&bytes, scalars, series)).unwrap();
    assert_eq!(read(&path).unwrap().maps, Maps::Series { n: 2, step_s: Some(0.72) });
    std::fs::write(&path, with(&bytes, scalars, &series.replace("SECOND", "HERTZ"))).unwrap();
    assert_eq!(read(&path).unwrap().maps, Maps::Series { n: 2, step_s: None });
    let labels = with(&bytes, "TYPE_SCALARS", "TYPE_LABELS");
    let table = "<MapName>r</MapName><LabelTable><Label Key=\"3\">V1</Label></LabelTable>";
    std::fs::write(&path, with(&labels, "<MapName>r</MapName>", table)).unwrap();
    let Maps::Labels(maps) = read(&path).unwrap().maps else { panic!("labels") };
    assert_eq!(maps[0], LabelMap { name: "r".into(), labels: vec![(3, "V1".into())] });
}

#[test]
fn damaged_and_foreign_files_are_refused() {
    let (_dir, path, bytes) = file();
    for (from, to, words) in [
        ("TYPE_BRAIN_MODELS", "TYPE_PARCELS", "parcels"),
        ("TYPE_SCALARS", "TYPE_BRAIN_MODELS", "BRAIN_MODELS x BRAIN_MODELS"),
        ("Version=\"2\"", "Version=\"1\"", "version 1"),
        ("Dimension=\"1\"", "Dimension=\"2\"", "nothing about side 1"),
        ("<VertexIndices>0 2 3", "<VertexIndices>0 2", "2 places of `CORTEX_LEFT` where it says 3"),
        ("<VertexIndices>0 2 3", "<VertexIndices>0 2 5", "vertex 5 outside"),
        ("<VertexIndices>0 2 3", "<VertexIndices>0 2 -3", "`-3`"),
        ("<VertexIndices>0 2 3", "<VertexIndices>0 2 2", "twice"),
        ("IndexOffset=\"3\"", "IndexOffset=\"2\"", "from 2 on, and 3 places before"),
        ("0 2 3\n1 0 1<", "0 2 3\n1 0<", "5 numbers"),
        ("0 2 3\n1 0 1<", "0 2 3\n2 0 1<", "outside"),
        ("VolumeDimensions=\"2,3,4\"", "VolumeDimensions=\"2,3\"", "a volume of `2,3`"),
        ("VolumeDimensions=\"2,3,4\"", "VolumeDimensions=\"99999,99999,99999\"", "a volume of"),
        ("SurfaceNumberOfVertices=\"5\"", "SurfaceNumberOfVertices=\"99999999999\"", "99999999999 vertices"),
        ("0 0 0 1<", "0 0 0<", "not 16 numbers"),
        ("-2 0 0 90", "0 0 0 90", "without a volume"),
        ("<NamedMap><MapName>r</MapName></NamedMap>", "", "2 x 6 numbers, and 1 maps"),
        ("<CIFTI ", "<!DOCTYPE a [<!ENTITY b 'c'>]><CIFTI ", "defines entities"),
        ("</Matrix>", "", "damaged"),
    ] {
        std::fs::write(&path, with(&bytes, from, to)).unwrap();
        let error = read(&path).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
    let refuse = |bytes: &[u8], words: &str| {
        std::fs::write(&path, bytes).unwrap();
        let error = read(&path).unwrap_err();
        assert!(error.to_string().contains(words), "{words}: {error}");
    };
    refuse(&bytes[..bytes.len() - 1], "within volume");
    let mut other = bytes.clone();
    other[548] = 33;
    refuse(&other, "code 32");
    other[544..548].copy_from_slice(&i32::MAX.to_le_bytes());
    refuse(&other, "damaged ones");
    let mut other = bytes.clone();
    other[16] = 5;
    refuse(&other, "1 x 1 x 1 x 1 x n x m");
    let mut other = bytes;
    other[64..72].copy_from_slice(&(1i64 << 30).to_le_bytes());
    refuse(&other, "end of the file");
}
