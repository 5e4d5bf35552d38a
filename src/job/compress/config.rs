//! What `compress` can be asked for.

use crate::compression::Scope;
use crate::compression::connections::{Clustering, Reach};
use crate::error::{Error, Result};
use crate::image::resize::Resize;
use crate::job::inputs::TargetsConfig;
use crate::job::limits::{self, TINY, within};
use crate::job::machine::Machine;
use crate::job::model::NetworkConfig;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// Configuration of `orthoscope compress`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Always `compress`.
    pub command: String,
    pub seed: u64,
    /// What is compressed.
    pub network: NetworkConfig,
    /// Images that channels are judged on: a folder, zip, npy or table, or a folder for each class.
    pub images: Option<PathBuf>,
    /// Images that the reported scores are on; a share of `images` where there are none.
    pub test_images: Option<PathBuf>,
    /// Share of the images (of each class) that are kept for the reported scores.
    pub test_share: f64,
    /// Table with the class of each image.
    pub labels: Option<PathBuf>,
    /// Names of the network's outputs, one a line.
    pub classes: Option<PathBuf>,
    /// How images are brought to the network's input size.
    pub resize: Resize,
    /// Recorded responses that outputs are compared with.
    pub targets: TargetsConfig,
    /// Targets that the outputs are, in the outputs' order; all of the responses where there are none.
    pub outputs: Vec<String>,
    pub prune: PruneConfig,
    pub fine_tune: FineTuneConfig,
    pub connections: ConnectionsConfig,
    pub codebook: CodebookConfig,
    /// Images in one batch.
    pub batch: usize,
    pub machine: Machine,
}

/// `[prune]`: channels that go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PruneConfig {
    /// By what channels are judged; none go where it is absent.
    pub by: Option<By>,
    /// Layers that are pruned; all where there are none.
    pub layers: Vec<String>,
    pub scope: Scope,
    /// Channels of all pruned layers that stay.
    pub keep: Option<Amount>,
    /// The score's largest drop, on the images that channels are judged on.
    pub max_drop: Option<f64>,
    /// Channels that go between two judgements.
    pub at_once: Option<Amount>,
    /// Channels that each layer keeps at least.
    pub minimum: usize,
    /// Share of the next layer's variance that is left, of `layerwise-variance`.
    pub share: f64,
}

/// By what channels are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// Drop of classification accuracy.
    Car,
    /// Drop of the correlation with recorded responses.
    Rar,
    /// Mean absolute weight.
    L1,
    /// First-order change of a loss.
    Taylor,
    /// Variance of activations.
    Variance,
    Random,
    /// Share of the next layer's variance, layer by layer from the last.
    LayerwiseVariance,
}

/// A number of channels, or a share of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Amount {
    Number(usize),
    Share(f64),
}

impl Amount {
    /// Of `n`, rounded.
    pub fn of(self, n: usize) -> usize {
        match self {
            Self::Number(number) => number,
            Self::Share(share) => (share * n as f64).round() as usize,
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Share(share) => write!(f, "{share:?}"),
        }
    }
}

/// `[fine_tune]`: training of what is left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FineTuneConfig {
    /// Passes through the images that channels were judged on; 0 for none.
    pub epochs: usize,
    /// Learning rate of the first step; it falls to 0 along a cosine.
    pub rate: f64,
    /// Images of a step.
    pub batch: usize,
    pub normalisation: Norms,
}

/// What batch norms normalise with while a network is fine-tuned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Norms {
    /// The stored moments, which stay.
    #[default]
    Stored,
    /// The batch's own moments; the stored ones follow.
    Batch,
}

/// `[connections]`: weights that become 0.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectionsConfig {
    /// Share of the weights of convolutions and linear layers, the smallest first.
    pub share: Option<f64>,
    pub reach: Reach,
}

/// `[codebook]`: weights that share values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CodebookConfig {
    /// Bits of a weight: a layer has 2^bits different ones.
    pub bits: Option<u32>,
    /// Bits of the number of zeros between two weights.
    pub index_bits: u32,
    pub clustering: Clustering,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            command: "compress".into(),
            seed: 1,
            network: NetworkConfig::default(),
            images: None,
            test_images: None,
            test_share: 0.5,
            labels: None,
            classes: None,
            resize: Resize::default(),
            targets: TargetsConfig::default(),
            outputs: vec![],
            prune: PruneConfig::default(),
            fine_tune: FineTuneConfig::default(),
            connections: ConnectionsConfig::default(),
            codebook: CodebookConfig::default(),
            batch: 16,
            machine: Machine::default(),
        }
    }
}

