//! Who teaches, and what it responds.

use super::pictures::Pictures;
use super::plan::Plan;
use crate::compression::distillation::View;
use crate::error::{Error, Result};
use crate::io::sealed;
use crate::io::weights::{self, Storage};
use crate::job::drive::Population;
use crate::job::{RunDir, Session};
use crate::math::stats;
use crate::network::Weights;
use crate::progress::Progress;
use ndarray::{Array2, Axis, concatenate};
use std::collections::BTreeMap;

/// Units that are taught.
pub struct Teacher {
    pub population: Population,
    /// What each unit is called.
    pub names: Vec<String>,
    /// The units of the population whose mean each unit is: one, or one of every member of an
    /// ensemble.
    pub parts: Vec<Vec<usize>>,
}

/// What a teacher responds to some images.
#[derive(Debug, Clone)]
pub struct Responses {
    /// Images x units.
    pub mean: Array2<f64>,
    /// Standard deviation over the members of an ensemble (ddof 1), images x units.
    pub disagreement: Option<Array2<f64>>,
}

impl Teacher {
    /// The units of a population, or (`ensemble`) the means over its networks.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an ensemble of one network, or of networks with different numbers of
    /// outputs.
    pub fn new(population: Population, ensemble: bool) -> Result<Self> {
        if !ensemble {
            let names = population.units.iter().map(|u| u.name.clone()).collect();
            let parts = (0..population.units.len()).map(|u| vec![u]).collect();
            return Ok(Self { population, names, parts });
        }
        let of = |member: usize| -> Vec<usize> {
            (0..population.units.len()).filter(|&u| population.units[u].member == member).collect()
        };
        let n_members = population.members.len();
        if n_members < 2 {
            let hint = "an ensemble is a folder of models";
            return Err(Error::invalid("ensemble", "two models or more", n_members.to_string(), hint));
        }
        let first = of(0);
        if let Some(other) = (1..n_members).find(|&m| of(m).len() != first.len()) {
            let found = format!("{} of `{}`", of(other).len(), population.members[other].name);
            let expected = format!("{} outputs, as of `{}`", first.len(), population.members[0].name);
            let hint = "the models of an ensemble predict the same";
            return Err(Error::invalid("ensemble", expected, found, hint));
        }
        let parts = (0..first.len()).map(|k| (0..n_members).map(|m| of(m)[k]).collect()).collect();
        let name = |k: usize| if first.len() == 1 { "ensemble".to_owned() } else { format!("output-{k}") };
        let names = (0..first.len()).map(name).collect();
        Ok(Self { population, names, parts })
    }

    /// What single units respond as what the teacher does.
    fn joined(&self, single: &Array2<f64>) -> Responses {
        let n = single.nrows();
        let of = |image: usize, unit: usize| -> Vec<f64> {
            self.parts[unit].iter().map(|&part| single[(image, part)]).collect()
        };
        let mean = Array2::from_shape_fn((n, self.parts.len()), |(i, u)| stats::mean(&of(i, u)));
        let several = self.parts[0].len() > 1;
        let disagreement =
            several.then(|| Array2::from_shape_fn((n, self.parts.len()), |(i, u)| stats::sd(&of(i, u), 1)));
        Responses { mean, disagreement }
    }
}

/// Images of a part of the responses, which is kept by itself.
const PART: usize = 512;

/// The teacher's responses to views of images, part by part from the checkpoint or the network.
/// Teacher and students see the same views, each at its own size.
///
/// # Errors
/// As running the networks says; [`Error::Invalid`] for responses that are no numbers;
/// [`Error::Interrupted`].
pub fn respond(
    plan: &Plan,
    session: &Session,
    run: &RunDir,
    what: &str,
    pictures: &Pictures,
    seen: &[(usize, View)],
) -> Result<Responses> {
    let n_parts = seen.len().div_ceil(PART);
    let mut progress = Progress::new(&session.progress, format!("responses of the teacher, {what}"), n_parts as u64, 0);
    let mut all = Vec::new();
    for (p, part) in seen.chunks(PART).enumerate() {
        session.cancel.check()?;
        let path = run.checkpoint().join(format!("teacher-{}-{p:05}.checkpoint", what.replace(' ', "-")));
        let single = match read(&path, part.len())? {
            Some(found) => found,
            None => {
                let (images, views): (Vec<usize>, Vec<View>) = part.iter().copied().unzip();
                let shown = pictures.read(&images, &views, plan.teacher.population.size())?;
                let found = plan.teacher.population.responses(&shown, &plan.device, || ())?;
                check(plan, pictures, &images, &found)?;
                // In 32 bits, as they are kept: a resumed run sees the same.
                let found = found.mapv(|v| f64::from(v as f32));
                write(&path, &found)?;
                found
            }
        };
        all.push(single);
        progress.tick(String::new);
    }
    progress.finish();
    let views: Vec<_> = all.iter().map(|part| part.view()).collect();
    let single = concatenate(Axis(0), &views).expect("parts have the same units");
    Ok(plan.teacher.joined(&single))
}

fn check(plan: &Plan, pictures: &Pictures, images: &[usize], found: &Array2<f64>) -> Result<()> {
    let Some(((row, unit), value)) = found.indexed_iter().find(|(_, v)| !v.is_finite()) else { return Ok(()) };
    let unit = &plan.teacher.population.units[unit].name;
    let at = format!("response of `{unit}` to image `{}`", pictures.names[images[row]]);
    Err(Error::invalid(at, "a finite number", value.to_string(), "such a unit cannot teach: choose others (`units`)"))
}

const NAME: &str = "responses";

fn write(path: &std::path::Path, found: &Array2<f64>) -> Result<()> {
    let array = found.mapv(|v| v as f32).into_dyn();
    let arrays = Weights::from([(NAME.to_owned(), array)]);
    sealed::write(path, &weights::encode(&arrays, &BTreeMap::new(), Storage::F32)?)
}

fn read(path: &std::path::Path, n: usize) -> Result<Option<Array2<f64>>> {
    let Some(bytes) = sealed::read(path)? else { return Ok(None) };
    let (mut arrays, _) = weights::decode(&bytes, path)?;
    let array = arrays.remove(NAME).and_then(|a| a.into_dimensionality::<ndarray::Ix2>().ok());
    let array = array.filter(|a| a.nrows() == n).ok_or_else(|| {
        let hint = "remove the folder `checkpoint` and begin again";
        Error::corrupt(path, format!("responses to {n} images"), "others", hint)
    })?;
    Ok(Some(array.mapv(f64::from)))
}
