//! One small task of every kind of run, with all the files that it reads: what the tests kill,
//! replace and resume.

use crate::map::Brain;
use crate::program::{Program, photographs, tiny_classifier, tiny_model};
use ndarray::{Array1, Array2, Array3, Array4};
use orthoscope::data::Volume;
use orthoscope::io::nifti::{Space, write_volume};
use orthoscope::io::{npy, npz};
use orthoscope::rng;
use std::path::{Path, PathBuf};

/// A command line without its `--out`.
pub struct Task {
    pub name: &'static str,
    args: Vec<String>,
    /// Files, and folders of files, that it reads.
    pub inputs: Vec<PathBuf>,
}

impl Task {
    fn new(name: &'static str, subcommand: &str) -> Self {
        Self { name, args: vec![subcommand.into()], inputs: vec![] }
    }

    /// A flag whose value is a file or folder that is read.
    fn reads(mut self, flag: &str, path: impl AsRef<Path>) -> Self {
        self.args.extend([flag.into(), path.as_ref().display().to_string()]);
        self.inputs.push(path.as_ref().to_path_buf());
        self
    }

    /// Flags without files, separated by blanks.
    fn with(mut self, flags: &str) -> Self {
        self.args.extend(flags.split_whitespace().map(String::from));
        self
    }

    /// Its flags.
    pub fn flags(&self) -> impl Iterator<Item = &str> {
        self.args.iter().map(String::as_str).filter(|arg| arg.starts_with("--"))
    }

    /// The command that writes to `out`, with a seed.
    pub fn program(&self, out: &Path, seed: u64) -> Program {
        let program = Program::new(&self.args[0]).arg("--out", out).arg("--seed", seed.to_string());
        self.args[1..].iter().fold(program, |program, arg| program.flag(arg))
    }
}

/// The tasks; their files are in `dir` and in the brain's folder.
pub fn tasks(dir: &Path, brain: &Brain) -> Vec<Task> {
    let mut all = drives(dir);
    all.push(rdm(dir));
    all.push(distill(dir));
    all.extend(fits(dir));
    all.extend(compressions(dir));
    all.extend(maps(dir, brain));
    all.push(group(dir, brain));
    all
}

/// Jobs on a network.
fn drives(dir: &Path) -> Vec<Task> {
    let model = tiny_model(dir);
    let folder = |name: &str| {
        let folder = dir.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    };
    let (other, third) = (tiny_model(&folder("other")), tiny_model(&folder("third")));
    let images = |name: &str, n| photographs(&folder(name), n, 24);
    let target = dir.join("target.npy");
    npy::write(&target, &Array2::from_elem((2, 2), 0.25f64)).unwrap();
    let rsms = dir.join("rsms.npy");
    npy::write(&rsms, &Array3::from_elem((2, 4, 4), 0.25f64)).unwrap();
    let aims = dir.join("aims.toml");
    std::fs::write(&aims, "[[drive]]\nunit = \"conv4:0\"\n\n[[hold]]\nunit = \"conv4:3\"\n").unwrap();
    let orthogonalize = |name| {
        let task = Task::new(name, "orthogonalize").reads("--model", &model);
        task.with("--n-images 4 --steps 6 --checkpoint-every 3 --taps conv2,conv4 --plain")
    };
    let maximize = |name| {
        let task = Task::new(name, "maximize").reads("--model", &model);
        task.with("--method adam --steps 6 --checkpoint-every 3 --restarts 2")
    };
    vec![
        orthogonalize("orthogonalize")
            .with("--restarts 2 --init natural")
            .reads("--init-images", images("start", 4))
            .reads("--baseline", images("baseline", 4)),
        orthogonalize("orthogonalize, target").reads("--target", target),
        orthogonalize("orthogonalize, RSMs").reads("--target-rsms", rsms),
        maximize("maximize")
            .with("--unit conv4:0,conv4:3")
            .reads("--natural", images("natural", 4))
            .reads("--check", &other),
        maximize("maximize, population")
            .with("--unit conv4:0,conv4:3")
            .reads("--population", aims)
            .reads("--natural", images("natural2", 4)),
        Task::new("controversial", "controversial")
            .reads("--model", &model)
            .with("--unit conv4:0 --method adam --steps 6 --restarts 1")
            .reads("--init-images", images("start2", 1))
            .reads("--natural", images("natural4", 4))
            .reads("--against", &third),
        Task::new("adversarial", "adversarial")
            .reads("--model", &model)
            .with("--unit conv4:0 --steps 6 --epsilon 4")
            .reads("--images", images("base", 3))
            .reads("--natural", images("natural3", 4))
            .reads("--check", other),
    ]
}

