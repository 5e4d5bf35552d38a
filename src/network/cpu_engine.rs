//! The executor for the CPU: a frozen network, planned once, fused, in `orthoscope_kernels`.

use super::executor::{COPIES, Executor, Moments, TapGrad, TapRequest, TapValue, check_images};
use super::graph::Graph;
use super::plan::{Plan, complaint};
use crate::error::{Error, Result};
use crate::tensor::{self, Device, SMALL, Tensor};
use ndarray::ArrayView;
use orthoscope_kernels::isa::{self, Isa};
use orthoscope_kernels::{Cost, Engine, Session, Tap, TapGradient};

/// Images run at once when activations only have to be copied out.
const INFER_IMAGES: usize = 16;

/// Runs a frozen graph on the CPU, in 32 bits, moments in 64.
///
/// The same bytes come out for any number of threads. The instruction set is the machine's best, or
/// what the environment variable `ORTHOSCOPE_SIMD` names (`avx512`, `avx2`, `neon`, `portable`).
pub struct CpuEngine {
    graph: Graph,
    taps: Vec<TapRequest>,
    plan: Plan,
    isa: Isa<f32>,
    /// Without the way back: made when first needed.
    infer: Option<Run>,
    /// With the way back: made when first needed.
    train: Option<Run>,
    one_thread: bool,
    pending: bool,
}

struct Run {
    engine: Engine<f32>,
    session: Option<Session<f32>>,
}

impl CpuEngine {
    /// Plans a graph for the given taps.
    ///
    /// # Errors
    /// [`Error::Invalid`] without taps, for an operation that only burn can do, or when
    /// `ORTHOSCOPE_SIMD` names an instruction set that this machine does not have.
    pub fn new(graph: &Graph, taps: &[TapRequest]) -> Result<Self> {
        Self::on(graph, taps, isa::chosen().map_err(complaint(isa::VARIABLE))?)
    }

    /// As [`new`](Self::new), on a named instruction set.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_simd(graph: &Graph, taps: &[TapRequest], name: &str) -> Result<Self> {
        Self::on(graph, taps, isa::named(name).map_err(complaint("instruction set"))?)
    }

    fn on(graph: &Graph, taps: &[TapRequest], isa: Isa<f32>) -> Result<Self> {
        let plan = Plan::new(graph, taps)?;
        Ok(Self {
            graph: graph.clone(),
            taps: taps.to_vec(),
            plan,
            isa,
            infer: None,
            train: None,
            one_thread: false,
            pending: false,
        })
    }

    /// As [`new`](Self::new), on the calling thread alone: for many small models, each on a thread
    /// of its own. Memory is kept from step to step.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn on_one_thread(graph: &Graph, taps: &[TapRequest]) -> Result<Self> {
        Ok(Self { one_thread: true, ..Self::new(graph, taps)? })
    }

    /// What one forward and backward pass costs; plans, but packs no weights.
    ///
    /// # Errors
    /// [`Error::Invalid`] as [`new`](Self::new).
    pub fn cost(&self) -> Result<Cost> {
        Engine::estimate(&self.plan.net, &self.plan.taps, true, self.isa).map_err(complaint(&self.graph.name))
    }

    /// The program for one direction or both, with memory for `n_images`.
    fn run(&mut self, gradient: bool, n_images: usize) -> Result<&mut Run> {
        let one_thread = self.one_thread;
        let slot = if gradient { &mut self.train } else { &mut self.infer };
        if slot.is_none() {
            let engine = Engine::new(&self.plan.net, &self.plan.taps, gradient, self.isa)
                .map_err(complaint(&self.graph.name))?;
            *slot = Some(Run { engine, session: None });
        }
        let run = slot.as_mut().expect("just made");
        if run.session.as_ref().is_none_or(|s| s.n_images() != n_images) {
            run.session = None;
            run.session = Some(match one_thread {
                true => run.engine.session_on_one_thread(n_images),
                false => run.engine.session(n_images),
            });
        }
        Ok(run)
    }

    fn has_moments(&self) -> bool {
        self.taps.iter().any(|t| matches!(t, TapRequest::Moments(_)))
    }

    /// Forward on `n` images given as numbers, and what is wanted of them.
    fn pass(&mut self, gradient: bool, pixels: &[f32], n: usize, device: &Device) -> Result<Vec<TapValue>> {
        let (name, taps) = (self.graph.name.clone(), self.plan.taps.clone());
        let shapes: Vec<_> = taps.iter().map(|t| self.plan.net.nodes[t.id()].shape).collect();
        let run = self.run(gradient, n)?;
        let session = run.session.as_mut().expect("made for these images");
        session.forward(&run.engine, pixels).map_err(complaint(&name))?;
        let mut values = Vec::with_capacity(taps.len());
        for (k, (tap, shape)) in taps.iter().zip(shapes).enumerate() {
            values.push(match tap {
                Tap::Plain(_) => {
                    let mut out = vec![0.0; n * shape.len()];
                    session.tap(&run.engine, k, &mut out).map_err(complaint(&name))?;
                    TapValue::Activations(tensor::tensor_from_vec(out, [n, shape.c, shape.h, shape.w], device))
                }
                Tap::Moments(_) => {
                    let m = session.moments(&run.engine, k);
                    let gram = ArrayView::from_shape((n, n), &m.gram).expect("the engine returns n x n values");
                    let sums = ArrayView::from_shape(n, &m.sums).expect("the engine returns n values");
                    TapValue::Moments(Moments {
                        gram: tensor::tensor_f64(gram, SMALL, device),
                        sums: tensor::tensor_f64(sums, SMALL, device),
                        n_units: m.n_units,
                    })
                }
            });
        }
        Ok(values)
    }
}

