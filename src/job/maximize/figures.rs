//! Figures of a run.

use super::batch::Finished;
use super::config::Method;
use super::output::{Kept, Measured, trace};
use super::plan::Plan;
use crate::error::Result;
use crate::image::quantize;
use crate::job::drive::{Natural, Towards};
use crate::job::run_dir::RunDir;
use crate::math::stats;
use crate::report::figures::{
    self, CurveOptions, CurveSeries, MatrixOptions, MosaicCell, MosaicRow, RangeOptions, UnitRange, response_caption,
};
use crate::report::names::without_common;
use ndarray::{Array2, Array3, ArrayView3, Axis};

/// Units on one sheet of pictures, and restarts shown beside the kept image.
const MOSAIC_UNITS: usize = 36;
const MOSAIC_RESTARTS: usize = 3;
/// More units than this make one curve of medians instead of one each.
const CURVE_UNITS: usize = 6;

/// Draws the mosaic, responses against the natural distribution, specificity and traces.
///
/// # Errors
/// [`crate::Error::Io`].
pub fn draw(
    plan: &Plan,
    run: &RunDir,
    finished: &[Finished],
    measured: &Measured,
    natural: Option<&Natural>,
) -> Result<()> {
    mosaic(plan, run, finished, measured, natural)?;
    if let Some(natural) = natural {
        ranges(plan, run, measured, natural)?;
        specificity(plan, run, measured, natural)?;
    }
    if finished.is_empty() { Ok(()) } else { traces(plan, run, finished, natural) }
}

/// Names of the batches without what all of them share.
fn labels(plan: &Plan) -> Vec<String> {
    without_common(&plan.batches.iter().map(|g| g.name.clone()).collect::<Vec<_>>())
}

/// 3 x h x w bytes as h x w x 3.
fn upright(image: ArrayView3<'_, u8>) -> Array3<u8> {
    image.permuted_axes([1, 2, 0]).as_standard_layout().into_owned()
}

fn cell(image: ArrayView3<'_, u8>, response: f64) -> Option<MosaicCell> {
    Some(MosaicCell { image: upright(image), caption: response_caption(response) })
}

/// One row per unit: for each direction the best natural image, the kept images, and some restarts.
fn mosaic(
    plan: &Plan,
    run: &RunDir,
    finished: &[Finished],
    measured: &Measured,
    natural: Option<&Natural>,
) -> Result<()> {
    let n_restarts = if finished.is_empty() { 0 } else { MOSAIC_RESTARTS.min(plan.config.restarts - 1) };
    let mut headers = Vec::new();
    for towards in &plan.towards {
        if natural.is_some() {
            headers.push(natural_header(*towards).to_owned());
        }
        headers.extend((0..plan.config.n_images).map(|_| format!("kept, {}", towards.name())));
        headers.extend((0..n_restarts).map(|r| format!("restart {}", r + 1)));
    }
    let labels = labels(plan);
    let rows: Vec<MosaicRow> = (0..plan.batches.len().min(MOSAIC_UNITS))
        .map(|batch| {
            let mut cells = Vec::new();
            for (d, towards) in plan.towards.iter().enumerate() {
                cells.extend(natural.map(|n| natural_cell(plan, n, batch, *towards)));
                cells.extend((0..plan.config.n_images).map(|k| kept_cell(plan, measured, batch, *towards, k)));
                cells.extend(restarts(plan, finished, measured, batch, d, n_restarts));
            }
            MosaicRow { label: labels[batch].clone(), cells }
        })
        .collect();
    figures::mosaic(&rows, &headers, &run.file("figures/mosaic"), "")
}

fn natural_header(towards: Towards) -> &'static str {
    match towards {
        Towards::Min => "weakest natural",
        Towards::Percentile(_) => "nearest natural",
        _ => "strongest natural",
    }
}

fn natural_cell(plan: &Plan, natural: &Natural, batch: usize, towards: Towards) -> Option<MosaicCell> {
    let unit = plan.batches[batch].units[0];
    let reference = natural.reference(unit);
    let index = match towards {
        Towards::Min => reference.worst,
        Towards::Percentile(p) => {
            let column = natural.responses.column(unit);
            let off = |i: &usize| (column[*i] - reference.at(p)).abs();
            (0..column.len()).min_by(|a, b| off(a).total_cmp(&off(b))).unwrap_or(0)
        }
        _ => reference.best,
    };
    let image = quantize(&natural.image(index).to_owned().insert_axis(Axis(0)));
    cell(image.index_axis(Axis(0), 0), natural.responses[(index, unit)])
}

fn find(measured: &Measured, batch: usize, towards: Towards, number: usize) -> Option<(usize, &Kept)> {
    let same = |k: &Kept| k.batch == batch && k.towards == towards && k.number == number;
    measured.kept.iter().enumerate().find(|(_, k)| same(k))
}

fn kept_cell(plan: &Plan, measured: &Measured, batch: usize, towards: Towards, number: usize) -> Option<MosaicCell> {
    let (i, kept) = find(measured, batch, towards, number)?;
    cell(kept.image.view(), measured.own[(i, plan.batches[batch].units[0])])
}

