use super::*;

fn numbers(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

fn sets() -> Vec<Kernels> {
    crate::isa::available().iter().map(|set| Kernels::named(set.name).unwrap()).collect()
}

#[test]
fn gram_is_its_definition_on_every_instruction_set() {
    for kernels in sets() {
        for (n, n_k) in [(5, 3), (16, 40), (33, 300), (92, 515)] {
            let stride = padded(n);
            let matrix = numbers(600 * stride, 7);
            let voxels: Vec<u32> = (0..n_k as u32).map(|k| (k * 7) % 600).collect();
            let (mut panels, mut means) = (vec![0.0; n_k * stride], vec![0.0; stride]);
            let mut sums = vec![0.0; stride];
            kernels.means(&mut means, &matrix, &voxels);
            kernels.gather(&mut panels, &means, &mut sums, &matrix, &voxels, 1.0);
            assert!(sums.iter().all(|s| s.abs() < 1e-4), "nothing is left of the means");
            let at = |k: usize, i: usize| f64::from(matrix[voxels[k] as usize * stride + i]);
            let mean = |i: usize| (0..n_k).map(|k| at(k, i)).sum::<f64>() / n_k as f64;
            let expected = |i: usize, j: usize| {
                let (mi, mj) = (mean(i), mean(j));
                (0..n_k).map(|k| (at(k, i) - mi) * (at(k, j) - mj)).sum::<f64>()
            };
            for upper in [true, false] {
                let mut out = vec![f32::NAN; stride * stride];
                kernels.gram(&mut out, [&panels, &panels], n_k, stride, upper, Into::Set);
                kernels.gram(&mut out, [&panels, &panels], n_k, stride, upper, Into::Add);
                kernels.gram(&mut out, [&panels, &panels], n_k, stride, upper, Into::Subtract);
                for (i, j) in [(0, 0), (1, n - 1), (n / 2, n / 2), (n - 2, n - 1), (n / 3, n / 2)] {
                    let found = f64::from(out[i * stride + j]);
                    let wrong = (found - expected(i, j)).abs();
                    assert!(wrong < 1e-4, "{} {n} {n_k} ({i}, {j}): {found}", kernels.name);
                }
            }
        }
    }
}

#[test]
fn distances_are_condensed_row_by_row() {
    for kernels in sets() {
        let (n, stride) = (5, 16);
        let gram = numbers(stride * stride, 3);
        let (scale, shift) = (numbers(n, 4), numbers(n, 5));
        let mut out = vec![0.0; 10];
        let pairs: Vec<(usize, usize)> = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))).collect();
        let g = |i: usize, j: usize| gram[i * stride + j];
        for form in [Form::Normalised { offset: 1.0 }, Form::Squared { scale: 0.5 }, Form::Crossed { scale: 0.1 }] {
            kernels.distances(&mut out, &gram, stride, [&scale, &shift], form);
            for (&(i, j), &found) in pairs.iter().zip(&out) {
                let (s, t) = (scale[i], scale[j]);
                let expected = match form {
                    Form::Normalised { offset } => offset + shift[i] * shift[j] - g(i, j) * s * t,
                    Form::Squared { scale } => (s + t - 2.0 * g(i, j)) * scale,
                    Form::Crossed { scale } => (s + t - g(i, j) - g(j, i)) * scale,
                };
                assert!((found - expected).abs() < 1e-6, "{form:?} ({i}, {j})");
            }
        }
    }
}

#[test]
fn products_are_dot_products() {
    for kernels in sets() {
        for (n_x, n_z, len) in [(1, 1, 5), (5, 9, 2500), (4, 3, 16), (2, 8, 1024)] {
            let (xs, zs) = (numbers(n_x * len, 1), numbers(n_z * len, 2));
            let mut out = vec![0.0; n_x * n_z];
            kernels.products(&xs, &zs, len, &mut out);
            for r in 0..n_x {
                for c in 0..n_z {
                    let dot: f64 = (0..len).map(|i| f64::from(xs[r * len + i]) * f64::from(zs[c * len + i])).sum();
                    assert!((out[r * n_z + c] - dot).abs() < 1e-4, "{} {r} {c}", kernels.name);
                }
            }
        }
    }
}
