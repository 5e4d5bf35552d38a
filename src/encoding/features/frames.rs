//! From the frames of movies to the samples of responses.

use crate::encoding::temporal::Sampling;
use crate::error::{Error, Result};
use ndarray::{Array2, ArrayView2};
use std::ops::Range;

/// Slack of times that fall on a frame, in frames: what dividing them leaves.
const SLACK: f64 = 1e-6;

/// A sparse linear map from frames to samples (volumes): `out[i] = sum_f w[i, f] x[f]`, where each
/// sample has weights on a few frames that follow each other. An extraction of features applies it
/// as the frames come ([`Extraction::movie`](super::Extraction::movie)), so that they are never all
/// in memory.
///
/// ```
/// use ndarray::array;
/// use orthoscope::encoding::features::FrameMap;
/// use orthoscope::encoding::temporal::Sampling;
///
/// let sampling = Sampling { frame_rate_hz: 2.0, t_r_s: 1.0, skip_s: 0.0 };
/// let run = FrameMap::average(4, sampling, 2)?;
/// assert_eq!(run.pairs(1).collect::<Vec<_>>(), [(2, 0.5), (3, 0.5)]);
/// assert_eq!(run.apply(array![[1.0], [3.0], [5.0], [9.0]].view())?, array![[2.0], [7.0]]);
///
/// // The frames of the second run follow those of the first.
/// let both = FrameMap::concatenated(&[run, FrameMap::downsample(3, sampling, 2)?])?;
/// assert_eq!((both.n_frames(), both.n_samples()), (7, 4));
/// assert_eq!(both.pairs(3).collect::<Vec<_>>(), [(6, 1.0)]);
/// # Ok::<(), orthoscope::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct FrameMap {
    n_frames: usize,
    spans: Vec<Span>,
    /// Weights, which samples share where they are the same.
    weights: Vec<f64>,
}

/// A sample's frames, never none.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Span {
    first_frame: usize,
    first_weight: usize,
    len: usize,
}

impl Span {
    fn frames(&self) -> Range<usize> {
        self.first_frame..self.first_frame + self.len
    }
}

impl FrameMap {
    /// The mean of the frames that begin within every volume: volume i has those of frames f (shown from
    /// `f / rate` on) with `skip + i t_r <= f / rate < skip + (i + 1) t_r`. A volume within a single
    /// frame has the frame that is shown when it begins.
    ///
    /// # Errors
    /// [`Error::Invalid`] for rates that are not positive, no volumes, and a movie that ends before the
    /// last volume.
    pub fn average(n_frames: usize, sampling: Sampling, n_volumes: usize) -> Result<Self> {
        let volumes = volumes(n_frames, sampling, n_volumes)?;
        let mut map = Self { n_frames, spans: Vec::with_capacity(n_volumes), weights: vec![] };
        // Volumes differ by a frame at most: few runs of equal weights serve all.
        let mut runs = std::collections::BTreeMap::new();
        for frames in volumes {
            let len = frames.len();
            let first_weight = *runs.entry(len).or_insert_with(|| {
                map.weights.extend(vec![1.0 / len as f64; len]);
                map.weights.len() - len
            });
            map.spans.push(Span { first_frame: frames.start, first_weight, len });
        }
        Ok(map)
    }

    /// The frame at the time of every volume, as [`Sampling::frames`] has them: of Wen et al. and
    /// Kamali et al.
    ///
    /// # Errors
    /// As [`Sampling::frames`]; [`Error::Invalid`] for no volumes.
    pub fn downsample(n_frames: usize, sampling: Sampling, n_volumes: usize) -> Result<Self> {
        Self::convolved(&[1.0], n_frames, sampling, n_volumes)
    }

    /// A response function's convolution at the frame rate, zero before the first frame, then the frame
    /// at the time of every volume: `w[i, f] = kernel[t_i - f]` for `t_i` of [`Sampling::frames`]. The
    /// numbers are those of [`convolve`](super::super::temporal::convolve) and
    /// [`downsample`](super::super::temporal::downsample) after it, bit for bit.
    ///
    /// # Shapes
    /// `kernel`: samples of the response, `1 / frame_rate_hz` seconds apart, from 0 on.
    ///
    /// # Errors
    /// As [`Sampling::frames`]; [`Error::Invalid`] for no volumes, and for a kernel that is empty or
    /// not finite.
    ///
    /// # Source
    /// Kamali et al., after Wen et al. 2018.
    ///
    /// ```
    /// use orthoscope::encoding::features::FrameMap;
    /// use orthoscope::encoding::temporal::{DoubleGamma, Sampling};
    ///
    /// let sampling = Sampling { frame_rate_hz: 15.0, t_r_s: 1.0, skip_s: 1.0 };
    /// let kernel = DoubleGamma::kamali().kernel(1.0 / sampling.frame_rate_hz)?;
    /// let map = FrameMap::convolved(&kernel, 9000, sampling, 598)?;
    /// assert_eq!(map.pairs(597).map(|(frame, _)| frame).max(), Some(598 * 15));
    /// # Ok::<(), orthoscope::Error>(())
    /// ```
    pub fn convolved(kernel: &[f64], n_frames: usize, sampling: Sampling, n_volumes: usize) -> Result<Self> {
        if kernel.is_empty() || kernel.iter().any(|v| !v.is_finite()) {
            let found = format!("{} samples, {kernel:?}", kernel.len());
            return Err(Error::invalid("response function", "a finite number or more", found, ""));
        }
        some_volumes(n_volumes)?;
        let weights: Vec<f64> = kernel.iter().rev().copied().collect();
        let span = |frame: usize| {
            let len = weights.len().min(frame + 1);
            Span { first_frame: frame + 1 - len, first_weight: weights.len() - len, len }
        };
        let spans = sampling.frames(n_frames, n_volumes)?.into_iter().map(span).collect();
        Ok(Self { n_frames, spans, weights })
    }

