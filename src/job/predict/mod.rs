//! `predict`: responses that a fitted encoding model predicts to any stimuli, scored where
//! responses were recorded.

mod config;
mod figures;
#[cfg(feature = "cli")]
mod flags;
mod output;
mod page;
mod plan;
mod results;
mod run;
mod scores;

pub use config::Config;
pub use plan::Plan;
pub use results::{Best, Results, Scored, Spread};

use super::{Checked, Job, RunDir, Session};
use crate::error::Result;
use crate::report::{Figures, Page};
use serde_json::Value;

/// The job.
pub struct Predict;

impl Job for Predict {
    const NAME: &'static str = "predict";
    const ABOUT: &'static str = "Responses that a fitted encoding model predicts to any stimuli";
    const TITLE: &'static str = "Predicted responses";

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
