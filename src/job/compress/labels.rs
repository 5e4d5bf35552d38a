//! Classes of images, and which output of a network each of them is.

use crate::data::ImageSource;
use crate::data::names::{find_all, natural_order, nfc, twice};
use crate::error::{Error, Result};
use crate::io::{images, tsv};
use crate::job::inputs::targets::list;
use crate::warning::Warning;
use std::collections::HashMap;
use std::path::Path;

/// Images, and the class of each in words where it is known.
pub struct Labelled {
    pub images: Box<dyn ImageSource>,
    pub classes: Option<Vec<String>>,
}

/// Columns of a table of labels.
const LABEL_COLUMNS: [&str; 4] = ["label", "class", "category", "target"];
const IMAGE_COLUMNS: [&str; 6] = ["filename", "stim_file", "file", "image", "stimulus", "name"];

/// Opens images in a folder for each class, or images of whatever kind whose classes a table says.
///
/// # Errors
/// As [`images::open`]; [`Error::Invalid`] for a class without images, and for images without a
/// label.
pub fn open(path: &Path, labels: Option<&Path>) -> Result<Labelled> {
    let Some(table) = labels else {
        return Ok(match images::open_classes(path)? {
            Some(found) => {
                let classes = found.labels.iter().map(|&class| found.classes[class].clone()).collect();
                Labelled { images: found.images, classes: Some(classes) }
            }
            None => Labelled { images: images::open(path)?, classes: None },
        });
    };
    let images = match images::open_classes(path)? {
        Some(found) => found.images,
        None => images::open(path)?,
    };
    let (names, classes) = read(table)?;
    let expected = ("images", "rows of the labels");
    let found = find_all(images.names(), &names, "labels", expected)?;
    let classes = found.places.iter().map(|&row| classes[row].clone()).collect();
    Ok(Labelled { images, classes: Some(classes) })
}

/// Names of images and of their classes.
fn read(path: &Path) -> Result<(Vec<String>, Vec<String>)> {
    let table = tsv::read(path)?;
    let column = |names: &'static [&'static str], key: &str| {
        names.iter().find_map(|name| Some((*name, table.column(name)?))).ok_or_else(|| {
            table.without(path, &format!("a column `{}`", names.join("`, `")), &format!("name the column `{key}`"))
        })
    };
    let (_, images) = column(&IMAGE_COLUMNS, "image")?;
    let (key, labels) = column(&LABEL_COLUMNS, "label")?;
    if let Some(row) = labels.iter().position(|label| tsv::is_missing(label)) {
        return Err(tsv::bad_field(path, key, row, "a class", labels[row], "every image has one"));
    }
    let owned = |all: Vec<&str>| all.into_iter().map(String::from).collect();
    Ok((owned(images), owned(labels)))
}

/// Names of a network's outputs: those that the user gave, or those that its card has.
///
/// # Errors
/// As the reader; [`Error::Invalid`] for another number of names than outputs, or one twice.
pub fn outputs(given: Option<&Path>, training: Option<&toml::Table>, n: usize) -> Result<Option<Vec<String>>> {
    let Some(path) = given else {
        let listed = training.and_then(|table| table.get("classes")).and_then(toml::Value::as_array);
        let names = listed.map(|all| all.iter().filter_map(|v| v.as_str().map(String::from)).collect::<Vec<_>>());
        return Ok(names.filter(|names| names.len() == n && twice(names.iter().map(String::as_str)).is_none()));
    };
    let names = list(path, None, "classes", "an output")?;
    let at = path.display().to_string();
    if names.len() != n {
        let hint = "name every output of the network, in their order";
        return Err(Error::invalid(at, format!("{n} names, one an output"), names.len().to_string(), hint));
    }
    match twice(names.iter().map(String::as_str)) {
        Some(name) => Err(Error::invalid(at, "a name of its own for every output", format!("`{name}` twice"), "")),
        None => Ok(Some(names)),
    }
}

/// The classes of images as numbers of a network's `n` outputs, and the outputs' names.
#[derive(Debug)]
pub struct Numbered {
    /// For each list of classes that was given.
    pub labels: Vec<Vec<usize>>,
    pub names: Vec<String>,
    pub warnings: Vec<Warning>,
}

