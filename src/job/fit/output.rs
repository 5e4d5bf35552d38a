//! Files of a run.

use super::config::ScoresConfig;
use super::fitting::Bench;
use super::plan::Plan;
use super::results::{Fit, Permutations};
use super::run::Outcome;
use super::score::{self, Ceilings};
use super::tables::Tables;
use super::{draw, keep};
use crate::encoding::features::{GaussianWindow, Reduction};
use crate::encoding::scores::FEWEST;
use crate::error::Result;
use crate::io::{npz, tsv};
use crate::job::RunDir;
use crate::job::inputs::targets::maps;
use crate::warning::Warning;
use ndarray::{Array1, Array2, Axis};

/// Writes the model, scores, maps and figures.
///
/// # Errors
/// What fitting weights and writing say.
pub fn write(
    plan: &Plan,
    (bench, tables): (&Bench<'_>, &Tables<'_>),
    outcome: &Outcome,
    (fit, ceilings): (&Fit, Option<&Ceilings>),
    run: &mut RunDir,
) -> Result<()> {
    warn(fit, run);
    if let Some(warning) = few_permutations(plan, fit) {
        run.warn(warning);
    }
    keep::model(plan, bench, tables, outcome, &run.file("arrays/model.safetensors"))?;
    let rows = TargetRows { plan, outcome, ceilings };
    tsv::write(&run.file("arrays/scores.tsv"), &rows.table())?;
    arrays(plan, outcome, run)?;
    leakage(fit, run)?;
    let (names, values) = rows.maps();
    maps::write(&plan.samples.place, plan.samples.space, (&run.file("arrays"), "scores"), &names, values.view())?;
    draw::all(plan, outcome, fit, ceilings, run)
}

/// What the user should know before trusting the fit.
fn warn(fit: &Fit, run: &mut RunDir) {
    let edges = fit.alphas.at_lower_edge + fit.alphas.at_upper_edge;
    if edges > 0 {
        let text = format!(
            "{edges} penalties lie at an edge of their grid even after it was extended ({} lower, {} upper): {}",
            fit.alphas.at_lower_edge,
            fit.alphas.at_upper_edge,
            if fit.alphas.at_upper_edge > fit.alphas.at_lower_edge {
                "most of these targets cannot be predicted by these features"
            } else {
                "give `ridge.alphas` smaller penalties, or raise `ridge.max_extensions`"
            }
        );
        run.warn(Warning::Note { text });
    }
    if fit.n_constant_tested > 0 {
        let text = format!(
            "{} targets vary over the training samples but not over the held-out ones: they score 0 (state `constant_tested`)",
            fit.n_constant_tested
        );
        run.warn(Warning::Note { text });
    }
    few_samples(fit).into_iter().for_each(|warning| run.warn(warning));
    if fit.scores.is_none() {
        let text = "nothing was held out (`test.by = \"none\"`): there are no scores".into();
        run.warn(Warning::Note { text });
    }
}

/// So few held-out samples have no correlation that says anything.
fn few_samples(fit: &Fit) -> Option<Warning> {
    let text = format!(
        "{} held-out samples: r needs {FEWEST} or more and is null (of 2 it is 1 or -1 whatever they are); hold out more, or all in turn (test.by = \"folds\")",
        fit.n_test
    );
    (1..FEWEST).contains(&fit.n_test).then_some(Warning::Note { text })
}

/// Permutations were fewer than asked for, and what can be significant then.
fn few_permutations(plan: &Plan, fit: &Fit) -> Option<Warning> {
    let Permutations { n, smallest_p } = fit.scores.as_ref()?.permutations?;
    let ScoresConfig { n_permutations: asked, alpha, .. } = plan.config.scores;
    let reached = (smallest_p * fit.n_targets as f64 / alpha).ceil() as usize;
    let enough = match reached <= fit.n_targets {
        true => format!("unless {reached} or more of them reach it"),
        false => "at all".to_owned(),
    };
    (n < asked).then(|| Warning::Note {
        text: format!(
            "{} held-out samples can be moved in {n} ways only (scores.n_permutations = {asked}), so that no p is below {smallest_p:.2e}: of {} targets none is significant at {alpha} {enough}",
            fit.n_test, fit.n_targets
        ),
    })
}

/// One row a target.
struct TargetRows<'a> {
    plan: &'a Plan,
    outcome: &'a Outcome,
    ceilings: Option<&'a Ceilings>,
}

