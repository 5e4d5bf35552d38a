//! `compress` and input that does not fit: an error that says what was expected, before anything is
//! written.

use crate::program::{Program, photographs, tiny_classifier, tiny_model};
use ndarray::{Array2, Array3};
use orthoscope::io::{npy, png};
use std::path::{Path, PathBuf};

struct Bench {
    dir: tempfile::TempDir,
    model: PathBuf,
    photos: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (model, photos) = (tiny_classifier(dir.path()), photographs(dir.path(), 12, 24));
        Self { dir, model, photos }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A run on the classifier and the photographs, refused with these words.
    #[track_caller]
    fn refused(&self, flags: &[&str], words: &[&str]) {
        self.refused_of(&self.model, &self.photos, flags, words);
    }

    #[track_caller]
    fn refused_of(&self, model: &Path, images: &Path, flags: &[&str], words: &[&str]) {
        let out = self.at("never");
        let program = Program::new("compress").arg("--out", &out).arg("--model", model).arg("--images", images);
        flags.iter().fold(program, |program, flag| program.flag(flag)).run().expect_code(2).expect_error(words);
        assert!(!out.exists());
    }

    /// Photographs in folders of classes, so many in each.
    fn classes(&self, name: &str, sizes: &[(&str, usize)]) -> PathBuf {
        let root = self.at(name);
        let mut k = 0;
        for (class, n) in sizes {
            std::fs::create_dir_all(root.join(class)).unwrap();
            for _ in 0..*n {
                let from = self.photos.join(format!("photo{:02}.png", k % 12));
                std::fs::copy(from, root.join(class).join(format!("{k}.png"))).unwrap();
                k += 1;
            }
        }
        root
    }
}

#[test]
fn what_is_asked_must_be_possible() {
    let bench = Bench::new();
    bench.refused(&[], &["--by", "something that makes the network smaller"]);
    bench.refused(&["--by", "l1"], &["--keep", "an end of pruning", "--max-drop"]);
    bench.refused(&["--keep", "4"], &["--keep", "a way to judge channels", "--by"]);
    bench.refused(&["--by", "l1", "--keep", "40"], &["--keep", "at most the 14 channels", "40"]);
    bench.refused(&["--by", "l1", "--keep", "3"], &["at least 6 channels", "--minimum"]);
    bench.refused(&["--by", "l1", "--keep", "1.5"], &["--keep", "0 to 1", "1.5"]);
    bench.refused(&["--by", "l1", "--keep", "0.5", "--max-drop", "-0.1"], &["--max-drop", "-0.1"]);
    bench.refused(&["--by", "l1", "--keep", "0.5", "--layers", "third"], &["--layers", "`third`", "first.conv"]);
    bench.refused(&["--by", "l1", "--keep", "0.5", "--layers", "classes"], &["--layers", "`classes`"]);
    bench.refused(&["--by", "car", "--keep", "0.5"], &["--labels", "classes of the images", "a folder for each class"]);
    bench.refused(&["--by", "rar", "--keep", "0.5"], &["--targets", "recorded responses"]);
    bench.refused(&["--by", "layerwise-variance", "--keep", "4"], &["layerwise-variance", "--share"]);
    bench.refused(&["--connections", "1.2"], &["--connections", "1.2"]);
    bench.refused(&["--codebook", "0"], &["--codebook", "1 to 16"]);
    bench.refused(&["--connections", "0.5", "--fine-tune", "2"], &["--fine-tune", "--by"]);
    bench.refused(&["--by", "l1", "--keep", "0.5", "--test-share", "1"], &["--test-share"]);
}

