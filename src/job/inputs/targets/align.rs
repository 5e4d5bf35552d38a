//! Responses brought to the stimuli that features were made of.

use super::config::Matching;
use super::{Recording, Targets};
use crate::data::Responses;
use crate::data::names::find_all;
use crate::error::{Error, Result};
use crate::warning::Warning;

/// Responses, and the stimulus of each of their columns.
#[derive(Debug, Clone)]
pub struct Aligned {
    /// In the order of the stimuli.
    pub responses: Responses,
    /// For each of the responses' stimuli, its place among those given; ascending.
    pub stimuli: Vec<usize>,
    pub warnings: Vec<Warning>,
}

/// Matches responses with stimuli. By names ([`Matching::Ids`]) every response needs a stimulus of
/// its own, as [`find_all`] finds them; stimuli without responses are left out and told. By order,
/// as many of both are needed, and names that say another order are an error.
///
/// # Errors
/// [`Error::Invalid`] for what does not match, for rows without names where the user has not asked
/// for their order, and for time series.
pub fn align(targets: &Targets, stimuli: &[String], how: Matching) -> Result<Aligned> {
    let Recording::Responses { responses, named } = &targets.recorded else {
        let hint = "time series are matched with the times of a movie's frames";
        return Err(Error::invalid("targets.rows", "responses to stimuli", "time series", hint));
    };
    match how {
        Matching::Order => by_order(responses, stimuli, *named),
        Matching::Ids if !named => {
            let hint = "name the stimulus of each row with `targets.ids`; or say match = \"order\" if row k is the k-th stimulus";
            Err(Error::invalid("targets.ids", "names of the stimuli of the rows", "none", hint))
        }
        Matching::Ids => by_ids(responses, stimuli),
    }
}

fn by_order(responses: &Responses, stimuli: &[String], named: bool) -> Result<Aligned> {
    let n = responses.n_stimuli();
    if n != stimuli.len() {
        let expected = format!("{} rows, one for each stimulus, with match = \"order\"", stimuli.len());
        let hint = "rows and stimuli of one number and order; else name the rows with `targets.ids`";
        return Err(Error::invalid("targets.files", expected, n.to_string(), hint));
    }
    if named
        && let Ok(found) = find_all(responses.stimuli(), stimuli, "targets", ("rows", "stimuli"))
        && let Some(row) = found.places.iter().enumerate().position(|(row, place)| row != *place)
    {
        let expected = format!("`{}` in row {}, as the order of the stimuli has it", stimuli[row], row + 1);
        let hint = "the names say another order: match = \"ids\"";
        return Err(Error::invalid("targets.match", expected, format!("`{}`", responses.stimuli()[row]), hint));
    }
    Ok(Aligned { responses: responses.clone(), stimuli: (0..n).collect(), warnings: vec![] })
}

fn by_ids(responses: &Responses, stimuli: &[String]) -> Result<Aligned> {
    let found = find_all(responses.stimuli(), stimuli, "targets.ids", ("rows of the responses", "stimuli"))?;
    let mut order: Vec<usize> = (0..found.places.len()).collect();
    order.sort_by_key(|&row| found.places[row]);
    let places: Vec<usize> = order.iter().map(|&row| found.places[row]).collect();
    let mut texts = vec![];
    if places.len() < stimuli.len() {
        texts.push(format!(
            "{} of the {} stimuli have no responses and are left out",
            stimuli.len() - places.len(),
            stimuli.len()
        ));
    }
    if let Some((row, stimulus)) = found.by_stem {
        texts.push(format!(
            "some rows and stimuli have one name but differ in folder or ending, such as `{row}` and `{stimulus}`: they were taken to be the same"
        ));
    }
    let warnings = texts.into_iter().map(|text| Warning::Note { text }).collect();
    Ok(Aligned { responses: responses.clone().select(&order)?, stimuli: places, warnings })
}
