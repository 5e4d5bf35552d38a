//! Which instruction set runs: the best that the machine has, or the one that `ORTHOSCOPE_SIMD`
//! names.

use crate::mem::{Layout, Mem};
use crate::real::Real;
use crate::simd::Simd;
use crate::simd::portable::Portable;
use crate::spec::SpecError;
use crate::step::{self, External, Step};
use std::ops::Range;

/// Environment variable that overrides the choice: `avx512`, `avx2`, `neon` or `portable`.
pub const VARIABLE: &str = "ORTHOSCOPE_SIMD";

type Run<T> = unsafe fn(&Step<T>, &Mem<T>, &External<'_, T>, Range<usize>);
type Gram<T> = unsafe fn(Layout, &Mem<T>, Range<usize>, &mut [f64], &mut [f64]);

/// An instruction set as a table of functions. Made only for sets that the machine has.
#[derive(Debug, Clone, Copy)]
pub struct Isa<T> {
    /// `avx512`, `avx2`, `neon` or `portable`.
    pub name: &'static str,
    /// Elements per vector.
    pub lanes: usize,
    /// Vectors per block of output channels.
    pub nv: usize,
    /// Output pixels per tile.
    pub mr: usize,
    pub(crate) run: Run<T>,
    pub(crate) gram: Gram<T>,
}

fn table<S: Simd>(name: &'static str) -> Isa<S::T> {
    Isa { name, lanes: S::LANES, nv: S::NV, mr: S::MR, run: step::run::<S>, gram: step::gram::<S> }
}

/// The portable set.
pub fn portable<T: Real>() -> Isa<T> {
    table::<Portable<T>>("portable")
}

/// All sets of this machine for `f32`, best first.
pub fn available() -> Vec<Isa<f32>> {
    let mut sets = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let avx512 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        if avx2 && avx512 {
            sets.push(table::<crate::simd::avx512::Avx512>("avx512"));
        }
        if avx2 {
            sets.push(table::<crate::simd::avx2::Avx2>("avx2"));
        }
    }
    #[cfg(target_arch = "aarch64")]
    sets.push(table::<crate::simd::neon::Neon>("neon"));
    sets.push(portable());
    sets
}

/// The set of that name.
///
/// # Errors
/// A name that is none, or a set that this machine does not have.
pub fn named(name: &str) -> Result<Isa<f32>, SpecError> {
    let sets = available();
    sets.iter().find(|set| set.name == name).copied().ok_or_else(|| {
        let names: Vec<&str> = sets.iter().map(|s| s.name).collect();
        SpecError(format!("{VARIABLE}: expected one of {} on this machine, found `{name}`", names.join(", ")))
    })
}

/// The set named by the environment, else the best.
///
/// # Errors
/// As [`named`].
pub fn chosen() -> Result<Isa<f32>, SpecError> {
    match std::env::var(VARIABLE) {
        Ok(name) if !name.is_empty() => named(&name),
        _ => Ok(available()[0]),
    }
}

/// `named` and `chosen` of a struct of functions, one struct for each instruction set, which
/// `$table::<S>(name)` makes of a [`crate::simd::Simd`] of [`f32`].
macro_rules! choice {
    ($table:ident) => {
        /// The table of an instruction set; [`crate::isa::available`] says which this machine has.
        ///
        /// # Errors
        /// A name that is none, or a set that this machine does not have.
        pub fn named(name: &str) -> Result<Self, crate::SpecError> {
            let set = crate::isa::named(name)?;
            Ok(match set.name {
                #[cfg(target_arch = "x86_64")]
                "avx512" => $table::<crate::simd::avx512::Avx512>("avx512"),
                #[cfg(target_arch = "x86_64")]
                "avx2" => $table::<crate::simd::avx2::Avx2>("avx2"),
                #[cfg(target_arch = "aarch64")]
                "neon" => $table::<crate::simd::neon::Neon>("neon"),
                _ => $table::<crate::simd::portable::Portable<f32>>("portable"),
            })
        }

        /// The set named by the environment, else the best of this machine.
        ///
        /// # Errors
        /// As [`Kernels::named`].
        pub fn chosen() -> Result<Self, crate::SpecError> {
            Self::named(crate::isa::chosen()?.name)
        }
    };
}
pub(crate) use choice;
