//! Features of images: against scikit-learn, NumPy and SciPy (`tests/golden/features.py`), against the
//! activations themselves, and what must hold whatever the images.

use crate::support::{activations, data};
use ndarray::{Array2, Array4, ArrayView2, Axis, Ix2, Slice};
use orthoscope::data::StimulusSource;
use orthoscope::encoding::features::*;
use orthoscope::encoding::temporal::{DoubleGamma, Sampling};
use orthoscope::encoding::{Leakage, Rows};
use orthoscope::image::{Resized, resize::Resize};
use orthoscope::io::{images, npz};
use orthoscope::network::zoo::{LoadOptions, load_model};
use orthoscope::network::{ChannelOrder, CpuEngine, Executor, Graph, GraphBuilder, InputSpec, NodeId, Op, TapRequest};
use orthoscope::tensor::{Device, tensor};
use orthoscope::{Cancel, Error, Result, Warning, rng};
use std::cell::Cell;
use std::path::Path;

const TRAIN: usize = 50;

fn golden() -> npz::Npz {
    npz::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/features.npz")).unwrap()
}

fn matrix(golden: &npz::Npz, name: &str) -> Array2<f64> {
    golden.get::<f64>(name).unwrap().into_dimensionality::<Ix2>().unwrap()
}

fn vector(golden: &npz::Npz, name: &str) -> Vec<f64> {
    golden.get::<f64>(name).unwrap().iter().copied().collect()
}

fn largest_difference(found: ArrayView2<'_, f32>, expected: ArrayView2<'_, f64>) -> f64 {
    assert_eq!(found.dim(), expected.dim());
    let largest = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    found.iter().zip(expected).fold(0.0f64, |m, (a, b)| m.max((f64::from(*a) - b).abs())) / largest
}

/// Inner products of the rows, units z-scored on some rows before if there are any.
fn inner_products(x: &Array2<f32>, on: Option<&Rows>) -> Table {
    let mut wide = x.mapv(f64::from);
    if let Some(rows) = on {
        let train = rows.take(wide.view(), "x").unwrap();
        let (mean, sd) = (train.mean_axis(Axis(0)).unwrap(), train.std_axis(Axis(0), 1.0));
        wide = (wide - mean) / sd.mapv(|s| if s > 0.0 { s } else { 1.0 });
    }
    Table::Gram(GramTable { gram: wide.dot(&wide.t()), n_units: x.ncols(), standardized_on: on.cloned() })
}

#[test]
fn components_are_those_of_scikit_learn() {
    let golden = golden();
    for name in ["narrow", "wide"] {
        let x = matrix(&golden, &format!("{name}_x")).mapv(|v| v as f32);
        let rows = Rows::new((0..TRAIN).collect(), x.nrows()).unwrap();
        for (scaling, zscore) in [("centred", false), ("zscored", true)] {
            let keeps =
                [("share", Keep::Variance(0.9)), ("most", Keep::Variance(0.99)), ("eight", Keep::Components(8))];
            for (key, keep) in keeps {
                let options = PcaOptions { keep, zscore, project: None };
                let key = format!("{name}_{scaling}_{key}");
                let expected = matrix(&golden, &key);
                for table in [Table::Features(x.clone()), inner_products(&x, zscore.then_some(&rows))] {
                    let pca = Pca::fit(&table, &rows, &options, &key, &mut Leakage::default()).unwrap();
                    let scores = pca.scores(&table).unwrap();
                    let off = largest_difference(scores.view(), expected.view());
                    assert!(off < 2e-5, "{key}: {off}");
                    let variances = vector(&golden, &format!("{key}_variance"));
                    assert!(pca.variances().iter().zip(&variances).all(|(a, b)| (a - b).abs() < 1e-5 * variances[0]));
                    let share = vector(&golden, &format!("{key}_share"))[0];
                    assert!((pca.share() - share).abs() < 1e-6, "{key}: {} and {share}", pca.share());
                }
            }
        }
    }
}

