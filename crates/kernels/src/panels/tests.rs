use super::*;

fn random(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (f64::from(state >> 8) / f64::from(1 << 23) - 1.0) as f32
    };
    (0..n).map(|_| next()).collect()
}

/// Row-major `n_k` x `n` as panels.
fn packed(y: &[f32], n_k: usize, n: usize) -> Vec<f32> {
    let mut out = vec![f32::NAN; padded(n) * n_k];
    let rows: Vec<usize> = (0..n_k).collect();
    pack_targets(&mut out, y, n, &rows, 0, &vec![0.0; n]);
    out
}

/// `a` (rows x n_k) times `b` (n_k x n), in 64 bits.
fn product(a: &[f32], b: &[f32], n_k: usize, n: usize) -> Vec<f64> {
    let rows = a.len() / n_k;
    let mut out = vec![0.0; rows * n];
    for i in 0..rows {
        for k in 0..n_k {
            for t in 0..n {
                out[i * n + t] += f64::from(a[i * n_k + k]) * f64::from(b[k * n + t]);
            }
        }
    }
    out
}

#[test]
fn products_and_scores_equal_plain_loops() {
    for set in crate::isa::available() {
        let kernels = Kernels::named(set.name).unwrap();
        for (n_rows, n_k, n) in [(1, 1, 1), (13, 37, 70), (8, 600, 33), (17, 5, 48), (40, 1030, 16)] {
            let left = random(n_rows * n_k, 1);
            let y = random(n_k * n, 2);
            let first = product(&left, &y, n_k, n);
            let mut found = vec![f32::NAN; padded(n) * n_rows];
            kernels.product(&mut found, &pack_left(&left, n_k), &packed(&y, n_k, n), n_rows, n_k);
            let near = |a: f64, b: f64, scale: f64| assert!((a - b).abs() < 2e-6 * scale, "{} {a} {b}", set.name);
            for i in 0..n_rows {
                for t in 0..n {
                    let at = (t / WIDTH * n_rows + i) * WIDTH + t % WIDTH;
                    near(f64::from(found[at]), first[i * n + t], n_k as f64);
                }
            }
            let others = random(n_rows * n_k, 3);
            let second = product(&others, &y, n_k, n);
            let coefficients = random(3 * 2, 4);
            let actual = random(n_rows * n, 5);
            let basis = [pack_left(&left, n_k), pack_left(&others, n_k)].concat();
            let predictions = Predictions { basis: &basis, coefficients: &coefficients, n_rows, n_k };
            for which in [Sums::Error, Sums::Correlation] {
                let mut sums = vec![0.0; 3 * which.count() * padded(n)];
                kernels.score(&mut sums, &predictions, &packed(&y, n_k, n), &packed(&actual, n_rows, n), which);
                for (a, c) in coefficients.chunks_exact(2).enumerate() {
                    for t in 0..n {
                        let mut expected = [0.0; 3];
                        for i in (0..n_rows).map(|i| i * n + t) {
                            let p = f64::from(c[0]) * first[i] + f64::from(c[1]) * second[i];
                            let y = f64::from(actual[i]);
                            let terms = match which {
                                Sums::Error => [(y - p) * (y - p), 0.0, 0.0],
                                Sums::Correlation => [p, p * p, p * y],
                            };
                            (0..3).for_each(|s| expected[s] += terms[s]);
                        }
                        for s in 0..which.count() {
                            let at = (a * which.count() + s) * padded(n) + t;
                            near(sums[at], expected[s], (n_k * n_rows) as f64 * 4.0);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn where_a_target_stands_changes_no_bit() {
    let kernels = Kernels::chosen().unwrap();
    let (n_rows, n_k, n) = (11, 700, 100);
    let (left, y) = (random(n_rows * n_k, 1), random(n_k * n, 2));
    let all: Vec<usize> = (0..n_k).collect();
    let product = |start: usize, len: usize| {
        let mut targets = vec![0.0; padded(len) * n_k];
        pack_targets(&mut targets, &y, n, &all, start, &column_means(&y, n, &all, start, len));
        let mut out = vec![0.0; padded(len) * n_rows];
        kernels.product(&mut out, &pack_left(&left, n_k), &targets, n_rows, n_k);
        out
    };
    let (whole, part) = (product(0, n), product(37, 5));
    for i in 0..n_rows {
        for t in 0..5 {
            let of = |t: usize| (t / WIDTH * n_rows + i) * WIDTH + t % WIDTH;
            assert_eq!(whole[of(37 + t)].to_bits(), part[of(t)].to_bits());
        }
    }
}
