use super::*;
use crate::data::Betas;
use crate::io::npz;
use crate::mapping::searchlight::{Regions, rdms};
use crate::mapping::{Dissimilarity, Measurement};
use crate::math::stats;
use crate::rdm::{Measure, measure};
use ndarray::{Axis, Ix2, Ix3};
use std::path::Path;

fn given(rows: ArrayView2<'_, f64>) -> Vec<(String, Rdm)> {
    let n = condensed::n_conditions(rows.ncols()).unwrap();
    let rdm = |row: Vec<f64>| Rdm::new(Measure::Given, row, Rdm::default_labels(n)).unwrap();
    rows.rows().into_iter().enumerate().map(|(l, row)| (format!("layer{l}"), rdm(row.to_vec()))).collect()
}

/// Both sides compute in 64 bits; sums of 36 entries, regressions of 4 layers.
#[test]
fn resamples_equal_rsatoolbox() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/image_bootstrap.npz");
    let golden = npz::read(&path).unwrap();
    let matrix = |name: &str| golden.get::<f64>(name).unwrap().into_dimensionality::<Ix2>().unwrap();
    let drawn = golden.get::<i64>("drawn").unwrap().into_dimensionality::<Ix2>().unwrap();
    use Residual as R;
    use Statistic as S;
    let cases = [
        ("corr", S::Pearson, R::None),
        ("cosine", S::Cosine, R::None),
        ("spearman", S::Spearman, R::None),
        ("tau-a", S::KendallTauA, R::None),
        ("semi_partial", S::Pearson, R::SemiPartial),
        ("semi_partial_spearman", S::Spearman, R::SemiPartial),
        ("partial", S::Pearson, R::Partial),
        ("unique_variance", S::Pearson, R::UniqueVariance),
        ("ordered", S::Pearson, R::Ordered),
        ("ols", S::Ols, R::None),
        ("nnls", S::Nnls, R::None),
    ];
    for (name, statistic, residual) in cases {
        let bootstrap = ImageBootstrap::new(&given(matrix("models").view()), statistic, residual).unwrap();
        let expected = golden.get::<f64>(&format!("value_{name}")).unwrap().into_dimensionality::<Ix3>().unwrap();
        let mut worst: f64 = 0.0;
        for (sample, expected) in drawn.rows().into_iter().zip(expected.axis_iter(Axis(0))) {
            let sample: Vec<usize> = sample.iter().map(|&i| i as usize).collect();
            let found = bootstrap.values(matrix("brains").view(), &sample).unwrap();
            assert_eq!(found.dim(), expected.dim());
            worst =
                (&found - &expected).iter().fold(worst, |m, d| if d.is_nan() { f64::INFINITY } else { m.max(d.abs()) });
        }
        println!("{name}: {worst:.1e}");
        assert!(worst < 1e-10, "{name}: {worst}");
    }
}

fn normal(purpose: &str, item: u64, shape: (usize, usize)) -> Array2<f32> {
    let mut draw = rng::stream(41, purpose, item);
    Array2::from_shape_simple_fn(shape, || draw.normal() as f32)
}

fn fingerprints(n_conditions: usize, n_layers: u64) -> Vec<(String, Rdm)> {
    let common = normal("bootstrap test layers", 99, (n_conditions, 8));
    let one = |l: u64| {
        let units = &common + &normal("bootstrap test layers", l, (n_conditions, 8));
        let rdm = measure::rdm(units.view(), Measure::Correlation, Rdm::default_labels(n_conditions)).unwrap();
        (format!("layer{l}"), rdm)
    };
    (0..n_layers).map(one).collect()
}

fn patterns(n_conditions: usize, n_voxels: usize) -> Patterns {
    let betas = normal("bootstrap test betas", 0, (n_conditions, n_voxels));
    let betas = Betas::new(betas, &Rdm::default_labels(n_conditions), &vec!["1".to_owned(); n_conditions]).unwrap();
    Patterns::new(&betas, Measurement { dissimilarity: Dissimilarity::Correlation, ..Measurement::default() }).unwrap()
}

