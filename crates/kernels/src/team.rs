//! Threads that go through a list of jobs together.
//!
//! A pass over one small image is two dozen steps of ten to a few hundred microseconds: as long as
//! it takes to put a thread to sleep and wake it again. So a pass asks the pool for help once; the
//! members claim tasks of the current job until none is left, wait for each other's last, and go on
//! to the next. A member that comes late finds the jobs done, and one that never comes is not
//! missed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How far a job is. Each has its own cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Progress {
    claimed: AtomicUsize,
    done: AtomicUsize,
}

/// Counts a task as done, even when it panics: the others would wait for ever.
struct Task<'a>(&'a Progress);

impl Drop for Task<'_> {
    fn drop(&mut self) {
        self.0.done.fetch_add(1, Ordering::Release);
    }
}

/// Calls `work(member, job, task)` for every task of every job, `tasks[job]` of them, on up to
/// `n_threads` threads: the caller's (member 0) and some of the pool's. No task starts before all
/// tasks of the job before it are done.
pub fn run(n_threads: usize, tasks: &[usize], work: impl Fn(usize, usize, usize) + Sync) {
    if n_threads <= 1 || tasks.iter().all(|&n| n <= 1) {
        tasks.iter().enumerate().for_each(|(job, &n)| (0..n).for_each(|task| work(0, job, task)));
        return;
    }
    let jobs: Vec<Progress> = tasks.iter().map(|_| Progress::default()).collect();
    let member = |member: usize| {
        for (job, (progress, &n)) in jobs.iter().zip(tasks).enumerate() {
            while progress.claimed.load(Ordering::Relaxed) < n {
                let task = progress.claimed.fetch_add(1, Ordering::Relaxed);
                if task < n {
                    let _counted = Task(progress);
                    work(member, job, task);
                }
            }
            wait(|| progress.done.load(Ordering::Acquire) == n);
        }
    };
    rayon::in_place_scope(|scope| {
        (1..n_threads).for_each(|i| scope.spawn(move |_| member(i)));
        member(0);
    });
}

/// Waits: for half a millisecond or so without giving the processor away, then offering it, then
/// sleeping.
fn wait(ready: impl Fn() -> bool) {
    const SPINS: usize = 30_000;
    const YIELDS: usize = SPINS + 200;
    for round in 0.. {
        if ready() {
            return;
        }
        match round {
            0..SPINS => std::hint::spin_loop(),
            SPINS..YIELDS => std::thread::yield_now(),
            _ => std::thread::sleep(Duration::from_micros(50)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn every_task_runs_once_and_jobs_follow_each_other() {
        let tasks = [3, 0, 1, 17, 2, 1, 64];
        for n_threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            for _ in 0..50 {
                let seen = Mutex::new(Vec::new());
                pool.install(|| {
                    run(n_threads, &tasks, |member, job, task| {
                        assert!(member < n_threads);
                        seen.lock().unwrap().push((job, task));
                    });
                });
                let mut seen = seen.into_inner().unwrap();
                assert!(seen.is_sorted_by_key(|s| s.0), "{seen:?}");
                seen.sort_unstable();
                let all = tasks.iter().enumerate().flat_map(|(job, &n)| (0..n).map(move |t| (job, t)));
                assert_eq!(seen, all.collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_panic_reaches_the_caller() {
        let caught = std::panic::catch_unwind(|| {
            run(2, &[4, 4], |_, job, task| assert!(job == 0 || task != 2, "a task fails"));
        });
        assert!(caught.is_err());
    }
}
