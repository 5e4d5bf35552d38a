//! How often the tests say something where there is nothing, and where there is something: the table
//! of the page on inference.
//!
//!     cargo run --release --example inference_rates [PART]
//!
//! Parts: group.

mod group;
mod rate;

use group::{Compared, Study, Tested};
use orthoscope::mapping::{Residual, Statistic};
use rate::Rate;

fn main() {
    let part = std::env::args().nth(1).unwrap_or_default();
    if part.is_empty() || part == "group" {
        of_groups();
    }
}

/// Sign flips over subjects.
fn of_groups() {
    println!("| maps of a group of 10, nothing there | values | excess over relabelling |\n|---|---|---|");
    let study = Study { n_subjects: 10, side: 6, n_layers: 4, n_relabellings: 200, n_data_sets: 200 };
    let of = |name: &str, statistic, residual, layer| {
        let compared = Compared { statistic, residual, layer };
        let rate = |tested| study.false_positives(compared, tested);
        println!("| {name} | {} | {} |", rate(Tested::Values), rate(Tested::Excess));
    };
    of("`spearman`", Statistic::Spearman, Residual::None, 0);
    of("`spearman`, `semi_partial`", Statistic::Spearman, Residual::SemiPartial, 0);
    of("`ols`", Statistic::Ols, Residual::None, 0);
    of("`spearman`, `unique_variance`", Statistic::Spearman, Residual::UniqueVariance, 0);
    of("its R^2", Statistic::Spearman, Residual::UniqueVariance, 4);
    of("`cosine`", Statistic::Cosine, Residual::None, 0);
    of("`cosine_cov`", Statistic::CosineCov, Residual::None, 0);
    of("`nnls`", Statistic::Nnls, Residual::None, 0);
}