    /// Several runs or movies one after the other: the frames and samples of each follow those of the one
    /// before, and no sample has frames of another run.
    ///
    /// # Errors
    /// [`Error::Invalid`] for none.
    pub fn concatenated(runs: &[Self]) -> Result<Self> {
        if runs.is_empty() {
            return Err(Error::invalid("movie", "a run or more", "none", ""));
        }
        let mut all = Self { n_frames: 0, spans: vec![], weights: vec![] };
        for run in runs {
            let (frames, weights) = (all.n_frames, all.weights.len());
            all.spans.extend(run.spans.iter().map(|span| Span {
                first_frame: frames + span.first_frame,
                first_weight: weights + span.first_weight,
                len: span.len,
            }));
            all.weights.extend(&run.weights);
            all.n_frames += run.n_frames;
        }
        Ok(all)
    }

    /// How many frames there are, used or not.
    pub fn n_frames(&self) -> usize {
        self.n_frames
    }

    /// How many samples come of them.
    pub fn n_samples(&self) -> usize {
        self.spans.len()
    }

    /// A sample's frames, ascending, each with its weight. `sample` must be below
    /// [`n_samples`](Self::n_samples).
    pub fn pairs(&self, sample: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let span = self.spans[sample];
        span.frames().zip(self.weights[span.first_weight..][..span.len].iter().copied())
    }

    /// The first of a sample's frames, and the one after the last.
    pub(super) fn span(&self, sample: usize) -> Range<usize> {
        self.spans[sample].frames()
    }

    /// The frames that any sample has, ascending: no others are decoded or seen by the network.
    pub fn used(&self) -> Vec<usize> {
        let mut opened = vec![0isize; self.n_frames + 1];
        for frames in self.spans.iter().map(Span::frames) {
            opened[frames.start] += 1;
            opened[frames.end] -= 1;
        }
        let mut open = 0;
        let mut used = |frame: &usize| {
            open += opened[*frame];
            open > 0
        };
        (0..self.n_frames).filter(|frame| used(frame)).collect()
    }

    /// BLAKE3 of the frames and weights of every sample, in hexadecimal digits.
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(self.n_frames as u64).to_le_bytes());
        for (sample, span) in self.spans.iter().enumerate() {
            hasher.update(&(span.first_frame as u64).to_le_bytes());
            hasher.update(&(span.len as u64).to_le_bytes());
            self.pairs(sample).for_each(|(_, weight)| {
                hasher.update(&weight.to_le_bytes());
            });
        }
        hasher.finalize().to_hex().to_string()
    }

    /// The map of a whole matrix, summed up in 64 bits in the order of frames: the numbers of an
    /// extraction, for features that were made already.
    ///
    /// # Shapes
    /// `x`: n_frames x n_features; the result: n_samples x n_features.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another number of frames.
    pub fn apply(&self, x: ArrayView2<'_, f32>) -> Result<Array2<f32>> {
        self.check(x.nrows())?;
        let mut out = Array2::zeros((self.n_samples(), x.ncols()));
        let mut sums = vec![0.0; x.ncols()];
        for (sample, mut row) in out.rows_mut().into_iter().enumerate() {
            sums.fill(0.0);
            for (frame, weight) in self.pairs(sample) {
                sums.iter_mut().zip(x.row(frame)).for_each(|(sum, &v)| *sum += weight * f64::from(v));
            }
            row.iter_mut().zip(&sums).for_each(|(to, &sum)| *to = sum as f32);
        }
        Ok(out)
    }

    /// # Errors
    /// [`Error::Invalid`] where a movie has another number of frames.
    pub(in crate::encoding) fn check(&self, n_frames: usize) -> Result<()> {
        if n_frames == self.n_frames {
            return Ok(());
        }
        let hint = "make the map for the frames of all runs, in their order";
        Err(Error::invalid("movie", format!("{} frames, as mapped", self.n_frames), n_frames.to_string(), hint))
    }
}

fn some_volumes(n_volumes: usize) -> Result<()> {
    match n_volumes {
        0 => Err(Error::invalid("movie", "a volume or more", "none", "")),
        _ => Ok(()),
    }
}

