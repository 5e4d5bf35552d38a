//! One pass over centres: gather, RDM, comparison with all fingerprints. RDMs are never stored.
//!
//! Memory is that of the betas, the maps, and one RDM a thread. Centres are taken in chunks of
//! fixed size and results are written in the centres' order: the same bytes for any number of
//! threads.

use super::compare::{self, Comparator};
use super::dissimilarity::{self, Patterns};
use super::sphere::Neighbourhoods;
use crate::error::{Error, Result};
use ndarray::{Array2, Axis};
use rayon::prelude::*;

/// Centres that one task takes at a time.
pub(super) const CHUNK: usize = 32;

/// Sets of voxels that are evaluated one after the other: searchlights or regions.
pub trait Places: Sync {
    /// Number of places.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Numbers (within the patterns) of a place's voxels; `voxels` is overwritten.
    fn voxels(&self, place: usize, voxels: &mut Vec<u32>);
}

impl Places for Neighbourhoods<'_> {
    fn len(&self) -> usize {
        self.centres().len()
    }

    fn voxels(&self, place: usize, voxels: &mut Vec<u32>) {
        Neighbourhoods::voxels(self, self.centres()[place], voxels);
    }
}

/// Some of the places, in their order.
pub struct Slice<'a, P> {
    /// All places.
    pub of: &'a P,
    /// Which of them.
    pub range: std::ops::Range<usize>,
}

impl<P: Places> Places for Slice<'_, P> {
    fn len(&self) -> usize {
        self.range.len()
    }

    fn voxels(&self, place: usize, voxels: &mut Vec<u32>) {
        self.of.voxels(self.range.start + place, voxels);
    }
}

/// Named sets of voxels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regions {
    /// Name and voxels of each.
    pub regions: Vec<(String, Vec<u32>)>,
}

impl Places for Regions {
    fn len(&self) -> usize {
        self.regions.len()
    }

    fn voxels(&self, place: usize, voxels: &mut Vec<u32>) {
        voxels.clone_from(&self.regions[place].1);
    }
}

/// What a pass gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Maps {
    /// n_values x n_places; NaN where a place's RDM is undefined.
    pub values: Array2<f32>,
    /// Voxels of each place.
    pub n_voxels: Vec<u32>,
    /// Places whose RDM is undefined: a pattern without variation.
    pub n_undefined: usize,
}

/// Memory of one thread.
struct Scratch {
    voxels: Vec<u32>,
    measure: dissimilarity::Scratch,
    compare: compare::Scratch,
    values: Vec<f64>,
}

