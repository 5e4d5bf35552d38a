//! What we write is opened by NumPy and Pillow (where a Python with both is found: `$PYTHON`, else
//! `python3`).

use ndarray::{Array2, Array3};
use orthoscope::io::npz::NpzWriter;
use orthoscope::io::{json, png};
use orthoscope::rdm::files::rdms_npz;
use orthoscope::rdm::{Measure, Rdm, measure};
use orthoscope::rng;
use std::path::Path;
use std::process::{Command, Output};

fn python() -> Option<String> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let probe = Command::new(&python).args(["-c", "import numpy, PIL"]).output();
    if probe.is_ok_and(|p| p.status.success()) {
        return Some(python);
    }
    println!("skipped: {python} has no numpy and Pillow; set PYTHON to one that has");
    None
}

fn check(python: &str, run: &Path) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cross_reader.py");
    Command::new(python).arg(script).arg(run).output().unwrap()
}

fn rdm(seed: u64) -> Rdm {
    let mut rng = rng::stream(seed, "cross-reader test", 0);
    let patterns = Array2::from_shape_simple_fn((5, 40), || rng.normal() as f32);
    measure::rdm(patterns.view(), Measure::Correlation, Rdm::default_labels(5)).unwrap()
}

#[test]
fn numpy_and_pillow_read_a_run_directory() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path();
    for folder in ["images", "arrays"] {
        std::fs::create_dir(run.join(folder)).unwrap();
    }
    for i in 1..=5u8 {
        let pixels = Array3::from_shape_fn((6, 8, 3), |(y, x, c)| (y * x * 5 + c) as u8 ^ i);
        png::write(&run.join(format!("images/image{i:02}.png")), pixels.view()).unwrap();
    }
    json::write(&run.join("manifest.json"), &serde_json::json!({"status": "complete"})).unwrap();
    let layers = ["conv1", "mixed4a/relu", "fc"].iter().zip(1..).map(|(n, s)| (n.to_string(), rdm(s)));
    let layers: Vec<_> = layers.collect();
    rdms_npz(&layers).unwrap().write(&run.join("arrays/rdms.npz")).unwrap();
    let trace = Array2::<f32>::zeros((10, 2));
    NpzWriter::new()
        .add("loss", &trace)
        .add("step", &trace.mapv(|v| v as i64))
        .write(&run.join("arrays/trace.npz"))
        .unwrap();
    let good = check(&python, run);
    let text = String::from_utf8_lossy(&good.stdout);
    assert!(good.status.success(), "{text}{}", String::from_utf8_lossy(&good.stderr));
    assert!(text.contains("3 RDMs of 5 conditions") && text.contains(" 0 failures"), "{text}");

    // The script itself must be able to fail.
    let wrong = NpzWriter::new()
        .add("conv1", &ndarray::arr1(layers[0].1.values()))
        .add("fc", &ndarray::arr1(layers[2].1.values()));
    wrong.add("second_order", &Array2::<f64>::eye(2)).write(&run.join("arrays/rdms.npz")).unwrap();
    let bad = check(&python, run);
    assert!(!bad.status.success() && String::from_utf8_lossy(&bad.stderr).contains("numpy.corrcoef"));
}
