//! Flags of `orthoscope group`.

use super::{Chance, Generalise, GroupCorrection, Zeros};
use crate::job::flags::choice;
use crate::math::permutation::Tail;
use crate::stats::correction::Family;
use crate::stats::neighbours::Connectivity;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

/// A partial configuration.
#[derive(Debug, Default, Args, Serialize)]
pub struct Flags {
    #[command(flatten)]
    maps: MapsFlags,
    #[command(flatten)]
    test: TestFlags,
    /// Seed of sign flips.
    #[arg(long)]
    seed: Option<u64>,
}

#[derive(Debug, Default, Args, Serialize)]
struct MapsFlags {
    /// Maps, one entry a subject: run directories of `map` (all layers), or 3-D NIfTI files; or one
    /// 4-D NIfTI.
    #[arg(long = "maps", value_name = "MAPS", num_args = 1..)]
    subjects: Option<Vec<PathBuf>>,
    /// The same subjects in the same order under another condition: their differences (maps -
    /// against) are tested.
    #[arg(long, value_name = "MAPS", num_args = 1..)]
    against: Option<Vec<PathBuf>>,
    /// Which maps of run directories: spearman, r2, splithalf, ... [default: the comparison of
    /// `map`].
    #[arg(long, value_name = "NAME")]
    stat: Option<String>,
    /// Layers of run directories, separated by commas [default: all].
    #[arg(long, value_delimiter = ',')]
    layers: Option<Vec<String>>,
    /// What maps given as files are called [default: effect].
    #[arg(long)]
    name: Option<String>,
    /// Fisher's z of the maps first [default: of correlations in run directories].
    #[arg(long, num_args = 0, default_missing_value = "true", hide_possible_values = true)]
    fisher_z: Option<bool>,
    /// Maps as they are.
    #[arg(long = "no-fisher-z", num_args = 0, default_missing_value = "false", hide_possible_values = true)]
    no_fisher_z: Option<bool>,
    /// What the maps are on average where there is nothing: a number or an image [default: what
    /// runs of `map` say; 0].
    #[arg(long, value_name = "VALUE|MAP")]
    null: Option<Chance>,
    /// Voxels that take part [default: those where enough subjects have a value].
    #[arg(long, value_name = "NIFTI")]
    mask: Option<PathBuf>,
    /// Fewest subjects with a value at a voxel [default: all].
    #[arg(long, value_name = "N")]
    min_subjects: Option<usize>,
    /// What 0 is where other subjects have a value: missing or data [default: missing].
    #[arg(long, value_parser = choice::<Zeros>)]
    zeros: Option<Zeros>,
    /// Image behind the maps in figures.
    #[arg(long, value_name = "NIFTI")]
    background: Option<PathBuf>,
    /// Beginning of the maps' names, as in task-images_space-MNI152NLin2009cAsym.
    #[arg(long)]
    prefix: Option<String>,
}

/// How the group is tested.
#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Test")]
struct TestFlags {
    /// What else would show the result: other subjects (subjects), other images (images) or both;
    /// the latter two need runs of `map --keep-relabellings`.
    #[arg(long, value_parser = choice::<Generalise>)]
    generalise: Option<Generalise>,
    /// greater, less or two_sided [default: greater; two_sided with --against].
    #[arg(long, value_parser = choice::<Tail>)]
    tail: Option<Tail>,
    /// Sign flips; all 2^n where that is not more.
    #[arg(long = "permutations", value_name = "N")]
    n_permutations: Option<usize>,
    /// What significant means: tfce, max_t, cluster_mass, cluster_size, fdr or none; all maps are
    /// written.
    #[arg(long, value_parser = choice::<GroupCorrection>)]
    correction: Option<GroupCorrection>,
    /// What is corrected for together: the voxels of all layers (all), or of each (layer).
    #[arg(long, value_parser = choice::<Family>)]
    family: Option<Family>,
    /// What is called significant.
    #[arg(long)]
    alpha: Option<f64>,
    /// Cluster-forming threshold as the p of one voxel.
    #[arg(long, value_name = "P")]
    cluster_p: Option<f64>,
    /// Voxels that touch: faces (6), edges (18) or corners (26).
    #[arg(long, value_parser = choice::<Connectivity>)]
    connectivity: Option<Connectivity>,
    /// Coverage of the intervals of the means.
    #[arg(long)]
    level: Option<f64>,
}
