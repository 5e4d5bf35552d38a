//! What `ffprobe` says about a movie.

use super::Programs;
use crate::error::{Error, Result};
use crate::warning::Warning;
use serde::Deserialize;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Longest side of a frame, pixels.
const MOST_PIXELS: usize = 16_384;

/// Bytes of the text that a program says about its failure.
const SAID: usize = 300;

/// What is needed to decode a movie.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    pub path: PathBuf,
    pub ffmpeg: PathBuf,
    /// Height and width as shown.
    pub size: (usize, usize),
    /// Frames in so many seconds.
    pub rate: (u64, u64),
    /// Seconds of the video, where the file says so.
    seconds: Option<f64>,
    pub warnings: Vec<Warning>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    streams: Vec<Stream>,
    format: Option<Format>,
}

#[derive(Deserialize)]
struct Format {
    duration: Option<String>,
}

#[derive(Deserialize)]
struct Stream {
    width: Option<usize>,
    height: Option<usize>,
    avg_frame_rate: Option<String>,
    r_frame_rate: Option<String>,
    sample_aspect_ratio: Option<String>,
    duration: Option<String>,
    #[serde(default)]
    side_data_list: Vec<SideData>,
}

#[derive(Deserialize)]
struct SideData {
    rotation: Option<f64>,
}

/// The file for a program, absolute, so that no name is taken for an option or an address.
pub(super) fn input(path: &Path) -> Result<OsString> {
    let mut input = OsString::from("file:");
    input.push(std::path::absolute(path).map_err(Error::io(path, "read"))?);
    Ok(input)
}

/// What is said where a program cannot be started.
pub(super) fn not_started(program: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let program = program.display().to_string();
    move |error| match error.kind() {
        ErrorKind::NotFound => Error::invalid(
            "movie",
            format!("an installed program `{program}`"),
            "none in PATH",
            "install ffmpeg (it brings ffprobe), or turn the movie into a folder of frames elsewhere",
        ),
        _ => Error::io(program, "start")(error),
    }
}

/// A program's own words, in short.
pub(super) fn said(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(&stderr[..stderr.len().min(16 * SAID)]).into_owned();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).take(2).collect();
    lines.join("; ").chars().take(SAID).collect()
}

/// `30000/1001`, positive.
fn ratio(text: Option<&str>, sign: char) -> Option<(u64, u64)> {
    let (a, b) = text?.split_once(sign)?;
    let (a, b) = (a.parse().ok()?, b.parse().ok()?);
    (a > 0 && b > 0).then_some((a, b))
}

impl Probe {
    /// Asks.
    pub fn of(path: &Path, programs: &Programs) -> Result<Self> {
        let entries = "stream=width,height,avg_frame_rate,r_frame_rate,sample_aspect_ratio,duration\
                       :stream_side_data=rotation:format=duration";
        let output = Command::new(&programs.ffprobe)
            .args(["-v", "error", "-protocol_whitelist", "file", "-select_streams", "v:0"])
            .args(["-show_entries", entries, "-of", "json"])
            .arg(input(path)?)
            .stdin(Stdio::null())
            .output()
            .map_err(not_started(&programs.ffprobe))?;
        let bad = |found: String| {
            let hint = "is it a movie, and whole? `ffprobe FILE` says more";
            Error::corrupt(path, "a movie that ffprobe understands", found, hint)
        };
        if !output.status.success() {
            return Err(bad(said(&output.stderr)));
        }
        let answer: Answer = serde_json::from_slice(&output.stdout).map_err(|e| bad(format!("its answer is {e}")))?;
        let Some(mut stream) = answer.streams.into_iter().next() else {
            return Err(bad("no video in it".into()));
        };
        // Matroska knows the length of the whole alone.
        stream.duration = stream.duration.or(answer.format.and_then(|format| format.duration));
        Self::from_stream(path, programs, &stream).ok_or_else(|| {
            let size = |side: Option<usize>| side.map_or("?".into(), |n| n.to_string());
            let (width, height) = (size(stream.width), size(stream.height));
            let rate = stream.avg_frame_rate.as_deref().unwrap_or("?");
            bad(format!("{width} x {height} px, {rate} frames a second"))
        })
    }

    fn from_stream(path: &Path, programs: &Programs, stream: &Stream) -> Option<Self> {
        let within = |side: Option<usize>| side.filter(|n| (1..=MOST_PIXELS).contains(n));
        let (mut height, mut width) = (within(stream.height)?, within(stream.width)?);
        let nominal = ratio(stream.r_frame_rate.as_deref(), '/');
        let rate = ratio(stream.avg_frame_rate.as_deref(), '/').or(nominal)?;
        // ffmpeg turns frames as a player does.
        let turned = |d: &SideData| d.rotation.is_some_and(|r| (r.abs() % 180.0 - 90.0).abs() < 45.0);
        if stream.side_data_list.iter().any(turned) {
            (height, width) = (width, height);
        }
        let mut warnings = Vec::new();
        let hz = |(a, b): (u64, u64)| a as f64 / b as f64;
        if let Some(nominal) = nominal.filter(|&n| (hz(n) / hz(rate) - 1.0).abs() > 0.01) {
            let text = format!(
                "{}: its frames come at irregular times ({:.3} a second on average, {:.3} at the shortest distance); \
                 they were brought to the average rate",
                path.display(),
                hz(rate),
                hz(nominal)
            );
            warnings.push(Warning::Note { text });
        }
        if ratio(stream.sample_aspect_ratio.as_deref(), ':').is_some_and(|(a, b)| a != b) {
            let aspect = stream.sample_aspect_ratio.as_deref().unwrap_or_default();
            let text = format!("{}: its pixels are not square ({aspect}) and were taken as they are", path.display());
            warnings.push(Warning::Note { text });
        }
        let seconds = stream.duration.as_deref().and_then(|s| s.parse().ok()).filter(|s: &f64| s.is_finite());
        let (path, ffmpeg) = (path.to_path_buf(), programs.ffmpeg.clone());
        Some(Self { path, ffmpeg, size: (height, width), rate, seconds, warnings })
    }

    /// Bytes of a frame.
    pub fn n_bytes(&self) -> usize {
        self.size.0 * self.size.1 * 3
    }

    /// Refuses a movie that ends earlier than it says: a copy that was cut off.
    pub fn check_length(&self, n_frames: usize) -> Result<()> {
        let expected = self.seconds.map_or(1.0, |s| s * self.rate.0 as f64 / self.rate.1 as f64);
        // A container's duration may round up, and hold the last frame for longer.
        if n_frames > 0 && n_frames as f64 >= 0.98 * expected - 2.0 {
            return Ok(());
        }
        let hint = "the file is truncated or damaged: copy it again";
        let expected = format!("{expected:.0} frames, as the file says");
        Err(Error::corrupt(&self.path, expected, format!("{n_frames} that can be decoded"), hint))
    }
}
