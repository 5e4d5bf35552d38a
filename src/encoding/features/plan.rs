//! What extraction will do, worked out before anything runs.

use super::frames::FrameMap;
use super::open_samples::most_open;
use super::projection::Projection;
use super::reduction::{Reduction, Size};
use crate::error::{Error, Result};
use crate::network::moments::{BATCH, BLOCK_BYTES};
use crate::network::{Graph, NodeId, Shape};
use serde::Serialize;

/// What extraction may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory for tables, beside what the network takes for a batch.
    pub memory: u64,
    /// Bytes of temporary files.
    pub scratch: u64,
    /// Images that go through the network together.
    pub batch: usize,
}

impl Default for Limits {
    /// 4 GiB of memory, 64 GiB of temporary files, 16 images.
    fn default() -> Self {
        Self { memory: 4 << 30, scratch: 64 << 30, batch: BATCH }
    }
}

/// How a tap's features are made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TapPlan {
    /// The tap's name.
    pub tap: String,
    #[serde(skip)]
    pub(super) node: NodeId,
    /// One image's activations.
    pub shape: Shape,
    /// What is kept of them.
    pub reduction: Reduction,
    /// How many features come of them.
    pub size: Size,
    /// Whether inner products of images are kept instead of features.
    pub gram: bool,
    /// Bytes of the table, and of what makes it.
    pub bytes: u64,
    /// Bytes of what is still being added up, for a movie.
    pub open_bytes: u64,
    /// Bytes of its temporary file.
    pub scratch_bytes: u64,
    /// Features of an image in the table.
    #[serde(skip)]
    pub(super) width: usize,
}

/// Layers whose units are no more than so many times the images are kept as features before a PCA:
/// about as many bytes as inner products in 64 bits.
const WIDE: usize = 4;

/// Features of several taps over a set of images: planned here, computed by [`Extraction::run`].
///
/// Taps share a forward pass as long as their tables fit in memory and the activations of those whose
/// inner products are wanted fit in a temporary file; the plan says how many passes that makes.
///
/// ```
/// use orthoscope::encoding::features::{Context, Extraction, Limits, PcaOptions, Reduction, Table};
/// use orthoscope::network::zoo::{LoadOptions, load_model};
/// use orthoscope::network::{CpuEngine, Executor};
/// # use ndarray::Array4;
///
/// let graph = load_model("mini-inception", &LoadOptions::default())?.graph;
/// let taps = [
///     (graph.tap("mixed3a")?, Reduction::SpatialMean),
///     (graph.tap("mixed4a")?, Reduction::Pca(PcaOptions::default())),
/// ];
/// # let images = Array4::from_shape_fn((6, 3, 96, 96), |(n, c, y, x)| {
/// #     ((n + 1) * (c + x + y) % 9) as f32 / 8.0
/// # });
/// let plan = Extraction::new(&graph, &taps, 6, 4, Limits::default())?;
/// assert_eq!(plan.n_passes(), 1);
/// assert_eq!(plan.taps()[1].size.at_most, 3);
/// let folder = std::env::temp_dir();
/// let context = Context::new(&folder);
/// plan.run(
///     &mut |taps| Ok(Box::new(CpuEngine::new(&graph, taps)?) as Box<dyn Executor>),
///     &images,
///     &context,
///     &mut |tap, table| {
///         println!("{}: {} images", plan.taps()[tap].tap, table.n_images());
///         Ok(())
///     },
/// )?;
/// # Ok::<(), orthoscope::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Extraction<'g> {
    pub(super) graph: &'g Graph,
    pub(super) taps: Vec<TapPlan>,
    pub(super) n_images: usize,
    pub(super) limits: Limits,
    pub(super) movie: Option<Movie>,
}

/// The frames of the samples.
#[derive(Debug, Clone)]
pub(super) struct Movie {
    pub map: FrameMap,
    /// Those that any sample has.
    pub used: Vec<usize>,
}

