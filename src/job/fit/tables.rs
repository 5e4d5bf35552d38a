//! Features of the samples, in memory or in a cache on the disk.

use super::fitting::Model;
use super::plan::Plan;
use super::rounds::Round;
use super::run::work;
use super::sources::{Layers, Source};
use super::spaces::{How, Space};
use crate::encoding::features::{Cache, Context, Identity, Table};
use crate::encoding::solver::Work;
use crate::error::Result;
use crate::job::{RunDir, Session, model};
use crate::network::{Shape, TapRequest};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// Features of the samples. What does not fit in half of the memory is read from the cache when it
/// is needed.
pub struct Tables<'a> {
    plan: &'a Plan,
    names: Vec<String>,
    kept: Vec<Option<Arc<Table>>>,
    cache: Option<(Cache, Identity)>,
    scratch: PathBuf,
    work: Work,
}

impl<'a> Tables<'a> {
    /// Extracts what is not in the cache.
    ///
    /// # Errors
    /// As extraction.
    pub fn new(plan: &'a Plan, session: &Session, run: &mut RunDir) -> Result<Self> {
        let names = plan.source.names();
        let mut tables = Self {
            plan,
            kept: vec![None; names.len()],
            names,
            cache: None,
            scratch: run.checkpoint(),
            work: work(session),
        };
        match &plan.source {
            Source::Given(given) => {
                tables.kept = given.iter().map(|(_, x)| Some(Arc::new(Table::Features(x.clone())))).collect();
            }
            Source::Layers(layers) => tables.fill(layers, run)?,
        }
        Ok(tables)
    }

    fn fill(&mut self, layers: &Layers, run: &mut RunDir) -> Result<()> {
        let requests: Vec<TapRequest> = layers.taps.iter().map(|&t| TapRequest::Activations(t)).collect();
        let executor = model::executor(&layers.graph, &requests, &self.plan.device)?.describe();
        run.computes_on(executor.clone())?;
        let own = run.features();
        let folder = self.plan.config.cache.as_ref().unwrap_or(&own);
        let identity = Identity {
            images: layers.hash.clone(),
            weights: layers.blake3.clone(),
            resize: format!("{:?}", self.plan.config.stimuli.resize),
            executor,
        };
        self.cache = Some((Cache::new(folder, None), identity));
        let extraction = layers.extraction(&layers.all(), &self.plan.config, self.plan.least_train())?;
        let bytes: u64 = extraction.taps().iter().map(|tap| tap.bytes).sum();
        let last = self.plan.rounds.last().expect("a round");
        let found = self.extracted(layers, &layers.all(), last, bytes <= (self.plan.config.memory_mb as u64) << 19)?;
        // Units that are z-scored first are other features in every round.
        let any = extraction.taps().iter().map(|tap| !tap.needs_rows());
        self.kept = found.into_iter().zip(any).map(|(table, any)| table.filter(|_| any)).collect();
        Ok(())
    }

    /// Tables of some layers; in their places, if they are to be kept.
    fn extracted(
        &self,
        layers: &Layers,
        wanted: &[usize],
        round: &Round,
        keep: bool,
    ) -> Result<Vec<Option<Arc<Table>>>> {
        let extraction = layers.extraction(wanted, &self.plan.config, self.plan.least_train())?;
        let context = Context {
            cache: self.cache.as_ref().map(|(cache, identity)| (cache, identity)),
            work: self.work.clone(),
            device: self.plan.device.clone(),
            train: Some(&round.train),
            ..Context::new(&self.scratch)
        };
        let mut found = vec![None; self.names.len()];
        let make = &mut |taps: &[TapRequest]| model::executor(&layers.graph, taps, &self.plan.device);
        extraction.run(make, &layers.images, &context, &mut |i, table| {
            if keep {
                found[wanted[i]] = Some(Arc::new(table));
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// The sets of features of a model in a round.
    ///
    /// # Errors
    /// As extraction, where they are not in memory.
    pub fn spaces<'s>(&'s self, model: &Model, round: &Round, how: &'s How<'s>) -> Result<Vec<Space<'s>>> {
        let missing: Vec<usize> = model.spaces.iter().copied().filter(|&s| self.kept[s].is_none()).collect();
        let read = match &self.plan.source {
            Source::Layers(layers) if !missing.is_empty() => self.extracted(layers, &missing, round, true)?,
            _ => vec![None; self.names.len()],
        };
        let space = |&s: &usize| Space {
            name: &self.names[s],
            table: self.kept[s].clone().or_else(|| read[s].clone()).expect("in memory or extracted"),
            how,
            shape: match &self.plan.source {
                Source::Layers(layers) => layers.graph.node(layers.taps[s]).shape,
                Source::Given(given) => Shape::new(given[s].1.ncols(), 1, 1),
            },
            first: OnceLock::new(),
        };
        Ok(model.spaces.iter().map(space).collect())
    }
}
