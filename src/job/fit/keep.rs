//! x
use super::fitting::Bench;
use super::plan::Plan;
use super::run::Outcome;
use super::tables::Tables;
use crate::error::Result;
pub fn model(_: &Plan, _: &Bench<'_>, _: &Tables<'_>, _: &Outcome, _: &std::path::Path) -> Result<()> {
    Ok(())
}
