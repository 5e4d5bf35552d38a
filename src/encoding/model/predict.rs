//! Predictions of a fitted model.

use super::{EncodingModel, ModelSpace, Output, Readout, ReadoutWeights, SpaceFrom};
use crate::data::StimulusSource;
use crate::encoding::features::{Chosen, FrameMap, MakeExecutor, OpenSamples, Reducer, numbers};
use crate::encoding::solver::{Work, multiply};
use crate::encoding::temporal::delayed;
use crate::error::{Error, Result};
use crate::network::features::features;
use crate::network::{NodeId, Shape, TapRequest};
use crate::progress::Progress;
use crate::tensor::Device;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, Slice, concatenate};
use std::collections::BTreeMap;
use std::ops::Range;

/// How images become predictions.
#[derive(Debug, Clone)]
pub struct PredictOptions<'a> {
    /// Images that go through the network together.
    pub batch: usize,
    /// Where tensors live.
    pub device: Device,
    /// Who is told how far the work is, and who may stop it: asked after every batch.
    pub work: Work,
    /// The frames of every sample, where the images are a movie's; rows are samples then.
    pub map: Option<&'a FrameMap>,
    /// The run of each row, for models with delays; one run when left out.
    pub runs: Option<&'a [usize]>,
    /// Features that others made, n_rows x n_features, one array for each such space, in order.
    pub given: &'a [ArrayView2<'a, f32>],
}

impl Default for PredictOptions<'_> {
    /// 16 images at once, no ready features.
    fn default() -> Self {
        let (device, work) = (Device::default(), Work::default());
        Self { batch: 16, device, work, map: None, runs: None, given: &[] }
    }
}

/// Targets whose maps are applied at once.
const MAPS: usize = 64;

