//! A network's weights as a stream of bytes: sparse, shared, coded; and back.
//!
//! All numbers are little-endian. After the mark `ODEEP 1\n` and the number of tensors (u32), for
//! each tensor in the order of names: name (u32 bytes, UTF-8), number of axes (u8), axes (u32
//! each), kind (u8).
//!
//! | kind | what follows |
//! |---|---|
//! | 0, plain | the numbers, 32-bit floats |
//! | 1, shared | bits of an index (u8), number of centres (u32), centres (f32 each), number of entries (u32); code lengths (u8 each) of the symbols 0 (a zero that fills a gap) and 1.. (the centres), and of the gaps; bytes of coded symbols (u32, then they), bytes of coded gaps (u32, then they) |

use super::codebook::{exact, linear, nearest};
use super::{connections, huffman, sparse};
use crate::data::shown;
use crate::error::{Error, Result};
use crate::network::{Graph, Weights};
use crate::size;
use ndarray::{ArrayD, IxDyn};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const MARK: &[u8; 8] = b"ODEEP 1\n";
/// Bits of a codebook or an index, at most.
const BITS: u32 = 16;
/// Numbers times centres that the best clustering is computed for.
const AFFORDABLE: usize = 1 << 25;
const WHERE: &str = "shared weights";

/// How weights are clustered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clustering {
    /// [`linear`]: Lloyd's algorithm from equally spaced starts, as published.
    #[default]
    Linear,
    /// [`exact`] where it is affordable (numbers times centres up to 2^25), else [`linear`].
    Exact,
}

/// Bits for one kind of layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerBits {
    /// Of a weight: 2^bits centres.
    pub weight: u32,
    /// Of the number of zeros between two weights.
    pub index: u32,
}

/// How weights are shared and coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sharing {
    pub convolutions: LayerBits,
    pub linear: LayerBits,
    pub clustering: Clustering,
}

impl Default for Sharing {
    /// As published for AlexNet: 8 and 8 bits for convolutions, 5 and 5 for linear layers.
    fn default() -> Self {
        Self {
            convolutions: LayerBits { weight: 8, index: 8 },
            linear: LayerBits { weight: 5, index: 5 },
            clustering: Clustering::Linear,
        }
    }
}

/// Bytes of one tensor in the stream.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TensorBytes {
    pub name: String,
    /// Numbers, and those that are not 0.
    pub numbers: usize,
    pub nonzero: usize,
    /// Zeros that fill long gaps.
    pub fillers: usize,
    pub codebook_bytes: usize,
    /// Coded weights, coded gaps.
    pub weight_bytes: usize,
    pub index_bytes: usize,
    /// Name, shape, code lengths; all of a plain tensor.
    pub other_bytes: usize,
    /// Bytes without Huffman codes: every entry at its full bits, and the codebook.
    pub fixed_bytes: usize,
}

impl TensorBytes {
    /// All that the tensor takes in the stream.
    pub fn total(&self) -> usize {
        self.codebook_bytes + self.weight_bytes + self.index_bytes + self.other_bytes
    }
}

/// A network's weights as a stream, and the network with the weights that the stream holds.
#[derive(Debug, Clone)]
pub struct Encoded {
    pub bytes: Vec<u8>,
    pub graph: Graph,
    /// Tensor by tensor; with the mark and the number of tensors (12 bytes) they are the stream.
    pub tensors: Vec<TensorBytes>,
}

