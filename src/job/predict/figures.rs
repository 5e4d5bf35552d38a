//! Figures of `predict`.

use super::RunDir;
use super::plan::Plan;
use super::scores::Table;
use crate::data::StimulusSource;
use crate::error::Result;
use crate::image::quantize::quantize;
use crate::report::figures::{self, MosaicCell, MosaicRow, Point, ScatterOptions, response_caption};
use ndarray::{Array2, Array3, Axis};

/// Points of a target in the scatter.
const POINTS: usize = 400;

/// Draws what there is to draw.
pub fn draw(plan: &Plan, run: &RunDir, predictions: &Array2<f32>, table: Option<&Table>) -> Result<()> {
    if let Some(table) = table {
        scatter(plan, run, table)?;
    }
    let shown: Vec<usize> = match table {
        Some(table) => table.order.iter().map(|&i| table.targets[i]).collect(),
        None => (0..plan.model.targets.len()).collect(),
    };
    let finite = |t: &usize| predictions.column(*t).iter().all(|v| v.is_finite());
    let shown: Vec<usize> = shown.into_iter().filter(finite).take(plan.config.n_best).collect();
    if let Some(images) = plan.images.as_ref().filter(|_| !shown.is_empty() && plan.config.n_top > 0) {
        top(plan, run, predictions, images, &shown)?;
    }
    Ok(())
}

/// Predictions and responses of the best-predicted targets.
fn scatter(plan: &Plan, run: &RunDir, table: &Table) -> Result<()> {
    let mut points = Vec::new();
    for &column in table.order.iter().take(plan.config.n_best) {
        let name = &plan.model.targets[table.targets[column]];
        let pairs = table.predicted.column(column).into_iter().zip(table.measured.column(column)).take(POINTS);
        for (&x, &y) in pairs.filter(|(x, y)| x.is_finite() && y.is_finite()) {
            let group = format!("{name} (r = {:.2})", table.r[column]);
            points.push(Point { label: String::new(), group, x: f64::from(x), y: f64::from(y) });
        }
    }
    if points.is_empty() {
        return Ok(());
    }
    let options = ScatterOptions {
        title: "Best-predicted targets".into(),
        x_label: "predicted response".into(),
        y_label: "recorded response".into(),
        diagonal: true,
        ..ScatterOptions::default()
    };
    figures::scatter(&points, &run.file("figures/scatter"), &options)
}

/// The images with the largest predicted responses of every shown target.
fn top(
    plan: &Plan,
    run: &RunDir,
    predictions: &Array2<f32>,
    images: &dyn StimulusSource,
    shown: &[usize],
) -> Result<()> {
    let n_top = plan.config.n_top.min(predictions.nrows());
    let mut rows = Vec::with_capacity(shown.len());
    for &target in shown {
        let column = predictions.column(target);
        let mut order: Vec<usize> = (0..column.len()).collect();
        order.sort_by(|&a, &b| column[b].total_cmp(&column[a]).then(a.cmp(&b)));
        let mut cells = Vec::with_capacity(n_top);
        for &image in &order[..n_top] {
            let picture = pixels(images, image)?;
            cells.push(Some(MosaicCell { image: picture, caption: response_caption(f64::from(column[image])) }));
        }
        rows.push(MosaicRow { label: plan.model.targets[target].clone(), cells });
    }
    let headers: Vec<String> = (1..=n_top).map(|rank| rank.to_string()).collect();
    figures::mosaic(&rows, &headers, &run.file("figures/top_images"), "Images with the largest predicted responses")
}

/// An image as the network sees it, height x width x 3.
fn pixels(images: &dyn StimulusSource, image: usize) -> Result<Array3<u8>> {
    let bytes = quantize(&images.read(image..image + 1)?);
    Ok(bytes.index_axis_move(Axis(0), 0).permuted_axes([1, 2, 0]).as_standard_layout().into_owned())
}
