use super::super::hygiene::achieved;
use super::super::testing::{check_gradient, normal, uniform_images};
use super::*;
use crate::image::quantize::{dequantize, quantize};
use ndarray::Array2;
use proptest::prelude::*;

fn variants() -> Vec<Constraint> {
    let aperture = Some(Aperture { diameter: 0.9, edge_px: 3.0, ..Aperture::default() });
    vec![
        Constraint::default(),
        Constraint { rms_contrast: 0.3, ..Default::default() },
        Constraint { aperture, ..Default::default() },
        Constraint { light: Light::Linear, mean_luminance: 0.25, rms_contrast: 0.15, aperture, ..Default::default() },
    ]
}

/// Images of very different mean and contrast.
fn wild_images(n: usize, side: usize) -> Array4<f32> {
    let mut images = uniform_images("wild", (n, 3, side, side));
    for (i, mut image) in images.outer_iter_mut().enumerate() {
        let (low, range) = [(0.0, 1.0), (0.9, 0.1), (0.0, 0.05), (0.4, 0.01)][i % 4];
        image.mapv_inplace(|v| low + range * v.powi(1 + (i as i32 % 3)));
    }
    images
}

#[test]
fn gradient_matches_finite_differences() {
    let (n, side) = (2, 7);
    let x = normal("constraint", (n, 3 * side * side)).mapv(|v| 0.5 + 0.2 * (0.7 * v).tanh());
    for constraint in variants() {
        // Includes how gain and offset move with every pixel, and compressed pixels.
        check_gradient(&x, 1e-5, 2e-6, |leaf| constraint.apply(leaf.reshape([n, 3, side, side])));
    }
}

#[test]
fn a_hard_clip_has_its_gradient_too() {
    let x = normal("hard", (1, 3 * 36)).mapv(|v| 0.5 + 0.2 * v);
    let constraint = Constraint { knee: 0.0, rms_contrast: 0.3, ..Default::default() };
    check_gradient(&x, 1e-6, 1e-5, |leaf| constraint.apply(leaf.reshape([1, 3, 6, 6])));
}

#[test]
fn unreachable_contrast_has_the_gradient_at_fixed_gain() {
    // One bright pixel in 36 cannot have a standard deviation of 0.2; the mean is still held.
    let constraint = Constraint { rms_contrast: 0.2, ..Default::default() };
    let mut image = Array4::from_elem((1, 3, 6, 6), 0.2f32);
    (0..3).for_each(|c| image[(0, c, 2, 3)] = 0.9);
    let out = constraint.apply_array(&image);
    let s = achieved(&out, &Array2::ones((6, 6)), Light::Encoded)[0];
    assert!((s.mean_luminance - 0.5).abs() < 1e-4 && s.rms_contrast < 0.2, "{s:?}");
    assert!(out.iter().all(|v| (0.0..=1.0).contains(v)));
}

#[test]
fn wild_images_become_equal() {
    let images = wild_images(8, 24);
    for constraint in variants() {
        let out = constraint.apply_array(&images);
        let weights = constraint.weights(24, 24);
        assert!(out.iter().all(|v| (0.0..=1.0).contains(v)));
        for s in achieved(&out, &weights, constraint.light) {
            assert!((s.mean_luminance - constraint.mean_luminance).abs() < 2e-6, "{s:?}");
            assert!((s.rms_contrast - constraint.rms_contrast).abs() < 2e-6, "{s:?}");
        }
        // An 8-bit step is 0.004; errors of rounding average out over pixels.
        for s in achieved(&dequantize(&quantize(&out)), &weights, constraint.light) {
            assert!((s.mean_luminance - constraint.mean_luminance).abs() < 5e-4, "{s:?}");
            assert!((s.rms_contrast - constraint.rms_contrast).abs() < 5e-4, "{s:?}");
        }
    }
}

#[test]
fn both_widths_find_the_same_images() {
    let images = wild_images(4, 37);
    for constraint in variants() {
        let narrow = constraint.apply_array(&images);
        let var = crate::tensor::constant::<4>(crate::tensor::tensor_f64(
            images.mapv(f64::from).view(),
            Precision::F64,
            &Default::default(),
        ));
        let wide = crate::tensor::array_f64(&constraint.apply(var).inner());
        let worst = narrow.iter().zip(&wide).fold(0.0f64, |m, (&a, &b)| m.max((f64::from(a) - b).abs()));
        // 32 bits stop within 1e-6 of the targets; the steepest image is amplified by 70.
        assert!(worst < 1e-5, "{worst}");
    }
}

#[test]
fn even_images_get_the_mean_and_stay_finite() {
    let images = Array4::from_elem((2, 3, 8, 8), 0.9f32);
    let out = Constraint::default().apply_array(&images);
    assert!(out.iter().all(|v| (v - 0.5).abs() < 1e-6));
}

#[test]
fn outside_the_aperture_is_background() {
    let aperture = Aperture { diameter: 0.8, edge_px: 2.0, background: 0.4, ..Aperture::default() };
    let constraint = Constraint { aperture: Some(aperture), ..Default::default() };
    let out = constraint.apply_array(&wild_images(1, 20));
    assert!((out[(0, 1, 0, 0)] - 0.4).abs() < 1e-6);
}

#[test]
fn both_paths_agree() {
    let images = wild_images(3, 10);
    let constraint = Constraint::default();
    let var = crate::tensor::constant::<4>(crate::tensor::tensor(images.view(), &Default::default()));
    let by_tensor = crate::tensor::array(&constraint.apply(var).inner());
    let by_array = constraint.apply_array(&images).into_dyn();
    assert_eq!(by_tensor, by_array);
}

proptest! {
    #[test]
    fn applying_twice_changes_little(mean in 0.3f64..0.7, contrast in 0.05f64..0.2) {
        // The knee compresses what it has compressed before: a second application moves only those
        // pixels.
        let constraint = Constraint { mean_luminance: mean, rms_contrast: contrast, knee: 0.0, ..Default::default() };
        let once = constraint.apply_array(&wild_images(2, 12));
        let twice = constraint.apply_array(&once);
        prop_assert!((&once - &twice).iter().all(|d| d.abs() < 1e-5));
    }
}

#[test]
fn impossible_targets_are_refused() {
    let bad = |mean_luminance, rms_contrast| {
        Constraint { mean_luminance, rms_contrast, ..Default::default() }.check().is_err()
    };
    assert!(bad(0.0, 0.1) && bad(0.5, 0.5) && bad(0.1, 0.35) && bad(f64::NAN, 0.1) && bad(0.5, 0.0));
    assert!(Constraint { knee: 0.4, ..Default::default() }.check().is_err());
    assert!(variants().iter().all(|c| c.check().is_ok()));
}
