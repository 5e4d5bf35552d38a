//! Flags of `orthoscope fit`.

use super::config::{Combine, Deal, Estimator, FrameSampling, Held, RunScaling};
use crate::encoding::readout::ReadoutLoss;
use crate::encoding::{Form, Score};
use crate::image::resize::Resize;
use crate::job::flags::{MachineFlags, NetworkFlags, TargetsFlags, choice};
use crate::job::shard::Shard;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

/// A partial configuration.
#[derive(Debug, Default, Args, Serialize)]
pub struct Flags {
    #[command(flatten)]
    stimuli: StimuliFlags,
    #[command(flatten)]
    network: NetworkFlags,
    #[command(flatten)]
    targets: TargetsFlags,
    #[command(flatten)]
    time: TimeFlags,
    #[command(flatten)]
    #[serde(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    ridge: RidgeFlags,
    #[command(flatten)]
    banded: BandedFlags,
    #[command(flatten)]
    readout: ReadoutFlags,
    #[command(flatten)]
    test: TestFlags,
    #[command(flatten)]
    folds: FoldsFlags,
    #[command(flatten)]
    scores: ScoresFlags,
    #[command(flatten)]
    #[serde(flatten)]
    run: RunFlags,
    #[command(flatten)]
    machine: MachineFlags,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Stimuli")]
struct StimuliFlags {
    /// Images: folder, zip, npy or stimuli.tsv.
    #[arg(long, value_name = "IMAGES")]
    images: Option<PathBuf>,
    /// Movies instead, one for each run, in order: files that ffmpeg decodes, or frames as --images
    /// takes them; may be repeated.
    #[arg(long = "movie", value_name = "MOVIE", num_args = 1..)]
    movies: Option<Vec<PathBuf>>,
    /// Ready features instead: npy of n x n_features, npz of several such; may be repeated.
    #[arg(long, value_name = "NPY", num_args = 1..)]
    features: Option<Vec<PathBuf>>,
    /// Table with the stimulus of each row of the features.
    #[arg(long, value_name = "TSV")]
    feature_rows: Option<PathBuf>,
    /// Layers, aliases or presets, separated by commas [default: the model's own list].
    #[arg(long, value_delimiter = ',')]
    taps: Option<Vec<String>>,
    /// How images are brought to the input size: stretch, crop or pad.
    #[arg(long, value_parser = choice::<Resize>)]
    resize: Option<Resize>,
    /// What is kept of a layer: flat (all units), spatial_mean, pca (99 % of the variance), pca:0.9,
    /// pca:100 (components), sparse_random_projection, or rf_pooled:20 (Gaussian windows on images
    /// 20 degrees wide).
    #[arg(long, value_name = "HOW")]
    reduction: Option<String>,
    /// What is done to every feature: none, centre or z_score.
    #[arg(long, value_name = "HOW")]
    scaling: Option<String>,
    /// Sets of features side by side as they are, whatever their scales.
    #[arg(long = "no-balance", num_args = 0, default_missing_value = "false", hide_possible_values = true)]
    balance: Option<bool>,
    /// Table with the columns stimulus and category.
    #[arg(long, value_name = "TSV")]
    categories: Option<PathBuf>,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Time series")]
struct TimeFlags {
    /// Delays of the features in samples, separated by commas, as in 1,2,3,4 [default: none].
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true)]
    delays: Option<Vec<isize>>,
    /// What is done to every target's samples of a run: none, centre or z_score.
    #[arg(id = "time.runs", long = "run-scaling", value_parser = choice::<RunScaling>)]
    runs: Option<RunScaling>,
    /// How frames become samples: average, downsample, or convolve (with a haemodynamic response).
    #[arg(long, value_parser = choice::<FrameSampling>)]
    frames: Option<FrameSampling>,
    /// Frames a second [default: as the movie's file says].
    #[arg(long = "frame-rate", value_name = "HZ")]
    frame_rate_hz: Option<f64>,
    /// Seconds of the movie before the first sample.
    #[arg(long = "skip", value_name = "SECONDS")]
    skip_s: Option<f64>,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Model")]
struct ModelFlags {
    /// ridge, banded (a penalty for each set of features), gaussian_rf (a window for each target) or
    /// factorized (a map and a weight of every channel).
    #[arg(long, value_parser = choice::<Estimator>)]
    estimator: Option<Estimator>,
    /// Models on each set of features, on all of them together, or both.
    #[arg(long, value_parser = choice::<Combine>)]
    combine: Option<Combine>,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Model")]
struct RidgeFlags {
    /// Penalties, separated by commas [default: 20 from 1e-4 to 1e5 times the mean eigenvalue].
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true)]
    alphas: Option<Vec<f64>>,
    /// One penalty for all targets.
    #[arg(long = "one-alpha", num_args = 0, default_missing_value = "false", hide_possible_values = true)]
    per_target: Option<bool>,
    /// No intercept: features and responses are taken as they are.
    #[arg(long = "no-intercept", num_args = 0, default_missing_value = "false", hide_possible_values = true)]
    fit_intercept: Option<bool>,
    /// What penalties are chosen by: negative_mse, r2 or pearson.
    #[arg(long, value_parser = choice::<Score>)]
    score: Option<Score>,
    /// How often the grid of penalties is extended where its edge is best.
    #[arg(long, value_name = "N")]
    max_extensions: Option<usize>,
    /// auto, primal or kernel.
    #[arg(long, value_parser = choice::<Form>)]
    form: Option<Form>,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Model")]
struct BandedFlags {
    /// Candidates of weights that --estimator banded draws.
    #[arg(long, value_name = "N")]
    n_iter: Option<usize>,
    /// Concentrations of Dirichlet's distribution, separated by commas.
    #[arg(long, value_delimiter = ',')]
    concentration: Option<Vec<f64>>,
    /// These candidates instead: npy of n x n_spaces.
    #[arg(long, value_name = "NPY")]
    gammas: Option<PathBuf>,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Model")]
struct ReadoutFlags {
    /// What --estimator factorized is trained by: mse or poisson.
    #[arg(long, value_parser = choice::<ReadoutLoss>)]
    loss: Option<ReadoutLoss>,
    /// Weight of Hoyer's sparsity of its channels.
    #[arg(long, value_name = "WEIGHT")]
    hoyer: Option<f64>,
    /// Its epochs, at most.
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Test")]
struct TestFlags {
    /// What is held out: auto, last, random, runs, stimuli, folds (everything once) or none.
    #[arg(id = "test.by", long = "test", value_name = "WHAT", value_parser = choice::<Held>)]
    by: Option<Held>,
    /// Share that is held out.
    #[arg(long = "test-share", value_name = "SHARE")]
    share: Option<f64>,
    /// Runs that are held out, separated by commas.
    #[arg(id = "test.runs", long = "test-runs", value_delimiter = ',')]
    runs: Option<Vec<String>>,
    /// List of the stimuli that are held out.
    #[arg(id = "test.stimuli", long = "test-stimuli", value_name = "FILE")]
    stimuli: Option<PathBuf>,
    /// How --test folds deals samples out: auto, run, block, group, random or interleaved.
    #[arg(id = "test.split", long = "test-split", value_parser = choice::<Deal>)]
    split: Option<Deal>,
    /// Folds of --test folds.
    #[arg(id = "test.n_folds", long = "test-folds", value_name = "N")]
    n_folds: Option<usize>,
    /// Samples on either side of held-out ones, of the same run, that are not fitted on.
    #[arg(id = "test.purge", long = "test-purge", value_name = "N")]
    purge: Option<usize>,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Test")]
struct FoldsFlags {
    /// How inner folds are dealt out: auto, run, block, group, random or interleaved.
    #[arg(id = "folds.split", long = "cv-split", value_parser = choice::<Deal>)]
    split: Option<Deal>,
    /// Inner folds, by which penalties, windows and layers are chosen.
    #[arg(id = "folds.n_folds", long = "cv", value_name = "N")]
    n_folds: Option<usize>,
    /// Samples on either side of an inner fold's tested ones, of the same run, that are not fitted on.
    #[arg(id = "folds.purge", long = "cv-purge", value_name = "N")]
    purge: Option<usize>,
}

#[derive(Debug, Default, Args, Serialize)]
#[command(next_help_heading = "Scores")]
struct ScoresFlags {
    /// Permutations that correlations are tested by [default: 0, no test].
    #[arg(long = "permutations", value_name = "N")]
    n_permutations: Option<usize>,
    /// What is called significant.
    #[arg(long)]
    alpha: Option<f64>,
    /// Leave targets with a lower signal-to-noise ratio out of summaries [default: none].
    #[arg(long, value_name = "SNR")]
    min_snr: Option<f64>,
    /// Identify stimuli by so many targets, those that inner folds predict best [default: all].
    #[arg(long, value_name = "N")]
    identify_by: Option<usize>,
}

#[derive(Debug, Default, Args, Serialize)]
struct RunFlags {
    /// Megabytes for features, decompositions and batches of targets.
    #[arg(long, value_name = "MB")]
    memory_mb: Option<usize>,
    /// Folder of features that runs share [default: kept as long as the run is unfinished].
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Only a slice of the targets, as in 2/8: several machines can share a fit.
    #[arg(long, value_name = "I/N", value_parser = choice::<Shard>)]
    shard: Option<Shard>,
    /// Put together the run directories that --shard made, with the same flags otherwise.
    #[arg(long, value_name = "DIR", num_args = 1.., conflicts_with = "shard")]
    shards: Option<Vec<PathBuf>>,
    /// Seed of held-out samples, folds, candidates and resamples.
    #[arg(long)]
    seed: Option<u64>,
}