#[test]
fn sizes_and_entries_of_projections_are_those_of_scikit_learn() {
    let golden = golden();
    let (n, eps, sizes) = (vector(&golden, "jl_n"), vector(&golden, "jl_eps"), matrix(&golden, "jl"));
    for ((i, j), &size) in sizes.indexed_iter() {
        assert_eq!(johnson_lindenstrauss(n[i] as usize, eps[j]), size as usize, "{} images, eps {}", n[i], eps[j]);
    }
    let made = Projection::default().matrix("layer", 2000, 300).unwrap();
    let mut dense = Array2::zeros((2000, 300));
    made.apply(Array2::eye(2000).view(), dense.view_mut());
    let value = vector(&golden, "srp_value")[0];
    assert!(dense.iter().all(|&v| v == 0.0 || (f64::from(v).abs() - value).abs() < 1e-6));
    let nonzero = vector(&golden, "srp_nonzero");
    let (low, high) = nonzero.iter().fold((f64::MAX, 0.0f64), |(l, h), &v| (l.min(v), h.max(v)));
    let room = high - low;
    assert!((low - room..=high + room).contains(&(made.n_entries() as f64)), "{} of {low} to {high}", made.n_entries());
}

/// A network whose only layer has its units every 8 pixels, the first centred at pixel 3.5.
fn striding() -> (Graph, NodeId) {
    let input = InputSpec {
        height: 96,
        width: 96,
        order: ChannelOrder::Rgb,
        range: 1.0,
        mean: vec![0.0; 3],
        std: vec![1.0; 3],
    };
    let mut b = GraphBuilder::new("striding", input, Default::default()).unwrap();
    let pool = Op::AvgPool { kernel: [8, 8], stride: [8, 8], padding: [0; 4], ceil: false, count_include_pad: false };
    let node = b.push("pool", pool, &[0]).unwrap();
    (b.finish().unwrap(), node)
}

#[test]
fn masses_are_those_of_error_functions() {
    let golden = golden();
    let (graph, node) = striding();
    let windows = matrix(&golden, "windows");
    let windows = windows.rows().into_iter().map(|w| GaussianWindow { x_deg: w[0], y_deg: w[1], sd_deg: w[2] });
    let grid = RfGrid { height_deg: Some(12.0), windows: windows.collect(), ..RfGrid::new(16.0) };
    let masks = TapMap::new(&graph, node).unwrap().masks(&grid).unwrap();
    let off = largest_difference(masks.view(), matrix(&golden, "masks").view());
    assert!(off < 1e-6, "{off}");
}

/// A spot of light on the striding network is seen most by the window that stands there.
#[test]
fn a_window_sees_the_spot_at_its_place() {
    let (graph, node) = striding();
    // 20 degrees: pixel 28 is 4.06 degrees left of the centre, row 68 as much below it.
    let mut spot = Array4::zeros((1, 3, 96, 96));
    spot.slice_axis_mut(Axis(2), Slice::from(64..72)).slice_axis_mut(Axis(3), Slice::from(24..32)).fill(1.0);
    let grid = RfGrid { n_radii: 1, ..RfGrid::new(20.0) };
    let candidates = grid.candidates().unwrap();
    let table = extract(&graph, &[(node, Reduction::RfPooled(grid))], &spot).remove(0).features().unwrap();
    let red: Vec<f32> = (0..candidates.len()).map(|g| table[(0, 3 * g)]).collect();
    let best = (0..red.len()).max_by(|&a, &b| red[a].total_cmp(&red[b])).unwrap();
    assert_eq!((candidates[best].x_deg, candidates[best].y_deg), (-3.75, -3.75));
}

fn mini() -> Graph {
    load_model("mini-inception", &LoadOptions::default()).unwrap().graph
}

fn pictures(n: usize) -> Array4<f32> {
    let mut random = rng::stream(9, "pictures", 0);
    let waves: Vec<[f64; 3]> = (0..n * 3).map(|_| std::array::from_fn(|_| random.uniform())).collect();
    Array4::from_shape_fn((n, 3, 96, 96), |(i, c, y, x)| {
        let [a, b, phase] = waves[3 * i + c];
        (0.5 + 0.45 * (0.5 * a * x as f64 + 0.5 * b * y as f64 + 6.0 * phase).sin()) as f32
    })
}

fn engines(graph: &Graph) -> impl FnMut(&[TapRequest]) -> Result<Box<dyn Executor>> + '_ {
    |taps| Ok(Box::new(CpuEngine::new(graph, taps)?))
}

