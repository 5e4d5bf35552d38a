//! The work of `distill`: the teacher responds, students learn, are pruned, and learn again.

use super::lessons::{Judging, Lesson, Taught};
use super::measure::{Tests, results};
use super::plan::Plan;
use super::results::Results;
use super::{RunDir, Session, figures, output};
use crate::compression::distillation::{History, Settings, Teaching, readout};
use crate::compression::importance::{Data, LayerwiseVariance};
use crate::compression::{Course, Groups, Pruner, remove};
use crate::error::{Error, Result};
use crate::io::sealed;
use crate::network::Graph;
use crate::rng::seed_of;
use std::path::PathBuf;

/// A network that learnt, in the standardised units of the teacher.
pub struct Learnt {
    pub graph: Graph,
    pub history: History,
}

/// A unit's students.
pub struct Made {
    pub unpruned: Learnt,
    /// What went from each layer, and the student without it, trained again.
    pub pruned: Option<(Course, Learnt)>,
}

/// All students.
pub struct Found {
    pub shared: Option<Learnt>,
    pub units: Vec<Made>,
}

/// Does the work, or what an earlier process left of it.
///
/// # Errors
/// As the steps say.
pub fn execute(plan: &Plan, session: &Session, run: &mut RunDir) -> Result<Results> {
    let every: Vec<usize> = (0..plan.teacher.population.units.len()).collect();
    run.computes_on(plan.teacher.population.executor(&every, &plan.device)?.0.describe())?;
    let taught = Taught::new(plan, session, run)?;
    let tests = Tests::new(plan, session, run)?;
    let work = Work { plan, session, run, taught: &taught };
    let found = work.all()?;
    let results = results(plan, session, &taught, tests.as_ref(), &found)?;
    session.cancel.check()?;
    output::write(plan, run, &taught, &found, &results)?;
    figures::draw(plan, run, &taught, &found, &results)?;
    Ok(results)
}

struct Work<'a> {
    plan: &'a Plan,
    session: &'a Session,
    run: &'a RunDir,
    taught: &'a Taught,
}

impl Work<'_> {
    fn all(&self) -> Result<Found> {
        let n = self.plan.teacher.names.len();
        let shared = match self.plan.config.student.shared {
            false => None,
            true => {
                let graph = self.plan.student(n).build("shared", self.seed("shared"))?;
                Some(self.train("shared", (0..n).collect(), graph, self.plan.config.training)?)
            }
        };
        let units = (0..n).map(|unit| self.unit(unit, shared.as_ref())).collect::<Result<_>>()?;
        Ok(Found { shared, units })
    }

    fn unit(&self, unit: usize, shared: Option<&Learnt>) -> Result<Made> {
        let (config, name) = (&self.plan.config, &self.plan.teacher.names[unit]);
        let unpruned = match shared {
            Some(core) => Learnt { graph: readout::of_output(&core.graph, unit)?, history: core.history.clone() },
            None => {
                let graph = self.plan.student(1).build(name, self.seed(name))?;
                self.train(&format!("student-{unit:04}"), vec![unit], graph, config.training)?
            }
        };
        if !config.prunes() {
            return Ok(Made { unpruned, pruned: None });
        }
        let (course, smaller) = self.prune(unit, &unpruned.graph)?;
        let again = self.train(&format!("pruned-{unit:04}"), vec![unit], smaller, config.retraining)?;
        Ok(Made { unpruned, pruned: Some((course, again)) })
    }

    fn seed(&self, name: &str) -> u64 {
        seed_of(self.plan.config.seed, name)
    }

    fn checkpoint(&self, what: &str) -> PathBuf {
        self.run.checkpoint().join(format!("{what}.checkpoint"))
    }

    fn train(&self, what: &str, units: Vec<usize>, graph: Graph, settings: Settings) -> Result<Learnt> {
        let task = match units[..] {
            [unit] => format!("{} {}", what.split('-').next().unwrap_or_default(), self.plan.teacher.names[unit]),
            _ => format!("core of {} units", units.len()),
        };
        let lessons = Lesson { plan: self.plan, taught: self.taught, units };
        let teaching = Teaching {
            lessons: &lessons,
            settings,
            seed: self.seed(what),
            device: self.plan.device.clone(),
            cancel: self.session.cancel.clone(),
            progress: self.session.progress.clone(),
        };
        let (graph, history) = teaching.train(&task, graph, &self.checkpoint(what))?;
        Ok(Learnt { graph, history })
    }

    /// From the last layer to the first, as published: each layer by what the next one loses, the
    /// last by the responses.
    fn prune(&self, unit: usize, graph: &Graph) -> Result<(Course, Graph)> {
        let options = self.plan.config.prune;
        let n = options.n_images.min(self.plan.taught.len());
        let images = Judging { plan: self.plan, n };
        let data = Data {
            device: self.plan.device.clone(),
            cancel: self.session.cancel.clone(),
            progress: self.session.progress.clone(),
            ..Data::new(&images)
        };
        let teacher = Some(self.taught.first(unit, n));
        let rule = LayerwiseVariance {
            share: options.share,
            minimum: options.minimum,
            teacher,
            ..LayerwiseVariance::new(data)
        };
        let pruner = Pruner {
            minimum: options.minimum,
            cancel: self.session.cancel.clone(),
            progress: self.session.progress.clone(),
            ..Pruner::new(graph)
        };
        let path = self.checkpoint(&format!("course-{unit:04}"));
        let mut course = match sealed::read(&path)? {
            None => Course::default(),
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|e| {
                Error::corrupt(&path, "what was pruned so far", e.to_string(), "remove the file: it is made again")
            })?,
        };
        if !course.done {
            pruner.layer_by_layer(&rule, &mut course, &mut |course| {
                sealed::write(&path, &serde_json::to_vec(course).expect("a course has string keys"))
            })?;
        }
        let groups = Groups::of(graph, &[])?;
        let smaller = remove(graph, &groups, &course.removed(), options.minimum)?;
        Ok((course, smaller))
    }
}
