//! Charts and matrices: what is on them, that no label touches another or leaves the sheet, and
//! what they refuse.

use super::super::scene::{Align, Area, Item, Scene, Text, text_width};
use super::*;
use ndarray::Array2;

pub(super) const COUNTS: [usize; 4] = [1, 3, 33, 122];

pub(super) fn unit_name(i: usize) -> String {
    format!("compact_model_{}_neuron{}", ["190923", "190925", "201025", "210325"][i / 33], i % 33)
}

pub(super) fn unit_names(n: usize) -> Vec<String> {
    (0..n).map(unit_name).collect()
}

/// A wave in -1..1 that stands in for data; nothing here is compared with a computed value.
fn wave(i: usize, k: usize) -> f64 {
    ((i * 37 + k * 11) as f64 * 0.73).sin()
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
pub(super) fn check_layout(scene: &Scene, name: &str) {
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
            Item::Line { points, .. } | Item::Polygon { points, .. } => points.clone(),
            Item::Circle { x, y, r, .. } => vec![(x - r, y - r), (x + r, y + r)],
            Item::Text(_) => Vec::new(),
        };
        let inside =
            |p: &(f64, f64)| p.0 >= -0.5 && p.1 >= -0.5 && p.0 <= scene.width + 0.5 && p.1 <= scene.height + 0.5;
        assert!(ends.iter().all(inside), "{name}: {item:?} leaves the sheet");
    }
}

/// The layout of a chart, and its files: in a folder to look at when `ORTHOSCOPE_FIGURES` names
/// one.
pub(super) fn check_chart(scene: &Scene, name: &str) {
    check_layout(scene, name);
    let dir = tempfile::tempdir().unwrap();
    let folder = std::env::var_os("ORTHOSCOPE_FIGURES").map_or(dir.path().to_path_buf(), Into::into);
    scene.save(&folder.join(name)).unwrap();
    let picture = image::open(folder.join(format!("{name}.png"))).unwrap().to_rgb8();
    let svg = std::fs::read_to_string(folder.join(format!("{name}.svg"))).unwrap();
    assert!(svg.contains(&format!("width=\"{}\"", picture.width() / 2)), "{name}: both files have one size");
    assert!(picture.pixels().filter(|p| p.0 != [255; 3]).count() > 1000, "{name}: next to nothing was drawn");
}

pub(super) fn shows(scene: &Scene, text: &str) -> bool {
    texts(scene).iter().any(|t| t.text == text)
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
        check_chart(&scene, &format!("ranges_{n}"));
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
            let scene = curves::scene(&series, &options, 40).unwrap();
            check_chart(&scene, &format!("curves_{n}_{log_x}_{log_y}"));
            assert!(shows(&scene, "best natural image") && shows(&scene, "epsilon (8-bit levels)"));
            let gap = if log_x { 1 } else { 0 };
            let markers = scene.items.iter().filter(|i| matches!(i, Item::Circle { .. })).count();
            assert!(points > 40 || n > 24 || markers == n * (points - gap) - 1, "{n}: {markers} markers");
        }
    }
}

fn layer_names(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("module.features.stage{}.block{}.branch_pool_proj.squeeze", i / 4, i % 4)).collect()
}

#[test]
fn traces_layout() {
    let falling = |a: f64| (0..400).map(|s| (f64::from(s) * 2.0, a * (-f64::from(s) / 60.0).exp() + 0.03)).collect();
    let mut series: Vec<(String, Vec<(f64, f64)>)> =
        vec![("mean |R|".into(), falling(0.5)), ("max".into(), falling(0.9))];
    series[0].1[200].1 = f64::NAN;
    series.push(("after blur, shift and rescale".into(), (0..8).map(|s| (f64::from(s) * 100.0, 0.2)).collect()));
    let options =
        |log_y| TraceOptions { log_y, references: vec![("random: 0.072".into(), 0.072)], ..Default::default() };
    for (name, log_y) in [("trace", false), ("trace_log", true)] {
        let scene = curves::trace_scene(&series, &options(log_y)).unwrap();
        check_chart(&scene, name);
        assert!(["random: 0.072", "mean |R|", "step"].into_iter().all(|text| shows(&scene, text)), "{name}");
        let long = |i: &&Item| matches!(i, Item::Line { points, .. } if points.len() > 100);
        assert_eq!(scene.items.iter().filter(long).count(), 3, "{name}: what is no number interrupts its line");
    }
    let values: [(&str, &[(f64, f64)]); 5] = [
        ("negative", &[(0.0, -3.0), (1.0, -1.0), (2.0, 4.0)]),
        ("nothing", &[]),
        ("undefined", &[(0.0, f64::NAN), (1.0, f64::INFINITY)]),
        ("tiny", &[(0.0, 1.0), (1.0, 1.0 + 1e-9)]),
        ("large", &[(1e7, -3e9), (4e7, 5e9)]),
    ];
    for (name, points) in values {
        check_chart(&curves::trace_scene(&[(name.into(), points.to_vec())], &options(false)).unwrap(), name);
    }
}

