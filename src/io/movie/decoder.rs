//! A running `ffmpeg`.

use super::probe::{Probe, input, not_started, said};
use crate::error::{Error, Result};
use crate::warning::Warning;
use ndarray::Array3;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::process::{Child, ChildStdout, Command, Stdio};

/// Decodes a movie from its first frame on; killed when dropped.
pub(super) struct Decoder {
    child: Child,
    pixels: ChildStdout,
    /// What the program says about errors: a file, which never fills up.
    words: File,
    frame: Vec<u8>,
    next: usize,
}

impl Drop for Decoder {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Decoder {
    pub fn start(probe: &Probe) -> Result<Self> {
        let words = tempfile::tempfile().map_err(Error::io(std::env::temp_dir(), "write a temporary file in"))?;
        let for_child = words.try_clone().map_err(Error::io(std::env::temp_dir(), "write a temporary file in"))?;
        let ((height, width), (frames, seconds)) = (probe.size, probe.rate);
        let filters = format!("fps={frames}/{seconds},scale={width}:{height}");
        let mut child = Command::new(&probe.ffmpeg)
            .args(["-nostdin", "-v", "error", "-xerror", "-protocol_whitelist", "file", "-i"])
            .arg(input(&probe.path)?)
            .args(["-map", "0:v:0", "-an", "-sn", "-dn", "-vf", &filters])
            .args(["-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::from(for_child))
            .spawn()
            .map_err(not_started(&probe.ffmpeg))?;
        let pixels = child.stdout.take().expect("asked for above");
        Ok(Self { child, pixels, words, frame: vec![0; probe.n_bytes()], next: 0 })
    }

    /// The frame that comes next.
    pub fn next(&self) -> usize {
        self.next
    }

    /// Decodes the next frame and drops it; `false` at the end of the movie.
    pub fn skip(&mut self, probe: &Probe) -> Result<bool> {
        let mut filled = 0;
        while filled < self.frame.len() {
            match self.pixels.read(&mut self.frame[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(self.failed(probe, format!("half of frame {}", self.next))),
                Ok(n) => filled += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io(&probe.path, "decode")(error)),
            }
        }
        self.next += 1;
        Ok(true)
    }

    /// As [`skip`](Self::skip), of a frame that was there before.
    pub fn must_skip(&mut self, probe: &Probe) -> Result<()> {
        if self.skip(probe)? { Ok(()) } else { Err(self.failed(probe, format!("no frame {}", self.next))) }
    }

    /// The next frame, height x width x 3.
    pub fn frame(&mut self, probe: &Probe) -> Result<Array3<u8>> {
        self.must_skip(probe)?;
        let (height, width) = probe.size;
        Ok(Array3::from_shape_vec((height, width, 3), self.frame.clone()).expect("as many bytes as a frame has"))
    }

    /// After the last frame: whether the program was content; what it said all the same.
    pub fn end(mut self, probe: &Probe) -> Result<Option<Warning>> {
        let status = self.child.wait().map_err(Error::io(&probe.path, "decode"))?;
        let words = self.words();
        if !status.success() {
            return Err(damaged(probe, format!("`{words}` after {} frames", self.next)));
        }
        let text = format!("{}: ffmpeg decoded it with complaints: {words}", probe.path.display());
        Ok((!words.is_empty()).then_some(Warning::Note { text }))
    }

    fn failed(&mut self, probe: &Probe, found: String) -> Error {
        self.child.kill().ok();
        self.child.wait().ok();
        let words = self.words();
        damaged(probe, if words.is_empty() { found } else { format!("{found}: {words}") })
    }

    fn words(&mut self) -> String {
        let mut words = Vec::new();
        let start = self.words.seek(SeekFrom::Start(0));
        start.and_then(|_| (&self.words).take(1 << 16).read_to_end(&mut words)).ok();
        said(&words)
    }
}

fn damaged(probe: &Probe, found: String) -> Error {
    let hint =
        "the file is damaged, changed while it was read, or ffmpeg lacks its codec: convert it, or copy it again";
    Error::corrupt(&probe.path, "a movie that ffmpeg decodes to its end", found, hint)
}
