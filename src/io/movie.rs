//! Movies in any format that an installed `ffmpeg` decodes, as a source of frames.
//!
//! The programs `ffprobe` (size, frame rate) and `ffmpeg` (raw RGB, 8 bits, over a pipe) are started
//! directly, without a shell, and may read that one file only. Frame i is what is shown at `i / rate`
//! seconds: movies whose frames come at irregular times are brought to their average rate by ffmpeg's
//! `fps` filter, which leaves all others as they are.
//!
//! Frames are decoded one after the other. Who reads on gets the next ones at once, frames that are
//! skipped are decoded and dropped, and who goes back starts again from the first.

mod decoder;
mod probe;
#[cfg(test)]
mod tests;

use super::{images, source};
use crate::cancel::Cancel;
use crate::data::ImageSource;
use crate::data::image_source::check_range;
use crate::error::{Error, Result};
use crate::warning::Warning;
use decoder::Decoder;
use ndarray::Array3;
use probe::Probe;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Endings of files that [`open_frames`] takes for movies.
pub const ENDINGS: [&str; 12] = ["mp4", "m4v", "mov", "avi", "mkv", "webm", "mpg", "mpeg", "wmv", "flv", "ogv", "ts"];

/// The programs that decode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// `ffmpeg`, a path or a name that is looked for in `PATH`.
    pub ffmpeg: PathBuf,
    /// `ffprobe`.
    pub ffprobe: PathBuf,
}

impl Default for Programs {
    /// Those in `PATH`.
    fn default() -> Self {
        Self { ffmpeg: "ffmpeg".into(), ffprobe: "ffprobe".into() }
    }
}

/// Frames, and how many a second where that is known.
pub struct Frames {
    /// The frames in order.
    pub source: Box<dyn ImageSource>,
    /// Frames a second; `None` for sets of images, which do not say.
    pub frame_rate_hz: Option<f64>,
}

/// Opens frames: a movie where the file's ending is one of [`ENDINGS`], else a set of images as
/// [`images::open`] has it (a folder or zip of frames, an `.npy` array, a table).
///
/// # Errors
/// As [`Movie::open`] and [`images::open`].
pub fn open_frames(path: &Path, programs: &Programs, cancel: &Cancel) -> Result<Frames> {
    let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    if !ENDINGS.contains(&ending.as_str()) || source::about(path)?.is_dir() {
        return Ok(Frames { source: images::open(path)?, frame_rate_hz: None });
    }
    let movie = Movie::open(path, programs, cancel)?;
    let rate = movie.frame_rate_hz();
    Ok(Frames { source: Box::new(movie), frame_rate_hz: Some(rate) })
}

/// A movie's frames; all of one size.
pub struct Movie {
    probe: Probe,
    cancel: Cancel,
    names: Vec<String>,
    warnings: Vec<Warning>,
    decoder: Mutex<Option<Decoder>>,
}

impl Movie {
    /// Opens a movie and decodes it once, to count its frames and to see that it can be decoded to its
    /// end. `cancel` ends this and every later reading; no program is left running then, nor when the
    /// movie is dropped.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the programs are not installed; [`Error::Corrupt`] for what they cannot
    /// decode whole, a file without video, and one that holds fewer frames than it says;
    /// [`Error::Io`]; [`Error::Interrupted`].
    pub fn open(path: &Path, programs: &Programs, cancel: &Cancel) -> Result<Self> {
        source::open(path)?;
        let probe = Probe::of(path, programs)?;
        let mut decoder = Decoder::start(&probe)?;
        let mut n_frames = 0;
        while decoder.skip(&probe)? {
            cancel.check()?;
            n_frames += 1;
            if n_frames > MOST_FRAMES {
                let hint = "cut it into parts";
                return Err(Error::corrupt(path, format!("at most {MOST_FRAMES} frames"), "more", hint));
            }
        }
        let mut warnings = probe.warnings.clone();
        warnings.extend(decoder.end(&probe)?);
        probe.check_length(n_frames)?;
        let names = (1..=n_frames).map(|i| format!("frame{i:06}")).collect();
        Ok(Self { probe, cancel: cancel.clone(), names, warnings, decoder: Mutex::new(None) })
    }

    /// Frames a second: frame i is shown from `i / rate` on.
    pub fn frame_rate_hz(&self) -> f64 {
        self.probe.rate.0 as f64 / self.probe.rate.1 as f64
    }

    /// Height and width in pixels.
    pub fn size(&self) -> (usize, usize) {
        self.probe.size
    }

    fn read_on(&self, slot: &mut Option<Decoder>, range: Range<usize>) -> Result<Vec<Array3<u8>>> {
        if slot.as_ref().is_some_and(|decoder| decoder.next() > range.start) {
            *slot = None;
        }
        let decoder = match slot {
            Some(decoder) => decoder,
            None => slot.insert(Decoder::start(&self.probe)?),
        };
        let mut frames = Vec::with_capacity(range.len());
        while decoder.next() < range.end {
            self.cancel.check()?;
            if decoder.next() < range.start {
                decoder.must_skip(&self.probe)?;
            } else {
                frames.push(decoder.frame(&self.probe)?);
            }
        }
        Ok(frames)
    }
}

/// As many as a set of images may hold.
const MOST_FRAMES: usize = 1_000_000;

impl ImageSource for Movie {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    fn read(&self, range: Range<usize>) -> Result<Vec<Array3<u8>>> {
        check_range(&range, self.names.len())?;
        // A thread that panicked may have left half a frame unread: it is decoded again.
        let mut slot = self.decoder.lock().unwrap_or_else(|poisoned: PoisonError<_>| {
            let mut slot = poisoned.into_inner();
            *slot = None;
            slot
        });
        let frames = self.read_on(&mut slot, range);
        if frames.is_err() || slot.as_ref().is_some_and(|decoder| decoder.next() == self.names.len()) {
            *slot = None;
        }
        frames
    }
}