impl<'g> Extraction<'g> {
    /// Plans some taps, each with its reduction, for `n_images` of which `n_train` are fitted on.
    ///
    /// # Errors
    /// [`Error::Invalid`] without taps or images, for options that cannot be used, receptive fields
    /// on a layer without places, and a tap that alone takes more memory or temporary files than it
    /// may.
    pub fn new(
        graph: &'g Graph,
        taps: &[(NodeId, Reduction)],
        n_images: usize,
        n_train: usize,
        limits: Limits,
    ) -> Result<Self> {
        Self::planned(graph, taps, n_images, n_train, limits, None)
    }

    /// Plans some taps for a movie whose samples a map makes of its frames, `n_train` of them to fit on: a
    /// row of features is a sample's. Every frame that a sample has is reduced first and then added with
    /// its weight to the samples that are still open, so that memory is that of the samples and of those
    /// that are open at once, whatever the number of frames. A PCA is of the samples.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    ///
    /// ```
    /// use orthoscope::encoding::features::{Extraction, FrameMap, Limits, Reduction};
    /// use orthoscope::encoding::temporal::{DoubleGamma, Sampling};
    /// use orthoscope::network::zoo::{LoadOptions, load_model};
    ///
    /// let graph = load_model("mini-inception", &LoadOptions::default())?.graph;
    /// let sampling = Sampling { frame_rate_hz: 15.0, t_r_s: 1.0, skip_s: 1.0 };
    /// let kernel = DoubleGamma::kamali().kernel(1.0 / 15.0)?;
    /// let map = FrameMap::convolved(&kernel, 108_000, sampling, 7_199)?;
    /// let taps = [(graph.tap("mixed4a")?, Reduction::SpatialMean)];
    /// let plan = Extraction::movie(&graph, &taps, map, 5_000, Limits::default())?;
    /// assert!(plan.bytes(0) < 8 << 20);
    /// # Ok::<(), orthoscope::Error>(())
    /// ```
    pub fn movie(
        graph: &'g Graph,
        taps: &[(NodeId, Reduction)],
        map: FrameMap,
        n_train: usize,
        limits: Limits,
    ) -> Result<Self> {
        let (n_samples, used) = (map.n_samples(), map.used());
        Self::planned(graph, taps, n_samples, n_train, limits, Some(Movie { map, used }))
    }

    fn planned(
        graph: &'g Graph,
        taps: &[(NodeId, Reduction)],
        n_images: usize,
        n_train: usize,
        limits: Limits,
        movie: Option<Movie>,
    ) -> Result<Self> {
        if taps.is_empty() || n_images == 0 || n_train > n_images {
            let found = format!("{} taps, {n_images} images, {n_train} to fit on", taps.len());
            return Err(Error::invalid("features", "taps, and images among which are those to fit on", found, ""));
        }
        let mut taps = taps
            .iter()
            .map(|(node, reduction)| tap_plan(graph, *node, reduction, n_images, n_train))
            .collect::<Result<Vec<_>>>()?;
        if let Some(Movie { map, used }) = &movie {
            let n_open = most_open(map, used, limits.batch) as u64;
            // Sums in 64 bits, and a batch of reduced frames.
            let bytes = |width: usize| width as u64 * (8 * n_open + 4 * limits.batch as u64);
            taps.iter_mut().for_each(|tap| tap.open_bytes = bytes(tap.width));
        }
        let plan = Self { graph, taps, n_images, limits, movie };
        plan.taps.iter().try_for_each(|tap| plan.check(tap))?;
        Ok(plan)
    }

    /// What is done at each tap.
    pub fn taps(&self) -> &[TapPlan] {
        &self.taps
    }

    /// Forward passes over all images.
    pub fn n_passes(&self) -> usize {
        self.passes(&(0..self.taps.len()).collect::<Vec<_>>()).len()
    }

    /// Memory that [`run`](Self::run) takes, an upper estimate: `bytes_per_image` is that of an executor
    /// of all taps ([`crate::network::Executor::bytes_per_image`]).
    pub fn bytes(&self, bytes_per_image: usize) -> u64 {
        let all: Vec<usize> = (0..self.taps.len()).collect();
        let tables = self.passes(&all).iter().map(|pass| self.memory(pass)).max().unwrap_or(0);
        (bytes_per_image * self.limits.batch) as u64 + tables
    }

