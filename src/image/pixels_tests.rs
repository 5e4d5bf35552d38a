use super::super::param::render_array;
use super::super::testing::{check_gradient, normal, uniform_images};
use super::*;
use crate::tensor::{Precision, array_f64, tensor_f64};

const CANVAS: Canvas = Canvas { n_images: 2, height: 6, width: 5, grey: false };

#[test]
fn gradient_matches_finite_differences_inside_the_range() {
    for grey in [false, true] {
        let param = Pixels::new(Canvas { grey, ..CANVAS }, GradientRule::Plain, &Init::Grey).expect("a good canvas");
        let x = normal("pixels", (2, param.leaves()[0].ncols())).mapv(|v| 0.5 + 0.1 * v.tanh());
        check_gradient(&x, 1e-5, 1e-9, |leaf| param.render(&[leaf]));
    }
}

#[test]
fn a_pixel_beyond_the_range_still_has_a_gradient() {
    let param = Pixels::new(CANVAS, GradientRule::Plain, &Init::Grey).expect("a good canvas");
    let x = crate::tensor::leaf::<2>(tensor_f64(
        Array2::from_elem((2, 90), 1.5).view(),
        Precision::F64,
        &Default::default(),
    ));
    let images = param.render(std::slice::from_ref(&x));
    assert!(array_f64(&images.clone().inner()).iter().all(|&v| v == 1.0));
    let gradients = images.sum().backward();
    let gradient = array_f64(&x.grad(&gradients).expect("the leaf is in the expression"));
    assert!(gradient.iter().all(|&g| g == 1.0));
}

#[test]
fn given_images_are_shown_as_they_are() {
    let images = uniform_images("pixels-init", (2, 3, 6, 5));
    let param = Pixels::new(CANVAS, GradientRule::Plain, &Init::Images(images.view())).expect("a good canvas");
    assert_eq!(render_array(&param, &param.leaves()), images);
}

#[test]
fn projection_is_idempotent_and_in_range() {
    let param = Pixels::new(CANVAS, GradientRule::Plain, &Init::Grey).expect("a good canvas");
    let mut once = [normal("project", (2, 90)).mapv(|v| v as f32)];
    param.project(&mut once, &[0, 1], 1);
    let mut twice = once.clone();
    param.project(&mut twice, &[0, 1], 2);
    assert_eq!(once, twice);
    assert!(once[0].iter().all(|v| (0.0..=1.0).contains(v)));
}

#[test]
fn images_are_blurred_when_it_is_their_turn() {
    let param = Pixels::new(CANVAS, GradientRule::Plain, &Init::Grey).expect("a good canvas");
    let param = param.with_relax(Relax { every: 3, sigma: 1.0 });
    let start = [uniform_images("relax", (2, 3, 6, 5)).into_shape_with_order((2, 90)).expect("90 values")];
    for step in 1..=8 {
        let mut leaves = start.clone();
        assert_eq!(param.relax(&mut leaves, step), [4, 7].contains(&step));
        assert_eq!(leaves == start, ![4, 7].contains(&step), "step {step}");
    }
}

#[test]
fn conditioned_gradients_do_not_depend_on_scale() {
    let rules = [GradientRule::Laplacian(LaplacianGradient { n_levels: 2 }), GradientRule::Smooth { sigma: 1.0 }];
    for rule in rules {
        let param =
            Pixels::new(Canvas { height: 16, width: 16, ..CANVAS }, rule.clone(), &Init::Grey).expect("a good canvas");
        let g = normal("condition", (2, 768));
        let condition = |factor: f64| {
            let mut gradient = [g.mapv(|v| (factor * v) as f32)];
            param.condition(&mut gradient, &[0, 1]);
            gradient[0].clone()
        };
        let (a, b) = (condition(1e3), condition(1e6));
        assert!((&a - &b).iter().all(|d| d.abs() < 1e-4), "{rule:?}");
        assert!(a.iter().any(|v| v.abs() > 0.1));
    }
}

#[test]
fn octaves_end_at_the_wanted_size() {
    assert_eq!(octave_sizes(224, 224, 3, 1.4), [[114, 114], [160, 160], [224, 224]]);
    let images = Array4::from_elem((1, 3, 114, 114), 0.25f32);
    let up = resample_bilinear(&images, 160, 160);
    assert_eq!(up.dim(), (1, 3, 160, 160));
    assert!(up.iter().all(|v| (v - 0.25).abs() < 1e-6));
}
