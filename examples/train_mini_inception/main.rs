//! Trains the embedded network, `mini-inception`, on scenes that it draws itself.
//!
//! ```text
//! cargo run --release --example train_mini_inception
//! ```
//!
//! Killed and started again, it goes on from its last checkpoint. See
//! models/mini-inception/README.md.
#![deny(unsafe_code)]

mod export;
mod net;
mod scenes;
mod train;

use clap::Parser;
use std::path::PathBuf;

/// Trains mini-inception and writes its model directory.
#[derive(Parser)]
struct Args {
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(long, default_value_t = 3400)]
    steps: usize,
    /// Images per step.
    #[arg(long, default_value_t = 32)]
    batch: usize,
    /// Peak learning rate.
    #[arg(long, default_value_t = 3e-3)]
    rate: f64,
    /// Step at which the cosine of the learning rate reaches zero.
    #[arg(long, default_value_t = 4200)]
    horizon: usize,
    /// Last steps, over which the rate also falls linearly.
    #[arg(long, default_value_t = 600)]
    cooldown: usize,
    /// Weight decay.
    #[arg(long, default_value_t = 0.1)]
    decay: f64,
    /// Weight decay of the first layer from step `settle` on.
    #[arg(long, default_value_t = 1.0)]
    first_decay: f64,
    #[arg(long, default_value_t = 1400)]
    settle: usize,
    /// Folder for the checkpoint.
    #[arg(long, default_value = "outputs/mini-inception")]
    out: PathBuf,
    /// Model directory to write.
    #[arg(long, default_value = "models/mini-inception")]
    model: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    std::fs::create_dir_all(&args.out)?;
    let settings = train::Settings {
        seed: args.seed,
        steps: args.steps,
        batch: args.batch,
        rate: args.rate,
        horizon: args.horizon,
        cooldown: args.cooldown,
        decay: args.decay,
        first_decay: args.first_decay,
        settle: args.settle,
    };
    let (graph, history) = train::train(&settings, &args.out.join("training.checkpoint"))?;
    export::export(&graph, &settings, &history, &args.model)?;
    println!(
        "{}",
        std::fs::read_to_string(args.model.join("card.toml"))?.lines().take(60).collect::<Vec<_>>().join("\n")
    );
    Ok(())
}
