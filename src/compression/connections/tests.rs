//! Streams that come back, and numbers of Python (tests/golden/compression.py).

use super::codebook::{exact, linear, nearest, spread};
use super::{Amount, Clustering, LayerBits, Reach, Sharing, decode, encode, huffman, prune, sparse};
use crate::compression::testing::{every, images, outputs, separable};
use crate::io::npz;
use crate::rng::stream;
use std::path::Path;

fn golden() -> npz::Npz {
    npz::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/compression.npz")).unwrap()
}

#[test]
fn code_lengths_are_heapqs() {
    let golden = golden();
    for i in 0..3 {
        let counts: Vec<u64> =
            golden.get::<i64>(&format!("huffman.{i}.counts")).unwrap().iter().map(|&n| n as u64).collect();
        let lengths = huffman::lengths(&counts);
        let bits = golden.get::<i64>(&format!("huffman.{i}.bits")).unwrap().iter().copied().next().unwrap();
        assert_eq!(huffman::n_bits(&counts, &lengths), bits as u64, "{i}");
        // Kraft: a complete code.
        let full: f64 = lengths.iter().filter(|l| **l > 0).map(|l| 0.5f64.powi(i32::from(*l))).sum();
        assert_eq!(full, 1.0);
        let mut rng = stream(1, "symbols", i);
        let symbols: Vec<usize> = (0..500).map(|_| rng.below(counts.len())).filter(|&s| counts[s] > 0).collect();
        let coded = huffman::encode(&symbols, &lengths);
        assert_eq!(huffman::decode(&coded, &lengths, symbols.len()).unwrap(), symbols);
        assert!(huffman::decode(&coded[..coded.len() - 1], &lengths, symbols.len()).is_none(), "the end is missing");
    }
    assert_eq!(huffman::lengths(&[0, 7, 0]), [0, 1, 0]);
    assert!(huffman::lengths(&[]).is_empty());
    assert!(huffman::decode(&[0], &[1, 1, 1], 1).is_none(), "three codes of one bit");
    assert!(huffman::decode(&[0], &[0, 0], 1).is_none());
}

#[test]
fn clusters_are_scikit_learns_and_the_best_ones() {
    let golden = golden();
    let values: Vec<f32> = golden.get::<f32>("kmeans.values").unwrap().into_iter().collect();
    for k in [4, 7, 16] {
        let expected = golden.get::<f64>(&format!("kmeans.{k}.centres")).unwrap();
        let found = linear(&values, k);
        assert_eq!(found.len(), k);
        for (f, e) in found.iter().zip(&expected) {
            assert!((f64::from(*f) - e).abs() < 1e-6, "{k}: {found:?}");
        }
        let least = golden.get::<f64>(&format!("kmeans.{k}.least")).unwrap().iter().copied().next().unwrap();
        let best = spread(&values, &exact(&values, k));
        assert!((best - least).abs() <= 1e-6 * least, "{k}: {best} against {least}");
        assert!(best <= spread(&values, &found) * (1.0 + 1e-9));
    }
    assert_eq!(exact(&[2.0, 2.0, 1.0], 5), [1.0, 2.0]);
    assert_eq!((linear(&[3.0; 4], 8), linear(&[], 2), exact(&[], 2)), (vec![3.0], vec![], vec![]));
    assert_eq!([-1.0, 0.4, 0.5, 0.6, 9.0].map(|v| nearest(&[0.0, 1.0], v)), [0, 0, 0, 1, 1]);
}

#[test]
fn gaps_are_filled_where_they_are_long() {
    let mut row = vec![0; 40];
    (row[0], row[5], row[14], row[38]) = (3, 1, 2, 1);
    // Gaps 0, 4, 8 and 23; three bits hold 0 to 7.
    let found = sparse::entries(&row, 3);
    assert_eq!(found, [(0, 3), (4, 1), (7, 0), (0, 2), (7, 0), (7, 0), (7, 1)]);
    assert_eq!(sparse::symbols(found.iter().copied(), 40).unwrap(), row);
    assert!(sparse::symbols(found.into_iter(), 38).is_none());
    for bits in 1..6 {
        let mut rng = stream(2, "row", u64::from(bits));
        let row: Vec<usize> = (0..500).map(|_| if rng.below(9) == 0 { 1 + rng.below(4) } else { 0 }).collect();
        let entries = sparse::entries(&row, bits);
        assert!(entries.iter().all(|e| e.0 < 1 << bits));
        assert_eq!(sparse::symbols(entries.into_iter(), 500).unwrap(), row);
    }
}

