//! Seconds of a training step of a five-layer student on 112 x 112 pixels (Cowley et al. 2023).
//!
//!     cargo bench -p orthoscope-kernels --bench training -- [WIDTHS] [BATCH] [STEPS]
//!
//! `benches/training.py` runs it against PyTorch.

use orthoscope_kernels::train::{Chain, Kernels, Kind, Layer, LayerWeights, Readout, ReadoutWeights, Weights, Window};
use std::time::Instant;

const STRIDES: [usize; 5] = [1, 2, 2, 1, 1];

fn layers(widths: &[usize]) -> Vec<Layer> {
    let (mut size, mut channels) = ([112; 2], 3);
    let one = |(&width, stride): (&usize, usize)| {
        let out = size.map(|n: usize| n / stride);
        let padding = if stride == 2 { [1, 1, 2, 2] } else { [2; 4] };
        let layer = Layer {
            kind: if channels == 3 && size == [112; 2] { Kind::Dense } else { Kind::Separable },
            channels: [channels, width],
            size: [size, out],
            window: Window { kernel: 5, stride, padding },
            epsilon: 1e-3,
        };
        (size, channels) = (out, width);
        layer
    };
    widths.iter().zip(STRIDES).map(one).collect()
}

fn noise(n: usize, scale: f32) -> Vec<f32> {
    let mut state = 7u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / (1 << 23) as f32 - 1.0) * scale
    };
    (0..n).map(|_| next()).collect()
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let arg = |i: usize, default: &str| args.get(i).cloned().unwrap_or(default.to_owned());
    let widths: Vec<usize> = arg(0, "100,100,100,100,100").split(',').map(|w| w.parse().expect("a width")).collect();
    let (batch, steps): (usize, usize) = (arg(1, "64").parse().expect("a batch"), arg(2, "5").parse().expect("steps"));
    let layers = layers(&widths);
    let kernels: Vec<Vec<f32>> = layers
        .iter()
        .map(|l| noise(25 * if l.kind == Kind::Dense { 3 * l.channels[1] } else { l.channels[0] }, 0.1))
        .collect();
    let points: Vec<Vec<f32>> = layers.iter().map(|l| noise(l.channels[0] * l.channels[1], 0.1)).collect();
    let (ones, zeros) = (vec![1.0; 1024], vec![0.0; 1024]);
    let read = noise(784 * widths[4], 0.01);
    let weights = Weights {
        layers: (0..5)
            .map(|i| LayerWeights {
                kernel: &kernels[i],
                point: if i == 0 { &[] } else { &points[i] },
                gain: &ones[..widths[i]],
                shift: &zeros[..widths[i]],
            })
            .collect(),
        readout: ReadoutWeights { weight: &read, bias: &[0.0], pool: &[], pool_bias: &[] },
    };
    let readout = Readout::Linear { n_outputs: 1, channels_first: false };
    let mut chain = Chain::new(layers, readout, Kernels::chosen().expect("an instruction set"));
    let images = noise(batch * 3 * 112 * 112, 128.0);
    for _ in 0..steps {
        let start = Instant::now();
        let outputs = chain.forward(&images, &weights);
        let forward = start.elapsed().as_secs_f64();
        let gradient: Vec<f32> = outputs.iter().map(|y| 2.0 * y / batch as f32).collect();
        std::hint::black_box(chain.backward(&gradient));
        println!("step {:.4} forward {forward:.4}", start.elapsed().as_secs_f64());
    }
}
