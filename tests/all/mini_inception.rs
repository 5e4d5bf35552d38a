//! The embedded network as it is stored: against an independent implementation, its stated
//! accuracy, its layers.

#[path = "../../examples/train_mini_inception/scenes/mod.rs"]
pub(crate) mod scenes;

use crate::support::{activations, pearson, relative_error};
use ndarray::{ArrayD, Axis};
use orthoscope::network::card;
use orthoscope::network::probe::{probe, waves};
use orthoscope::network::{Graph, NodeId};
use orthoscope::tensor::{Device, Tensor, tensor_from_vec};
use std::path::{Path, PathBuf};

/// Golden activations are computed in 64 bits from the same 16-bit weights; 32-bit sums through
/// twenty layers come this close.
const TOLERANCE: f32 = 1e-4;

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn stored() -> (Graph, card::Card) {
    card::read(&folder("models/mini-inception")).unwrap()
}

fn twelve(graph: &Graph) -> Vec<NodeId> {
    let taps = graph.resolve_taps(&["inception12".into()]).unwrap();
    assert_eq!(taps.len(), 12);
    taps
}

/// Scenes of a seed that neither training nor the card's accuracy used.
fn fresh(n: usize, from: u64) -> (Tensor<4>, Vec<usize>) {
    let drawn: Vec<_> = (from..from + n as u64).map(|i| scenes::sample(90_125, i, 96)).collect();
    let values = drawn.iter().flat_map(|(_, image)| image.iter().copied()).collect();
    (tensor_from_vec(values, [n, 3, 96, 96], &Device::default()), drawn.iter().map(|(class, _)| *class).collect())
}

#[test]
fn activations_are_those_of_an_independent_implementation() {
    let (graph, _) = stored();
    let golden = orthoscope::io::npz::read(&folder("tests/golden/mini.npz")).unwrap();
    let images = waves(96, 96, &Device::default());
    let mut names: Vec<String> = graph.presets["inception12"].clone();
    names.push("loss3/classifier".into());
    names.push("prob".into());
    let nodes: Vec<NodeId> = names.iter().map(|n| graph.tap(n).unwrap()).collect();
    for (name, found) in names.iter().zip(activations(&graph, &nodes, &images)) {
        let expected: ArrayD<f32> = golden.get(&name.replace('/', "|")).unwrap();
        let found: Vec<f32> = found.iter().copied().step_by(found.len().div_ceil(6000)).collect();
        let error = relative_error(&found, expected.as_slice().unwrap());
        assert!(error < TOLERANCE, "{name}: {error}");
    }
}

#[test]
fn the_card_passes_its_own_check() {
    let (graph, card) = stored();
    let golden = card.golden.expect("the card holds golden activations");
    assert!(golden.taps.len() >= 12);
    let report = probe(&graph, Some(&golden), &Device::default()).unwrap();
    assert!(report.passed, "{report:?}");
}

#[test]
fn accuracy_on_fresh_scenes_is_as_stated() {
    let (graph, card) = stored();
    let stated = card.accuracy.unwrap()["held_out"].as_float().unwrap();
    let logits = graph.tap("logits").unwrap();
    let n = 3 * scenes::CLASSES.len();
    let mut n_right = 0;
    for from in (0..n).step_by(23) {
        let (images, labels) = fresh(23, from as u64);
        let values = activations(&graph, &[logits], &images).remove(0);
        for (row, label) in values.axis_iter(Axis(0)).zip(labels) {
            let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
            n_right += usize::from(best == label);
        }
    }
    let found = n_right as f64 / n as f64;
    // Three standard deviations of a binomial count, both ways: a much better result would mean
    // that the card is not this network's.
    let margin = 3.0 * (stated * (1.0 - stated) / n as f64).sqrt();
    assert!((found - stated).abs() <= margin, "stated {stated}, found {found}, margin {margin}");
}

#[test]
fn every_tap_is_alive_and_has_a_fingerprint_of_its_own() {
    let (graph, _) = stored();
    // One image of each class: deep channels answer to few of them.
    let (images, _) = fresh(scenes::CLASSES.len(), 0);
    let values = activations(&graph, &twelve(&graph), &images);
    let rsms: Vec<Vec<f64>> = values.iter().map(fingerprint).collect();
    for (layer, a) in values.iter().enumerate() {
        let channels = a.shape()[1];
        let alive = (0..channels).filter(|&c| a.index_axis(Axis(1), c).iter().any(|&v| v > 0.0)).count();
        assert!(alive * 10 >= channels * 9, "tap {layer}: {alive} of {channels} channels ever active");
    }
    for i in 0..rsms.len() {
        for j in 0..i {
            let r = pearson(&rsms[i], &rsms[j]);
            assert!(r < 0.995, "taps {j} and {i} have the same fingerprint (r {r})");
        }
    }
    assert!(pearson(&rsms[0], &rsms[11]) < 0.9, "first and last tap");
}

/// Correlations between images' activation patterns, upper triangle.
fn fingerprint(a: &ArrayD<f32>) -> Vec<f64> {
    let rows: Vec<Vec<f64>> = a.axis_iter(Axis(0)).map(|r| r.iter().map(|&v| f64::from(v)).collect()).collect();
    let pairs = (0..rows.len()).flat_map(|i| (i + 1..rows.len()).map(move |j| (i, j)));
    pairs.map(|(i, j)| pearson(&rows[i], &rows[j])).collect()
}

#[test]
fn aliases_name_the_same_taps() {
    let (graph, _) = stored();
    for (alias, name) in
        [("mixed4a", "inception_4a/output"), ("inception4a", "inception_4a/output"), ("conv2d0", "conv1/7x7_s2")]
    {
        assert_eq!(graph.tap(alias).unwrap(), graph.find(name).unwrap());
    }
    assert_eq!(graph.resolve_taps(&["inception9".into()]).unwrap().len(), 9);
}
