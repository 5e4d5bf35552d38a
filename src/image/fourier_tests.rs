use super::super::param::render_array;
use super::super::testing::{check_gradient, normal};
use super::*;
use ndarray::Array4;
use std::f64::consts::TAU;

fn canvas(grey: bool, height: usize, width: usize) -> Canvas {
    Canvas { n_images: 2, height, width, grey }
}

fn noise() -> Init<'static> {
    Init::Noise { sd: Fourier::NOISE_SD, seed: 1, item: 0 }
}

#[test]
fn gradient_matches_finite_differences() {
    for (grey, height, width, band_limit) in [(false, 8, 10, Some(0.18)), (false, 7, 9, None), (true, 9, 6, Some(0.3))]
    {
        let options = FourierOptions { band_limit, ..Default::default() };
        let param = Fourier::new(canvas(grey, height, width), options, &noise()).expect("a good canvas");
        let n_values = param.leaves()[0].ncols();
        let x = normal("fourier", (2, n_values)).mapv(|v| 0.3 * v);
        // d sigmoid(l) = sigmoid (1 - sigmoid) dl; everything before it is linear.
        check_gradient(&x, 1e-5, 1e-8, |leaf| param.render(&[leaf]));
    }
}

#[test]
fn starts_near_grey_with_small_colourful_noise() {
    let param = Fourier::new(canvas(false, 64, 48), FourierOptions::default(), &noise()).expect("a good canvas");
    let images = render_array(&param, &param.leaves());
    assert_eq!(images.dim(), (2, 3, 64, 48));
    let mean = images.mean().expect("not empty");
    let sd = images.std(0.0);
    assert!((mean - 0.5).abs() < 0.02 && sd > 0.001 && sd < 0.02, "mean {mean}, sd {sd}");
    let difference = images.index_axis(Axis(0), 0).to_owned() - images.index_axis(Axis(0), 1);
    assert!(difference.iter().any(|d| d.abs() > 1e-3), "each image has its own noise");
}

/// Slow waves in the logits of each channel: inside the band.
fn smooth_images(height: usize, width: usize) -> Array4<f32> {
    Array4::from_shape_fn((2, 3, height, width), |(i, c, y, x)| {
        let (fy, fx) = (TAU * y as f64 / height as f64, TAU * x as f64 / width as f64);
        let logit = 0.4 * c as f64 - 0.3 + (fy + i as f64).sin() + 0.5 * (2.0 * fx - fy + c as f64).cos();
        (1.0 / (1.0 + (-logit).exp())) as f32
    })
}

#[test]
fn images_inside_the_band_are_reproduced() {
    for (height, width) in [(32, 24), (31, 25)] {
        let images = smooth_images(height, width);
        let init = Init::Images(images.view());
        let param =
            Fourier::new(canvas(false, height, width), FourierOptions::default(), &init).expect("a good canvas");
        let back = render_array(&param, &param.leaves());
        let worst = (&back - &images).iter().fold(0.0f32, |m, d| m.max(d.abs()));
        assert!(worst < 1e-5, "{height} x {width}: worst {worst}");
    }
}

#[test]
fn without_a_limit_any_image_is_reproduced() {
    let mut draws = crate::rng::stream(4, "any-image", 0);
    let images = Array4::from_shape_fn((2, 3, 12, 15), |_| draws.uniform_in(0.01, 0.99) as f32);
    let options = FourierOptions { band_limit: None, decay: 1.0 };
    let param = Fourier::new(canvas(false, 12, 15), options, &Init::Images(images.view())).expect("a good canvas");
    let back = render_array(&param, &param.leaves());
    let worst = (&back - &images).iter().fold(0.0f32, |m, d| m.max(d.abs()));
    assert!(worst < 1e-4, "worst {worst}");
}

