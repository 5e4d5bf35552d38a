//! The weights of a graph while they are trained.

use super::chain::Chain;
use super::forward::{BatchMoments, FUSED, Normalisation, Plan};
use super::optimizer::{Arrays, CHECKPOINT, Method, OTHER, Rule, clip};
use crate::error::{Error, Result};
use crate::network::burn_ops::BurnWeights;
use crate::network::executor::check_images;
use crate::network::{Graph, GraphBuilder, NodeId, Op};
use crate::tensor::{AutoBackend, Device, Tensor, Var, leaf, scalar, tensor_from_vec, vec_f32};
use burn_tensor::DType;
use ndarray::{Array2, ArrayD};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a graph is trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Options {
    pub method: Method,
    pub normalisation: Normalisation,
    /// Largest norm of all gradients together; larger ones are scaled down to it.
    pub clip: Option<f64>,
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// The loss before the step.
    pub loss: f64,
    /// Norm of all gradients together, before clipping.
    pub gradient_norm: f64,
}

/// A graph whose weights are trained, in 32 bits.
pub struct Trainer {
    graph: Graph,
    plan: Plan,
    /// Where the graph is one: then nothing of it is recorded.
    chain: Option<Chain>,
    /// The trained weights, in the order of their names; values 1 x n.
    names: Vec<String>,
    values: Vec<Array2<f32>>,
    /// Mean and variance of each batch norm, by weight name.
    stored: BTreeMap<String, Vec<f32>>,
    rule: Rule,
    options: Options,
    weights: BurnWeights<AutoBackend>,
    device: Device,
}

impl Trainer {
    /// Trains the weights that `outputs` depend on and `trains` says yes to (by name); never the
    /// moments of batch norms.
    ///
    /// # Errors
    /// [`Error::Invalid`] when nothing is left to train.
    pub fn new(
        graph: Graph,
        outputs: &[NodeId],
        options: Options,
        trains: &dyn Fn(&str) -> bool,
        device: &Device,
    ) -> Result<Self> {
        let graph = laid_out(graph)?;
        let needed = graph.needed(outputs);
        let ops = || graph.nodes().iter().zip(&needed).filter(|(_, n)| **n).map(|(node, _)| &node.op);
        let flat = |name: &str| graph.weight(name).iter().copied().collect::<Vec<f32>>();
        let mut stored = BTreeMap::new();
        for op in ops() {
            if let Op::BatchNorm { mean, var, .. } = op {
                stored.extend([mean, var].map(|name| (name.clone(), flat(name))));
            }
        }
        let names = trained(ops(), |name| !stored.contains_key(name) && trains(name));
        if names.is_empty() {
            let hint = "name outputs that depend on weights, and train some of those";
            return Err(Error::invalid(&graph.name, "weights to train", "none", hint));
        }
        let plan = Plan::new(&graph, outputs, options.normalisation, &|name| {
            names.binary_search_by(|n| n.as_str().cmp(name)).is_ok()
        });
        let chain = Chain::of(&graph, outputs, options.normalisation).filter(|_| FUSED);
        let row = |name: &String| {
            let values = flat(name);
            Array2::from_shape_vec((1, values.len()), values).expect("one row")
        };
        Ok(Self {
            values: names.iter().map(row).collect(),
            plan,
            chain,
            names,
            stored,
            rule: Rule::new(options.method),
            options,
            weights: BurnWeights::new(&graph, device, DType::F32),
            device: device.clone(),
            graph,
        })
    }

    /// One step down the gradient of `loss`, a function of the outputs (N x C x H x W each, in the
    /// order given to [`new`](Self::new)) to one number, at learning rate `rate`.
    ///
    /// `decay` gives each weight's decay from its name and shape; what it does is the [`Method`]'s.
    ///
    /// # Shapes
    /// `images`: N x 3 x H x W, displayed RGB in [0, 1], of the graph's input size.
    ///
    /// # Errors
    /// [`Error::Invalid`] for other images, and when the loss is NaN or infinite (the weights are
    /// then those before the step); whatever `loss` says.
    pub fn step(
        &mut self,
        images: Tensor<4>,
        rate: f64,
        decay: &dyn Fn(&str, &[usize]) -> f64,
        loss: impl FnOnce(&[Var<4>]) -> Result<Var<1>>,
    ) -> Result<Outcome> {
        check_images(&self.graph, &images)?;
        let (value, mut gradients, moments) = match self.chain.take() {
            Some(mut chain) => {
                let found = self.chained(&mut chain, &images, loss);
                self.chain = Some(chain);
                found?
            }
            None => self.recorded(images, loss)?,
        };
        let gradient_norm = clip(&mut gradients, self.options.clip);
        if !value.is_finite() || !gradient_norm.is_finite() {
            let found = format!("a loss of {value} with a gradient of norm {gradient_norm}");
            let hint = "lower the learning rate, or clip the gradients";
            return Err(Error::invalid("training", "a finite loss and gradient", found, hint));
        }
        let decays: Vec<f64> = self.names.iter().map(|name| decay(name, self.graph.weight(name).shape())).collect();
        self.rule.step(&mut self.values, gradients, rate, &decays);
        if let Normalisation::Batch { keep } = self.options.normalisation {
            self.follow(moments, keep);
        }
        Ok(Outcome { loss: value, gradient_norm })
    }