    /// Bytes of the largest temporary file.
    pub fn scratch_bytes(&self) -> u64 {
        let all: Vec<usize> = (0..self.taps.len()).collect();
        self.passes(&all).iter().map(|pass| self.scratch(pass)).max().unwrap_or(0)
    }

    /// In words: one line a tap.
    pub fn describe(&self) -> Vec<String> {
        let line = |t: &TapPlan| format!("{} ({}): {}, {} features", t.tap, t.shape, t.reduction.describe(), t.size);
        self.taps.iter().map(line).collect()
    }

    /// Some taps, cut into forward passes.
    pub(super) fn passes(&self, taps: &[usize]) -> Vec<Vec<usize>> {
        let mut passes: Vec<Vec<usize>> = Vec::new();
        for &tap in taps {
            if let Some(last) = passes.last_mut() {
                last.push(tap);
                if self.memory(last) <= self.limits.memory && self.scratch(last) <= self.limits.scratch {
                    continue;
                }
                last.pop();
            }
            passes.push(vec![tap]);
        }
        passes
    }

    /// Tables of a pass: all that are filled as batches come, and the largest of the others, which
    /// are made one at a time, after all frames were added up.
    fn memory(&self, pass: &[usize]) -> u64 {
        let taps = || pass.iter().map(|&t| &self.taps[t]);
        let of = |gram: bool| taps().filter(move |t| t.gram == gram).map(|t| t.bytes);
        let open = taps().map(|t| t.open_bytes).sum::<u64>();
        of(false).sum::<u64>() + of(true).max().unwrap_or(0).max(open)
    }

    fn scratch(&self, pass: &[usize]) -> u64 {
        pass.iter().map(|&t| self.taps[t].scratch_bytes).sum()
    }

    fn check(&self, tap: &TapPlan) -> Result<()> {
        let (at, mib) =
            (format!("features of tap `{}`", tap.tap), |bytes: u64| format!("{} MiB", bytes.div_ceil(1 << 20)));
        let bytes = if tap.gram { tap.bytes.max(tap.open_bytes) } else { tap.bytes + tap.open_bytes };
        if bytes > self.limits.memory {
            let hint = "give it more memory, or keep less: a PCA, a projection, spatial means, fewer receptive fields";
            return Err(Error::invalid(at, format!("at most {} of memory", mib(self.limits.memory)), mib(bytes), hint));
        }
        if tap.scratch_bytes > self.limits.scratch {
            let hint = "allow larger temporary files, or project before the PCA (`project`)";
            let expected = format!("at most {} of temporary files", mib(self.limits.scratch));
            return Err(Error::invalid(at, expected, mib(tap.scratch_bytes), hint));
        }
        Ok(())
    }
}

fn tap_plan(graph: &Graph, node: NodeId, reduction: &Reduction, n_images: usize, n_train: usize) -> Result<TapPlan> {
    let (shape, tap) = (graph.node(node).shape, graph.node(node).name.clone());
    let size = reduction.size(shape, n_images, n_train)?;
    let width = reduction.streamed_size(shape, n_images)?;
    let gram = reduction.pca().is_some_and(|pca| pca.project.is_none()) && width > WIDE * n_images;
    let matrix = |projection: &Projection| projection.bytes(shape.len(), width) + 64 * shape.len() as u64;
    let maker = match reduction {
        Reduction::RfPooled(grid) => {
            // Refuses layers without places and windows beyond the image.
            let masks = super::TapMap::new(graph, node)?.masks(grid)?;
            4 * masks.len() as u64
        }
        Reduction::SparseRandomProjection(projection) => matrix(projection),
        Reduction::Pca(pca) => pca.project.as_ref().map_or(0, matrix),
        Reduction::Flat | Reduction::SpatialMean => 0,
    };
    let n = n_images as u64;
    let (bytes, scratch_bytes) = match gram {
        // The inner products, and as many when they are written to the cache; a block of units.
        true => (16 * n * n + 2 * BLOCK_BYTES.min(4 * n_images * shape.len()) as u64, 4 * n * shape.len() as u64),
        false => (4 * n * width as u64 + maker, 0),
    };
    let reduction = reduction.clone();
    Ok(TapPlan { tap, node, shape, reduction, size, gram, bytes, open_bytes: 0, scratch_bytes, width })
}