#[test]
fn nothing_beyond_the_roll_off() {
    let limit = 0.1;
    let options = FourierOptions { band_limit: Some(limit), decay: 0.0 };
    let init = Init::Noise { sd: 0.01, seed: 3, item: 0 };
    let param = Fourier::new(canvas(true, 40, 40), options, &init).expect("a good canvas");
    let images = render_array(&param, &param.leaves());
    let logits =
        images.index_axis(Axis(0), 0).index_axis(Axis(0), 0).mapv(|v| (f64::from(v) / (1.0 - f64::from(v))).ln());
    let spectrum = fft2(&logits);
    let frequency =
        |u: usize, v: usize| (signed_frequency(u, 40) as f64 / 40.0).hypot(signed_frequency(v, 40) as f64 / 40.0);
    let largest = |beyond: bool| {
        let cells = spectrum.indexed_iter().filter(|((u, v), _)| (frequency(*u, *v) >= ROLL_OFF * limit) == beyond);
        cells.map(|(_, c)| c.norm()).fold(0.0, f64::max)
    };
    assert!(largest(true) < 1e-3 * largest(false), "{} beyond, {} inside", largest(true), largest(false));
}

#[test]
fn grey_images_have_three_equal_channels_and_start_from_luminance() {
    let images = smooth_images(24, 24);
    let param =
        Fourier::new(canvas(true, 24, 24), FourierOptions::default(), &Init::Images(images.view())).expect("good");
    let back = render_array(&param, &param.leaves());
    assert_eq!(back.index_axis(Axis(1), 0), back.index_axis(Axis(1), 2));
    let wanted = super::super::colour::luminance_plane(images.index_axis(Axis(0), 0));
    let shown = back.index_axis(Axis(0), 0).index_axis_move(Axis(0), 0);
    let worst = shown.indexed_iter().map(|(at, v)| (f64::from(*v) - wanted[at]).abs());
    assert!(worst.fold(0.0, f64::max) < 0.02, "luminance of a smooth image is nearly inside the band");
}

#[test]
fn grey_start_is_mid_grey_and_fewer_images_render() {
    let param = Fourier::new(canvas(false, 10, 12), FourierOptions::default(), &Init::Grey).expect("a good canvas");
    let first = param.leaves()[0].select(Axis(0), &[0]);
    let images = render_array(&param, &[first]);
    assert_eq!(images.dim(), (1, 3, 10, 12));
    assert!(images.iter().all(|&v| v == 0.5));
}

#[test]
fn the_smallest_canvases_are_rendered() {
    for (height, width) in [(2, 2), (3, 2), (2, 5), (4, 3)] {
        let options = FourierOptions { band_limit: None, decay: 1.0 };
        let images = Array4::from_shape_fn((2, 3, height, width), |(i, c, y, x)| {
            0.1 + 0.1 * ((3 * i + 5 * c + 7 * y + 2 * x) % 8) as f32
        });
        let init = Init::Images(images.view());
        let param = Fourier::new(canvas(false, height, width), options, &init).expect("a good canvas");
        let worst = (&render_array(&param, &param.leaves()) - &images).iter().fold(0.0f32, |m, d| m.max(d.abs()));
        assert!(worst < 1e-5, "{height} x {width}: {worst}");
    }
}

#[test]
fn threads_do_not_change_a_byte() {
    let param = Fourier::new(canvas(false, 40, 37), FourierOptions::default(), &noise()).expect("a good canvas");
    let constraint = crate::image::Constraint::default();
    let images = |n_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("a pool");
        pool.install(|| constraint.apply_array(&render_array(&param, &param.leaves())))
    };
    assert_eq!(images(1), images(3));
}

#[test]
fn bad_options_are_refused() {
    let new = |band_limit, decay| Fourier::new(canvas(false, 8, 8), FourierOptions { band_limit, decay }, &noise());
    assert!(new(Some(0.0), 1.0).is_err());
    assert!(new(Some(0.7), 1.0).is_err());
    assert!(new(None, f64::NAN).is_err());
    let wrong = Array4::zeros((1, 3, 8, 8));
    let found = Fourier::new(canvas(false, 8, 8), FourierOptions::default(), &Init::Images(wrong.view()));
    assert!(found.is_err_and(|e| e.to_string().contains("[1, 3, 8, 8]")));
}
