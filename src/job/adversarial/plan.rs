//! Everything resolved and validated before the first minute of compute.

use super::config::{Aim, Config};
use crate::data::Stimuli;
use crate::error::{Error, Result};
use crate::image::quantize;
use crate::image::resize::{self, Resize};
use crate::io::filename::{Part, distinct, distinct_of};
use crate::io::images;
use crate::job::drive::{Check, Natural, Population, Towards, read_checks};
use crate::job::limits::together;
use crate::job::manifest::hash;
use crate::job::model;
use crate::tensor::Device;
use crate::warning::Warning;
use ndarray::Array4;
use std::collections::BTreeMap;

/// A checked run.
pub struct Plan {
    pub config: Config,
    pub population: Population,
    pub bases: Stimuli,
    /// The bases' bytes, n x 3 x h x w.
    pub base_bytes: Array4<u8>,
    pub natural: Option<Stimuli>,
    pub checks: Vec<Check>,
    pub goal: Option<Minimal>,
    pub batches: Vec<BatchPlan>,
    /// What images are called by their base and unit, driven units of the first base first.
    files: Vec<String>,
    pub device: Device,
    /// Hashes of the networks and of the sets of images.
    pub sets: BTreeMap<String, String>,
    pub warnings: Vec<Warning>,
}

/// What goes into one batch: perturbations for one unit of some base images.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchPlan {
    pub unit: usize,
    pub items: Vec<Item>,
}

/// One perturbation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Item {
    pub base: usize,
    pub towards: Towards,
    /// Index into the radii.
    pub epsilon: usize,
}

/// What the smallest radius has to reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Minimal {
    Response(f64),
    /// Standard deviations of the natural responses, from the base's response in the wanted
    /// direction.
    Deviations(f64),
    OtherAnswer,
}

impl Plan {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// [`Error::Invalid`] and whatever the readers say.
    pub fn new(config: Config) -> Result<Self> {
        config.check()?;
        let device = config.machine.device()?;
        let units = if config.aim == Aim::Margin { vec!["all".to_owned()] } else { config.units.clone() };
        let (population, mut warnings) =
            Population::load(&config.network.beside(!config.check.is_empty()), &units, config.skip_bad)?;
        if config.aim == Aim::Margin && !population.of_one_layer() {
            let hint = "the answer of a classifier is the largest score of its last layer";
            return Err(Error::invalid("aim", "one network with one layer of scores", "units of several", hint));
        }
        let mut sets: BTreeMap<String, String> =
            population.members.iter().map(|m| (format!("model {}", m.name), m.blake3.clone())).collect();
        let (height, width) = population.size();
        together("batch", "images of a batch", &[config.batch, 3, height, width])?;
        let (bases, base_hash) = read_bases(&config, &population, &mut warnings)?;
        sets.insert("images".into(), base_hash);
        let n_values = bases.images().len() / bases.n_images();
        for (e, &epsilon) in config.epsilon.iter().enumerate() {
            config.norm.check(epsilon, n_values)?;
            if config.epsilon[..e].contains(&epsilon) {
                let found = format!("{epsilon} twice");
                return Err(Error::invalid("epsilon", "different radii", found, "images are called by their radius"));
            }
        }
        let natural = match &config.natural {
            Some(path) => {
                let (stimuli, hash, found) = model::load_images(path, &population.members[0].graph, Resize::default())?;
                warnings.extend(found);
                sets.insert("natural".into(), hash);
                Some(stimuli)
            }
            None => None,
        };
        let goal = minimal(&config, natural.is_some())?;
        let checks = read_checks(&config.check, &config.network, &units, &population, population.units.len())?;
        for check in &checks {
            sets.extend(
                check.population.members.iter().map(|m| (format!("check {} {}", check.name, m.name), m.blake3.clone())),
            );
        }
        let base_bytes = quantize(&bases.images().to_owned());
        let mut plan = Self {
            config,
            population,
            bases,
            base_bytes,
            natural,
            checks,
            goal,
            batches: vec![],
            files: vec![],
            device,
            sets,
            warnings,
        };
        plan.batches = plan.plan_batches();
        plan.files = plan.name_files();
        Ok(plan)
    }

    /// Units that are driven: one margin, or all units.
    pub fn n_driven(&self) -> usize {
        if self.config.aim == Aim::Margin { 1 } else { self.population.units.len() }
    }

    /// `IMAGE_UNIT` of a base image and a unit, different from those of all others.
    pub fn file(&self, base: usize, unit: usize) -> &str {
        &self.files[base * self.n_driven() + unit]
    }