#[test]
fn bars_layout() {
    for (n, n_series, scale) in [(1, 1, 2e5), (2, 1, -1e-7), (3, 16, 0.2), (12, 2, 0.2), (40, 1, 0.2), (40, 3, -0.2)] {
        let one = |k: usize| BarSeries {
            name: format!("subject {k:02}"),
            values: (0..n).map(|g| if g == 4 { f64::NAN } else { scale * (1.2 + wave(g, k)) }).collect(),
            errors: (k != 1).then(|| (0..n).map(|g| [0.9, 1.4].map(|f| f * scale * (1.2 + wave(g, k)))).collect()),
        };
        let series: Vec<BarSeries> = (0..n_series).map(one).collect();
        let references = vec![("ceiling".into(), 1.3 * scale), ("chance".into(), 0.0)];
        let options = BarOptions { title: "Layers".into(), y_label: "r".into(), references, short_names: false };
        let (scene, name) = (bars::scene(&layer_names(n), &series, &options).unwrap(), format!("bars_{n}_{n_series}"));
        check_chart(&scene, &name);
        assert!(shows(&scene, "ceiling") && shows(&scene, "n/a") == (n > 4), "{name}");
        assert_eq!(shows(&scene, "subject 00"), n_series > 1, "{name}: one series needs no legend");
        let drawn = scene.items.iter().filter(|i| matches!(i, Item::Rect { .. })).count();
        assert_eq!(drawn, n_series * (n - usize::from(n > 4)), "{name}: one rectangle per number");
        let telling = |t: &&&Text| ["module", "stage", "block"].iter().any(|start| t.text.starts_with(start));
        let named = texts(&scene).iter().filter(telling).count();
        assert_eq!(named, n, "{name}: every group has a name that says what it is");
    }
}

#[test]
fn scatter_layout() {
    let point = |i: usize| Point {
        label: ["plain", "jitter", "jitter + blur", "all (default)"][i % 4].into(),
        group: format!("{} images", 16 + 8 * (i / 4)),
        x: 0.02 + 0.004 * (i % 4) as f64 + 0.01 * (i / 4) as f64,
        y: 0.3 - 0.08 * (i % 4) as f64 + 0.003 * (i / 4) as f64,
    };
    let points: Vec<Point> = (0..12).map(point).chain([Point { x: f64::NAN, ..point(0) }]).collect();
    for (name, log) in [("tradeoff", false), ("tradeoff_log", true)] {
        let (x_references, y_references) = (vec![("chance (x)".into(), 0.072)], vec![("chance (y)".into(), 0.072)]);
        let labels = ("mean |R| of the written images".into(), "after shift, blur and rescale".into());
        let options = ScatterOptions {
            x_label: labels.0,
            y_label: labels.1,
            x_references,
            y_references,
            log,
            ..Default::default()
        };
        let scene = points::scene(&points, &ScatterOptions { diagonal: true, ..options }).unwrap();
        check_chart(&scene, name);
        let circles = scene.items.iter().filter(|i| matches!(i, Item::Circle { .. })).count();
        assert!(circles == 12 && shows(&scene, "chance (x)") && shows(&scene, "jitter + blur"), "{name}: {circles}");
    }
    check_chart(&points::scene(&points[12..], &ScatterOptions::default()).unwrap(), "scatter_undefined");
}
