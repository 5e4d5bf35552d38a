//! Components from features and from inner products, and what held-out rows may do to them.

use super::*;
use crate::rng;
use ndarray::array;

fn images(n: usize, p: usize) -> Array2<f32> {
    let mut random = rng::stream(11, "pca", 0);
    let latent = Array2::from_shape_fn((n, 9), |(_, k)| random.normal() * 0.6f64.powi(k as i32));
    let loadings = Array2::from_shape_fn((9, p), |_| random.normal());
    (latent.dot(&loadings) + 3.0).mapv(|v| v as f32)
}

fn gram(x: &Array2<f32>, standardized_on: Option<Rows>) -> Table {
    Table::Gram(GramTable { gram: kernel(x.view()), n_units: x.ncols(), standardized_on })
}

fn fit(table: &Table, rows: &Rows, options: &PcaOptions) -> Pca {
    Pca::fit(table, rows, options, "layer", &mut Leakage::default()).unwrap()
}

#[test]
fn inner_products_and_features_give_the_same() {
    for p in [12, 200] {
        let x = images(40, p);
        let rows = Rows::new((0..30).collect(), 40).unwrap();
        for keep in [Keep::Variance(0.99), Keep::Components(5)] {
            let options = PcaOptions { keep, ..Default::default() };
            let (table, products) = (Table::Features(x.clone()), gram(&x, None));
            let (a, b) = (fit(&table, &rows, &options), fit(&products, &rows, &options));
            assert_eq!(a.n_components(), b.n_components());
            let (a, b) = (a.scores(&table).unwrap(), b.scores(&products).unwrap());
            let largest = a.iter().fold(0f32, |m, v| m.max(v.abs()));
            assert!(a.iter().zip(&b).all(|(u, v)| (u - v).abs() < 1e-5 * largest), "{p} {keep:?}");
        }
    }
}

#[test]
fn held_out_rows_may_hold_anything() {
    let rows = Rows::new((0..30).collect(), 40).unwrap();
    for p in [12, 200] {
        let x = images(40, p);
        let mut poisoned = x.clone();
        poisoned.slice_axis_mut(Axis(0), Slice::from(30..35)).fill(1e20);
        poisoned.slice_axis_mut(Axis(0), Slice::from(35..40)).fill(f32::NAN);
        for (clean, bad) in
            [(Table::Features(x.clone()), Table::Features(poisoned.clone())), (gram(&x, None), gram(&poisoned, None))]
        {
            let (a, b) = (fit(&clean, &rows, &PcaOptions::default()), fit(&bad, &rows, &PcaOptions::default()));
            assert_eq!(a, b);
            let train = |t: &Table, pca: &Pca| pca.scores(t).unwrap().slice_axis(Axis(0), Slice::from(..30)).to_owned();
            assert_eq!(train(&clean, &a), train(&bad, &b));
            let learnt =
                Pca::fit(&bad, &Rows::all(40).unwrap(), &PcaOptions::default(), "layer", &mut Leakage::default());
            assert!(learnt.unwrap_err().to_string().contains("layer"));
        }
    }
}

#[test]
fn what_was_fitted_is_noted_and_other_rows_are_refused() {
    let x = images(40, 200);
    let (rows, others) = (Rows::new((0..30).collect(), 40).unwrap(), Rows::new((5..35).collect(), 40).unwrap());
    let zscored = PcaOptions { zscore: true, ..Default::default() };
    let mut leakage = Leakage::default();
    Pca::fit(&gram(&x, Some(rows.clone())), &rows, &zscored, "conv1", &mut leakage).unwrap();
    let lines: Vec<String> = leakage.report().iter().map(|f| format!("{}: {}", f.what, f.rows)).collect();
    assert_eq!(lines, ["means and scales of conv1: 0-29", "principal components of conv1: 0-29"]);
    assert!(leakage.check(&Rows::new(vec![29], 40).unwrap()).is_err());
    for (table, options) in [
        (gram(&x, Some(others)), zscored),
        (gram(&x, None), zscored),
        (gram(&x, Some(rows.clone())), PcaOptions::default()),
    ] {
        let error = Pca::fit(&table, &rows, &options, "conv1", &mut Leakage::default()).unwrap_err();
        assert!(error.to_string().contains("conv1: expected units"), "{error}");
    }
}

#[test]
fn layers_that_say_nothing_are_refused() {
    let rows = Rows::all(4).unwrap();
    let mut leakage = Leakage::default();
    let flat = Table::Features(Array2::from_elem((4, 3), 0.1));
    assert!(
        Pca::fit(&flat, &rows, &PcaOptions::default(), "a", &mut leakage).unwrap_err().to_string().contains("vary")
    );
    let one = Rows::new(vec![2], 4).unwrap();
    assert!(Pca::fit(&flat, &one, &PcaOptions::default(), "a", &mut leakage).is_err());
    // Rank 1, three components asked for.
    let line = Table::Features(array![[0.0, 0.0], [1.0, 2.0], [2.0, 4.0], [3.0, 6.0]]);
    let three = PcaOptions { keep: Keep::Components(3), ..Default::default() };
    assert_eq!(fit(&line, &rows, &three).n_components(), 1);
    let pca = fit(&line, &rows, &three);
    assert!(pca.scores(&Table::Features(Array2::zeros((4, 3)))).is_err());
    assert!((pca.share() - 1.0).abs() < 1e-9 && (pca.variances()[0] - 25.0 / 3.0).abs() < 1e-5);
}