    /// Loss, its gradient at each weight and the batch's moments, through a chain.
    fn chained(
        &self,
        chain: &mut Chain,
        images: &Tensor<4>,
        loss: impl FnOnce(&[Var<4>]) -> Result<Var<1>>,
    ) -> Result<(f64, Vec<Array2<f32>>, Vec<BatchMoments>)> {
        let n = images.dims()[0];
        let (outputs, moments) = chain.forward(&vec_f32(images), &|name| self.flat(name));
        let n_outputs = outputs.len() / n;
        let outputs: Var<4> = leaf(tensor_from_vec(outputs, [n, n_outputs, 1, 1], &self.device));
        let loss = loss(std::slice::from_ref(&outputs))?;
        let at_outputs = outputs.grad(&loss.backward()).map_or_else(|| vec![0.0; n * n_outputs], |g| vec_f32(&g));
        let mut found = chain.backward(&at_outputs);
        let gradient = |(name, value): (&String, &Array2<f32>)| {
            let values = found.remove(name).unwrap_or_else(|| vec![0.0; value.len()]);
            Array2::from_shape_vec((1, value.len()), values).expect("a gradient has its weight's shape")
        };
        let gradients = self.names.iter().zip(&self.values).map(gradient).collect();
        Ok((scalar(&loss.inner()), gradients, moments))
    }

    /// A weight as it is now.
    fn flat(&self, name: &str) -> &[f32] {
        match self.names.binary_search_by(|n| n.as_str().cmp(name)) {
            Ok(at) => self.values[at].as_slice().expect("one row"),
            Err(_) => self.graph.weight(name).as_slice().expect("weights are laid out row by row"),
        }
    }

    /// The same by burn's recording.
    fn recorded(
        &mut self,
        images: Tensor<4>,
        loss: impl FnOnce(&[Var<4>]) -> Result<Var<1>>,
    ) -> Result<(f64, Vec<Array2<f32>>, Vec<BatchMoments>)> {
        let as_leaf = |v: &Array2<f32>| leaf(tensor_from_vec(v.iter().copied().collect(), [v.len()], &self.device));
        let leaves: Vec<Var<1>> = self.values.iter().map(as_leaf).collect();
        for (name, value) in self.names.iter().zip(&leaves) {
            self.weights.set(name, value.clone());
        }
        let (outputs, moments) = self.plan.run(&self.graph, images, &self.weights);
        let loss = loss(&outputs)?;
        let value = scalar(&loss.clone().inner());
        let gradients = self.gradients(&leaves, &loss);
        Ok((value, gradients, moments))
    }

    /// Changes trained weights by hand: `change` is given each one's name, shape and numbers.
    pub fn change(&mut self, mut change: impl FnMut(&str, &[usize], &mut [f32])) {
        for (name, value) in self.names.iter().zip(&mut self.values) {
            change(name, self.graph.weight(name).shape(), value.as_slice_mut().expect("one row"));
        }
    }

    /// The loss's gradient at each weight, 1 x n; zeros where it does not depend on one.
    fn gradients(&self, leaves: &[Var<1>], loss: &Var<1>) -> Vec<Array2<f32>> {
        let grads = loss.backward();
        let gradient = |(variable, value): (&Var<1>, &Array2<f32>)| {
            let values = variable.grad(&grads).map_or_else(|| vec![0.0; value.len()], |g| vec_f32(&g));
            Array2::from_shape_vec((1, value.len()), values).expect("a gradient has its variable's shape")
        };
        leaves.iter().zip(&self.values).map(gradient).collect()
    }

