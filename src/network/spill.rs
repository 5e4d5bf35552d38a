//! Activations of many images on disk, cut into blocks of units, each block with all images.
//!
//! Batches arrive image by image and are read back unit by unit: block `b` of a layer holds its
//! units `b width .. (b + 1) width` of image 0, of image 1, ..., so that a block is one piece of
//! the file.

use super::moments::{BLOCK_BYTES, LayerMoments};
use crate::error::{Error, Result};
use ndarray::Array2;
use orthoscope_kernels::gram::Kernels;
use rayon::prelude::*;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Units of a block: a multiple of what the product kernel sums in 32 bits.
const MOST_UNITS: usize = 4096;
const FEWEST_UNITS: usize = 1024;
/// Rows and columns of the Gram matrix that one task takes at a time: their units stay in its
/// cache.
const TILE: usize = 64;
/// Bytes that are read at once.
const PIECE: usize = 1 << 20;

/// The file of activations of several layers; it has no name, and is gone with this value or the
/// process.
pub(crate) struct Spill {
    file: File,
    folder: PathBuf,
    n_images: usize,
    width: usize,
    /// Units of each layer, and where it begins in the file.
    layers: Vec<(usize, u64)>,
}

/// Units of a block of `n_images`.
fn width(n_images: usize) -> usize {
    let units = BLOCK_BYTES / 4 / n_images.max(1);
    (units / FEWEST_UNITS * FEWEST_UNITS).clamp(FEWEST_UNITS, MOST_UNITS)
}

impl Spill {
    /// An empty file in a folder.
    pub fn create(folder: &Path, n_images: usize, n_units: &[usize]) -> Result<Self> {
        let file = tempfile::tempfile_in(folder).map_err(Error::io(folder, "write a temporary file in"))?;
        let mut end = 0;
        let layers = n_units
            .iter()
            .map(|&n| {
                let start = end;
                end += (n_images * n * 4) as u64;
                (n, start)
            })
            .collect();
        Ok(Self { file, folder: folder.into(), n_images, width: width(n_images), layers })
    }

    /// Blocks of all layers.
    pub fn n_blocks(n_images: usize, n_units: &[usize]) -> usize {
        n_units.iter().map(|n| n.div_ceil(width(n_images))).sum()
    }

    /// Units of each block of a layer.
    fn blocks(&self, layer: usize) -> Vec<Range<usize>> {
        let (n_units, _) = self.layers[layer];
        (0..n_units).step_by(self.width).map(|start| start..(start + self.width).min(n_units)).collect()
    }

    /// Where an image's part of a block lies.
    fn offset(&self, layer: usize, block: &Range<usize>, image: usize) -> u64 {
        self.layers[layer].1 + 4 * (self.n_images * block.start + image * block.len()) as u64
    }

    fn seek(&mut self, offset: u64) -> Result<()> {
        self.file.seek(SeekFrom::Start(offset)).map_err(Error::io(&self.folder, "seek in a temporary file in"))?;
        Ok(())
    }

    /// Stores the activations of some images at a layer, one image after the other.
    pub fn write(&mut self, layer: usize, images: Range<usize>, values: &[f32]) -> Result<()> {
        let (n_units, _) = self.layers[layer];
        if values.len() != images.len() * n_units || images.end > self.n_images {
            let expected = format!("{} images of {n_units} units", images.len());
            return Err(Error::invalid("activations", expected, format!("{} numbers", values.len()), ""));
        }
        let mut bytes = Vec::new();
        for block in self.blocks(layer) {
            bytes.clear();
            for image in values.chunks_exact(n_units) {
                bytes.extend(image[block.clone()].iter().flat_map(|v| v.to_le_bytes()));
            }
            self.seek(self.offset(layer, &block, images.start))?;
            self.file.write_all(&bytes).map_err(Error::io(&self.folder, "write a temporary file in"))?;
        }
        Ok(())
    }

