//! One batch of perturbations, from its start or checkpoint to its end; with `minimal`, a bisection
//! over the radius of every image.

use super::config::{Aim, Method};
use super::plan::{BatchPlan, Item, Minimal, Plan};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::image::{Ascent, Bounded};
use crate::job::RunDir;
use crate::job::drive::record::write_image;
use crate::job::drive::{Natural, Towards, batch_file};
use crate::objective::{Drive, Goal, UnitTap, drive, margin};
use crate::progress::Progress;
use crate::synthesis::{Batch, Leave, OptimizerKind, Synthesizer};
use ndarray::{Array2, Array3, Axis};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// What all batches share.
pub struct Shared<'a> {
    pub plan: &'a Plan,
    pub natural: Option<&'a Natural>,
    /// Responses to the base images, n_bases x n_units.
    pub base: &'a Array2<f64>,
    pub run: &'a RunDir,
    pub cancel: &'a Cancel,
    pub progress: &'a Mutex<Progress>,
}

/// A perturbation after its search, as it was written.
#[derive(Debug, Clone)]
pub struct Perturbed {
    pub item: Item,
    pub unit: usize,
    pub file: PathBuf,
    /// Radius that was searched in, levels.
    pub epsilon: f64,
    /// Size of the written perturbation, levels.
    pub achieved: f64,
    /// Response (or margin) of the unquantized image.
    pub found: f64,
    pub steps: usize,
    /// With `minimal`: whether the wanted response was reached within the largest radius.
    pub reached: Option<bool>,
}

/// Bisections of the radius: the smallest is known to 1/128 of the largest.
const BISECTIONS: usize = 7;

/// Runs a batch and writes its images.
///
/// # Errors
/// [`Error::Interrupted`] after a checkpoint; whatever a step or a write says.
pub fn run_batch(shared: &Shared<'_>, index: usize) -> Result<Vec<Perturbed>> {
    let planned = &shared.plan.batches[index];
    let path = batch_file::path(&shared.run.checkpoint(), index);
    let found = match shared.plan.goal {
        None => {
            let radii: Vec<f64> = planned.items.iter().map(|i| shared.plan.config.epsilon[i.epsilon]).collect();
            let batch = shared.climb(planned, &planned.items, &radii, &[], Some(&path))?;
            let whole = |(i, radius): (usize, f64)| Searched::of(&batch, i, radius, None);
            radii.into_iter().enumerate().map(whole).collect()
        }
        Some(goal) => shared.bisect(planned, goal)?,
    };
    planned.items.iter().zip(found).map(|(item, found)| shared.export(planned, *item, found)).collect()
}

/// An image that came out of a search.
#[derive(Clone)]
struct Searched {
    pixels: Vec<f32>,
    radius: f64,
    response: f64,
    steps: usize,
    reached: Option<bool>,
}

impl Searched {
    fn of(batch: &Batch, row: usize, radius: f64, reached: Option<bool>) -> Self {
        let row = &batch.rows[row];
        Self {
            pixels: row.kept[0].to_vec(),
            radius,
            response: row.kept_response,
            steps: row.values.len().saturating_sub(1),
            reached,
        }
    }
}