/// More places than are held at a time; the last has no voxels.
fn regions() -> Regions {
    let set = |r: u32| if r == 70 { vec![] } else { (r..r + 8).collect() };
    Regions { regions: (0..71).map(|r| (format!("r{r}"), set(r))).collect() }
}

/// A condensed RDM with the rows and columns of the images drawn, entry by entry; without pairs of
/// two copies.
fn repeated(rdm: &[f64], drawn: &[usize], n: usize) -> Vec<f64> {
    let pairs = condensed::pairs(drawn.len()).map(|(a, b)| (drawn[a], drawn[b])).filter(|(i, j)| i != j);
    pairs.map(|(i, j)| rdm[condensed::index(i, j, n)]).collect()
}

/// corr(b, e_l), e_l what the other layers leave of layer l (Gram and Schmidt).
fn semi_partial(brain: &[f64], layers: &[Vec<f64>]) -> Vec<f64> {
    let one = |l: usize| {
        let mut basis: Vec<Vec<f64>> = Vec::new();
        for m in (0..layers.len()).filter(|&m| m != l).chain([l]) {
            let mut x = stats::standardized(&layers[m]).unwrap();
            for b in &basis {
                let product = stats::dot(&x, b);
                x.iter_mut().zip(b).for_each(|(x, b)| *x -= product * b);
            }
            basis.push(stats::standardized(&x).unwrap());
        }
        stats::pearson(brain, &basis[layers.len() - 1])
    };
    (0..layers.len()).map(one).collect()
}

fn margin_is_of_the_best_two(
    found: &Intervals,
    brains: &Array2<f64>,
    layers: &[(String, Rdm)],
    naive: fn(&[f64], &[Vec<f64>]) -> Vec<f64>,
    how: BootstrapOptions,
) {
    let n = layers[0].1.n_conditions();
    for place in [0, 40, 69] {
        let brain = brains.row(place).to_vec();
        let in_images = |drawn: &[usize]| {
            let own: Vec<_> = layers.iter().map(|(_, rdm)| repeated(rdm.values(), drawn, n)).collect();
            naive(&repeated(&brain, drawn, n), &own)
        };
        let values = in_images(&(0..n).collect::<Vec<_>>());
        let mut order = [0, 1, 2];
        order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        let (best, second) = (order[0], order[1]);
        let own = &found.margin;
        assert_eq!((own.best[place], own.second[place]), (best as u32 + 1, second as u32 + 1));
        let resampled = (0..how.n_bootstraps as u64).map(|b| {
            let mut stream = rng::stream(how.seed, "bootstrap images", b);
            let values = in_images(&(0..n).map(|_| stream.below(n)).collect::<Vec<_>>());
            values[best] - values[second]
        });
        let (low, high) = percentile(&resampled.collect::<Vec<_>>(), how.level);
        for (found, expected) in
            [(own.value[place], values[best] - values[second]), (own.low[place], low), (own.high[place], high)]
        {
            assert!((f64::from(found) - expected).abs() < 1e-6, "{found} for {expected} at {place}");
        }
    }
    assert!(found.margin.best[70] == 0 && found.margin.low[70].is_nan(), "no voxels");
}

