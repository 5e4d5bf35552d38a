//! Receptive fields that are known, found again: voxels simulated on a real network's responses to real
//! photographs.

use crate::support::data;
use orthoscope::data::StimulusSource;
use orthoscope::encoding::features::{Context, Extraction, Limits, Reduction, RfGrid, Table};
use orthoscope::encoding::receptive_fields::size_and_eccentricity;
use orthoscope::encoding::simulated_fields::{recovery, simulate};
use orthoscope::encoding::{GaussianRf, Labels, Leakage, Rows, Split, Work, folds};
use orthoscope::image::{Resized, resize::Resize};
use orthoscope::io::images;
use orthoscope::network::CpuEngine;
use orthoscope::network::zoo::{LoadOptions, load_model};
use orthoscope::rng;

/// Centre within half a step of the grid and radius within one step, for 95 % of the voxels at a
/// signal-to-noise ratio of 1; and sizes that grow along a hierarchy are found to grow.
#[test]
fn windows_of_simulated_voxels_are_found_again() {
    let Some(zip) = data("v4/data_V4_responses/images/images_190923.zip") else { return };
    let graph = load_model("mini-inception", &LoadOptions::default()).unwrap().graph;
    let size = Some((graph.input.height, graph.input.width));
    let (set, _) = Resized::new(images::open(&zip).unwrap(), size, Resize::Stretch, |_, _| Ok(())).unwrap();
    let grid = RfGrid { n_centres: 6, n_radii: 5, smallest_deg: 0.7, largest_deg: 4.0, ..RfGrid::new(20.0) };
    let node = graph.tap("mixed3a").unwrap();
    let taps = [(node, Reduction::RfPooled(grid.clone()))];
    let n = set.n_images();
    let plan = Extraction::new(&graph, &taps, n, n, Limits::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut features = None;
    let make = &mut |taps: &[_]| Ok(Box::new(CpuEngine::new(&graph, taps)?) as Box<dyn orthoscope::network::Executor>);
    plan.run(make, &set, &Context::new(folder.path()), &mut |_, table| {
        features = Some(table);
        Ok(())
    })
    .unwrap();
    let Some(Table::Features(x)) = features else { panic!("windows are features") };
    let candidates = grid.candidates().unwrap();
    let n_channels = graph.node(node).shape.channels;
    let mut draw = rng::stream(71, "recovered fields", 0);
    let truth: Vec<usize> = (0..150).map(|_| draw.below(candidates.len())).collect();
    let y = simulate(x.view(), n_channels, &truth, 1.0, 72).unwrap();
    let rows = Rows::all(n).unwrap();
    let inner = folds(&rows, &Labels::default(), Split::Interleaved { n_folds: 5 }, 0).unwrap();
    let rf = GaussianRf::default();
    let search = rf.prepare(x.view(), n_channels, &rows, &inner, &mut Leakage::default()).unwrap();
    let fit = search.fit(y.view(), &Work::default()).unwrap();
    let of = |windows: &[usize]| windows.iter().map(|&w| candidates[w]).collect::<Vec<_>>();
    let ratio = (4.0f64 / 0.7).powf(0.25);
    let found = recovery(&of(&fit.windows), &of(&truth), 20.0 / 6.0, ratio);
    println!("{found:?}");
    assert!(found.both >= 0.95, "{found:?}");
    let sizes: Vec<f64> = (0..5)
        .map(|radius| {
            let own: Vec<usize> = (0..truth.len()).filter(|&t| truth[t] % 5 == radius).collect();
            size_and_eccentricity(&candidates, &fit.windows, &own).unwrap().size_deg
        })
        .collect();
    println!("{sizes:?}");
    assert!(sizes.windows(2).all(|pair| pair[0] < pair[1]), "{sizes:?}");
    assert!(sizes.iter().enumerate().all(|(i, size)| (size / (0.7 * ratio.powi(i as i32)) - 1.0).abs() < 0.1));
}
