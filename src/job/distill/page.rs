//! What is said about the results: lines for a terminal, sections for the report.

use super::results::{Network, Results};
use crate::data::shown::line;
use crate::report::values::{entries, number, values};
use crate::report::{Figures, Page};

/// Rows of a table of units.
const ROWS: usize = 100;

/// The results in a few lines.
pub fn summary(results: &Results) -> String {
    let mut lines = vec![format!(
        "{} units taught on {} images ({} views of each)",
        results.n_units, results.n_images, results.n_views
    )];
    let recorded = |r: Option<f64>| r.map_or(String::new(), |r| format!(", recorded r {}", number(r)));
    let medians = &results.medians;
    for (name, stage) in [("students", Some(&medians.unpruned)), ("pruned", medians.pruned.as_ref())] {
        if let Some(m) = stage {
            let sizes = format!("{} parameters, {} filters", number(m.parameters), number(m.kernels));
            lines.push(format!("{name}, medians: {sizes}, r {}{}", number(m.r), recorded(m.recorded_r)));
        }
    }
    lines.extend(medians.teacher_recorded_r.map(|r| format!("teacher, median: recorded r {}", number(r))));
    lines.join("\n")
}

const TRAINING: &str = "Correlation with the teacher on images that students never learn from, epoch by epoch.";
const FILTERS: &str = "Filters of each layer before and after pruning, medians over units.";
const SCATTER: &str = "Responses to the held-out images, in standard deviations of the teacher's.";
const RECORDED: &str =
    "Correlation with recorded responses: students over the teacher, a point a unit. On the line both are equal.";

/// Sections of the report.
pub fn page(results: &Results, page: &mut Page, figures: &mut Figures) {
    let shown = ["teacher", "n_units", "n_members", "n_images", "n_views", "n_held", "n_test", "medians", "seconds"];
    values(page, "Results", entries(results).iter().filter(|(key, _)| shown.contains(&key.as_str())));
    for (stem, title, text) in [
        ("training", "Training", TRAINING),
        ("filters", "Filters", FILTERS),
        ("scatter", "Students and teacher", SCATTER),
        ("recorded", "Recorded responses", RECORDED),
    ] {
        if figures.has(stem) {
            page.section(title);
            figures.show(page, stem, text);
        }
    }
    page.section("Units");
    let header = ["unit", "stage", "filters", "parameters", "MACs", "latency (ms)", "r", "recorded r"];
    let mut rows = Vec::new();
    for student in results.students.iter().take(ROWS) {
        let stages = [("unpruned", Some(&student.unpruned)), ("pruned", student.pruned.as_ref())];
        rows.extend(stages.into_iter().filter_map(|(stage, n)| n.map(|n| row(&student.unit, stage, n))));
    }
    page.table(&header, &rows);
    if results.students.len() > ROWS {
        page.note(format!("The first {ROWS} of {} units; all are in arrays/students.tsv.", results.students.len()));
    }
}

fn row(unit: &str, stage: &str, network: &Network) -> Vec<String> {
    let filters: Vec<String> = network.filters.iter().map(ToString::to_string).collect();
    vec![
        line(unit).into_owned(),
        stage.into(),
        filters.join(", "),
        network.parameters.to_string(),
        network.macs.to_string(),
        number(network.latency_ms),
        number(network.r),
        network.recorded.map_or("n/a".into(), |s| number(s.r)),
    ]
}
