//! Writes scenes as the embedded network was trained on, a folder for each class: labelled images for
//! `orthoscope compress --by car`.
//!
//! ```text
//! cargo run --release --example labelled_scenes -- --out outputs/scenes --each 20
//! ```
//!
//! The default seed is that of the network's own test set; its training saw none of these images.
#![deny(unsafe_code)]

// The training example uses what is not used here.
#[allow(dead_code)]
#[path = "train_mini_inception/scenes/mod.rs"]
mod scenes;

use clap::Parser;
use orthoscope::image::quantize::quantize;
use orthoscope::io::png;
use rayon::prelude::*;
use std::path::PathBuf;

/// Writes labelled scenes.
#[derive(Parser)]
struct Args {
    /// Folder that gets one folder for each class; the names of the classes go to OUT.txt beside it.
    #[arg(long, default_value = "outputs/scenes")]
    out: PathBuf,
    /// Images of each class.
    #[arg(long, default_value_t = 20)]
    each: u64,
    /// 3 is the seed of the network's test set, 2 that of its training.
    #[arg(long, default_value_t = 3)]
    seed: u64,
    /// Rows and columns.
    #[arg(long, default_value_t = 96)]
    size: usize,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    (0..scenes::CLASSES.len()).into_par_iter().try_for_each(|class| -> anyhow::Result<()> {
        let folder = args.out.join(scenes::CLASSES[class].name);
        std::fs::create_dir_all(&folder)?;
        for index in 0..args.each {
            let image = scenes::draw(class, args.seed, index, args.size);
            let bytes = quantize(&image.insert_axis(ndarray::Axis(0)));
            let pixels = bytes.index_axis_move(ndarray::Axis(0), 0).permuted_axes([1, 2, 0]);
            png::write(&folder.join(format!("{index:04}.png")), pixels.as_standard_layout().view())?;
        }
        Ok(())
    })?;
    let names: Vec<&str> = scenes::CLASSES.iter().map(|class| class.name).collect();
    std::fs::write(args.out.with_extension("txt"), names.join("\n") + "\n")?;
    println!("{} classes of {} images in {}", names.len(), args.each, args.out.display());
    Ok(())
}
