//! Mapping against rsatoolbox, mne-rsa and scipy (`tests/golden/mapping.py`).

use crate::support::data;
use ndarray::{Array2, ArrayD, Ix2};
use orthoscope::data::{Betas, Grid};
use orthoscope::io::{nifti, npz, tsv};
use orthoscope::mapping::ceiling::across_subjects;
use orthoscope::mapping::dissimilarity::{Condensed, Folds, Scratch};
use orthoscope::mapping::noise::{NoiseCovariance, NoiseFrom};
use orthoscope::mapping::searchlight::rdms;
use orthoscope::mapping::sphere::{Preset, RadiusUnit, SphereShape};
use orthoscope::mapping::*;
use orthoscope::rdm::{Measure, Rdm};
use std::path::Path;

fn golden() -> npz::Npz {
    npz::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/mapping.npz")).unwrap()
}

fn vector(golden: &npz::Npz, name: &str) -> Vec<f64> {
    golden.get::<f64>(name).unwrap().into_iter().collect()
}

fn matrix(golden: &npz::Npz, name: &str) -> Array2<f64> {
    golden.get::<f64>(name).unwrap().into_dimensionality::<Ix2>().unwrap()
}

fn worst<'a>(found: impl IntoIterator<Item = f64>, expected: impl IntoIterator<Item = &'a f64>) -> f64 {
    let mut expected = expected.into_iter();
    let mut n = 0;
    let worst = found.into_iter().fold(0.0f64, |m, f| {
        n += 1;
        let e = expected.next().expect("as many numbers");
        if f.is_nan() { f64::INFINITY } else { m.max((f - e).abs()) }
    });
    assert!(n > 0 && expected.next().is_none(), "as many numbers");
    worst
}

/// The random patterns of the script, some samples left out.
fn betas(golden: &npz::Npz, keep: Option<&str>) -> Betas {
    let keep: Vec<bool> = match keep {
        Some(name) => golden.get::<u8>(name).unwrap().iter().map(|&k| k == 1).collect(),
        None => vec![true; golden.get::<f32>("patterns").unwrap().shape()[0]],
    };
    let kept: Vec<usize> = (0..keep.len()).filter(|&s| keep[s]).collect();
    let patterns = golden.get::<f32>("patterns").unwrap().into_dimensionality::<Ix2>().unwrap();
    let names = |name: &str, prefix: &str| -> Vec<String> {
        let all: ArrayD<i64> = golden.get(name).unwrap();
        kept.iter().map(|&s| format!("{prefix}{}", all[[s]])).collect()
    };
    Betas::new(patterns.select(ndarray::Axis(0), &kept), &names("conditions", "c"), &names("runs", "r")).unwrap()
}

fn measured(betas: &Betas, dissimilarity: Dissimilarity, noise: NoiseCovariance, folds: Folds) -> Vec<f64> {
    let patterns =
        Patterns::new(betas, Measurement { dissimilarity, noise, folds, noise_from: NoiseFrom::All }).unwrap();
    let voxels: Vec<u32> = (0..betas.n_voxels() as u32).collect();
    patterns.rdm(&voxels, false, &mut Scratch::default()).unwrap().to_vec()
}

