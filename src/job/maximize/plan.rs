//! Everything resolved and validated before the first minute of compute.

use super::aims::{Aims, read_aims};
use super::config::{Config, Direction, MaskKind};
use crate::data::Stimuli;
use crate::error::{Error, Result};
use crate::image::{Aperture, Constraint};
use crate::io::filename::{Part, distinct};
use crate::job::drive::population::Member;
use crate::job::drive::{Check, Population, Towards, load_beside, read_checks};
use crate::job::limits::together;
use crate::job::model;
use crate::network::NodeId;
use crate::tensor::Device;
use crate::warning::Warning;
use ndarray::{Array4, Axis};
use std::collections::BTreeMap;

/// A checked run.
pub struct Plan {
    pub config: Config,
    pub population: Population,
    /// What is optimised together: one unit, or the units of one objective.
    pub batches: Vec<BatchPlan>,
    pub towards: Vec<Towards>,
    pub natural: Option<(Stimuli, String)>,
    pub checks: Vec<Check>,
    /// Given images to start from, n_items x 3 x h x w.
    pub start: Option<Array4<f32>>,
    /// Units of the first network(s); those of `against` follow them.
    pub n_driven: usize,
    pub device: Device,
    /// Hashes of the networks and of the sets of images.
    pub sets: BTreeMap<String, String>,
    pub warnings: Vec<Warning>,
}

/// What goes into one batch.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchPlan {
    pub name: String,
    /// What it is called in the names of its images, and its array in `traces.npz`.
    pub file: String,
    pub key: String,
    /// Indices into the population's units; the first is the one that is driven.
    pub units: Vec<usize>,
    /// What each of the units should do; `None`: the one unit up or down.
    pub aims: Option<Aims>,
    /// Layer whose activations should differ between images.
    pub diversity: Option<(usize, NodeId)>,
}

impl Plan {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// [`Error::Invalid`] and whatever the readers say.
    pub fn new(config: Config) -> Result<Self> {
        config.check()?;
        let device = config.machine.device()?;
        let others = config.against.is_some() || !config.check.is_empty();
        let (mut population, warnings) =
            Population::load(&config.network.beside(others), &config.units, config.skip_bad)?;
        let n_driven = population.units.len();
        if let Some(against) = &config.against {
            let (other, _) = load_beside(against, &config.network, &config.units)?;
            population.join(other)?;
        }
        let sets: BTreeMap<String, String> =
            population.members.iter().map(|m| (format!("model {}", m.name), m.blake3.clone())).collect();
        let towards = towards(&config);
        let (height, width) = population.size();
        let sizes = [towards.len(), config.restarts, config.n_images, 3, height, width];
        together("restarts, n_images", "directions x restarts x images", &sizes)?;
        let mut plan = Self {
            config,
            population,
            batches: vec![],
            towards,
            natural: None,
            checks: vec![],
            start: None,
            n_driven,
            device,
            sets,
            warnings,
        };
        plan.batches = plan.plan_batches()?;
        plan.name_files();
        plan.read_natural()?;
        plan.read_start()?;
        plan.checks =
            read_checks(&plan.config.check, &plan.config.network, &plan.config.units, &plan.population, n_driven)?;
        for check in &plan.checks {
            let hash = |m: &Member| (format!("check {} {}", check.name, m.name), m.blake3.clone());
            plan.sets.extend(check.population.members.iter().map(hash));
        }
        plan.constraint().map_or(Ok(()), |c| c.check())?;
        plan.given_mask().map_or(Ok(()), |m| m.check())?;
        Ok(plan)
    }

    fn name_files(&mut self) {
        let names: Vec<String> = self.batches.iter().map(|batch| batch.name.clone()).collect();
        let parts = distinct(Part::Stem, &names).into_iter().zip(distinct(Part::Key, &names));
        self.batches.iter_mut().zip(parts).for_each(|(batch, (file, key))| (batch.file, batch.key) = (file, key));
    }