impl EncodingModel {
    /// Predictions from ready arrays: of each space what its reduction streams (for features that
    /// others made the array itself), before components and scaling.
    ///
    /// Targets that no readout has are NaN. With delays, samples before the first of their run
    /// count as zero after scaling, as [`delayed`] has it; `runs` is the run of each sample, one
    /// when left out.
    ///
    /// # Shapes
    /// `spaces`: one array a space, n_samples x its features; the result: n_samples x n_targets.
    ///
    /// # Errors
    /// [`Error::Invalid`] for other spaces, other features, arrays of different lengths, or runs
    /// that do not fit.
    pub fn predict_features(&self, spaces: &[ArrayView2<'_, f32>], runs: Option<&[usize]>) -> Result<Array2<f32>> {
        let n = spaces.first().map_or(0, |space| space.nrows());
        if spaces.len() != self.spaces.len() {
            let expected = format!("arrays of {} spaces", self.spaces.len());
            return Err(Error::invalid("predictions", expected, spaces.len().to_string(), ""));
        }
        let mut scaled = Vec::with_capacity(spaces.len());
        for (space, units) in self.spaces.iter().zip(spaces) {
            space.fits(*units, n)?;
            scaled.push(space.scaled(*units));
        }
        let scaled = self.delay(scaled, runs)?;
        let mut out = Array2::from_elem((n, self.targets.len()), f32::NAN);
        self.read_out(&scaled, out.view_mut())?;
        Ok(out)
    }

    /// Predictions from images (brought to the network's input size before): layers are reduced and
    /// read out as batches come, so that memory is that of a batch and the result; with delays,
    /// features of all rows are kept.
    ///
    /// # Shapes
    /// The result: n_images (samples of a movie) x n_targets; NaN where no readout has the target.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a model that needs no image, ready features that do not fit, a map of another
    /// movie; [`Error::Interrupted`] when asked; whatever reading the images and the executor say.
    pub fn predict_images(
        &self,
        images: &dyn StimulusSource,
        make_executor: &mut MakeExecutor<'_>,
        options: &PredictOptions<'_>,
    ) -> Result<Array2<f32>> {
        let n_rows = options.map.map_or(images.n_images(), FrameMap::n_samples);
        let mut reader = Reader::new(self, options, n_rows)?;
        options.map.map_or(Ok(()), |map| map.check(images.n_images()))?;
        let requests: Vec<TapRequest> = reader.taps.iter().map(|&(node, _)| TapRequest::Activations(node)).collect();
        let mut executor = make_executor(&requests)?;
        let n_units: Vec<usize> = reader.taps.iter().map(|(_, shape)| shape.len()).collect();
        let used = options.map.map_or_else(|| (0..images.n_images()).collect(), FrameMap::used);
        let mut open = options.map.map(|map| OpenSamples::new(map, &used, options.batch, &n_units));
        let n_batches = used.len().div_ceil(options.batch.max(1));
        let mut progress = Progress::new(&options.work.progress, "predictions", n_batches as u64, 0);
        let seen = Chosen { frames: images, used: &used };
        features(executor.as_mut(), &seen, options.batch, &options.device, &mut |range, values| {
            let activations = numbers(values);
            match &mut open {
                Some(open) => {
                    open.take(&used[range], &activations, &mut |sample, sums| reader.take(sample..sample + 1, &sums))?
                }
                None => reader.take(range, &activations)?,
            }
            progress.tick(String::new);
            options.work.cancel.check()
        })?;
        progress.finish();
        reader.finish(options.runs)
    }

    fn delay(&self, scaled: Vec<Array2<f32>>, runs: Option<&[usize]>) -> Result<Vec<Array2<f32>>> {
        if self.delays.is_empty() {
            return Ok(scaled);
        }
        scaled.iter().map(|x| delayed(x.view(), &self.delays, runs)).collect()
    }

    /// Predictions of all readouts from scaled (and delayed) features of the spaces.
    fn read_out(&self, scaled: &[Array2<f32>], mut out: ArrayViewMut2<'_, f32>) -> Result<()> {
        for readout in &self.readouts {
            let mut found = match &readout.weights {
                ReadoutWeights::Dense(weights) => {
                    let parts: Vec<ArrayView2<'_, f32>> = readout.spaces.iter().map(|&s| scaled[s].view()).collect();
                    match parts[..] {
                        [x] => multiply(x, weights.view()),
                        _ => {
                            let beside = concatenate(Axis(1), &parts).expect("as many rows each");
                            multiply(beside.view(), weights.view())
                        }
                    }
                }
                ReadoutWeights::Windows { windows, weights } => {
                    through_windows(scaled[readout.spaces[0]].view(), windows, weights)
                }
                ReadoutWeights::Factorized { maps, channels, .. } => {
                    through_maps(scaled[readout.spaces[0]].view(), maps, channels)
                }
            };
            finish(readout, &mut found);
            for (column, &target) in found.columns().into_iter().zip(&readout.targets) {
                out.column_mut(target).assign(&column);
            }
        }
        Ok(())
    }
}

/// Adds the intercept and applies the output.
fn finish(readout: &Readout, found: &mut Array2<f32>) {
    let rate = matches!(readout.weights, ReadoutWeights::Factorized { output: Output::Rate, .. });
    for mut row in found.rows_mut() {
        for (v, intercept) in row.iter_mut().zip(&readout.intercept) {
            let sum = f64::from(*v) + intercept;
            *v = match (rate, sum > 0.0) {
                (false, _) => sum,
                (true, true) => sum + 1.0,
                (true, false) => sum.exp(),
            } as f32;
        }
    }
}

/// Every target's window: n x (windows n_channels) and n_channels x targets to n x targets.
fn through_windows(x: ArrayView2<'_, f32>, windows: &[usize], weights: &Array2<f32>) -> Array2<f32> {
    let mut of: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    windows.iter().enumerate().for_each(|(t, &window)| of.entry(window).or_default().push(t));
    let n_channels = weights.nrows();
    let mut out = Array2::zeros((x.nrows(), windows.len()));
    for (window, targets) in of {
        let features = x.slice_axis(Axis(1), Slice::from(window * n_channels..(window + 1) * n_channels));
        let found = multiply(features, weights.select(Axis(1), &targets).view());
        for (column, target) in found.columns().into_iter().zip(targets) {
            out.column_mut(target).assign(&column);
        }
    }
    out
}

/// `sum_cyx f[c] m[y, x] x[c, y, x]` for every target.
fn through_maps(x: ArrayView2<'_, f32>, maps: &Array2<f32>, channels: &Array2<f32>) -> Array2<f32> {
    let (n, n_channels, n_targets) = (x.nrows(), channels.nrows(), maps.ncols());
    let rows = x.as_standard_layout();
    let rows = rows.view().into_shape_with_order((n * n_channels, maps.nrows())).expect("channels x places");
    let mut out = Array2::zeros((n, n_targets));
    for targets in crate::data::image_source::batches(n_targets, MAPS) {
        let pooled = multiply(rows, maps.slice_axis(Axis(1), Slice::from(targets.clone())));
        for (i, mut row) in out.rows_mut().into_iter().enumerate() {
            for (at, target) in targets.clone().enumerate() {
                let own = (i * n_channels..(i + 1) * n_channels).map(|j| f64::from(pooled[(j, at)]));
                let sum: f64 = own.zip(channels.column(target)).map(|(a, &b)| a * f64::from(b)).sum();
                row[target] = sum as f32;
            }
        }
    }
    out
}

impl ModelSpace {
    /// Features of an image before components and scaling.
    pub fn n_streamed(&self) -> usize {
        self.components.as_ref().map_or(self.mean.len(), |found| found.components.nrows())
    }

