//! Figures of units: what is on them, that no label touches another or leaves the sheet, and what they refuse.

use super::super::scene::{Align, Area, Item, Scene, Text, text_width};
use super::*;
use ndarray::{Array2, Array3};
use std::path::Path;

const COUNTS: [usize; 4] = [1, 3, 33, 122];

fn unit_name(i: usize) -> String {
    format!("compact_model_{}_neuron{}", ["190923", "190925", "201025", "210325"][i / 33], i % 33)
}

fn unit_names(n: usize) -> Vec<String> {
    (0..n).map(unit_name).collect()
}

/// A wave in -1..1 that stands in for data; nothing here is compared with a computed value.
fn wave(i: usize, k: usize) -> f64 {
    ((i * 37 + k * 11) as f64 * 0.73).sin()
}

fn picture(height: usize, width: usize, k: usize) -> Array3<u8> {
    Array3::from_shape_fn((height, width, 3), |(y, x, c)| (127.0 + 120.0 * wave(y / 8 + c, x / 8 + k)) as u8)
}

fn text_box(t: &Text) -> Area {
    let (w, h) = (text_width(&t.text, t.size), 0.85 * t.size);
    let before = match t.align {
        Align::Start => 0.0,
        Align::Middle => 0.5,
        Align::End => 1.0,
    };
    if t.vertical {
        Area::new(t.x - h / 2.0, t.y - (1.0 - before) * w, h, w)
    } else {
        Area::new(t.x - before * w, t.y - h / 2.0, w, h)
    }
}

fn texts(scene: &Scene) -> Vec<&Text> {
    fn text(item: &Item) -> Option<&Text> {
        if let Item::Text(t) = item { Some(t) } else { None }
    }
    scene.items.iter().filter_map(text).filter(|t| !t.text.is_empty()).collect()
}

/// Every label lies on the sheet and on no other label, and every shape on the sheet.
fn check_layout(scene: &Scene, name: &str) {
    let texts = texts(scene);
    let boxes: Vec<Area> = texts.iter().map(|t| text_box(t)).collect();
    for (i, a) in boxes.iter().enumerate() {
        let inside = a.x >= 0.0 && a.y >= 0.0 && a.x + a.w <= scene.width && a.y + a.h <= scene.height;
        assert!(inside, "{name}: `{}` at {a:?} leaves {} x {}", texts[i].text, scene.width, scene.height);
        let hit = (0..i).find(|j| boxes[*j].overlaps(a));
        assert!(hit.is_none(), "{name}: `{}` lies on `{}`", texts[i].text, texts[hit.unwrap_or(0)].text);
    }
    for item in &scene.items {
        let ends = match item {
            Item::Rect { area, .. } | Item::Cells { area, .. } | Item::Picture { area, .. } => {
                vec![(area.x, area.y), (area.x + area.w, area.y + area.h)]
            }
            Item::Line { points, .. } => points.clone(),
            Item::Circle { x, y, r, .. } => vec![(x - r, y - r), (x + r, y + r)],
            Item::Text(_) => Vec::new(),
        };
        let inside =
            |p: &(f64, f64)| p.0 >= -0.5 && p.1 >= -0.5 && p.0 <= scene.width + 0.5 && p.1 <= scene.height + 0.5;
        assert!(ends.iter().all(inside), "{name}: {item:?} leaves the sheet");
    }
}

fn shows(scene: &Scene, text: &str) -> bool {
    texts(scene).iter().any(|t| t.text == text)
}

fn mosaic_rows(n: usize) -> Vec<MosaicRow> {
    let cell =
        |i: usize, k: usize| MosaicCell { image: picture(40 + k, 40, i + k), caption: response_caption(wave(i, k)) };
    unit_names(n)
        .into_iter()
        .enumerate()
        .map(|(i, label)| MosaicRow { label, cells: (0..4 - i % 2).map(|k| (k != 2).then(|| cell(i, k))).collect() })
        .collect()
}

fn headers() -> Vec<String> {
    ["best natural", "synthesised max", "maximum of the second restart", "min"].map(String::from).to_vec()
}