    /// One block of a layer: n_images x its units, row-major.
    fn read(&mut self, layer: usize, block: &Range<usize>, values: &mut Vec<f32>) -> Result<()> {
        self.seek(self.offset(layer, block, 0))?;
        values.clear();
        let mut piece = vec![0; PIECE];
        let mut left = 4 * self.n_images * block.len();
        while left > 0 {
            let piece = &mut piece[..left.min(PIECE)];
            self.file.read_exact(piece).map_err(Error::io(&self.folder, "read a temporary file in"))?;
            values.extend(piece.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)));
            left -= piece.len();
        }
        Ok(())
    }

    /// The moments of a layer over all images; `step` is called after each block.
    pub fn moments(&mut self, layer: usize, kernels: &Kernels, step: &dyn Fn() -> Result<()>) -> Result<LayerMoments> {
        self.moments_of(layer, kernels, step, &mut |_, _| ())
    }

    /// As [`Self::moments`], of what `prepare` makes of each block: it is given the numbers
    /// (n_images x units, row-major) and how many units the block has.
    pub fn moments_of(
        &mut self,
        layer: usize,
        kernels: &Kernels,
        step: &dyn Fn() -> Result<()>,
        prepare: &mut dyn FnMut(&mut [f32], usize),
    ) -> Result<LayerMoments> {
        let n = self.n_images;
        let (mut gram, mut sums) = (Array2::zeros((n, n)), vec![0.0; n]);
        let mut values = Vec::new();
        for block in self.blocks(layer) {
            self.read(layer, &block, &mut values)?;
            prepare(&mut values, block.len());
            add_products(kernels, &values, block.len(), &mut gram);
            sums.par_iter_mut().zip(values.par_chunks_exact(block.len())).for_each(|(sum, units)| {
                *sum += units.iter().map(|&v| f64::from(v)).sum::<f64>();
            });
            step()?;
        }
        for i in 0..n {
            for j in 0..i {
                gram[[i, j]] = gram[[j, i]];
            }
        }
        Ok(LayerMoments { gram, sums, n_units: self.layers[layer].0 })
    }
}

/// Adds the products of all pairs of rows of `values` (n x `n_units`) to the upper triangle of
/// `gram`; tiles that the diagonal cuts are whole.
fn add_products(kernels: &Kernels, values: &[f32], n_units: usize, gram: &mut Array2<f64>) {
    let n = gram.ncols();
    let gram = gram.as_slice_mut().expect("made row-major");
    let rows = |start: usize| &values[start * n_units..(start + TILE).min(n) * n_units];
    gram.par_chunks_mut(TILE * n).enumerate().for_each(|(tile, out)| {
        let x = rows(tile * TILE);
        let mut dots = vec![0.0; TILE * TILE];
        for start in (tile * TILE..n).step_by(TILE) {
            let z = rows(start);
            let n_columns = z.len() / n_units;
            let dots = &mut dots[..out.len() / n * n_columns];
            kernels.products(x, z, n_units, dots);
            for (row, dots) in out.chunks_exact_mut(n).zip(dots.chunks_exact(n_columns)) {
                row[start..start + n_columns].iter_mut().zip(dots).for_each(|(sum, dot)| *sum += dot);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against products in 64 bits, for numbers of images and units that fill neither a tile nor a
    /// block.
    #[test]
    fn moments_are_those_of_the_numbers_written_in_any_batches() {
        let kernels = Kernels::chosen().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let value = |image: usize, unit: usize, layer: usize| {
            ((image * 7919 + unit * 104_729 + layer * 31) % 1000) as f32 / 250.0 - 1.0
        };
        for (n, n_units) in [(1, [3, 1]), (65, [4097, 1024]), (130, [5000, 7])] {
            let mut spill = Spill::create(folder.path(), n, &n_units).unwrap();
            for range in crate::data::image_source::batches(n, 16) {
                for (layer, &d) in n_units.iter().enumerate() {
                    let rows = range.clone().flat_map(|i| (0..d).map(move |u| value(i, u, layer)));
                    spill.write(layer, range.clone(), &rows.collect::<Vec<_>>()).unwrap();
                }
            }
            for (layer, &d) in n_units.iter().enumerate() {
                let found = spill.moments(layer, &kernels, &|| Ok(())).unwrap();
                let a = Array2::from_shape_fn((n, d), |(i, u)| f64::from(value(i, u, layer)));
                let (gram, sums) = (a.dot(&a.t()), a.sum_axis(ndarray::Axis(1)));
                let scale = (0..n).map(|i| gram[[i, i]]).fold(0.0, f64::max);
                assert!(found.gram.iter().zip(&gram).all(|(x, y)| (x - y).abs() < 1e-6 * scale), "{n} x {d}");
                assert!(found.sums.iter().zip(&sums).all(|(x, y)| (x - y).abs() < 1e-9 * d as f64), "{n} x {d}");
                assert_eq!(found.n_units, d);
            }
            assert!(spill.write(0, 0..1, &[0.0; 2]).is_err());
        }
    }

    #[test]
    fn a_block_stays_within_its_bytes_up_to_sixty_thousand_images() {
        assert_eq!(width(100), MOST_UNITS);
        assert_eq!(width(1_000_000), FEWEST_UNITS);
        assert!((1..65_000).step_by(997).all(|n| 4 * n * width(n) <= BLOCK_BYTES));
        assert_eq!(Spill::n_blocks(100, &[4096, 4097, 1]), 4);
    }
}