impl TargetRows<'_> {
    fn regions(&self) -> Vec<Vec<&str>> {
        let mut of = vec![Vec::new(); self.outcome.best.len()];
        for (name, targets) in &self.plan.samples.regions {
            targets.iter().for_each(|&t| of[t as usize].push(name.as_str()));
        }
        of
    }

    /// The window of a target, where it has one.
    fn window(&self, candidates: &[GaussianWindow], t: usize) -> Option<GaussianWindow> {
        let windows = self.outcome.models[self.outcome.best[t]?].last.windows.as_ref()?;
        candidates.get(windows[t]).copied()
    }

    fn candidates(&self) -> Vec<GaussianWindow> {
        match &self.plan.config.stimuli.reduction {
            Reduction::RfPooled(grid) => grid.candidates().unwrap_or_default(),
            _ => vec![],
        }
    }

    fn table(&self) -> tsv::Table {
        let header = [
            "target",
            "region",
            "state",
            "layer",
            "alpha",
            "cv_score",
            "r",
            "r2",
            "r2_er",
            "feve",
            "p",
            "q",
            "ceiling_r",
            "reliability",
            "snr",
            "fev",
            "x_deg",
            "y_deg",
            "sd_deg",
        ];
        let mut table = tsv::Table::new(header);
        let (regions, candidates) = (self.regions(), self.candidates());
        let n_a = || "n/a".to_owned();
        for (t, name) in self.plan.samples.targets.iter().enumerate() {
            let best = self.outcome.best[t];
            let state = self.outcome.states[t].name().to_owned();
            let mut row = vec![name.clone(), regions[t].join(","), state];
            if row[1].is_empty() {
                row[1] = n_a();
            }
            row.push(best.map_or_else(n_a, |m| self.plan.models[m].name.clone()));
            row.push(tsv::field(best.map_or(f64::NAN, |m| self.outcome.models[m].last.alphas[t])));
            row.push(tsv::field(self.outcome.cv_scores[t]));
            let scores = self.outcome.scores.as_ref();
            let score = |of: &dyn Fn(&score::TargetScores) -> Option<f64>| scores.and_then(of).unwrap_or(f64::NAN);
            row.extend(
                [
                    score(&|s| Some(s.r.values[t])),
                    score(&|s| Some(s.r2.values[t])),
                    score(&|s| s.corrected.as_ref().map(|c| c[0][t])),
                    score(&|s| s.corrected.as_ref().map(|c| c[1][t])),
                    score(&|s| s.tested.as_ref().map(|tested| tested.p[t])),
                    score(&|s| s.tested.as_ref().map(|tested| tested.q[t])),
                ]
                .map(tsv::field),
            );
            let ceiling = |of: fn(&Ceilings) -> &Vec<f64>| self.ceilings.map_or(f64::NAN, |c| of(c)[t]);
            row.extend(
                [ceiling(|c| &c.r), ceiling(|c| &c.reliability), ceiling(|c| &c.snr), ceiling(|c| &c.fev)]
                    .map(tsv::field),
            );
            let window = self.window(&candidates, t);
            let degrees = |of: fn(&GaussianWindow) -> f64| tsv::field(window.as_ref().map_or(f64::NAN, of));
            row.extend([degrees(|w| w.x_deg), degrees(|w| w.y_deg), degrees(|w| w.sd_deg)]);
            table.push(row);
        }
        table
    }

    /// Maps of targets and their names.
    fn maps(&self) -> (Vec<&'static str>, Array2<f32>) {
        let n = self.outcome.best.len();
        let mut all: Vec<(&str, Vec<f64>)> = Vec::new();
        if let Some(scores) = &self.outcome.scores {
            all.push(("r", scores.r.values.clone()));
            all.push(("r2", scores.r2.values.clone()));
            if let Some([er, feve]) = &scores.corrected {
                all.push(("r2er", er.clone()));
                all.push(("feve", feve.clone()));
            }
            if let Some(tested) = &scores.tested {
                all.push(("q", tested.q.clone()));
            }
        }
        if let Some(ceilings) = self.ceilings {
            all.push(("ceiling", ceilings.r.clone()));
        }
        if self.plan.models.len() > 1 {
            let number = |m: &Option<usize>| m.map_or(0.0, |m| m as f64 + 1.0);
            all.push(("layer", self.outcome.best.iter().map(number).collect()));
        }
        let candidates = self.candidates();
        if !candidates.is_empty() {
            let of = |value: fn(&GaussianWindow) -> f64| {
                (0..n).map(|t| self.window(&candidates, t).as_ref().map_or(f64::NAN, value)).collect()
            };
            all.push(("size", of(|w| w.sd_deg)));
            all.push(("eccentricity", of(GaussianWindow::eccentricity_deg)));
        }
        let flat: Vec<f32> = all.iter().flat_map(|(_, values)| values.iter().map(|&v| v as f32)).collect();
        let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        (names, Array2::from_shape_vec((all.len(), n), flat).expect("a number a target"))
    }
}

/// Predictions of the best models, and every model's scores.
fn arrays(plan: &Plan, outcome: &Outcome, run: &RunDir) -> Result<()> {
    let Some(test) = &outcome.tested else { return Ok(()) };
    let rows: Array1<f64> = test.indices().iter().map(|&i| i as f64).collect();
    npz::NpzWriter::new()
        .add("predictions", &outcome.predictions)
        .add("responses", &outcome.measured)
        .add("rows", &rows)
        .write(&run.file("arrays/predictions.npz"))?;
    let mut names = tsv::Table::new(["row", "stimulus"]);
    for &i in test.indices() {
        names.push([i.to_string(), plan.samples.names[i].clone()]);
    }
    tsv::write(&run.file("arrays/predictions.tsv"), &names)?;
    let mut file = npz::NpzWriter::new();
    for (model, found) in plan.models.iter().zip(&outcome.models) {
        let Some(scores) = &found.scores else { continue };
        let both = ndarray::stack![
            Axis(0),
            Array1::from(scores.r.values.clone()),
            Array1::from(scores.r2.values.clone()),
            Array1::from(found.last.cv_scores.clone())
        ];
        file = file.add(&npz::key(&model.name), &both);
    }
    file.write(&run.file("arrays/layers.npz"))
}

fn leakage(fit: &Fit, run: &RunDir) -> Result<()> {
    let mut table = tsv::Table::new(["round", "what", "n_rows", "rows", "tested"]);
    for line in &fit.leakage {
        let tested = if line.tested.is_empty() { "n/a".to_owned() } else { line.tested.clone() };
        table.push([line.round.clone(), line.what.clone(), line.n_rows.to_string(), line.rows.clone(), tested]);
    }
    tsv::write(&run.file("arrays/leakage.tsv"), &table)
}