#[test]
fn rdms_equal_rsatoolbox() {
    let g = golden();
    let whole = betas(&g, None);
    use Dissimilarity::*;
    let cases: [(&str, Option<&str>, Dissimilarity, NoiseCovariance, Folds); 14] = [
        ("correlation", None, Correlation, NoiseCovariance::Identity, Folds::Auto),
        ("cosine", None, Cosine, NoiseCovariance::Identity, Folds::Auto),
        ("euclidean", None, Euclidean, NoiseCovariance::ShrinkageDiag, Folds::Auto),
        ("euclidean", None, Mahalanobis, NoiseCovariance::Identity, Folds::Auto),
        ("mahalanobis_diag", None, Mahalanobis, NoiseCovariance::Diagonal, Folds::Auto),
        ("mahalanobis_shrinkage_diag", None, Mahalanobis, NoiseCovariance::ShrinkageDiag, Folds::Auto),
        ("mahalanobis_shrinkage_eye", None, Mahalanobis, NoiseCovariance::ShrinkageEye, Folds::Auto),
        ("crossnobis_identity", None, Crossnobis, NoiseCovariance::Identity, Folds::Auto),
        ("crossnobis_diag", None, Crossnobis, NoiseCovariance::Diagonal, Folds::Auto),
        ("crossnobis_shrinkage_diag", None, Crossnobis, NoiseCovariance::ShrinkageDiag, Folds::Runs),
        ("crossnobis_shrinkage_eye", None, Crossnobis, NoiseCovariance::ShrinkageEye, Folds::Auto),
        ("crossnobis_unequal", Some("unequal"), Crossnobis, NoiseCovariance::Identity, Folds::Runs),
        ("crossnobis_pairs", Some("kept"), Crossnobis, NoiseCovariance::Identity, Folds::Pairs),
        ("crossnobis_pairs_shrinkage_diag", Some("kept"), Crossnobis, NoiseCovariance::ShrinkageDiag, Folds::Pairs),
    ];
    for (name, keep, dissimilarity, noise, folds) in cases {
        let betas = keep.map_or_else(|| whole.clone(), |keep| betas(&g, Some(keep)));
        // The script's conditions are ordered by number, ours by name: both natural.
        let found = measured(&betas, dissimilarity, noise, folds);
        let expected = vector(&g, name);
        let scale = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let wrong = worst(found, &expected) / scale;
        println!("{name}: {wrong:.1e} of the largest");
        assert!(wrong < 2e-6, "{name}: {wrong}");
    }
    // The noise of each fold from its training runs.
    for (name, noise) in
        [("fold_diag", NoiseCovariance::Diagonal), ("fold_shrinkage_diag", NoiseCovariance::ShrinkageDiag)]
    {
        let measurement =
            Measurement { dissimilarity: Crossnobis, noise, folds: Folds::Auto, noise_from: NoiseFrom::Training };
        let patterns = Patterns::new(&whole, measurement).unwrap();
        let voxels: Vec<u32> = (0..whole.n_voxels() as u32).collect();
        let found = patterns.rdm(&voxels, false, &mut Scratch::default()).unwrap().to_vec();
        assert!(worst(found, &vector(&g, name)) < 1e-9, "{name}");
    }
    // Balanced designs: all pairs of samples of different runs are what the runs give.
    let pairs = measured(&whole, Crossnobis, NoiseCovariance::Identity, Folds::Pairs);
    assert!(worst(pairs, &vector(&g, "crossnobis_identity")) < 1e-5);
}

/// The script's models or subjects as RDMs.
fn rdm_set(golden: &npz::Npz, name: &str) -> Vec<(String, Rdm)> {
    let rows = matrix(golden, name);
    let n = orthoscope::math::condensed::n_conditions(rows.ncols()).unwrap();
    let rdm =
        |row: ndarray::ArrayView1<'_, f64>| Rdm::new(Measure::Given, row.to_vec(), Rdm::default_labels(n)).unwrap();
    rows.rows().into_iter().enumerate().map(|(i, row)| (format!("{name}{i}"), rdm(row))).collect()
}

fn evaluated(golden: &npz::Npz, statistic: Statistic, residual: Residual) -> Vec<f64> {
    let comparator = Comparator::new(&rdm_set(golden, "models"), statistic, residual).unwrap();
    let brain = vector(golden, "correlation");
    let mut out = vec![0.0; comparator.n_values()];
    comparator.evaluate(Condensed::F64(&brain), &mut comparator.scratch(), &mut out);
    out
}

