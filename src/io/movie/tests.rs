//! With stand-ins for the programs (`stand_in/`), whose movies are a line for each and frames as they
//! are; and with the real ones where they are installed.

use super::*;
use std::process::Command;

fn stand_ins() -> Programs {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/io/movie/stand_in");
    Programs { ffmpeg: folder.join("ffmpeg.sh"), ffprobe: folder.join("ffprobe.sh") }
}

const ANSWER: &str =
    r#"{"streams":[{"width":3,"height":2,"avg_frame_rate":"30000/1001","r_frame_rate":"30000/1001"}]}"#;

fn frame(i: usize) -> Array3<u8> {
    Array3::from_shape_fn((2, 3, 3), |(y, x, c)| (20 * i + 9 * y + 3 * x + c) as u8)
}

/// What ffprobe answers, what ffmpeg does in the end (`exit 0`), and the frames.
fn movie(folder: &Path, answer: &str, end: &str, n_frames: usize) -> PathBuf {
    let mut bytes = format!("{answer}\n{end}\n").into_bytes();
    (0..n_frames).for_each(|i| bytes.extend(frame(i).iter()));
    let path = folder.join("-movie.mp4");
    std::fs::write(&path, bytes).unwrap();
    path
}

fn open(path: &Path) -> Result<Movie> {
    Movie::open(path, &stand_ins(), &Cancel::default())
}

#[test]
fn frames_come_in_order_forward_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = movie(dir.path(), ANSWER, "exit 0", 9);
    let movie = open(&path).unwrap();
    assert_eq!((movie.n_images(), movie.size()), (9, (2, 3)));
    assert!((movie.frame_rate_hz() - 29.97).abs() < 1e-3 && movie.warnings().is_empty());
    assert_eq!(movie.names()[8], "frame000009");
    for range in [0..4, 4..5, 7..9, 2..6, 3..3, 0..9, 8..9] {
        let expected: Vec<_> = range.clone().map(frame).collect();
        assert_eq!(movie.read(range).unwrap(), expected);
    }
    assert!(movie.read(5..10).is_err());
    let frames = open_frames(&path, &stand_ins(), &Cancel::default()).unwrap();
    assert!((frames.frame_rate_hz.unwrap() - 29.97).abs() < 1e-3);
}

#[test]
fn a_movie_that_cannot_be_decoded_whole_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let error = |answer: &str, end: &str, n: usize| {
        let error = open(&movie(dir.path(), answer, end, n)).map(|_| ()).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        error.to_string()
    };
    assert!(error(ANSWER, "echo moov atom not found >&2; exit 1", 5).contains("moov atom not found"));
    assert!(error(ANSWER, "printf half; exit 0", 5).contains("half of frame 5"));
    assert!(error("{\"streams\":[]}", "exit 0", 5).contains("no video"));
    assert!(error("not json", "exit 0", 5).contains("a movie that ffprobe understands"));
    assert!(error("fail Invalid data found", "exit 0", 5).contains("Invalid data found"));
    assert!(error(&ANSWER.replace(":3,", ":300000,"), "exit 0", 5).contains("300000 x 2 px"));
    assert!(error(&ANSWER.replace("/1001", "/0"), "exit 0", 5).contains("30000/0"));
    // Ten seconds are 300 frames.
    let ten = ANSWER.replace("}]}", ",\"duration\":\"10.01\"}]}");
    assert!(error(&ten, "exit 0", 200).contains("expected 300 frames, as the file says, found 200"));
    assert!(open(&movie(dir.path(), &ten, "exit 0", 299)).is_ok());
    let whole = ANSWER.replace("}]}", "}],\"format\":{\"duration\":\"10.01\"}}");
    assert!(error(&whole, "exit 0", 200).contains("found 200"));
    assert!(error(ANSWER, "exit 0", 0).contains("found 0"));
}

