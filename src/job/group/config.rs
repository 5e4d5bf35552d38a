//! Configuration of `orthoscope group`.

use super::chance::Chance;
use crate::error::{Error, Result};
use crate::job::brain::maps::check_prefix;
use crate::job::limits::{self, within};
use crate::math::permutation::Tail;
use crate::stats::correction::Family;
use crate::stats::group::GroupOptions;
use crate::stats::neighbours::Connectivity;
use crate::stats::tfce::{Heights, Tfce};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Configuration of `orthoscope group`.
///
/// | field | default | meaning |
/// |---|---|---|
/// | `maps.subjects` | | one entry a subject: a run directory of `map` (all its layers), or a 3-D NIfTI; or one 4-D NIfTI |
/// | `maps.against` | none | the same subjects once more: their difference is tested |
/// | `maps.zeros` | missing; data for runs of `map` | missing: 0, or what else fills the outside of a map, is no value of that subject; data: it is |
/// | `test.generalise` | subjects | subjects, images, both: what else would show the result |
/// | `test.tail` | greater; two_sided for a difference | which deviations from zero count |
/// | `test.correction` | tfce | tfce, max_t, cluster_mass, cluster_size, fdr, none |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Always `group`.
    pub command: String,
    pub seed: u64,
    pub maps: MapsConfig,
    pub test: TestConfig,
}

/// Exponents of TFCE: 0.5 to 2 are usual.
const MOST_EXPONENT: f64 = 10.0;

/// Where the subjects' maps are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MapsConfig {
    pub subjects: Vec<PathBuf>,
    /// The same subjects in the same order, under another condition.
    pub against: Vec<PathBuf>,
    /// The statistic of the maps in run directories; the one that `map` compared with where it is
    /// absent.
    pub stat: Option<String>,
    /// Layers of run directories to test; all where it is empty.
    pub layers: Vec<String>,
    /// What single maps are called.
    pub name: Option<String>,
    /// Fisher's z before anything else; where it is absent, of correlations in run directories.
    pub fisher_z: Option<bool>,
    /// What the maps are on average where there is nothing, a number or an image: taken off before
    /// signs are flipped. Where it is absent, what the sidecars of run directories say, and 0 of
    /// files.
    pub null: Option<Chance>,
    /// Voxels that take part; those with a value in enough subjects where it is absent.
    pub mask: Option<PathBuf>,
    /// Fewest subjects with a value; all where it is absent.
    pub min_subjects: Option<usize>,
    /// What a 0 is where other subjects have a value; where it is absent, missing in files, and
    /// data in runs of `map`, which write NaN where there is no value.
    pub zeros: Option<Zeros>,
    /// Image behind the maps; the mean map's mask where it is absent.
    pub background: Option<PathBuf>,
    /// In front of the names of the maps, as in `task-images_space-MNI152NLin2009cAsym`.
    pub prefix: String,
    /// Smallest cluster of the table, in voxels.
    pub min_cluster: usize,
}

impl Default for MapsConfig {
    fn default() -> Self {
        Self {
            subjects: vec![],
            against: vec![],
            stat: None,
            layers: vec![],
            name: None,
            fisher_z: None,
            null: None,
            mask: None,
            min_subjects: None,
            background: None,
            prefix: String::new(),
            zeros: None,
            min_cluster: 1,
        }
    }
}

/// What single numbers that a map repeats are, 0 above all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Zeros {
    /// No value of that subject, except in maps of levels (counts, thresholds); see
    /// [`crate::data::Background`].
    Missing,
    /// Values, unless they are 0 in all subjects.
    Data,
}

/// How the group is tested.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TestConfig {
    /// To what the result generalises: what is random in the test.
    pub generalise: Generalise,
    pub tail: Option<Tail>,
    /// Sign flips; all of them where 2^n_subjects is not more. Relabellings are as many as all
    /// subjects' maps kept.
    pub n_permutations: usize,
    /// Cluster-forming threshold, as the p of one voxel.
    pub cluster_p: f64,
    pub connectivity: Connectivity,
    pub tfce: Tfce,
    pub correction: GroupCorrection,
    /// What is corrected for together: the voxels of all layers, or of each.
    pub family: Family,
    pub alpha: f64,
    /// Coverage of the intervals of the means.
    pub level: f64,
}