/// Compares the RDM of every place with all fingerprints.
///
/// `done` hears of every finished chunk (its number of places) from whatever thread; it returns
/// false to stop.
///
/// # Errors
/// [`Error::Invalid`] when the fingerprints are of another number of conditions;
/// [`Error::Interrupted`] (without a folder) when `done` says so.
///
/// ```
/// use ndarray::Array2;
/// use orthoscope::data::{Affine, Betas, Grid, Mask};
/// use orthoscope::mapping::{Comparator, Measurement, Neighbourhoods, Patterns, searchlight};
/// use orthoscope::mapping::{Residual, Sphere, Statistic};
/// use orthoscope::rdm::{Measure, measure::rdm};
/// use orthoscope::rng;
///
/// // A cube of 8 voxels a side, 6 images: its left half answers like the layer, with noise.
/// let grid = Grid { shape: [8; 3], affine: Affine::scaling([3.0; 3]) };
/// let mask = Mask::from_fn(grid, |_| true)?;
/// let names: Vec<String> = (1..=6).map(|i| format!("image{i}")).collect();
/// let mut draw = rng::stream(1, "example", 0);
/// let units = Array2::from_shape_simple_fn((6, 512), || draw.normal() as f32);
/// let betas = Array2::from_shape_fn((6, 512), |(c, v)| {
///     let signal = if grid.voxel(v)[0] < 4 { units[[c, v % 20]] } else { 0.0 };
///     signal + 0.3 * draw.normal() as f32
/// });
/// let layer = rdm(units.slice(ndarray::s![.., ..20]), Measure::Correlation, names.clone())?;
///
/// let betas = Betas::new(betas, &names, &vec!["run1".to_owned(); 6])?;
/// let patterns = Patterns::new(&betas, Measurement::default())?;
/// let layers = [("layer".to_owned(), layer)];
/// let comparator = Comparator::new(&layers, Statistic::Pearson, Residual::None)?;
/// let sphere = Sphere { radius: 6.0, ..Sphere::default() }; // mm: 33 voxels
/// let spheres = Neighbourhoods::new(&mask, None, sphere)?;
/// let maps = searchlight(&patterns, &comparator, &spheres, &|_| true)?;
///
/// let mean = |left: bool| {
///     let here = |centre: &u32| (grid.voxel(*centre as usize)[0] < 4) == left;
///     let of_layer = spheres.centres().iter().zip(maps.values.row(0));
///     let values: Vec<f32> = of_layer.filter(|(c, _)| here(c)).map(|(_, value)| *value).collect();
///     values.iter().sum::<f32>() / values.len() as f32
/// };
/// assert!(mean(true) > 0.5 && mean(false) < 0.3);
/// # Ok::<(), orthoscope::Error>(())
/// ```
pub fn searchlight<P: Places>(
    patterns: &Patterns,
    comparator: &Comparator,
    places: &P,
    done: &(dyn Fn(usize) -> bool + Sync),
) -> Result<Maps> {
    check(patterns, comparator)?;
    let n_values = comparator.n_values();
    let n_places = places.len();
    let scratch = || Scratch {
        voxels: Vec::new(),
        measure: dissimilarity::Scratch::default(),
        compare: comparator.scratch(),
        values: vec![0.0; n_values],
    };
    let mut rows = vec![0.0f32; n_places * n_values];
    let mut n_voxels = vec![0u32; n_places];
    let chunks = rows.par_chunks_mut(CHUNK * n_values).zip(n_voxels.par_chunks_mut(CHUNK)).enumerate();
    let finished = chunks.map_init(scratch, |scratch, (chunk, (rows, counts))| {
        scratch.measure.forget();
        for (at, (row, count)) in rows.chunks_exact_mut(n_values).zip(counts.iter_mut()).enumerate() {
            places.voxels(chunk * CHUNK + at, &mut scratch.voxels);
            *count = scratch.voxels.len() as u32;
            let free = comparator.statistic().ignores_offset();
            match patterns.rdm(&scratch.voxels, free, &mut scratch.measure) {
                Some(rdm) => {
                    comparator.evaluate(rdm, &mut scratch.compare, &mut scratch.values);
                    row.iter_mut().zip(&scratch.values).for_each(|(r, &v)| *r = v as f32);
                }
                None => row.fill(f32::NAN),
            }
        }
        done(counts.len())
    });
    if !finished.all(|go_on| go_on) {
        return Err(Error::Interrupted { dir: std::path::PathBuf::new() });
    }
    let by_place = Array2::from_shape_vec((n_places, n_values), rows).expect("as many as were made");
    let n_undefined = by_place.axis_iter(Axis(0)).filter(|row| row.iter().all(|v| v.is_nan())).count();
    Ok(Maps { values: by_place.reversed_axes().as_standard_layout().into_owned(), n_voxels, n_undefined })
}

/// Fingerprints and patterns must be of the same number of conditions.
pub(super) fn check(patterns: &Patterns, comparator: &Comparator) -> Result<()> {
    let (n, m) = (patterns.n_conditions(), comparator.n_conditions());
    if n != m {
        let hint = "both must be of the same conditions in the same order";
        return Err(Error::invalid("fingerprints", format!("RDMs of {n} conditions"), m.to_string(), hint));
    }
    Ok(())
}

/// The RDM of every place: for regions, and for tests. Searchlights never store them.
///
/// # Shapes
/// Result: n_places x n_pairs; NaN where undefined.
pub fn rdms<P: Places>(patterns: &Patterns, places: &P) -> Array2<f64> {
    let n_pairs = patterns.n_pairs();
    let mut rows = vec![0.0f64; places.len() * n_pairs];
    rows.par_chunks_mut(n_pairs).enumerate().for_each_init(
        || (Vec::new(), dissimilarity::Scratch::default()),
        |(voxels, scratch), (place, row)| {
            places.voxels(place, voxels);
            scratch.forget();
            match patterns.rdm(voxels, false, scratch) {
                Some(rdm) => row.copy_from_slice(&rdm.to_vec()),
                None => row.fill(f64::NAN),
            }
        },
    );
    Array2::from_shape_vec((places.len(), n_pairs), rows).expect("as many as were made")
}