impl Default for PruneConfig {
    fn default() -> Self {
        Self {
            by: None,
            layers: vec![],
            scope: Scope::Layer,
            keep: None,
            max_drop: None,
            at_once: None,
            minimum: 3,
            share: 0.9,
        }
    }
}

impl Default for FineTuneConfig {
    fn default() -> Self {
        Self { epochs: 0, rate: 1e-4, batch: 32, normalisation: Norms::Stored }
    }
}

impl Default for CodebookConfig {
    fn default() -> Self {
        Self { bits: None, index_bits: 8, clustering: Clustering::Linear }
    }
}

impl Config {
    /// Checks what can be checked without the model.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the option.
    pub fn check(&self) -> Result<()> {
        if self.images.is_none() {
            let hint = "give images that the network is judged on; half of them are kept for the reported scores";
            return Err(Error::invalid("images", "images", "none", hint));
        }
        self.check_pruning()?;
        if self.labels.is_some() && !self.targets.files.is_empty() {
            let hint = "the score is one or the other: leave one out";
            return Err(Error::invalid("labels", "labels or responses", "both", hint));
        }
        if self.prune.by.is_none() && self.connections.share.is_none() && self.codebook.bits.is_none() {
            let hint =
                "say how: channels (`prune.by`), connections (`connections.share`), shared weights (`codebook.bits`)";
            return Err(Error::invalid("prune.by", "something that makes the network smaller", "nothing", hint));
        }
        within("test_share", self.test_share, TINY, 1.0 - TINY)?;
        within("batch", self.batch, 1, limits::IMAGES)?;
        within("fine_tune.epochs", self.fine_tune.epochs, 0, limits::STEPS)?;
        within("fine_tune.rate", self.fine_tune.rate, TINY, 1.0)?;
        within("fine_tune.batch", self.fine_tune.batch, 1, limits::IMAGES)?;
        if self.fine_tune.epochs > 0 && self.prune.by.is_none() {
            let hint = "connections that were pruned do not stay 0 while weights are trained";
            let expected = "channels that were pruned before (`prune.by`)";
            return Err(Error::invalid("fine_tune.epochs", expected, "none", hint));
        }
        self.connections.share.map_or(Ok(()), |share| within("connections.share", share, 0.0, 1.0))?;
        self.codebook.bits.map_or(Ok(()), |bits| within("codebook.bits", bits, 1, 16))?;
        within("codebook.index_bits", self.codebook.index_bits, 1, 16)
    }

    fn check_pruning(&self) -> Result<()> {
        let prune = &self.prune;
        within("prune.minimum", prune.minimum, 1, limits::IMAGES)?;
        within("prune.share", prune.share, 0.0, 1.0)?;
        prune.max_drop.map_or(Ok(()), |drop| within("prune.max_drop", drop, 0.0, limits::NUMBER))?;
        for (key, amount) in [("prune.keep", prune.keep), ("prune.at_once", prune.at_once)] {
            match amount {
                Some(Amount::Share(share)) => within(key, share, 0.0, 1.0)?,
                Some(Amount::Number(n)) => within(key, n, 1, limits::STEPS)?,
                None => {}
            }
        }
        let Some(by) = prune.by else {
            let given = [prune.keep.is_some(), prune.max_drop.is_some(), !prune.layers.is_empty()];
            let key = ["prune.keep", "prune.max_drop", "prune.layers"].into_iter().zip(given).find(|(_, given)| *given);
            return key.map_or(Ok(()), |(key, _)| {
                Err(Error::invalid(
                    key,
                    "a way to judge channels beside it",
                    "none",
                    "give `prune.by`, such as car or l1",
                ))
            });
        };
        let bounded = prune.keep.is_some() || prune.max_drop.is_some();
        match by {
            By::LayerwiseVariance if bounded => {
                let hint = "it stops where `prune.share` of the next layer's variance is left: leave it out";
                Err(Error::invalid("prune.keep", "nothing beside layerwise-variance", "another end", hint))
            }
            By::LayerwiseVariance => Ok(()),
            _ if bounded => Ok(()),
            _ => {
                let hint = "say how many channels stay, or how far the score may fall (`prune.max_drop`)";
                Err(Error::invalid("prune.keep", "an end of pruning", "none", hint))
            }
        }
    }
}
