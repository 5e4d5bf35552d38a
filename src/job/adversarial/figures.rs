//! Figures of a run.

use super::config::Aim;
use super::measured::Measured;
use super::output::{base_value, changes};
use super::plan::Plan;
use crate::error::Result;
use crate::io::png;
use crate::job::drive::{Natural, Towards};
use crate::job::run_dir::RunDir;
use crate::math::stats;
use crate::report::figures::{self, CurveOptions, CurveSeries, MatrixOptions, MosaicCell, TileRow, response_caption};
use ndarray::{Array2, Array3, Axis};

/// Rows of tiles.
const TILES: usize = 12;

/// Draws tiles, the curve over radii where there are several, and a classifier's success.
///
/// # Errors
/// [`crate::Error::Io`].
pub fn draw(
    plan: &Plan,
    run: &RunDir,
    measured: &[Measured],
    base: &Array2<f64>,
    natural: Option<&Natural>,
) -> Result<()> {
    tiles(plan, run, measured, base)?;
    if plan.n_epsilon() > 1 {
        curves(plan, run, measured, base, natural)?;
        if plan.config.aim == Aim::Margin {
            success(plan, run, measured)?;
        }
    }
    Ok(())
}

/// Base, up, down and their differences: one row per image, units taken in turn, at the largest
/// radius.
fn tiles(plan: &Plan, run: &RunDir, measured: &[Measured], base: &Array2<f64>) -> Result<()> {
    let last = plan.n_epsilon() - 1;
    let ups: Vec<&Measured> =
        measured.iter().filter(|m| m.made.item.towards == Towards::Max && m.made.item.epsilon == last).collect();
    let n_units = ups.iter().map(|m| m.made.unit).max().map_or(1, |u| u + 1);
    let n_images = plan.bases.n_images();
    // Image i with unit i, i + 1, ...: both vary from row to row.
    let chosen = (0..n_images * n_units).map(|i| (i % n_images, (i + i / n_images) % n_units)).take(TILES);
    let mut rows = Vec::new();
    for (image, unit) in chosen {
        let at = |towards: Towards| {
            let same = |m: &&Measured| {
                (m.made.unit, m.made.item.base, m.made.item.epsilon, m.made.item.towards)
                    == (unit, image, last, towards)
            };
            measured.iter().find(same)
        };
        let cell = |m: &Measured| -> Result<MosaicCell> {
            Ok(MosaicCell { image: png::read(&run.file(&m.made.file))?, caption: response_caption(m.exported) })
        };
        let bytes = plan.base_bytes.index_axis(Axis(0), image).permuted_axes([1, 2, 0]);
        let shown: Array3<u8> = bytes.as_standard_layout().into_owned();
        let name =
            if plan.config.aim == Aim::Margin { String::new() } else { plan.population.units[unit].name.clone() };
        rows.push(TileRow {
            label: if name.is_empty() { plan.bases.names()[image].clone() } else { name },
            base: MosaicCell { image: shown, caption: response_caption(base_value(plan, base, image, unit)) },
            up: at(Towards::Max).map(cell).transpose()?,
            down: at(Towards::Min).map(cell).transpose()?,
        });
    }
    figures::tiles(&rows, &run.file("figures/tiles"), "")
}

/// Change of the response over the radius, with the quartiles over images and units.
fn curves(
    plan: &Plan,
    run: &RunDir,
    measured: &[Measured],
    base: &Array2<f64>,
    natural: Option<&Natural>,
) -> Result<()> {
    let kinds = [
        ("up", Towards::Max, 0),
        ("down", Towards::Min, 0),
        ("random", Towards::Max, 1),
        ("made for another unit, up", Towards::Max, 2),
        ("made for another unit, down", Towards::Min, 2),
    ];
    let mut order: Vec<usize> = (0..plan.n_epsilon()).collect();
    order.sort_by(|&a, &b| plan.config.epsilon[a].total_cmp(&plan.config.epsilon[b]));
    let series: Vec<CurveSeries> = kinds
        .into_iter()
        .map(|(name, towards, which)| {
            let (mut points, mut band) = (Vec::new(), Vec::new());
            for &e in &order {
                let here = measured.iter().filter(|m| m.made.item.epsilon == e && m.made.item.towards == towards);
                let values: Vec<f64> = here.filter_map(|m| changes(plan, m, base, natural)[which]).collect();
                if !values.is_empty() {
                    points.push((plan.config.epsilon[e], stats::median(&values)));
                    band.push((stats::quantile(&values, 0.25), stats::quantile(&values, 0.75)));
                }
            }
            CurveSeries { name: name.into(), points, band: Some(band) }
        })
        .filter(|s| !s.points.is_empty())
        .collect();
    let unit = if natural.is_some() && plan.config.aim == Aim::Response { "natural sd" } else { "response" };
    let options = CurveOptions {
        x_label: format!("{} (levels of 0 to 255)", plan.config.norm),
        y_label: format!("change from the base ({unit})"),
        references: vec![("base".into(), 0.0)],
        ..CurveOptions::default()
    };
    figures::curves(&series, &run.file("figures/epsilon"), &options)
}

/// Radii x images: the margin of the written image; above 0 the answer is another one.
fn success(plan: &Plan, run: &RunDir, measured: &[Measured]) -> Result<()> {
    let shape = (plan.n_epsilon(), plan.bases.n_images());
    let mut values = Array2::from_elem(shape, f64::NAN);
    for m in measured {
        values[(m.made.item.epsilon, m.made.item.base)] = m.exported;
    }
    let rows: Vec<String> = plan.config.epsilon.iter().map(|e| format!("{e}")).collect();
    let options = MatrixOptions {
        bar_label: "margin".into(),
        row_title: "epsilon".into(),
        column_title: "base image".into(),
        ..MatrixOptions::default()
    };
    figures::matrix(values.view(), &rows, plan.bases.names(), &run.file("figures/success"), &options)
}
