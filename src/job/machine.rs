//! Where a run computes, and how much memory that took.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

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
                "machine.device",
                format!("`{built_for}`, which this program was built for"),
                format!("`{}`", self.device),
                "build with `cargo build --release --features cuda` for NVIDIA GPUs, without features for the CPU",
            ));
        }
        index.parse::<usize>().map_err(|_| Error::invalid("machine.device", "a device number after `:`", index, ""))?;
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

/// Peak resident memory of this process in MiB, where the system tells (Linux).
pub fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}
