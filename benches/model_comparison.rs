//! Bootstrap inference on models: 5 fixed models, 20 subjects, 92 images, 1000 dual resamples.
//!
//!     cargo bench --bench model_comparison            # N_SAMPLES (1000), RAYON_NUM_THREADS
//!
//! Prints wall seconds and, where /proc tells them, CPU seconds of all threads: on a shared machine
//! only the latter compare. The peer, on the same machine:
//! `python benches/peers/bootstrap_rsatoolbox.py`. Both draw their own resamples.

use ndarray::Array2;
use orthoscope::rdm::Comparison;
use orthoscope::rdm::inference::{ModelComparison, Resampling};
use orthoscope::rng;
use std::time::Instant;

/// CPU seconds of this process: user and system ticks (100 a second), fields 14 and 15 of Linux'
/// /proc/self/stat.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    let ticks: Vec<f64> = after_name.split_whitespace().skip(11).take(2).filter_map(|t| t.parse().ok()).collect();
    Some(ticks.iter().sum::<f64>() / 100.0)
}

fn main() {
    let n_samples: usize = std::env::var("N_SAMPLES").ok().and_then(|n| n.parse().ok()).unwrap_or(1000);
    let (n_models, n_rdms, n_pairs) = (5, 20, 92 * 91 / 2);
    let mut rng = rng::stream(1, "bench", 0);
    let base: Vec<f64> = (0..n_pairs).map(|_| rng.uniform()).collect();
    let rdms = Array2::from_shape_fn((n_rdms, n_pairs), |(_, p)| base[p] + 0.5 * rng.uniform());
    let models = Array2::from_shape_simple_fn((n_models, n_pairs), || rng.uniform());
    println!("{} threads, {n_samples} resamples", rayon::current_num_threads());
    for how in [Comparison::Cosine, Comparison::Pearson, Comparison::Spearman, Comparison::KendallTauA] {
        let comparison = ModelComparison::new(models.view(), rdms.view(), how).expect("random RDMs of one size");
        let (start, cpu) = (Instant::now(), cpu_seconds());
        let found = comparison.bootstrap(Resampling::Dual, n_samples, 1).expect("resamples of their own");
        let wall = start.elapsed().as_secs_f64() * 1000.0 / n_samples as f64;
        let cpu = cpu_seconds().zip(cpu).map_or(f64::NAN, |(end, start)| (end - start) * 1000.0 / n_samples as f64);
        let mean = found.tests().expect("many resamples").mean[0];
        println!("{how}: {wall:.2} s, CPU {cpu:.2} s per 1000 resamples (mean of the first model {mean:.4})");
    }
}
