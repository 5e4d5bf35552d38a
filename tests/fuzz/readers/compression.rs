//! Coded weights of networks.

use super::networks::small_graph;
use super::{Input, Reader};
use orthoscope::Result;
use orthoscope::compression::connections::{Amount, LayerBits, Reach, Sharing, decode, encode, prune};

pub const READERS: &[Reader] = &[Reader::of_bytes("coded-weights", "weights.deep", streams, read)];

/// Dense with few bits, sparse with many.
fn streams() -> Vec<Vec<u8>> {
    let graph = small_graph();
    let stream = |share: f64, weight: u32, index: u32| {
        let sparse = prune(&graph, Amount::Share(share), Reach::Layer).expect("a share");
        let bits = LayerBits { weight, index };
        let sharing = Sharing { convolutions: bits, linear: bits, ..Sharing::default() };
        encode(&sparse, &sharing).expect("finite weights").bytes
    };
    vec![stream(0.0, 2, 1), stream(0.8, 5, 4)]
}

fn read(input: &Input<'_>) -> Result<()> {
    decode(input.bytes, input.path).map(drop)
}
