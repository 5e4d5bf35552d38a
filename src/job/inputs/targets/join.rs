//! Files of one recording: rows below each other, hemispheres beside each other.

use super::Block;
use super::config::{Rows, TargetsConfig};
use crate::data::{Grayordinates, Place};
use crate::error::{Error, Result};
use ndarray::{Array3, ArrayView3, Axis, concatenate};

/// All files' targets, and how many rows each file (of the first structure) had.
pub(super) struct Joined {
    pub block: Block,
    /// Rows of each run's file, in their order.
    pub n_rows: Vec<usize>,
    /// The number of each of those files.
    pub files: Vec<usize>,
}

/// Blocks of one place, one below the other.
struct Pile {
    place: Place,
    files: Vec<usize>,
}

pub(super) fn join(config: &TargetsConfig, blocks: Vec<Block>) -> Result<Joined> {
    let shown = |file: usize| config.files[file].display().to_string();
    let mut piles: Vec<Pile> = vec![];
    for (file, block) in blocks.iter().enumerate() {
        match piles.iter_mut().find(|pile| same(&pile.place, &block.place)) {
            Some(pile) => pile.files.push(file),
            None => piles.push(Pile { place: block.place.clone(), files: vec![file] }),
        }
    }
    let first = &piles[0].files;
    let n_rows = |files: &[usize]| files.iter().map(|&f| blocks[f].values.dim().0).collect::<Vec<_>>();
    let rows = n_rows(first);
    for pile in &piles[1..] {
        if !is_surface(&pile.place) || !is_surface(&piles[0].place) {
            return Err(another_place(&blocks, config, first[0], pile.files[0]));
        }
        if n_rows(&pile.files) != rows {
            let expected = format!("as many rows in the files of every hemisphere: {rows:?} from {}", shown(first[0]));
            let found = format!("{:?} from {}", n_rows(&pile.files), shown(pile.files[0]));
            return Err(Error::invalid("targets.files", expected, found, "give the runs of both in one order"));
        }
    }
    if let Some(other) = blocks.iter().position(|b| b.values.dim().2 != blocks[0].values.dim().2) {
        let count = |f: usize| format!("{} repeats in {}", blocks[f].values.dim().2, shown(f));
        return Err(Error::invalid("targets.files", count(0), count(other), "pad with NaN"));
    }
    let names = joined_names(config, &blocks, first)?;
    let ids = joined_ids(config, &blocks, &piles)?;
    let tr_s = one_tr(config, &blocks)?;
    let place = place_of_all(&piles)?;
    let (space, columns) = (blocks[0].space, blocks[0].columns.clone());
    let files = first.clone();
    let values = values(blocks, &piles);
    Ok(Joined { block: Block { values, place, names, ids, tr_s, space, columns }, n_rows: rows, files })
}

fn is_surface(place: &Place) -> bool {
    matches!(place, Place::Brain(brain) if brain.grid().is_none() && brain.parts().len() == 1)
}

/// Whether targets of two files are in one place.
fn same(a: &Place, b: &Place) -> bool {
    match (a, b) {
        (Place::Volume(a), Place::Volume(b)) => a.grid().same(b.grid()) && a.voxels() == b.voxels(),
        (a, b) => a == b,
    }
}

fn another_place(blocks: &[Block], config: &TargetsConfig, a: usize, b: usize) -> Error {
    let place = |f: usize| {
        let what = match &blocks[f].place {
            Place::Nowhere => "columns without a place".to_owned(),
            Place::Volume(mask) => format!("voxels of {}", mask.grid()),
            Place::Brain(brain) => format!("{} grayordinates", brain.len()),
        };
        format!("{what} in {}", config.files[f].display())
    };
    Error::invalid("targets.files", place(a), place(b), "all files must be of one grid, mask or surface")
}

/// Names of the targets, which all files must agree in.
fn joined_names(config: &TargetsConfig, blocks: &[Block], files: &[usize]) -> Result<Option<Vec<String>>> {
    let first = &blocks[files[0]];
    for &f in files {
        let (n, expected) = (blocks[f].values.dim().1, first.values.dim().1);
        let at = config.files[f].display().to_string();
        if n != expected {
            let hint = "every file must have the same targets, in one order";
            return Err(Error::invalid(at, format!("{expected} targets, as in the first file"), n.to_string(), hint));
        }
        if let (Some(a), Some(b)) = (&first.names, &blocks[f].names)
            && let Some(t) = (0..n).find(|&t| a[t] != b[t])
        {
            let expected = format!("`{}` as target {t} (from 0), as in the first file", a[t]);
            return Err(Error::invalid(at, expected, format!("`{}`", b[t]), "put the columns in one order"));
        }
    }
    Ok(first.names.clone())
}

/// Names of the rows, where every file has some; hemispheres must agree in them.
fn joined_ids(config: &TargetsConfig, blocks: &[Block], piles: &[Pile]) -> Result<Option<Vec<String>>> {
    if config.rows != Rows::Stimuli {
        return Ok(None);
    }
    let of = |pile: &Pile| {
        let all = pile.files.iter().map(|&f| blocks[f].ids.clone());
        all.collect::<Option<Vec<_>>>().map(|lists| lists.concat())
    };
    let ids = of(&piles[0]);
    for pile in &piles[1..] {
        if of(pile) != ids {
            let at = config.files[pile.files[0]].display().to_string();
            let hint = "rows of both hemispheres must be of the same stimuli, in one order";
            return Err(Error::invalid(at, "the names of the rows of the first hemisphere", "others", hint));
        }
    }
    Ok(ids)
}

fn one_tr(config: &TargetsConfig, blocks: &[Block]) -> Result<Option<f64>> {
    let mut said = blocks.iter().enumerate().filter_map(|(f, block)| Some((f, block.tr_s?)));
    let Some((first, tr_s)) = said.next() else { return Ok(None) };
    match said.find(|(_, other)| (other - tr_s).abs() > 1e-4 * tr_s) {
        Some((f, other)) if config.rows == Rows::Time && config.tr_s.is_none() => {
            let shown = |f: usize, tr: f64| format!("a repetition time of {tr} s in {}", config.files[f].display());
            let hint = "series of one sampling rate; `targets.tr_s` says it where headers are wrong";
            Err(Error::invalid("targets.files", shown(first, tr_s), shown(f, other), hint))
        }
        _ => Ok(Some(tr_s)),
    }
}

fn place_of_all(piles: &[Pile]) -> Result<Place> {
    if let [only] = piles {
        return Ok(only.place.clone());
    }
    let parts = piles.iter().flat_map(|pile| match &pile.place {
        Place::Brain(brain) => brain.parts().to_vec(),
        _ => vec![],
    });
    Ok(Place::Brain(Grayordinates::new(parts.collect(), None)?))
}

fn values(mut blocks: Vec<Block>, piles: &[Pile]) -> Array3<f32> {
    if blocks.len() == 1 {
        return blocks.remove(0).values;
    }
    let below = |pile: &Pile| {
        let views: Vec<ArrayView3<'_, f32>> = pile.files.iter().map(|&f| blocks[f].values.view()).collect();
        concatenate(Axis(0), &views).expect("as many targets and repeats each")
    };
    let beside: Vec<Array3<f32>> = piles.iter().map(below).collect();
    let views: Vec<ArrayView3<'_, f32>> = beside.iter().map(|pile| pile.view()).collect();
    concatenate(Axis(1), &views).expect("as many rows and repeats each")
}
