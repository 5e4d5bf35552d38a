//! The job from its plan to its results.

use super::fitting::{Bench, Model};
use super::part::Part;
use super::plan::Plan;
use super::results::{Fit, Found, LeakageLine, Results, Sliced};
use super::rounds::Round;
use super::score::{self, TargetScores};
use super::tables::Tables;
use super::{output, summarize};
use crate::encoding::TargetState;
use crate::encoding::folds::{Leakage, Rows};
use crate::encoding::solver::Work;
use crate::error::Result;
use crate::job::machine::peak_rss_mb;
use crate::job::{RunDir, Session};
use ndarray::Array2;

/// Everything that a run found out, before it is summed up.
pub struct Outcome {
    /// Of every model on the tested rows.
    pub models: Vec<ModelOutcome>,
    /// The best model of each target, by the inner folds of the last round; none where there is
    /// nothing to fit.
    pub best: Vec<Option<usize>>,
    /// Tested rows, ascending.
    pub tested: Option<Rows>,
    /// Of the best models: tested rows x targets.
    pub predictions: Array2<f32>,
    pub scores: Option<TargetScores>,
    /// Inner folds' scores of the best models, averaged over rounds.
    pub cv_scores: Vec<f64>,
    pub leakage: Vec<LeakageLine>,
}

/// What came of one model.
pub struct ModelOutcome {
    pub n_features: usize,
    pub scores: Option<TargetScores>,
    pub identification: Option<crate::encoding::identification::Identification>,
    /// What every set adds to r and R2, sets x targets, averaged over rounds.
    pub shares: Option<[Array2<f64>; 2]>,
    /// Of the last round: without predictions.
    pub last: Part,
}

/// Does the work.
///
/// # Errors
/// What reading, the network, the estimators and writing say.
pub fn execute(plan: &Plan, session: &Session, run: &mut RunDir) -> Result<Results> {
    let tables = Tables::new(plan, session, run)?;
    let bench = Bench {
        config: &plan.config,
        y: plan.samples.y.view(),
        targets: plan.targets(),
        gammas: plan.gammas.clone(),
        folder: run.checkpoint(),
        work: work(session),
    };
    if let Some(shard) = plan.config.shard {
        let n_targets_fitted = super::shards::slice(plan, &bench, &tables, run)?;
        let found = Found::Shard(Sliced { shard, job: super::shards::job_hash(&plan.config), n_targets_fitted });
        return Ok(Results { found, seconds: session.seconds(), peak_rss_mb: peak_rss_mb().map(f64::round) });
    }
    let outcome = fit_all(plan, &bench, &tables)?;
    let ceilings = score::ceilings(&plan.config, &plan.samples, &plan.tested(), &bench.targets);
    let fit: Fit = summarize::fit(plan, &outcome, ceilings.as_ref())?;
    output::write(plan, (&bench, &tables), &outcome, (&fit, ceilings.as_ref()), run)?;
    Ok(Results {
        found: Found::Fit(Box::new(fit)),
        seconds: session.seconds(),
        peak_rss_mb: peak_rss_mb().map(f64::round),
    })
}

/// Who is told of the work, and who may stop it.
pub fn work(session: &Session) -> Work {
    Work { cancel: session.cancel.clone(), progress: session.progress.clone() }
}

/// All models in all rounds.
fn fit_all(plan: &Plan, bench: &Bench<'_>, tables: &Tables<'_>) -> Result<Outcome> {
    let n = plan.samples.n_targets();
    let tested = tested(plan)?;
    let mut best = Best::new(plan, n);
    let mut leakage = Vec::new();
    let mut models = Vec::new();
    for (m, model) in plan.models.iter().enumerate() {
        bench.work.cancel.check()?;
        let how = plan.how();
        let mut predictions = Array2::from_elem((plan.samples.n_samples(), n), f32::NAN);
        let mut parts = Vec::new();
        for (r, round) in plan.rounds.iter().enumerate() {
            let mut own = Leakage::default();
            let spaces = tables.spaces(model, round, &how)?;
            let part = super::shards::fit(plan, bench, (m, model), (r, round), &spaces, &mut own)?;
            if let Some(test) = &round.test {
                own.check(test)?;
                put(&mut predictions, test, &part.predictions);
            }
            leakage.extend(lines(&own, model, round));
            best.consider(m, r, round, &part);
            parts.push(part);
        }
        models.push(judged(plan, bench, &tested, &predictions, parts)?);
    }
    best.outcome(plan, bench, models, tested, leakage)
}

fn put(predictions: &mut Array2<f32>, test: &Rows, found: &Array2<f32>) {
    for (&row, from) in test.indices().iter().zip(found.rows()) {
        predictions.row_mut(row).assign(&from);
    }
}

