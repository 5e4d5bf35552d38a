//! Files of a run and its results.

use super::better::Better;
use super::config::{Config, GroupCorrection};
use super::inputs::Data;
use super::results::{Corrected, Layer, Results};
use super::test::Tested;
use crate::error::Result;
use crate::io::nifti::Datatype;
use crate::io::tsv;
use crate::job::brain::layers::{LayerSummary, Layers};
use crate::job::brain::maps::{self, MapWriter, narrow, number};
use crate::job::machine::peak_rss_mb;
use crate::job::{Named, RunDir, Session};
use crate::stats::clusters::peaks;
use crate::stats::correction::extremeness;
use crate::stats::interval::{Difference, paired_difference};
use crate::stats::neighbours::Neighbours;
use ndarray::Array2;
use serde_json::{Value, json};

/// Peaks of one cluster are at least so far apart.
const PEAK_DISTANCE_MM: f64 = 8.0;
/// Peaks of a cluster in the table, with the main one.
const PEAKS: usize = 4;

/// Writes maps, clusters and overlap.
pub fn write(
    run: &RunDir,
    config: &Config,
    data: &Data,
    tested: &[Tested],
    (layers, better): (&Layers, Option<&Better>),
    neighbours: &Neighbours,
) -> Result<()> {
    let writer = MapWriter {
        folder: run.file("arrays"),
        prefix: &config.maps.prefix,
        space: data.space,
        places: &data.mask,
        sidecar: sidecar(config, data, tested).as_object().cloned().unwrap_or_default(),
    };
    for ((label, maps), tested) in maps::labels(&data.names).iter().zip(&data.maps).zip(tested) {
        maps_of(&writer, label, (maps, tested), data.fisher_z)?;
    }
    if data.names.len() > 1 {
        writer.assignment(layers, &data.names)?;
    }
    if let Some(better) = better {
        let second: Vec<f32> = better.second.iter().map(|&l| l as f32).collect();
        let words = "the layer with the largest mean beside the winner";
        writer.statmap_as("layers", "second", &second, words, Datatype::I32)?;
        let words = "p that the winner is no better than the next layer: flips of the subjects' differences, two-sided, corrected by the largest t over pairs of layers and voxels";
        writer.statmap("winner", "pbetter", &narrow(better.p.iter().copied()), words)?;
    }
    cluster_table(run, &writer, data, tested, neighbours)?;
    maps::overlap(layers).write(&run.file("arrays/overlap.npz"))?;
    writer.description("orthoscope group")
}

fn sidecar(config: &Config, data: &Data, tested: &[Tested]) -> Value {
    json!({
        "NumberOfSubjects": data.maps[0].nrows(),
        "NumberOfPermutations": tested[0].test.n_permutations,
        "AllPermutations": tested[0].test.exhaustive,
        "Permutations": if data.relabelled.is_some() { "relabellings of the conditions, alike in all subjects" } else { "sign flips" },
        "GeneralisesTo": config.test.generalise,
        "Claim": config.test.generalise.claim(),
        "Tail": config.tail(),
        "FisherZ": data.fisher_z,
        "TakenOff": data.chance,
        "Family": config.test.family,
        "ClusterFormingP": config.test.cluster_p,
        "Connectivity": config.test.connectivity,
        "TFCE": config.test.tfce,
        "Sources": config.maps.subjects,
        "Against": config.maps.against,
    })
}

