//! `compress`: a smaller network that does the same, and what it lost.

mod config;
mod curve;
mod figures;
#[cfg(feature = "cli")]
mod flags;
mod judge;
mod kernels;
mod labels;
mod output;
mod page;
mod plan;
mod prune;
mod results;
mod run;
mod sets;
mod stages;
mod subject;
mod truths;
mod tune;

pub use config::{Amount, By, CodebookConfig, Config, ConnectionsConfig, FineTuneConfig, Norms, PruneConfig};
pub use plan::Plan;
pub use results::{Layer, Ratios, Results, Similarity, Stage, Step};

use super::{Checked, Job, RunDir, Session};
use crate::error::Result;
use crate::report::{Figures, Page};
use serde_json::Value;

/// The job.
pub struct Compress;

impl Job for Compress {
    const NAME: &'static str = "compress";
    const ABOUT: &'static str = "A smaller network: channels and connections pruned, weights shared";
    const TITLE: &'static str = "A compressed network";

    type Config = Config;
    type Plan = Plan;
    type Results = Results;
    #[cfg(feature = "cli")]
    type Flags = flags::Flags;

    fn plan(config: Config) -> Result<Plan> {
        Plan::new(config)
    }

    fn checked(plan: &Plan) -> Checked<'_, Config> {
        Checked { config: &plan.config, sets: plan.sets.clone(), warnings: plan.warnings.clone() }
    }

    fn describe(plan: &Plan) -> Result<Value> {
        plan.describe()
    }

    fn execute(plan: &Plan, session: &Session, run: &mut RunDir) -> Result<Results> {
        run::execute(plan, session, run)
    }

    fn summary(results: &Results) -> String {
        page::summary(results)
    }

    fn page(results: &Results, page: &mut Page, figures: &mut Figures) {
        page::page(results, page, figures);
    }
}
