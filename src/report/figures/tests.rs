use super::super::scene::Item;
use super::unit_tests::{COUNTS, check_layout, shows, unit_name, unit_names};
use super::*;
use ndarray::{Array2, Array3, Array4};
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

fn picture(height: usize, width: usize, k: usize) -> Array3<u8> {
    Array3::from_shape_fn((height, width, 3), |(y, x, c)| (127.0 + 120.0 * wave(y / 8 + c, x / 8 + k, 0)) as u8)
}

fn mosaic_rows(n: usize) -> Vec<MosaicRow> {
    let cell =
        |i: usize, k: usize| MosaicCell { image: picture(40 + k, 40, i + k), caption: response_caption(wave(i, k, 0)) };
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
    let (row, header) = (|cells| MosaicRow { label: "a".into(), cells }, &two[..1]);
    let cell = |dim| Some(MosaicCell { image: Array3::zeros(dim), caption: String::new() });
    assert!(mosaic(&[], header, &stem, "").is_err());
    assert!(mosaic(&[row(vec![None])], header, &stem, "").is_err());
    assert!(mosaic(&[row(vec![cell((4, 4, 1))])], header, &stem, "").is_err());
    assert!(mosaic(&[row(vec![cell((0, 4, 3))])], header, &stem, "").is_err());
    assert!(mosaic(&[row(vec![cell((4, 4, 3)), None])], header, &stem, "").is_err());
    assert!(tiles(&[], &stem, "").is_err());
    assert!(ranges(&[], &stem, &RangeOptions::default()).is_err());
    let descending = UnitRange { natural: Some([0.0, 2.0, 1.0, 3.0, 4.0]), ..Default::default() };
    assert!(ranges(&[descending], &stem, &RangeOptions::default()).is_err());
    assert!(matrix(Array2::zeros((0, 2)).view(), &[], &two, &stem, &MatrixOptions::default()).is_err());
    assert!(matrix(Array2::zeros((3, 2)).view(), &two, &two, &stem, &MatrixOptions::default()).is_err());
    assert!(curves(&[], &stem, &CurveOptions::default()).is_err());
    let short = CurveSeries { points: vec![(0.0, 1.0); 3], band: Some(vec![(0.0, 1.0)]), ..Default::default() };
    assert!(curves(&[short], &stem, &CurveOptions::default()).is_err());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    let message = trace(&[("a".into(), vec![])], &dir.path().join("no/folder"), &TraceOptions::default()).unwrap_err();
    assert!(message.to_string().contains("no/folder.png"), "{message}");
}

#[test]
fn sheets_have_full_rows_where_possible() {
    assert_eq!([1, 2, 12, 16, 28, 24].map(|n| columns(n, 8)), [1, 2, 4, 4, 7, 6]);
    assert!(columns(17, 8) >= 5 && columns(400, 8) <= 8);
}

/// Filters of a compact model: colours, depthwise kernels, maps of a readout; some of them gone.
#[test]
fn a_page_of_filters() {
    let row = |title: &str, n: usize, shape: (usize, usize, usize), gone: usize| FilterRow {
        title: title.into(),
        tiles: (0..n)
            .map(|k| FilterTile {
                label: (k * 7 % n).to_string(),
                weights: Array3::from_shape_fn(shape, |(c, y, x)| 0.2 * wave(y + c, x, k) as f32),
                gone: k < gone,
            })
            .collect(),
    };
    let rows = [
        row("layer0: 48 colour filters, 5 x 5", 48, (3, 5, 5), 20),
        row("layer1.depth: 60 depthwise kernels, 5 x 5", 60, (1, 5, 5), 31),
        row("layer2.depth: 3 depthwise kernels, 5 x 5", 3, (1, 5, 5), 0),
        row("response: 3 readout maps, 28 x 28, red excites, blue inhibits", 3, (1, 28, 28), 1),
    ];
    let note = "In the order in which they would go, the first to go first; crossed out: gone.".to_owned();
    let options = FilterPageOptions { title: "Filters of compact_model_190923_neuron0".into(), note };
    check_layout(&super::filter_page::scene(&rows, &options).unwrap(), "filters");
    with_folder(|folder| {
        filter_page(&rows, &folder.join("filters_page"), &options).unwrap();
        drawn(folder, "filters_page");
    });
    // Very many, one weight, and numbers that are none.
    let many = row("wide: 512 depthwise kernels, 3 x 3", 512, (1, 3, 3), 100);
    check_layout(&super::filter_page::scene(&[many], &FilterPageOptions::default()).unwrap(), "filters");
    let mut odd = row("flat: 1 filter, 5 x 5", 1, (1, 5, 5), 0);
    odd.tiles[0].weights.fill(0.0);
    check_layout(&super::filter_page::scene(&[odd.clone()], &FilterPageOptions::default()).unwrap(), "filters");
    odd.tiles[0].weights = Array3::zeros((2, 5, 5));
    let dir = tempfile::tempdir().unwrap();
    for wrong in [vec![odd], vec![], vec![FilterRow::default()]] {
        let error = filter_page(&wrong, &dir.path().join("x"), &FilterPageOptions::default()).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
