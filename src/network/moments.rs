//! Raw second moments of layers over any number of images: what RDMs of whole layers need.
//!
//! For activations A of a layer (N images x D units), `gram = A A'` (N x N) and `sums = A 1` (N).
//! Two ways, both with one forward pass:
//!
//! * All images at once, where they fit ([`fits`]): the executor keeps the activations and returns
//!   the moments.
//! * In batches of [`BATCH`] images: the activations of all layers go to a temporary file (N x sum
//!   of D x 4 bytes, 32 bits, nothing is rounded), cut into blocks of units; then `gram = sum over
//!   blocks of A_b A_b'`, one layer after the other. Memory is `BATCH` times
//!   [`Executor::bytes_per_image`], one block of all images (at most [`BLOCK_BYTES`]),
//!   and the N x N moments of one layer; the file is written once and read once.
//!   Products are summed in 32 bits over at most 1,024 units and then in 64 bits, in a fixed order:
//!   the result does not depend on the number of threads.

use super::executor::{Executor, TapRequest, TapValue};
use super::features::features;
use super::spill::Spill;
use crate::data::StimulusSource;
use crate::error::{Error, Result};
use crate::tensor::{Device, array_f64, into_vec_f32, tensor};
use ndarray::{Array2, Ix2};
use orthoscope_kernels::gram::Kernels;
use std::path::{Path, PathBuf};

/// Images that go through the network together when not all of them fit.
pub const BATCH: usize = 16;
/// Bytes of one block of units of all images.
pub const BLOCK_BYTES: usize = 256 << 20;

/// Raw moments of one layer over N images, in 64 bits.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerMoments {
    /// `gram[i, j] = sum_d a_i[d] a_j[d]`, N x N.
    pub gram: Array2<f64>,
    /// `sums[i] = sum_d a_i[d]`, N.
    pub sums: Vec<f64>,
    /// D.
    pub n_units: usize,
}

/// Whether an executor can hold that many images in `memory` bytes.
pub fn fits(executor: &dyn Executor, n_images: usize, memory: usize) -> bool {
    n_images.saturating_mul(executor.bytes_per_image()) <= memory
}

/// Hands the moments of each tap to `visit`, in the taps' order, one at a time.
///
/// The taps of the executor, which is of one network, say which way: all [`TapRequest::Moments`]
/// for all images at once, all [`TapRequest::Activations`] for batches, whose temporary file lies
/// in `scratch` and is gone when this returns, however it does. `done` hears of each of the
/// [`n_steps`] with its number (1), and returns false to stop.
///
/// # Errors
/// [`Error::Invalid`] for taps of both kinds; [`Error::Io`] when the file cannot be written;
/// [`Error::Interrupted`] (without a folder) when `done` says so; whatever reading the images, the
/// executor or `visit` says.
pub fn moments(
    executor: &mut dyn Executor,
    images: &dyn StimulusSource,
    device: &Device,
    scratch: &Path,
    done: &dyn Fn(usize) -> bool,
    visit: &mut dyn FnMut(usize, LayerMoments) -> Result<()>,
) -> Result<()> {
    let step = || if done(1) { Ok(()) } else { Err(Error::Interrupted { dir: PathBuf::new() }) };
    if in_batches(executor)? {
        let mut spill = Spill::create(scratch, images.n_images(), &n_units(executor))?;
        features(executor, images, BATCH, device, &mut |range, values| {
            for (layer, value) in values.into_iter().enumerate() {
                if let TapValue::Activations(a) = value {
                    spill.write(layer, range.clone(), &into_vec_f32(a))?;
                }
            }
            step()
        })?;
        let kernels =
            Kernels::chosen().map_err(|e| Error::invalid("instruction set", "one of them", e.to_string(), ""))?;
        for layer in 0..executor.taps().len() {
            visit(layer, spill.moments(layer, &kernels, &step)?)?;
        }
        return Ok(());
    }
    for (layer, moments) in at_once(executor, images, device)?.into_iter().enumerate() {
        visit(layer, moments)?;
    }
    step()
}

/// The moments of each tap, all images at once. The executor's taps must all be moments.
///
/// # Errors
/// Whatever reading the images or the executor says.
pub fn at_once(executor: &mut dyn Executor, images: &dyn StimulusSource, device: &Device) -> Result<Vec<LayerMoments>> {
    let pixels = images.read(0..images.n_images())?;
    let values = executor.infer(&tensor(pixels.view(), device))?;
    let layer = |value| match value {
        TapValue::Moments(m) => Some(LayerMoments {
            gram: array_f64(&m.gram).into_dimensionality::<Ix2>().expect("a Gram matrix has two axes"),
            sums: array_f64(&m.sums).into_iter().collect(),
            n_units: m.n_units,
        }),
        TapValue::Activations(_) => None,
    };
    Ok(values.into_iter().filter_map(layer).collect())
}

/// How often [`moments`] calls `done`: for progress.
///
/// # Errors
/// As [`moments`] for the taps.
pub fn n_steps(executor: &dyn Executor, n_images: usize) -> Result<usize> {
    Ok(match in_batches(executor)? {
        true => n_images.div_ceil(BATCH) + Spill::n_blocks(n_images, &n_units(executor)),
        false => 1,
    })
}

/// Bytes of the temporary file of [`moments`]; 0 where all images are held at once.
///
/// # Errors
/// As [`moments`] for the taps.
pub fn scratch_bytes(executor: &dyn Executor, n_images: usize) -> Result<u64> {
    let n_units: usize = n_units(executor).iter().sum();
    Ok(if in_batches(executor)? { (n_images * n_units * 4) as u64 } else { 0 })
}

fn n_units(executor: &dyn Executor) -> Vec<usize> {
    executor.taps().iter().map(|tap| executor.graph().node(tap.node()).shape.len()).collect()
}

fn in_batches(executor: &dyn Executor) -> Result<bool> {
    let n_plain = executor.taps().iter().filter(|tap| matches!(tap, TapRequest::Activations(_))).count();
    match n_plain {
        0 => Ok(false),
        n if n == executor.taps().len() => Ok(true),
        n => {
            let found = format!("{n} of activations and {} of moments", executor.taps().len() - n);
            Err(Error::invalid("moments of images", "taps of one kind", found, "ask for one of them"))
        }
    }
}
