use super::*;
use ndarray::{Array2, Array4};
use std::path::Path;

/// A wave in -1..1 that stands in for data; nothing here is compared with a computed value.
fn wave(i: usize, j: usize, k: usize) -> f64 {
    ((i * 7 + j * 7 + i * j * (k + 3)) as f64 * 0.37 + k as f64).sin()
}

fn taps() -> Vec<String> {
    [
        "conv1/7x7_s2",
        "conv2/3x3",
        "inception_3a/output",
        "inception_3b/output",
        "inception_4a/output",
        "inception_4b/output",
    ]
    .into_iter()
    .chain(["inception_4c/output", "inception_4d/output", "inception_4e/output", "inception_5a/output"])
    .chain(["inception_5b/output", "a_layer_with_a_very_long_name/and_a_branch/of_its_own"])
    .map(String::from)
    .collect()
}

fn layers(n: usize) -> Vec<(String, Array2<f64>)> {
    taps()
        .into_iter()
        .enumerate()
        .map(|(k, tap)| (tap, Array2::from_shape_fn((n, n), |(i, j)| 0.4 * wave(i, j, k))))
        .collect()
}

/// Where figures go: a folder to look at when `ORTHOSCOPE_FIGURES` names one, else a temporary one.
fn with_folder(check: impl FnOnce(&Path)) {
    match std::env::var_os("ORTHOSCOPE_FIGURES") {
        Some(folder) => check(Path::new(&folder)),
        None => check(tempfile::tempdir().unwrap().path()),
    }
}

/// The picture has some size and more than one colour.
fn drawn(folder: &Path, stem: &str) -> image::RgbImage {
    let picture = image::open(folder.join(format!("{stem}.png"))).unwrap().to_rgb8();
    assert!(picture.width() >= 100 && picture.height() >= 100, "{stem}: {:?}", picture.dimensions());
    let first = *picture.get_pixel(0, 0);
    let inked = picture.pixels().filter(|p| **p != first).count();
    assert!(inked > 500, "{stem}: {inked} pixels differ from the background");
    picture
}

fn svg(folder: &Path, stem: &str) -> String {
    std::fs::read_to_string(folder.join(format!("{stem}.svg"))).unwrap()
}

#[test]
fn contact_sheets_of_several_sizes() {
    with_folder(|folder| {
        for (n, size) in [(1, 96), (7, 96), (16, 224), (28, 128)] {
            let images = Array4::from_shape_fn((n, size, size, 3), |(i, y, x, c)| {
                (127.0 + 120.0 * wave(i + y / 8, x / 8, c)) as u8
            });
            let labels: Vec<String> = (0..n)
                .map(|i| if i == 3 { "a_long_file_name_of_a_photograph_0001.png".into() } else { format!("{i:03}") })
                .collect();
            let stem = format!("images_{n}");
            image_grid(images.view(), &labels, &folder.join(&stem)).unwrap();
            drawn(folder, &stem);
        }
    });
}

#[test]
fn contact_sheet_keeps_the_pixels() {
    let dir = tempfile::tempdir().unwrap();
    let images = Array4::from_shape_fn((4, 120, 120, 3), |(i, y, x, c)| (i * 60 + (x + y + c) % 50) as u8);
    image_grid(images.view(), &[], &dir.path().join("set.v1")).unwrap();
    let sheet = image::open(dir.path().join("set.v1.png")).unwrap().to_rgb8();
    // margin 10, pictures enlarged twice to 240 px, gap 6; two pixels per logical pixel
    for (i, x0, y0) in [(0, 20, 20), (1, 272, 20), (2, 20, 272), (3, 272, 272)] {
        for (x, y) in [(0, 0), (119, 0), (57, 80), (119, 119)] {
            let found = sheet.get_pixel(x0 + 2 * x, y0 + 2 * y).0;
            let expected: [u8; 3] = std::array::from_fn(|c| images[[i, y as usize, x as usize, c]]);
            assert_eq!(found, expected, "image {i}, pixel {x} {y}");
        }
    }
}