    fn name_files(&self) -> Vec<String> {
        let (bases, units) = (self.bases.names(), &self.population.units[..self.n_driven()]);
        let margin = self.config.aim == Aim::Margin;
        let units: Vec<&str> = units.iter().map(|u| if margin { "margin" } else { u.name.as_str() }).collect();
        let (files, ends) = (distinct(Part::Stem, bases), distinct(Part::Stem, &units));
        let of_base = |b: usize| (0..units.len()).map(move |u| (b, u));
        // `a_b` with `c` is written as `a` with `b_c` is.
        let name =
            |(b, u): (usize, usize)| (format!("{}_{}", files[b], ends[u]), format!("{}\0{}", bases[b], units[u]));
        let all: Vec<(String, String)> = (0..bases.len()).flat_map(of_base).map(name).collect();
        distinct_of(Part::Stem, &all)
    }

    /// Directions of every perturbation.
    pub fn towards(&self) -> Vec<Towards> {
        if self.config.aim == Aim::Margin { vec![Towards::Max] } else { vec![Towards::Max, Towards::Min] }
    }

    /// Radii of every perturbation: all, or with `minimal` one that is searched.
    pub fn n_epsilon(&self) -> usize {
        if self.goal.is_some() { 1 } else { self.config.epsilon.len() }
    }

    /// The largest radius.
    pub fn largest(&self) -> f64 {
        self.config.epsilon.iter().copied().fold(0.0, f64::max)
    }

    fn plan_batches(&self) -> Vec<BatchPlan> {
        let mut batches = Vec::new();
        for unit in 0..self.n_driven() {
            let mut items = Vec::new();
            for base in 0..self.bases.n_images() {
                for towards in self.towards() {
                    items.extend((0..self.n_epsilon()).map(|epsilon| Item { base, towards, epsilon }));
                }
            }
            batches.extend(items.chunks(self.config.batch).map(|c| BatchPlan { unit, items: c.to_vec() }));
        }
        batches
    }

    /// The natural responses' spread of each unit, where there are natural images.
    pub fn spread(&self, natural: Option<&Natural>, unit: usize) -> Option<f64> {
        natural.map(|n| n.reference(unit).sd)
    }
}

/// The base images, unchanged unless the user asked for another size.
fn read_bases(config: &Config, population: &Population, warnings: &mut Vec<Warning>) -> Result<(Stimuli, String)> {
    let mut set = images::load(&config.images)?;
    if config.n_images > 0 {
        if set.names.len() < config.n_images {
            let found = set.names.len().to_string();
            return Err(Error::invalid(
                "n_images",
                format!("at most the {found} base images"),
                config.n_images.to_string(),
                "",
            ));
        }
        set.names.truncate(config.n_images);
        set.pixels.truncate(config.n_images);
    }
    let (height, width) = population.size();
    let other = set.pixels.iter().position(|p| p.dim() != (height, width, 3));
    if let (Some(i), None) = (other, config.resize) {
        let (h, w, _) = set.pixels[i].dim();
        return Err(Error::invalid(
            "images",
            format!("base images of {height} x {width} pixels, the network's input"),
            format!("`{}` of {h} x {w}", set.names[i]),
            "`resize` stretch, crop or pad brings them to size; the perturbation is then of the resized image",
        ));
    }
    let mut bytes = Vec::new();
    for (name, pixels) in set.names.iter().zip(&set.pixels) {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend(pixels.iter());
    }
    let (stimuli, found) = resize::stimuli(set, Some((height, width)), config.resize.unwrap_or_default())?;
    warnings.extend(found);
    Ok((stimuli, hash(&bytes)))
}

fn minimal(config: &Config, natural: bool) -> Result<Option<Minimal>> {
    let Some(text) = &config.minimal else { return Ok(None) };
    let bad = |expected: &str, hint: &str| Err(Error::invalid("minimal", expected, format!("`{text}`"), hint));
    let margin = config.aim == Aim::Margin;
    let found = if text == "other" {
        Minimal::OtherAnswer
    } else if let Some(sds) = text.strip_suffix("sd") {
        match sds.trim_start_matches('+').parse::<f64>() {
            Ok(v) if v > 0.0 && v.is_finite() => Minimal::Deviations(v),
            _ => return bad("a number of standard deviations above 0, as in 1sd", ""),
        }
    } else {
        match text.parse::<f64>() {
            Ok(v) if v.is_finite() => Minimal::Response(v),
            _ => return bad("a response (2.5), standard deviations (1sd) or `other`", ""),
        }
    };
    match found {
        Minimal::OtherAnswer if !margin => bad("`other` only with `aim` margin", ""),
        Minimal::Deviations(_) if !natural => bad("`natural` IMAGES with standard deviations", ""),
        Minimal::Deviations(_) | Minimal::Response(_) if margin => bad("`other` with `aim` margin", ""),
        found => Ok(Some(found)),
    }
}