impl Executor for CpuEngine {
    fn graph(&self) -> &Graph {
        &self.graph
    }

    fn taps(&self) -> &[TapRequest] {
        &self.taps
    }

    fn describe(&self) -> String {
        format!("CPU engine, {}, f32", self.isa.name)
    }

    /// What the plan lays out for an image, the pixels, and the copies of activations that are
    /// handed out.
    fn bytes_per_image(&self) -> usize {
        let copied = |tap: &TapRequest| match tap {
            TapRequest::Activations(id) => 2 * self.graph.node(*id).shape.len(),
            TapRequest::Moments(_) => 0,
        };
        let numbers =
            COPIES * 3 * self.graph.input.height * self.graph.input.width + self.taps.iter().map(copied).sum::<usize>();
        // A plan that cannot be made fits nowhere; running it says why.
        let planned = Engine::estimate(&self.plan.net, &self.plan.taps, false, self.isa);
        planned.map_or(usize::MAX, |cost| cost.bytes_per_image + 4 * numbers)
    }

    fn infer(&mut self, images: &Tensor<4>) -> Result<Vec<TapValue>> {
        check_images(&self.graph, images)?;
        let (n, device, pixels) = (images.dims()[0], images.device(), tensor::vec_f32(images));
        if self.has_moments() || n <= INFER_IMAGES {
            return self.pass(false, &pixels, n, &device);
        }
        let per = pixels.len() / n;
        let mut parts: Vec<Vec<Tensor<4>>> = vec![Vec::new(); self.taps.len()];
        for chunk in pixels.chunks(per * INFER_IMAGES) {
            for (part, value) in parts.iter_mut().zip(self.pass(false, chunk, chunk.len() / per, &device)?) {
                if let TapValue::Activations(a) = value {
                    part.push(a);
                }
            }
        }
        Ok(parts.into_iter().map(|p| TapValue::Activations(Tensor::cat(p, 0))).collect())
    }

    fn forward(&mut self, images: &Tensor<4>) -> Result<Vec<TapValue>> {
        check_images(&self.graph, images)?;
        let values = self.pass(true, &tensor::vec_f32(images), images.dims()[0], &images.device())?;
        self.pending = true;
        Ok(values)
    }

    fn backward(&mut self, grads: &[TapGrad]) -> Result<Tensor<4>> {
        if !self.pending {
            return Err(Error::invalid("backward", "a forward pass before it", "none", "call forward first"));
        }
        let wrong = || Error::invalid("backward", "a gradient of each tap's kind and shape", "another", "");
        let run = self.train.as_mut().expect("a forward pass made it");
        let session = run.session.as_mut().expect("a forward pass made it");
        if grads.len() != self.taps.len() {
            return Err(wrong());
        }
        let mut numbers: Vec<(Vec<f32>, Vec<f64>, Vec<f64>)> = Vec::with_capacity(grads.len());
        let mut device = Device::default();
        for grad in grads {
            numbers.push(match grad {
                TapGrad::None => Default::default(),
                TapGrad::Activations(g) => {
                    device = g.device();
                    (tensor::vec_f32(g), vec![], vec![])
                }
                TapGrad::Moments { gram, sums } => {
                    device = gram.device();
                    let flat = |a: ndarray::ArrayD<f64>| a.into_iter().collect::<Vec<f64>>();
                    (vec![], flat(tensor::array_f64(gram)), flat(tensor::array_f64(sums)))
                }
            });
        }
        let typed = grads.iter().zip(&numbers).map(|(grad, (plain, gram, sums))| match grad {
            TapGrad::None => TapGradient::None,
            TapGrad::Activations(_) => TapGradient::Plain(plain),
            TapGrad::Moments { .. } => TapGradient::Moments(gram, sums),
        });
        let shape = [session.n_images(), 3, self.graph.input.height, self.graph.input.width];
        let mut out = vec![0.0; shape.iter().product()];
        session.backward(&run.engine, &typed.collect::<Vec<_>>(), &mut out).map_err(|_| wrong())?;
        self.pending = false;
        Ok(tensor::tensor_from_vec(out, shape, &device))
    }
}