fn rdm(dir: &Path) -> Task {
    let brains = dir.join("brains.npy");
    let mut draw = rng::stream(1, "tasks", 0);
    npy::write(&brains, &Array2::from_shape_simple_fn((3, 10), || draw.uniform())).unwrap();
    let images = dir.join("images.npy");
    npy::write(&images, &Array4::from_shape_simple_fn((5, 24, 24, 3), || (255.0 * draw.uniform()) as u8)).unwrap();
    Task::new("rdm", "rdm")
        .reads("--model", dir.join("tiny"))
        .with("--taps conv2,conv4 --n-permutations 20")
        .reads("--images", images)
        .reads("--compare", brains)
}

/// A shared core, pruned for two units, with recorded responses.
fn distill(dir: &Path) -> Task {
    let folder = |name: &str| {
        let folder = dir.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    };
    let at = folder("distilled");
    let mut draw = rng::stream(8, "tasks", 0);
    npy::write(&at.join("responses.npy"), &Array2::from_shape_simple_fn((4, 2), || draw.normal() as f32)).unwrap();
    std::fs::write(at.join("names.txt"), "conv4:0\nconv4:3\n").unwrap();
    let config = "[training]\nsmooth_every = 30\n[student]\nwidths = [5, 4]\nsize = [16, 16]\n[prune]\nn_images = 12\n";
    std::fs::write(at.join("small.toml"), format!("command = \"distill\"\n{config}")).unwrap();
    let task = Task::new("distill", "distill").reads("--teacher", dir.join("tiny"));
    let task = task.with(&format!("--config {} --unit conv4:0,conv4:3 --shared", at.join("small.toml").display()));
    let task = task.with("--n-held 10 --views 2 --epochs 2 --batch 8 --retrain 2 --axes rows,targets --match order");
    task.reads("--images", photographs(&folder("learnt"), 30, 24))
        .reads("--test-images", photographs(&folder("tested"), 4, 20))
        .reads("--targets", at.join("responses.npy"))
        .reads("--target-names", at.join("names.txt"))
}

/// Encoding models of a network's layers, of ready features, and of a time series.
fn fits(dir: &Path) -> Vec<Task> {
    let folder = dir.join("fits");
    std::fs::create_dir_all(&folder).unwrap();
    let at = |name: &str| folder.join(name);
    let mut draw = rng::stream(6, "tasks", 0);
    let mut normal =
        |rows: usize, columns: usize| Array2::from_shape_simple_fn((rows, columns), || draw.normal() as f32);
    npy::write(&at("responses.npy"), &normal(16, 6)).unwrap();
    npy::write(&at("x.npy"), &normal(16, 4)).unwrap();
    npz::NpzWriter::new().add("a", &normal(48, 3)).add("b", &normal(48, 2)).write(&at("spaces.npz")).unwrap();
    npy::write(&at("series.npy"), &normal(48, 4)).unwrap();
    npy::write(&at("gammas.npy"), &ndarray::array![[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]]).unwrap();
    let text = |name: &str, lines: &mut dyn Iterator<Item = String>| {
        let all: Vec<String> = lines.collect();
        std::fs::write(at(name), all.join("\n") + "\n").unwrap();
        at(name)
    };
    let names = text("ids.txt", &mut (0..16).map(|i| format!("photo{i:02}")));
    let images = photographs(&at("images"), 16, 24);
    let table = |header: &'static str, row: fn(usize) -> String, n: usize| {
        std::iter::once(header.to_owned()).chain((0..n).map(row))
    };
    let rows = text("rows.tsv", &mut table("stimulus", |i| format!("photo{i:02}"), 16));
    let regions = text("rois.tsv", &mut table("region", |i| format!("v{}", i % 2 + 1), 6));
    let held = text("held.txt", &mut (2..6).map(|i| format!("photo{i:02}")));
    let categories =
        text("categories.tsv", &mut table("stimulus\tcategory", |i| format!("photo{i:02}\tc{}", i % 4), 16));
    let targets = text("names.txt", &mut (0..6).map(|i| format!("voxel{i}")));
    let runs = text("trials.tsv", &mut table("run", |i| format!("{}", i / 12 + 1), 48));
    let stimuli = |task: Task| task.reads("--targets", at("responses.npy")).with("--axes rows,targets");
    vec![
        stimuli(Task::new("fit", "fit").reads("--model", dir.join("tiny")))
            .with("--taps conv2,conv4 --reduction spatial_mean --combine both")
            .reads("--images", images)
            .reads("--ids", &names)
            .reads("--rois", regions)
            .reads("--target-names", targets),
        stimuli(Task::new("fit, features", "fit"))
            .reads("--features", at("x.npy"))
            .reads("--feature-rows", rows)
            .reads("--ids", names)
            .reads("--categories", categories)
            .with("--test stimuli --permutations 20 --scaling z_score")
            .reads("--test-stimuli", held),
        Task::new("fit, time series", "fit")
            .reads("--features", at("spaces.npz"))
            .reads("--targets", at("series.npy"))
            .with("--axes rows,targets --rows time --tr 2 --delays 1,2 --estimator banded --test-purge 1")
            .reads("--trials", runs)
            .reads("--gammas", at("gammas.npy")),
        stimuli(Task::new("fit, shard", "fit")).with("--match order --shard 1/2").reads("--features", at("x.npy")),
    ]
}