#[test]
fn mosaic_layout() {
    for n in COUNTS {
        let rows = mosaic_rows(n);
        let plan = mosaic::Plan::new(&rows, &headers()).unwrap();
        let n_sheets = n.div_ceil(14);
        let mut pictures = 0;
        for sheet in 0..n_sheets {
            let scene = plan.sheet(&rows, &headers(), sheet, "Units and their images");
            check_layout(&scene, &format!("mosaic {n}, sheet {sheet}"));
            assert!(
                shows(&scene, "best natural") && shows(&scene, "maximum of the") && shows(&scene, "second restart")
            );
            assert_eq!(shows(&scene, "Units and their images"), n_sheets == 1);
            pictures += scene.items.iter().filter(|i| matches!(i, Item::Picture { .. })).count();
        }
        assert_eq!(pictures, rows.iter().flat_map(|r| &r.cells).flatten().count());
    }
}

#[test]
fn mosaic_sheets_are_numbered_and_keep_pixels() {
    let dir = tempfile::tempdir().unwrap();
    mosaic(&mosaic_rows(33), &headers(), &dir.path().join("kept.v1"), "").unwrap();
    let mut files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|f| f.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["kept.v1.png", "kept.v1_02.png", "kept.v1_03.png"]);
    let one = [MosaicRow {
        label: String::new(),
        cells: vec![Some(MosaicCell { image: picture(56, 56, 0), caption: String::new() })],
    }];
    mosaic(&one, &[String::new()], &dir.path().join("one.png"), "").unwrap();
    let sheet = image::open(dir.path().join("one.png")).unwrap().to_rgb8();
    let items = mosaic::Plan::new(&one, &[String::new()]).unwrap().sheet(&one, &[String::new()], 0, "").items;
    let Some(Item::Picture { area, pixels }) = items.iter().find(|i| matches!(i, Item::Picture { .. })) else {
        panic!("no picture was placed")
    };
    let at = |x: u32, y: u32| sheet.get_pixel((area.x * 2.0) as u32 + 4 * x, (area.y * 2.0) as u32 + 4 * y).0;
    assert!([(0, 0), (55, 0), (17, 40), (55, 55)].into_iter().all(|(x, y)| at(x, y) == pixels.get_pixel(x, y).0));
}

#[test]
fn labels_lose_what_they_share() {
    let names = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let cut = |list: &[&str]| cut_unique(&names(list), |t| t.chars().count() <= 9);
    assert_eq!(cut(&["model_1_neuron0", "model_1_neuron12", "model_1_neuron0"]), ["neuron0", "neuron12", "neuron0"]);
    assert_eq!(cut(&["model_1_neuron0", "b"]), ["mode…ron0", "b"]);
    assert_eq!(cut(&["neuron_0", "neuron_1"]), ["neuron_0", "neuron_1"]);
}

#[test]
fn differences_are_enlarged_about_grey() {
    let base = Array3::from_elem((2, 2, 3), 100);
    let mut other = base.clone();
    (other[[0, 0, 0]], other[[0, 1, 1]], other[[1, 1, 2]]) = (103, 99, 200);
    let got = difference(&base, &other, 10.0);
    assert_eq!((got[[0, 0, 0]], got[[0, 1, 1]], got[[1, 1, 2]], got[[1, 0, 0]]), (158, 118, 255, 128));
    assert!(difference(&base, &Array3::zeros((1, 1, 3)), 1.0).iter().skip(3).all(|v| *v == 128));
}

#[test]
fn tiles_leave_out_what_no_row_has() {
    let dir = tempfile::tempdir().unwrap();
    let cell = |k| MosaicCell { image: picture(64, 64, k), caption: response_caption(k as f64) };
    let mut item = TileRow { label: unit_name(3), base: cell(0), up: Some(cell(1)), down: None };
    tiles(&[item.clone()], &dir.path().join("up"), "Smallest changes").unwrap();
    item.down = Some(cell(2));
    tiles(&[item.clone()], &dir.path().join("both"), "Smallest changes").unwrap();
    let width = |name: &str| image::open(dir.path().join(name)).unwrap().width();
    assert_eq!(width("both.png") - width("up.png"), 2 * 2 * (96 + 8), "two more columns, two pixels per logical pixel");
    item.down = Some(MosaicCell { image: picture(32, 64, 0), caption: String::new() });
    assert!(tiles(&[item], &dir.path().join("x"), "").unwrap_err().to_string().contains("neuron3"));
}

fn units(n: usize) -> Vec<UnitRange> {
    let unit = |i: usize, name: String| UnitRange {
        name,
        natural: (i % 10 != 7).then(|| [-2.0 - wave(i, 1), -0.6, -0.1, 0.5, 2.2 + wave(i, 2)]),
        marks: ["max", "restart 2", "min"]
            .iter()
            .enumerate()
            .map(|(k, s)| (s.to_string(), 4.0 - 3.0 * k as f64 + wave(i, k)))
            .collect(),
    };
    unit_names(n).into_iter().enumerate().map(|(i, name)| unit(i, name)).collect()
}