fn extract_with(
    graph: &Graph,
    taps: &[(NodeId, Reduction)],
    images: &dyn StimulusSource,
    limits: Limits,
    context: &Context<'_>,
) -> Result<(Vec<Table>, Vec<Warning>)> {
    let n = images.n_images();
    let plan = Extraction::new(graph, taps, n, n, limits)?;
    let mut tables = vec![None; taps.len()];
    let warnings = plan.run(&mut engines(graph), images, context, &mut |tap, table| {
        assert!(tables[tap].replace(table).is_none());
        Ok(())
    })?;
    Ok((tables.into_iter().map(Option::unwrap).collect(), warnings))
}

fn extract(graph: &Graph, taps: &[(NodeId, Reduction)], images: &dyn StimulusSource) -> Vec<Table> {
    let folder = tempfile::tempdir().unwrap();
    let found = extract_with(graph, taps, images, Limits::default(), &Context::new(folder.path())).unwrap().0;
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
    found
}

const N: usize = 37;

/// A wide layer in every form, and a narrow one.
fn taps(graph: &Graph) -> Vec<(NodeId, Reduction)> {
    let (wide, narrow) = (graph.tap("mixed3a").unwrap(), graph.tap("logits").unwrap());
    let projection = Projection { n_components: Some(200), ..Default::default() };
    let projected = PcaOptions { project: Some(projection), ..Default::default() };
    vec![
        (wide, Reduction::Flat),
        (wide, Reduction::SpatialMean),
        (wide, Reduction::RfPooled(RfGrid { n_centres: 2, n_radii: 2, ..RfGrid::new(20.0) })),
        (wide, Reduction::SparseRandomProjection(projection)),
        (wide, Reduction::Pca(PcaOptions::default())),
        (wide, Reduction::Pca(projected)),
        (narrow, Reduction::Pca(PcaOptions::default())),
    ]
}

#[test]
fn every_reduction_is_that_of_the_activations() {
    let (graph, images) = (mini(), pictures(N));
    let taps = taps(&graph);
    let tables = extract(&graph, &taps, &images);
    let units = activations(&graph, &[taps[0].0], &tensor(images.view(), &Device::default())).remove(0);
    let (c, pixels) = (units.shape()[1], units.shape()[2] * units.shape()[3]);
    let maps = units.into_shape_with_order((N * c, pixels)).unwrap().mapv(f64::from);
    let features = |i: usize| match &tables[i] {
        Table::Features(x) => x.clone(),
        Table::Gram(_) => panic!("features of tap {i}"),
    };
    let near = |i: usize, expected: Array2<f64>| {
        let off = largest_difference(features(i).view(), expected.view());
        assert!(off < 1e-5, "{}: {off}", taps[i].1.describe());
    };
    let flat = maps.to_shape((N, c * pixels)).unwrap().to_owned();
    near(0, flat.clone());
    near(1, maps.mean_axis(Axis(1)).unwrap().into_shape_with_order((N, c)).unwrap());
    let Reduction::RfPooled(grid) = &taps[2].1 else { panic!() };
    let masks = TapMap::new(&graph, taps[2].0).unwrap().masks(grid).unwrap().mapv(f64::from);
    let pooled = maps.dot(&masks);
    near(2, Array2::from_shape_fn((N, 8 * c), |(i, j)| pooled[(i * c + j % c, j / c)]));
    let Reduction::SparseRandomProjection(projection) = &taps[3].1 else { panic!() };
    let name = &graph.node(taps[3].0).name;
    let mut matrix = Array2::zeros((c * pixels, 200));
    projection.matrix(name, c * pixels, 200).unwrap().apply(Array2::eye(c * pixels).view(), matrix.view_mut());
    near(3, flat.dot(&matrix.mapv(f64::from)));
    assert_eq!(features(5), features(3));
    let Table::Gram(table) = &tables[4] else { panic!("inner products of the wide layer") };
    let (expected, scale) = (flat.dot(&flat.t()), flat.row(0).dot(&flat.row(0)));
    assert!(table.gram.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5 * scale));
}

