use super::*;
use crate::io::npz;
use crate::rng;
use crate::stats::neighbours::{Connectivity, mask};
use ndarray::{Array1, Ix2};
use std::path::Path;

fn near(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1.0, |m: f64, v| m.max(v.abs()));
    for (v, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance * scale, "{what} at {v}: {a} against {b}");
    }
}

/// Tests of voxels by themselves.
fn voxels() -> GroupOptions {
    GroupOptions { seed: 0, cluster_p: None, tfce: None, ..GroupOptions::default() }
}

fn run(maps: &Array2<f64>, near: &Neighbours, options: &GroupOptions) -> GroupTest {
    one_sample(maps.view(), Some(near), options, |_| Ok(())).unwrap()
}

/// Made by tests/golden/stats_group.py with nilearn 0.14.1 and scipy 1.17.1, all in 64 bits. 1e-9
/// because nilearn normalises the maps before it multiplies; p counts flips and is equal.
#[test]
fn statistics_equal_nilearn_over_all_flips() {
    let golden = npz::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/stats_group.npz")).unwrap();
    let vector = |name: &str| golden.get::<f64>(name).unwrap().iter().copied().collect::<Vec<_>>();
    let maps = golden.get::<f64>("maps").unwrap().into_dimensionality::<Ix2>().unwrap();
    // numpy's last axis runs fastest, a grid's first: the volume is read with its axes exchanged.
    let inside: Vec<bool> = golden.get::<u8>("mask").unwrap().iter().map(|&v| v > 0).collect();
    let neighbours = Neighbours::of_mask(&mask([5, 6, 7], |v| inside[v]), Connectivity::Faces);
    for (name, tail) in [("greater", Tail::Greater), ("two_sided", Tail::TwoSided)] {
        let golden = |key: &str| vector(&format!("{name}_{key}"));
        let options =
            GroupOptions { tail, n_permutations: 256, cluster_p: Some(0.02), tfce: Some(Tfce::nilearn()), ..voxels() };
        let found = run(&maps, &neighbours, &options);
        assert!(found.exhaustive && found.n_permutations == 256);
        near(&found.t, &vector("ttest_1samp"), 1e-12, "t of scipy");
        near(&found.t, &golden("t"), 1e-9, "t of nilearn");
        near(&found.p_fwe, &golden("p_t"), 1e-15, "p of t");
        let tfce = found.tfce.unwrap();
        near(&tfce.values, &golden("tfce"), 1e-9, "TFCE");
        near(&tfce.p_fwe, &golden("p_tfce"), 1e-15, "p of TFCE");
        let clusters = found.clusters.unwrap();
        near(&[clusters.threshold], &golden("threshold"), 1e-12, "threshold");
        let of_cluster = |value: &dyn Fn(&Cluster) -> f64| {
            let at = |&l: &u32| if l == 0 { 0.0 } else { value(&clusters.clusters[l as usize - 1]) };
            clusters.labels.iter().map(at).collect::<Vec<_>>()
        };
        near(&of_cluster(&|c| c.size as f64), &golden("size"), 1e-15, "size");
        near(&of_cluster(&|c| c.mass), &golden("mass"), 1e-9, "mass");
        let maxima = golden("maxima");
        for (column, p) in [(1, &clusters.p_size), (2, &clusters.p_mass)] {
            let value = |c: &Cluster| if column == 1 { c.size as f64 } else { c.mass };
            let reached =
                |c: &Cluster| maxima.iter().skip(column).step_by(4).filter(|m| **m >= value(c) - 1e-9).count();
            let expected: Vec<f64> = clusters.clusters.iter().map(|c| reached(c) as f64 / 256.0).collect();
            near(p, &expected, 1e-15, "p of clusters");
        }
    }
    let found = run(&maps, &neighbours, &GroupOptions { tail: Tail::TwoSided, n_permutations: 9, ..voxels() });
    near(&found.p_parametric, &vector("p_parametric"), 1e-12, "parametric p");
}

/// n subjects of smooth noise on a line of voxels.
fn noise(n_subjects: usize, n_voxels: usize, item: u64) -> Array2<f64> {
    let mut rng = rng::stream(11, "group test noise", item);
    let white = Array2::from_shape_simple_fn((n_subjects, n_voxels + 2), || rng.normal());
    Array2::from_shape_fn((n_subjects, n_voxels), |(s, v)| white[[s, v]] + white[[s, v + 1]] + white[[s, v + 2]])
}

fn line(n: usize) -> Neighbours {
    Neighbours::from_pairs(n, &(1..n).map(|i| (i - 1, i)).collect::<Vec<_>>()).unwrap()
}