#[test]
fn ranges_layout() {
    for n in COUNTS.into_iter().chain([40, 41, 250]) {
        let mut units: Vec<UnitRange> = (0..n).flat_map(|i| units(122).into_iter().nth(i % 122)).collect();
        units[0].marks.push(("not a number".into(), f64::NAN));
        let options = RangeOptions { title: "Responses to kept images".into(), ..Default::default() };
        let scene = ranges::scene(&units, &options).unwrap();
        check_layout(&scene, &format!("ranges {n}"));
        assert!(shows(&scene, "max") && shows(&scene, "response (z)") && scene.width < 2200.0, "{n}");
        let circles = scene.items.iter().filter(|i| matches!(i, Item::Circle { .. })).count();
        assert_eq!(
            circles,
            n + 1 + 2,
            "one filled marker per unit and in the key, and the ring of the fourth series there"
        );
    }
}

#[test]
fn ranges_sort_by_the_largest_mark() {
    let mark = |name: &str, v: f64| UnitRange { name: name.into(), natural: None, marks: vec![("max".into(), v)] };
    let mut units = vec![mark("low", 1.0), UnitRange { name: "none".into(), ..Default::default() }, mark("high", 5.0)];
    units[0].marks.push(("min".into(), -9.0));
    let order = |sort| {
        let scene = ranges::scene(&units, &RangeOptions { sort, ..Default::default() }).unwrap();
        let mut names: Vec<(i64, String)> = texts(&scene)
            .iter()
            .filter(|t| ["low", "none", "high"].contains(&t.text.as_str()))
            .map(|t| (t.x as i64, t.text.clone()))
            .collect();
        names.sort();
        names.into_iter().map(|n| n.1).collect::<Vec<_>>()
    };
    assert_eq!(order(true), ["high", "low", "none"]);
    assert_eq!(order(false), ["low", "none", "high"]);
}

fn matrix_options() -> MatrixOptions {
    MatrixOptions {
        title: "Responses to the images of every unit".into(),
        bar_label: "response (z)".into(),
        row_title: "unit that responds".into(),
        column_title: "unit whose image is shown".into(),
        ..Default::default()
    }
}

#[test]
fn matrix_layout() {
    for (n_rows, n_columns) in
        [(1, 1), (3, 3), (33, 33), (122, 122), (250, 250), (122, 4), (2, 122), (1, 40), (2000, 3)]
    {
        let mut values = Array2::from_shape_fn((n_rows, n_columns), |(i, j)| 3.0 * wave(i, j));
        values[[0, 0]] = f64::NAN;
        let name = |i| if i < 122 { unit_name(i) } else { format!("unit {i}") };
        let (rows, columns): (Vec<_>, Vec<_>) = ((0..n_rows).map(name).collect(), (0..n_columns).map(name).collect());
        let scene = matrix::scene(values.view(), &rows, &columns, &matrix_options()).unwrap();
        check_layout(&scene, &format!("matrix {n_rows} x {n_columns}"));
        assert!(shows(&scene, "unit whose image is shown"), "{n_rows} x {n_columns}");
    }
}

#[test]
fn matrix_scales() {
    let names = unit_names(3);
    let bar = |values: [f64; 9], limit| {
        let values = Array2::from_shape_vec((3, 3), values.to_vec()).unwrap();
        let scene = matrix::scene(values.view(), &names, &names, &MatrixOptions { limit, ..matrix_options() }).unwrap();
        texts(&scene).iter().map(|t| t.text.clone()).collect::<Vec<_>>()
    };
    let positive = bar([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], None);
    assert!(positive.contains(&"8".into()) && !positive.iter().any(|t| t.starts_with('−')), "{positive:?}");
    let signed = bar([-1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], Some(4.0));
    assert!(signed.contains(&"−4".into()) && signed.contains(&"response (z) (clipped)".into()), "{signed:?}");
    let nothing = bar([f64::NAN; 9], None);
    assert!(nothing.contains(&"1.0".into()), "{nothing:?}");
    assert!(bar([0.0; 9], None).contains(&"1.0".into()));
}