/// A classifier by what its classes lose, fine-tuned; a network by the variance of its layers, with
/// connections pruned and weights shared.
fn compressions(dir: &Path) -> Vec<Task> {
    let folder = dir.join("compressions");
    std::fs::create_dir_all(&folder).unwrap();
    let at = |name: &str| folder.join(name);
    let classifier = tiny_classifier(&folder);
    let images = |name: &str, n| photographs(&at(name), n, 24);
    let table: Vec<String> = (0..12).map(|i| format!("photo{i:02}.png\tc{}", i % 4)).collect();
    std::fs::write(at("labels.tsv"), format!("filename\tlabel\n{}\n", table.join("\n"))).unwrap();
    std::fs::write(at("classes.txt"), "c0\nc1\nc2\nc3\n").unwrap();
    let other = at("other");
    std::fs::create_dir_all(&other).unwrap();
    for i in 12..18 {
        let name = format!("photo{i:02}.png");
        std::fs::copy(images("more", 18).join(&name), other.join(name)).unwrap();
    }
    vec![
        Task::new("compress", "compress")
            .reads("--model", &classifier)
            .reads("--images", images("labelled", 12))
            .reads("--labels", at("labels.tsv"))
            .reads("--classes", at("classes.txt"))
            .with("--by car --keep 9 --at-once 2 --minimum 1 --fine-tune 2 --tune-batch 4 --normalisation batch"),
        Task::new("compress, connections", "compress")
            .reads("--model", classifier)
            .reads("--images", images("plain", 10))
            .reads("--test-images", other)
            .with("--by layerwise-variance --connections 0.3 --codebook 5"),
    ]
}