/// Single precision is what maps are stored in.
#[test]
fn intervals_are_percentiles_of_repeated_entries() {
    const N: usize = 10;
    let how = BootstrapOptions { n_bootstraps: 40, level: 0.8, seed: 3 };
    let (layers, patterns, places) = (fingerprints(N, 3), patterns(N, 80), regions());
    let brains = rdms(&patterns, &places);
    type Naive = fn(&[f64], &[Vec<f64>]) -> Vec<f64>;
    let cases: [(Statistic, Residual, Naive); 5] = [
        (Statistic::Pearson, Residual::None, |b, v| v.iter().map(|v| stats::pearson(b, v)).collect()),
        (Statistic::Spearman, Residual::None, |b, v| v.iter().map(|v| stats::spearman(b, v)).collect()),
        (Statistic::Cosine, Residual::None, |b, v| v.iter().map(|v| stats::cosine(b, v)).collect()),
        (Statistic::KendallTauA, Residual::None, |b, v| v.iter().map(|v| stats::kendall_tau_a(b, v)).collect()),
        (Statistic::Pearson, Residual::SemiPartial, semi_partial),
    ];
    for (statistic, residual, naive) in cases {
        let bootstrap = ImageBootstrap::new(&layers, statistic, residual).unwrap();
        let found = bootstrap.places(&patterns, &places, how, &|_| true).unwrap();
        for place in [0, 1, 40, 63, 64, 69] {
            let brain = brains.row(place).to_vec();
            let resampled: Vec<Vec<f64>> = (0..how.n_bootstraps as u64)
                .map(|b| {
                    let mut stream = rng::stream(how.seed, "bootstrap images", b);
                    let drawn: Vec<usize> = (0..N).map(|_| stream.below(N)).collect();
                    let own: Vec<_> = layers.iter().map(|(_, rdm)| repeated(rdm.values(), &drawn, N)).collect();
                    naive(&repeated(&brain, &drawn, N), &own)
                })
                .collect();
            let one = bootstrap.rdms(brains.select(Axis(0), &[place]).view(), how).unwrap();
            for l in 0..3 {
                let (low, high) = percentile(&resampled.iter().map(|row| row[l]).collect::<Vec<_>>(), how.level);
                assert!((one[l].0 - low).abs() < 1e-10 && (one[l].1 - high).abs() < 1e-10, "{statistic} {residual}");
                let wrong = (f64::from(found.low[[l, place]]) - low)
                    .abs()
                    .max((f64::from(found.high[[l, place]]) - high).abs());
                assert!(wrong < 1e-6, "{statistic} {residual} at {place}: {wrong}");
                assert!(low < high);
            }
        }
        assert!(found.low.column(70).iter().chain(found.high.column(70)).all(|v| v.is_nan()), "no voxels");
        margin_is_of_the_best_two(&found, &brains, &layers, naive, how);
    }
    let bootstrap = ImageBootstrap::new(&layers, Statistic::Spearman, Residual::None).unwrap();
    let on = |n: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
        pool.install(|| bootstrap.places(&patterns, &places, how, &|_| true).unwrap())
    };
    let (one, three) = (on(1), on(3));
    let bits = |i: &Intervals| i.low.iter().chain(&i.high).map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&one), bits(&three), "the same bytes for any number of threads");
}

/// The mean over subjects is resampled with the same images for all.
#[test]
fn subjects_share_the_images_drawn() {
    let layers = fingerprints(10, 2);
    let how = BootstrapOptions { n_bootstraps: 50, level: 0.9, seed: 1 };
    let bootstrap = ImageBootstrap::new(&layers, Statistic::Pearson, Residual::None).unwrap();
    let subjects = rdms(&patterns(10, 80), &Regions { regions: regions().regions[..4].to_vec() });
    let found = bootstrap.rdms(subjects.view(), how).unwrap();
    let means: Vec<f64> = (0..50)
        .map(|b| {
            let mut stream = rng::stream(1, "bootstrap images", b);
            let drawn: Vec<usize> = (0..10).map(|_| stream.below(10)).collect();
            bootstrap.values(subjects.view(), &drawn).unwrap().column(1).mean().unwrap()
        })
        .collect();
    let (low, high) = percentile(&means, 0.9);
    assert!((found[1].0 - low).abs() < 1e-12 && (found[1].1 - high).abs() < 1e-12);
}

