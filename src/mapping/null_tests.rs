use super::*;
use crate::data::Betas;
use crate::mapping::dissimilarity::{Condensed, Dissimilarity, Measurement};
use crate::mapping::searchlight::{Regions, rdms};
use crate::mapping::{Comparator, Patterns, Residual, Statistic, measure as measure_places};
use crate::math::stats;
use crate::rdm::{Measure, Rdm, measure};
use crate::rng;

const TAILS: [Tail; 3] = [Tail::Greater, Tail::Less, Tail::TwoSided];

fn normal(purpose: &str, item: u64, shape: (usize, usize)) -> Array2<f32> {
    let mut draw = rng::stream(31, purpose, item);
    Array2::from_shape_simple_fn(shape, || draw.normal() as f32)
}

/// Distances of random patterns of few voxels: entries that share a condition go together, as they
/// do in brains. Exchanging single entries instead of conditions would not be a null distribution
/// of such RDMs.
fn patterns(n_conditions: usize, n_voxels: usize, item: u64) -> Patterns {
    let names = Rdm::default_labels(n_conditions);
    let runs = vec!["1".to_owned(); n_conditions];
    let betas = Betas::new(normal("null test patterns", item, (n_conditions, n_voxels)), &names, &runs).unwrap();
    Patterns::new(&betas, Measurement { dissimilarity: Dissimilarity::Euclidean, ..Measurement::default() }).unwrap()
}

/// Distances of random units; they have nothing to do with any patterns.
fn fingerprints(n_conditions: usize, n_layers: u64, item: u64) -> Vec<(String, Rdm)> {
    let layer = |l: u64| {
        let units = normal("null test fingerprints", item * n_layers + l, (n_conditions, 4));
        let labels = Rdm::default_labels(n_conditions);
        (format!("layer{l}"), measure::rdm(units.view(), Measure::SquaredEuclidean, labels).unwrap())
    };
    (0..n_layers).map(layer).collect()
}

fn regions(sets: &[std::ops::Range<u32>]) -> Regions {
    Regions { regions: sets.iter().enumerate().map(|(r, set)| (format!("r{r}"), set.clone().collect())).collect() }
}

fn tested(patterns: &Patterns, comparator: &Comparator, places: &Regions, how: Relabellings) -> (Maps, Null) {
    let part = measure_places(&Question { patterns, comparator }, places, 0..places.len(), &how, &|_| true).unwrap();
    (part.maps, part.null.unwrap())
}

fn how(n_permutations: usize, seed: u64, tail: Tail) -> Relabellings {
    Relabellings { n_permutations, seed, tail, n_kept: 0 }
}

/// The observed labelling is one of 100 that are equally likely, so p takes each of 0.01, 0.02,
/// ..., 1 with the same probability and the share of p <= a is a for every a of that grid. The 600
/// data sets are independent: their number with p <= a is binomial, and lies within 4 standard
/// deviations, 4 sqrt(600 a (1 - a)), but for one seed in 16 000. Kolmogorov and Smirnov: sqrt(600)
/// D exceeds 1.95 for one seed in 1000 (for fewer, as p is discrete).
#[test]
fn p_is_uniform_without_an_effect() {
    const N: usize = 600;
    // Cosines of distances are above 0: for a two-sided test to differ from a one-sided one, values
    // must have both signs.
    for (statistic, tail) in [Statistic::Pearson, Statistic::Cosine, Statistic::Spearman].into_iter().zip(TAILS) {
        let places = regions(std::slice::from_ref(&(0..5)));
        let mut p: Vec<f64> = (0..N as u64)
            .map(|item| {
                let comparator = Comparator::new(&fingerprints(8, 1, item), statistic, Residual::None).unwrap();
                tested(&patterns(8, 5, item), &comparator, &places, how(99, item, tail)).1.p[[0, 0]]
            })
            .collect();
        for a in [0.05, 0.2, 0.5] {
            let found = p.iter().filter(|&&p| p <= a + 1e-9).count() as f64;
            let bound = 4.0 * (N as f64 * a * (1.0 - a)).sqrt();
            println!("{statistic} {tail:?}: {found} of {N} at {a}");
            assert!((found - N as f64 * a).abs() < bound, "{statistic} {tail:?}: {found} of {N} with p <= {a}");
        }
        p.sort_by(f64::total_cmp);
        // The distribution function of p at p is p itself: only there can the two be compared for a
        // discrete p.
        let share = |p_i: f64| p.partition_point(|&q| q <= p_i + 1e-9) as f64 / N as f64;
        let distance = p.iter().map(|&p_i| (share(p_i) - p_i).abs()).fold(0.0, f64::max);
        println!("{statistic} {tail:?}: D = {distance:.4}");
        assert!(distance * (N as f64).sqrt() < 1.95, "{statistic} {tail:?}: Kolmogorov and Smirnov's D {distance}");
    }
}