/// Shares the weights of convolutions and linear layers and writes all weights as a stream. Zeros
/// stay zeros; everything else (biases, batch norms) is stored as it is.
///
/// # Errors
/// [`Error::Invalid`] for 0 bits or more than 16, and weights that are NaN or infinite.
///
/// # Source
/// Han, Mao and Dally, "Deep Compression", ICLR 2016. There a centre may be 0 for fillers; here the
/// filler is a symbol of its own beside the 2^bits centres.
///
/// # Example
/// ```
/// use orthoscope::compression::connections::{Amount, Reach, Sharing, decode, encode, prune};
/// use orthoscope::network::zoo::{LoadOptions, load_model};
///
/// let graph = load_model("mini-inception", &LoadOptions::default())?.graph;
/// let sparse = prune(&graph, Amount::Share(0.8), Reach::Layer)?;
/// let coded = encode(&sparse, &Sharing::default())?;
/// assert!(coded.bytes.len() < 4 * graph.n_parameters() / 6);
/// assert_eq!(12 + coded.tensors.iter().map(|t| t.total()).sum::<usize>(), coded.bytes.len());
/// assert_eq!(&decode(&coded.bytes, "weights.deep".as_ref())?, coded.graph.weights());
/// # Ok::<(), orthoscope::Error>(())
/// ```
pub fn encode(graph: &Graph, sharing: &Sharing) -> Result<Encoded> {
    for bits in [sharing.convolutions, sharing.linear] {
        if !(1..=BITS).contains(&bits.weight) || !(1..=BITS).contains(&bits.index) {
            return Err(Error::invalid(WHERE, format!("1 to {BITS} bits"), format!("{bits:?}"), "5 and 8 are usual"));
        }
    }
    let shared: BTreeMap<&str, bool> = connections(graph).into_iter().collect();
    let used: BTreeSet<&str> = graph.nodes().iter().flat_map(|n| n.op.weights()).collect();
    let mut bytes = MARK.to_vec();
    put(&mut bytes, used.len());
    let (mut tensors, mut weights) = (Vec::new(), Weights::new());
    for name in used {
        let array = graph.weight(name);
        if let Some(odd) = array.iter().find(|v| !v.is_finite()) {
            return Err(Error::invalid(WHERE, "finite weights", format!("{odd} in `{name}`"), ""));
        }
        let bits = shared.get(name).map(|&conv| if conv { sharing.convolutions } else { sharing.linear });
        let (counted, kept) = tensor(name, array, bits, sharing.clustering, &mut bytes);
        tensors.push(counted);
        weights.insert(name.into(), kept);
    }
    Ok(Encoded { bytes, graph: graph.with_weights(weights)?, tensors })
}

/// Writes a tensor, shared where it has bits for that; its bytes, and its numbers as they are
/// stored.
fn tensor(
    name: &str,
    array: &ArrayD<f32>,
    bits: Option<LayerBits>,
    clustering: Clustering,
    bytes: &mut Vec<u8>,
) -> (TensorBytes, ArrayD<f32>) {
    let start = bytes.len();
    put(bytes, name.len());
    bytes.extend(name.as_bytes());
    bytes.push(array.ndim() as u8);
    array.shape().iter().for_each(|&side| put(bytes, side));
    let mut counted = TensorBytes { name: name.into(), numbers: array.len(), ..TensorBytes::default() };
    counted.nonzero = array.iter().filter(|v| **v != 0.0).count();
    let values: Vec<f32> = array.iter().copied().collect();
    let kept = match bits {
        None => {
            bytes.push(0);
            values.iter().for_each(|v| bytes.extend(v.to_le_bytes()));
            counted.fixed_bytes = 4 * array.len();
            values
        }
        Some(bits) => {
            bytes.push(1);
            share(&values, bits, clustering, bytes, &mut counted)
        }
    };
    let coded = counted.codebook_bytes + counted.weight_bytes + counted.index_bytes;
    counted.other_bytes = bytes.len() - start - coded;
    (counted, ArrayD::from_shape_vec(array.raw_dim(), kept).expect("as many numbers as before"))
}

/// Writes a shared tensor and returns its numbers as they are stored.
fn share(
    values: &[f32],
    bits: LayerBits,
    clustering: Clustering,
    bytes: &mut Vec<u8>,
    counted: &mut TensorBytes,
) -> Vec<f32> {
    let nonzero: Vec<f32> = values.iter().copied().filter(|v| *v != 0.0).collect();
    let k = 1usize << bits.weight;
    let mut centres = match clustering {
        Clustering::Exact if k * nonzero.len() <= AFFORDABLE => exact(&nonzero, k),
        _ => linear(&nonzero, k),
    };
    // A centre of exactly 0 would bring back what was removed as a weight that costs bits.
    centres.retain(|c| *c != 0.0);
    let symbol = |&v: &f32| if v == 0.0 || centres.is_empty() { 0 } else { 1 + nearest(&centres, v) };
    let symbols: Vec<usize> = values.iter().map(symbol).collect();
    let entries = sparse::entries(&symbols, bits.index);
    let (gaps, marks): (Vec<usize>, Vec<usize>) = entries.iter().copied().unzip();
    bytes.push(bits.index as u8);
    put(bytes, centres.len());
    centres.iter().for_each(|c| bytes.extend(c.to_le_bytes()));
    put(bytes, entries.len());
    let tables = [counts(&marks, centres.len() + 1), counts(&gaps, 1 << bits.index)].map(|c| huffman::lengths(&c));
    tables.iter().for_each(|lengths| bytes.extend(lengths));
    let coded = [huffman::encode(&marks, &tables[0]), huffman::encode(&gaps, &tables[1])];
    for part in &coded {
        put(bytes, part.len());
        bytes.extend(part);
    }
    counted.fillers = marks.iter().filter(|m| **m == 0).count();
    counted.codebook_bytes = 4 * centres.len();
    [counted.weight_bytes, counted.index_bytes] = [coded[0].len(), coded[1].len()];
    let entry_bits = entries.len() * (bits.weight + bits.index) as usize;
    counted.fixed_bytes = entry_bits.div_ceil(8) + counted.codebook_bytes;
    symbols.into_iter().map(|s| if s == 0 { 0.0 } else { centres[s - 1] }).collect()
}