/// The rows that some round tests.
fn tested(plan: &Plan) -> Result<Option<Rows>> {
    let rows: Vec<usize> =
        plan.rounds.iter().filter_map(|r| r.test.as_ref()).flat_map(|r| r.indices().to_vec()).collect();
    if rows.is_empty() { Ok(None) } else { Rows::new(rows, plan.samples.n_samples()).map(Some) }
}

fn lines(leakage: &Leakage, model: &Model, round: &Round) -> Vec<LeakageLine> {
    let tested = round.test.as_ref().map_or_else(String::new, ToString::to_string);
    let line = |fitted: crate::encoding::folds::Fitted| LeakageLine {
        round: round.name.clone(),
        what: format!("{}: {}", model.name, fitted.what),
        n_rows: fitted.n_rows,
        rows: fitted.rows,
        tested: tested.clone(),
    };
    leakage.report().into_iter().map(line).collect()
}

/// A model's scores on the tested rows.
fn judged(
    plan: &Plan,
    bench: &Bench<'_>,
    tested: &Option<Rows>,
    predictions: &Array2<f32>,
    mut parts: Vec<Part>,
) -> Result<ModelOutcome> {
    let (mut scores, mut identification) = (None, None);
    if let Some(test) = tested {
        let own = score::rows_of(predictions, test);
        scores = Some(score::score(&plan.samples, test, own.view(), &bench.targets)?);
        identification = summarize::identify(plan, test, &own, &usable(&parts), None)?;
    }
    let with_test: Vec<&Part> = parts.iter().filter(|p| p.shares.is_some()).collect();
    let shares = (!with_test.is_empty()).then(|| {
        [0, 1].map(|which| {
            let all = with_test.iter().filter_map(|p| p.shares.as_ref()).map(|s| s[which].clone());
            all.reduce(|a, b| a + b).expect("some") / with_test.len() as f64
        })
    });
    let mut last = parts.pop().expect("a round");
    last.predictions = Array2::zeros((0, last.n_targets()));
    Ok(ModelOutcome { n_features: last.widths.iter().sum(), scores, identification, shares, last })
}

/// Targets that every round could fit.
fn usable(parts: &[Part]) -> Vec<bool> {
    let n = parts.first().map_or(0, Part::n_targets);
    (0..n).map(|t| parts.iter().all(|p| p.states[t] == TargetState::Varies)).collect()
}

/// The best model of every target, in every round by the round's own inner folds.
struct Best {
    /// Rounds x targets.
    model: Vec<Vec<Option<usize>>>,
    cv_scores: Vec<Vec<f64>>,
    /// All samples x targets.
    predictions: Array2<f32>,
}

impl Best {
    fn new(plan: &Plan, n_targets: usize) -> Self {
        let n_rounds = plan.rounds.len();
        Self {
            model: vec![vec![None; n_targets]; n_rounds],
            cv_scores: vec![vec![f64::NEG_INFINITY; n_targets]; n_rounds],
            predictions: Array2::zeros((plan.samples.n_samples(), n_targets)),
        }
    }

    fn consider(&mut self, m: usize, r: usize, round: &Round, part: &Part) {
        for t in 0..part.n_targets() {
            let better = part.cv_scores[t] > self.cv_scores[r][t];
            // The first model predicts the mean of what cannot be fitted.
            let first = self.model[r][t].is_none() && m == 0;
            if part.states[t] == TargetState::Varies && better {
                (self.model[r][t], self.cv_scores[r][t]) = (Some(m), part.cv_scores[t]);
            } else if !first {
                continue;
            }
            let rows = round.test.as_ref().map_or(&[][..], Rows::indices);
            for (i, &row) in rows.iter().enumerate() {
                self.predictions[(row, t)] = part.predictions[(i, t)];
            }
        }
    }

    fn outcome(
        self,
        plan: &Plan,
        bench: &Bench<'_>,
        models: Vec<ModelOutcome>,
        tested: Option<Rows>,
        leakage: Vec<LeakageLine>,
    ) -> Result<Outcome> {
        let n_targets = plan.samples.n_targets();
        let of = |t: usize| {
            let own = self.cv_scores.iter().map(|scores| scores[t]).filter(|v| v.is_finite()).collect::<Vec<_>>();
            if own.is_empty() { f64::NAN } else { own.iter().sum::<f64>() / own.len() as f64 }
        };
        let mut outcome = Outcome {
            models,
            best: self.model.into_iter().next_back().expect("a round"),
            predictions: Array2::zeros((0, n_targets)),
            scores: None,
            cv_scores: (0..n_targets).map(of).collect(),
            tested,
            leakage,
        };
        if let Some(test) = &outcome.tested {
            outcome.predictions = score::rows_of(&self.predictions, test);
            let (own, range) = (outcome.predictions.view(), &bench.targets);
            let mut scores = score::score(&plan.samples, test, own, range)?;
            scores.tested = score::test(bench.config, &plan.samples, test, own, range, &bench.work)?;
            outcome.scores = Some(scores);
        }
        Ok(outcome)
    }
}
