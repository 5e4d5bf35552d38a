//! One forward pass for all taps, each reduced as its activations come.

use super::cache::{Cache, Identity};
use super::open_samples::{Chosen, OpenSamples};
use super::plan::{Extraction, Movie, TapPlan};
use super::reduction::Reducer;
use super::table::{GramTable, Table};
use crate::data::StimulusSource;
use crate::encoding::folds::Rows;
use crate::encoding::solver::Work;
use crate::error::{Error, Result};
use crate::math::stats::divisor;
use crate::network::features::features;
use crate::network::spill::Spill;
use crate::network::{Executor, TapRequest, TapValue};
use crate::progress::Progress;
use crate::tensor::{Device, into_vec_f32};
use crate::warning::Warning;
use ndarray::{Array2, Axis, Slice};
use orthoscope_kernels::gram::Kernels;
use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Makes an executor for some taps of the network.
pub type MakeExecutor<'a> = dyn FnMut(&[TapRequest]) -> Result<Box<dyn Executor>> + 'a;

/// Where and for whom features are extracted.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    /// Folder of temporary files, which are gone when the work ends, however it does.
    pub scratch: &'a Path,
    /// The rows that units are z-scored on, for reductions that ask for it.
    pub train: Option<&'a Rows>,
    /// Features of earlier runs.
    pub cache: Option<(&'a Cache, &'a Identity)>,
    /// Who is told how far the work is, and who may stop it: asked after every batch.
    pub work: Work,
    /// Where tensors live.
    pub device: Device,
}

impl<'a> Context<'a> {
    /// On the default device, without a cache.
    pub fn new(scratch: &'a Path) -> Self {
        Self { scratch, train: None, cache: None, work: Work::default(), device: Device::default() }
    }
}

