//! From features of movie frames to one row a volume.

use crate::encoding::temporal::Sampling;
use crate::error::{Error, Result};
use ndarray::{Array2, ArrayView2};
use std::ops::Range;

/// Slack of times that fall on a frame, in frames: what dividing them leaves.
const SLACK: f64 = 1e-6;

/// The mean of the frames that begin within every volume: volume i has those of frames f (shown from
/// `f / rate` on) with `skip + i t_r <= f / rate < skip + (i + 1) t_r`. A volume within a single frame
/// has the frame that is shown when it begins.
///
/// [`super::super::temporal::downsample`] takes single frames instead, as Wen et al. and Kamali et
/// al. do.
///
/// # Shapes
/// `x`: n_frames x n_features; the result: n_volumes x n_features. Sums are in 64 bits.
///
/// # Errors
/// [`Error::Invalid`] for rates that are not positive, and a movie that ends before the last volume.
///
/// ```
/// use ndarray::array;
/// use orthoscope::encoding::features::frames::average;
/// use orthoscope::encoding::temporal::Sampling;
///
/// let sampling = Sampling { frame_rate_hz: 2.0, t_r_s: 1.0, skip_s: 0.0 };
/// let volumes = average(array![[1.0], [3.0], [5.0], [9.0]].view(), sampling, 2)?;
/// assert_eq!(volumes, array![[2.0], [7.0]]);
/// # Ok::<(), orthoscope::Error>(())
/// ```
pub fn average(x: ArrayView2<'_, f32>, sampling: Sampling, n_volumes: usize) -> Result<Array2<f32>> {
    let volumes = volumes(x.nrows(), sampling, n_volumes)?;
    let mut out = Array2::zeros((n_volumes, x.ncols()));
    let mut sums = vec![0.0; x.ncols()];
    for (frames, mut row) in volumes.iter().zip(out.rows_mut()) {
        sums.fill(0.0);
        for frame in frames.clone() {
            sums.iter_mut().zip(x.row(frame)).for_each(|(sum, &v)| *sum += f64::from(v));
        }
        row.iter_mut().zip(&sums).for_each(|(to, sum)| *to = (sum / frames.len() as f64) as f32);
    }
    Ok(out)
}

/// The frames of every volume, as [`average`] has them: at least one each, ascending.
///
/// # Errors
/// As [`average`].
pub fn volumes(n_frames: usize, sampling: Sampling, n_volumes: usize) -> Result<Vec<Range<usize>>> {
    let Sampling { frame_rate_hz, t_r_s, skip_s } = sampling;
    let ends = frame_rate_hz * (skip_s + n_volumes as f64 * t_r_s);
    if !(frame_rate_hz > 0.0 && t_r_s > 0.0 && skip_s >= 0.0 && ends < 1e15) {
        let found = format!("{frame_rate_hz} frames a second, t_r {t_r_s} s, {skip_s} s skipped");
        return Err(Error::invalid("averaging over volumes", "positive times", found, ""));
    }
    let first = |i: usize| ((frame_rate_hz * (skip_s + i as f64 * t_r_s)) - SLACK).ceil().max(0.0) as usize;
    if first(n_volumes) > n_frames || n_frames == 0 {
        let seconds = n_frames as f64 / frame_rate_hz;
        let found = format!("{n_frames} frames ({seconds} s) for {n_volumes} volumes");
        let hint = "check frame rate and t_r, or cut the responses to the length of the movie";
        return Err(Error::invalid("movie", format!("{} frames or more", first(n_volumes)), found, hint));
    }
    let frames = |i: usize| match (first(i), first(i + 1)) {
        // Where no frame begins, the one before is still shown.
        (start, end) if start == end => start.saturating_sub(1)..start.max(1),
        (start, end) => start..end,
    };
    Ok((0..n_volumes).map(frames).collect())
}

/// Averages activations over the frames of volumes as batches of frames come.
pub(in crate::encoding) struct Averager<'a> {
    volumes: &'a [Range<usize>],
    /// The volume that is being summed up.
    current: usize,
    /// Sums at each tap.
    sums: Vec<Vec<f64>>,
}

impl<'a> Averager<'a> {
    /// For taps of so many units.
    pub fn new(volumes: &'a [Range<usize>], n_units: &[usize]) -> Self {
        Self { volumes, current: 0, sums: n_units.iter().map(|&n| vec![0.0; n]).collect() }
    }

