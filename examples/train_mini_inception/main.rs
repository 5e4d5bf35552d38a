//! Trains the embedded network, `mini-inception`, on scenes that the library generates. See models/mini-inception/README.md.

mod fused;
mod kernels;
mod net;
mod step;
mod train;

use clap::Parser;
use std::path::PathBuf;

#[derive(Parser)]
struct Args {
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(long, default_value_t = 2600)]
    steps: usize,
    #[arg(long, default_value_t = 64)]
    batch: usize,
    #[arg(long, default_value_t = 4e-3)]
    rate: f64,
    #[arg(long, default_value_t = 0.05)]
    decay: f64,
    /// Folder for the checkpoint and the model.
    #[arg(long, default_value = "outputs/mini-inception")]
    out: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    std::fs::create_dir_all(&args.out)?;
    let settings = train::Settings { seed: args.seed, steps: args.steps, batch: args.batch, rate: args.rate, decay: args.decay };
    let (_graph, history) = train::train(&settings, &args.out.join("checkpoint.safetensors"))?;
    println!("{:?}", history.held_out);
    Ok(())
}
