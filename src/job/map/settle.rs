//! What flags and files may say in short.

use crate::error::{Error, Result};
use crate::job::configuration::{merge, partial};
use crate::mapping::sphere::Preset;
use toml::{Table, Value};

/// `sphere.preset` stands for another tool's rule, under what else is said of the sphere;
/// `simulation.simulate` for the section itself.
///
/// # Errors
/// [`Error::Invalid`] for a preset that there is not.
pub fn settle(given: &mut Table) -> Result<()> {
    if let Some(simulation) = given.get_mut("simulation").and_then(Value::as_table_mut) {
        simulation.remove("simulate");
    }
    let Some(sphere) = given.get_mut("sphere").and_then(Value::as_table_mut) else { return Ok(()) };
    let Some(preset) = sphere.remove("preset") else { return Ok(()) };
    let found = preset.to_string();
    let preset: Preset =
        preset.try_into().map_err(|_| Error::invalid("sphere.preset", "rsatoolbox, nilearn or brainiak", found, ""))?;
    let mut rule = partial(&preset.sphere(None))?;
    merge(&mut rule, std::mem::take(sphere));
    *sphere = rule;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::settle;
    use crate::job::map::Config;
    use crate::mapping::sphere::{Preset, Sphere};

    fn settled(text: &str) -> Config {
        let mut given = toml::from_str(text).unwrap();
        settle(&mut given).unwrap();
        given.try_into().unwrap()
    }

    #[test]
    fn a_preset_is_a_rule_under_what_else_is_said() {
        assert_eq!(settled("[sphere]\npreset = \"rsatoolbox\"\n").sphere, Preset::Rsatoolbox.sphere(None));
        let larger = settled("[sphere]\npreset = \"nilearn\"\nradius = 6\n").sphere;
        assert_eq!(larger, Sphere { radius: 6.0, ..Preset::Nilearn.sphere(None) });
        assert!(settle(&mut toml::from_str("[sphere]\npreset = \"spm\"\n").unwrap()).is_err());
    }

    #[test]
    fn simulate_stands_for_its_section() {
        assert!(settled("[simulation]\nsimulate = true\n").simulation.is_some());
        assert!(settled("seed = 3\n").simulation.is_none());
    }
}
