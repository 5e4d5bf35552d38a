//! Times one step (forward and gradient at the pixels) of well-known layouts.
//!
//! `cargo bench -p orthoscope-kernels --bench network -- NETWORK N_IMAGES [steps] [profile]`, NETWORK one of googlenet,
//! squeezenet, vgg16, resnet18, compact. Prints the median and the range in milliseconds; `profile` adds the time of each
//! kind of step. Taps are moment taps (the RSM loss in moment form), except for the compact model's one output.

mod layouts;

use orthoscope_kernels::engine::{Engine, TapGradient};
use orthoscope_kernels::{Tap, isa};
use std::time::Instant;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let name = args.first().map_or("googlenet", String::as_str);
    let n: usize = args.get(1).map_or(16, |a| a.parse().expect("number of images"));
    let steps: usize = args.get(2).map_or(5, |a| a.parse().expect("number of steps"));
    let (net, ids) = match name {
        "squeezenet" => layouts::squeezenet(),
        "vgg16" => layouts::vgg16(),
        "resnet18" => layouts::resnet18(),
        "compact" => layouts::compact(),
        _ => layouts::googlenet(),
    };
    let plain = name == "compact";
    let taps: Vec<Tap> = ids.iter().map(|&i| if plain { Tap::Plain(i) } else { Tap::Moments(i) }).collect();
    let isa = isa::chosen().expect("an instruction set");
    let engine = Engine::new(&net, &taps, true, isa).expect("a network");
    let mut session = engine.session(n);
    let shape = net.nodes[0].shape;
    let pixels: Vec<f32> = (0..n * shape.len()).map(|i| ((i * 7919) % 1009) as f32 / 504.5 - 1.0).collect();
    let mut gradient = vec![0.0; pixels.len()];
    let cost = engine.cost();
    let (mut whole, mut ahead) = (vec![], vec![]);
    for step in 0..=steps {
        let start = Instant::now();
        session.forward(&engine, &pixels).expect("forward");
        let moments: Vec<_> = (0..taps.len()).filter(|_| !plain).map(|k| session.moments(&engine, k)).collect();
        let half = start.elapsed().as_secs_f64() * 1e3;
        let ones = vec![1.0f32; n];
        let pushed: Vec<_> =
            moments.iter().map(|m| (m.gram.iter().map(|g| g * 1e-9).collect::<Vec<f64>>(), m.sums.clone())).collect();
        let grads: Vec<TapGradient<'_, f32>> = match plain {
            true => vec![TapGradient::Plain(&ones)],
            false => pushed.iter().map(|(g, s)| TapGradient::Moments(g, s)).collect(),
        };
        session.backward(&engine, &grads, &mut gradient).expect("backward");
        if step > 0 {
            whole.push(start.elapsed().as_secs_f64() * 1e3);
            ahead.push(half);
        }
    }
    whole.sort_by(f64::total_cmp);
    ahead.sort_by(f64::total_cmp);
    let flops = 4.0 * cost.macs_per_image as f64 * n as f64;
    let median = whole[whole.len() / 2];
    println!(
        "{name} n={n} {} threads={}: step {median:.1} ms ({:.1}..{:.1}), forward {:.1} ms, {:.1} GFLOP/s, {} MiB",
        engine.isa(),
        rayon::current_num_threads(),
        whole[0],
        whole[whole.len() - 1],
        ahead[ahead.len() / 2],
        flops / median / 1e6,
        (cost.bytes_per_image * n + cost.bytes_per_thread * rayon::current_num_threads() + cost.weight_bytes) >> 20,
    );
    let checksum: f64 = gradient.iter().map(|&g| f64::from(g).abs()).sum();
    println!("  gradient checksum {checksum:.6e}");
    if args.iter().any(|a| a == "profile") {
        for (kind, forward, ms) in session.profile(&engine, &pixels) {
            println!("  {} {kind:40} {ms:9.2} ms", if forward { "fwd" } else { "bwd" });
        }
    }
}