#[test]
fn numbers_depend_on_neither_batch_nor_passes_nor_neighbours() {
    let (graph, images) = (mini(), pictures(N));
    let (taps, folder) = (taps(&graph), tempfile::tempdir().unwrap());
    let all = extract(&graph, &taps, &images);
    let context = Context::new(folder.path());
    let small = Limits { batch: 5, memory: 4 << 20, scratch: 4 << 20 };
    let plan = Extraction::new(&graph, &taps, N, N, small).unwrap();
    assert!(plan.n_passes() > 1 && plan.bytes(0) <= 4 << 20 && plan.scratch_bytes() <= 4 << 20);
    assert!(extract_with(&graph, &taps, &images, small, &context).unwrap().0 == all);
    for (tap, expected) in taps.iter().zip(&all) {
        let widths = match expected {
            Table::Features(x) => x.ncols(),
            Table::Gram(t) => t.n_units,
        };
        assert!(extract(&graph, std::slice::from_ref(tap), &images)[0] == *expected, "{widths} alone");
    }
}

/// The scores of training images are the same bits whatever the held-out images show.
#[test]
fn held_out_images_change_nothing_that_was_learnt() {
    let (graph, images) = (mini(), pictures(N));
    let train = Rows::new((0..N).filter(|i| i % 3 != 0).collect(), N).unwrap();
    let mut poisoned = images.clone();
    (0..N).step_by(3).for_each(|i| poisoned.index_axis_mut(Axis(0), i).fill(1e6 * i as f32));
    let (wide, narrow) = (graph.tap("mixed3a").unwrap(), graph.tap("logits").unwrap());
    let zscored = PcaOptions { zscore: true, ..Default::default() };
    let taps = [
        (wide, Reduction::Pca(PcaOptions::default())),
        (wide, Reduction::Pca(zscored)),
        (narrow, Reduction::Pca(zscored)),
        (wide, Reduction::Pca(PcaOptions { project: Some(Projection::default()), ..zscored })),
    ];
    let folder = tempfile::tempdir().unwrap();
    let context = Context { train: Some(&train), ..Context::new(folder.path()) };
    let scores = |images: &Array4<f32>| {
        let tables = extract_with(&graph, &taps, images, Limits::default(), &context).unwrap().0;
        let mut leakage = Leakage::default();
        let learnt: Vec<(Pca, Array2<f32>)> = taps
            .iter()
            .zip(&tables)
            .map(|((_, reduction), table)| {
                let pca = Pca::fit(table, &train, reduction.pca().unwrap(), "tap", &mut leakage).unwrap();
                let scores = train.take(pca.scores(table).unwrap().view(), "scores").unwrap();
                (pca, scores)
            })
            .collect();
        let test = Rows::new((0..N).step_by(3).collect(), N).unwrap();
        leakage.check(&test).unwrap();
        assert!(leakage.report().iter().all(|line| line.n_rows == train.len()));
        learnt
    };
    let (clean, bad) = (scores(&images), scores(&poisoned));
    assert!(clean == bad);
    // Not so when the PCA sees them.
    let all = Rows::all(N).unwrap();
    let of_all = |images: &Array4<f32>| {
        let table = extract(&graph, &taps[..1], images).remove(0);
        Pca::fit(&table, &all, &PcaOptions::default(), "tap", &mut Leakage::default()).unwrap()
    };
    assert!(of_all(&images) != of_all(&poisoned));
}

#[test]
fn components_on_units_give_the_scores_again() {
    let (graph, images) = (mini(), pictures(N));
    let train = Rows::new((4..N).collect(), N).unwrap();
    let (wide, narrow) = (graph.tap("mixed3a").unwrap(), graph.tap("logits").unwrap());
    let folder = tempfile::tempdir().unwrap();
    let context = Context { train: Some(&train), ..Context::new(folder.path()) };
    let cases = [(wide, false), (wide, true), (narrow, true)];
    let mut made = Vec::new();
    for (node, zscore) in cases {
        let options = PcaOptions { keep: Keep::Components(12), zscore, project: None };
        let taps = [(node, Reduction::Pca(options)), (node, Reduction::Flat)];
        let mut tables = extract_with(&graph, &taps, &images, Limits::default(), &context).unwrap().0;
        let pca = Pca::fit(&tables[0], &train, &options, "tap", &mut Leakage::default()).unwrap();
        let scores = pca.scores(&tables[0]).unwrap();
        let Some(Table::Features(units)) = tables.pop() else { panic!() };
        made.push((pca, scores, units));
    }
    // All in one pass.
    let taps = cases.map(|(node, _)| TapRequest::Activations(node));
    let mut engine = CpuEngine::new(&graph, &taps).unwrap();
    let pcas = || made.iter().map(|(pca, ..)| pca.into());
    let all =
        components(&pcas().collect::<Vec<_>>(), &mut engine, &images, 5, &Device::default(), &context.work).unwrap();
    for (found, (_, scores, units)) in all.iter().zip(&made) {
        let off = largest_difference(found.scores(units.view()).view(), scores.mapv(f64::from).view());
        assert!(off < 1e-4, "{off}");
        let products = found.components.t().dot(&found.components);
        assert!(products.indexed_iter().all(|((i, j), v)| (v - f32::from(u8::from(i == j))).abs() < 1e-3));
    }
    let error =
        components(&pcas().take(2).collect::<Vec<_>>(), &mut engine, &images, 5, &Device::default(), &context.work)
            .unwrap_err();
    assert!(error.to_string().contains("an executor of 2 layers"), "{error}");
}

