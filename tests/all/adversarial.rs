//! The job `adversarial` as a user runs it.

use crate::docs::has_rows;
use crate::program::{Program, photographs, tiny_model};
use orthoscope::image::Norm;
use orthoscope::io::png;
use std::path::Path;

#[test]
fn perturbations_stay_in_their_budget_and_move_the_response() {
    let dir = tempfile::tempdir().unwrap();
    let (model, images) = (tiny_model(dir.path()), photographs(dir.path(), 3, 24));
    for (norm, epsilon, kind) in [(Norm::L1Mean, "4,8", "l1-mean"), (Norm::L2, "200", "l2"), (Norm::Linf, "6", "linf")]
    {
        let out = dir.path().join(kind);
        let run = Program::new("adversarial")
            .arg("--model", &model)
            .arg("--unit", "conv4:0,conv4:3")
            .arg("--images", &images);
        let run =
            run.arg("--norm", kind).arg("--epsilon", epsilon).arg("--steps", "10").arg("--out", &out).flag("--json");
        let results = run.arg("--natural", &images).run().expect_code(0).json();
        has_rows("adversarial", &results);
        let pairs = results["pairs"].as_array().unwrap();
        assert_eq!(pairs.len(), 3 * 2 * epsilon.split(',').count());
        for pair in pairs {
            let number = |key: &str| pair[key].as_f64().unwrap();
            assert!(number("exported_up") > number("base") && number("exported_down") < number("base"), "{pair}");
            assert!((number("random_up") - number("base")).abs() < number("exported_up") - number("base"), "{pair}");
            assert!(number("epsilon_achieved") <= number("epsilon") && number("ssim") < 1.0);
        }
        budgets_hold(&out, &images, norm, epsilon);
    }
}

/// Every written PNG against its base, byte by byte.
fn budgets_hold(out: &Path, images: &Path, norm: Norm, epsilon: &str) {
    let largest = epsilon.split(',').map(|e| e.parse::<f64>().unwrap()).fold(0.0, f64::max);
    let mut n = 0;
    for entry in std::fs::read_dir(out.join("images")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "png") {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let base = png::read(&images.join(format!("{}.png", name.split('_').next().unwrap()))).unwrap();
            let differences = png::read(&path).unwrap();
            let size = norm.of(differences.iter().zip(&base).map(|(&a, &b)| f64::from(a) - f64::from(b)));
            assert!(size <= largest && size > 0.0, "{name}: {size}");
            n += 1;
        }
    }
    assert!(n >= 12);
}

#[test]
fn the_smallest_radius_and_a_classifier() {
    let dir = tempfile::tempdir().unwrap();
    let (model, images) = (tiny_model(dir.path()), photographs(dir.path(), 3, 24));
    let base = |out: &str| {
        let run = Program::new("adversarial").arg("--model", &model).arg("--images", &images).arg("--steps", "10");
        run.arg("--epsilon", "20").arg("--out", dir.path().join(out)).flag("--json")
    };
    let run = base("minimal").arg("--unit", "conv4:0").arg("--natural", &images).arg("--minimal", "0.5sd");
    let results = run.run().expect_code(0).json();
    has_rows("adversarial", &results);
    for pair in results["pairs"].as_array().unwrap() {
        if pair["reached"] == true {
            let change = pair["up"].as_f64().unwrap() - pair["base"].as_f64().unwrap();
            assert!(
                change >= 0.5 * pair["natural_sd"].as_f64().unwrap() - 1e-6 && pair["epsilon"].as_f64().unwrap() < 20.0
            );
        }
    }
    let mini = photographs(dir.path(), 2, 96);
    let run = Program::new("adversarial").arg("--images", &mini).arg("--aim", "margin").arg("--epsilon", "2,8");
    let run = run.arg("--resize", "stretch").arg("--norm", "linf").arg("--steps", "6").arg("--n-random", "1");
    let results = run.arg("--out", dir.path().join("margin")).flag("--json").run().expect_code(0).json();
    has_rows("adversarial", &results);
    assert_eq!(results["success"]["matrix"].as_array().unwrap().len(), 2);
    for pair in results["pairs"].as_array().unwrap() {
        assert!(pair["up"].as_f64() > pair["base"].as_f64() && pair["base"].as_f64().unwrap() <= 0.0, "{pair}");
        assert_eq!(pair["success"] == true, pair["exported_up"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn bad_input_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (model, images, other) =
        (tiny_model(dir.path()), photographs(dir.path(), 3, 24), photographs(dir.path(), 2, 30));
    let out = dir.path().join("out");
    let adversarial = || Program::new("adversarial").arg("--model", &model).arg("--unit", "conv4:1").arg("--out", &out);
    adversarial()
        .arg("--images", &images)
        .arg("--epsilon", "0")
        .run()
        .expect_code(2)
        .expect_error(&["--epsilon", "above 0"]);
    adversarial().arg("--images", &images).arg("--epsilon", "300").run().expect_code(2).expect_error(&["255"]);
    adversarial().arg("--images", &other).run().expect_code(2).expect_error(&["24 x 24", "30 x 30", "--resize"]);
    std::fs::copy(other.join("photo00.png"), images.join("zz.png")).unwrap();
    adversarial().arg("--images", &images).run().expect_code(2).expect_error(&["zz", "30 x 30"]);
    assert!(!out.exists(), "nothing was written");
}
