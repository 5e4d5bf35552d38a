//! The largest numbers that a configuration may ask for. A slip of the keyboard is refused before
//! memory is taken for it.

use crate::error::{Error, Result};
use crate::size;
use std::fmt::Display;

/// Optimisation steps.
pub const STEPS: usize = 10_000_000;
/// Independent starts.
pub const RESTARTS: usize = 10_000;
/// Images that are synthesised together.
pub const IMAGES: usize = 10_000;
/// Relabellings of conditions.
pub const RELABELLINGS: usize = 1_000_000;
/// Sign flips of subjects.
pub const FLIPS: usize = 10_000_000;
/// Resamples of a bootstrap.
pub const BOOTSTRAPS: usize = 100_000;
/// Weights, rates and other numbers without a natural limit.
pub const NUMBER: f64 = 1e6;

/// Numbers that must be more than 0.
pub const TINY: f64 = 1e-9;

/// Numbers of one array: 4 GiB of 32-bit floats.
const ARRAY: usize = 1 << 30;

/// Refuses a number that is none, or out of `least..=most`.
///
/// # Errors
/// [`Error::Invalid`] naming `option`.
pub fn within<T: PartialOrd + Display>(option: &str, found: T, least: T, most: T) -> Result<()> {
    if least <= found && found <= most {
        return Ok(());
    }
    Err(Error::invalid(option, format!("a number from {least} to {most}"), found.to_string(), ""))
}

/// Refuses more than [`ARRAY`] numbers at once, the product of the sizes that `words` name.
///
/// # Errors
/// [`Error::Invalid`] naming `option`.
pub fn together(option: &str, words: &str, sizes: &[usize]) -> Result<()> {
    if size::product(sizes.iter().copied()).is_some_and(|n| n <= ARRAY) {
        return Ok(());
    }
    let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
    let expected = format!("{words} of at most {ARRAY} numbers in all");
    Err(Error::invalid(option, expected, sizes.join(" x "), "give fewer, or split the run"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_means_is_refused() {
        assert!(within("steps", 1, 1, STEPS).is_ok() && within("steps", STEPS, 1, STEPS).is_ok());
        let error = within("steps", STEPS + 1, 1, STEPS).unwrap_err().to_string();
        assert_eq!(error, "steps: expected a number from 1 to 10000000, found 10000001");
        for bad in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
            assert!(within("rate", bad, 0.0, NUMBER).is_err(), "{bad}");
        }
        assert!(together("n_images", "images", &[1365, 3, 512, 512]).is_ok());
        let error = together("n_images", "images", &[usize::MAX, 3, 512, 512]).unwrap_err().to_string();
        assert!(error.contains("x 3 x 512 x 512"), "{error}");
    }
}