#[test]
fn fingerprints_of_twelve_layers() {
    with_folder(|folder| {
        for (n, entries) in [(16, Entries::Similarity), (28, Entries::Dissimilarity), (92, Entries::Similarity)] {
            let mut layers = layers(n);
            layers[2].1[[3, 5]] = f64::NAN;
            layers[2].1[[5, 3]] = f64::NAN;
            if entries == Entries::Dissimilarity {
                layers.iter_mut().for_each(|l| l.1.mapv_inplace(|v| 1.0 - v));
            }
            let options = FingerprintOptions {
                title: format!("Fingerprints of {n} images"),
                entries,
                sd: (0..12).map(|k| 0.05 + 0.01 * f64::from(k)).collect(),
                bar_label: if entries == Entries::Similarity { "Pearson r" } else { "1 − r" }.into(),
                ..Default::default()
            };
            let stem = format!("fingerprints_{n}");
            fingerprints(&layers, &folder.join(&stem), &options).unwrap();
            drawn(folder, &stem);
            let text = svg(folder, &stem);
            assert!(text.contains(">4a<") && text.contains("sd 0.050") && text.contains(&options.title));
            assert_eq!(text.contains("<image"), n == 92, "large matrices are bitmaps, small ones vector cells");
        }
    });
}

#[test]
fn second_order_numbers_axes_and_missing_values() {
    with_folder(|folder| {
        let matrix = |scale: f64| {
            let mut m = Array2::from_shape_fn(
                (12, 12),
                |(i, j)| if i == j { 1.0 } else { scale * wave(i.min(j), i.max(j), 1) },
            );
            m[[2, 7]] = f64::NAN;
            m
        };
        let matrices =
            [("natural photographs".to_string(), matrix(0.9)), ("synthesised, exported".to_string(), matrix(0.06))];
        let options =
            SecondOrderOptions { title: "Layer by layer correlation of fingerprints".into(), ..Default::default() };
        second_order(&matrices, &taps(), &folder.join("second_order"), &options).unwrap();
        drawn(folder, "second_order");
        let text = svg(folder, "second_order");
        assert!(text.contains("natural photographs") && text.contains(">5b<") && text.contains("rotate(-90)"));
        let many: Vec<String> = (0..57).map(|i| format!("features.{i}.expand3x3")).collect();
        let big = Array2::from_shape_fn((57, 57), |(i, j)| wave(i, j, 2));
        second_order(
            &[("57 layers".into(), big)],
            &many,
            &folder.join("second_order_57"),
            &SecondOrderOptions::default(),
        )
        .unwrap();
        drawn(folder, "second_order_57");
        let three = Array2::from_shape_fn((3, 3), |(i, j)| wave(i, j, 2));
        let names: Vec<String> = taps()[..3].to_vec();
        second_order(&[("three".into(), three)], &names, &folder.join("second_order_3"), &options).unwrap();
        drawn(folder, "second_order_3");
    });
}

#[test]
fn traces() {
    with_folder(|folder| {
        let curve = |a: f64| {
            (0..400).map(|s| (f64::from(s) * 2.0, a * (-f64::from(s) / 60.0).exp() + 0.03)).collect::<Vec<_>>()
        };
        let mut series = vec![("mean |R|".to_string(), curve(0.55)), ("max |R|".to_string(), curve(0.9))];
        series[0].1[200].1 = f64::NAN;
        series.push((
            "mean |R| after blur, shift and rescale".into(),
            (0..8).map(|s| (f64::from(s) * 100.0, 0.2)).collect(),
        ));
        for log_y in [false, true] {
            let stem = if log_y { "trace_log" } else { "trace" };
            let options = TraceOptions {
                title: "Optimisation".into(),
                y_label: "|R| between layers".into(),
                log_y,
                references: vec![("random RSMs: 0.072".into(), 0.072)],
                ..Default::default()
            };
            trace(&series, &folder.join(stem), &options).unwrap();
            drawn(folder, stem);
            assert!(svg(folder, stem).contains("random RSMs: 0.072"));
        }
        let negative = [("reward".to_string(), vec![(0.0, -3.0), (1.0, -1.0), (2.0, 4.0)])];
        trace(&negative, &folder.join("trace_negative"), &TraceOptions::default()).unwrap();
        drawn(folder, "trace_negative");
        let nothing = [("empty".to_string(), vec![])];
        trace(&nothing, &folder.join("trace_empty"), &TraceOptions::default()).unwrap();
    });
}

