//! Time of one centre of an RSA searchlight; `benches/peers/searchlight.py` does the same with
//! other tools.
//!
//!     RAYON_NUM_THREADS=1 cargo bench --bench searchlight -- [n_conditions=92] [n_models=1] [diameter=20] [radius=5] [statistic=spearman]
//!
//! A ball of voxels of random numbers, neighbours at distance < radius (as rsatoolbox), correlation
//! RDM, one comparison with each model. Prints CPU and wall time per centre, and the peak of
//! memory.

use ndarray::Array2;
use orthoscope::data::{Affine, Betas, Grid, Mask};
use orthoscope::mapping::sphere::{RadiusUnit, SphereShape};
use orthoscope::mapping::{
    Comparator, Measurement, Neighbourhoods, Patterns, Residual, Sphere, Statistic, searchlight,
};
use orthoscope::rdm::{Measure, Rdm};
use orthoscope::rng;
use std::time::Instant;

fn ball(diameter: usize) -> Mask {
    let grid = Grid { shape: [diameter; 3], affine: Affine::scaling([2.0; 3]) };
    let middle = (diameter as f64 - 1.0) / 2.0;
    let far = |v: usize| grid.voxel(v).map(|c| (c as f64 - middle).powi(2)).iter().sum::<f64>().sqrt();
    Mask::from_fn(grid, |v| far(v) <= diameter as f64 / 2.0 - 0.5).expect("a ball")
}

fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM:"));
    line.and_then(|l| l.split_whitespace().nth(1)?.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1024.0
}

/// CPU seconds of all threads (hundredths).
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<f64> = after_name.split_whitespace().map(|f| f.parse().unwrap_or(0.0)).collect();
    fields.get(11..13).map_or(f64::NAN, |f| (f[0] + f[1]) / 100.0)
}

fn main() {
    let given: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let number = |i: usize, default: usize| given.get(i).map_or(default, |a| a.parse().expect("a number"));
    let (n, n_models, diameter, radius) = (number(0, 92), number(1, 1), number(2, 20), number(3, 5));
    let statistic = match given.get(4).map(String::as_str) {
        None | Some("spearman") => Statistic::Spearman,
        Some("pearson") => Statistic::Pearson,
        Some(other) => panic!("{other}: expected spearman or pearson"),
    };
    let most = number(5, usize::MAX);
    let mask = ball(diameter);
    let mut draw = rng::stream(1, "bench", 0);
    let patterns = Array2::from_shape_simple_fn((n, mask.n_voxels()), || draw.normal() as f32);
    let names: Vec<String> = (0..n).map(|i| format!("image{i:04}")).collect();
    let betas = Betas::new(patterns, &names, &vec!["1".to_owned(); n]).expect("betas");
    let patterns = Patterns::new(&betas, Measurement::default()).expect("patterns");
    drop(betas);
    let models: Vec<(String, Rdm)> = (0..n_models)
        .map(|m| {
            let values = (0..n * (n - 1) / 2).map(|_| draw.uniform()).collect();
            (format!("model{m}"), Rdm::new(Measure::Given, values, names.clone()).expect("an RDM"))
        })
        .collect();
    let comparator = Comparator::new(&models, statistic, Residual::None).expect("models");
    let sphere = Sphere {
        radius: radius as f64,
        unit: RadiusUnit::Voxels,
        shape: SphereShape::OpenBall,
        min_fraction: 0.5,
        min_voxels: 1,
        whole: false,
    };
    let spheres = Neighbourhoods::new(&mask, None, sphere).expect("centres");
    let before = peak_mb();
    let n_centres = spheres.centres().len().min(most);
    let places = orthoscope::mapping::searchlight::Slice { of: &spheres, range: 0..n_centres };
    let mut times: Vec<(f64, f64)> = (0..if n <= 200 { 5 } else { 1 })
        .map(|_| {
            let (start, cpu) = (Instant::now(), cpu_s());
            let maps = searchlight(&patterns, &comparator, &places, &|_| true).expect("maps");
            assert!(maps.values.iter().all(|v| v.is_finite()));
            let per_centre = |seconds: f64| seconds / n_centres as f64 * 1e6;
            (per_centre(cpu_s() - cpu), per_centre(start.elapsed().as_secs_f64()))
        })
        .collect();
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    println!(
        "{n} conditions, {n_models} models, {statistic}: {} voxels, {n_centres} centres of up to {} voxels, {} threads: \
         {:.1} us of CPU time a centre (best {:.1}), {:.1} us wall, {:.2} s for 10,000; peak {:.0} MB ({before:.0} before the pass)",
        mask.n_voxels(),
        spheres.n_shape(),
        rayon::current_num_threads(),
        times[times.len() / 2].0,
        times[0].0,
        times[times.len() / 2].1,
        times[times.len() / 2].1 * 1e-2,
        peak_mb(),
    );
}
