//! What a network loses with each channel of a layer: GoogLeNet's inception_4c/5x5, 64 channels.
//!
//!     cargo bench --bench ablation --no-run                       # prints where the binary is
//!     python benches/ablation.py BINARY                           # beside PyTorch, in turn
//!
//! Prepares the network, then judges the layer's channels on N images once for each line on standard
//! input and answers with its wall time in milliseconds. The weights are drawn: time does not depend
//! on them.

use ndarray::{Array2, Array4};
use orthoscope::compression::importance::{Ablation, Data, Network};
use orthoscope::compression::{Groups, originals};
use orthoscope::network::zoo::{LoadOptions, load_model};
use std::io::BufRead;
use std::time::Instant;

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let (Some(model), Some(layer)) = (args.next(), args.next()) else {
        eprintln!("ablation MODEL LAYER [N_IMAGES]");
        return;
    };
    let n_images: usize = args.next().and_then(|n| n.parse().ok()).unwrap_or(16);
    let graph = load_model(&model, &LoadOptions::default()).expect("a network").graph;
    let side = (graph.input.height, graph.input.width);
    let images = Array4::from_shape_fn((n_images, 3, side.0, side.1), |(n, c, y, x)| {
        ((n * 13 + c * 7 + y * 3 + x * 5) % 97) as f32 / 96.0
    });
    let groups = Groups::of(&graph, &[]).expect("channels that can be removed");
    let original = originals(&groups);
    let network = Network { graph: &graph, groups: &groups, original: &original };
    let score = |taps: &[Array2<f32>]| Ok(f64::from(taps[0].sum()));
    let group = groups.named(&layer).expect("a layer of the network");
    let ablation = Ablation::new(Data::new(&images), &[graph.scores()], &score);
    for line in std::io::stdin().lock().lines() {
        if line.is_err() {
            return;
        }
        let start = Instant::now();
        let found = ablation.ablate(network, group).expect("a score of every network");
        let ms = start.elapsed().as_secs_f64() * 1e3;
        assert_eq!(found.without.len(), groups.group(group).width());
        println!("{ms}");
    }
}