fn maps_of(writer: &MapWriter<'_>, label: &str, (maps, tested): (&Array2<f64>, &Tested), fisher_z: bool) -> Result<()> {
    let test = &tested.test;
    let z = if fisher_z { "Fisher's z" } else { "the value" };
    let put = |stat: &str, values: &[f64], description: &str| {
        writer.statmap(label, stat, &narrow(values.iter().copied()), description)
    };
    put("mean", &test.mean, &format!("mean over subjects of {z}"))?;
    put("t", &test.t, "one-sample t of the subjects' maps")?;
    if let Some(z) = &test.z {
        put("z", z, "mean over subjects / standard deviation of its null distribution")?;
    }
    let (by, statistic) = if test.z.is_some() { ("relabelling", "z") } else { ("sign flips", "t") };
    put("p", &test.p, &format!("p by {by}, uncorrected"))?;
    put("pfdr", &test.q, "p corrected for the false discovery rate (Benjamini and Hochberg)")?;
    put("pmaxt", &test.p_fwe, &format!("p corrected for the family-wise error by the largest {statistic}"))?;
    if let Some(tfce) = &test.tfce {
        put("tfce", &tfce.values, &format!("threshold-free cluster enhancement of {statistic}"))?;
        put("ptfce", &tfce.p_fwe, "p corrected for the family-wise error by the largest TFCE")?;
    }
    if let Some(clusters) = &test.clusters {
        let numbers: Vec<f32> = clusters.labels.iter().map(|&l| l as f32).collect();
        writer.statmap_as(label, "cluster", &numbers, "number of the cluster in clusters.tsv", Datatype::I32)?;
        put("pclustersize", &clusters.p_map(&clusters.p_size), "p of the cluster by the largest size; 1 outside")?;
        put("pclustermass", &clusters.p_map(&clusters.p_mass), "p of the cluster by the largest mass; 1 outside")?;
    }
    let (low, high) = &tested.interval;
    put("cilow", low, "low end of Student's interval of the mean over subjects")?;
    put("cihigh", high, "high end of Student's interval of the mean over subjects")?;
    let n: Vec<f32> = maps.columns().into_iter().map(|x| x.iter().filter(|x| x.is_finite()).count() as f32).collect();
    writer.statmap_as(label, "nsubjects", &n, "subjects with a value", Datatype::I32)
}

/// Every cluster beyond the forming threshold, its peak first and then its other peaks.
fn cluster_table(
    run: &RunDir,
    writer: &MapWriter<'_>,
    data: &Data,
    tested: &[Tested],
    neighbours: &Neighbours,
) -> Result<()> {
    let header =
        ["layer", "cluster", "peak", "t", "x_mm", "y_mm", "z_mm", "n_voxels", "size_mm3", "mass", "p_size", "p_mass"];
    let mut table = tsv::Table::new(header.into_iter().chain(["p_max_t", "p_tfce"]));
    let mm = |v: usize| data.mask.grid().mm(data.mask.voxels()[v] as usize);
    let distance = |a: usize, b: usize| (0..3).map(|i| (mm(a)[i] - mm(b)[i]).powi(2)).sum::<f64>().sqrt();
    for (name, tested) in data.names.iter().zip(tested) {
        let Some(found) = &tested.test.clusters else { continue };
        for (c, cluster) in found.clusters.iter().enumerate() {
            let label = c as u32 + 1;
            let own = peaks(tested.test.statistic(), &found.labels, label, neighbours, PEAK_DISTANCE_MM, distance);
            for (i, &v) in own.iter().take(PEAKS).enumerate() {
                let mut row = vec![name.clone(), label.to_string(), (i + 1).to_string(), number(tested.test.t[v])];
                row.extend(mm(v).map(|x| format!("{x:.1}")));
                let first = |text: String| if i == 0 { text } else { "n/a".into() };
                row.push(first(cluster.size.to_string()));
                row.push(first(format!("{:.1}", cluster.size as f64 * writer.voxel_mm3())));
                row.push(first(number(cluster.mass)));
                row.push(first(number(found.p_size[c])));
                row.push(first(number(found.p_mass[c])));
                row.push(number(tested.test.p_fwe[v]));
                row.push(tested.test.tfce.as_ref().map_or("n/a".into(), |t| number(t.p_fwe[v])));
                table.push(row);
            }
        }
    }
    tsv::write(&run.file("arrays").join("clusters.tsv"), &table)
}

