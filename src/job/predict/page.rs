//! What is said about the results: lines for a terminal, sections for the report.

use super::results::Results;
use crate::data::shown::line;
use crate::report::values::{entries, number, values};
use crate::report::{Figures, Page};

/// The results in a few lines.
pub fn summary(results: &Results) -> String {
    let mut lines = vec![format!("{} stimuli, {} targets predicted", results.n_stimuli, results.n_targets)];
    if let Some(scores) = &results.scores {
        let mut medians = vec![format!("r {}", number(scores.r.median)), format!("R2 {}", number(scores.r2.median))];
        medians.extend(scores.r2_er.map(|spread| format!("r2_ER {}", number(spread.median))));
        medians.extend(scores.feve.map(|spread| format!("FEVE {}", number(spread.median))));
        lines.push(format!(
            "{} stimuli and {} targets with responses, medians: {}",
            scores.n_stimuli,
            scores.n_targets,
            medians.join(", ")
        ));
        lines.extend(scores.best.iter().take(3).map(|best| format!("{:<28} r {}", line(&best.target), number(best.r))));
    }
    if let Some(found) = &results.identification {
        lines.push(format!(
            "identification: {} of measured patterns (chance {}), {} pairwise",
            number(found.of_measured),
            number(found.chance),
            number(found.pairwise)
        ));
    }
    lines.join("\n")
}

const SCATTER: &str = "Recorded against predicted responses of the best-predicted targets, a point a stimulus. On the line both are equal.";
const TOP: &str = "The images with the largest predicted responses, the largest first, as the network sees them, and those responses.";

/// Sections of the report.
pub fn page(results: &Results, page: &mut Page, figures: &mut Figures) {
    values(page, "Results", entries(results).iter());
    if figures.has("scatter") {
        page.section("Predictions and responses");
        figures.show(page, "scatter", SCATTER);
    }
    if figures.has_prefix("top_images") {
        page.section("Top images");
        figures.show_all(page, "top_images", TOP);
    }
}
