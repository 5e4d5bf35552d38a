//! Whole configurations, as far as a dry run goes.

use super::networks::{a_whole_model, picture_folder};
use super::volumes::layers;
use super::{Input, Reader};
use orthoscope::Result;
use orthoscope::job::configuration::{File, Given};
use orthoscope::job::{Session, of_command};
use std::path::Path;

pub const READERS: &[Reader] = &[Reader { beside, ..Reader::of_files("plan", "plan.toml", configurations, plan) }];

fn beside(folder: &Path) {
    a_whole_model(folder);
    picture_folder(folder);
    std::fs::write(folder.join("rdms.npz"), layers().remove(0)).expect("a folder of its own");
}

/// Paths are relative: the worker's own folder is its working directory.
const CONFIGURATIONS: [&str; 5] = [
    "command = \"orthogonalize\"
taps = [\"conv\", \"out\"]
n_images = 4
seed = 3
restarts = 2
steps = 2
checkpoint_every = 1
[network]
model = \"model\"
[objective]
min_sd = 0.1
[image]
band_limit = 0.25
init_sd = 0.01
octaves = 1
[optimizer]
learning_rate = 0.05
",
    "command = \"maximize\"
units = [\"out:0\", \"conv:1\"]
steps = 2
restarts = 2
n_images = 2
diversity = 0.5
method = \"adam\"
natural = \"images\"
resize = \"stretch\"
[network]
model = \"model\"
[image]
mask_diameter = 4.0
mask_centre = [0.0, 1.0]
",
    "command = \"rdm\"
taps = [\"conv\"]
images = \"images\"
resize = \"stretch\"
[network]
model = \"model\"
",
    "command = \"adversarial\"
units = [\"out:1\"]
images = \"images\"
resize = \"stretch\"
epsilon = [4.0, 10.0]
steps = 3
n_random = 2
batch = 2
[network]
model = \"model\"
",
    "command = \"map\"
statistic = \"pearson\"
[fingerprints]
files = [\"rdms.npz\"]
[test]
n_permutations = 20
correction = \"none\"
[simulation]
repeats = [2, 8]
seconds_per_presentation = 3.0
target = 0.5
[simulation.brain]
n_voxels = 10
n_regions = 4
n_runs = 2
snr = 0.5
",
];

fn configurations() -> Vec<Vec<u8>> {
    CONFIGURATIONS.map(|text| text.as_bytes().to_vec()).into()
}

fn plan(input: &Input<'_>) -> Result<()> {
    let file = File::read(input.path)?;
    let entry = of_command(file.command()?, file.at())?;
    let session = Session { dry_run: true, ..Session::new("never-made") };
    (entry.run)(Given { file: Some(file), ..Given::default() }, &session).map(drop)
}