impl Extraction<'_> {
    /// Where a tap's features are kept.
    fn entry<'a>(&self, tap: &TapPlan, context: &Context<'a>) -> Option<(&'a Cache, PathBuf)> {
        let (cache, identity) = context.cache?;
        let mut identity = identity.clone();
        if let Some(movie) = &self.movie {
            identity.images += &format!(" mapped by {}", movie.map.hash());
        }
        Some((cache, cache.path(&identity, &tap.tap, &tap.reduction, tap.learns(context))))
    }

    /// Hands the table of each tap to `visit` with the tap's number, one at a time: those of the cache
    /// first, then the others, pass by pass. Memory is that of [`Extraction::bytes`] and what `visit`
    /// keeps. A tap's numbers do not depend on the other taps, the batch size or the number of
    /// threads.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another number of images or frames than planned, or a reduction that needs training
    /// rows where there are none; [`Error::Io`] where the temporary file cannot be written;
    /// [`Error::Interrupted`] when asked; whatever reading the images, the executor or `visit` says.
    pub fn run(
        &self,
        make_executor: &mut MakeExecutor<'_>,
        images: &dyn StimulusSource,
        context: &Context<'_>,
        visit: &mut dyn FnMut(usize, Table) -> Result<()>,
    ) -> Result<Vec<Warning>> {
        self.check_run(images, context)?;
        let (mut warnings, mut missing) = (Vec::new(), Vec::new());
        for (i, tap) in self.taps.iter().enumerate() {
            let cached = self.entry(tap, context).and_then(|(cache, path)| {
                cache.get(&path, &tap.tap, &mut warnings).filter(|table| tap.fits(table, self.n_images))
            });
            match cached {
                Some(table) => visit(i, table)?,
                None => missing.push(i),
            }
        }
        for pass in self.passes(&missing) {
            self.pass(&pass, make_executor, images, context, &mut |i, table| {
                let tap = &self.taps[i];
                if let Some((cache, path)) = self.entry(tap, context) {
                    cache.put(&path, &tap.tap, &table, &mut warnings);
                }
                visit(i, table)
            })?;
        }
        Ok(warnings)
    }

    fn check_run(&self, images: &dyn StimulusSource, context: &Context<'_>) -> Result<()> {
        match &self.movie {
            Some(movie) => movie.map.check(images.n_images())?,
            None if images.n_images() != self.n_images => {
                let expected = format!("{} images, as planned", self.n_images);
                return Err(Error::invalid("features", expected, images.n_images().to_string(), ""));
            }
            None => {}
        }
        let learning = self.taps.iter().find(|tap| tap.needs_rows());
        match (learning, context.train) {
            (Some(tap), None) => {
                let expected = "the training rows that its units are z-scored on";
                Err(Error::invalid(format!("features of tap `{}`", tap.tap), expected, "none", ""))
            }
            (_, Some(rows)) => rows.check(self.n_images, "features"),
            _ => Ok(()),
        }
    }

    fn pass(
        &self,
        pass: &[usize],
        make_executor: &mut MakeExecutor<'_>,
        images: &dyn StimulusSource,
        context: &Context<'_>,
        visit: &mut dyn FnMut(usize, Table) -> Result<()>,
    ) -> Result<()> {
        let taps: Vec<&TapPlan> = pass.iter().map(|&i| &self.taps[i]).collect();
        let mut sinks = self.sinks(&taps, context)?;
        let n_seen = self.movie.as_ref().map_or(self.n_images, |movie| movie.used.len());
        let n_steps = n_seen.div_ceil(self.limits.batch.max(1)) + Spill::n_blocks(self.n_images, &spilled(&taps));
        let progress = RefCell::new(Progress::new(&context.work.progress, "features", n_steps as u64, 0));
        let step = || {
            progress.borrow_mut().tick(String::new);
            context.work.cancel.check()
        };
        // The network's memory is given back before inner products are made.
        {
            let requests: Vec<TapRequest> = taps.iter().map(|tap| TapRequest::Activations(tap.node)).collect();
            let mut executor = make_executor(&requests)?;
            let (executor, batch, device) = (executor.as_mut(), self.limits.batch, &context.device);
            match &self.movie {
                None => features(executor, images, batch, device, &mut |range, values| {
                    sinks.take(&taps, range, &numbers(values))?;
                    step()
                })?,
                Some(Movie { map, used }) => {
                    let widths: Vec<usize> = taps.iter().map(|tap| tap.width).collect();
                    let mut samples = OpenSamples::new(map, used, batch, &widths);
                    let chosen = Chosen { frames: images, used };
                    features(executor, &chosen, batch, device, &mut |range, values| {
                        let reduced = sinks.reduced(&taps, range.len(), numbers(values));
                        samples.take(&used[range], &reduced, &mut |sample, rows| sinks.put(sample, &rows))?;
                        step()
                    })?;
                }
            }
        }
        let Sinks { each, mut spill } = sinks;
        for ((&i, tap), sink) in pass.iter().zip(&taps).zip(each) {
            match (sink, &mut spill) {
                (Sink::Table(_, table), _) => visit(i, Table::Features(table))?,
                (Sink::Spilled(layer), Some(spill)) => visit(i, gram(spill, layer, tap.learns(context), &step)?)?,
                (Sink::Spilled(_), None) => {}
            }
        }
        progress.into_inner().finish();
        Ok(())
    }

    fn sinks(&self, taps: &[&TapPlan], context: &Context<'_>) -> Result<Sinks> {
        let mut n_spilled = 0;
        let mut sink = |tap: &TapPlan| {
            if tap.gram {
                n_spilled += 1;
                return Ok(Sink::Spilled(n_spilled - 1));
            }
            let reducer = Reducer::new(&tap.reduction, self.graph, tap.node, self.n_images)?;
            Ok(Sink::Table(reducer, Array2::zeros((self.n_images, tap.width))))
        };
        let each = taps.iter().map(|tap| sink(tap)).collect::<Result<Vec<_>>>()?;
        let layers = spilled(taps);
        let spill = match layers.is_empty() {
            true => None,
            false => Some(Spill::create(context.scratch, self.n_images, &layers)?),
        };
        Ok(Sinks { each, spill })
    }
}

/// Units of the layers that go to the temporary file.
fn spilled(taps: &[&TapPlan]) -> Vec<usize> {
    taps.iter().filter(|tap| tap.gram).map(|tap| tap.shape.len()).collect()
}

/// Where the activations of a pass go.
struct Sinks {
    each: Vec<Sink>,
    spill: Option<Spill>,
}

/// Where a tap's activations go.
enum Sink {
    Table(Reducer, Array2<f32>),
    /// A layer of the temporary file.
    Spilled(usize),
}

impl Sinks {
    /// Takes the activations of some images at each tap.
    fn take(&mut self, taps: &[&TapPlan], images: Range<usize>, activations: &[Vec<f32>]) -> Result<()> {
        for ((sink, tap), values) in self.each.iter_mut().zip(taps).zip(activations) {
            match (sink, &mut self.spill) {
                (Sink::Table(reducer, table), _) => {
                    reducer.apply(values, tap.shape, table.slice_axis_mut(Axis(0), Slice::from(images.clone())));
                }
                (Sink::Spilled(layer), Some(spill)) => spill.write(*layer, images.clone(), values)?,
                (Sink::Spilled(_), None) => {}
            }
        }
        Ok(())
    }