#[test]
fn comparisons_equal_rsatoolbox_mne_rsa_and_scipy() {
    let g = golden();
    use Residual as R;
    use Statistic as S;
    let cases = [
        ("compare_corr", S::Pearson, R::None),
        ("compare_spearman", S::Spearman, R::None),
        ("compare_tau-a", S::KendallTauA, R::None),
        ("compare_cosine", S::Cosine, R::None),
        ("compare_corr_cov", S::CorrCov, R::None),
        ("compare_cosine_cov", S::CosineCov, R::None),
        ("ols", S::Ols, R::None),
        ("nnls", S::Nnls, R::None),
        ("partial", S::Pearson, R::Partial),
        ("partial_spearman", S::Spearman, R::Partial),
        ("semi_partial", S::Pearson, R::SemiPartial),
        ("semi_partial_spearman", S::Spearman, R::SemiPartial),
        ("unique_variance", S::Pearson, R::UniqueVariance),
        ("ordered", S::Pearson, R::Ordered),
        ("symmetric", S::Pearson, R::Symmetric),
    ];
    for (name, statistic, residual) in cases {
        let wrong = worst(evaluated(&g, statistic, residual), &vector(&g, name));
        println!("{name}: {wrong:.1e}");
        assert!(wrong < 2e-6, "{name}: {wrong}");
    }
    let comparator = Comparator::new(&rdm_set(&g, "models"), S::Pearson, R::SemiPartial).unwrap();
    assert!(worst(comparator.collinearity().vif.clone(), &vector(&g, "vif")) < 1e-9);
    let condition = vector(&g, "condition_number")[0];
    assert!((comparator.collinearity().condition_number - condition).abs() < 1e-9 * condition);
}

#[test]
fn noise_ceilings_equal_rsatoolbox() {
    let g = golden();
    let subjects: Vec<Rdm> = rdm_set(&g, "subjects").into_iter().map(|(_, rdm)| rdm).collect();
    for (name, statistic) in [
        ("corr", Statistic::Pearson),
        ("spearman", Statistic::Spearman),
        ("tau-a", Statistic::KendallTauA),
        ("cosine", Statistic::Cosine),
        ("corr_cov", Statistic::CorrCov),
        ("cosine_cov", Statistic::CosineCov),
    ] {
        let found = across_subjects(&subjects, statistic).unwrap();
        let wrong = worst([found.lower, found.upper], &vector(&g, &format!("ceiling_{name}")));
        println!("{name}: {wrong:.1e}");
        assert!(wrong < 2e-6, "{name}: {wrong}");
    }
    assert!(across_subjects(&subjects[..1], Statistic::Pearson).is_err());
}

/// Position in NumPy's order (k fastest) of a position in ours (i fastest).
fn c_order(grid: &Grid, position: u32) -> i64 {
    let [i, j, k] = grid.voxel(position as usize);
    ((i * grid.shape[1] + j) * grid.shape[2] + k) as i64
}

/// Rows of our maps for the script's centres.
fn places(grid: &Grid, neighbourhoods: &Neighbourhoods<'_>, centres: &ArrayD<i64>) -> Vec<usize> {
    let own: Vec<i64> = neighbourhoods.centres().iter().map(|&c| c_order(grid, c)).collect();
    centres.iter().map(|c| own.iter().position(|o| o == c).expect("a centre of the script")).collect()
}