/// How the subjects' own overlaps differ between two sets of maps, with its interval over subjects;
/// `None` where their runs do not say.
fn differences(config: &Config, data: &Data) -> Option<Named<Difference>> {
    let (own, other) = data.overlaps.as_ref()?;
    let mut found = Named::default();
    for key in ["mean_dice", "mean_jaccard", "mean_map_correlation", "one_layer"] {
        let values = |all: &[Value]| all.iter().map(|o| o[key].as_f64().unwrap_or(f64::NAN)).collect::<Vec<f64>>();
        let (a, b) = (values(own), values(other));
        if a.iter().zip(&b).filter(|(a, b)| a.is_finite() && b.is_finite()).count() > 1 {
            found.put(key, paired_difference(&a, &b, config.test.level));
        }
    }
    Some(found)
}

/// All corrections, whichever one decides.
const EACH: [GroupCorrection; 6] = [
    GroupCorrection::None,
    GroupCorrection::Fdr,
    GroupCorrection::MaxT,
    GroupCorrection::ClusterSize,
    GroupCorrection::ClusterMass,
    GroupCorrection::Tfce,
];

fn layer(config: &Config, data: &Data, (summary, label): (LayerSummary, String), tested: &Tested) -> Layer {
    let t = &tested.test.t;
    let statistic = tested.test.statistic();
    let size = |v: &usize| extremeness(statistic[*v], config.tail());
    let peak = (0..t.len()).filter(|&v| statistic[v].is_finite()).max_by(|a, b| size(a).total_cmp(&size(b)));
    let at = |values: &[f64]| peak.map(|v| values[v]);
    let by = EACH.into_iter().map(|correction| {
        let key = serde_json::to_value(correction).ok().and_then(|v| v.as_str().map(String::from)).unwrap_or_default();
        let p = tested.corrected(correction);
        let n_significant = p.iter().filter(|p| **p <= config.test.alpha).count();
        let smallest_p = p.iter().copied().filter(|p| p.is_finite()).fold(1.0, f64::min);
        (key, Corrected { n_significant, smallest_p })
    });
    Layer {
        name: summary.name,
        label: Some(label),
        mean: summary.mean,
        max: summary.max,
        n_significant: summary.n_significant,
        n_clusters: summary.clusters.len(),
        compactness: summary.compactness,
        peak_t: at(t),
        peak_z: tested.test.z.as_ref().and_then(|z| at(z)),
        peak_mm: peak.map(|v| data.mask.grid().mm(data.mask.voxels()[v] as usize)),
        peak_p: at(&tested.corrected(config.test.correction)),
        n_left_out: tested.test.n_left_out,
        by_correction: by.collect(),
    }
}

/// The `results` of a session.
pub fn results(
    config: &Config,
    data: &Data,
    tested: &[Tested],
    (layers, better): (&Layers, Option<&Better>),
    session: &Session,
) -> Results {
    let summaries = layers.summaries(&data.names, &data.mask, config.maps.min_cluster);
    let named = summaries.into_iter().zip(maps::labels(&data.names)).zip(tested);
    Results {
        n_subjects: data.maps[0].nrows(),
        n_voxels: data.mask.n_voxels(),
        n_layers: data.names.len(),
        paired: !config.maps.against.is_empty(),
        statistic: data.stat.clone(),
        fisher_z: data.fisher_z,
        taken_off: data.chance.clone(),
        generalise: config.test.generalise,
        claim: config.test.generalise.claim().into(),
        tail: config.tail(),
        correction: config.test.correction,
        family: config.test.family,
        alpha: config.test.alpha,
        n_permutations: tested[0].test.n_permutations,
        exhaustive: tested[0].test.exhaustive,
        cluster_p: config.test.cluster_p,
        layers: named.map(|(own, tested)| layer(config, data, own, tested)).collect(),
        n_better: better.map(|own| own.p.iter().filter(|p| **p <= config.test.alpha).count()),
        overlap: (data.names.len() > 1).then(|| layers.overlap_results()),
        gradient: layers.gradient_results(&data.mask),
        overlap_difference: differences(config, data),
        seconds: session.seconds(),
        peak_rss_mb: peak_rss_mb().map(f64::round),
    }
}