/// The first images of the restarts that were not kept.
fn restarts(
    plan: &Plan,
    finished: &[Finished],
    measured: &Measured,
    batch: usize,
    direction: usize,
    n: usize,
) -> Vec<Option<MosaicCell>> {
    let Some(done) = finished.get(batch) else { return vec![] };
    let kept = find(measured, batch, plan.towards[direction], 0).map(|(_, k)| plan.place(k.item).1);
    let bytes = quantize(&done.images);
    let others = (0..plan.config.restarts).filter(|r| Some(*r) != kept).take(n);
    others
        .map(|restart| {
            let item = (direction * plan.config.restarts + restart) * plan.config.n_images;
            cell(bytes.index_axis(Axis(0), item), done.batch.rows[item].kept_response)
        })
        .collect()
}

/// Kept images against the natural responses of their unit, in standard deviations.
fn ranges(plan: &Plan, run: &RunDir, measured: &Measured, natural: &Natural) -> Result<()> {
    let labels = labels(plan);
    let units: Vec<UnitRange> = plan
        .batches
        .iter()
        .enumerate()
        .map(|(b, planned)| {
            let unit = planned.units[0];
            let reference = natural.reference(unit);
            let at = |p: f64| reference.z(reference.at(p));
            let marks = measured.kept.iter().enumerate().filter(|(_, k)| k.batch == b);
            UnitRange {
                name: labels[b].clone(),
                natural: Some([0.0, 25.0, 50.0, 75.0, 100.0].map(at)),
                marks: marks.map(|(i, k)| (k.towards.name(), reference.z(measured.own[(i, unit)]))).collect(),
            }
        })
        .collect();
    let options = RangeOptions {
        y_label: "response (sd of natural responses)".into(),
        sort: units.len() > 8,
        ..RangeOptions::default()
    };
    figures::ranges(&units, &run.file("figures/responses"), &options)
}

/// How every unit takes every kept image, in standard deviations of its natural responses.
fn specificity(plan: &Plan, run: &RunDir, measured: &Measured, natural: &Natural) -> Result<()> {
    let n_units = plan.population.units.len();
    if n_units < 2 {
        return Ok(());
    }
    let references: Vec<_> = (0..n_units).map(|u| natural.reference(u)).collect();
    let all: Vec<String> = plan.population.units.iter().map(|u| u.name.clone()).collect();
    let (columns, labels) = (without_common(&all), labels(plan));
    for towards in &plan.towards {
        let of: Vec<(usize, &Kept)> = measured.kept.iter().enumerate().filter(|(_, k)| k.towards == *towards).collect();
        let values = Array2::from_shape_fn((of.len(), n_units), |(r, u)| references[u].z(measured.own[(of[r].0, u)]));
        let rows: Vec<String> = of.iter().map(|(_, k)| labels[k.batch].clone()).collect();
        let options = MatrixOptions {
            bar_label: "response (sd of natural responses)".into(),
            row_title: format!("image made for ({})", towards.name()),
            column_title: "response of".into(),
            ..MatrixOptions::default()
        };
        let stem = run.file(format!("figures/specificity_{}", towards.name()));
        figures::matrix(values.view(), &rows, &columns, &stem, &options)?;
    }
    Ok(())
}

/// Responses over steps: of each unit's images, or of all units in standard deviations.
fn traces(plan: &Plan, run: &RunDir, finished: &[Finished], natural: Option<&Natural>) -> Result<()> {
    let many = finished.len() > CURVE_UNITS;
    let scaled = |g: usize, v: f64| natural.map_or(v, |n| n.reference(plan.batches[g].units[0]).z(v));
    let (mut series, labels) = (Vec::new(), labels(plan));
    for (d, towards) in plan.towards.iter().enumerate() {
        let of = |g: usize| -> Vec<Vec<f64>> {
            let table = trace(&finished[g]);
            let rows = table.outer_iter().enumerate().filter(|(item, _)| plan.place(*item).0 == d);
            rows.map(|(_, row)| row.iter().map(|&v| scaled(g, v)).collect()).collect()
        };
        if many {
            let all: Vec<Vec<f64>> = (0..finished.len()).flat_map(of).collect();
            series.push(quartiles(format!("{} units, {}", finished.len(), towards.name()), &all));
        } else {
            series.extend((0..finished.len()).map(|g| {
                let name = format!("{}, {}", labels[g], towards.name());
                quartiles(name, &of(g))
            }));
        }
    }
    let unit = if natural.is_some() { "response (natural sd)" } else { "response" };
    let options = CurveOptions {
        x_label: if plan.config.method == Method::Blocks { "blocks tried".into() } else { "step".into() },
        y_label: format!("{unit}, median, quartiles"),
        ..CurveOptions::default()
    };
    figures::curves(&series, &run.file("figures/trace"), &options)
}

/// Median over images at each step, with the quartiles as a band; images that have left do not
/// count.
fn quartiles(name: String, rows: &[Vec<f64>]) -> CurveSeries {
    let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
    let (mut points, mut band) = (Vec::new(), Vec::new());
    for step in 0..longest {
        let values: Vec<f64> = rows.iter().filter_map(|r| r.get(step)).copied().filter(|v| v.is_finite()).collect();
        if !values.is_empty() {
            points.push((step as f64, stats::median(&values)));
            band.push((stats::quantile(&values, 0.25), stats::quantile(&values, 0.75)));
        }
    }
    CurveSeries { name, points, band: Some(band) }
}
