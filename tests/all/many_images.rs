//! Sets of images that do not fit in memory: in batches as all at once.

use ndarray::Array4;
use orthoscope::Error;
use orthoscope::data::StimulusSource;
use orthoscope::network::moments::{BATCH, fits, moments, n_steps, scratch_bytes};
use orthoscope::network::{
    BurnExecutor, CpuEngine, Executor, Graph, LayerMoments, NodeId, TapRequest, TapValue, card, features,
};
use orthoscope::rdm::Measure;
use orthoscope::rdm::measure::from_moments;
use orthoscope::rng::stream;
use orthoscope::tensor::{Device, Precision, array};
use std::cell::Cell;
use std::path::Path;

/// The embedded network with layers of 55,296, 5,760 and 69 units, and more images than two
/// batches and a rest.
const N: usize = 2 * BATCH + 5;

fn network() -> (Graph, Vec<NodeId>) {
    let (graph, _) = card::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models/mini-inception")).unwrap();
    let taps = ["conv1/7x7_s2", "mixed4a", "logits"].map(|t| graph.tap(t).unwrap()).to_vec();
    (graph, taps)
}

/// Smooth random pictures: a plane wave of its own colour each, and noise.
fn images() -> Array4<f32> {
    let mut rng = stream(5, "many images", 0);
    let waves: Vec<[f64; 4]> = (0..N * 3).map(|_| std::array::from_fn(|_| rng.uniform())).collect();
    Array4::from_shape_fn((N, 3, 96, 96), |(i, c, y, x)| {
        let [a, b, phase, noise] = waves[3 * i + c];
        let wave = (0.4 * a * x as f64 + 0.4 * b * y as f64 + 6.0 * phase).sin();
        (0.5 + 0.35 * wave + 0.1 * noise * ((x * 7 + y * 13) % 5) as f64 / 5.0) as f32
    })
}

fn engine(kind: fn(NodeId) -> TapRequest) -> CpuEngine {
    let (graph, taps) = network();
    CpuEngine::new(&graph, &taps.into_iter().map(kind).collect::<Vec<_>>()).unwrap()
}

fn all_moments(executor: &mut dyn Executor, images: &dyn StimulusSource) -> Vec<LayerMoments> {
    let folder = tempfile::tempdir().unwrap();
    let mut layers = Vec::new();
    moments(executor, images, &Device::default(), folder.path(), &|_| true, &mut |layer, m| {
        assert_eq!(layer, layers.len());
        layers.push(m);
        Ok(())
    })
    .unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
    layers
}

#[test]
fn rdms_in_batches_are_those_of_all_images_at_once() {
    let images = images();
    let whole = all_moments(&mut engine(TapRequest::Moments), &images);
    let parts = all_moments(&mut engine(TapRequest::Activations), &images);
    let (graph, taps) = network();
    let requests: Vec<TapRequest> = taps.into_iter().map(TapRequest::Activations).collect();
    let burn = &mut BurnExecutor::new(&graph, &requests, Precision::F32, &Device::default()).unwrap();
    let on_burn = all_moments(burn, &images);
    assert_eq!([whole.len(), parts.len(), on_burn.len()], [3; 3]);
    for measure in [Measure::Correlation, Measure::Cosine, Measure::SquaredEuclidean] {
        let rdm = |m: &LayerMoments| {
            let labels = (0..N).map(|i| i.to_string()).collect();
            from_moments(m.gram.view(), &m.sums, m.n_units, measure, labels).unwrap().values().to_vec()
        };
        for (layer, expected) in whole.iter().enumerate() {
            let expected_rdm = rdm(expected);
            let n = expected.n_units as f64;
            let squares = || expected.gram.diag().into_iter().copied().zip(&expected.sums);
            // Cosines are numbers near 1, squared distances of the size of squared patterns; taking
            // the mean off a pattern leaves its variance, with the rounding of its squares.
            let scale = match measure {
                Measure::SquaredEuclidean => squares().map(|(square, _)| square).fold(0.0, f64::max),
                Measure::Correlation => {
                    squares().map(|(square, sum)| square / (square - sum * sum / n)).fold(1.0, f64::max)
                }
                _ => 1.0,
            };
            for (found, tolerance) in [(&parts[layer], 1e-6), (&on_burn[layer], 1e-5)] {
                assert_eq!(found.n_units, expected.n_units);
                for (a, b) in rdm(found).iter().zip(&expected_rdm) {
                    assert!((a - b).abs() < tolerance * scale, "layer {layer}, {measure}: {a} and {b}");
                }
            }
        }
    }
}

#[test]
fn activations_of_a_batch_do_not_depend_on_its_size() {
    let images = images();
    let gather = |batch: usize| {
        let mut layers = vec![Vec::new(); 3];
        let mut ranges = Vec::new();
        let mut executor = engine(TapRequest::Activations);
        features(&mut executor, &images, batch, &Device::default(), &mut |range, values| {
            ranges.push(range);
            for (layer, value) in layers.iter_mut().zip(values) {
                let TapValue::Activations(a) = value else { panic!("asked for activations") };
                layer.extend(array(&a));
            }
            Ok(())
        })
        .unwrap();
        assert_eq!((ranges[0].start, ranges.last().unwrap().end), (0, N));
        assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start));
        layers
    };
    let all = gather(N);
    for batch in [1, 7, BATCH] {
        assert!(gather(batch) == all, "batches of {batch}");
    }
}

#[test]
fn a_stop_comes_between_batches_and_between_blocks() {
    let images = images();
    let mut executor = engine(TapRequest::Activations);
    let n = n_steps(&executor, N).unwrap();
    // Three batches; blocks of 4,096 units.
    assert_eq!(n, 3 + 14 + 2 + 1);
    for stop in [1, 3, 4, n] {
        let heard = Cell::new(0);
        let done = |k: usize| {
            heard.set(heard.get() + k);
            heard.get() < stop
        };
        let folder = tempfile::tempdir().unwrap();
        let found = moments(&mut executor, &images, &Device::default(), folder.path(), &done, &mut |_, _| Ok(()));
        assert!(matches!(found, Err(Error::Interrupted { .. })), "stopped at {stop}");
        assert_eq!(heard.get(), stop);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[test]
fn memory_and_disk_are_known_before() {
    let (whole, parts) = (engine(TapRequest::Moments), engine(TapRequest::Activations));
    let bytes = whole.bytes_per_image();
    // The activations of the taps at least, and the pixels.
    assert!(bytes > 4 * (55_296 + 5_760 + 69 + 3 * 96 * 96) && bytes < 8 << 20, "{bytes}");
    assert!(fits(&whole, 100, 100 * bytes) && !fits(&whole, 100, 100 * bytes - 1));
    assert_eq!(scratch_bytes(&whole, N).unwrap(), 0);
    assert_eq!(n_steps(&whole, N).unwrap(), 1);
    assert_eq!(scratch_bytes(&parts, N).unwrap(), 4 * N as u64 * (55_296 + 5_760 + 69));
    let (graph, taps) = network();
    let mixed = [TapRequest::Moments(taps[0]), TapRequest::Activations(taps[1])];
    assert!(n_steps(&CpuEngine::new(&graph, &mixed).unwrap(), N).is_err());
}