/// The largest of an observed map's values is one of 60 maxima that are equally likely, whatever
/// the places share: the share of data sets in which any corrected p is at most 0.05 is 0.05. Of
/// 400 independent data sets that is 20 on average; a binomial number is within 7..=37 but for one
/// seed in 2900 (0.0002 below, 0.00014 above). Without correction the share is higher, by how much
/// depends on what neighbours share; that it leaves the bounds shows that they can be left.
#[test]
fn the_maximum_over_places_holds_the_family_wise_error() {
    const N: u64 = 400;
    let sets: Vec<std::ops::Range<u32>> = (0..8).map(|r| 3 * r..3 * r + 6).collect();
    let places = regions(&sets);
    for tail in TAILS {
        let (mut any_corrected, mut any_uncorrected) = (0, 0);
        for item in 0..N {
            let comparator = Comparator::new(&fingerprints(8, 1, item), Statistic::Pearson, Residual::None).unwrap();
            let (_, null) = tested(&patterns(8, 27, item), &comparator, &places, how(59, item, tail));
            let corrected = null.family_wise(1);
            any_corrected += usize::from(corrected.iter().any(|&p| p <= 0.05 + 1e-9));
            any_uncorrected += usize::from(null.p.iter().any(|&p| p <= 0.05 + 1e-9));
        }
        println!("{tail:?}: {any_corrected} of {N}, {any_uncorrected} without correction");
        assert!((7..=37).contains(&any_corrected), "{tail:?}: {any_corrected} of {N}");
        assert!(any_uncorrected > 37, "{tail:?}: the places are too much alike for a test ({any_uncorrected})");
    }
}

/// Row i and column i of an RDM go to row and column `order[i]`.
fn relabelled(rdm: &[f64], order: &[usize]) -> Vec<f64> {
    let n = order.len();
    let mut square = Array2::zeros((n, n));
    for (&d, (i, j)) in rdm.iter().zip(condensed::pairs(n)) {
        square[[order[i], order[j]]] = d;
        square[[order[j], order[i]]] = d;
    }
    condensed::pairs(n).map(|(i, j)| square[[i, j]]).collect()
}

/// Whether layers are tested beside others.
fn is_beside(statistic: Statistic, residual: Residual) -> bool {
    statistic != Statistic::Nnls && (residual != Residual::None || statistic == Statistic::Ols)
}

/// The least-squares residual of x on some vectors, in the space where a comparison is an inner
/// product; and vectors there.
struct Regression(Statistic, usize);

impl Regression {
    fn centred(&self, x: &[f64]) -> Vec<f64> {
        let mean = if self.0 == Statistic::Cosine { 0.0 } else { stats::mean(x) };
        x.iter().map(|v| v - mean).collect()
    }