    /// Refuses an array of other features or rows.
    fn fits(&self, units: ArrayView2<'_, f32>, n: usize) -> Result<()> {
        if units.dim() == (n, self.n_streamed()) {
            return Ok(());
        }
        let (expected, found) = (format!("{n} x {}", self.n_streamed()), format!("{:?}", units.dim()));
        let hint = "features must be made as those that the model was fitted on";
        Err(Error::invalid(format!("features `{}`", self.name), expected, found, hint))
    }

    /// Components where there are some, centred and scaled.
    fn scaled(&self, units: ArrayView2<'_, f32>) -> Array2<f32> {
        let mut x = match &self.components {
            Some(components) => components.scores(units),
            None => units.as_standard_layout().into_owned(),
        };
        for mut row in x.rows_mut() {
            for ((v, mean), scale) in row.iter_mut().zip(&self.mean).zip(&self.scale) {
                *v = ((f64::from(*v) - mean) / scale) as f32;
            }
        }
        x
    }
}

/// Where the rows of a space come from.
enum From<'a> {
    /// A tap of the executor.
    Tap {
        tap: usize,
        reducer: Reducer,
    },
    Given(ArrayView2<'a, f32>),
}

/// Turns batches into predictions.
struct Reader<'a> {
    model: &'a EncodingModel,
    /// Different nodes that are tapped.
    taps: Vec<(NodeId, Shape)>,
    from: Vec<From<'a>>,
    /// Scaled features of all rows, for models with delays.
    kept: Vec<Array2<f32>>,
    out: Array2<f32>,
}

impl<'a> Reader<'a> {
    fn new(model: &'a EncodingModel, options: &'a PredictOptions<'_>, n_rows: usize) -> Result<Self> {
        let mut taps: Vec<(NodeId, Shape)> = Vec::new();
        let mut given = options.given.iter();
        let mut from = Vec::with_capacity(model.spaces.len());
        for space in &model.spaces {
            match (&space.from, model.node_of(space)?) {
                (SpaceFrom::Tap { reduction, .. }, Some((graph, node))) => {
                    let known = taps.iter().position(|(other, _)| *other == node);
                    let tap = known.unwrap_or_else(|| {
                        taps.push((node, graph.node(node).shape));
                        taps.len() - 1
                    });
                    from.push(From::Tap { tap, reducer: Reducer::new(reduction, graph, node, 1)? });
                }
                _ => {
                    let Some(array) = given.next().map(|array| array.view()) else {
                        let expected = format!("an array of the features `{}`", space.name);
                        let hint = "the model was fitted on ready features: give those of these stimuli";
                        return Err(Error::invalid("predictions", expected, "none", hint));
                    };
                    space.fits(array, n_rows)?;
                    from.push(From::Given(array));
                }
            }
        }
        if taps.is_empty() || given.next().is_some() {
            let (expected, found) = ("features of each space that has no layer, and a layer", "others");
            return Err(Error::invalid("predictions from images", expected, found, ""));
        }
        let keep = |space: &ModelSpace| Array2::zeros((n_rows, space.mean.len()));
        let kept = if model.delays.is_empty() { vec![] } else { model.spaces.iter().map(keep).collect() };
        Ok(Self { model, taps, from, kept, out: Array2::from_elem((n_rows, model.targets.len()), f32::NAN) })
    }

    fn take(&mut self, rows: Range<usize>, activations: &[Vec<f32>]) -> Result<()> {
        let mut scaled = Vec::with_capacity(self.from.len());
        for (space, from) in self.model.spaces.iter().zip(&self.from) {
            scaled.push(match from {
                From::Tap { tap, reducer } => {
                    let mut units = Array2::zeros((rows.len(), space.n_streamed()));
                    reducer.apply(&activations[*tap], self.taps[*tap].1, units.view_mut());
                    space.scaled(units.view())
                }
                From::Given(array) => space.scaled(array.slice_axis(Axis(0), Slice::from(rows.clone()))),
            });
        }
        let at = Slice::from(rows);
        if self.kept.is_empty() {
            return self.model.read_out(&scaled, self.out.slice_axis_mut(Axis(0), at));
        }
        self.kept.iter_mut().zip(scaled).for_each(|(kept, part)| kept.slice_axis_mut(Axis(0), at).assign(&part));
        Ok(())
    }

    fn finish(mut self, runs: Option<&[usize]>) -> Result<Array2<f32>> {
        if !self.kept.is_empty() {
            let scaled = self.model.delay(std::mem::take(&mut self.kept), runs)?;
            self.model.read_out(&scaled, self.out.view_mut())?;
        }
        Ok(self.out)
    }
}