/// The tables of a movie.
fn movie_tables(
    graph: &Graph,
    taps: &[(NodeId, Reduction)],
    map: &FrameMap,
    frames: &Array4<f32>,
    limits: Limits,
) -> Vec<Table> {
    let folder = tempfile::tempdir().unwrap();
    let n = map.n_samples();
    let plan = Extraction::movie(graph, taps, map.clone(), n, limits).unwrap();
    let mut tables = vec![None; taps.len()];
    let visit = &mut |i: usize, table| {
        assert!(tables[i].replace(table).is_none());
        Ok(())
    };
    plan.run(&mut engines(graph), frames, &Context::new(folder.path()), visit).unwrap();
    tables.into_iter().map(Option::unwrap).collect()
}

/// Every reduction of a movie is the map of the reduced frames; a PCA's inner products those of mapped units.
#[test]
fn movies_give_a_row_a_sample() {
    let (graph, frames) = (mini(), pictures(N));
    let taps = taps(&graph);
    let kernel = DoubleGamma::default().kernel(0.5).unwrap();
    let sampling = |rate| Sampling { frame_rate_hz: rate, t_r_s: 0.9, skip_s: 0.3 };
    let maps = [
        FrameMap::average(N, sampling(5.0), 7).unwrap(),
        FrameMap::concatenated(&[
            FrameMap::convolved(&kernel, 21, sampling(2.0), 11).unwrap(),
            FrameMap::downsample(N - 21, sampling(2.0), 5).unwrap(),
        ])
        .unwrap(),
    ];
    let of_frames = [0, 1, 2, 3].map(|i| extract(&graph, &taps[i..=i], &frames).remove(0).features().unwrap());
    for map in &maps {
        let found = movie_tables(&graph, &taps, map, &frames, Limits { batch: 5, ..Default::default() });
        for (i, each) in of_frames.iter().enumerate() {
            let Table::Features(x) = &found[i] else { panic!("features of {}", taps[i].1.describe()) };
            assert!(*x == map.apply(each.view()).unwrap(), "{}", taps[i].1.describe());
        }
        let (Table::Gram(products), Table::Features(units)) = (&found[4], &found[0]) else { panic!() };
        let wide = units.mapv(f64::from);
        let scale = wide.rows().into_iter().map(|row| row.dot(&row)).fold(0.0, f64::max);
        assert!(products.gram.iter().zip(&wide.dot(&wide.t())).all(|(a, b)| (a - b).abs() < 1e-5 * scale));
        // The same bits in other batches and passes, and on one thread.
        let small = Limits { batch: 3, memory: 12 << 20, scratch: 4 << 20 };
        assert!(movie_tables(&graph, &taps, map, &frames, small) == found);
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert!(one.install(|| movie_tables(&graph, &taps, map, &frames, Limits::default())) == found);
    }
}

