//! Samples of a movie that are still being added up.

use super::frames::FrameMap;
use crate::data::image_source::{StimulusSource, batches, check_range};
use crate::error::Result;
use ndarray::{Array4, Axis, concatenate};
use rayon::prelude::*;
use std::ops::Range;

/// Features that one task adds up at a time: the frames of a batch stay in its cache.
const CHUNK: usize = 1024;

/// Adds reduced frames to the samples that they belong to, as batches of frames come.
///
/// Sums are in 64 bits and in the order of frames, whatever the batch and the number of threads.
pub(in crate::encoding) struct OpenSamples<'a> {
    map: &'a FrameMap,
    /// Samples by their first frames; those before `next` were opened.
    order: Vec<usize>,
    next: usize,
    /// Samples that are open, each with its place in the rings.
    open: Vec<(usize, usize)>,
    free: Vec<usize>,
    /// One a tap.
    rings: Vec<Ring>,
}

/// Sums of a tap: for each chunk of features those of all places.
struct Ring {
    n_features: usize,
    n_places: usize,
    sums: Vec<f64>,
}

/// Frames of a batch, by their place in it, with their weights in a sample.
type Terms = Vec<(usize, f64)>;

impl<'a> OpenSamples<'a> {
    /// For taps of so many features after reduction, batches of `batch` of the frames in `used`.
    pub fn new(map: &'a FrameMap, used: &[usize], batch: usize, n_features: &[usize]) -> Self {
        let mut order: Vec<usize> = (0..map.n_samples()).collect();
        order.sort_by_key(|&sample| map.span(sample).start);
        let n_places = most_open(map, used, batch);
        let ring = |&n: &usize| Ring { n_features: n, n_places, sums: vec![0.0; n_places * n] };
        let rings = n_features.iter().map(ring).collect();
        Self { map, order, next: 0, open: vec![], free: (0..n_places).collect(), rings }
    }

    /// Takes some frames, ascending, reduced (frames x features at each tap). Samples that are complete are
    /// handed to `done`, one at a time, with their features at each tap.
    pub fn take(
        &mut self,
        frames: &[usize],
        reduced: &[Vec<f32>],
        done: &mut dyn FnMut(usize, Vec<Vec<f32>>) -> Result<()>,
    ) -> Result<()> {
        let Some(&last) = frames.last() else { return Ok(()) };
        while let Some(&sample) = self.order.get(self.next).filter(|&&sample| self.map.span(sample).start <= last) {
            self.open.push((sample, self.free.pop().expect("as many places as samples that are open at once")));
            self.next += 1;
        }
        let terms: Vec<(usize, Terms)> =
            self.open.iter().map(|&(sample, place)| (place, terms(self.map, sample, frames))).collect();
        self.rings.iter_mut().zip(reduced).for_each(|(ring, values)| ring.add(&terms, values));
        let ends = |&(sample, _): &(usize, usize)| self.map.span(sample).end <= last + 1;
        let complete: Vec<(usize, usize)> = self.open.iter().copied().filter(ends).collect();
        self.open.retain(|open| !complete.contains(open));
        for (sample, place) in complete {
            done(sample, self.rings.iter_mut().map(|ring| ring.close(place)).collect())?;
            self.free.push(place);
        }
        Ok(())
    }
}

/// A sample's frames in a batch.
fn terms(map: &FrameMap, sample: usize, frames: &[usize]) -> Terms {
    let start = map.span(sample).start;
    let (mut at, mut found) = (0, vec![]);
    let skip = frames[0].saturating_sub(start);
    for (frame, weight) in map.pairs(sample).skip(skip).take_while(|(frame, _)| *frame <= frames[frames.len() - 1]) {
        at += frames[at..].partition_point(|&f| f < frame);
        found.push((at, weight));
    }
    found
}

impl Ring {
    fn add(&mut self, terms: &[(usize, Terms)], values: &[f32]) {
        let (n, n_places) = (self.n_features, self.n_places);
        self.sums.par_chunks_mut(CHUNK * n_places).enumerate().for_each(|(chunk, sums)| {
            let width = sums.len() / n_places;
            for (place, terms) in terms {
                let sums = &mut sums[place * width..][..width];
                for &(at, weight) in terms {
                    let values = &values[at * n + chunk * CHUNK..][..width];
                    sums.iter_mut().zip(values).for_each(|(sum, &v)| *sum += weight * f64::from(v));
                }
            }
        });
    }

    /// What a place holds, which is empty then.
    fn close(&mut self, place: usize) -> Vec<f32> {
        let mut row = Vec::with_capacity(self.n_features);
        for sums in self.sums.chunks_mut(CHUNK * self.n_places) {
            let width = sums.len() / self.n_places;
            let sums = &mut sums[place * width..][..width];
            row.extend(sums.iter().map(|&sum| sum as f32));
            sums.fill(0.0);
        }
        row
    }
}

