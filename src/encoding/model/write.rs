//! A model as one file.
//!
//! Safetensors ([`crate::io::tensors`]), so that any program reads it:
//!
//! | tensor | numbers | |
//! |---|---|---|
//! | `network/NAME` | f32 | weights of the network |
//! | `spaces/I/mean`, `spaces/I/scale` | f64 | of the features of space I |
//! | `spaces/I/components`, `.mean`, `.scale` | f32, f64 | of a PCA: units x components |
//! | `readouts/R/weights` | f32 | **targets x features**, so that a target's lie together |
//! | `readouts/R/maps`, `readouts/R/channels` | f32 | targets x units of a map, targets x channels |
//! | `readouts/R/intercept`, `readouts/R/alphas` | f64 | one a target |
//!
//! and as text: `format`, `card` (the network's model card, TOML) and `model` (JSON: everything
//! else).

use super::{EncodingModel, Output, Readout, ReadoutWeights, SpaceFrom, TrainingStimulus};
use crate::data::image_source::batches;
use crate::error::{Error, Result};
use crate::image::resize::Resize;
use crate::io::tensors::{self, Entry, Sink, Width};
use crate::network::card::{About, Card};
use ndarray::{Array2, ArrayView2, Axis, Slice};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

/// What `format` says.
pub(super) const FORMAT: &str = "orthoscope encoding model 1";

/// Numbers of weights that are asked for at once.
const AT_ONCE: usize = 1 << 22;

