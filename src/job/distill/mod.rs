//! `distill`: small networks that learn a large one's responses, are pruned, and learn again.

mod config;
mod figures;
#[cfg(feature = "cli")]
mod flags;
mod lessons;
mod measure;
mod output;
mod page;
mod pictures;
mod plan;
mod results;
mod run;
mod teacher;

pub use config::{Config, PruneConfig, StudentConfig};
pub use plan::Plan;
pub use results::{Median, Medians, Network, Recorded, Results, Student};

use super::{Checked, Job, RunDir, Session};
use crate::error::Result;
use crate::report::{Figures, Page};
use serde_json::Value;

/// Folder of the model directories in a run directory.
const MODELS: &str = "model";

/// The job.
pub struct Distill;

impl Job for Distill {
    const NAME: &'static str = "distill";
    const ABOUT: &'static str = "Small networks that learn a large one's responses, pruned and trained again";
    const TITLE: &'static str = "Distilled networks";

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