fn curve_series(n: usize, points: usize) -> Vec<CurveSeries> {
    let one = |i: usize, name: String| {
        let value = |k: usize| 0.5 + (k as f64 / points as f64).sqrt() * (1.0 + 0.5 * wave(i, 0));
        CurveSeries {
            name,
            points: (0..points).map(|k| (k as f64 * 0.25, value(k))).collect(),
            band: (i < 2).then(|| (0..points).map(|k| (0.8 * value(k), 1.3 * value(k))).collect()),
        }
    };
    unit_names(n).into_iter().enumerate().map(|(i, name)| one(i, name)).collect()
}

#[test]
fn curves_layout() {
    for n in COUNTS.into_iter().chain([12]) {
        for (log_x, log_y, points) in [(false, false, 9), (true, false, 300), (true, true, 9)] {
            let mut series = curve_series(n, points);
            series[0].points[4].1 = f64::NAN;
            let options = CurveOptions {
                title: "Response over the size of the change".into(),
                x_label: "epsilon (8-bit levels)".into(),
                y_label: "response (z)".into(),
                log_x,
                log_y,
                references: vec![
                    ("best natural image".into(), 1.3),
                    ("99th percentile of natural images".into(), 1.28),
                    ("zero".into(), 0.0),
                ],
            };
            let scene = curves::scene(&series, &options).unwrap();
            check_layout(&scene, &format!("curves {n} {log_x} {log_y}"));
            assert!(shows(&scene, "best natural image") && shows(&scene, "epsilon (8-bit levels)"));
            let gap = if log_x { 1 } else { 0 };
            let markers = scene.items.iter().filter(|i| matches!(i, Item::Circle { .. })).count();
            assert!(points > 40 || n > 24 || markers == n * (points - gap) - 1, "{n}: {markers} markers");
        }
    }
}

#[test]
fn files_of_every_figure() {
    let keep = std::env::var_os("ORTHOSCOPE_FIGURES");
    let dir = tempfile::tempdir().unwrap();
    let folder = keep.as_deref().map_or(dir.path(), Path::new);
    ranges(&units(33), &folder.join("ranges"), &RangeOptions::default()).unwrap();
    let names = unit_names(33);
    matrix(Array2::from_elem((33, 33), 0.5).view(), &names, &names, &folder.join("matrix"), &matrix_options()).unwrap();
    curves(&curve_series(3, 9), &folder.join("curves"), &CurveOptions::default()).unwrap();
    for stem in ["ranges", "matrix", "curves"] {
        let picture = image::open(folder.join(format!("{stem}.png"))).unwrap();
        let svg = std::fs::read_to_string(folder.join(format!("{stem}.svg"))).unwrap();
        assert!(svg.contains(&format!("width=\"{}\"", picture.width() / 2)), "{stem}: both files have one size");
    }
}

#[test]
fn nothing_to_draw_is_an_error_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let stem = dir.path().join("x");
    let empty = MosaicRow { label: "a".into(), cells: vec![None] };
    let cell = |dim| Some(MosaicCell { image: Array3::zeros(dim), caption: String::new() });
    let row = |cells| MosaicRow { label: "a".into(), cells };
    let header = headers()[..1].to_vec();
    assert!(mosaic(&[], &header, &stem, "").is_err());
    assert!(mosaic(&[empty], &header, &stem, "").is_err());
    assert!(mosaic(&[row(vec![cell((4, 4, 1))])], &header, &stem, "").is_err());
    assert!(mosaic(&[row(vec![cell((0, 4, 3))])], &header, &stem, "").is_err());
    assert!(mosaic(&[row(vec![cell((4, 4, 3)), None])], &header, &stem, "").is_err());
    assert!(tiles(&[], &stem, "").is_err());
    assert!(ranges(&[], &stem, &RangeOptions::default()).is_err());
    let descending = UnitRange { natural: Some([0.0, 2.0, 1.0, 3.0, 4.0]), ..Default::default() };
    assert!(ranges(&[descending], &stem, &RangeOptions::default()).is_err());
    assert!(matrix(Array2::zeros((0, 3)).view(), &[], &unit_names(3), &stem, &MatrixOptions::default()).is_err());
    assert!(
        matrix(Array2::zeros((3, 3)).view(), &unit_names(2), &unit_names(3), &stem, &MatrixOptions::default()).is_err()
    );
    assert!(curves(&[], &stem, &CurveOptions::default()).is_err());
    let short = CurveSeries { points: vec![(0.0, 1.0); 3], band: Some(vec![(0.0, 1.0)]), ..Default::default() };
    assert!(curves(&[short], &stem, &CurveOptions::default()).is_err());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