/// 300 groups without effect: every corrected test may be wrong in 5 % of them, and must be in
/// some. 300 x 0.05 has a standard deviation of 3.8; the bounds are 15 +- 3 of those. Cluster
/// statistics are discrete and may stay lower.
#[test]
fn family_wise_errors_are_as_many_as_announced() {
    let (n_groups, n_voxels) = (300, 60);
    let neighbours = line(n_voxels);
    let mut wrong = [0; 4];
    let mut p_of_one = Vec::new();
    for item in 0..n_groups {
        let options = GroupOptions {
            tail: Tail::TwoSided,
            n_permutations: 99,
            seed: item,
            cluster_p: Some(0.05),
            tfce: Some(Tfce::default()),
            ..voxels()
        };
        let found = run(&noise(9, n_voxels, item), &neighbours, &options);
        assert!(!found.exhaustive);
        let clusters = found.clusters.unwrap();
        let least = |p: &[f64]| p.iter().copied().fold(1.0, f64::min);
        for (n, p) in
            wrong.iter_mut().zip([&found.p_fwe, &found.tfce.unwrap().p_fwe, &clusters.p_size, &clusters.p_mass])
        {
            *n += usize::from(least(p) <= 0.05);
        }
        p_of_one.push(found.p[7]);
    }
    assert!(wrong[..2].iter().all(|n| (4..=26).contains(n)), "{wrong:?}");
    assert!(wrong[2..].iter().all(|n| (2..=26).contains(n)), "{wrong:?}");
    // Kolmogorov's distance of 300 uniform values exceeds 1.63 / sqrt(300) = 0.094 in 1 % of cases;
    // p is in steps of 0.01.
    p_of_one.sort_by(f64::total_cmp);
    let distance = p_of_one.iter().enumerate().map(|(i, p)| (p - (i + 1) as f64 / 300.0).abs()).fold(0.0, f64::max);
    assert!(distance < 0.104, "p of one voxel is uniform: {distance}");
}

#[test]
fn effects_are_found_on_the_side_that_is_asked_for() {
    let mut maps = noise(12, 50, 1);
    maps.slice_axis_mut(Axis(1), ndarray::Slice::from(10..16)).mapv_inplace(|v| v + 3.0);
    maps.slice_axis_mut(Axis(1), ndarray::Slice::from(30..36)).mapv_inplace(|v| v - 3.0);
    let significant = |tail| {
        let options = GroupOptions { tail, n_permutations: 500, tfce: Some(Tfce::default()), ..voxels() };
        let found = run(&maps, &line(50), &options);
        let p = [found.p_fwe, found.tfce.unwrap().p_fwe, found.q];
        p.map(|p| [12, 33].map(|v| p[v] <= 0.05))
    };
    assert_eq!(significant(Tail::Greater), [[true, false]; 3]);
    assert_eq!(significant(Tail::Less), [[false, true]; 3]);
    assert_eq!(significant(Tail::TwoSided), [[true, true]; 3]);
}

#[test]
fn missing_values_leave_voxels_out_or_shrink_the_sample() {
    let mut maps = noise(6, 8, 2);
    maps[[0, 3]] = f64::NAN;
    maps.column_mut(5).fill(f64::NAN);
    maps.column_mut(6).fill(0.25);
    let all = run(&maps, &line(8), &GroupOptions { n_permutations: 64, ..voxels() });
    assert_eq!((all.n_left_out, all.exhaustive), (3, true));
    for map in [&all.t, &all.p, &all.p_fwe, &all.q, &all.mean, &all.p_parametric] {
        assert!((0..8).all(|v| map[v].is_nan() == [3, 5, 6].contains(&v)));
    }
    let options = GroupOptions { n_permutations: 64, min_subjects: Some(5), ..voxels() };
    let fewer = run(&maps, &line(8), &options);
    let rest: Vec<f64> = maps.column(3).iter().skip(1).copied().collect();
    let t = crate::math::stats::mean(&rest) / (crate::math::stats::sd(&rest, 1) / 5f64.sqrt());
    assert!((fewer.t[3] - t).abs() < 1e-12 && fewer.n_left_out == 2);
}

#[test]
fn the_thread_count_does_not_change_a_bit() {
    let maps = noise(20, 70, 3);
    let options = GroupOptions {
        n_permutations: 150,
        cluster_p: Some(0.05),
        tfce: Some(Tfce::default()),
        tail: Tail::TwoSided,
        ..voxels()
    };
    let with = |n| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
        let found = pool.install(|| run(&maps, &line(70), &options));
        (found.p, found.p_fwe, found.null, found.tfce.unwrap().p_fwe, found.clusters.unwrap().p_mass)
    };
    let one = with(1);
    assert!([2, 3].into_iter().all(|n| with(n) == one));
}

