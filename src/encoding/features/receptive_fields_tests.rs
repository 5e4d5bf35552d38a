//! Places of units, masses of windows, and grids.

use super::*;
use crate::network::{ChannelOrder, GraphBuilder, InputSpec, Op};
use ndarray::{ArrayD, IxDyn};

fn graph(side: usize, kernel: usize, stride: usize, pad: usize) -> (Graph, NodeId) {
    let input = InputSpec {
        height: side,
        width: side,
        order: ChannelOrder::Rgb,
        range: 1.0,
        mean: vec![0.0; 3],
        std: vec![1.0; 3],
    };
    let mut b = GraphBuilder::new("n", input, Default::default()).unwrap();
    b.add_weight("w", ArrayD::ones(IxDyn(&[2, 3, kernel, kernel])));
    let op = Op::Conv2d {
        weight: "w".into(),
        bias: None,
        stride: [stride; 2],
        padding: [pad; 4],
        dilation: [1, 1],
        groups: 1,
    };
    let node = b.push("conv", op, &[0]).unwrap();
    b.push("gap", Op::GlobalAvgPool, &[node]).unwrap();
    (b.finish().unwrap(), node)
}

/// By hand: 40 pixels of half a degree; a 4 x 4 window every 4 pixels without padding sees
/// pixels 0-3 first, whose middle is 2 pixels, 1 degree, from the edge: -9 degrees.
#[test]
fn places_follow_stride_and_padding() {
    let deg = (20.0, 20.0);
    let (plain, node) = graph(40, 4, 4, 0);
    let map = TapMap::new(&plain, node).unwrap();
    assert_eq!(map.degrees(0.0, 0.0, deg), (-9.0, 9.0));
    assert_eq!(map.degrees(9.0, 9.0, deg), (9.0, -9.0));
    let place = map.place(-9.0 + 2.0 * 3.0, 9.0 - 2.0 * 7.0, deg);
    assert!((place.row - 7.0).abs() < 1e-12 && (place.column - 3.0).abs() < 1e-12);
    assert!((place.from_left - 0.35).abs() < 1e-12 && (place.from_top - 0.75).abs() < 1e-12);
    // With 2 pixels of padding the first unit sees pixels -2 to 1: it stands on the edge.
    let (padded, node) = graph(40, 4, 4, 2);
    assert_eq!(TapMap::new(&padded, node).unwrap().degrees(0.0, 0.0, deg), (-10.0, 10.0));
    assert!(TapMap::new(&plain, 2).unwrap_err().to_string().contains("tap `gap`: expected a map of places"));
}

/// Against sums over a grid a hundred times finer, and fwRF's sampled density where the window
/// is wide.
#[test]
fn masses_are_integrals_over_cells() {
    let (graph, node) = graph(40, 4, 4, 0);
    let map = TapMap::new(&graph, node).unwrap();
    let windows = vec![
        GaussianWindow { x_deg: 1.25, y_deg: -3.75, sd_deg: 0.4 },
        GaussianWindow { x_deg: 1.25, y_deg: -3.75, sd_deg: 3.0 },
        GaussianWindow { x_deg: 9.0, y_deg: 9.0, sd_deg: 2.0 },
    ];
    let grid = RfGrid { windows: windows.clone(), ..RfGrid::new(20.0) };
    let masks = map.masks(&grid).unwrap();
    for (window, mask) in windows.iter().zip(masks.columns()) {
        assert!((mask.sum() - 1.0).abs() < 1e-5);
        let density = |x: f64, y: f64| {
            let square = (x - window.x_deg).powi(2) + (y - window.y_deg).powi(2);
            (-square / (2.0 * window.sd_deg.powi(2))).exp()
        };
        let fine = |row: usize, column: usize| {
            let (x, y) = map.degrees(row as f64, column as f64, (20.0, 20.0));
            let at = |i: usize| (i as f64 + 0.5) / 100.0 * 2.0 - 1.0;
            (0..100)
                .flat_map(|i| (0..100).map(move |j| (i, j)))
                .map(|(i, j)| density(x + at(i), y + at(j)))
                .sum::<f64>()
        };
        let cells: Vec<f64> = (0..10).flat_map(|r| (0..10).map(move |c| (r, c))).map(|(r, c)| fine(r, c)).collect();
        let total: f64 = cells.iter().sum();
        for (found, cell) in mask.iter().zip(&cells) {
            assert!((f64::from(*found) - cell / total).abs() < 1e-4, "{found} and {}", cell / total);
        }
    }
    let outside =
        RfGrid { windows: vec![GaussianWindow { x_deg: 30.0, y_deg: 0.0, sd_deg: 1.0 }], ..RfGrid::new(20.0) };
    let error = map.masks(&outside).unwrap_err().to_string();
    assert!(error.contains("on `conv`: expected a window that lies on the map") && !error.contains('{'), "{error}");
    // Beside others it is passed over.
    let mixed = RfGrid { windows: [outside.windows, vec![windows[0]]].concat(), ..RfGrid::new(20.0) };
    assert_eq!(map.on_map(&mixed).unwrap(), [false, true]);
    let found = map.masks(&mixed).unwrap();
    assert!(found.column(0).iter().all(|&v| v == 0.0) && found.column(1) == masks.column(0));
}

#[test]
fn grids_that_mean_nothing_are_refused() {
    let bad = |grid: RfGrid| assert!(grid.candidates().is_err(), "{grid:?}");
    bad(RfGrid::new(0.0));
    bad(RfGrid { n_centres: 0, ..RfGrid::new(20.0) });
    bad(RfGrid { n_centres: usize::MAX, ..RfGrid::new(20.0) });
    bad(RfGrid { smallest_deg: 9.0, ..RfGrid::new(20.0) });
    bad(RfGrid { spread_deg: Some(-1.0), ..RfGrid::new(20.0) });
    bad(RfGrid { windows: vec![GaussianWindow { x_deg: 0.0, y_deg: 0.0, sd_deg: 0.0 }], ..RfGrid::new(20.0) });
    // Kamali et al.'s radii: 0.5, 0.74, 1.10, 1.64, 2.44, 3.62, 5.38, 8.
    let radii: Vec<f64> = RfGrid::new(20.0).candidates().unwrap()[..8].iter().map(|w| w.sd_deg).collect();
    for (found, drawn) in radii.iter().zip([0.5, 0.74, 1.10, 1.64, 2.44, 3.62, 5.38, 8.0]) {
        assert!((found - drawn).abs() < 0.01, "{found}");
    }
}
