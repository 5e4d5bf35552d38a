//! Warnings are values: collected while a job runs, written to its manifest, shown at its end with
//! advice.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Something that the user should know before trusting a result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Warning {
    /// The objective was still improving when the steps ran out.
    NotConverged { item: String, steps: usize, last_gain: f64 },
    /// A layer's RSM has so little variation that no recording could see it.
    FlatFingerprint { tap: String, sd: f64, wanted: f64 },
    /// Pixels at the edge of the displayable range.
    ClippedPixels { fraction: f64 },
    /// The score on the written images is worse than in the loop.
    ExportGap { before: f64, after: f64 },
    /// The score does not survive the eye and the projector.
    NotRobust { probe: String, score: f64, chance: f64 },
    /// Images were resized to the network's input.
    Resized { n_images: usize, from: String, to: String, how: String },
    /// Brain or model patterns without variation: their correlations are undefined.
    UndefinedRdm { name: String, n_undefined: usize },
    /// A model of a directory that could not be read, and was left out because the user said so.
    SkippedModel { name: String, reason: String },
    /// Synthesised images that do not do better than natural ones.
    NotBeyondNatural { n_images: usize, of: usize },
    /// Images that drive the model they were made on, but not another one.
    OnlyOwnModel { model: String, n_images: usize, of: usize },
    /// A unit that no start moves: its gradient is zero.
    NoGradient { unit: String, direction: String },
    /// A residual fingerprint keeps so little of its layer that no recording could see it.
    LittleLeft { layer: String, share: f64, wanted: f64 },
    /// A network's file says what its pixels are, and `--preprocess` says something else.
    Preprocessing { model: String, given: String, why: String, used: String },
    /// Numbers in a network's file that its format would not have: what they were taken for.
    OddWeights { model: String, what: String, taken: String },
    /// Anything else worth saying.
    Note { text: String },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConverged { item, steps, last_gain } => write!(
                f,
                "{item}: still improving after {steps} steps (by {:.1} % over the last tenth); raise --steps",
                100.0 * last_gain
            ),
            Self::FlatFingerprint { tap, sd, wanted } => write!(
                f,
                "{tap}: the RSM's standard deviation is {sd:.3}, below {wanted:.3}; a recording may not see it: raise --min-sd or --sd-weight"
            ),
            Self::ClippedPixels { fraction } => write!(
                f,
                "{:.1} % of the pixel values lie at the edge of the displayable range; lower --contrast",
                100.0 * fraction
            ),
            Self::ExportGap { before, after } => {
                write!(f, "mean |R| is {before:.3} in the loop but {after:.3} on the written 8-bit images")
            }
            Self::NotRobust { probe, score, chance } => write!(
                f,
                "mean |R| is {score:.3} after {probe}, not below the chance level {chance:.3}: keep --jitter, --blur and --scale on, or run more steps"
            ),
            Self::Resized { n_images, from, to, how } => {
                write!(f, "{n_images} images were brought from {from} to {to} ({how}); choose with --resize")
            }
            Self::UndefinedRdm { name, n_undefined } => {
                write!(f, "{name}: {n_undefined} dissimilarities are undefined (constant patterns) and were left out")
            }
            Self::SkippedModel { name, reason } => write!(f, "{name} was left out (--skip-bad): {reason}"),
            Self::NotBeyondNatural { n_images, of } => write!(
                f,
                "{n_images} of {of} images drive their unit no further than the best natural image; raise --steps or --restarts"
            ),
            Self::OnlyOwnModel { model, n_images, of } => write!(
                f,
                "{n_images} of {of} images do not move `{model}` beyond its median natural response: they may fool only the model they were made on"
            ),
            Self::NoGradient { unit, direction } => write!(
                f,
                "{unit}, {direction}: the response did not move from any start; drive the layer before its activation, or start from images with --init-images"
            ),
            Self::LittleLeft { layer, share, wanted } => write!(
                f,
                "{layer}: {:.1} % of the fingerprint's standard deviation is left after the other layers are taken out, below {:.0} %; its residual map shows noise: use fewer or more distant layers, or images made to be orthogonal",
                100.0 * share,
                100.0 * wanted
            ),
            Self::Preprocessing { model, given, why, used } => {
                write!(f, "{model}: --preprocess {given} contradicts the file: {why}; {used}")
            }
            Self::OddWeights { model, what, taken } => write!(f, "{model}: {what}; {taken}"),
            Self::Note { text } => f.write_str(text),
        }
    }
}
