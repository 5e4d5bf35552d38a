//! `orthoscope map`

use super::common::{CommonArgs, choice, config_or_default, set, set_list, show};
use super::map_summary::summary;
use crate::error::Result;
use crate::job::common::Common;
use crate::job::map::{self as job, Config, Correction, Estimate, Shard};
use crate::mapping::dissimilarity::Folds;
use crate::mapping::noise::{Noise, NoiseFrom};
use crate::mapping::sphere::{Preset, Shape, Unit};
use crate::mapping::{Dissimilarity, Residual, Statistic};
use crate::stats::glm::{Hrf, Noise as GlmNoise};
use clap::Args;
use std::path::PathBuf;

/// Flags of `map`; each one overrides the configuration file.
#[derive(Debug, Args)]
pub struct MapArgs {
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    brain: BrainArgs,
    #[command(flatten)]
    bold: BoldArgs,
    #[command(flatten)]
    simulation: SimulationArgs,
    /// Fingerprints: rdms.npz, a run directory of `rdm` or `orthogonalize`, or RDM files; may be repeated.
    #[arg(long, value_name = "RDMS")]
    fingerprints: Vec<PathBuf>,
    /// Names of the fingerprints' conditions: text, one a line, or a table [default: those of the run directory].
    #[arg(long, value_name = "FILE")]
    fingerprint_conditions: Option<PathBuf>,
    /// Layers to use, separated by commas [default: all].
    #[arg(long, value_delimiter = ',')]
    layers: Option<Vec<String>>,
    /// Activations of the layers (npz, n_images x n_units each) for --residual activation_level.
    #[arg(long, value_name = "NPZ")]
    activations: Option<PathBuf>,
    #[command(flatten)]
    measure: MeasureArgs,
    #[command(flatten)]
    sphere: SphereArgs,
    /// Relabellings of the conditions; 0 for maps without a test [default: 1000].
    #[arg(long, value_name = "N")]
    permutations: Option<usize>,
    /// Correction for the number of places: fdr, fwe or none [default: fdr].
    #[arg(long, value_parser = choice::<Correction>)]
    correction: Option<Correction>,
    /// What is called significant [default: 0.05].
    #[arg(long)]
    alpha: Option<f64>,
    /// Resamples of the images for an interval of every value [default: 0, none].
    #[arg(long, value_name = "N")]
    image_bootstraps: Option<usize>,
    /// Coverage of those intervals [default: 0.95].
    #[arg(long)]
    level: Option<f64>,
    /// No split-half reliability and noise ceiling.
    #[arg(long)]
    no_ceiling: bool,
    /// Beginning of the maps' names, as in sub-01_task-images_space-T1w.
    #[arg(long)]
    prefix: Option<String>,
    /// Only a slice of the centres, as in 2/8: several machines can share a searchlight.
    #[arg(long, value_name = "I/N", value_parser = choice::<Shard>)]
    shard: Option<Shard>,
    /// Put together the run directories that --shard made, with the same flags otherwise.
    #[arg(long, value_name = "DIR", num_args = 1.., conflicts_with = "shard")]
    shards: Vec<PathBuf>,
    /// Seed of the relabellings [default: 1].
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    common: CommonArgs,
}

/// What was recorded.
#[derive(Debug, Args)]
#[command(next_help_heading = "Brain")]
struct BrainArgs {
    /// Betas: 4-D NIfTI, GLMsingle HDF5, or npy of samples x voxels; one file a run, may be repeated.
    #[arg(long, value_name = "BETAS")]
    betas: Vec<PathBuf>,
    /// Tables that name the condition of each volume (BIDS events do): one a file, or one for all.
    #[arg(long, value_name = "TSV")]
    labels: Vec<PathBuf>,
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
    /// Take every voxel's mean over a run off its samples.
    #[arg(long)]
    centre_runs: bool,
    /// Regions instead of searchlights: a label image.
    #[arg(long, value_name = "NIFTI")]
    rois: Option<PathBuf>,
    /// Names of the regions: of the voxels of npy betas (column `region`), or of a label image's numbers (`index`, `name`).
    #[arg(long, value_name = "TSV")]
    roi_names: Option<PathBuf>,
    /// RDMs of regions instead of betas: npy of n_subjects x n x n, one file a region; may be repeated.
    #[arg(long, value_name = "NPY")]
    roi_rdms: Vec<PathBuf>,
}

