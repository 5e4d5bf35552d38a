use super::super::testing::{check_gradient, normal, uniform_images};
use super::*;
use crate::tensor::constant;
use crate::tensor::{array, tensor};

const MIXED: Transform = Transform { shift: (1.3, -0.4), blur_sigma: 0.8, scale: 0.95, rescale: Some(0.9) };

#[test]
fn gradient_matches_finite_differences() {
    let x = normal("transform", (2, 3 * 6 * 8));
    check_gradient(&x, 1e-4, 1e-9, |leaf| MIXED.apply(leaf.reshape([2, 3, 6, 8])));
}

#[test]
fn tensors_and_arrays_agree() {
    let images = uniform_images("agree", (2, 3, 9, 7));
    let var = constant::<4>(tensor(images.view(), &Default::default()));
    let by_tensor = array(&MIXED.apply(var).inner());
    let by_array = MIXED.apply_array(&images).into_dyn();
    assert!((&by_tensor - &by_array).iter().all(|d| d.abs() < 1e-6));
}

#[test]
fn identity_is_exact() {
    let images = uniform_images("identity", (1, 3, 6, 7));
    assert_eq!(Transform::IDENTITY.apply_array(&images), images);
    let (ah, aw) = Transform::IDENTITY.matrices(6, 7);
    assert_eq!(apply_matrices(&images, &ah, &aw), images);
}

#[test]
fn whole_shifts_move_pixels() {
    let images = uniform_images("shift", (1, 1, 5, 6));
    let out = Transform { shift: (1.0, -2.0), ..Transform::IDENTITY }.apply_array(&images);
    for ((_, _, y, x), v) in out.indexed_iter() {
        assert_eq!(*v, images[(0, 0, y.saturating_sub(1), (x + 2).min(5))]);
    }
}

#[test]
fn an_even_image_stays_even() {
    let images = Array4::from_elem((1, 3, 12, 9), 0.37f32);
    for transform in PROBES.iter().map(|p| p.transform).chain([MIXED]) {
        let out = transform.apply_array(&images);
        assert!(out.iter().all(|v| (v - 0.37).abs() < 1e-6), "{}", transform.describe());
    }
}

#[test]
fn magnifying_moves_content_away_from_the_centre() {
    let images = Array4::from_shape_fn((1, 1, 1, 11), |(_, _, _, x)| f32::from(u8::from(x == 7)));
    let (_, aw) = Transform { scale: 1.5, ..Transform::IDENTITY }.matrices(1, 11);
    let out = apply_matrices(&images, &Array2::eye(1), &aw);
    // 2 pixels right of the centre 5 go to 3 pixels right of it.
    assert_eq!(out[(0, 0, 0, 8)], 1.0);
}

#[test]
fn draws_stay_in_their_ranges_and_repeat() {
    let options = JitterOptions::default();
    let draw = |item| Transform::draw(&mut crate::rng::stream(1, "jitter", item), &options);
    assert_eq!(draw(3), draw(3));
    assert_ne!(draw(3), draw(4));
    for item in 0..200 {
        let t = draw(item);
        assert!(t.shift.0.abs() <= 2.0 && t.shift.1.abs() <= 2.0 && (0.0..=1.3).contains(&t.blur_sigma));
        assert!((0.94..=1.04).contains(&t.scale) && t.rescale.is_none());
    }
    let off = Transform::draw(&mut crate::rng::stream(1, "jitter", 0), &JitterOptions::OFF);
    assert!(off.is_identity(), "{off:?}");
}

#[test]
fn bad_ranges_are_refused() {
    let base = JitterOptions::default();
    assert!(base.check().is_ok() && JitterOptions::OFF.check().is_ok());
    assert!(JitterOptions { jitter_px: -1.0, ..base }.check().is_err());
    assert!(JitterOptions { blur_px: f64::NAN, ..base }.check().is_err());
    assert!(JitterOptions { scale: (1.1, 0.9), ..base }.check().is_err());
    assert!(JitterOptions { scale: (0.0, 1.0), ..base }.check().is_err());
}

#[test]
fn rows_of_many_blocks_and_other_sizes_are_dense_products() {
    let images = uniform_images("blocks", (1, 2, 45, 70));
    let var = || constant::<4>(tensor(images.view(), &Default::default()));
    let (ah, aw) = Transform { shift: (1.3, -7.4), blur_sigma: 1.2, scale: 0.93, rescale: None }.matrices(45, 70);
    let cases = [(ah, aw), (super::kernel::resize(45, 61), super::kernel::resize(70, 33))];
    for (ah, aw) in cases {
        let found = array(&mix(var(), &ah, &aw).inner());
        let wanted = apply_matrices(&images, &ah, &aw).into_dyn();
        assert!((&found - &wanted).iter().all(|d| d.abs() < 1e-6), "{:?}", ah.dim());
    }
}