    /// Centred values, or the second-moment matrix of the whitened comparisons.
    fn embedded(&self, x: &[f64]) -> Vec<f64> {
        if !matches!(self.0, Statistic::CorrCov | Statistic::CosineCov) {
            return x.to_vec();
        }
        let n = self.1;
        let d = Array2::from_shape_fn((n, n), |(i, j)| if i == j { 0.0 } else { x[condensed::index(i, j, n)] });
        let h = Array2::eye(n) - 1.0 / n as f64;
        h.dot(&d).dot(&h).mapv(|v: f64| -v / 2.0).into_raw_vec_and_offset().0
    }

    fn residual(&self, x: &[f64], others: &[Vec<f64>]) -> Vec<f64> {
        if others.is_empty() {
            return x.to_vec();
        }
        let columns: Vec<Vec<f64>> = others.iter().map(|o| self.embedded(o)).collect();
        let a = Array2::from_shape_fn((columns[0].len(), columns.len()), |(i, j)| columns[j][i]);
        let b = ndarray::Array1::from(self.embedded(x)).insert_axis(Axis(1));
        let weights = crate::math::linalg::lstsq(a.view(), b.view(), 1e-12).unwrap().0;
        let fit = |k: usize| others.iter().zip(&weights).map(|(o, w)| o[k] * w).sum::<f64>();
        x.iter().enumerate().map(|(k, x)| x - fit(k)).collect()
    }

    fn cosine(&self, x: &[f64], y: &[f64]) -> f64 {
        stats::cosine(&self.embedded(x), &self.embedded(y))
    }
}

/// The partial correlation of every layer when residuals are relabelled and put back, by
/// definition.
fn beside(
    rdm: &[f64],
    layers: &[(String, Rdm)],
    (statistic, residual): (Statistic, Residual),
    order: &[usize],
) -> Vec<f64> {
    let how = Regression(statistic, order.len());
    let mut v: Vec<Vec<f64>> = layers.iter().map(|(_, rdm)| how.centred(rdm.values())).collect();
    let n = v.len();
    if residual == Residual::Symmetric {
        let unit =
            |v: &Vec<f64>| v.iter().map(|x| x / how.embedded(v).iter().map(|y| y * y).sum::<f64>().sqrt()).collect();
        let all: Vec<Vec<f64>> = v.iter().map(unit).collect();
        let gram = Array2::from_shape_fn((n, n), |(i, j)| stats::dot(&how.embedded(&all[i]), &how.embedded(&all[j])));
        let (values, vectors) = crate::math::linalg::eigh(gram.view()).unwrap();
        let root = vectors.dot(&Array2::from_diag(&values.mapv(|x| x.powf(-0.5)))).dot(&vectors.t());
        let of = |l: usize, k: usize| (0..n).map(|m| root[[l, m]] * all[m][k]).sum::<f64>();
        v = (0..n).map(|l| (0..rdm.len()).map(|k| of(l, k)).collect()).collect();
    }
    let b = how.centred(rdm);
    let of = |l: usize| {
        let is_other = |m: usize| match residual {
            Residual::Ordered => m < l,
            Residual::Adjacent => m + 1 == l || m == l + 1,
            _ => m != l,
        };
        let others: Vec<Vec<f64>> = (0..n).filter(|&m| is_other(m)).map(|m| v[m].clone()).collect();
        let (rest, own) = (how.residual(&b, &others), how.residual(&v[l], &others));
        let turned = relabelled(&rest, order);
        let value = if statistic == Statistic::Spearman {
            stats::spearman(&turned, &own)
        } else {
            let put_back: Vec<f64> = (0..b.len()).map(|k| b[k] - rest[k] + turned[k]).collect();
            how.cosine(&how.residual(&put_back, &others), &own)
        };
        if residual == Residual::UniqueVariance { value * value } else { value }
    };
    (0..n).map(of).collect()
}

