//! Ridge at voxel scale, one problem that is solved when asked for: see `encoding.py` beside this file.
//!
//!     cargo bench --bench encoding --no-run           # prints where the binary is
//!     BINARY FOLDER ridge|kernel-ridge|banded [ITERATIONS]
//!
//! Reads x.npy (n x p; `x0.npy` ... for banded), y.npy (n x targets) and alphas.npy of the folder; for
//! each line `step` on standard input it fits and prints `SECONDS MEAN_SCORE MEAN_LOG10_ALPHA`, for
//! `rss` the megabytes that the process held at most.

use ndarray::{Array2, Ix2};
use orthoscope::encoding::*;
use orthoscope::io::npy;
use std::io::BufRead;
use std::path::Path;
use std::time::Instant;

fn matrix(folder: &Path, name: &str) -> Array2<f32> {
    npy::read::<f32>(&folder.join(name)).expect("an npy file").into_dimensionality::<Ix2>().expect("a matrix")
}

/// Peak resident megabytes: VmHWM of Linux' /proc/self/status.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.split_whitespace().next()?.parse::<f64>().ok()).map_or(f64::NAN, |kib| kib / 1024.0)
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut n) = (0.0, 0.0);
    values.for_each(|v| {
        sum += v;
        n += 1.0;
    });
    sum / n
}

/// Mean score and mean log10 alpha of a fit.
fn fit(kind: &str, xs: &[Array2<f32>], y: &Array2<f32>, alphas: &[f64], n_iter: usize) -> (f64, f64) {
    let rows = Rows::all(y.nrows()).expect("some samples");
    let made = folds(&rows, &Labels::default(), Split::Block { n_folds: 5 }, 0).expect("5 folds");
    let options = RidgeOptions {
        alphas: Alphas::Absolute(alphas.to_vec()),
        fit_intercept: false,
        max_extensions: 0,
        ..RidgeOptions::default()
    };
    let (mut leakage, work) = (Leakage::default(), Work::default());
    let of = |scores: &[f64], alphas: &[f64]| (mean(scores.iter().copied()), mean(alphas.iter().map(|a| a.log10())));
    let kernel = |x: &Array2<f32>| linear_kernel(x.view(), &rows).expect("finite features");
    match kind {
        "ridge" => {
            let found = RidgeCv { options }.fit([xs[0].view(), y.view()], &rows, &made, &mut leakage, &work);
            let found = found.expect("a fit").selection;
            of(&found.cv_scores, &found.alphas)
        }
        "kernel-ridge" => {
            let prepared = KernelRidgeCv { options }.prepare(kernel(&xs[0]), &rows, &made, &mut leakage);
            let found = prepared.and_then(|p| p.fit(y.view(), &work)).expect("a fit").selection;
            of(&found.cv_scores, &found.alphas)
        }
        "banded" => {
            let gammas = Gammas::Random { n_iter, concentration: vec![0.1, 1.0], seed: 0 };
            let kernels = xs.iter().map(kernel).collect();
            let search = BandedRidgeCv { options, gammas }.prepare(kernels, &rows, &made, &mut leakage);
            let found = search.and_then(|s| s.fit(y.view(), &work)).expect("a fit");
            of(&found.cv_scores, &found.alphas)
        }
        other => panic!("ridge, kernel-ridge or banded, not {other}"),
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let [folder, kind, rest @ ..] = arguments.as_slice() else {
        println!("BINARY FOLDER ridge|kernel-ridge|banded [ITERATIONS]");
        return;
    };
    let folder = Path::new(folder);
    let n_iter = rest.first().map_or(100, |n| n.parse().expect("a number of iterations"));
    let y = matrix(folder, "y.npy");
    let names: Vec<String> =
        if kind == "banded" { (0..4).map(|s| format!("x{s}.npy")).collect() } else { vec!["x.npy".into()] };
    let xs: Vec<Array2<f32>> = names.iter().map(|name| matrix(folder, name)).collect();
    let alphas: Vec<f64> = npy::read::<f64>(&folder.join("alphas.npy")).expect("alphas").iter().copied().collect();
    println!("{} threads", rayon::current_num_threads());
    for line in std::io::stdin().lock().lines() {
        match line.expect("a line").as_str() {
            "rss" => println!("{}", peak_mib()),
            _ => {
                let start = Instant::now();
                let (score, alpha) = fit(kind, &xs, &y, &alphas, n_iter);
                println!("{} {score} {alpha}", start.elapsed().as_secs_f64());
            }
        }
    }
}
