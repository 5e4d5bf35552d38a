//! RDMs and image sets of real studies, against the numbers that their READMEs and NumPy give.

use crate::support::data;
use orthoscope::image::resize::{Resize, stimuli};
use orthoscope::io::images;
use orthoscope::math::permutation::Tail;
use orthoscope::rdm::compare::{compare, permutation_test, relabellings};
use orthoscope::rdm::files::load_rdms;
use orthoscope::rdm::{Comparison, Rdm};

fn one(path: &str, expected: usize) -> Option<Rdm> {
    let path = data(path)?;
    Some(load_rdms(&path, Some(expected), None).unwrap().remove(0).1)
}

#[test]
fn human_and_monkey_it_agree_as_published() {
    let (Some(human), Some(monkey)) =
        (one("kriegeskorte92/rdm_hIT_group.npy", 92), one("kriegeskorte92/rdm_mIT_674neurons.npy", 92))
    else {
        return;
    };
    // The README gives 4 and 3 decimals, NumPy (by the definition of tau-a) the rest.
    for (how, expected, tolerance) in [
        (Comparison::Pearson, 0.4912, 5e-5),
        (Comparison::Spearman, 0.439, 5e-4),
        (Comparison::KendallTauA, TAU_A, 1e-9),
    ] {
        let found = compare(&human, &monkey, how).unwrap();
        assert!((found - expected).abs() < tolerance, "{how}: {found}");
    }
    let test =
        permutation_test(&human, &monkey, Comparison::Spearman, Tail::Greater, &relabellings(92, 200, 1)).unwrap();
    assert_eq!(test.p, 1.0 / 201.0, "no relabelling comes near");
}

/// sum of sign(dx) sign(dy) over all pairs of entries, divided by their number, in NumPy.
const TAU_A: f64 = 0.304_048_369_686_518_3;

#[test]
fn models_explain_human_it_as_published() {
    let (Some(human), Some(models)) =
        (one("kriegeskorte92/rdm_hIT_group.npy", 92), data("kriegeskorte92/rdm_models.npy"))
    else {
        return;
    };
    let models = load_rdms(&models, Some(92), None).unwrap();
    assert_eq!(models.len(), 8);
    for (index, expected) in [(0, 0.588), (4, 0.222), (5, 0.039)] {
        let (name, model) = &models[index];
        let found = compare(&human, model, Comparison::Spearman).unwrap();
        assert!((found - expected).abs() < 5e-4, "{name}: {found}");
    }
}

#[test]
fn every_rdm_file_of_the_studies_is_read() {
    for (file, n_rdms, n) in [
        ("kriegeskorte92/rdm_hIT_subjects.npy", 6, 92),
        ("kriegeskorte92/rdm_behav_subjects.npy", 12, 92),
        ("algonauts2019/rdm92_IT.npy", 12, 92),
        ("algonauts2019/rdm78_EVC.npy", 15, 78),
    ] {
        let Some(path) = data(file) else { return };
        assert_eq!(load_rdms(&path, Some(n), None).unwrap().len(), n_rdms, "{file}");
        let error = load_rdms(&path, Some(16), None).unwrap_err().to_string();
        assert!(error.contains("16 images") && error.contains(&n.to_string()), "{error}");
    }
}

#[test]
fn image_sets_of_the_studies_are_read() {
    let Some(folder) = data("kriegeskorte92") else { return };
    let set = images::load(&folder).unwrap();
    assert_eq!((set.names.len(), set.names[9].as_str()), (92, "stim10"));
    assert_eq!(set.pixels[0][[0, 0, 0]], 128, "the corner is the grey background");
    assert_eq!(images::load(&folder.join("images")).unwrap(), set, "the table's order is the names' order here");

    let Some(folder) = data("algonauts2019/78images") else { return };
    let set = images::load(&folder).unwrap();
    let error = stimuli(set.clone(), None, Resize::Stretch).unwrap_err().to_string();
    assert!(error.contains("images of one size"), "{error}");
    for how in [Resize::Stretch, Resize::Crop, Resize::Pad] {
        let (stimuli, warnings) = stimuli(set.clone(), Some((224, 224)), how).unwrap();
        assert_eq!((stimuli.n_images(), stimuli.size(), warnings.len()), (78, (224, 224), 1));
    }
}

#[test]
fn a_zip_of_photographs_is_read_in_order() {
    let Some(path) = data("v4/data_V4_responses/images/images_190923.zip") else { return };
    let set = images::load(&path).unwrap();
    assert_eq!(set.names.len(), 1200);
    assert_eq!([&set.names[0], &set.names[1199]], ["image0001", "image1200"]);
    assert!(set.pixels.iter().all(|p| p.dim() == (112, 112, 3)));
}