#[test]
fn a_whole_brain_searchlight_equals_rsatoolbox_and_mne_rsa() {
    let Some(folder) = data("visual_categories_12mm") else { return };
    let g = golden();
    let mask = nifti::read_mask(&folder.join("mask.nii.gz")).unwrap().0;
    assert_eq!(mask.n_voxels(), 1186);
    let runs: Vec<Array2<f32>> = (1..=3)
        .map(|r| nifti::read(&folder.join(format!("localizer_run{r}_betas.nii.gz"))).unwrap().masked(&mask).unwrap())
        .collect();
    let views: Vec<_> = runs.iter().map(|r| r.view()).collect();
    let patterns = ndarray::concatenate(ndarray::Axis(0), &views).unwrap();
    let blocks: Vec<String> = (0..24).map(|b| format!("block{b}")).collect();
    let betas = Betas::new(patterns, &blocks, &vec!["1".to_owned(); 24]).unwrap();
    let patterns = Patterns::new(&betas, Measurement::default()).unwrap();
    let models = rdm_set(&g, "vc_models");

    let spheres = Neighbourhoods::new(&mask, None, Preset::Rsatoolbox.sphere(None)).unwrap();
    let centres = g.get::<i64>("vc_centres").unwrap();
    assert_eq!(spheres.centres().len(), centres.len(), "as many centres");
    let rows = places(mask.grid(), &spheres, &centres);
    let found = rdms(&patterns, &spheres);
    let expected = matrix(&g, "vc_rdms");
    let some = rows.iter().step_by(40).flat_map(|&r| found.row(r).to_vec());
    let wrong = worst(some, &expected);
    println!("RDMs: {wrong:.1e}");
    assert!(wrong < 1e-6, "{wrong}");
    for (name, statistic) in
        [("corr", Statistic::Pearson), ("spearman", Statistic::Spearman), ("cosine", Statistic::Cosine)]
    {
        let comparator = Comparator::new(&models, statistic, Residual::None).unwrap();
        let maps = searchlight(&patterns, &comparator, &spheres, &|_| true).unwrap();
        let values = rows.iter().flat_map(|&r| maps.values.column(r).to_vec()).map(f64::from);
        let wrong = worst(values, &matrix(&g, &format!("vc_{name}")));
        println!("{name}: {wrong:.1e} over {} centres", rows.len());
        assert!(wrong < 2e-6, "{name}: {wrong}");
        let counts = g.get::<i64>("vc_counts").unwrap();
        assert!(rows.iter().zip(&counts).all(|(&r, &n)| i64::from(maps.n_voxels[r]) == n));
    }

    let sphere = Sphere { radius: 24.0, unit: RadiusUnit::Mm, shape: SphereShape::Ball, ..Sphere::default() };
    let spheres = Neighbourhoods::new(&mask, None, sphere).unwrap();
    let centres = g.get::<i64>("vc_mm_centres").unwrap();
    assert_eq!(spheres.centres().len(), centres.len());
    let comparator = Comparator::new(&models, Statistic::Spearman, Residual::None).unwrap();
    let maps = searchlight(&patterns, &comparator, &spheres, &|_| true).unwrap();
    let rows = places(mask.grid(), &spheres, &centres);
    let values = (0..3).flat_map(|m| rows.iter().map(|&r| f64::from(maps.values[[m, r]])).collect::<Vec<_>>());
    let wrong = worst(values, &matrix(&g, "vc_mm_spearman"));
    println!("mne-rsa: {wrong:.1e}");
    assert!(wrong < 2e-6, "{wrong}");
}

#[test]
fn crossnobis_searchlights_of_raw_bold_equal_rsatoolbox() {
    let Some(folder) = data("haxby2001_s1") else { return };
    let g = golden();
    let mask = nifti::read_mask(&folder.join("vt_mask.nii.gz")).unwrap().0;
    assert_eq!(mask.n_voxels(), 577);
    let bold = nifti::read(&folder.join("vt_bold.nii.gz")).unwrap().masked(&mask).unwrap();
    let table = tsv::read(&folder.join("vt_labels.tsv")).unwrap();
    let column = |name: &str| table.column(name).unwrap().into_iter().map(String::from).collect::<Vec<_>>();
    let betas = Betas::new(bold, &column("category"), &column("run")).unwrap();
    let sphere = Sphere { min_fraction: 0.0, ..Preset::Rsatoolbox.sphere(Some(3.0)) };
    let spheres = Neighbourhoods::new(&mask, None, sphere).unwrap();
    let rows = places(mask.grid(), &spheres, &g.get::<i64>("haxby_centres").unwrap());
    for (name, dissimilarity, noise) in [
        ("haxby_correlation", Dissimilarity::Correlation, NoiseCovariance::Identity),
        ("haxby_crossnobis", Dissimilarity::Crossnobis, NoiseCovariance::Identity),
        ("haxby_whitened", Dissimilarity::Crossnobis, NoiseCovariance::ShrinkageDiag),
    ] {
        let measurement = Measurement { dissimilarity, noise, folds: Folds::Auto, noise_from: NoiseFrom::All };
        let patterns = Patterns::new(&betas, measurement).unwrap();
        let found = rdms(&patterns, &spheres);
        let expected = matrix(&g, name);
        let scale = if dissimilarity == Dissimilarity::Correlation {
            1.0
        } else {
            expected.iter().fold(0.0f64, |m, v| m.max(v.abs()))
        };
        let wrong = worst(rows.iter().flat_map(|&r| found.row(r).to_vec()), &expected) / scale;
        println!("{name}: {wrong:.1e} of {scale:.3}");
        assert!(wrong < 1e-5, "{name}: {wrong}");
    }
}
