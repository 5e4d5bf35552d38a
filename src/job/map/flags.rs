//! Flags of `orthoscope map`.

use super::PlaceCorrection;
use crate::job::flags::choice;
use crate::job::inputs::{Estimate, SignalScale};
use crate::job::shard::Shard;
use crate::mapping::dissimilarity::Folds;
use crate::mapping::noise::{NoiseCovariance, NoiseFrom};
use crate::mapping::sphere::{Preset, RadiusUnit, SphereShape};
use crate::mapping::{Dissimilarity, Residual, Statistic};
use crate::stats::correction::Family;
use crate::stats::glm::{Hrf, NoiseModel};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

/// A partial configuration.
#[derive(Debug, Default, Args, Serialize)]
pub struct Flags {
    #[command(flatten)]
    betas: BetasFlags,
    #[command(flatten)]
    regions: RegionFlags,
    #[command(flatten)]
    bold: BoldFlags,
    #[command(flatten)]
    simulation: SimulationFlags,
    #[command(flatten)]
    fingerprints: FingerprintFlags,
    #[command(flatten)]
    #[serde(flatten)]
    measure: MeasureFlags,
    #[command(flatten)]
    sphere: SphereFlags,
    #[command(flatten)]
    test: TestFlags,
    #[command(flatten)]
    maps: MapsFlags,
    #[command(flatten)]
    #[serde(flatten)]
    run: RunFlags,
}

/// What was recorded.
#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Brain")]
struct BetasFlags {
    /// Betas: 4-D NIfTI, GLMsingle HDF5, or npy of samples x voxels; one file a run, may be
    /// repeated.
    #[arg(id = "betas.files", long = "betas", value_name = "BETAS")]
    files: Option<Vec<PathBuf>>,
    /// Tables that name the condition of each volume (BIDS events do): one a file, or one for all.
    #[arg(long, value_name = "TSV")]
    labels: Option<Vec<PathBuf>>,
    /// Column of the conditions [default: condition, trial_type, ...].
    #[arg(long, value_name = "NAME")]
    condition_column: Option<String>,
    /// Column of the runs [default: run; else each file is one].
    #[arg(long, value_name = "NAME")]
    run_column: Option<String>,
    /// Voxels that take part [default: those that hold something].
    #[arg(long, value_name = "NIFTI")]
    mask: Option<PathBuf>,
    /// Voxels that are centres [default: the mask].
    #[arg(long, value_name = "NIFTI")]
    centres: Option<PathBuf>,
    /// Image behind the maps in figures [default: the betas' mean].
    #[arg(long, value_name = "NIFTI")]
    background: Option<PathBuf>,
    /// Plain means of the samples of a condition, also where runs have other shares of the
    /// conditions.
    #[arg(long = "no-run-effects", num_args = 0, default_missing_value = "false", hide_possible_values = true)]
    run_effects: Option<bool>,
    /// Take off what every run adds, and the mean pattern.
    #[arg(long, num_args = 0, default_missing_value = "true", hide_possible_values = true)]
    centre_runs: Option<bool>,
}

/// Regions instead of searchlights.
#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Brain")]
struct RegionFlags {
    /// Regions instead of searchlights: a label image.
    #[arg(long = "rois", value_name = "NIFTI")]
    image: Option<PathBuf>,
    /// Names of the regions: of the voxels of npy betas (column `region`), or of a label image's
    /// numbers (`index`, `name`).
    #[arg(long = "roi-names", value_name = "TSV")]
    names: Option<PathBuf>,
    /// RDMs of regions instead of betas: npy of n_subjects x n x n, one file a region; may be
    /// repeated.
    #[arg(long = "roi-rdms", value_name = "NPY")]
    rdms: Option<Vec<PathBuf>>,
}