/// The frames of every volume: at least one each, ascending.
fn volumes(n_frames: usize, sampling: Sampling, n_volumes: usize) -> Result<Vec<Range<usize>>> {
    let Sampling { frame_rate_hz, t_r_s, skip_s } = sampling;
    let ends = frame_rate_hz * (skip_s + n_volumes as f64 * t_r_s);
    if !(frame_rate_hz > 0.0 && t_r_s > 0.0 && skip_s >= 0.0 && ends < 1e15) {
        let found = format!("{frame_rate_hz} frames a second, t_r {t_r_s} s, {skip_s} s skipped");
        return Err(Error::invalid("averaging over volumes", "positive times", found, ""));
    }
    some_volumes(n_volumes)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::temporal::{DoubleGamma, convolve, downsample};
    use ndarray::{Axis, Slice, array, concatenate};

    fn frames(n: usize, width: usize) -> Array2<f32> {
        Array2::from_shape_fn((n, width), |(i, j)| ((i * 7 + j * 5) % 11) as f32 - 3.3)
    }

    fn average(x: ArrayView2<'_, f32>, sampling: Sampling, n_volumes: usize) -> Result<Array2<f32>> {
        FrameMap::average(x.nrows(), sampling, n_volumes)?.apply(x)
    }

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

    #[test]
    fn a_convolution_is_that_of_the_two_steps() {
        let x = frames(120, 3);
        for (rate, t_r_s, skip_s) in [(15.0, 1.0, 1.0), (8.0, 0.9, 0.0), (3.0, 4.0, 2.5)] {
            let sampling = Sampling { frame_rate_hz: rate, t_r_s, skip_s };
            let n = ((119.0 / rate - skip_s) / t_r_s).floor() as usize + 1;
            for kernel in [DoubleGamma::kamali().kernel(1.0 / rate).unwrap(), vec![2.0, -0.5], vec![1.0]] {
                let expected = downsample(convolve(x.view(), &kernel).view(), sampling, n).unwrap();
                let map = FrameMap::convolved(&kernel, 120, sampling, n).unwrap();
                assert_eq!(map.apply(x.view()).unwrap(), expected, "{rate} Hz, {} numbers", kernel.len());
            }
            let expected = downsample(x.view(), sampling, n).unwrap();
            assert_eq!(FrameMap::downsample(120, sampling, n).unwrap().apply(x.view()).unwrap(), expected);
        }
    }

    #[test]
    fn nothing_crosses_the_edge_of_a_run() {
        let sampling = Sampling { frame_rate_hz: 4.0, t_r_s: 1.0, skip_s: 0.0 };
        let kernel = DoubleGamma::default().kernel(0.25).unwrap();
        let runs = [
            FrameMap::convolved(&kernel, 30, sampling, 7).unwrap(),
            FrameMap::average(21, sampling, 4).unwrap(),
            FrameMap::convolved(&kernel, 26, sampling, 5).unwrap(),
        ];
        let x = frames(77, 2);
        let parts = [(0..30), (30..51), (51..77)].map(|r| x.slice_axis(Axis(0), Slice::from(r)));
        let each: Vec<_> = runs.iter().zip(parts).map(|(run, x)| run.apply(x).unwrap()).collect();
        let views: Vec<_> = each.iter().map(|a| a.view()).collect();
        let all = FrameMap::concatenated(&runs).unwrap();
        assert_eq!(all.apply(x.view()).unwrap(), concatenate(Axis(0), &views).unwrap());
        assert!(all.apply(x.slice_axis(Axis(0), Slice::from(..76))).is_err() && FrameMap::concatenated(&[]).is_err());
        // Of the second run the frames of four volumes, of the third those up to the last volume's.
        let used: Vec<usize> = (0..25).chain(30..46).chain(51..68).collect();
        assert_eq!(all.used(), used);
    }

    #[test]
    fn maps_have_one_name_each() {
        let sampling = Sampling { frame_rate_hz: 4.0, t_r_s: 1.0, skip_s: 0.0 };
        let make = |kernel: &[f64], n_frames, n| FrameMap::convolved(kernel, n_frames, sampling, n).unwrap();
        let one = make(&[1.0, 0.5], 40, 5);
        let others = [
            make(&[1.0, 0.25], 40, 5),
            make(&[0.5, 1.0], 40, 5),
            make(&[1.0, 0.5, 0.0], 40, 5),
            make(&[1.0, 0.5], 41, 5),
            make(&[1.0, 0.5], 40, 4),
            FrameMap::downsample(40, sampling, 5).unwrap(),
            FrameMap::average(40, sampling, 5).unwrap(),
        ];
        assert!(others.iter().all(|other| other.hash() != one.hash()));
        let twice = |map: &FrameMap| FrameMap::concatenated(std::slice::from_ref(map)).unwrap();
        assert_eq!(twice(&one).hash(), one.hash());
        for bad in [vec![], vec![f64::NAN]] {
            assert!(FrameMap::convolved(&bad, 40, sampling, 5).is_err());
        }
        assert!(FrameMap::average(40, sampling, 0).is_err() && FrameMap::downsample(40, sampling, 0).is_err());
    }
}