/// Time series instead of betas.
#[derive(Debug, Args)]
#[command(next_help_heading = "Time series")]
struct BoldArgs {
    /// Preprocessed BOLD instead of betas: 4-D NIfTI, one file a run; may be repeated. A GLM gives the betas.
    #[arg(long, value_name = "NIFTI", num_args = 1..)]
    bold: Vec<PathBuf>,
    /// BIDS events, one table for each --bold.
    #[arg(long, value_name = "TSV", num_args = 1..)]
    events: Vec<PathBuf>,
    /// Confounds, one table for each --bold.
    #[arg(long, value_name = "TSV", num_args = 1..)]
    confounds: Vec<PathBuf>,
    /// Columns of the confounds, separated by commas; trans_* stands for all that begin so [default: all].
    #[arg(long, value_delimiter = ',')]
    confound_columns: Option<Vec<String>>,
    /// Conditions that are modelled but not mapped, separated by commas.
    #[arg(long, value_delimiter = ',')]
    nuisance_conditions: Option<Vec<String>>,
    /// Leave conditions out of runs in which little of their regressor is left, as of an event at the end of a run
    /// [default: they are mapped, with a warning].
    #[arg(long)]
    leave_out_weak: bool,
    /// Repetition time in seconds [default: the header's].
    #[arg(long, value_name = "SECONDS")]
    tr: Option<f64>,
    /// spm, spm_derivative or spm_derivative_dispersion [default: spm].
    #[arg(long, value_parser = choice::<Hrf>)]
    hrf: Option<Hrf>,
    /// Cosine drifts up to this frequency in Hz; 0 for none [default: 0.01].
    #[arg(long, value_name = "HZ")]
    high_pass: Option<f64>,
    /// Noise of the time series: white or ar1 [default: white].
    #[arg(long, value_parser = choice::<GlmNoise>)]
    noise_model: Option<GlmNoise>,
    /// What the patterns are made of: beta or t [default: beta].
    #[arg(long, value_parser = choice::<Estimate>)]
    estimate: Option<Estimate>,
}

/// A made-up brain instead of a recorded one.
#[derive(Debug, Args)]
#[command(next_help_heading = "Simulation")]
struct SimulationArgs {
    /// How long to scan: regions with known layers are simulated from each --fingerprints (one set of images each) and
    /// mapped, raw and with --residual.
    #[arg(long)]
    simulate: bool,
    /// Presentations of each image, separated by commas [default: 1,2,4,8,16,32].
    #[arg(long, value_delimiter = ',', value_name = "N")]
    repeats: Option<Vec<usize>>,
    /// Variance of a voxel's pattern over images / noise variance of one presentation [default: 0.05].
    #[arg(long)]
    snr: Option<f64>,
    /// Voxels of a region [default: 100].
    #[arg(long, value_name = "N")]
    region_voxels: Option<usize>,
    /// Regions of each layer [default: 50].
    #[arg(long, value_name = "N")]
    regions_per_layer: Option<usize>,
    /// Runs that the presentations are spread over [default: 8].
    #[arg(long, value_name = "N")]
    runs: Option<usize>,
    /// Duration of a presentation with its pause: adds scanning minutes to the table.
    #[arg(long, value_name = "SECONDS")]
    seconds_per_presentation: Option<f64>,
}

/// How RDMs are made and compared.
#[derive(Debug, Args)]
#[command(next_help_heading = "Measure")]
struct MeasureArgs {
    /// correlation, cosine, euclidean, mahalanobis or crossnobis [default: correlation].
    #[arg(long, value_parser = choice::<Dissimilarity>)]
    dissimilarity: Option<Dissimilarity>,
    /// Noise of mahalanobis and crossnobis: identity, diagonal, shrinkage_diag or shrinkage_eye [default: shrinkage_diag].
    #[arg(long, value_parser = choice::<Noise>)]
    noise: Option<Noise>,
    /// Samples that crossnobis takes the noise from: training (unbiased) or all (as rsatoolbox) [default: training].
    #[arg(long, value_parser = choice::<NoiseFrom>)]
    noise_from: Option<NoiseFrom>,
    /// Cross-validation of crossnobis: auto, runs or pairs [default: auto].
    #[arg(long, value_parser = choice::<Folds>)]
    folds: Option<Folds>,
    /// pearson, spearman, kendall_tau_a, cosine, corr_cov, cosine_cov, ols or nnls [default: spearman].
    #[arg(long, value_parser = choice::<Statistic>)]
    statistic: Option<Statistic>,
    /// Residual method: none, semi_partial, partial, unique_variance, ordered, adjacent, activation_level or symmetric
    /// [default: none].
    #[arg(long, value_parser = choice::<Residual>)]
    residual: Option<Residual>,
}

/// Which voxels belong to a centre.
#[derive(Debug, Args)]
#[command(next_help_heading = "Searchlight")]
struct SphereArgs {
    /// The rule of another tool: rsatoolbox, nilearn or brainiak.
    #[arg(long, value_parser = choice::<Preset>)]
    preset: Option<Preset>,
    /// Radius [default: 10].
    #[arg(long)]
    radius: Option<f64>,
    /// mm or voxels [default: mm].
    #[arg(long, value_parser = choice::<Unit>)]
    unit: Option<Unit>,
    /// ball (distance <= radius), open_ball (<) or cube [default: ball].
    #[arg(long, value_parser = choice::<Shape>)]
    shape: Option<Shape>,
    /// Centres with fewer voxels in the mask are left out [default: 10].
    #[arg(long, value_name = "N")]
    min_voxels: Option<usize>,
    /// Centres with a smaller share of the shape in the mask are left out [default: 0].
    #[arg(long, value_name = "SHARE")]
    min_fraction: Option<f64>,
}