#[test]
fn a_paired_test_is_the_test_of_differences() {
    let (a, b) = (noise(7, 9, 4), noise(7, 9, 5));
    let options = GroupOptions { n_permutations: 50, ..voxels() };
    let found = paired(a.view(), b.view(), None, &options, |_| Ok(())).unwrap();
    assert_eq!(found.t, one_sample((&a - &b).view(), None, &options, |_| Ok(())).unwrap().t);
    assert!(paired(a.view(), noise(6, 9, 5).view(), None, &options, |_| Ok(())).is_err());
}

#[test]
fn bad_input_is_refused_and_a_stop_is_passed_on() {
    let maps = noise(5, 6, 6);
    let options = GroupOptions { n_permutations: 10, ..voxels() };
    let message = |maps: &Array2<f64>, near: Option<&Neighbours>, options: &GroupOptions| {
        one_sample(maps.view(), near, options, |_| Ok(())).unwrap_err().to_string()
    };
    assert!(message(&noise(1, 6, 1), None, &options).contains("2 subjects"));
    assert!(message(&maps, None, &GroupOptions { tfce: Some(Tfce::default()), ..options }).contains("neighbours"));
    assert!(message(&maps, Some(&line(5)), &options).contains("6 voxels and 5"));
    assert!(
        message(&maps, Some(&line(6)), &GroupOptions { cluster_p: Some(0.0), ..options }).contains("between 0 and 0.5")
    );
    assert!(message(&maps.mapv(|_| f64::NAN), None, &options).contains("finite, varying"));
    assert!(message(&maps.mapv(|v| v / 0.0), None, &options).contains("infinity"));
    let stop = one_sample(maps.view(), None, &options, |done| Err(Error::invalid("here", "", format!("{done}"), "")));
    assert!(stop.unwrap_err().to_string().contains("10"));
}

#[test]
fn exhaustive_flips_are_all_different() {
    let flips = Flips::new(4, 16, 0);
    let signs = flips.block(0..16);
    let mut rows: Vec<Vec<i8>> = signs.rows().into_iter().map(|r| r.iter().map(|v| *v as i8).collect()).collect();
    rows.sort_unstable();
    rows.dedup();
    assert_eq!(rows.len(), 16);
    assert_eq!(signs.row(0), Array1::<f64>::ones(4), "the observed labelling is among them");
    assert!(!Flips::new(4, 15, 0).exhaustive && !Flips::new(200, usize::MAX, 0).exhaustive);
    let wide = Flips::new(130, 3, 0).block(0..3);
    assert!(wide.iter().all(|v| v.abs() == 1.0) && wide.row(0) != wide.row(1));
}

#[test]
fn fisher_z_is_artanh() {
    assert!((fisher_z(0.5) - 0.549_306_144_334_054_8).abs() < 1e-15);
    assert!(fisher_z(1.0).is_finite() && fisher_z(-1.0) == -fisher_z(1.0) && fisher_z(f64::NAN).is_nan());
}

/// One voxel in which the subjects agree to a millionth must not take the heights of TFCE from all
/// others.
#[test]
fn a_nearly_constant_voxel_does_not_rule_tfce() {
    let near = Neighbours::of_mask(&mask([8, 6, 4], |v| v != 1), Connectivity::Faces);
    let mut rng = rng::stream(9, "nearly constant", 0);
    let block = |v: usize| (60..64).contains(&v) || (68..72).contains(&v);
    let usual = Array2::from_shape_fn((7, 191), |(_, v)| rng.normal() + if block(v) { 3.0 } else { 0.0 });
    let (mut odd, mut absent) = (usual.clone(), usual.clone());
    // Voxel 0 has no neighbour along its row; it touches others along the other axes, as any voxel
    // does.
    for s in 0..7 {
        odd[[s, 0]] = 1.0 + 1e-6 * s as f64;
        absent[[s, 0]] = f64::NAN;
    }
    let options =
        GroupOptions { n_permutations: 128, tfce: Some(Tfce::default()), cluster_p: None, ..Default::default() };
    let (usual, odd, absent) =
        (run(&usual, &near, &options), run(&odd, &near, &options), run(&absent, &near, &options));
    assert_eq!((usual.outlying.len(), odd.outlying.as_slice(), absent.outlying.len()), (0, [0].as_slice(), 0));
    assert!(odd.t[0] > 1e5, "t of the voxel itself stays: {}", odd.t[0]);
    let (odd, absent) = (odd.tfce.unwrap(), absent.tfce.unwrap());
    let far: Vec<usize> = (60..72).collect();
    for &v in &far {
        assert!((odd.values[v] - absent.values[v]).abs() <= 0.02 * absent.values[v].abs(), "voxel {v}");
        assert!((odd.p_fwe[v] - absent.p_fwe[v]).abs() <= 1.0 / 128.0, "voxel {v}");
    }
    let significant = |p: &[f64]| far.iter().filter(|&&v| p[v] <= 0.05).count();
    assert_eq!(significant(&odd.p_fwe), significant(&absent.p_fwe));
    assert!(significant(&odd.p_fwe) >= 3);
}

