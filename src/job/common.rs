//! What every job has: where to write, how to draw random numbers, how to show progress.

use super::progress::ProgressStyle;
use crate::error::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Options that do not change a run's results, and so are not part of its configuration.
#[derive(Debug, Clone, Default)]
pub struct Common {
    pub out: PathBuf,
    pub dry_run: bool,
    pub resume: bool,
    pub force: bool,
    pub progress: ProgressStyle,
    pub quiet: bool,
    pub json: bool,
}

/// Where a run computes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Machine {
    /// `cpu` or `cuda[:N]`, as far as the program was built for it.
    pub device: String,
}

impl Default for Machine {
    fn default() -> Self {
        let device = if cfg!(feature = "cuda") {
            "cuda"
        } else if cfg!(feature = "wgpu") {
            "wgpu"
        } else {
            "cpu"
        };
        Self { device: device.into() }
    }
}

impl Machine {
    /// The tensor device.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a device that this build does not have.
    pub fn device(&self) -> Result<crate::tensor::Device> {
        let built_for = Self::default().device;
        let (kind, index) = self.device.split_once(':').unwrap_or((&self.device, "0"));
        if kind != built_for {
            return Err(Error::invalid(
                "--device",
                format!("`{built_for}`, which this program was built for"),
                format!("`{}`", self.device),
                "build with `cargo build --release --features cuda` for NVIDIA GPUs, without features for the CPU",
            ));
        }
        index.parse::<usize>().map_err(|_| Error::invalid("--device", "a device number after `:`", index, ""))?;
        Ok(select(index.parse().unwrap_or(0)))
    }
}

#[cfg(feature = "cuda")]
fn select(index: usize) -> crate::tensor::Device {
    crate::tensor::Device::new(index)
}

#[cfg(all(feature = "wgpu", not(feature = "cuda")))]
fn select(index: usize) -> crate::tensor::Device {
    crate::tensor::Device::DiscreteGpu(index)
}

#[cfg(not(any(feature = "cuda", feature = "wgpu")))]
fn select(_: usize) -> crate::tensor::Device {
    crate::tensor::Device::default()
}

/// Sets the number of threads of the one pool: `n`, else `SLURM_CPUS_PER_TASK`, else all cores.
pub fn set_threads(n: Option<usize>) {
    let slurm = || std::env::var("SLURM_CPUS_PER_TASK").ok().and_then(|v| v.parse().ok());
    if let Some(n) = n.or_else(slurm) {
        // Fails only when the pool exists already: the first job of a process decides.
        rayon::ThreadPoolBuilder::new().num_threads(n).build_global().ok();
    }
}

/// Reads a TOML configuration.
///
/// # Errors
/// [`Error::Io`], or [`Error::Invalid`] with TOML's own line and column.
pub fn read_config<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path, "read"))?;
    parse_config(&text, &path.display().to_string())
}

/// Parses a TOML configuration; `at` names it in errors.
///
/// # Errors
/// [`Error::Invalid`] with TOML's own line and column.
pub fn parse_config<T: DeserializeOwned>(text: &str, at: &str) -> Result<T> {
    toml::from_str(text).map_err(|e| {
        Error::invalid(
            at,
            "a configuration of this program",
            format!("{e}"),
            "DIR/config.toml of any run is a complete example",
        )
    })
}

/// Peak resident memory of this process in MiB, where the system tells (Linux).
pub fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}
