//! Movies, one a run, as the frames of one set.

use super::config::{Config, FrameSampling};
use super::samples::{Samples, Time};
use crate::cancel::Cancel;
use crate::data::ImageSource;
use crate::encoding::features::FrameMap;
use crate::encoding::temporal::Sampling;
use crate::error::{Error, Result};
use crate::io::movie::{Frames, Programs, open_frames};
use crate::warning::Warning;
use ndarray::Array3;
use std::ops::Range;

/// The frames of several movies, those of a movie after those of the one before.
pub struct Joined {
    movies: Vec<Box<dyn ImageSource>>,
    /// Of every frame: `2/frame000017` of the second movie.
    names: Vec<String>,
    warnings: Vec<Warning>,
}

impl ImageSource for Joined {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn read(&self, range: Range<usize>) -> Result<Vec<Array3<u8>>> {
        let (mut out, mut first) = (Vec::new(), 0);
        for movie in &self.movies {
            let end = first + movie.n_images();
            let (from, to) = (range.start.clamp(first, end), range.end.clamp(first, end));
            if from < to {
                out.extend(movie.read(from - first..to - first)?);
            }
            first = end;
        }
        Ok(out)
    }

    fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}

/// Opens a movie for each run, and maps their frames to the samples of the runs.
///
/// # Errors
/// [`Error::Invalid`] for another number of movies than of runs, a frame rate that nobody says, and a
/// movie that is shorter than its run; whatever opening them says.
pub fn open(config: &Config, samples: &Samples) -> Result<(Joined, FrameMap)> {
    let Some(time) = &samples.time else {
        let hint = "targets.rows = \"time\"; images that were shown one by one are `stimuli.images`";
        return Err(Error::invalid("stimuli.movies", "time series to predict", "responses to stimuli", hint));
    };
    let paths = &config.stimuli.movies;
    if paths.len() != time.run_names.len() {
        let expected = format!("{} movies, one for each run in order", time.run_names.len());
        let hint = "a movie that several runs show is given for each of them";
        return Err(Error::invalid("stimuli.movies", expected, paths.len().to_string(), hint));
    }
    let mut joined = Joined { movies: vec![], names: vec![], warnings: vec![] };
    let mut maps = Vec::new();
    for (run, path) in paths.iter().enumerate() {
        let frames = open_frames(path, &Programs::default(), &Cancel::default())?;
        let n_samples = time.runs.iter().filter(|&&r| r == run).count();
        let map = map(config, time, (&frames, frames.source.n_images()), n_samples);
        maps.push(map.map_err(|error| of_run(error, &time.run_names[run], path))?);
        joined.names.extend(frames.source.names().iter().map(|name| format!("{}/{name}", run + 1)));
        joined.warnings.extend(frames.source.warnings().to_vec());
        joined.movies.push(frames.source);
    }
    Ok((joined, FrameMap::concatenated(&maps)?))
}

/// The error names the movie and its run.
fn of_run(error: Error, run: &str, path: &std::path::Path) -> Error {
    match error {
        // A key stays one: the user is told its flag.
        Error::Invalid { at, expected, found, hint } if at.starts_with("time.") => {
            Error::Invalid { at, expected, found: format!("{found} for {} (run `{run}`)", path.display()), hint }
        }
        Error::Invalid { at, expected, found, hint } => {
            Error::Invalid { at: format!("{} (run `{run}`): {at}", path.display()), expected, found, hint }
        }
        other => other,
    }
}

fn map(config: &Config, time: &Time, (frames, n_frames): (&Frames, usize), n_samples: usize) -> Result<FrameMap> {
    let own = &config.time;
    let Some(frame_rate_hz) = own.frame_rate_hz.or(frames.frame_rate_hz) else {
        let hint = "sets of images do not say how fast they were shown";
        return Err(Error::invalid("time.frame_rate_hz", "frames a second", "none", hint));
    };
    let sampling = Sampling { frame_rate_hz, t_r_s: time.tr_s, skip_s: own.skip_s };
    match own.frames {
        FrameSampling::Average => FrameMap::average(n_frames, sampling, n_samples),
        FrameSampling::Downsample => FrameMap::downsample(n_frames, sampling, n_samples),
        FrameSampling::Convolve => {
            let kernel = own.response.kernel(1.0 / frame_rate_hz)?;
            FrameMap::convolved(&kernel, n_frames, sampling, n_samples)
        }
    }
}