impl Default for TestConfig {
    fn default() -> Self {
        let tested = GroupOptions::default();
        Self {
            generalise: Generalise::default(),
            tail: None,
            n_permutations: tested.n_permutations,
            cluster_p: tested.cluster_p.unwrap_or_default(),
            connectivity: Connectivity::default(),
            tfce: tested.tfce.unwrap_or_default(),
            correction: GroupCorrection::default(),
            family: Family::default(),
            alpha: 0.05,
            level: 0.95,
        }
    }
}

/// To what a group's result generalises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Generalise {
    /// Other subjects who see these images, by sign flips.
    #[default]
    Subjects,
    /// Other images, seen by these subjects: conditions are relabelled, alike in all subjects.
    Images,
    /// Other subjects who see other images.
    Both,
}

impl Generalise {
    /// What a significant result says.
    pub fn claim(self) -> &'static str {
        match self {
            Self::Subjects => {
                "Other subjects who see these images would show it. Not that other images would: what these images share with a layer by accident is in all subjects and counts as an effect (`--generalise both` takes it as chance)."
            }
            Self::Images => {
                "Other images, seen by these subjects, would show it. Not that other subjects would: one of them may carry the mean."
            }
            Self::Both => {
                "Other subjects who see other images would show it: it is larger than what the variation over images and over subjects gives together."
            }
        }
    }
}

/// Correction for the number of voxels, over all layers or within each ([`Family`]): what is called
/// significant, wins and overlaps. The maps of all corrections are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupCorrection {
    /// p of each voxel by itself.
    None,
    /// False discovery rate (Benjamini and Hochberg 1995).
    Fdr,
    /// Family-wise error by the largest t.
    MaxT,
    /// Family-wise error by the largest cluster's size.
    ClusterSize,
    /// Family-wise error by the largest cluster's mass.
    ClusterMass,
    /// Family-wise error by the largest TFCE.
    #[default]
    Tfce,
}

impl Default for Config {
    fn default() -> Self {
        Self { command: "group".into(), seed: 1, maps: MapsConfig::default(), test: TestConfig::default() }
    }
}

impl Config {
    /// Which deviations count: those from zero upwards, or for a difference both.
    pub fn tail(&self) -> Tail {
        let usual = if self.maps.against.is_empty() { Tail::Greater } else { Tail::TwoSided };
        self.test.tail.unwrap_or(usual)
    }

    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn check(&self) -> Result<()> {
        let bad = |at: &str, expected: &str, found: String, hint: &str| Err(Error::invalid(at, expected, found, hint));
        let (maps, test) = (&self.maps, &self.test);
        if maps.subjects.is_empty() {
            let hint = "run directories of `orthoscope map`, or NIfTI files, one a subject";
            return bad("maps.subjects", "maps of the subjects", "none".into(), hint);
        }
        if !maps.against.is_empty() && maps.against.len() != maps.subjects.len() {
            let found = format!("{} and {}", maps.subjects.len(), maps.against.len());
            return bad("maps.against", "the same subjects in the same order as `maps.subjects`", found, "");
        }
        if test.generalise != Generalise::Subjects
            && !(maps.against.is_empty() && maps.subjects.iter().all(|p| p.is_dir()))
        {
            let expected = "run directories of `map`, and nothing to compare them with";
            let hint = "relabelled conditions show what chance gives of one set of maps: that nothing is there, not that two sets are alike";
            return bad("test.generalise", expected, "other maps, or `maps.against`".into(), hint);
        }
        for (at, p) in [("test.alpha", test.alpha), ("test.level", test.level)] {
            if !(p > 0.0 && p < 1.0) {
                return bad(at, "a number between 0 and 1", p.to_string(), "");
            }
        }
        if test.n_permutations == 0 {
            return bad("test.n_permutations", "1 or more sign flips", "0".into(), "5000 are usual");
        }
        within("test.n_permutations", test.n_permutations, 1, limits::FLIPS)?;
        within("test.tfce.extent", test.tfce.extent, 0.0, MOST_EXPONENT)?;
        within("test.tfce.height", test.tfce.height, 0.0, MOST_EXPONENT)?;
        if let Heights::Dh(dh) = test.tfce.heights {
            within("test.tfce.heights.dh", dh, limits::TINY, limits::NUMBER)?;
        }
        check_prefix(&maps.prefix)?;
        Ok(())
    }
}