#[test]
fn bars_with_errors_gaps_and_negative_values() {
    with_folder(|folder| {
        let series = |name: &str, shift: f64| BarSeries {
            name: name.into(),
            values: (0..12).map(|g| if g == 4 { f64::NAN } else { 0.02 * g as f64 + shift }).collect(),
            errors: (shift > -0.04).then(|| vec![0.02; 12]),
        };
        let all = [series("Spearman", 0.0), series("Pearson", 0.02), series("Kendall tau-a", -0.05)];
        let options = BarOptions {
            title: "GoogLeNet layers against human IT".into(),
            y_label: "correlation of RDMs".into(),
            references: vec![("noise ceiling (lower bound)".into(), 0.31)],
            ..Default::default()
        };
        bars(&taps(), &all, &folder.join("bars"), &options).unwrap();
        drawn(folder, "bars");
        let text = svg(folder, "bars");
        assert!(text.contains("Kendall tau-a") && text.contains("n/a") && text.contains("noise ceiling"));
        let one = [BarSeries { name: "r".into(), values: vec![0.4, -0.2], errors: None }];
        bars(&taps()[..2], &one, &folder.join("bars_two"), &BarOptions::default()).unwrap();
        drawn(folder, "bars_two");
    });
}

#[test]
fn scatter_with_labels() {
    with_folder(|folder| {
        let points: Vec<Point> = (0..12)
            .map(|i| Point {
                label: ["plain", "jitter", "jitter + blur", "all (default)"][i % 4].into(),
                group: format!("{} images", 16 + 8 * (i / 4)),
                x: 0.02 + 0.004 * (i % 4) as f64 + 0.01 * (i / 4) as f64,
                y: 0.3 - 0.08 * (i % 4) as f64 + 0.003 * (i / 4) as f64,
            })
            .collect();
        let options = ScatterOptions {
            title: "The price of robustness".into(),
            x_label: "mean |R| of the exported images".into(),
            y_label: "mean |R| after shift, blur and rescale".into(),
            x_references: vec![("chance".into(), 0.072)],
            y_references: vec![("chance".into(), 0.072)],
            diagonal: true,
            ..Default::default()
        };
        scatter(&points, &folder.join("tradeoff"), &options).unwrap();
        drawn(folder, "tradeoff");
        assert!(svg(folder, "tradeoff").contains("jitter + blur"));
    });
}

#[test]
fn filter_mosaics() {
    with_folder(|folder| {
        let gabor = |i: usize, c: usize, y: usize, x: usize| {
            let (u, v) = (y as f64 - 3.0, x as f64 - 3.0);
            let angle = i as f64 * 0.2;
            ((u * angle.sin() + v * angle.cos() + c as f64 * (i % 3) as f64).cos() * (-(u * u + v * v) / 8.0).exp())
                as f32
        };
        let weights = Array4::from_shape_fn((64, 3, 7, 7), |(i, c, y, x)| gabor(i, c, y, x));
        filters(weights.view(), &folder.join("filters")).unwrap();
        drawn(folder, "filters");
        assert!(filters(Array4::zeros((4, 5, 3, 3)).view(), &folder.join("none")).is_err());
    });
}

#[test]
fn bad_input_is_an_error_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let stem = dir.path().join("x");
    let two = vec!["a".to_string(), "b".to_string()];
    assert!(image_grid(Array4::zeros((0, 4, 4, 3)).view(), &[], &stem).is_err());
    assert!(image_grid(Array4::zeros((3, 4, 4, 3)).view(), &two, &stem).is_err());
    assert!(fingerprints(&[], &stem, &FingerprintOptions::default()).is_err());
    assert!(fingerprints(&[("a".into(), Array2::zeros((2, 3)))], &stem, &FingerprintOptions::default()).is_err());
    assert!(second_order(&[("a".into(), Array2::zeros((3, 3)))], &two, &stem, &SecondOrderOptions::default()).is_err());
    assert!(trace(&[], &stem, &TraceOptions::default()).is_err());
    assert!(
        bars(&two, &[BarSeries { values: vec![1.0], ..Default::default() }], &stem, &BarOptions::default()).is_err()
    );
    assert!(scatter(&[], &stem, &ScatterOptions::default()).is_err());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    let message = trace(&[("a".into(), vec![])], &dir.path().join("no/folder"), &TraceOptions::default()).unwrap_err();
    assert!(message.to_string().contains("no/folder.png"), "{message}");
}

#[test]
fn sheets_have_full_rows_where_possible() {
    assert_eq!([1, 2, 12, 16, 28, 24].map(|n| columns(n, 8)), [1, 2, 4, 4, 7, 6]);
    assert!(columns(17, 8) >= 5 && columns(400, 8) <= 8);
}
