//! Running the program as a user does: a small builder, and a tiny network to run it on.

use ndarray::{Array, Array3, ArrayD, IxDyn};
use orthoscope::io::png;
use orthoscope::io::weights::Storage;
use orthoscope::network::card::{self, About};
use orthoscope::network::{GraphBuilder, InputSpec, Op};
use orthoscope::rng;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A command line being put together.
pub struct Program {
    command: Command,
}

impl Program {
    pub fn new(subcommand: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orthoscope"));
        command.arg(subcommand).args(["--progress", "none"]).env_remove("ORTHOSCOPE_MODELS");
        Self { command }
    }

    pub fn arg(mut self, flag: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(flag).arg(value);
        self
    }

    pub fn flag(mut self, flag: &str) -> Self {
        self.command.arg(flag);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn directory(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    pub fn run(mut self) -> Ended {
        Ended { output: self.command.output().unwrap() }
    }

    pub fn spawn(mut self) -> Child {
        self.command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Runs in a fresh file system of `size` (as tmpfs's `size=`) mounted at `at`; `None` where
    /// mounting is not allowed.
    pub fn run_on_small_disk(self, at: &Path, size: &str) -> Option<Ended> {
        let allowed = Command::new("unshare").args(["-rm", "true"]).status().is_ok_and(|s| s.success());
        if !allowed {
            return None;
        }
        let mut line = vec![self.command.get_program().to_owned()];
        line.extend(self.command.get_args().map(ToOwned::to_owned));
        let script = format!("mount -t tmpfs -o size={size} none '{}' && exec \"$@\"", at.display());
        let output = Command::new("unshare").args(["-rm", "sh", "-c", &script, "sh"]).args(line).output().unwrap();
        Some(Ended { output })
    }
}

/// What `orthoscope SUBCOMMAND --help` prints.
pub fn help(subcommand: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_orthoscope")).args([subcommand, "--help"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A command that has ended.
pub struct Ended {
    output: Output,
}

impl Ended {
    pub fn code(&self) -> i32 {
        self.output.status.code().unwrap_or(-1)
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "{}", self.stderr());
        self
    }

    #[track_caller]
    pub fn expect_error(&self, texts: &[&str]) {
        for text in texts {
            assert!(self.stderr().contains(text), "expected `{text}` in:\n{}", self.stderr());
        }
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.output.stdout).unwrap()
    }
}

fn weights(name: &str, shape: &[usize], scale: f64) -> ArrayD<f32> {
    let mut stream = rng::stream(7, name, 0);
    Array::from_shape_simple_fn(IxDyn(shape), || (scale * stream.normal()) as f32)
}

/// Writes a network of four convolutions on 24 x 24 pixels as a model directory, and returns its
/// path.
pub fn tiny_model(dir: &Path) -> PathBuf {
    let input = InputSpec::preset("unit", 24, 24).unwrap();
    let mut builder = GraphBuilder::new("tiny", input, Default::default()).unwrap();
    let (mut last, mut channels) = (0, 3);
    for (i, width) in [6usize, 8, 8, 10].into_iter().enumerate() {
        let name = format!("conv{}", i + 1);
        let scale = (2.0 / (channels as f64 * 9.0)).sqrt();
        builder.add_weight(format!("{name}.weight"), weights(&name, &[width, channels, 3, 3], scale));
        let op = Op::Conv2d {
            weight: format!("{name}.weight"),
            bias: None,
            stride: if i == 1 { [2, 2] } else { [1, 1] },
            padding: [1; 4],
            dilation: [1, 1],
            groups: 1,
        };
        let pre = builder.push(format!("{name}.pre_relu"), op, &[last]).unwrap();
        last = builder.push(name, Op::Relu, &[pre]).unwrap();
        channels = width;
    }
    let path = dir.join("tiny");
    card::write(&path, &builder.finish().unwrap(), &About::default(), Storage::F32, false).unwrap();
    path
}

/// Writes a classifier of four classes on 24 x 24 pixels, with a batch norm, as a model directory.
pub fn tiny_classifier(dir: &Path) -> PathBuf {
    let input = InputSpec::preset("unit", 24, 24).unwrap();
    let mut builder = GraphBuilder::new("tiny-classifier", input, Default::default()).unwrap();
    let conv = |builder: &mut GraphBuilder, name: &str, [out, channels]: [usize; 2], last: usize| {
        let scale = (2.0 / (channels as f64 * 9.0)).sqrt();
        builder.add_weight(format!("{name}.weight"), weights(&format!("c{name}"), &[out, channels, 3, 3], scale));
        let weight = format!("{name}.weight");
        let op = Op::Conv2d { weight, bias: None, stride: [2, 2], padding: [1; 4], dilation: [1, 1], groups: 1 };
        builder.push(format!("{name}.conv"), op, &[last]).unwrap()
    };
    let made = conv(&mut builder, "first", [6, 3], 0);
    let names = ["scale", "shift", "mean", "var"].map(|part| format!("first.norm.{part}"));
    for (name, value) in names.iter().zip([1.0, 0.1, 0.0, 1.0]) {
        builder.add_weight(name, ArrayD::from_elem(IxDyn(&[6]), value));
    }
    let [scale, shift, mean, var] = names;
    let norm = Op::BatchNorm { scale: Some(scale), shift: Some(shift), mean, var, epsilon: 1e-3 };
    let normed = builder.push("first.norm", norm, &[made]).unwrap();
    let first = builder.push("first", Op::Relu, &[normed]).unwrap();
    let made = conv(&mut builder, "second", [8, 6], first);
    let second = builder.push("second", Op::Relu, &[made]).unwrap();
    let pooled = builder.push("pooled", Op::GlobalAvgPool, &[second]).unwrap();
    builder.add_weight("classes.weight", weights("classes", &[4, 8], 1.0));
    builder.push("classes", Op::Linear { weight: "classes.weight".into(), bias: None }, &[pooled]).unwrap();
    let path = dir.join("tiny-classifier");
    card::write(&path, &builder.finish().unwrap(), &About::default(), Storage::F32, false).unwrap();
    path
}

/// Photographs for the tiny network: smooth random images.
pub fn photographs(dir: &Path, n: usize, size: usize) -> PathBuf {
    let folder = dir.join(format!("photos{size}"));
    std::fs::create_dir_all(&folder).unwrap();
    for i in 0..n {
        let pixels = Array3::from_shape_fn((size, size, 3), |(y, x, c)| {
            let phase = (i * (c + 2)) as f64 + 0.31 * (i as f64 + 1.0) * x as f64 + 0.17 * (c as f64 + 1.0) * y as f64;
            (127.5 + 90.0 * phase.sin()) as u8
        });
        png::write(&folder.join(format!("photo{i:02}.png")), pixels.view()).unwrap();
    }
    folder
}