    /// Takes the activations of some frames at each tap; volumes that are complete are handed to
    /// `done`, one at a time, with their number.
    pub fn take(
        &mut self,
        frames: Range<usize>,
        activations: &[Vec<f32>],
        done: &mut dyn FnMut(usize, Vec<Vec<f32>>) -> Result<()>,
    ) -> Result<()> {
        for (at, frame) in frames.enumerate() {
            while let Some(volume) = self.volumes.get(self.current).filter(|volume| volume.contains(&frame)) {
                for (sums, values) in self.sums.iter_mut().zip(activations) {
                    let n = sums.len();
                    sums.iter_mut().zip(&values[at * n..][..n]).for_each(|(sum, &v)| *sum += f64::from(v));
                }
                if frame + 1 < volume.end {
                    break;
                }
                let n = volume.len() as f64;
                let mean = |sums: &mut Vec<f64>| {
                    let mean = sums.iter().map(|sum| (sum / n) as f32).collect();
                    sums.fill(0.0);
                    mean
                };
                done(self.current, self.sums.iter_mut().map(mean).collect())?;
                self.current += 1;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Axis, Slice, array};

    /// By hand: at 15 frames a second, volumes of 0.7 s from 0.2 s on begin at frames 3, 13.5 and 24
    /// and the last ends at 34.5: frames 3-13, 14-23, 24-34.
    #[test]
    fn frames_belong_to_the_volume_in_which_they_begin() {
        let x = Array2::from_shape_fn((35, 2), |(i, j)| (i * (1 + j)) as f32);
        let sampling = Sampling { frame_rate_hz: 15.0, t_r_s: 0.7, skip_s: 0.2 };
        let found = average(x.view(), sampling, 3).unwrap();
        assert_eq!(found, array![[8.0, 16.0], [18.5, 37.0], [29.0, 58.0]]);
        let error = average(x.slice_axis(Axis(0), Slice::from(..34)), sampling, 3).unwrap_err().to_string();
        assert!(error.contains("movie: expected 35 frames or more, found 34 frames"), "{error}");
        // 0.1 s at 30 frames a second is 3 frames, whatever 0.1 is in binary.
        let x = Array2::from_shape_fn((300, 1), |(i, _)| i as f32);
        let sampling = Sampling { frame_rate_hz: 30.0, t_r_s: 0.1, skip_s: 0.0 };
        let found = average(x.view(), sampling, 100).unwrap();
        assert!((0..100).all(|i| found[(i, 0)] == (3 * i + 1) as f32));
    }

    #[test]
    fn slow_movies_keep_their_frame() {
        // Frames of 2 s, volumes of 0.8 s: they begin in frames 0, 0, 0, 1, 1 (at 0, 0.8, 1.6, 2.4,
        // 3.2 s); frame 1 begins within the third.
        let sampling = Sampling { frame_rate_hz: 0.5, t_r_s: 0.8, skip_s: 0.0 };
        let found = average(array![[4.0], [6.0]].view(), sampling, 5).unwrap();
        assert_eq!(found.column(0).to_vec(), [4.0, 4.0, 6.0, 6.0, 6.0]);
        assert!(average(array![[4.0]].view(), Sampling { t_r_s: f64::NAN, ..sampling }, 1).is_err());
    }

    /// In batches of any size, and with frames that several volumes share.
    #[test]
    fn averages_as_frames_come_are_those_of_all_frames() {
        let x = Array2::from_shape_fn((35, 3), |(i, j)| ((i * 7 + j * 5) % 11) as f32);
        for (rate, t_r_s) in [(15.0, 0.7), (0.5, 0.8), (1.0, 1.0)] {
            let sampling = Sampling { frame_rate_hz: rate, t_r_s, skip_s: 0.2 };
            let expected = average(x.view(), sampling, 3).unwrap();
            let volumes = volumes(35, sampling, 3).unwrap();
            for batch in [1, 4, 35] {
                let mut averager = Averager::new(&volumes, &[2, 1]);
                let mut found = Vec::new();
                for frames in crate::data::image_source::batches(35, batch) {
                    let part = x.slice_axis(Axis(0), Slice::from(frames.clone()));
                    let columns = |from: usize, to: usize| -> Vec<f32> {
                        part.slice_axis(Axis(1), Slice::from(from..to)).iter().copied().collect()
                    };
                    let done = &mut |volume, means: Vec<Vec<f32>>| {
                        assert_eq!(volume, found.len() / 3);
                        found.extend(means.concat());
                        Ok(())
                    };
                    averager.take(frames, &[columns(0, 2), columns(2, 3)], done).unwrap();
                }
                assert_eq!(found, expected.iter().copied().collect::<Vec<_>>(), "{rate} {batch}");
            }
        }
    }
}
