//! Connections instead of channels: small weights set to zero, the others shared and coded.
//!
//! The three stages of Deep Compression (Han, Mao and Dally, ICLR 2016), on the weights of
//! convolutions and linear layers; the network keeps its shape.
//!
//! | stage | function |
//! |---|---|
//! | pruning: the smallest weights become 0 | [`prune`] |
//! | weight sharing: k-means in one dimension | [`codebook`] |
//! | Huffman codes of shared weights and of the distances between them | [`huffman`] |
//! | all of it as a stream of bytes, and back | [`encode`], [`decode`] |

pub mod bits;
pub mod codebook;
pub mod huffman;
mod magnitude;
mod sparse;
mod stream;

pub use magnitude::{Amount, Reach, prune};
pub use stream::{Clustering, Encoded, LayerBits, Sharing, TensorBytes, decode, encode};

use crate::network::{Graph, Op};

/// Names of the weights of convolutions and linear layers, in execution order, each once; and
/// whether each is a convolution's.
pub fn connections(graph: &Graph) -> Vec<(&str, bool)> {
    let mut found: Vec<(&str, bool)> = Vec::new();
    for node in graph.nodes() {
        let (weight, convolution) = match &node.op {
            Op::Conv2d { weight, .. } => (weight, true),
            Op::Linear { weight, .. } => (weight, false),
            _ => continue,
        };
        if !found.iter().any(|(name, _)| name == weight) {
            found.push((weight, convolution));
        }
    }
    found
}

#[cfg(test)]
mod tests;