/// What is tested, p and extremes of one place from RDMs that were relabelled one by one.
fn by_definition(
    rdm: &[f64],
    (comparator, layers): (&Comparator, &[(String, Rdm)]),
    observed: &[f32],
    how: Relabellings,
) -> (Vec<f64>, Vec<f64>, Array2<f64>) {
    let Relabellings { n_permutations: n, seed, tail, .. } = how;
    let (n_values, n_conditions) = (comparator.n_values(), comparator.n_conditions());
    let kind = (comparator.statistic(), comparator.residual());
    let mut values = Array2::zeros((n, n_values));
    let (mut scratch, mut out) = (comparator.scratch(), vec![0.0; n_values]);
    let mut tested: Vec<f64> = observed.iter().map(|&v| f64::from(v)).collect();
    if is_beside(kind.0, kind.1) {
        let own = beside(rdm, layers, kind, &(0..n_conditions).collect::<Vec<_>>());
        tested[..layers.len()].copy_from_slice(&own);
    }
    for (mut row, order) in values.rows_mut().into_iter().zip(relabellings(n_conditions, n, seed)) {
        comparator.evaluate(Condensed::F64(&relabelled(rdm, &order)), &mut scratch, &mut out);
        if is_beside(kind.0, kind.1) {
            out[..layers.len()].copy_from_slice(&beside(rdm, layers, kind, &order));
        }
        row.iter_mut().zip(&out).for_each(|(r, &v)| *r = if tail == Tail::TwoSided { v.abs() } else { v });
    }
    let p = |v: usize| {
        let own = tested[v];
        let reach = values.column(v).into_iter().filter(|&&value| match tail {
            Tail::Greater => value >= own - SAME,
            Tail::Less => value <= own + SAME,
            Tail::TwoSided => value >= own.abs() - SAME,
        });
        (1 + reach.count()) as f64 / (1 + n) as f64
    };
    let p = (0..n_values).map(p).collect();
    (tested, p, values)
}

#[test]
fn p_and_extremes_are_those_of_relabelled_brain_rdms() {
    use Residual as R;
    use Statistic as S;
    let plain = [S::Pearson, S::Spearman, S::Cosine, S::CorrCov, S::CosineCov, S::Ols, S::Nnls].map(|s| (s, R::None));
    let residuals = [R::SemiPartial, R::Partial, R::UniqueVariance, R::Ordered, R::Adjacent, R::Symmetric];
    let residuals = residuals.iter().flat_map(|&r| [(S::Pearson, r), (S::Spearman, r), (S::CorrCov, r)]);
    let cases: Vec<(S, R)> =
        plain.into_iter().chain(residuals).chain([(S::Ols, R::UniqueVariance), (S::Nnls, R::UniqueVariance)]).collect();
    let sets: Vec<std::ops::Range<u32>> = (0..5).map(|r| 4 * r..4 * r + 6).collect();
    let places = regions(&sets);
    // Up to 64 conditions RDMs are made in 64 bits, above in 32.
    for (n_conditions, n_permutations) in [(7, 60), (66, 20)] {
        let patterns = patterns(n_conditions, 22, n_conditions as u64);
        let layers = fingerprints(n_conditions, 3, n_conditions as u64);
        let brain = rdms(&patterns, &places);
        for (case, &(statistic, residual)) in cases.iter().enumerate() {
            // Residuals by definition take long for many conditions.
            let few = n_conditions > 64 && is_beside(statistic, residual);
            let how = how(if few { 2 } else { n_permutations }, case as u64, TAILS[case % 3]);
            let comparator = Comparator::new(&layers, statistic, residual).unwrap();
            assert_eq!(comparator.tests_beside_others(), is_beside(statistic, residual));
            let (maps, null) = tested(&patterns, &comparator, &places, how);
            let start = if how.tail == Tail::Less { f64::INFINITY } else { f64::NEG_INFINITY };
            let mut extreme = Array2::from_elem(null.extreme.dim(), start);
            for place in 0..places.len() {
                let rdm = brain.row(place).to_vec();
                let observed = maps.values.column(place).to_vec();
                let (tested, p, values) = by_definition(&rdm, (&comparator, &layers), &observed, how);
                let own = null.observed.column(place);
                assert!(own.iter().zip(&tested).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-5), "{own} for {tested:?}");
                assert_eq!(null.p.column(place).to_vec(), p, "{statistic} {residual} {:?} at {place}", how.tail);
                extreme.zip_mut_with(&values, |e, &v| *e = if how.tail == Tail::Less { e.min(v) } else { e.max(v) });
            }
            let wrong = (&extreme - &null.extreme).iter().fold(0.0, |m: f64, d| m.max(d.abs()));
            // Residuals in 32 bits have lost what was taken out of them.
            let within = if is_beside(statistic, residual) { 1e-5 } else { 2e-6 };
            assert!(wrong < within, "{statistic} {residual} {:?}: extremes differ by {wrong}", how.tail);
        }
    }
}

