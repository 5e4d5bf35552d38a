//! Damaged files for every reader: small honest files are changed at random, and whatever reads them
//! must answer or refuse, without a panic, within 2 s and 1 GB.
//!
//! | command (`cargo test --release --test fuzz -- ...`) | what |
//! |---|---|
//! | no argument | a few hundred mutants a reader |
//! | `READER...` | readers whose names contain one of these words |
//! | `--mutants 1000000` | so many a reader |
//! | `--seconds 120` | in all, shared among the readers |
//! | `--seed 7` | other mutants |
//! | `--jobs 2` | so many readers at a time |
//! | `READER --seed 7 --mutant 1234` | one mutant: its bytes are kept, what becomes of it is printed |
//! | `--list` | the readers |
//!
//! Each reader is tried by a process of its own under limits of memory and time, which is started
//! again behind a mutant that killed it. A mutant is fixed by reader, seed and number.

mod args;
mod bench;
mod hdf5;
mod mutate;
mod protobuf;
mod readers;
mod repack;
mod watch;
mod worker;

use args::{Args, Mode};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = match Args::parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(2);
        }
    };
    match args.mode {
        Mode::List => {
            readers::all().iter().for_each(|reader| println!("{:<16}{}", reader.name, reader.file));
            ExitCode::SUCCESS
        }
        Mode::Worker => {
            let all = readers::all();
            let reader = all.iter().chain(readers::wicked()).find(|r| args.words.first().is_some_and(|w| w == r.name));
            worker::work(reader.expect("a worker is told a reader's name"), &args.order());
            ExitCode::SUCCESS
        }
        Mode::One => bench::replay(&args),
        Mode::Bench => bench::all(&args),
    }
}