/// Runs the subcommand.
///
/// # Errors
/// The job's.
pub fn run(args: MapArgs) -> Result<()> {
    let mut config: Config = config_or_default(args.config.as_ref())?;
    let common = args.common.common("map");
    apply(args, &mut config);
    run_config(config, &common)
}

/// Runs a configuration and shows its results.
///
/// # Errors
/// The job's.
pub fn run_config(config: Config, common: &Common) -> Result<()> {
    let results = job::run(config, common)?;
    show(common, &results, &summary(&results))
}

fn apply(args: MapArgs, config: &mut Config) {
    apply_brain(args.brain, config);
    apply_bold(args.bold, config);
    apply_simulation(args.simulation, config);
    let prints = &mut config.fingerprints;
    set_list(&mut prints.files, args.fingerprints);
    prints.conditions = args.fingerprint_conditions.or(prints.conditions.take());
    prints.activations = args.activations.or(prints.activations.take());
    set(&mut prints.layers, args.layers);
    set(&mut config.dissimilarity, args.measure.dissimilarity);
    set(&mut config.noise, args.measure.noise);
    set(&mut config.noise_from, args.measure.noise_from);
    set(&mut config.folds, args.measure.folds);
    set(&mut config.statistic, args.measure.statistic);
    set(&mut config.residual, args.measure.residual);
    if let Some(preset) = args.sphere.preset {
        config.sphere = preset.sphere(args.sphere.radius);
    }
    set(&mut config.sphere.radius, args.sphere.radius);
    set(&mut config.sphere.unit, args.sphere.unit);
    set(&mut config.sphere.shape, args.sphere.shape);
    set(&mut config.sphere.min_voxels, args.sphere.min_voxels);
    set(&mut config.sphere.min_fraction, args.sphere.min_fraction);
    set(&mut config.test.n_permutations, args.permutations);
    set(&mut config.test.correction, args.correction);
    set(&mut config.test.alpha, args.alpha);
    set(&mut config.test.n_image_bootstraps, args.image_bootstraps);
    set(&mut config.test.level, args.level);
    set(&mut config.maps.prefix, args.prefix);
    set(&mut config.seed, args.seed);
    config.shard = args.shard.or(config.shard);
    set_list(&mut config.shards, args.shards);
    config.maps.ceiling &= !args.no_ceiling;
}

fn apply_brain(args: BrainArgs, config: &mut Config) {
    let own = &mut config.betas;
    set_list(&mut own.files, args.betas);
    set_list(&mut own.labels, args.labels);
    set_list(&mut config.regions.rdms, args.roi_rdms);
    own.condition_column = args.condition_column.or(own.condition_column.take());
    own.run_column = args.run_column.or(own.run_column.take());
    own.mask = args.mask.or(own.mask.take());
    own.centres = args.centres.or(own.centres.take());
    own.background = args.background.or(own.background.take());
    own.centre_runs |= args.centre_runs;
    config.regions.image = args.rois.or(config.regions.image.take());
    config.regions.names = args.roi_names.or(config.regions.names.take());
}

fn apply_bold(args: BoldArgs, config: &mut Config) {
    let own = &mut config.bold;
    set_list(&mut own.files, args.bold);
    set_list(&mut own.events, args.events);
    set_list(&mut own.confounds, args.confounds);
    set(&mut own.confound_columns, args.confound_columns);
    set(&mut own.nuisance, args.nuisance_conditions);
    own.leave_out_weak = args.leave_out_weak.then_some(true).or(own.leave_out_weak);
    own.tr_s = args.tr.or(own.tr_s);
    set(&mut own.design.hrf, args.hrf);
    set(&mut own.design.high_pass_hz, args.high_pass);
    set(&mut own.noise, args.noise_model);
    set(&mut own.estimate, args.estimate);
}

fn apply_simulation(args: SimulationArgs, config: &mut Config) {
    if !args.simulate && config.simulation.is_none() {
        return;
    }
    let own = config.simulation.get_or_insert_default();
    set(&mut own.repeats, args.repeats);
    set(&mut own.brain.snr, args.snr);
    set(&mut own.brain.n_voxels, args.region_voxels);
    set(&mut own.brain.n_regions, args.regions_per_layer);
    set(&mut own.brain.n_runs, args.runs);
    own.seconds_per_presentation = args.seconds_per_presentation.or(own.seconds_per_presentation);
}