#[test]
fn the_smallest_go_in_a_layer_and_in_all() {
    let graph = separable();
    let count = |g: &crate::network::Graph, name: &str| g.weight(name).iter().filter(|w| **w == 0.0).count();
    let layer = prune(&graph, Amount::Share(0.3), Reach::Layer).unwrap();
    let all = prune(&graph, Amount::Share(0.3), Reach::Global).unwrap();
    let names: Vec<&str> = super::connections(&graph).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["first.w", "deep.w", "point.w", "deep2.w", "point2.w", "response.w"]);
    let total: usize = names.iter().map(|n| graph.weight(n).len()).sum();
    assert_eq!(names.iter().map(|n| count(&all, n)).sum::<usize>(), (0.3 * total as f64) as usize);
    let mut largest = 0.0f32;
    let mut least = f32::MAX;
    for name in &names {
        assert_eq!(count(&layer, name), (0.3 * graph.weight(name).len() as f64) as usize);
        for (before, after) in graph.weight(name).iter().zip(all.weight(name)) {
            assert!(*after == 0.0 || after == before);
            if *after == 0.0 { largest = largest.max(before.abs()) } else { least = least.min(before.abs()) }
        }
        assert_eq!(all.weight("first.b"), graph.weight("first.b"));
    }
    assert!(largest <= least);
    let deviations = prune(&graph, Amount::Deviations(0.5), Reach::Layer).unwrap();
    let w = graph.weight("first.w").mapv(f64::from);
    let below = w.iter().filter(|v| v.abs() < 0.5 * w.std(0.0)).count();
    assert!(below > 0 && count(&deviations, "first.w") == below);
    for wrong in [Amount::Share(1.1), Amount::Share(f64::NAN), Amount::Deviations(-1.0)] {
        assert_eq!(prune(&graph, wrong, Reach::Layer).unwrap_err().exit_code(), 2);
    }
    assert_eq!(
        count(&prune(&graph, Amount::Share(1.0), Reach::Global).unwrap(), "first.w"),
        graph.weight("first.w").len()
    );
}

#[test]
fn what_is_written_is_read_and_every_byte_is_counted() {
    for graph in every() {
        for (share, clustering, weight, index) in [
            (0.0, Clustering::Linear, 3, 1),
            (0.7, Clustering::Exact, 2, 3),
            (0.95, Clustering::Linear, 5, 5),
            (1.0, Clustering::Exact, 1, 2),
        ] {
            let sparse = prune(&graph, Amount::Share(share), Reach::Layer).unwrap();
            let bits = LayerBits { weight, index };
            let sharing = Sharing { convolutions: bits, linear: LayerBits { weight: weight + 1, index }, clustering };
            let coded = encode(&sparse, &sharing).unwrap();
            let read = decode(&coded.bytes, Path::new("w")).unwrap();
            assert_eq!(&read, coded.graph.weights());
            assert_eq!(12 + coded.tensors.iter().map(|t| t.total()).sum::<usize>(), coded.bytes.len());
            for (name, convolution) in super::connections(&graph) {
                let (before, after) = (sparse.weight(name), coded.graph.weight(name));
                let mut distinct: Vec<u32> = after.iter().filter(|v| **v != 0.0).map(|v| v.to_bits()).collect();
                distinct.sort_unstable();
                distinct.dedup();
                assert!(distinct.len() <= 1 << if convolution { weight } else { weight + 1 });
                assert!(before.iter().zip(after).all(|(b, a)| *b != 0.0 || *a == 0.0), "zeros stay");
                let counted = coded.tensors.iter().find(|t| t.name == name).unwrap();
                assert_eq!(counted.nonzero, before.iter().filter(|v| **v != 0.0).count());
            }
            assert_eq!(coded.graph.nodes(), graph.nodes());
            assert_eq!(encode(&sparse, &sharing).unwrap().bytes, coded.bytes, "the same again");
        }
        // With as many centres as weights nothing changes.
        let bits = LayerBits { weight: 11, index: 8 };
        let fine = Sharing { convolutions: bits, linear: bits, clustering: Clustering::Exact };
        let exact = encode(&graph, &fine).unwrap();
        assert_eq!(exact.graph.weights(), graph.weights());
        let x = images(2);
        assert_eq!(outputs(&exact.graph, graph.output(), &x), outputs(&graph, graph.output(), &x));
    }
}

#[test]
fn damaged_streams_are_refused() {
    let graph = separable();
    let coded = encode(&graph, &Sharing::default()).unwrap().bytes;
    let path = Path::new("w.deep");
    for n in 0..coded.len().min(900) {
        assert!(matches!(decode(&coded[..n], path), Err(crate::Error::Corrupt { .. })), "{n} bytes");
    }
    assert!(matches!(decode(&coded[..coded.len() - 1], path), Err(crate::Error::Corrupt { .. })));
    assert!(decode(&[&coded[..], &[0]].concat(), path).is_err());
    let mut rng = stream(3, "damage", 0);
    for _ in 0..3000 {
        let mut bytes = coded.clone();
        for _ in 0..1 + rng.below(4) {
            let at = rng.below(bytes.len().min(4000));
            bytes[at] = rng.bits() as u8;
        }
        // Read or refused: nothing panics.
        drop(decode(&bytes, path));
    }
    let none = Sharing { linear: LayerBits { weight: 0, index: 8 }, ..Sharing::default() };
    assert_eq!(encode(&graph, &none).unwrap_err().exit_code(), 2);
}