/// Relabelled one by one, by relabellings that no seed changes.
#[test]
fn kept_maps_are_of_the_relabellings_of_all_subjects() {
    let (patterns, places) = (patterns(9, 14, 3), regions(&[0..6, 4..14, 0..0]));
    let comparator = Comparator::new(&fingerprints(9, 2, 3), Statistic::Spearman, Residual::Partial).unwrap();
    let of =
        |seed| tested(&patterns, &comparator, &places, Relabellings { n_kept: 7, ..how(20, seed, Tail::Greater) }).1;
    let (one, other) = (of(1), of(2));
    assert_eq!(one.kept.dim(), (7, 2, 3));
    assert_ne!(one.extreme, other.extreme, "the rest is of the seed");
    let brain = rdms(&patterns, &places);
    let (mut scratch, mut out) = (comparator.scratch(), vec![0.0; 2]);
    for (k, order) in shared_relabellings(9, 7).iter().enumerate() {
        for place in 0..2 {
            comparator.evaluate(Condensed::F64(&relabelled(&brain.row(place).to_vec(), order)), &mut scratch, &mut out);
            for (v, value) in out.iter().enumerate() {
                assert!((f64::from(one.kept[[k, v, place]]) - value).abs() < 2e-6, "{k} {v} {place}");
                assert_eq!(one.kept[[k, v, place]], other.kept[[k, v, place]]);
            }
        }
        assert!(one.kept.index_axis(Axis(0), k).column(2).iter().all(|v| v.is_nan()), "a place without voxels");
    }
}

#[test]
fn what_cannot_be_tested_is_refused() {
    let (patterns, places) = (patterns(8, 5, 0), regions(&[0..5, 0..0]));
    let pearson = Comparator::new(&fingerprints(8, 2, 0), Statistic::Pearson, Residual::None).unwrap();
    let (maps, null) = tested(&patterns, &pearson, &places, how(19, 0, Tail::Greater));
    assert!(null.p.column(1).iter().all(|p| p.is_nan()), "a place without voxels has no p");
    assert!(null.p.column(0).iter().chain(&null.extreme).all(|p| p.is_finite()));
    let how = how(19, 0, Tail::Greater);
    let ask = |comparator: &Comparator, go_on: bool| {
        permute(&Question { patterns: &patterns, comparator }, &places, &maps, &how, &move |_| go_on)
    };
    let stopped = ask(&pearson, false);
    assert!(matches!(stopped, Err(Error::Interrupted { .. })));
    for (n, statistic) in [(8, Statistic::KendallTauA), (9, Statistic::Pearson)] {
        let other = Comparator::new(&fingerprints(n, 2, 0), statistic, Residual::None).unwrap();
        let refused = ask(&other, true);
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{n} {statistic}");
    }
    assert_eq!(smallest_p(4, 99), 1.0 / 24.0);
    assert_eq!(smallest_p(40, 99), 0.01);
}