fn counts(symbols: &[usize], n: usize) -> Vec<u64> {
    let mut counts = vec![0; n];
    symbols.iter().for_each(|&s| counts[s] += 1);
    counts
}

fn put(bytes: &mut Vec<u8>, n: usize) {
    bytes.extend((n as u32).to_le_bytes());
}

/// The weights of a stream; `path` is only for messages.
///
/// # Errors
/// [`Error::Corrupt`] for bytes that are not such a stream, end early or go on.
pub fn decode(bytes: &[u8], path: &Path) -> Result<Weights> {
    let mut stream = Stream { bytes, path };
    if stream.take(MARK.len())? != MARK {
        return Err(stream.wrong("weights as this program codes them", "another kind of file"));
    }
    let mut weights = Weights::new();
    for _ in 0..stream.number()? {
        let length = stream.number()?;
        let name = std::str::from_utf8(stream.take(length)?).map(str::to_owned);
        let name = name.map_err(|_| stream.wrong("names in UTF-8", "other bytes"))?;
        let n_axes = stream.byte()?;
        let shape = (0..n_axes).map(|_| stream.number()).collect::<Result<Vec<_>>>()?;
        let limit = size::FREE.max(size::RATIO * bytes.len() as u64);
        let n = size::items(path, &format!("`{}`", shown::line(&name)), &shape, 4, limit)?;
        let values = match stream.byte()? {
            0 => stream.floats(n)?,
            1 => stream.shared(n)?,
            kind => return Err(stream.wrong("tensors of kind 0 or 1", &format!("kind {kind}"))),
        };
        let array = ArrayD::from_shape_vec(IxDyn(&shape), values).expect("sizes were checked");
        if weights.insert(name.clone(), array).is_some() {
            return Err(stream.wrong("one tensor a name", &format!("`{}` twice", shown::line(&name))));
        }
    }
    if stream.bytes.is_empty() {
        return Ok(weights);
    }
    Err(stream.wrong("nothing behind the last tensor", &format!("{} bytes", stream.bytes.len())))
}

/// What is left of a stream.
struct Stream<'a> {
    bytes: &'a [u8],
    path: &'a Path,
}

impl<'a> Stream<'a> {
    fn wrong(&self, expected: &str, found: &str) -> Error {
        Error::corrupt(self.path, expected, found, "the file is damaged: compress the network again")
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let split = self.bytes.split_at_checked(n);
        let (taken, rest) =
            split.ok_or_else(|| self.wrong(&format!("{n} bytes more"), &self.bytes.len().to_string()))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self) -> Result<usize> {
        let four = self.take(4)?.first_chunk().expect("four bytes");
        Ok(u32::from_le_bytes(*four) as usize)
    }

    fn floats(&mut self, n: usize) -> Result<Vec<f32>> {
        let values: Vec<f32> = self.take(4 * n)?.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        match values.iter().find(|v| !v.is_finite()) {
            Some(odd) => Err(self.wrong("finite weights", &odd.to_string())),
            None => Ok(values),
        }
    }

    fn shared(&mut self, n: usize) -> Result<Vec<f32>> {
        let bits = u32::from(self.byte()?);
        let n_centres = self.number()?;
        if !(1..=BITS).contains(&bits) || n_centres > 1 << BITS {
            return Err(self.wrong(&format!("1 to {BITS} bits"), &format!("{bits} bits and {n_centres} centres")));
        }
        let centres = self.floats(n_centres)?;
        let n_entries = self.number()?;
        if n_entries > n {
            return Err(self.wrong(&format!("at most {n} entries"), &n_entries.to_string()));
        }
        let tables = [self.take(n_centres + 1)?, self.take(1 << bits)?];
        let mut parts = Vec::with_capacity(2);
        for table in tables {
            let length = self.number()?;
            let coded = self.take(length)?;
            let symbols = huffman::decode(coded, table, n_entries);
            parts.push(symbols.ok_or_else(|| self.wrong("Huffman codes", "bits that are none"))?);
        }
        let entries = parts[1].iter().copied().zip(parts[0].iter().copied());
        let symbols =
            sparse::symbols(entries, n).ok_or_else(|| self.wrong("entries of the tensor", "one beyond it"))?;
        Ok(symbols.into_iter().map(|s| if s == 0 { 0.0 } else { centres[s - 1] }).collect())
    }
}
