//! Against NumPy, SciPy and PyTorch: `tests/golden/param.py`.

use super::aperture::Aperture;
use super::constraint::Constraint;
use super::fourier::{Fourier, FourierOptions};
use super::laplacian::LaplacianGradient;
use super::param::{Canvas, ImageParam, Init, render_array};
use super::transform::Transform;
use ndarray::{Array4, Ix2, Ix4};

struct Golden(crate::io::npz::Npz);

impl Golden {
    fn read() -> Self {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/param.npz");
        Self(crate::io::npz::read(&path).expect("the golden file is committed"))
    }

    fn images(&self, name: &str) -> Array4<f32> {
        self.0.get::<f32>(name).expect("a golden array").into_dimensionality::<Ix4>().expect("four axes")
    }

    /// Both sides are rounded to 32 bits; values are of order one.
    fn assert_close(&self, found: &Array4<f32>, name: &str, tolerance: f32) {
        let wanted = self.images(name);
        assert_eq!(found.dim(), wanted.dim(), "{name}");
        let worst = (found - &wanted).iter().fold(0.0f32, |m, d| m.max(d.abs()));
        assert!(worst < tolerance, "{name}: worst difference {worst}");
    }
}

#[test]
fn fourier_is_lucents() {
    let golden = Golden::read();
    for (name, height, width, decay, band_limit) in
        [("even", 12, 14, 1.0, None), ("odd", 11, 15, 0.7, None), ("band", 24, 20, 1.0, Some(0.18))]
    {
        let canvas = Canvas { n_images: 2, height, width, grey: false };
        let param = Fourier::new(canvas, FourierOptions { decay, band_limit }, &Init::Grey).expect("a good canvas");
        let leaf = golden.0.get::<f32>(&format!("fourier_{name}_leaf")).expect("a golden array");
        let leaf = leaf.into_dimensionality::<Ix2>().expect("two axes");
        assert_eq!(leaf.dim(), param.leaves()[0].dim(), "{name}");
        golden.assert_close(&render_array(&param, &[leaf]), &format!("fourier_{name}"), 2e-6);
    }
}

#[test]
fn transforms_are_scipys_and_torchs() {
    let golden = Golden::read();
    let images = golden.images("images");
    let cases = [
        ("blur", Transform { blur_sigma: 1.3, ..Transform::IDENTITY }),
        ("shift", Transform { shift: (1.25, -0.6), ..Transform::IDENTITY }),
        ("rescale", Transform { rescale: Some(0.95), ..Transform::IDENTITY }),
    ];
    for (name, transform) in cases {
        golden.assert_close(&transform.apply_array(&images), name, 1e-6);
    }
}

#[test]
fn laplacian_normalisation_is_deepdreams() {
    let golden = Golden::read();
    let gradient = golden.images("images").mapv(|v| v - 0.5);
    // Values go up to about 4, and each level is a difference of two filtered planes.
    golden.assert_close(&LaplacianGradient { n_levels: 3 }.apply(gradient.view()), "laplacian", 2e-5);
}

#[test]
fn constraint_is_solved_as_by_scipy() {
    let golden = Golden::read();
    let images = golden.images("images");
    let plain = Constraint { mean_luminance: 0.45, rms_contrast: 0.22, ..Default::default() };
    let aperture = Some(Aperture { diameter: 0.9, edge_px: 3.0, ..Aperture::default() });
    // Ours stops within 1e-6 of the targets.
    golden.assert_close(&plain.apply_array(&images), "constraint", 1e-5);
    golden.assert_close(&Constraint { aperture, ..Default::default() }.apply_array(&images), "constraint_disc", 1e-5);
}