/// Time series instead of betas.
#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Time series")]
struct BoldFlags {
    /// Preprocessed BOLD instead of betas: 4-D NIfTI, one file a run; may be repeated. A GLM gives
    /// the betas.
    #[arg(id = "bold.files", long = "bold", value_name = "NIFTI", num_args = 1..)]
    files: Option<Vec<PathBuf>>,
    /// BIDS events, one table for each --bold.
    #[arg(long, value_name = "TSV", num_args = 1..)]
    events: Option<Vec<PathBuf>>,
    /// Confounds, one table for each --bold.
    #[arg(long, value_name = "TSV", num_args = 1..)]
    confounds: Option<Vec<PathBuf>>,
    /// Columns of the confounds, separated by commas; trans_* stands for all that begin so
    /// [default: all].
    #[arg(long, value_delimiter = ',')]
    confound_columns: Option<Vec<String>>,
    /// Conditions that are modelled but not mapped, separated by commas.
    #[arg(long = "nuisance-conditions", value_delimiter = ',')]
    nuisance: Option<Vec<String>>,
    /// Repetition time in seconds [default: the header's].
    #[arg(long = "tr", value_name = "SECONDS")]
    tr_s: Option<f64>,
    /// Noise of the time series: white or ar1.
    #[arg(id = "bold.noise", long = "noise-model", value_name = "NOISE", value_parser = choice::<NoiseModel>)]
    noise: Option<NoiseModel>,
    /// What the patterns are made of: beta or t.
    #[arg(long, value_parser = choice::<Estimate>)]
    estimate: Option<Estimate>,
    /// Unit of the estimates: percent (of each voxel's mean), run (percent of the run's mean) or
    /// none.
    #[arg(long, value_parser = choice::<SignalScale>)]
    scale: Option<SignalScale>,
    /// Leave conditions out of runs in which little of their regressor is left, as of an event at
    /// the end of a run [default: they are mapped, with a warning].
    #[arg(long, num_args = 0, default_missing_value = "true", hide_possible_values = true)]
    leave_out_weak: Option<bool>,
    #[command(flatten)]
    design: DesignFlags,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Time series")]
struct DesignFlags {
    /// spm, spm_derivative or spm_derivative_dispersion.
    #[arg(long, value_parser = choice::<Hrf>)]
    hrf: Option<Hrf>,
    /// Cosine drifts up to this frequency in Hz; 0 for none.
    #[arg(long = "high-pass", value_name = "HZ")]
    high_pass_hz: Option<f64>,
}

/// A made-up brain instead of a recorded one.
#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Simulation")]
struct SimulationFlags {
    /// How long to scan: regions with known layers are simulated from each --fingerprints (one set
    /// of images each) and mapped, raw and with --residual.
    #[arg(long, num_args = 0, default_missing_value = "true", hide_possible_values = true)]
    simulate: Option<bool>,
    /// Presentations of each image, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "N")]
    repeats: Option<Vec<usize>>,
    #[command(flatten)]
    brain: SimulatedBrainFlags,
    /// Duration of a presentation with its pause: adds scanning minutes to the table.
    #[arg(long, value_name = "SECONDS")]
    seconds_per_presentation: Option<f64>,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Simulation")]
struct SimulatedBrainFlags {
    /// Variance of a voxel's pattern over images / noise variance of one presentation.
    #[arg(long)]
    snr: Option<f64>,
    /// Voxels of a region.
    #[arg(long = "region-voxels", value_name = "N")]
    n_voxels: Option<usize>,
    /// Regions of each layer.
    #[arg(long = "regions-per-layer", value_name = "N")]
    n_regions: Option<usize>,
    /// Runs that the presentations are spread over.
    #[arg(long = "runs", value_name = "N")]
    n_runs: Option<usize>,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Fingerprints")]
struct FingerprintFlags {
    /// Fingerprints: rdms.npz, a run directory of `rdm` or `orthogonalize`, or RDM files; may be
    /// repeated.
    #[arg(id = "fingerprints.files", long = "fingerprints", value_name = "RDMS")]
    files: Option<Vec<PathBuf>>,
    /// Names of the fingerprints' conditions: text, one a line, or a table [default: those of the
    /// run directory].
    #[arg(long = "fingerprint-conditions", value_name = "FILE")]
    conditions: Option<PathBuf>,
    /// Layers to use, separated by commas [default: all].
    #[arg(long, value_delimiter = ',')]
    layers: Option<Vec<String>>,
    /// Activations of the layers (npz, n_images x n_units each) for --residual activation_level.
    #[arg(long, value_name = "NPZ")]
    activations: Option<PathBuf>,
}

/// How RDMs are made and compared.
#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Measure")]
struct MeasureFlags {
    /// correlation, cosine, euclidean, mahalanobis or crossnobis.
    #[arg(long, value_parser = choice::<Dissimilarity>)]
    dissimilarity: Option<Dissimilarity>,
    /// Noise of mahalanobis and crossnobis: identity, diagonal, shrinkage_diag or shrinkage_eye.
    #[arg(long, value_parser = choice::<NoiseCovariance>)]
    noise: Option<NoiseCovariance>,
    /// Samples that crossnobis takes the noise from: training (unbiased) or all (as rsatoolbox).
    #[arg(long, value_parser = choice::<NoiseFrom>)]
    noise_from: Option<NoiseFrom>,
    /// Cross-validation of crossnobis: auto, runs or pairs.
    #[arg(long, value_parser = choice::<Folds>)]
    folds: Option<Folds>,
    /// pearson, spearman, kendall_tau_a, cosine, corr_cov, cosine_cov, ols or nnls.
    #[arg(long, value_parser = choice::<Statistic>)]
    statistic: Option<Statistic>,
    /// Residual method: none, semi_partial, partial, unique_variance, ordered, adjacent,
    /// activation_level or symmetric.
    #[arg(long, value_parser = choice::<Residual>)]
    residual: Option<Residual>,
}

/// Which voxels belong to a centre.
#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Searchlight")]
struct SphereFlags {
    /// The rule of another tool: rsatoolbox, nilearn or brainiak.
    #[arg(long, value_parser = choice::<Preset>)]
    preset: Option<Preset>,
    /// Radius.
    #[arg(long)]
    radius: Option<f64>,
    /// mm or voxels.
    #[arg(long, value_parser = choice::<RadiusUnit>)]
    unit: Option<RadiusUnit>,
    /// ball (distance <= radius), open_ball (<) or cube.
    #[arg(long, value_parser = choice::<SphereShape>)]
    shape: Option<SphereShape>,
    /// Centres with fewer voxels in the mask are left out.
    #[arg(long, value_name = "N")]
    min_voxels: Option<usize>,
    /// Centres with a smaller share of the shape in the mask are left out.
    #[arg(long, value_name = "SHARE")]
    min_fraction: Option<f64>,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Test")]
struct TestFlags {
    /// Relabellings of the conditions; 0 for maps without a test.
    #[arg(long = "permutations", value_name = "N")]
    n_permutations: Option<usize>,
    /// Keep the maps of so many relabellings, the same in all subjects: `group --generalise images`
    /// and `both` need them [default: 0, none].
    #[arg(long, value_name = "N")]
    keep_relabellings: Option<usize>,
    /// Correction for the number of places: fwe, fdr or none.
    #[arg(long, value_parser = choice::<PlaceCorrection>)]
    correction: Option<PlaceCorrection>,
    /// What is corrected for together: the places of all layers (all), or of each (layer).
    #[arg(long, value_parser = choice::<Family>)]
    family: Option<Family>,
    /// What is called significant.
    #[arg(long)]
    alpha: Option<f64>,
    /// Resamples of the images for an interval of every value [default: 0, none].
    #[arg(long = "image-bootstraps", value_name = "N")]
    n_image_bootstraps: Option<usize>,
    /// Coverage of those intervals.
    #[arg(long)]
    level: Option<f64>,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Output")]
struct MapsFlags {
    /// No split-half reliability and noise ceiling.
    #[arg(long = "no-ceiling", num_args = 0, default_missing_value = "false", hide_possible_values = true)]
    ceiling: Option<bool>,
    /// Beginning of the maps' names, as in sub-01_task-images_space-T1w.
    #[arg(long)]
    prefix: Option<String>,
}

#[derive(Debug, Default, Args, Serialize)]
struct RunFlags {
    /// Only a slice of the centres, as in 2/8: several machines can share a searchlight.
    #[arg(long, value_name = "I/N", value_parser = choice::<Shard>)]
    shard: Option<Shard>,
    /// Put together the run directories that --shard made, with the same flags otherwise.
    #[arg(long, value_name = "DIR", num_args = 1.., conflicts_with = "shard")]
    shards: Option<Vec<PathBuf>>,
    /// Seed of the relabellings.
    #[arg(long)]
    seed: Option<u64>,
}
