//! Who is on which side, and what a record of fits knows.

use super::*;
use proptest::prelude::*;

#[test]
fn blocks_are_those_of_kfold() {
    // sklearn.model_selection.KFold(3).split(range(8))
    let rows = Rows::all(8).unwrap();
    let made = folds(&rows, &Labels::default(), Split::Block { n_folds: 3 }, 0).unwrap();
    let tests: Vec<String> = made.iter().map(|fold| fold.test.to_string()).collect();
    assert_eq!(tests, ["0-2", "3-5", "6-7"]);
    assert_eq!(made[1].train.to_string(), "0-2, 6-7");
}

#[test]
fn interleaved_rows_are_dealt_in_turn() {
    // Of the training side 0, 1, 3, 4, 6, 7, 9: row k goes to fold k mod 3.
    let rows = Rows::new(vec![0, 1, 3, 4, 6, 7, 9], 10).unwrap();
    let split = Split::Interleaved { n_folds: 3 };
    let made = folds(&rows, &Labels::default(), split, 0).unwrap();
    let tests: Vec<_> = made.iter().map(|fold| fold.test.indices().to_vec()).collect();
    assert_eq!(tests, [vec![0, 4, 9], vec![1, 6], vec![3, 7]]);
    assert_eq!(made[1].train.indices(), [0, 3, 4, 7, 9]);
    // A gap of one sample takes the neighbours of what is tested, repeats are on no side.
    assert_eq!(folds(&rows, &Labels::default(), split, 1).unwrap()[1].train.indices(), [3, 4, 9]);
    let groups = Labels { groups: Some(&[0, 1, 9, 0, 3, 9, 4, 5, 9, 1]), runs: None };
    let kept = &folds(&rows, &groups, split, 0).unwrap()[0];
    assert_eq!((kept.train.indices(), kept.n_repeats), (&[6, 7][..], 2));
    assert_eq!(serde_json::to_string(&split).unwrap(), r#"{"by":"interleaved","n_folds":3}"#);
}

#[test]
fn a_gap_is_purged_within_a_run_only() {
    let rows = Rows::all(10).unwrap();
    let purged = |runs| {
        let labels = Labels { runs, groups: None };
        let made = folds(&rows, &labels, Split::Block { n_folds: 5 }, 2).unwrap();
        (made[2].train.to_string(), made[2].n_purged)
    };
    assert_eq!(purged(None), ("0-1, 8-9".into(), 4));
    assert_eq!(purged(Some(&[0, 0, 0, 0, 0, 1, 1, 1, 1, 1])), ("0-1, 8-9".into(), 4));
    assert_eq!(purged(Some(&[0, 0, 0, 0, 1, 1, 2, 2, 2, 2])), ("0-3, 6-9".into(), 0));
}

#[test]
fn runs_are_left_out_one_at_a_time() {
    let runs = [4, 4, 2, 2, 2, 7];
    let labels = Labels { runs: Some(&runs), groups: Some(&[0, 1, 0, 2, 3, 4]) };
    let made = folds(&Rows::all(6).unwrap(), &labels, Split::Run, 3).unwrap();
    let sides: Vec<_> = made.iter().map(|f| (f.test.to_string(), f.train.to_string(), f.n_repeats)).collect();
    let expected = [("0-1", "3-5", 1), ("2-4", "1, 5", 1), ("5", "0-4", 0)];
    assert_eq!(sides, expected.map(|(a, b, n)| (a.to_string(), b.to_string(), n)));
}

#[test]
fn what_cannot_be_split_is_an_error() {
    let rows = Rows::all(4).unwrap();
    let none = Labels::default();
    let groups = Labels { groups: Some(&[0, 0, 0, 1]), runs: None };
    let one_run = Labels { runs: Some(&[3; 4]), groups: None };
    for (labels, split, purge) in [
        (&none, Split::Block { n_folds: 5 }, 0),
        (&none, Split::Block { n_folds: 1 }, 0),
        (&none, Split::Interleaved { n_folds: 5 }, 0),
        (&none, Split::Interleaved { n_folds: 2 }, 1),
        (&none, Split::Random { n_folds: 5, seed: 1 }, 0),
        (&none, Split::Group { n_folds: 2 }, 0),
        (&none, Split::Run, 0),
        (&one_run, Split::Run, 0),
        (&groups, Split::Group { n_folds: 3 }, 0),
        (&groups, Split::Random { n_folds: 3, seed: 1 }, 0),
        (&none, Split::Block { n_folds: 2 }, 2),
        (&Labels { runs: Some(&[0; 3]), groups: None }, Split::Run, 0),
    ] {
        let error = folds(&rows, labels, split, purge).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
    }
    for rows in [vec![], vec![4], vec![1, 1]] {
        assert!(Rows::new(rows, 4).is_err());
    }
}

#[test]
fn what_was_fitted_on_tested_rows_is_found() {
    let mut leakage = Leakage::default();
    leakage.fitted("mean", &Rows::new(vec![3, 0, 1], 6).unwrap());
    let test = |rows: &[usize]| leakage.check(&Rows::new(rows.to_vec(), 6).unwrap());
    assert!(test(&[2, 4]).is_ok());
    assert!(test(&[2, 3]).unwrap_err().to_string().contains("mean fitted on tested sample 3"));
    assert_eq!(leakage.report()[0].rows, "0-1, 3");
    let mut whole = Leakage::default();
    assert!(whole.is_empty());
    whole.take_over("fold 2", leakage);
    assert_eq!(whole.report()[0].what, "fold 2: mean");
}

proptest! {
    /// Whatever the labels: sides are disjoint, images on one side, every sample tested once.
    #[test]
    fn sides_never_meet(
        groups in prop::collection::vec(0usize..12, 24..60), n_folds in 2usize..5, seed in 0u64..9, purge in 0usize..2,
        kind in 0usize..4,
    ) {
        let rows = Rows::all(groups.len()).unwrap();
        let labels = Labels { groups: Some(&groups), runs: None };
        let split = [
            Split::Block { n_folds },
            Split::Group { n_folds },
            Split::Random { n_folds, seed },
            Split::Interleaved { n_folds },
        ][kind];
        if let Ok(made) = folds(&rows, &labels, split, purge) {
            let mut tested: Vec<usize> = made.iter().flat_map(|fold| fold.test.indices().to_vec()).collect();
            tested.sort_unstable();
            prop_assert_eq!(tested, (0..groups.len()).collect::<Vec<_>>());
            for fold in made {
                let sides = fold.train.len() + fold.test.len() + fold.n_purged + fold.n_repeats;
                prop_assert_eq!(sides, groups.len());
                for &a in fold.train.indices() {
                    for &b in fold.test.indices() {
                        prop_assert!(groups[a] != groups[b] && a.abs_diff(b) > purge);
                    }
                }
            }
        }
    }
}
