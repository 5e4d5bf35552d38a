//! How many threads compute.

use crate::error::{Error, Result};

/// A worker may carry a whole job: as much stack as the main thread has.
const STACK: usize = 8 << 20;
/// More threads than this for each core only wait for each other: beyond it a number is a slip, or
/// meant for another machine.
const MOST_PER_CORE: usize = 4;
/// What asks for threads where no flag does, most important first: batch systems, then rayon's own.
const VARIABLES: [&str; 3] = ["SLURM_CPUS_PER_TASK", "RAYON_NUM_THREADS", "RAYON_RS_NUM_CPUS"];

/// A number of threads, and who asked for it.
type Asked = (usize, &'static str);

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The variable that asks for threads; what is no number above 0 asks for nothing.
fn of_environment() -> Option<Asked> {
    VARIABLES.into_iter().find_map(|name| {
        let text = std::env::var(name).ok()?;
        // Any number of digits is a number: one that fits nowhere asks for as many as there may be.
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let n = digits.then(|| text.parse().unwrap_or(usize::MAX))?;
        (n > 0).then_some((n, name))
    })
}

/// The number in force, and what is to be said where it is not the one that was asked for.
fn capped((n, asker): Asked, n_cores: usize) -> (usize, Option<String>) {
    let most = MOST_PER_CORE * n_cores;
    let said = || format!("{asker} asks for {n} threads: {most} are used, {MOST_PER_CORE} for each of {n_cores} cores");
    (n.min(most), (n > most).then(said))
}

/// Runs `work` on `n` threads, else on as many as the environment asks for, else on all cores.
///
/// # Errors
/// [`Error::Invalid`] when the threads cannot be made.
pub fn on<T: Send>(n: Option<usize>, work: impl FnOnce() -> T + Send) -> Result<T> {
    let Some(asked) = n.map(|n| (n, "--threads")).or_else(of_environment) else { return Ok(work()) };
    let (n, said) = capped(asked, cores());
    said.iter().for_each(super::say);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(n).stack_size(STACK).build();
    let pool = pool.map_err(|e| Error::invalid("--threads", format!("{n} threads"), e.to_string(), "give fewer"))?;
    Ok(pool.install(work))
}

/// Keeps what runs outside of [`on`] from asking the environment by itself.
pub fn settle() {
    if let Some(asked) = of_environment() {
        let (n, _) = capped(asked, cores());
        // Where threads run already they are as many as they are.
        rayon::ThreadPoolBuilder::new().num_threads(n).build_global().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_of_threads_is_mad() {
        assert_eq!(capped((8, "--threads"), 2), (8, None));
        let (n, said) = capped((65_535, "SLURM_CPUS_PER_TASK"), 16);
        assert_eq!(n, 64);
        assert_eq!(said.unwrap(), "SLURM_CPUS_PER_TASK asks for 65535 threads: 64 are used, 4 for each of 16 cores");
        assert_eq!(capped((usize::MAX, "--threads"), 1).0, 4);
    }
}
