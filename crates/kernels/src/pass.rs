//! A pass over the steps of a program: which of them run image by image, which are spread over the
//! threads.

use crate::engine::Engine;
use crate::mem::{Aligned, Mem};
use crate::real::Real;
use crate::step::{External, Step};
use crate::team;
use std::sync::Mutex;

/// The memory of workers that are not at work.
pub(crate) type Workers<T> = Mutex<Vec<Aligned<T>>>;

/// Steps over the images of a session, whose memory belongs to this alone.
pub(crate) struct Pass<'a, T> {
    pub engine: &'a Engine<T>,
    pub workers: &'a Workers<T>,
    pub external: &'a External<'a, T>,
    pub mem: Mem<T>,
    pub n_threads: usize,
}

/// What the threads do together.
enum Job<'a, T> {
    /// Steps that look at one image at a time; a task is an image.
    Images(&'a [Step<T>], usize),
    /// One step over one image, or over all; tasks are ranges of its units.
    Units { step: &'a Step<T>, image: Option<usize>, n_tasks: usize },
}

impl<T> Job<'_, T> {
    fn n_tasks(&self) -> usize {
        match self {
            Job::Images(_, n) => *n,
            Job::Units { n_tasks, .. } => *n_tasks,
        }
    }
}

impl<T: Real> Pass<'_, T> {
    /// Runs steps: between two that need the whole batch, an image per thread, and what is left
    /// step by step.
    pub fn run(&self, steps: &[Step<T>]) {
        let n = self.mem.n_images;
        let whole = n / self.n_threads * self.n_threads;
        let mut jobs = Vec::new();
        for run in steps.chunk_by(|a, b| !a.whole_batch() && !b.whole_batch()) {
            if run[0].whole_batch() {
                jobs.push(self.units(&run[0], None));
                continue;
            }
            jobs.push(Job::Images(run, whole));
            jobs.extend(
                (whole..n).flat_map(|i| run.iter().map(move |step| (step, i))).map(|(s, i)| self.units(s, Some(i))),
            );
        }
        let tasks: Vec<usize> = jobs.iter().map(Job::n_tasks).collect();
        // One block for the images that all threads work on; the first member's, whose images are
        // done by then.
        let mut shared = self.take();
        let first = self.mem.with_worker(shared.as_mut_slice());
        team::run(self.n_threads, &tasks, |member, job, task| match &jobs[job] {
            Job::Images(steps, _) => {
                let mut own = (member > 0).then(|| self.take());
                let mem = own.as_mut().map_or(first, |own| self.mem.with_worker(own.as_mut_slice())).image(task);
                for step in *steps {
                    // SAFETY: the blocks of this image and of this member belong to this task
                    // alone.
                    unsafe { (self.engine.isa.run)(step, &mem, self.external, 0..step.units(1)) };
                }
                own.into_iter().for_each(|own| self.give_back(own));
            }
            Job::Units { step, image, n_tasks } => {
                let mem = image.map_or(self.mem, |i| first.image(i));
                let n_units = step.units(mem.n_images);
                let units = task * n_units / n_tasks..(task + 1) * n_units / n_tasks;
                // SAFETY: the planner laid the step out inside these blocks; units are disjoint.
                unsafe { (self.engine.isa.run)(step, &mem, self.external, units) };
            }
        });
        self.give_back(shared);
    }

    /// A step whose units are spread over all threads, in as many tasks as are worth it.
    fn units<'s>(&self, step: &'s Step<T>, image: Option<usize>) -> Job<'s, T> {
        const TASKS_PER_THREAD: usize = 4;
        /// Multiply-adds below which a task costs more to hand over than to do.
        const LEAST_WORK: usize = 100_000;
        let n_images = if image.is_some() { 1 } else { self.mem.n_images };
        // Neighbouring tasks of rolling steps make some rows twice.
        let per_thread = if matches!(step, Step::Rolling(_)) { 1 } else { TASKS_PER_THREAD };
        let most = if self.n_threads > 1 { self.n_threads * per_thread } else { 1 };
        let n_tasks = most.min(step.units(n_images)).min(step.work(n_images) / LEAST_WORK).max(1);
        Job::Units { step, image, n_tasks }
    }

    fn take(&self) -> Aligned<T> {
        take(self.workers, self.engine)
    }

    fn give_back(&self, worker: Aligned<T>) {
        self.workers.lock().expect("no task panics while it holds the list").push(worker);
    }
}

/// A worker's memory, a new one if none is free.
pub(crate) fn take<T: Real>(workers: &Workers<T>, engine: &Engine<T>) -> Aligned<T> {
    let free = workers.lock().expect("no task panics while it holds the list").pop();
    free.unwrap_or_else(|| Aligned::zeros(engine.program.sizes.worker_len))
}