#[test]
fn labels_must_be_the_networks() {
    let bench = Bench::new();
    let car = ["--by", "car", "--keep", "0.5"];
    let with = |more: &[&'static str]| [&car[..], more].concat();
    // Three classes for four outputs without names.
    let three = bench.classes("three", &[("a", 4), ("b", 4), ("c", 4)]);
    bench.refused_of(&bench.model, &three, &car, &["4 outputs", "3 classes", "--classes"]);
    // An empty folder is a class without images.
    let empty = bench.classes("empty", &[("a", 4), ("b", 4), ("c", 4), ("d", 0)]);
    bench.refused_of(&bench.model, &empty, &car, &["/d", "PNG or JPEG images"]);
    // Names that are no outputs.
    std::fs::write(bench.at("names.txt"), "a\nb\nx\ny\n").unwrap();
    let named = ["--classes", Box::leak(bench.at("names.txt").display().to_string().into_boxed_str())];
    bench.refused_of(&bench.model, &three, &with(&named), &["`c`", "outputs of the network"]);
    std::fs::write(bench.at("names.txt"), "a\nb\nc\n").unwrap();
    bench.refused_of(&bench.model, &three, &with(&named), &["names.txt", "4 names"]);
    // A table that leaves images out.
    std::fs::write(bench.at("labels.tsv"), "filename\tlabel\nphoto00.png\t1\nphoto01.png\t0\n").unwrap();
    let table = ["--labels", Box::leak(bench.at("labels.tsv").display().to_string().into_boxed_str())];
    bench.refused(&with(&table), &["--labels", "photo02"]);
    // A network whose outputs are no classes.
    let maps = tiny_model(bench.dir.path());
    let four = bench.classes("four", &[("0", 4), ("1", 4), ("2", 4), ("3", 4)]);
    bench.refused_of(&maps, &four, &car, &["one output a class", "10 x 12 x 12"]);
}

#[test]
fn images_must_be_enough_and_apart() {
    let bench = Bench::new();
    let flags = ["--by", "l1", "--keep", "0.5"];
    let one = bench.at("one");
    std::fs::create_dir(&one).unwrap();
    std::fs::copy(bench.photos.join("photo00.png"), one.join("a.png")).unwrap();
    bench.refused_of(&bench.model, &one, &flags, &["at least 3 images"]);
    // The same picture under another name.
    let again = ["--test-images", Box::leak(one.display().to_string().into_boxed_str())];
    bench.refused(&[&flags[..], &again].concat(), &["--test-images", "the picture of `a` in both"]);
    // A file that is no picture.
    std::fs::write(one.join("b.png"), b"not a picture").unwrap();
    bench.refused_of(&bench.model, &one, &flags, &["b.png"]);
    // Pictures of other sizes are resized, and that is said.
    let large = bench.at("large");
    std::fs::create_dir(&large).unwrap();
    for i in 0..8u8 {
        let pixels = Array3::from_shape_fn((30, 40, 3), |(y, x, c)| (7 * y + 11 * x + 60 * c) as u8 ^ (37 * i));
        png::write(&large.join(format!("{i}.png")), pixels.view()).unwrap();
    }
    let out = bench.at("resized");
    let program = Program::new("compress").arg("--out", &out).arg("--model", &bench.model).arg("--images", &large);
    let ended = flags.iter().fold(program, |p, flag| p.flag(flag)).run().expect_code(0);
    assert!(ended.stderr().contains("24 x 24"), "{}", ended.stderr());
}

#[test]
fn responses_must_be_the_outputs() {
    let bench = Bench::new();
    let responses = bench.at("responses.npy");
    let with = |more: &[&'static str]| {
        let path: &'static str = Box::leak(responses.display().to_string().into_boxed_str());
        [&["--by", "rar", "--keep", "0.5", "--match", "order", "--axes", "rows,targets", "--targets", path], more]
            .concat()
    };
    npy::write(&responses, &Array2::from_shape_fn((12, 6), |(i, t)| (i * 7 % 5 + t) as f32)).unwrap();
    bench.refused(&with(&[]), &["4 targets, one an output", "6"]);
    bench.refused(&with(&["--outputs", "0,1,9,2"]), &["`9`"]);
    let mut odd = Array2::from_shape_fn((12, 4), |(i, t)| (i * 7 % 5 + t) as f32);
    odd[[5, 2]] = f32::NAN;
    npy::write(&responses, &odd).unwrap();
    bench.refused(&with(&[]), &["--targets", "every image", "photo05"]);
    npy::write(&responses, &odd.slice(ndarray::s![..11, ..]).to_owned()).unwrap();
    bench.refused(&with(&[]), &["12 rows"]);
}

/// A softmax in the middle of a network mixes its channels.
#[test]
fn a_network_that_cannot_be_grouped_is_refused_by_node() {
    use orthoscope::io::weights::Storage;
    use orthoscope::network::card::{self, About};
    use orthoscope::network::{GraphBuilder, InputSpec, Op};
    let bench = Bench::new();
    let mut builder =
        GraphBuilder::new("mixed", InputSpec::preset("unit", 24, 24).unwrap(), Default::default()).unwrap();
    let mut last = 0;
    for (name, shape) in [("a", [4, 3, 3, 3]), ("b", [5, 4, 3, 3])] {
        builder.add_weight(format!("{name}.w"), ndarray::ArrayD::from_elem(shape.to_vec(), 0.1f32));
        let op = Op::Conv2d {
            weight: format!("{name}.w"),
            bias: None,
            stride: [1, 1],
            padding: [1; 4],
            dilation: [1, 1],
            groups: 1,
        };
        last = builder.push(name, op, &[last]).unwrap();
        if name == "a" {
            last = builder.push("share", Op::Softmax, &[last]).unwrap();
        }
    }
    let path = bench.at("mixed");
    card::write(&path, &builder.finish().unwrap(), &About::default(), Storage::F32, false).unwrap();
    bench.refused_of(&path, &bench.photos, &["--by", "l1", "--keep", "0.5"], &["node `share`", "softmax"]);
}
