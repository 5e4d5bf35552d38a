//! Times one step (forward and gradient at the pixels) of well-known layouts.
//!
//! `cargo bench -p orthoscope-kernels --bench network -- NETWORK N_IMAGES [STEPS] [profile |
//! serve]`, NETWORK one of googlenet, squeezenet, vgg16, resnet18, compact. Prints the median and
//! the range in milliseconds; `profile` adds the time of each kind of step (on one thread, per
//! image, the fastest of several runs); `serve` takes one step for each line of standard input and
//! answers with its time (`rss`: with the peak memory in MiB), see `benches/compare.py`. Taps are
//! moment taps (the RSM loss in moment form), except for the compact model's one output.

mod layouts;

use orthoscope_kernels::engine::{Engine, Session, TapGradient};
use orthoscope_kernels::{Tap, isa};
use std::io::BufRead;
use std::time::Instant;

/// A network with memory for its images.
struct Bench {
    engine: Engine<f32>,
    session: Session<f32>,
    pixels: Vec<f32>,
    gradient: Vec<f32>,
    n_taps: usize,
    plain: bool,
}

impl Bench {
    fn new(name: &str, n: usize) -> Self {
        let (net, ids) = match name {
            "squeezenet" => layouts::squeezenet(),
            "vgg16" => layouts::vgg16(),
            "resnet18" => layouts::resnet18(),
            "compact" => layouts::compact(),
            _ => layouts::googlenet(),
        };
        let plain = name == "compact";
        let taps: Vec<Tap> = ids.iter().map(|&i| if plain { Tap::Plain(i) } else { Tap::Moments(i) }).collect();
        let engine = Engine::new(&net, &taps, true, isa::chosen().expect("an instruction set")).expect("a network");
        let session = engine.session(n);
        let size = n * net.nodes[0].shape.len();
        let pixels: Vec<f32> = (0..size).map(|i| ((i * 7919) % 1009) as f32 / 504.5 - 1.0).collect();
        Bench { engine, session, pixels, gradient: vec![0.0; size], n_taps: taps.len(), plain }
    }

    /// One step; milliseconds until the moments are known, and altogether.
    fn step(&mut self) -> (f64, f64) {
        let Bench { engine, session, pixels, gradient, n_taps, plain } = self;
        let start = Instant::now();
        session.forward(engine, pixels).expect("forward");
        let moments: Vec<_> = (0..*n_taps).filter(|_| !*plain).map(|k| session.moments(engine, k)).collect();
        let half = start.elapsed().as_secs_f64() * 1e3;
        let ones = vec![1.0f32; session.n_images()];
        let pushed: Vec<_> =
            moments.iter().map(|m| (m.gram.iter().map(|g| g * 1e-9).collect::<Vec<f64>>(), m.sums.clone())).collect();
        let grads: Vec<TapGradient<'_, f32>> = match *plain {
            true => vec![TapGradient::Plain(&ones)],
            false => pushed.iter().map(|(g, s)| TapGradient::Moments(g, s)).collect(),
        };
        session.backward(engine, &grads, gradient).expect("backward");
        (half, start.elapsed().as_secs_f64() * 1e3)
    }

    fn report(&mut self, name: &str, steps: usize) {
        self.step();
        let mut times: Vec<(f64, f64)> = (0..steps).map(|_| self.step()).collect();
        times.sort_by(|a, b| a.1.total_cmp(&b.1));
        let (half, median) = times[times.len() / 2];
        let (cost, n, threads) = (self.engine.cost(), self.session.n_images(), rayon::current_num_threads());
        println!(
            "{name} n={n} {} threads={threads}: step {median:.1} ms ({:.1}..{:.1}), forward {half:.1} ms, {:.1} GFLOP/s, {} MiB",
            self.engine.isa(),
            times[0].1,
            times[times.len() - 1].1,
            4.0 * cost.macs_per_image as f64 * n as f64 / median / 1e6,
            (cost.bytes_per_image * n + cost.bytes_per_thread * threads + cost.weight_bytes) >> 20,
        );
        println!("  gradient checksum {:.6e}", self.gradient.iter().map(|&g| f64::from(g).abs()).sum::<f64>());
    }

    fn profile(&mut self) {
        let runs: Vec<_> = (0..15).map(|_| self.session.profile(&self.engine, &self.pixels)).collect();
        let n = self.session.n_images() as f64;
        let mut total = 0.0;
        for (k, (kind, forward, _)) in runs[0].iter().enumerate() {
            let ms = runs.iter().map(|r| r[k].2).fold(f64::INFINITY, f64::min) / n;
            total += ms;
            println!("  {} {kind:44} {ms:9.3} ms", if *forward { "fwd" } else { "bwd" });
        }
        let start = Instant::now();
        (0..self.n_taps).filter(|_| !self.plain).for_each(|k| drop(self.session.moments(&self.engine, k)));
        println!("  moments on all threads {:.2} ms per image", start.elapsed().as_secs_f64() * 1e3 / n);
        println!("  per image {total:.2} ms");
    }

    fn serve(&mut self) {
        self.step();
        println!("ready {}", self.engine.isa());
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if line == "rss" {
                println!("{}", peak_mib());
            } else {
                println!("{}", self.step().1);
            }
        }
    }
}

/// Peak resident memory, where the system tells.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find_map(|l| l.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let numbers: Vec<usize> = args.iter().filter_map(|a| a.parse().ok()).collect();
    let name = args.first().map_or("googlenet", String::as_str);
    let mut bench = Bench::new(name, numbers.first().copied().unwrap_or(16));
    match args.last().map(String::as_str) {
        Some("serve") => bench.serve(),
        last => {
            bench.report(name, numbers.get(1).copied().unwrap_or(5));
            if last == Some("profile") {
                bench.profile();
            }
        }
    }
}
