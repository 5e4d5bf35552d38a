//! What flags and files may say in short.

use super::together;
use crate::error::{Error, Result};
use toml::{Table, Value};

/// Writes out `stimuli.reduction = "pca:100"`, `stimuli.scaling = "z_score"` and
/// `ridge.alphas = [1, 10]`.
///
/// # Errors
/// [`Error::Invalid`] for numbers that are none.
pub fn settle(given: &mut Table) -> Result<()> {
    together::implied(given);
    if let Some(stimuli) = given.get_mut("stimuli").and_then(Value::as_table_mut) {
        if let Some(Value::String(text)) = stimuli.get("reduction") {
            let whole = reduction(text)?;
            stimuli.insert("reduction".into(), whole);
        }
        if stimuli.get("scaling").and_then(Value::as_str) == Some("z_score") {
            stimuli.insert("scaling".into(), nested("z_score", [("ddof", Value::Integer(0))]));
        }
    }
    if let Some(ridge) = given.get_mut("ridge").and_then(Value::as_table_mut)
        && let Some(list @ Value::Array(_)) = ridge.get("alphas").cloned()
    {
        ridge.insert("alphas".into(), Value::Table(Table::from_iter([("absolute".into(), list)])));
    }
    Ok(())
}

fn nested<const N: usize>(name: &str, keys: [(&str, Value); N]) -> Value {
    let inner = Table::from_iter(keys.map(|(key, value)| (key.to_owned(), value)));
    Value::Table(Table::from_iter([(name.to_owned(), Value::Table(inner))]))
}

/// `pca`, `pca:0.9`, `pca:100`, `sparse_random_projection`, `rf_pooled:20`; anything else stays.
fn reduction(text: &str) -> Result<Value> {
    let (name, number) = text.split_once(':').map_or((text, None), |(name, number)| (name, Some(number)));
    let wrong = || {
        let expected = "flat, spatial_mean, pca, pca:0.9, pca:100, sparse_random_projection or rf_pooled:20";
        Error::invalid(
            "stimuli.reduction",
            expected,
            format!("`{text}`"),
            "rf_pooled needs the images' width in degrees",
        )
    };
    let value = |number: &str| number.parse::<f64>().ok().filter(|v| *v > 0.0 && v.is_finite()).ok_or_else(wrong);
    match (name, number) {
        ("flat" | "spatial_mean", None) => Ok(Value::String(name.into())),
        ("pca" | "sparse_random_projection", None) => Ok(nested(name, [])),
        ("pca", Some(share)) if value(share)? < 1.0 => {
            let keep = Table::from_iter([("variance".to_owned(), Value::Float(value(share)?))]);
            Ok(nested("pca", [("keep", Value::Table(keep))]))
        }
        ("pca", Some(n)) => {
            let n: i64 = n.parse().map_err(|_| wrong())?;
            let keep = Table::from_iter([("components".to_owned(), Value::Integer(n))]);
            Ok(nested("pca", [("keep", Value::Table(keep))]))
        }
        ("rf_pooled", Some(width)) => Ok(nested("rf_pooled", [("width_deg", Value::Float(value(width)?))])),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::settle;
    use crate::encoding::features::{Keep, PcaOptions, Projection, Reduction, RfGrid};
    use crate::encoding::{Alphas, Scaling};
    use crate::job::fit::Config;
    use crate::job::fit::config::Held;

    fn settled(text: &str) -> Config {
        let mut given = toml::from_str(text).unwrap();
        settle(&mut given).unwrap();
        given.try_into().unwrap()
    }

    #[test]
    fn short_words_are_written_out() {
        let reduction = |text: &str| settled(&format!("[stimuli]\nreduction = \"{text}\"\n")).stimuli.reduction;
        let pca = |keep| Reduction::Pca(PcaOptions { keep, ..PcaOptions::default() });
        assert_eq!(reduction("spatial_mean"), Reduction::SpatialMean);
        assert_eq!(reduction("pca"), pca(Keep::Variance(0.99)));
        assert_eq!(reduction("pca:0.9"), pca(Keep::Variance(0.9)));
        assert_eq!(reduction("pca:100"), pca(Keep::Components(100)));
        assert_eq!(reduction("rf_pooled:20"), Reduction::RfPooled(RfGrid::new(20.0)));
        let projection = Reduction::SparseRandomProjection(Projection::default());
        assert_eq!(reduction("sparse_random_projection"), projection);
        assert_eq!(settled("[stimuli]\nscaling = \"z_score\"\n").stimuli.scaling, Scaling::ZScore { ddof: 0 });
        assert_eq!(settled("[ridge]\nalphas = [1.0, 10.0]\n").ridge.alphas, Alphas::Absolute(vec![1.0, 10.0]));
        let held = |keys: &str| settled(&format!("[test]\n{keys}\n")).test.by;
        assert_eq!(held("stimuli = \"list.txt\""), Held::Stimuli);
        assert_eq!(held("runs = [\"2\"]"), Held::Runs);
        assert_eq!(held("n_folds = 4"), Held::Folds);
        assert_eq!(held("runs = [\"2\"]\nby = \"last\""), Held::Last);
        for bad in ["pca:0", "pca:x", "rf_pooled", "mean", "flat:3"] {
            let text = format!("[stimuli]\nreduction = \"{bad}\"\n");
            assert!(settle(&mut toml::from_str(&text).unwrap()).is_err(), "{bad}");
        }
    }
}
