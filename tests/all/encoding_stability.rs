//! Preferred images against NumPy (`tests/golden/stability.py`).

use crate::support::near;
use ndarray::{Array2, Ix2};
use orthoscope::encoding::stability::{stability, top_images};
use orthoscope::io::npz;
use std::path::Path;

#[test]
fn preferred_images_are_as_alike_as_numpy_says() {
    let golden = npz::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/stability.npz")).unwrap();
    let matrix = |name: &str| golden.get::<f64>(name).unwrap().into_dimensionality::<Ix2>().unwrap();
    let vector = |name: &str| golden.get::<f64>(name).unwrap().iter().copied().collect::<Vec<_>>();
    let single = |name: &str| -> Array2<f32> { matrix(name).mapv(|v| v as f32) };
    let (features, weights) = (single("features"), single("weights"));
    let top = top_images(features.dot(&weights).view(), 10).unwrap();
    assert_eq!(top.mapv(|image| image as f64), matrix("top"));
    let found = stability(features.view(), weights.view(), 10).unwrap();
    near(found.clone(), &vector("stability"), 1e-9, "off the diagonal");
    near(found.iter().map(|r| 0.1 + 0.45 * r), &vector("triu"), 1e-9, "what MATLAB's triu makes of it");
}