impl Shared<'_> {
    /// Ascends all items inside their balls; `levels` are objective values at which an item is done
    /// (none: all steps).
    fn climb(
        &self,
        planned: &BatchPlan,
        items: &[Item],
        radii: &[f64],
        levels: &[f64],
        file: Option<&Path>,
    ) -> Result<Batch> {
        let mut search = self.synthesizer(planned, items, radii)?;
        let start = search.start_batch();
        let mut batch = match file {
            Some(file) => batch_file::resume(file, start)?,
            None => start,
        };
        let leave = Leave { at_value: levels.to_vec() };
        while !batch.is_done() {
            if self.cancel.requested() {
                if let Some(file) = file {
                    batch_file::write(file, &batch)?;
                }
                return Err(Error::Interrupted { dir: self.run.path().to_path_buf() });
            }
            search.step_batch(&mut batch, &leave)?;
            let name = &self.plan.population.units[planned.unit].name;
            self.progress.lock().expect("no worker panics while it reports").tick(|| name.clone());
        }
        if let Some(file) = file {
            batch_file::write(file, &batch)?;
        }
        Ok(batch)
    }

    /// The smallest radius of each item at which its level is reached: the largest first, then
    /// halving.
    fn bisect(&self, planned: &BatchPlan, goal: Minimal) -> Result<Vec<Searched>> {
        let largest = self.plan.largest();
        let levels: Vec<f64> = planned.items.iter().map(|item| self.level(planned.unit, *item, goal)).collect();
        let all = vec![largest; planned.items.len()];
        let first = self.climb(planned, &planned.items, &all, &levels, None)?;
        let reached: Vec<bool> = levels.iter().zip(&first.rows).map(|(level, row)| row.kept_value >= *level).collect();
        let mut found: Vec<Searched> =
            reached.iter().enumerate().map(|(i, r)| Searched::of(&first, i, largest, Some(*r))).collect();
        let mut low = vec![0.0; planned.items.len()];
        let mut high = all;
        let open: Vec<usize> = (0..planned.items.len()).filter(|&i| reached[i]).collect();
        for _ in 0..if open.is_empty() { 0 } else { BISECTIONS } {
            let middle: Vec<f64> = open.iter().map(|&i| 0.5 * (low[i] + high[i])).collect();
            let items: Vec<Item> = open.iter().map(|&i| planned.items[i]).collect();
            let wanted: Vec<f64> = open.iter().map(|&i| levels[i]).collect();
            let batch = self.climb(planned, &items, &middle, &wanted, None)?;
            for (row, &i) in open.iter().enumerate() {
                if batch.rows[row].kept_value >= levels[i] {
                    high[i] = middle[row];
                    found[i] = Searched::of(&batch, row, middle[row], Some(true));
                } else {
                    low[i] = middle[row];
                }
            }
        }
        Ok(found)
    }

    /// The objective's value that an item has to reach.
    fn level(&self, unit: usize, item: Item, goal: Minimal) -> f64 {
        let base = self.base[(item.base, unit)];
        match goal {
            Minimal::OtherAnswer => 0.0,
            Minimal::Response(level) => item.towards.sign() * level,
            Minimal::Deviations(n) => {
                let sd = self.plan.spread(self.natural, unit).unwrap_or(f64::NAN);
                item.towards.sign() * base + n * sd
            }
        }
    }

    fn synthesizer(&self, planned: &BatchPlan, items: &[Item], radii: &[f64]) -> Result<Synthesizer> {
        let (plan, config) = (self.plan, &self.plan.config);
        let (executor, taps) = plan.population.executor(&[planned.unit], &plan.device)?;
        let chosen: Vec<usize> = items.iter().map(|i| i.base).collect();
        let bases = plan.bases.images().select(Axis(0), &chosen);
        let ascent = match config.method {
            Method::Pgd => Ascent::Scaled { sigma: config.smooth },
            Method::Fgsm => Ascent::Sign,
            Method::Adam => Ascent::Raw,
        };
        let goal = self.goal(taps[0], items);
        Ok(Synthesizer {
            param: Box::new(Bounded::new(&bases, radii.to_vec(), config.norm, ascent, config.equal)?),
            constraint: None,
            mask: None,
            views: None,
            executor,
            goal,
            optimizer: if config.method == Method::Adam { OptimizerKind::Adam } else { OptimizerKind::Gradient },
            learning_rate: config.rate(),
            steps: config.n_steps(),
            anneal: 0.0,
            tolerance: 0.0,
            item: planned.unit as u64,
            device: plan.device.clone(),
        })
    }

    fn goal(&self, unit: UnitTap, items: &[Item]) -> Goal {
        if self.plan.config.aim == Aim::Margin {
            return margin(unit.tap, items.iter().map(|i| answer(self.base, i.base)).collect());
        }
        let signs: Vec<f64> = items.iter().map(|i| i.towards.sign()).collect();
        let shape = (items.len(), 1);
        drive(Drive {
            units: vec![unit],
            linear: Array2::from_shape_vec(shape, signs).expect("one sign per item"),
            hold: Array2::zeros(shape),
            target: Array2::zeros(shape),
            words: "response up | - response down".into(),
        })
    }

    /// Rounds a perturbed image within its budget, and writes it.
    fn export(&self, planned: &BatchPlan, item: Item, found: Searched) -> Result<Perturbed> {
        let plan = self.plan;
        let base = plan.base_bytes.index_axis(Axis(0), item.base);
        let bytes: Vec<u8> = base.iter().copied().collect();
        let rounded = plan.config.norm.round(&found.pixels, &bytes, found.radius);
        let differences = rounded.iter().zip(&bytes).map(|(&x, &b)| f64::from(x) - f64::from(b));
        let achieved = plan.config.norm.of(differences);
        let image = Array3::from_shape_vec(base.raw_dim(), rounded).expect("as many values as the base");
        let file = PathBuf::from("images").join(format!("{}.png", name(plan, planned.unit, item)));
        write_image(&self.run.file(&file), image.view())?;
        Ok(Perturbed {
            item,
            unit: planned.unit,
            file,
            epsilon: found.radius,
            achieved,
            found: found.response,
            steps: found.steps,
            reached: found.reached,
        })
    }
}

/// The class with the largest score.
pub fn answer(scores: &Array2<f64>, image: usize) -> usize {
    let row = scores.row(image);
    (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]).then(b.cmp(&a))).unwrap_or(0)
}

/// Largest other score minus the label's.
pub fn margin_of(scores: &Array2<f64>, image: usize, label: usize) -> f64 {
    let row = scores.row(image);
    let rival = row.iter().enumerate().filter(|(j, _)| *j != label).map(|(_, &z)| z).fold(f64::NEG_INFINITY, f64::max);
    rival - row[label]
}

/// `IMAGE_UNIT_up`, with the radius where there are several.
fn name(plan: &Plan, unit: usize, item: Item) -> String {
    let way = if item.towards == Towards::Max { "up" } else { "down" };
    let radius = if plan.n_epsilon() > 1 { format!("_{}", plan.config.epsilon[item.epsilon]) } else { String::new() };
    format!("{}_{way}{radius}", plan.file(item.base, unit))
}