/// By hand: means of three subjects are 2 as observed and 0, 3, 1 as relabelled; those that reach 2
/// are one of three, p = (1 + 1) / (1 + 3). sd^2 = (4 + 0 + 9 + 1) / 4.
#[test]
fn relabelled_means_are_counted() {
    let maps = ndarray::array![[1.0], [2.0], [3.0]];
    let of = [[-1.0, 0.0, 1.0], [2.0, 4.0, 3.0], [1.0, 0.0, 2.0]];
    let mut relabel = |k: usize| Ok(ndarray::Array2::from_shape_vec((3, 1), of[k].to_vec()).unwrap());
    let mut heard = vec![];
    let hear = |n| {
        heard.push(n);
        Ok(())
    };
    let found = relabelled(maps.view(), (Generalised::Images, 3), &mut relabel, None, &voxels(), hear).unwrap();
    assert_eq!((found.p[0], found.mean[0], found.n_permutations, found.exhaustive), (0.5, 2.0, 3, false));
    let z = found.z.unwrap()[0];
    assert!((z - 2.0 / 3.5f64.sqrt()).abs() < 1e-12 && (found.t[0] - 2.0 * 3f64.sqrt()).abs() < 1e-12, "{z}");
    assert_eq!(heard, [1, 2, 3, 6]);
}

/// Voxels of 12 subjects: what the observed maps vary by more than the relabelled ones comes back
/// in the test of both, and only there.
#[test]
fn subjects_vary_beside_relabelled_images() {
    const K: usize = 4000;
    let draw = |purpose: &str, k: u64, sd: [f64; 2]| {
        let mut draw = rng::stream(7, purpose, k);
        Array2::from_shape_fn((12, 2), |(_, v)| sd[v] * draw.normal())
    };
    let mut maps = draw("observed", 0, [1.0, 1.0]);
    let mean = maps.mean_axis(Axis(0)).unwrap();
    maps -= &mean;
    maps += 0.4;
    // Voxel 0: the relabelled maps vary as the observed ones. Voxel 1: half as much.
    let run = |over| {
        let mut relabel = |k: usize| Ok(draw("relabelled", k as u64, [1.0, 0.5]));
        relabelled(maps.view(), (over, K), &mut relabel, None, &voxels(), |_| Ok(())).unwrap()
    };
    let (images, both) = (run(Generalised::Images), run(Generalised::Both));
    let variance = |v: usize| maps.column(v).mapv(|x| (x - 0.4).powi(2)).sum() / 11.0;
    // Means of 12 relabelled maps have a standard deviation of 1 / sqrt(12) and half of that.
    let normal = |z: f64| crate::stats::distributions::norm_sf(z);
    let sd = |v: usize| if v == 0 { 1.0 } else { 0.5 } / 12f64.sqrt();
    for v in 0..2 {
        let expected = normal(0.4 / sd(v));
        let error = 4.0 * (expected * (1.0 - expected) / K as f64).sqrt() + 2.0 / K as f64;
        assert!((images.p[v] - expected).abs() < error, "{v}: {} for {expected}", images.p[v]);
    }
    // z of the test of both: its variance is that of the observed means.
    let z = |v: usize| 0.4 / (sd(v).powi(2) + (variance(v) - (12.0 * sd(v) * sd(v))).max(0.0) / 12.0).sqrt();
    let found = both.z.unwrap();
    assert!((found[1] / z(1) - 1.0).abs() < 0.05, "{} for {}", found[1], z(1));
    assert!(both.p[1] > 5.0 * images.p[1], "{} after {}", both.p[1], images.p[1]);
    // Student's p of the voxel, whose error is of subjects for three quarters.
    let student = crate::stats::distributions::t_sf(both.t[1], 11.0);
    assert!((both.p[1] / student - 1.0).abs() < 0.25, "{} for {student}", both.p[1]);
}

#[test]
fn relabelled_maps_that_do_not_fit_are_refused() {
    let maps = noise(5, 6, 6);
    let ask = |n: usize, shape: (usize, usize)| {
        let mut relabel = |_: usize| Ok(Array2::zeros(shape));
        relabelled(maps.view(), (Generalised::Both, n), &mut relabel, None, &voxels(), |_| Ok(()))
            .unwrap_err()
            .to_string()
    };
    assert!(ask(0, (5, 6)).contains("relabelled maps, found none"));
    assert!(ask(3, (5, 5)).contains("(5, 6), found (5, 5)"));
}
