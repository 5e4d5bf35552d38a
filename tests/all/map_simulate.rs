//! The job `map --simulate`.

use crate::docs::has_rows;
use ndarray::Array2;
use orthoscope::job::map::{Config, Map, PlaceCorrection, SimulationConfig};
use orthoscope::mapping::simulate::SimulationOptions;
use orthoscope::mapping::{Dissimilarity, Residual, Statistic};
use orthoscope::rdm::files::rdms_npz;
use orthoscope::rdm::measure::rdm;
use orthoscope::rdm::{Measure, Rdm};
use orthoscope::rng;
use serde_json::Value;
use std::path::Path;

fn normal(n: usize, units: usize, item: u64) -> Array2<f64> {
    let mut draw = rng::stream(61, "simulation job test", item);
    Array2::from_shape_simple_fn((n, units), || draw.normal())
}

/// Four layers of `n` images that share a part of their variance.
fn write_set(path: &Path, n: usize, shared: f64) {
    let common = normal(n, 12, 0);
    let layer = |l: u64| {
        let patterns = (shared.sqrt() * &common + (1.0 - shared).sqrt() * normal(n, 12, l)).mapv(|v| v as f32);
        let names: Vec<String> = (1..=n).map(|i| format!("image{i:02}")).collect();
        (format!("layer{l}"), rdm(patterns.view(), Measure::Correlation, names).unwrap())
    };
    let layers: Vec<(String, Rdm)> = (1..=4).map(layer).collect();
    rdms_npz(&layers).unwrap().write(path).unwrap();
}

fn config(dir: &Path) -> Config {
    let mut config = Config::default();
    config.fingerprints.files = vec![dir.join("orthogonal.npz"), dir.join("natural.npz")];
    config.residual = Residual::SemiPartial;
    config.statistic = Statistic::Pearson;
    (config.test.n_permutations, config.test.correction, config.test.alpha) = (400, PlaceCorrection::None, 0.05);
    let brain = SimulationOptions { n_voxels: 60, n_regions: 40, n_runs: 4, snr: 0.05, seed: 0 };
    config.simulation =
        Some(SimulationConfig { repeats: vec![2, 16], seconds_per_presentation: Some(3.0), target: 0.5, brain });
    config
}

fn run(config: Config, dir: &Path, out: &str) -> orthoscope::Result<Value> {
    crate::support::results_of::<Map>(config, &dir.join(out))
}

/// 160 regions: a standard error of at most 4 %.
#[test]
fn orthogonal_sets_need_fewer_presentations() {
    let dir = tempfile::tempdir().unwrap();
    write_set(&dir.path().join("orthogonal.npz"), 16, 0.0);
    write_set(&dir.path().join("natural.npz"), 16, 0.7);
    let results = run(config(dir.path()), dir.path(), "out").unwrap();
    has_rows("map", &results);
    let sets = results["sets"].as_array().unwrap();
    let of = |images: &str, fingerprints: &str| -> &Value {
        sets.iter().find(|s| s["images"] == images && s["fingerprints"] == fingerprints).unwrap()
    };
    let at = |set: &Value, i: usize, key: &str| set["recovery"][i][key].as_f64().unwrap();
    let (synthesised, raw, residual) = (of("orthogonal", "none"), of("natural", "none"), of("natural", "semi_partial"));
    assert!(at(synthesised, 1, "accuracy") > at(synthesised, 0, "accuracy"));
    // With few presentations orthogonal fingerprints are ahead of residual ones, and those of raw
    // ones; raw natural maps overlap however long one scans.
    let exact = |set| at(set, 0, "exact");
    assert!(exact(synthesised) > exact(residual) + 0.05 && exact(residual) > exact(raw) + 0.1, "{results}");
    assert!(at(raw, 1, "false_layers") > 1.5 && at(synthesised, 1, "false_layers") < 0.5, "{results}");
    // Uncorrected at 5 %: noise lights up one layer in twenty, three other layers a region.
    assert!(at(synthesised, 0, "false_layers") < 0.4);
    assert_eq!(at(raw, 1, "minutes"), 3.0 * 16.0 * 16.0 / 60.0);
    assert!(synthesised["n_repeats_for_accuracy"].as_u64().is_some());
    for file in
        ["arrays/recovery.tsv", "figures/exact.png", "figures/accuracy.png", "figures/confusion_4.png", "report.html"]
    {
        assert!(dir.path().join("out").join(file).exists(), "{file}");
    }
    let again = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let second = again.install(|| run(config(dir.path()), dir.path(), "again")).unwrap();
    assert_eq!(second["sets"], results["sets"]);
    let mut other = config(dir.path());
    other.seed = 2;
    other.fingerprints.files.truncate(1);
    other.dissimilarity = Dissimilarity::Crossnobis;
    let crossnobis = run(other, dir.path(), "other").unwrap();
    assert!(crossnobis["sets"][0]["recovery"][1]["accuracy"].as_f64() > Some(0.5), "{crossnobis}");
}

#[test]
fn what_cannot_be_simulated_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    write_set(&dir.path().join("orthogonal.npz"), 8, 0.0);
    write_set(&dir.path().join("natural.npz"), 8, 0.7);
    let refused = |change: &dyn Fn(&mut Config), words: &str| {
        let mut config = config(dir.path());
        change(&mut config);
        let error = run(config, dir.path(), "refused").unwrap_err();
        assert!(error.to_string().contains(words) && error.exit_code() == 2, "{error}");
        assert!(!dir.path().join("refused").exists());
    };
    let simulation = |c: &mut Config, change: &dyn Fn(&mut SimulationConfig)| change(c.simulation.as_mut().unwrap());
    refused(&|c| simulation(c, &|s| s.repeats = vec![2, 0]), "numbers from 1, found [2, 0]");
    refused(&|c| simulation(c, &|s| s.brain.snr = -1.0), "simulation.brain.snr: expected a number from 0.000000001");
    refused(&|c| simulation(c, &|s| s.seconds_per_presentation = Some(0.0)), "a positive number");
    refused(&|c| c.fingerprints.files = vec!["absent.npz".into()], "absent.npz");
    refused(&|c| c.betas.files = vec!["betas.nii".into()], "one of them, found betas.files and simulation.simulate");
    refused(&|c| c.fingerprints.layers = vec!["layer1".into()], "2 layers or more");
    refused(&|c| (c.statistic, c.residual) = (Statistic::KendallTauA, Residual::None), "kendall_tau_a");
    let mut given = Rdm::new(Measure::Given, vec![0.0, 2.0, 0.0], Rdm::default_labels(3)).unwrap();
    given = given.subset(&[0, 1, 2]).unwrap();
    let path = dir.path().join("odd.npz");
    rdms_npz(&[("a".into(), given.clone()), ("b".into(), given)]).unwrap().write(&path).unwrap();
    refused(&|c| c.fingerprints.files = vec![path.clone()], "similarities that patterns can have");
}