/// The most samples that are open at once where the used frames come in batches.
pub(super) fn most_open(map: &FrameMap, used: &[usize], batch: usize) -> usize {
    let sorted = |of: fn(Range<usize>) -> usize| {
        let mut ends: Vec<usize> = (0..map.n_samples()).map(|sample| of(map.span(sample))).collect();
        ends.sort_unstable();
        ends
    };
    let (starts, ends) = (sorted(|span| span.start), sorted(|span| span.end));
    let open = |range: Range<usize>| {
        let (first, last) = (used[range.start], used[range.end - 1]);
        starts.partition_point(|&start| start <= last) - ends.partition_point(|&end| end <= first)
    };
    batches(used.len(), batch).map(open).max().unwrap_or(0)
}

/// Some of a movie's frames.
pub(in crate::encoding) struct Chosen<'a> {
    pub frames: &'a dyn StimulusSource,
    /// Which, ascending.
    pub used: &'a [usize],
}

impl StimulusSource for Chosen<'_> {
    fn n_images(&self) -> usize {
        self.used.len()
    }

    fn read(&self, range: Range<usize>) -> Result<Array4<f32>> {
        check_range(&range, self.used.len())?;
        let runs = self.used[range].chunk_by(|a, b| a + 1 == *b);
        let parts = runs.map(|run| self.frames.read(run[0]..run[run.len() - 1] + 1)).collect::<Result<Vec<_>>>()?;
        match parts.len() {
            0 => self.frames.read(0..0),
            1 => Ok(parts.into_iter().next().expect("one part")),
            _ => {
                let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
                Ok(concatenate(Axis(0), &views).expect("frames of one movie have one size"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::temporal::{DoubleGamma, Sampling};
    use ndarray::{Array2, Slice};

    /// In batches of any size, with frames that several samples share, frames that none has, and features
    /// that fill several chunks.
    #[test]
    fn samples_as_frames_come_are_those_of_all_frames() {
        let n = 70;
        let widths = [2 * CHUNK + 3, 1];
        let x = Array2::from_shape_fn((n, widths[0] + 1), |(i, j)| ((i * 37 + j * 5) % 211) as f32 / 7.0);
        let kernel = DoubleGamma::default().kernel(1.0 / 1.5).unwrap();
        let sampling = |rate, t_r_s| Sampling { frame_rate_hz: rate, t_r_s, skip_s: 0.2 };
        let maps = [
            FrameMap::average(n, sampling(15.0, 0.7), 3).unwrap(),
            FrameMap::average(n, sampling(0.5, 0.8), 3).unwrap(),
            FrameMap::downsample(n, sampling(1.0, 9.0), 6).unwrap(),
            FrameMap::convolved(&kernel, n, sampling(1.5, 0.9), 50).unwrap(),
            FrameMap::concatenated(&[
                FrameMap::convolved(&kernel, 40, sampling(1.5, 0.4), 60).unwrap(),
                FrameMap::average(30, sampling(0.5, 0.8), 20).unwrap(),
            ])
            .unwrap(),
        ];
        for (which, map) in maps.iter().enumerate() {
            let expected = map.apply(x.view()).unwrap();
            let used = map.used();
            for batch in [1, 4, 16, n] {
                let mut samples = OpenSamples::new(map, &used, batch, &widths);
                let mut found = Array2::from_elem(expected.dim(), f32::NAN);
                for range in batches(used.len(), batch) {
                    let frames = &used[range];
                    let part = x.select(Axis(0), frames);
                    let columns = |columns: Slice| part.slice_axis(Axis(1), columns).iter().copied().collect();
                    let reduced = [columns(Slice::from(..widths[0])), columns(Slice::from(widths[0]..))];
                    let done = &mut |sample, rows: Vec<Vec<f32>>| {
                        found.row_mut(sample).iter_mut().zip(rows.concat()).for_each(|(to, v)| *to = v);
                        Ok(())
                    };
                    samples.take(frames, &reduced, done).unwrap();
                }
                assert!(samples.open.is_empty() && samples.free.len() == most_open(map, &used, batch));
                assert!(found == expected, "map {which} in batches of {batch}");
            }
        }
    }

    #[test]
    fn as_many_samples_are_open_as_overlap() {
        // 32 s of response at a volume a second: a sample's frames begin 32 s before its own.
        let kernel = DoubleGamma::default().kernel(1.0 / 15.0).unwrap();
        let sampling = Sampling { frame_rate_hz: 15.0, t_r_s: 1.0, skip_s: 0.0 };
        let map = FrameMap::convolved(&kernel, 3000, sampling, 200).unwrap();
        let used = map.used();
        assert_eq!([1, 15, 16].map(|batch| most_open(&map, &used, batch)), [33, 33, 34]);
        let single = FrameMap::downsample(3000, sampling, 200).unwrap();
        assert_eq!(single.used().len(), 200);
        assert_eq!(most_open(&single, &single.used(), 16), 16);
    }

    #[test]
    fn frames_that_no_sample_has_are_not_read() {
        let frames = Array4::from_shape_fn((9, 3, 1, 2), |(i, c, _, x)| (10 * i + 3 * c + x) as f32);
        let chosen = Chosen { frames: &frames, used: &[1, 2, 5, 8] };
        assert_eq!(chosen.read(0..4).unwrap(), frames.select(Axis(0), &[1, 2, 5, 8]));
        assert_eq!(chosen.read(1..3).unwrap(), frames.select(Axis(0), &[2, 5]));
        assert_eq!(chosen.read(0..0).unwrap().dim().0, 0);
        assert!(chosen.read(2..5).is_err());
    }
}
