//! One objective over several units: drive some, hold others, suppress the rest.

use crate::error::{Error, Result};
use crate::job::configuration::read;
use crate::job::drive::{Natural, Population};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The file as the user writes it. Responses are measured in standard deviations of the natural
/// responses.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AimsFile {
    /// Towards larger responses.
    drive: Vec<Aim>,
    /// Near a level: the natural mean, or `at` standard deviations above it.
    hold: Vec<Aim>,
    /// Towards smaller responses.
    suppress: Vec<Aim>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Aim {
    unit: String,
    #[serde(default = "one")]
    weight: f64,
    #[serde(default)]
    at: f64,
}

fn one() -> f64 {
    1.0
}

/// What each unit should do, in standard deviations of its natural responses.
#[derive(Debug, Clone, PartialEq)]
pub struct Aims {
    /// Indices into the population's units.
    pub units: Vec<usize>,
    /// Weight of the response: above 0 drives, below 0 suppresses.
    pub linear: Vec<f64>,
    /// Weight of the squared distance from `at`.
    pub hold: Vec<f64>,
    pub at: Vec<f64>,
    pub words: String,
}

/// Reads the file and finds its units.
///
/// # Errors
/// [`Error::Invalid`] for units that are not among the population's, weights that are not positive,
/// or nothing to drive.
pub fn read_aims(path: &Path, population: &Population) -> Result<Aims> {
    let file: AimsFile = read(path)?;
    let at = path.display().to_string();
    let mut aims = Aims { units: vec![], linear: vec![], hold: vec![], at: vec![], words: String::new() };
    let mut words = Vec::new();
    for (list, kind) in [(&file.drive, "drive"), (&file.hold, "hold"), (&file.suppress, "suppress")] {
        for aim in list {
            let unit = population.units.iter().position(|u| u.name == aim.unit).ok_or_else(|| {
                let names: Vec<&str> = population.units.iter().take(4).map(|u| u.name.as_str()).collect();
                let expected = format!("one of the run's units ({}, ...)", names.join(", "));
                Error::invalid(
                    &at,
                    expected,
                    format!("`{}`", aim.unit),
                    "`units` names the units that the file may use",
                )
            })?;
            if aims.units.contains(&unit) || !(aim.weight > 0.0 && aim.weight.is_finite() && aim.at.is_finite()) {
                let found = format!("`{}` with weight {} at {}", aim.unit, aim.weight, aim.at);
                return Err(Error::invalid(&at, "each unit once, with a weight above 0", found, ""));
            }
            aims.units.push(unit);
            aims.linear.push(match kind {
                "drive" => aim.weight,
                "suppress" => -aim.weight,
                _ => 0.0,
            });
            aims.hold.push(if kind == "hold" { aim.weight } else { 0.0 });
            aims.at.push(aim.at);
            words.push(match kind {
                "hold" => format!("hold {} at {} sd (weight {})", aim.unit, aim.at, aim.weight),
                _ => format!("{kind} {} (weight {})", aim.unit, aim.weight),
            });
        }
    }
    if aims.linear.iter().all(|&w| w == 0.0) {
        return Err(Error::invalid(
            &at,
            "at least one [[drive]] or [[suppress]]",
            "none",
            "write `[[drive]]` and `unit = \"NAME\"`",
        ));
    }
    aims.words = words.join("; ");
    Ok(aims)
}

impl Aims {
    /// One unit up and another down, each in standard deviations: what one model likes and the
    /// other does not.
    pub fn difference(unit: usize, rival: usize, population: &Population) -> Self {
        let name = |u: usize| &population.units[u].name;
        Self {
            units: vec![unit, rival],
            linear: vec![1.0, -1.0],
            hold: vec![0.0; 2],
            at: vec![0.0; 2],
            words: format!("z of {} - z of {}", name(unit), name(rival)),
        }
    }

    /// Weight of the response, weight of the squared distance, and level, in the unit's own scale.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a unit that responds the same to all natural images.
    pub fn scaled(&self, u: usize, natural: &Natural, population: &Population) -> Result<(f64, f64, f64)> {
        let reference = natural.reference(self.units[u]);
        if reference.sd.is_nan() || reference.sd <= 0.0 {
            let name = &population.units[self.units[u]].name;
            return Err(Error::invalid(
                format!("unit {name}"),
                "responses that vary",
                "the same to all natural images",
                "",
            ));
        }
        let sd = reference.sd;
        Ok((self.linear[u] / sd, self.hold[u] / (sd * sd), reference.mean + self.at[u] * sd))
    }
}