#[test]
fn what_is_not_defined_is_nan_or_refused() {
    let (layers, places, how) =
        (fingerprints(3, 2), regions(), BootstrapOptions { n_bootstraps: 60, ..BootstrapOptions::default() });
    let bootstrap = ImageBootstrap::new(&layers, Statistic::Pearson, Residual::None).unwrap();
    // All 3 images are in 2 of 9 resamples only.
    let found = bootstrap.rdms(ndarray::array![[0.1, 0.5, 0.2]].view(), how).unwrap();
    assert!(found.iter().all(|(low, high)| low.is_nan() && high.is_nan()));
    let layers = fingerprints(8, 2);
    let bootstrap = ImageBootstrap::new(&layers, Statistic::Pearson, Residual::None).unwrap();
    let flat = Array2::from_elem((1, 28), 0.3);
    assert!(bootstrap.values(flat.view(), &[0, 1, 2, 3, 4, 5, 6, 6]).unwrap().iter().all(|v| v.is_nan()));
    assert!(bootstrap.values(flat.view(), &[8]).is_err());
    assert!(bootstrap.rdms(flat.view(), BootstrapOptions { level: 1.0, ..how }).is_err());
    assert!(bootstrap.rdms(flat.view(), BootstrapOptions { n_bootstraps: 0, ..how }).is_err());
    assert!(bootstrap.rdms(Array2::zeros((1, 21)).view(), how).is_err());
    assert!(bootstrap.rdms(Array2::from_elem((1, 28), f64::NAN).view(), how).is_err());
    let stopped = bootstrap.places(&patterns(8, 80), &places, how, &|_| false);
    assert!(matches!(stopped, Err(Error::Interrupted { .. })));
    assert!(matches!(bootstrap.places(&patterns(9, 80), &places, how, &|_| true), Err(Error::Invalid { .. })));
    for statistic in [Statistic::CorrCov, Statistic::CosineCov] {
        let refused = ImageBootstrap::new(&layers, statistic, Residual::None).err().expect("refused").to_string();
        assert!(refused.contains(&statistic.to_string()), "{refused}");
    }
}

/// Images are drawn from a population: a brain's patterns and a layer's units are fixed linear maps
/// of 6 traits of an image, of which they share 3. What 600 images give stands for the population's
/// value.
fn simulated(n: usize, item: u64) -> (Vec<f64>, Rdm) {
    let traits = normal("bootstrap test traits", item, (n, 6));
    let rdm = |first: usize, map: u64| {
        let map = normal("bootstrap test maps", map, (4, 12));
        let seen = traits.slice_axis(Axis(1), (first..first + 4).into()).dot(&map);
        measure::rdm(seen.view(), Measure::SquaredEuclidean, Rdm::default_labels(n)).unwrap()
    };
    (rdm(0, 0).values().to_vec(), rdm(2, 1))
}

/// 90 % intervals of 300 data sets of 25 images. A covering interval is a coin of 0.9 at best: 270
/// of 300 on average, and 4 standard deviations, 4 sqrt(300 0.9 0.1), are 21. Intervals of half the
/// width cover about 59 %.
#[test]
fn intervals_cover_the_value_of_the_population() {
    const N: usize = 300;
    for statistic in [Statistic::Pearson, Statistic::Spearman] {
        let (brain, layer) = simulated(600, 0);
        let truth = match statistic {
            Statistic::Pearson => stats::pearson(&brain, layer.values()),
            _ => stats::spearman(&brain, layer.values()),
        };
        let (mut covered, mut half) = (0, 0);
        for item in 1..=N as u64 {
            let (brain, layer) = simulated(25, item);
            let bootstrap = ImageBootstrap::new(&[("layer".to_owned(), layer)], statistic, Residual::None).unwrap();
            let brain = Array2::from_shape_vec((1, brain.len()), brain).unwrap();
            let how = BootstrapOptions { n_bootstraps: 200, level: 0.9, seed: item };
            let (low, high) = bootstrap.rdms(brain.view(), how).unwrap()[0];
            covered += usize::from((low..=high).contains(&truth));
            let (middle, reach) = ((low + high) / 2.0, (high - low) / 4.0);
            half += usize::from((truth - middle).abs() <= reach);
        }
        println!("{statistic}: {covered} of {N} cover {truth:.3}; {half} at half the width");
        assert!((249..=291).contains(&covered), "{statistic}: {covered} of {N}");
        assert!(half < 249, "{statistic}: the test could not fail ({half})");
    }
}