    /// The activations of some frames, reduced: frames x features at each tap.
    fn reduced(&self, taps: &[&TapPlan], n: usize, activations: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
        let one = |((sink, tap), values): ((&Sink, &&TapPlan), Vec<f32>)| match sink {
            Sink::Table(Reducer::Flat, _) | Sink::Spilled(_) => values,
            Sink::Table(reducer, _) => {
                let mut out = Array2::zeros((n, tap.width));
                reducer.apply(&values, tap.shape, out.view_mut());
                out.into_raw_vec_and_offset().0
            }
        };
        self.each.iter().zip(taps).zip(activations).map(one).collect()
    }

    /// Takes the features of a sample at each tap.
    fn put(&mut self, sample: usize, rows: &[Vec<f32>]) -> Result<()> {
        for (sink, row) in self.each.iter_mut().zip(rows) {
            match (sink, &mut self.spill) {
                (Sink::Table(_, table), _) => table.row_mut(sample).iter_mut().zip(row).for_each(|(to, &v)| *to = v),
                (Sink::Spilled(layer), Some(spill)) => spill.write(*layer, sample..sample + 1, row)?,
                (Sink::Spilled(_), None) => {}
            }
        }
        Ok(())
    }
}

/// The activations of a batch at each tap, images x units.
pub(in crate::encoding) fn numbers(values: Vec<TapValue>) -> Vec<Vec<f32>> {
    let plain = |value| match value {
        TapValue::Activations(activations) => into_vec_f32(activations),
        TapValue::Moments(_) => vec![],
    };
    values.into_iter().map(plain).collect()
}

impl TapPlan {
    /// Whether something is learnt before the table is made.
    pub fn needs_rows(&self) -> bool {
        self.gram && self.reduction.pca().is_some_and(|pca| pca.zscore)
    }

    fn learns<'a>(&self, context: &Context<'a>) -> Option<&'a Rows> {
        context.train.filter(|_| self.needs_rows())
    }

    /// Whether a table has this tap's form.
    fn fits(&self, table: &Table, n_images: usize) -> bool {
        match table {
            Table::Features(x) => !self.gram && x.dim() == (n_images, self.width),
            Table::Gram(t) => self.gram && t.gram.nrows() == n_images && t.n_units == self.shape.len(),
        }
    }
}

/// Inner products of a layer of the temporary file.
fn gram(spill: &mut Spill, layer: usize, train: Option<&Rows>, step: &dyn Fn() -> Result<()>) -> Result<Table> {
    let kernels = Kernels::chosen().map_err(|e| Error::invalid("instruction set", "one of this machine", e.0, ""))?;
    let moments = spill.moments_of(layer, &kernels, step, &mut |values, n_units| {
        if let Some(rows) = train {
            standardize(values, n_units, rows);
        }
    })?;
    let standardized_on = train.cloned();
    Ok(Table::Gram(GramTable { gram: moments.gram, n_units: moments.n_units, standardized_on }))
}

/// Takes the mean over the training rows off each unit and divides it by its standard deviation
/// there (ddof 1; by 1 where it does not vary).
fn standardize(values: &mut [f32], n_units: usize, rows: &Rows) {
    let n = rows.len() as f64;
    let over_rows = |term: &dyn Fn(usize, f64) -> f64| {
        let mut sums = vec![0.0; n_units];
        for &row in rows.indices() {
            let units = &values[row * n_units..(row + 1) * n_units];
            sums.iter_mut().zip(units).enumerate().for_each(|(u, (sum, &v))| *sum += term(u, f64::from(v)));
        }
        sums
    };
    let means: Vec<f64> = over_rows(&|_, v| v).into_iter().map(|sum| sum / n).collect();
    let squares = over_rows(&|u, v| (v - means[u]).powi(2));
    let scales: Vec<f64> = squares.iter().zip(&means).map(|(&s, &m)| scale(s, m, n)).collect();
    values.par_chunks_exact_mut(n_units).for_each(|units| {
        for ((v, mean), scale) in units.iter_mut().zip(&means).zip(&scales) {
            *v = ((f64::from(*v) - mean) / scale) as f32;
        }
    });
}

/// What a unit is divided by (ddof 1; by 1 where it does not vary).
pub(super) fn scale(squares: f64, mean: f64, n: f64) -> f64 {
    if n < 2.0 { 1.0 } else { divisor(squares / (n - 1.0), mean) }
}