/// What is no array.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    pub network: Option<NetworkHead>,
    pub spaces: Vec<SpaceHead>,
    pub readouts: Vec<ReadoutHead>,
    pub targets: Vec<String>,
    pub delays: Vec<isize>,
    pub stimuli: Vec<TrainingStimulus>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NetworkHead {
    pub source_blake3: String,
    pub resize: Resize,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SpaceHead {
    pub name: String,
    pub from: SpaceFrom,
    /// Whether it has components.
    pub components: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadoutHead {
    pub spaces: Vec<usize>,
    pub targets: Vec<usize>,
    pub form: Form,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Form {
    Dense,
    Windows { windows: Vec<usize> },
    Factorized { output: Output },
}

impl EncodingModel {
    /// Writes the model atomically; [`super::read`] reads it back, every number as it was.
    ///
    /// # Errors
    /// As [`check`](Self::check); [`Error::Io`].
    pub fn write(&self, path: &Path) -> Result<()> {
        self.check()?;
        write_streamed(path, self, &mut |readout, _| {
            Err(Error::invalid(format!("readout {readout}"), "its weights", "none", ""))
        })
    }
}

/// Writes a model whose weights are not all in memory. A readout of `head` whose (dense or
/// windows') weights have no columns is asked for them: `weights(readout, range)` gives features x
/// targets for a range of the readout's own targets, from the first to the last. The file is the
/// same as that of the whole model; memory is that of some 4 million weights at once.
///
/// ```
/// use ndarray::Array2;
/// use orthoscope::encoding::model::{self, EncodingModel, ModelSpace, Readout, ReadoutWeights, SpaceFrom};
///
/// let from = SpaceFrom::Given { n_features: 2 };
/// let space = ModelSpace { name: "gist".into(), from, components: None, mean: vec![0.0; 2], scale: vec![1.0; 2] };
/// let head = EncodingModel {
///     network: None,
///     spaces: vec![space],
///     readouts: vec![Readout {
///         spaces: vec![0],
///         targets: vec![0, 1, 2],
///         weights: ReadoutWeights::Dense(Array2::zeros((2, 0))),
///         intercept: vec![0.5; 3],
///         alphas: vec![1.0; 3],
///     }],
///     targets: ["v1", "v2", "v3"].map(str::to_owned).to_vec(),
///     delays: vec![],
///     stimuli: vec![],
/// };
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("model.safetensors");
/// model::write_streamed(&path, &head, &mut |_, targets| {
///     Ok(Array2::from_shape_fn((2, targets.len()), |(f, t)| (f + targets.start + t) as f32))
/// })?;
/// let back = model::read(&path)?;
/// let predicted = back.predict_features(&[ndarray::array![[1.0, 2.0]].view()], None)?;
/// assert_eq!(predicted, ndarray::array![[2.5, 5.5, 8.5]]);
/// # Ok::<(), orthoscope::Error>(())
/// ```
///
/// # Errors
/// As [`EncodingModel::check`]; [`Error::Invalid`] for weights of another shape or that are not
/// finite; [`Error::Io`]; whatever `weights` says. The file before stays then.
pub fn write_streamed(
    path: &Path,
    head: &EncodingModel,
    weights: &mut dyn FnMut(usize, Range<usize>) -> Result<Array2<f32>>,
) -> Result<()> {
    head.checked(true)?;
    let Layout { entries, parts } = layout(head);
    tensors::write(path, &entries, &metadata(head), &mut |entry, sink| {
        let put = |written: std::io::Result<()>| written.map_err(Error::io(path, "write"));
        match &parts[&entry.name] {
            Part::F64(values) => put(sink.f64s(*values)),
            Part::F32(values) => put(sink.f32s(values.iter())),
            Part::Columns(values) => put(columns(sink, values.view())),
            Part::Pending { readout, n_features } => {
                for range in batches(head.readouts[*readout].targets.len(), AT_ONCE / n_features.max(&1)) {
                    let part = weights(*readout, range.clone())?;
                    usable(*readout, &part, (*n_features, range.len()))?;
                    put(columns(sink, part.view()))?;
                }
                Ok(())
            }
        }
    })
}

/// Where the numbers of a tensor are.
enum Part<'a> {
    F64(&'a [f64]),
    F32(ndarray::ArrayViewD<'a, f32>),
    /// Columns become rows.
    Columns(&'a Array2<f32>),
    /// Of a readout, asked for.
    Pending {
        readout: usize,
        n_features: usize,
    },
}

/// Every column, one after the other.
fn columns(sink: &mut Sink<'_>, values: ArrayView2<'_, f32>) -> std::io::Result<()> {
    // Blocks of columns, so that reading down them stays near.
    for start in (0..values.ncols()).step_by(16) {
        let block = values.slice_axis(Axis(1), Slice::from(start..(start + 16).min(values.ncols())));
        let block = block.t().as_standard_layout().into_owned();
        sink.f32s(block.iter())?;
    }
    Ok(())
}

fn usable(readout: usize, part: &Array2<f32>, (n_features, n_targets): (usize, usize)) -> Result<()> {
    let at = format!("weights of readout {readout}");
    if part.dim() != (n_features, n_targets) {
        return Err(Error::invalid(at, format!("{n_features} x {n_targets}"), format!("{:?}", part.dim()), ""));
    }
    match part.iter().find(|v| !v.is_finite()) {
        None => Ok(()),
        Some(odd) => Err(Error::invalid(at, "finite numbers", odd.to_string(), "")),
    }
}

/// Tensors and where their numbers are.
#[derive(Default)]
struct Layout<'a> {
    entries: Vec<Entry>,
    parts: BTreeMap<String, Part<'a>>,
}

impl<'a> Layout<'a> {
    fn add(&mut self, name: String, shape: Vec<usize>, part: Part<'a>) {
        let width = if matches!(part, Part::F64(_)) { Width::F64 } else { Width::F32 };
        self.entries.push(Entry { name: name.clone(), width, shape });
        self.parts.insert(name, part);
    }

    fn f64s(&mut self, name: String, values: &'a [f64]) {
        self.add(name, vec![values.len()], Part::F64(values));
    }

    fn columns(&mut self, name: String, values: &'a Array2<f32>) {
        self.add(name, vec![values.ncols(), values.nrows()], Part::Columns(values));
    }

    fn readout(&mut self, r: usize, readout: &'a Readout) {
        let at = |what: &str| format!("readouts/{r}/{what}");
        self.f64s(at("intercept"), &readout.intercept);
        self.f64s(at("alphas"), &readout.alphas);
        match &readout.weights {
            ReadoutWeights::Dense(weights) | ReadoutWeights::Windows { weights, .. } if weights.ncols() == 0 => {
                let n_features = weights.nrows();
                let shape = vec![readout.targets.len(), n_features];
                self.add(at("weights"), shape, Part::Pending { readout: r, n_features });
            }
            ReadoutWeights::Dense(weights) | ReadoutWeights::Windows { weights, .. } => {
                self.columns(at("weights"), weights);
            }
            ReadoutWeights::Factorized { maps, channels, .. } => {
                self.columns(at("maps"), maps);
                self.columns(at("channels"), channels);
            }
        }
    }
}

fn layout(head: &EncodingModel) -> Layout<'_> {
    let mut layout = Layout::default();
    for (name, array) in head.network.iter().flat_map(|network| network.graph.weights()) {
        layout.add(format!("network/{name}"), array.shape().to_vec(), Part::F32(array.view()));
    }
    for (i, space) in head.spaces.iter().enumerate() {
        layout.f64s(format!("spaces/{i}/mean"), &space.mean);
        layout.f64s(format!("spaces/{i}/scale"), &space.scale);
        if let Some(found) = &space.components {
            layout.f64s(format!("spaces/{i}/components.mean"), &found.mean);
            layout.f64s(format!("spaces/{i}/components.scale"), &found.scale);
            let shape = found.components.shape().to_vec();
            layout.add(format!("spaces/{i}/components"), shape, Part::F32(found.components.view().into_dyn()));
        }
    }
    head.readouts.iter().enumerate().for_each(|(r, readout)| layout.readout(r, readout));
    layout
}

fn metadata(model: &EncodingModel) -> BTreeMap<String, String> {
    let network = model.network.as_ref();
    let head = Head {
        network: network.map(|n| NetworkHead { source_blake3: n.source_blake3.clone(), resize: n.resize }),
        spaces: model.spaces.iter().map(space_head).collect(),
        readouts: model.readouts.iter().map(readout_head).collect(),
        targets: model.targets.clone(),
        delays: model.delays.clone(),
        stimuli: model.stimuli.clone(),
    };
    let text = serde_json::to_string(&head).expect("names and numbers become JSON");
    let mut metadata = BTreeMap::from([("format".to_owned(), FORMAT.to_owned()), ("model".to_owned(), text)]);
    if let Some(network) = network {
        metadata.insert("card".into(), Card::of(&network.graph, &About::default()).to_toml());
    }
    metadata
}

fn space_head(space: &super::ModelSpace) -> SpaceHead {
    SpaceHead { name: space.name.clone(), from: space.from.clone(), components: space.components.is_some() }
}

fn readout_head(readout: &Readout) -> ReadoutHead {
    let form = match &readout.weights {
        ReadoutWeights::Dense(_) => Form::Dense,
        ReadoutWeights::Windows { windows, .. } => Form::Windows { windows: windows.clone() },
        ReadoutWeights::Factorized { output, .. } => Form::Factorized { output: *output },
    };
    ReadoutHead { spaces: readout.spaces.clone(), targets: readout.targets.clone(), form }
}