    fn plan_batches(&self) -> Result<Vec<BatchPlan>> {
        let layer = |member: usize| -> Result<Option<(usize, NodeId)>> {
            match &self.config.diversity_tap {
                Some(name) => self.population.members[member].graph.tap(name).map(|node| Some((member, node))),
                None => Ok(None),
            }
        };
        if let Some(path) = &self.config.population {
            let aims = read_aims(path, &self.population)?;
            let diversity = layer(self.population.units[aims.units[0]].member)?;
            return Ok(vec![BatchPlan {
                name: "population".into(),
                file: String::new(),
                key: String::new(),
                units: aims.units.clone(),
                aims: Some(aims),
                diversity,
            }]);
        }
        let n_against = self.population.units.len() - self.n_driven;
        if n_against > 1 && n_against != self.n_driven {
            let (expected, found) = (format!("1 or {} units", self.n_driven), n_against.to_string());
            return Err(Error::invalid("against", expected, found, "name its units: `against` MODEL=UNIT+UNIT"));
        }
        let planned = |u: usize| {
            let unit = &self.population.units[u];
            let rival = (n_against > 0).then(|| self.n_driven + u.min(n_against - 1));
            let aims = rival.map(|r| Aims::difference(u, r, &self.population));
            let units = std::iter::once(u).chain(rival).collect();
            let (file, key) = (String::new(), String::new());
            Ok(BatchPlan { name: unit.name.clone(), file, key, units, aims, diversity: layer(unit.member)? })
        };
        (0..self.n_driven).map(planned).collect()
    }

    fn read_natural(&mut self) -> Result<()> {
        let Some(path) = self.config.natural.clone() else { return Ok(()) };
        let (stimuli, hash, warnings) =
            model::load_images(&path, &self.population.members[0].graph, self.config.resize)?;
        if stimuli.n_images() < 2 {
            let hint = "a distribution needs more than one image";
            return Err(Error::invalid("natural", "at least 2 images", stimuli.n_images().to_string(), hint));
        }
        self.sets.insert("natural".into(), hash.clone());
        self.warnings.extend(warnings);
        self.natural = Some((stimuli, hash));
        Ok(())
    }

    /// Given images as starts: restart `r` of every direction and set begins at image `r`, again
    /// from the first when there are fewer.
    fn read_start(&mut self) -> Result<()> {
        let Some(path) = self.config.init_images.clone() else { return Ok(()) };
        let (stimuli, hash, warnings) =
            model::load_images(&path, &self.population.members[0].graph, self.config.resize)?;
        self.sets.insert("init_images".into(), hash);
        self.warnings.extend(warnings);
        let chosen: Vec<usize> = (0..self.n_items()).map(|item| self.place(item).1 % stimuli.n_images()).collect();
        self.start = Some(stimuli.images().select(Axis(0), &chosen));
        Ok(())
    }

    /// Images of one batch: directions x restarts x images of a set.
    pub fn n_items(&self) -> usize {
        self.towards.len() * self.config.restarts * self.config.n_images
    }

    /// Direction, restart and number within the set of an image of a batch.
    pub fn place(&self, item: usize) -> (usize, usize, usize) {
        let (k, rest) = (item % self.config.n_images, item / self.config.n_images);
        (rest / self.config.restarts, rest % self.config.restarts, k)
    }

    /// The constraint inside the loop, without a mask.
    pub fn constraint(&self) -> Option<Constraint> {
        let i = &self.config.image;
        i.equalise.then(|| Constraint {
            mean_luminance: i.luminance,
            rms_contrast: i.contrast,
            ..Constraint::default()
        })
    }

    /// The disc that the user gave.
    pub fn given_mask(&self) -> Option<Aperture> {
        let i = &self.config.image;
        let (height, width) = self.population.size();
        let px = i.px_per_degree.unwrap_or(1.0);
        (i.mask == MaskKind::Disc).then(|| Aperture {
            diameter: i.mask_diameter * px / height.min(width) as f64,
            edge_px: i.mask_edge,
            offset_px: (i.mask_centre[0] * px, i.mask_centre[1] * px),
            background: i.luminance,
        })
    }
}

fn towards(config: &Config) -> Vec<Towards> {
    if config.population.is_some() {
        return vec![Towards::Objective];
    }
    if let Some(p) = config.to_percentile {
        return vec![Towards::Percentile(p)];
    }
    match config.direction {
        Direction::Max => vec![Towards::Max],
        Direction::Min => vec![Towards::Min],
        Direction::Both => vec![Towards::Max, Towards::Min],
    }
}