#[test]
fn a_movies_plan_says_its_memory_and_its_cache_knows_the_map() {
    let (graph, frames, folder) = (mini(), pictures(12), tempfile::tempdir().unwrap());
    let sampling = Sampling { frame_rate_hz: 4.0, t_r_s: 1.0, skip_s: 0.0 };
    let make = |kernel: &[f64]| FrameMap::convolved(kernel, 12, sampling, 3).unwrap();
    let taps = [(graph.tap("mixed3a").unwrap(), Reduction::Flat)];
    let plan =
        |map: FrameMap| Extraction::movie(&graph, &taps, map, 3, Limits { batch: 1, ..Default::default() }).unwrap();
    let (short, long) = (plan(make(&[1.0])), plan(make(&[0.25; 12])));
    let units = short.taps()[0].shape.len() as u64;
    // 3 samples in 32 bits, a frame in 32 bits, and those that are open in 64.
    assert_eq!([&short, &long].map(|plan| plan.bytes(0)), [units * (12 + 4 + 8), units * (12 + 4 + 3 * 8)]);
    let cache = Cache::new(&folder.path().join("cache"), None);
    let text = |s: &str| s.to_owned();
    let identity = Identity { images: text("a"), weights: text("b"), resize: text("stretch"), executor: text("CPU") };
    let context = Context { cache: Some((&cache, &identity)), ..Context::new(folder.path()) };
    let made = Cell::new(0);
    let run = |plan: &Extraction<'_>, frames: &Array4<f32>| {
        let mut table = None;
        let mut engine = |taps: &[TapRequest]| {
            made.set(made.get() + 1);
            engines(&graph)(taps)
        };
        plan.run(&mut engine, frames, &context, &mut |_, found| {
            table = Some(found);
            Ok(())
        })?;
        Ok::<_, Error>(table)
    };
    let first = run(&short, &frames).unwrap();
    assert!(run(&short, &frames).unwrap() == first && made.get() == 1);
    assert!(run(&long, &frames).unwrap() != first && made.get() == 2);
    let error = run(&long, &pictures(11)).unwrap_err().to_string();
    assert!(error.contains("movie: expected 12 frames, as mapped, found 11"), "{error}");
}

#[test]
fn maps_of_frames_are_those_of_numpy() {
    let golden = golden();
    let x = matrix(&golden, "movie").mapv(|v| v as f32);
    let at = |key: &str| vector(&golden, &format!("movie_{key}"));
    for i in 0..3 {
        let [rate, t_r_s, skip_s] = at("sampling").chunks_exact(3).map(|c| [c[0], c[1], c[2]]).nth(i).unwrap();
        let sampling = Sampling { frame_rate_hz: rate, t_r_s, skip_s };
        let kernel = DoubleGamma::kamali().kernel(1.0 / rate).unwrap();
        for (name, make) in [("average", 0), ("downsample", 1), ("convolved", 2)] {
            let expected = matrix(&golden, &format!("movie_{name}{i}"));
            let n = expected.nrows();
            let map = match make {
                0 => FrameMap::average(x.nrows(), sampling, n),
                1 => FrameMap::downsample(x.nrows(), sampling, n),
                _ => FrameMap::convolved(&kernel, x.nrows(), sampling, n),
            };
            let off = largest_difference(map.unwrap().apply(x.view()).unwrap().view(), expected.view());
            assert!(off < 1e-6, "{name} {i}: {off}");
        }
    }
}

#[test]
fn a_cache_spares_the_network_and_is_never_trusted_when_damaged() {
    let (graph, images, folder) = (mini(), pictures(9), tempfile::tempdir().unwrap());
    let taps = taps(&graph);
    let plan = Extraction::new(&graph, &taps, 9, 9, Limits::default()).unwrap();
    let cache = Cache::new(&folder.path().join("cache"), None);
    let text = |s: &str| s.to_owned();
    let identity = Identity { images: text("a"), weights: text("b"), resize: text("stretch"), executor: text("CPU") };
    let made = Cell::new(0);
    let run = |identity: &Identity| {
        let context = Context { cache: Some((&cache, identity)), ..Context::new(folder.path()) };
        let mut tables = vec![None; taps.len()];
        made.set(0);
        let mut engine = |taps: &[TapRequest]| {
            made.set(made.get() + taps.len());
            engines(&graph)(taps)
        };
        let warnings = plan.run(&mut engine, &images, &context, &mut |i, table| {
            tables[i] = Some(table);
            Ok(())
        });
        (tables, warnings.unwrap())
    };
    let (first, warnings) = run(&identity);
    assert_eq!((made.get(), warnings.len()), (7, 0));
    assert!(run(&identity).0 == first && made.get() == 0);
    let name = &plan.taps()[6].tap;
    let path = cache.path(&identity, name, &taps[6].1, None);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 4;
    std::fs::write(&path, &bytes).unwrap();
    let (again, warnings) = run(&identity);
    assert!(again == first && made.get() == 1);
    let said = warnings[0].to_string();
    assert!(said.contains(&format!("{name}: its features in the cache cannot be used")), "{said}");
    assert!(run(&identity).1.is_empty() && made.get() == 0, "it was written again");
    run(&Identity { weights: text("c"), ..identity.clone() });
    assert_eq!(made.get(), 7);
}