    /// Brings the stored moments of batch norms nearer to a batch's.
    fn follow(&mut self, moments: Vec<BatchMoments>, keep: f64) {
        for ([mean, var], batch) in moments {
            for (name, now) in [(mean, batch.mean), (var, batch.var)] {
                let stored = self.stored.get_mut(&name).expect("every batch norm has stored moments");
                for (s, v) in stored.iter_mut().zip(now) {
                    *s = *s * keep as f32 + v * (1.0 - keep) as f32;
                }
            }
        }
    }

    /// The graph with the weights and moments as they are now.
    ///
    /// # Errors
    /// Never for a graph that was built.
    pub fn graph(&self) -> Result<Graph> {
        let mut builder = GraphBuilder::from_graph(self.graph.clone());
        let values = self.values.iter().map(|v| v.iter().copied().collect::<Vec<f32>>());
        let trained = self.names.iter().zip(values);
        for (name, values) in trained.chain(self.stored.iter().map(|(name, v)| (name, v.clone()))) {
            let shape = self.graph.weight(name).raw_dim();
            builder.add_weight(name, ArrayD::from_shape_vec(shape, values).expect("as many numbers as before"));
        }
        builder.finish()
    }

    /// Everything that the next step depends on, by name.
    pub(super) fn save(&self) -> Arrays {
        let mut arrays = self.rule.save(&self.names);
        let values = self.names.iter().zip(&self.values);
        arrays.extend(values.map(|(name, v)| (format!("value {name}"), v.iter().copied().collect())));
        arrays.extend(self.stored.iter().map(|(name, v)| (format!("stored {name}"), v.clone())));
        arrays
    }

    /// Takes back what [`save`](Self::save) gave, bit for bit.
    pub(super) fn restore(&mut self, mut arrays: Arrays) -> Result<()> {
        let mut take = |name: String, n: usize| {
            let found = arrays.remove(&name);
            let size = found.as_ref().map_or("none".to_owned(), |a| format!("{} numbers", a.len()));
            found
                .filter(|a| a.len() == n)
                .ok_or_else(|| Error::invalid(CHECKPOINT, format!("`{name}` of {n} numbers"), size, OTHER))
        };
        for (name, value) in self.names.iter().zip(&mut self.values) {
            let numbers = take(format!("value {name}"), value.len())?;
            value.iter_mut().zip(numbers).for_each(|(v, n)| *v = n);
        }
        for (name, value) in &mut self.stored {
            *value = take(format!("stored {name}"), value.len())?;
        }
        let sizes: Vec<usize> = self.values.iter().map(Array2::len).collect();
        self.rule.restore(&self.names, &sizes, &mut arrays)?;
        match arrays.keys().next() {
            Some(name) => {
                Err(Error::invalid(CHECKPOINT, "arrays of what is trained alone", format!("`{name}`"), OTHER))
            }
            None => Ok(()),
        }
    }
}

/// The graph with every weight row by row in memory, which cut and imported ones need not be.
fn laid_out(graph: Graph) -> Result<Graph> {
    if graph.weights().values().all(ArrayD::is_standard_layout) {
        return Ok(graph);
    }
    let laid = |(name, array): (&String, &ArrayD<f32>)| (name.clone(), array.as_standard_layout().into_owned());
    graph.with_weights(graph.weights().iter().map(laid).collect())
}

/// The names of the operations' weights that `wanted` says yes to, sorted, each once.
fn trained<'a>(ops: impl Iterator<Item = &'a Op>, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut names: Vec<String> = ops.flat_map(Op::weights).filter(|name| wanted(name)).map(String::from).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compression::distillation::{Reading, Student};
    use crate::compression::{Groups, Removed, remove};
    use crate::network::InputSpec;

    /// Cutting may leave weights column by column.
    #[test]
    fn a_pruned_student_is_trained_as_a_chain() {
        let input = InputSpec::preset("v4", 16, 16).unwrap();
        let student = Student { widths: vec![4, 4, 3], reading: Reading::Own, n_outputs: 1, input };
        let graph = student.build("student", 0).unwrap();
        let groups = Groups::of(&graph, &[]).unwrap();
        let names: Vec<String> = groups.all().iter().map(|g| g.name.clone()).collect();
        let removed: Removed = names.into_iter().map(|name| (name, [1].into())).collect();
        let pruned = remove(&graph, &groups, &removed, 1).unwrap();
        let options =
            Options { method: Method::default(), normalisation: Normalisation::Batch { keep: 0.9 }, clip: None };
        for graph in [graph, pruned] {
            let output = graph.output();
            let trainer = Trainer::new(graph, &[output], options, &|_| true, &Device::default()).unwrap();
            assert_eq!(trainer.chain.is_some(), FUSED);
        }
    }
}