/// Finds the output of every class: by the outputs' names where they are known; else classes that
/// are all numbers below `n` are outputs; else, where there are exactly `n` classes, they are the
/// outputs in the order of their names.
///
/// # Errors
/// [`Error::Invalid`] for a class that is no output, and where none of this applies.
pub fn number(lists: &[&[String]], known: Option<Vec<String>>, n: usize) -> Result<Numbered> {
    let mut distinct: Vec<String> = lists.iter().flat_map(|l| l.iter()).map(|c| nfc(c).into_owned()).collect();
    distinct.sort_by(|a, b| natural_order(a, b).then(a.cmp(b)));
    distinct.dedup();
    let as_number = |class: &String| class.parse::<usize>().ok().filter(|&k| k < n);
    let mut warnings = Vec::new();
    let (names, of): (Vec<String>, HashMap<String, usize>) = if let Some(names) = known {
        let of = names.iter().enumerate().map(|(k, name)| (nfc(name).into_owned(), k)).collect();
        (names, of)
    } else if distinct.iter().all(|class| as_number(class).is_some()) {
        let of = distinct.iter().map(|class| (class.clone(), as_number(class).expect("all are"))).collect();
        ((0..n).map(|k| k.to_string()).collect(), of)
    } else if distinct.len() == n {
        let text = format!(
            "the {n} classes are taken to be the network's outputs in the order of their names, `{}` the first: `classes` says otherwise",
            distinct[0]
        );
        warnings.push(Warning::Note { text });
        (distinct.clone(), distinct.iter().cloned().zip(0..).collect())
    } else {
        let hint = "name the outputs with `classes`, or call the classes by the outputs' numbers (from 0)";
        let found = format!("{} classes, `{}` the first, and outputs without names", distinct.len(), distinct[0]);
        return Err(Error::invalid("labels", format!("classes of the network's {n} outputs"), found, hint));
    };
    if let Some(odd) = distinct.iter().find(|class| !of.contains_key(*class)) {
        let some: Vec<&str> = names.iter().take(4).map(String::as_str).collect();
        let expected = format!("classes that are outputs of the network (`{}`, ...)", some.join("`, `"));
        let hint = "call folders or labels as the outputs are called; `classes` names the outputs";
        return Err(Error::invalid("labels", expected, format!("`{odd}`"), hint));
    }
    if distinct.len() < n {
        let text =
            format!("{} of the {n} outputs have no images: nothing is known of these classes", n - distinct.len());
        warnings.push(Warning::Note { text });
    }
    let labels = lists.iter().map(|list| list.iter().map(|class| of[nfc(class).as_ref()]).collect()).collect();
    Ok(Numbered { labels, names, warnings })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn classes_find_their_outputs() {
        let list = names(&["ring", "disc", "ring"]);
        let known = Some(names(&["disc", "star", "ring"]));
        let found = number(&[&list], known.clone(), 3).unwrap();
        assert_eq!((&found.labels[0][..], found.warnings.len()), (&[2, 0, 2][..], 1));
        let error = number(&[&names(&["rings"])], known, 3).unwrap_err().to_string();
        assert!(error.contains("`rings`") && error.contains("`disc`"), "{error}");
        // Numbers are outputs, in whatever order; names stand for outputs only where all are there.
        assert_eq!(number(&[&names(&["7", "2", "10"])], None, 11).unwrap().labels[0], [7, 2, 10]);
        let sorted = number(&[&list, &names(&["star"])], None, 3).unwrap();
        assert_eq!((sorted.labels, sorted.warnings.len()), (vec![vec![1, 0, 1], vec![2]], 1));
        let error = number(&[&list], None, 3).unwrap_err();
        assert!(error.to_string().contains("2 classes") && error.hint().unwrap().contains("classes"), "{error}");
        assert!(number(&[&names(&["7", "11"])], None, 11).is_err());
    }

    #[test]
    fn a_table_of_labels_is_read_by_names() {
        let dir = tempfile::tempdir().unwrap();
        let table = dir.path().join("labels.tsv");
        for i in 0..3 {
            let pixels = ndarray::Array3::from_elem((4, 4, 3), i as u8);
            crate::io::png::write(&dir.path().join(format!("im{i}.png")), pixels.view()).unwrap();
        }
        std::fs::write(&table, "filename\tlabel\nim2.png\tc\nim0.png\ta\nim1.png\tb\nim9.png\tz\n").unwrap();
        let found = open(dir.path(), Some(&table)).unwrap();
        assert_eq!(found.classes.unwrap(), ["a", "b", "c"]);
        std::fs::write(&table, "filename\tlabel\nim2.png\tc\nim0.png\ta\n").unwrap();
        let error = open(dir.path(), Some(&table)).err().unwrap().to_string();
        assert!(error.contains("im1"), "{error}");
        std::fs::write(&table, "filename\tlabel\nim2.png\tc\nim0.png\tn/a\nim1.png\tb\n").unwrap();
        assert!(open(dir.path(), Some(&table)).err().unwrap().to_string().contains("row 2"));
        std::fs::write(&table, "filename\tkind\nim2.png\tc\n").unwrap();
        assert!(open(dir.path(), Some(&table)).err().unwrap().to_string().contains("`label`"));
    }

    #[test]
    fn names_of_outputs_are_as_many_as_outputs() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("classes.txt");
        std::fs::write(&path, "disc\nring\nstar\n").unwrap();
        assert_eq!(outputs(Some(&path), None, 3).unwrap().unwrap(), ["disc", "ring", "star"]);
        assert!(outputs(Some(&path), None, 4).unwrap_err().to_string().contains("4 names"));
        std::fs::write(&path, "disc\nring\ndisc\n").unwrap();
        assert!(outputs(Some(&path), None, 3).unwrap_err().to_string().contains("`disc` twice"));
        let card: toml::Table = toml::from_str("classes = [\"a\", \"b\"]").unwrap();
        assert_eq!(outputs(None, Some(&card), 2).unwrap().unwrap(), ["a", "b"]);
        assert_eq!(outputs(None, Some(&card), 3).unwrap(), None);
    }
}