#[test]
fn what_cannot_be_extracted_is_refused_before_anything_runs() {
    let (graph, images, folder) = (mini(), pictures(3), tempfile::tempdir().unwrap());
    let (wide, flat) = (graph.tap("mixed3a").unwrap(), graph.tap("logits").unwrap());
    let plan = |tap, reduction, limits| Extraction::new(&graph, &[(tap, reduction)], 10_000, 9_000, limits).map(|_| ());
    let said = |tap, reduction, limits| plan(tap, reduction, limits).unwrap_err().to_string();
    let grid = Reduction::RfPooled(RfGrid::new(20.0));
    assert!(said(flat, grid.clone(), Limits::default()).contains("expected a map of places"));
    let little = Limits { memory: 64 << 20, ..Default::default() };
    assert!(said(wide, Reduction::Flat, little).contains("expected at most 64 MiB of memory"));
    let no_disk = Limits { scratch: 1 << 20, ..Default::default() };
    let few = Extraction::new(&graph, &[(wide, Reduction::Pca(PcaOptions::default()))], 100, 90, no_disk).map(|_| ());
    let few = few.unwrap_err();
    assert!(few.to_string().contains("expected at most 1 MiB of temporary files"), "{few}");
    assert!(few.hint().unwrap().contains("project"));
    assert!(Extraction::new(&graph, &[], 3, 2, Limits::default()).is_err());
    let run = |taps: &[(NodeId, Reduction)], n: usize, context: &Context<'_>| {
        let plan = Extraction::new(&graph, taps, n, n, Limits::default()).unwrap();
        let mut none = |_: &[TapRequest]| -> Result<Box<dyn Executor>> { panic!("nothing runs") };
        plan.run(&mut none, &images, context, &mut |_, _| Ok(())).unwrap_err()
    };
    let context = Context::new(folder.path());
    let mean = [(wide, Reduction::SpatialMean)];
    assert!(run(&mean, 4, &context).to_string().contains("expected 4 images, as planned, found 3"));
    let zscored = [(wide, Reduction::Pca(PcaOptions { zscore: true, ..Default::default() }))];
    assert!(run(&zscored, 3, &context).to_string().contains("the training rows that its units are z-scored on"));
}

#[test]
fn a_request_to_stop_is_heard_between_batches() {
    let (graph, images, folder) = (mini(), pictures(20), tempfile::tempdir().unwrap());
    let mut context = Context::new(folder.path());
    context.work.cancel = Cancel::default();
    context.work.cancel.cancel();
    let found = extract_with(&graph, &taps(&graph), &images, Limits::default(), &context);
    assert!(matches!(found, Err(Error::Interrupted { .. })));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Photographs shown to monkeys, through SqueezeNet: a layer of 400,000 units by its inner products.
#[test]
fn photographs_through_squeezenet() {
    let (Some(set), Some(model)) =
        (data("v4/data_V4_responses/images/images_190923.zip"), data("squeezenet_v11/squeezenet_v11.onnx"))
    else {
        return;
    };
    let options = LoadOptions { preprocess: Some("caffe".into()), ..Default::default() };
    let graph = load_model(&model.display().to_string(), &options).unwrap().graph;
    let size = Some((graph.input.height, graph.input.width));
    let (all, _) = Resized::new(images::open(&set).unwrap(), size, Resize::Stretch, |_, _| Ok(())).unwrap();
    let some = all.read(0..48).unwrap();
    let node = graph.tap("fire2/concat").unwrap();
    let train = Rows::new((0..32).collect(), 48).unwrap();
    let options = PcaOptions::default();
    let tables = extract(&graph, &[(node, Reduction::Pca(options)), (node, Reduction::Flat)], &some);
    let scores = |table: &Table| {
        let pca = Pca::fit(table, &train, &options, "tap", &mut Leakage::default()).unwrap();
        (pca.n_components(), pca.scores(table).unwrap())
    };
    let ((k, found), (same, expected)) = (scores(&tables[0]), scores(&tables[1]));
    assert!(k == same && k > 20 && k < 32, "{k} components");
    let off = largest_difference(found.view(), expected.mapv(f64::from).view());
    assert!(off < 1e-4, "{off}");
}
