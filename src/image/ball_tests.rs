use super::*;
use crate::rng;
use proptest::prelude::*;

const NORMS: [Norm; 3] = [Norm::L1Mean, Norm::L2, Norm::Linf];

fn draw(seed: u64, n: usize) -> (Vec<f32>, Vec<f32>, Vec<u8>) {
    let mut stream = rng::stream(seed, "ball test", 0);
    let base: Vec<u8> =
        (0..n).map(|i| if i % 7 == 0 { 255 * (i % 2) as u8 } else { stream.below(256) as u8 }).collect();
    let centre: Vec<f32> = base.iter().map(|&b| f32::from(b) / 255.0).collect();
    let image = centre.iter().map(|&b| b + 0.3 * stream.normal() as f32).collect();
    (image, centre, base)
}

fn size(norm: Norm, image: &[f32], base: &[f32]) -> f64 {
    norm.of(image.iter().zip(base).map(|(&x, &b)| LEVELS * (f64::from(x) - f64::from(b))))
}

/// The nearest point of a convex set: no feasible point, and no mixture with one, is nearer
/// (variational inequality `<x - p, q - p> <= 0`).
#[test]
fn no_feasible_point_is_nearer() {
    for norm in NORMS {
        for seed in 0..5 {
            let (image, base, _) = draw(seed, 60);
            let epsilon = if norm == Norm::L2 { 80.0 } else { 10.0 };
            let mut p = image.clone();
            norm.project(&mut p, &base, epsilon);
            assert!(size(norm, &p, &base) <= epsilon * (1.0 + 1e-5), "{norm}: {}", size(norm, &p, &base));
            assert!(p.iter().all(|v| (0.0..=1.0).contains(v)));
            for other in 0..50 {
                let (mut q, _, _) = draw(100 + 50 * seed + other, 60);
                norm.project(&mut q, &base, epsilon);
                let inner: f64 = (0..60).map(|i| f64::from(image[i] - p[i]) * f64::from(q[i] - p[i])).sum();
                assert!(inner <= 1e-5, "{norm}, seed {seed}, other {other}: {inner}");
            }
        }
    }
}

#[test]
fn a_point_inside_stays() {
    for norm in NORMS {
        let (_, base, _) = draw(3, 30);
        let inside: Vec<f32> = base.iter().map(|&b| (b + 0.001).min(1.0)).collect();
        let mut p = inside.clone();
        norm.project(&mut p, &base, 5.0);
        assert_eq!(p, inside, "{norm}");
    }
}

#[test]
fn radii_are_checked() {
    assert!(Norm::L1Mean.check(0.0, 10).is_err() && Norm::Linf.check(256.0, 10).is_err());
    assert!(Norm::L2.check(300.0, 10).is_ok() && Norm::L2.check(f64::NAN, 10).is_err());
}

proptest! {
    #[test]
    fn the_file_respects_the_budget(seed in 0u64..500, epsilon in 0.05f64..40.0) {
        let (image, centre, base) = draw(seed, 90);
        for norm in NORMS {
            let mut p = image.clone();
            norm.project(&mut p, &centre, epsilon);
            let bytes = norm.round(&p, &base, epsilon);
            let found = norm.of(bytes.iter().zip(&base).map(|(&x, &b)| f64::from(x) - f64::from(b)));
            prop_assert!(found <= epsilon, "{norm}: {found} > {epsilon}");
            let nearest = p.iter().zip(&bytes).map(|(&x, &q)| (LEVELS * f64::from(x) - f64::from(q)).abs()).fold(0.0, f64::max);
            prop_assert!(nearest <= 1.0 + 1e-4, "{norm}: {nearest} levels from the image");
        }
    }
}

/// Changes of less than half a level everywhere: the file has the size that was asked for, not the base.
#[test]
fn small_perturbations_are_dithered() {
    let n = 30_000;
    let mut stream = rng::stream(8, "dither", 0);
    let base: Vec<u8> = (0..n).map(|_| 20 + stream.below(200) as u8).collect();
    let signs: Vec<f64> = (0..n).map(|_| stream.normal().signum()).collect();
    for (norm, epsilon, size) in
        [(Norm::L1Mean, 0.3, 0.3), (Norm::L1Mean, 1.4, 1.4), (Norm::L2, 60.0, 60.0 / (n as f64).sqrt())]
    {
        let image: Vec<f32> =
            base.iter().zip(&signs).map(|(&b, s)| ((f64::from(b) + size * s) / LEVELS) as f32).collect();
        let bytes = norm.round(&image, &base, epsilon);
        let moved = || bytes.iter().zip(&base).map(|(&x, &b)| f64::from(x) - f64::from(b));
        let found = norm.of(moved());
        assert!(found <= epsilon && found > 0.97 * epsilon, "{norm} {epsilon}: {found}");
        // In the direction that was asked for, and all over the image.
        assert!(moved().zip(&signs).all(|(d, s)| d * s >= 0.0));
        let half = moved().take(n / 2).filter(|d| *d != 0.0).count() as f64;
        let all = moved().filter(|d| *d != 0.0).count() as f64;
        assert!((half / all - 0.5).abs() < 0.03, "{half} of {all}");
    }
    // Less than a level in the largest difference cannot be written.
    let image: Vec<f32> = base.iter().map(|&b| (f64::from(b) + 0.4) as f32 / LEVELS as f32).collect();
    assert_eq!(Norm::Linf.round(&image, &base, 0.4), base);
}
