//! Independent items on all threads: each worker has a share of them for what is parallel inside an
//! item.

use crate::error::{Error, Result};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// `work(i)` for every `i` of `0..n_items`, in order of their numbers as far as threads allow;
/// results in order.
///
/// After an error no further item is begun; the error of the lowest item is returned. What `work`
/// computes must not depend on which worker runs it.
///
/// # Errors
/// The first error of `work`; [`Error::Invalid`] when threads cannot be made.
pub fn on_all_threads<T: Send>(n_items: usize, work: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
    let n_threads = rayon::current_num_threads();
    let n_workers = n_threads.min(n_items).max(1);
    if n_workers == 1 {
        return (0..n_items).map(work).collect();
    }
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let results: Mutex<Vec<Option<Result<T>>>> = Mutex::new((0..n_items).map(|_| None).collect());
    let worker = |share: usize| -> Result<()> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(share)
            .build()
            .map_err(|e| Error::invalid("threads", format!("{share} more"), e.to_string(), "lower `threads`"))?;
        loop {
            let item = next.fetch_add(1, Ordering::SeqCst);
            if item >= n_items || failed.load(Ordering::SeqCst) {
                return Ok(());
            }
            let result = pool.install(|| work(item));
            if result.is_err() {
                failed.store(true, Ordering::SeqCst);
            }
            results.lock().expect("no worker panics while it holds the results")[item] = Some(result);
        }
    };
    std::thread::scope(|scope| {
        let share = |w: usize| n_threads / n_workers + usize::from(w < n_threads % n_workers);
        let workers: Vec<_> = (0..n_workers).map(|w| scope.spawn(move || worker_of(worker, share(w)))).collect();
        workers.into_iter().try_for_each(|w| w.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    let results = results.into_inner().expect("no worker panics while it holds the results");
    results.into_iter().flatten().collect()
}

/// Names the closure's lifetime for the spawned thread.
fn worker_of(worker: impl Fn(usize) -> Result<()>, share: usize) -> Result<()> {
    worker(share)
}

#[cfg(test)]
mod tests {
    use super::on_all_threads;
    use crate::error::Error;

    #[test]
    fn results_come_in_order_and_the_first_error_wins() {
        assert_eq!(on_all_threads(20, |i| Ok(i * i)).unwrap(), (0..20).map(|i| i * i).collect::<Vec<_>>());
        let failing = |i: usize| if i == 7 { Err(Error::invalid("item", "", "seven", "")) } else { Ok(i) };
        assert!(on_all_threads(20, failing).unwrap_err().to_string().contains("seven"));
        assert!(on_all_threads(0, Ok).unwrap().is_empty());
    }
}