fn maps(dir: &Path, brain: &Brain) -> Vec<Task> {
    let ones = vec![1.0; brain.grid.n_voxels()];
    let volume = |name: &str, values: Vec<f32>| {
        write_volume(&brain.at(name), &Volume::new(brain.grid, values).unwrap(), Space::Mni).unwrap();
        brain.at(name)
    };
    let halves = (0..brain.grid.n_voxels()).map(|v| 1.0 + f32::from(u8::from(brain.grid.voxel(v)[0] < 5))).collect();
    let (centres, regions) = (volume("centres.nii", ones), volume("regions.nii", halves));
    let background = volume("background.nii", (0..brain.grid.n_voxels()).map(|v| v as f32).collect());
    let names = dir.join("regions.tsv");
    std::fs::write(&names, "index\tname\n1\tright\n2\tleft\n").unwrap();
    let betas = |task: Task| {
        let task = (0..2).fold(task, |task, run| {
            let task = task.reads("--betas", brain.at(&format!("sub-1_run-{run}_betas.nii.gz")));
            task.reads("--labels", brain.at(&format!("run-{run}_events.tsv")))
        });
        task.reads("--mask", brain.at("mask.nii.gz"))
    };
    let fingerprints = |task: Task| {
        let task = task.reads("--fingerprints", brain.at("rdms.npz"));
        task.reads("--fingerprint-conditions", brain.at("conditions.txt"))
    };
    let test = "--permutations 20 --radius 2 --unit voxels";
    let map = |name| fingerprints(betas(Task::new(name, "map"))).with(test);
    let given = dir.join("given.npy");
    let mut draw = rng::stream(2, "tasks", 0);
    npy::write(&given, &Array2::from_shape_simple_fn((3, 66), || draw.uniform())).unwrap();
    let activations = dir.join("activations.npz");
    let units = |seed: u64| {
        let mut draw = rng::stream(seed, "tasks", 1);
        Array2::from_shape_simple_fn((12, 9), || draw.normal())
    };
    let file = npz::NpzWriter::new().add("a", &units(1)).add("b", &units(2));
    file.write(&activations).unwrap();
    let names_of = |task: Task| task.reads("--fingerprint-conditions", brain.at("conditions.txt"));
    vec![
        map("map").reads("--centres", centres).reads("--background", background).with("--keep-relabellings 3"),
        map("map, regions").reads("--rois", regions).reads("--roi-names", names),
        map("map, shard").with("--shard 1/2 --keep-relabellings 2"),
        names_of(betas(Task::new("map, activations", "map")))
            .reads("--activations", activations)
            .with("--residual activation_level --permutations 0 --radius 2 --unit voxels"),
        fingerprints(Task::new("map, RDMs of regions", "map")).reads("--roi-rdms", given).with("--permutations 20"),
        series(brain, fingerprints(Task::new("map, time series", "map")))
            .with("--permutations 0 --radius 1.5 --unit voxels"),
        Task::new("map, simulate", "map")
            .reads("--fingerprints", brain.at("rdms.npz"))
            .with("--simulate --repeats 2 --runs 2 --region-voxels 8 --regions-per-layer 3 --permutations 20"),
    ]
}

/// Short time series of the brain's grid.
fn series(brain: &Brain, task: Task) -> Task {
    use orthoscope::io::nifti::write_series;
    (0..2).fold(task, |task, run| {
        let volumes: Vec<Vec<f32>> = (0..60)
            .map(|t| {
                let mut draw = rng::stream(3, "tasks", (60 * run + t) as u64);
                (0..brain.grid.n_voxels()).map(|_| 100.0 + draw.normal() as f32).collect()
            })
            .collect();
        let views: Vec<&[f32]> = volumes.iter().map(Vec::as_slice).collect();
        let at = |end: &str| brain.at(&format!("sub-1_run-{run}_{end}"));
        write_series(&at("bold.nii.gz"), &brain.grid, &views, Some(2.0), Space::Mni).unwrap();
        let rows: Vec<String> =
            brain.names.iter().enumerate().map(|(i, name)| format!("{}\t1\t{name}", 4.0 + 8.0 * i as f64)).collect();
        std::fs::write(at("bold_events.tsv"), format!("onset\tduration\ttrial_type\n{}\n", rows.join("\n"))).unwrap();
        let mut draw = rng::stream(4, "tasks", run as u64);
        let rows: Vec<String> = (0..60).map(|_| format!("{:.4}", draw.normal())).collect();
        std::fs::write(at("confounds.tsv"), format!("drift\n{}\n", rows.join("\n"))).unwrap();
        let task = task.reads("--bold", at("bold.nii.gz")).reads("--events", at("bold_events.tsv"));
        task.reads("--confounds", at("confounds.tsv")).with(if run == 0 { "--confound-columns drift" } else { "" })
    })
}

fn group(dir: &Path, brain: &Brain) -> Task {
    let map = |name: String, mean: f32| {
        let mut draw = rng::stream(5, &name, 0);
        let values: Array1<f32> = Array1::from_shape_simple_fn(brain.grid.n_voxels(), || mean + draw.normal() as f32);
        let path = dir.join(name);
        write_volume(&path, &Volume::new(brain.grid, values.to_vec()).unwrap(), Space::Mni).unwrap();
        path
    };
    let task = (1..=5).fold(Task::new("group", "group"), |t, s| t.reads("--maps", map(format!("sub-0{s}_a.nii"), 1.0)));
    let task = (1..=5).fold(task, |t, s| t.reads("--against", map(format!("sub-0{s}_b.nii"), 0.0)));
    task.with("--permutations 20")
        .reads("--mask", brain.at("mask.nii.gz"))
        .reads("--background", map("anatomy.nii".into(), 5.0))
}
