//! `fit`: encoding models, from features of stimuli to the responses of voxels and neurons.

mod config;
mod draw;
mod fitting;
#[cfg(feature = "cli")]
mod flags;
mod keep;
mod movies;
mod output;
mod page;
mod part;
mod plan;
mod readouts;
mod results;
mod rounds;
mod run;
mod samples;
mod score;
mod searches;
mod settle;
mod shards;
mod sources;
mod spaces;
mod summarize;
mod tables;
mod together;
mod units;
mod windows;

pub use config::{
    BandedConfig, Combine, Config, Deal, Estimator, FoldsConfig, FrameSampling, Held, RidgeConfig, RunScaling,
    ScoresConfig, StimuliConfig, TestConfig, TimeConfig,
};
pub use plan::Plan;
pub use results::{Fit, Found, Results};

use super::{Checked, Job, RunDir, Session};
use crate::error::Result;
use crate::report::{Figures, Page};
use serde_json::Value;

/// The job.
pub struct FitModels;

impl Job for FitModels {
    const NAME: &'static str = "fit";
    const ABOUT: &'static str = "Encoding models: from layers or features to the responses of voxels and neurons";
    const TITLE: &'static str = "Encoding models";

    type Config = Config;
    type Plan = Plan;
    type Results = Results;
    #[cfg(feature = "cli")]
    type Flags = flags::Flags;

    fn settle(given: &mut toml::Table) -> Result<()> {
        settle::settle(given)
    }

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
        page::page(page, results, figures);
    }
}