#[test]
fn what_is_odd_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let said = |answer: &str, end: &str| {
        let movie = open(&movie(dir.path(), answer, end, 5)).unwrap();
        (movie.size(), movie.warnings().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    };
    let irregular = ANSWER.replace("\"avg_frame_rate\":\"30000/1001\"", "\"avg_frame_rate\":\"24/1\"");
    assert!(said(&irregular, "exit 0").1.contains("irregular times"));
    let wide = ANSWER.replace("}]}", ",\"sample_aspect_ratio\":\"4:3\"}]}");
    assert!(said(&wide, "exit 0").1.contains("not square (4:3)"));
    assert!(said(ANSWER, "echo co located POCs unavailable >&2").1.contains("with complaints: co located"));
    let turned = ANSWER.replace("}]}", ",\"side_data_list\":[{\"rotation\":-90}]}]}");
    assert_eq!(said(&turned, "exit 0").0, (3, 2));
}

#[test]
fn absent_programs_and_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = movie(dir.path(), ANSWER, "exit 0", 3);
    let none = Programs { ffmpeg: "ffmpeg-of-nobody".into(), ..stand_ins() };
    let error = Movie::open(&path, &none, &Cancel::default()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("an installed program `ffmpeg-of-nobody`"), "{error}");
    assert!(error.hint().unwrap().contains("install ffmpeg"));
    assert_eq!(open(&dir.path().join("none.mp4")).map(|_| ()).unwrap_err().exit_code(), 2);
    assert!(open(dir.path()).is_err());
}

/// The stand-in would go on for ever: only a kill ends it.
#[test]
fn a_request_to_stop_ends_the_program() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let end = format!("echo $$ > {}; while :; do printf 123456789012345678; sleep 0.01; done", pid.display());
    let path = movie(dir.path(), ANSWER, &end, 2);
    let cancel = Cancel::default();
    let asked = cancel.clone();
    let waits = pid.clone();
    let asking = std::thread::spawn(move || {
        while std::fs::read_to_string(&waits).map_or(true, |text| text.is_empty()) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        asked.cancel();
    });
    let stopped = Movie::open(&path, &stand_ins(), &cancel).map(|_| ());
    asking.join().unwrap();
    assert!(matches!(stopped, Err(Error::Interrupted { .. })), "{stopped:?}");
    let pid = std::fs::read_to_string(&pid).unwrap();
    assert!(!Path::new("/proc/self").exists() || !Path::new("/proc").join(pid.trim()).exists(), "it runs on");
}

#[test]
fn a_real_movie_has_its_frames() {
    let runs = |name: &str| Command::new(name).arg("-version").output().is_ok_and(|o| o.status.success());
    if !runs("ffmpeg") || !runs("ffprobe") {
        println!("skipped: ffmpeg and ffprobe are not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a b.avi");
    // Lossless: FFV1 in RGB, one grey level a frame.
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "color=black:size=32x16:rate=15:duration=2,format=gbrp"])
        .args(["-vf", "geq=r='8*N':g='4*N':b='255-8*N',format=bgr0", "-c:v", "ffv1"])
        .arg(&path)
        .status()
        .unwrap();
    assert!(made.success());
    let movie = Movie::open(&path, &Programs::default(), &Cancel::default()).unwrap();
    assert_eq!((movie.n_images(), movie.size(), movie.frame_rate_hz()), (30, (16, 32), 15.0));
    for range in [0..3, 3..30, 11..12] {
        for (i, pixels) in range.clone().zip(movie.read(range.clone()).unwrap()) {
            let colour = [8 * i as u8, 4 * i as u8, 255 - 8 * i as u8];
            assert!(pixels.indexed_iter().all(|((_, _, c), &v)| v == colour[c]), "frame {i}: {}", pixels[(0, 0, 0)]);
        }
    }
    for ending in ["avi", "mkv"] {
        let copy = dir.path().join(format!("copy.{ending}"));
        let mut command = Command::new("ffmpeg");
        assert!(
            command.args(["-v", "error", "-i"]).arg(&path).args(["-c", "copy"]).arg(&copy).status().unwrap().success()
        );
        assert_eq!(Movie::open(&copy, &Programs::default(), &Cancel::default()).unwrap().n_images(), 30);
        let whole = std::fs::read(&copy).unwrap();
        std::fs::write(&copy, &whole[..whole.len() / 2]).unwrap();
        let error = Movie::open(&copy, &Programs::default(), &Cancel::default()).map(|_| ()).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
    }
}
