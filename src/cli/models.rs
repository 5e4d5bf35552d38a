//! `orthoscope models`: list, inspect, import and check networks.

use crate::data::shown::{self, line};
use crate::error::{Error, Result};
use crate::io::filename::{Part, is_whole};
use crate::io::weights::Storage;
use crate::job::fitted;
use crate::network::card::{self, About};
use crate::network::inspect::{inspect, list, table};
use crate::network::probe;
use crate::network::zoo::{LoadOptions, Model, load_model, models_dir};
use crate::tensor::Device;
use clap::{Args, Subcommand};
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;

/// Flags of `models`.
#[derive(Debug, Args)]
pub struct ModelsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The networks that have a name.
    List {
        /// Print JSON to standard output.
        #[arg(long)]
        json: bool,
    },
    /// Layers of a network: shapes, parameters, receptive fields, names of taps.
    Inspect {
        #[command(flatten)]
        source: Source,
        /// Print JSON to standard output.
        #[arg(long)]
        json: bool,
    },
    /// Store a network as a model directory, to be used by its name.
    Import(ImportArgs),
    /// Run a network once: finite activations, a gradient at the pixels, the card's golden
    /// activations.
    Check {
        #[command(flatten)]
        source: Source,
        /// Print JSON to standard output.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct Source {
    /// A name, a model directory, or a file: .onnx, .caffemodel, .pt, .pth, .keras, .h5; to inspect, also
    /// a fitted encoding model (a run directory of fit, .safetensors).
    #[arg(value_name = "MODEL")]
    model: String,
    /// Architecture of a PyTorch state dict.
    #[arg(long)]
    arch: Option<String>,
    /// Preprocessing: caffe, keras-caffe, torchvision, lucid, v4, unit or raw.
    #[arg(long)]
    preprocess: Option<String>,
}

#[derive(Debug, Args)]
struct ImportArgs {
    #[command(flatten)]
    source: Source,
    /// Name of the stored network.
    #[arg(long)]
    name: String,
    /// Folder of models [default: $ORTHOSCOPE_MODELS, else models].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Store 16-bit weights.
    #[arg(long)]
    f16: bool,
    /// One sentence about the network.
    #[arg(long, default_value = "")]
    description: String,
    /// Licence of the weights.
    #[arg(long, default_value = "")]
    licence: String,
    /// Replace a network of that name.
    #[arg(long)]
    force: bool,
    /// Print JSON to standard output.
    #[arg(long)]
    json: bool,
}

/// What `models import` did.
#[derive(Debug, Serialize)]
pub struct Imported {
    pub name: String,
    pub dir: PathBuf,
    pub nodes: usize,
    pub parameters: usize,
    pub blake3: String,
    pub presets: Vec<String>,
}

/// Runs `models`.
///
/// # Errors
/// As the readers and writers; [`Error::Invalid`] when a check fails.
pub fn run(args: ModelsArgs) -> Result<()> {
    match args.command {
        Command::List { json } => show_list(json),
        Command::Inspect { source, json } => {
            if let Some(file) = fitted::file(&source.model) {
                let about = fitted::inspect(&file)?;
                return if json { print_json(&about) } else { print(&about.text()) };
            }
            let inspection = inspect(&source.load()?);
            if json { print_json(&inspection) } else { print(&table(&inspection)) }
        }
        Command::Import(args) => {
            let json = args.json;
            let imported = import(args)?;
            if json {
                return print_json(&imported);
            }
            super::say(format_args!(
                "{}: {} nodes, {} parameters",
                imported.dir.display(),
                imported.nodes,
                imported.parameters
            ));
            Ok(())
        }
        Command::Check { source, json } => check(&source, json),
    }
}

impl Source {
    fn load(&self) -> Result<Model> {
        let options = LoadOptions { arch: self.arch.clone(), preprocess: self.preprocess.clone(), models_dir: None };
        let model = load_model(&self.model, &options)?;
        model.warnings.iter().for_each(|w| super::say(format_args!("warning: {w}")));
        Ok(model)
    }
}

fn show_list(json: bool) -> Result<()> {
    let listed = list(&LoadOptions::default());
    if json {
        return print_json(&listed);
    }
    if listed.is_empty() {
        super::say(format_args!("no models in {}", models_dir(&LoadOptions::default()).display()));
    }
    let mut text = String::new();
    for l in &listed {
        text += &match &l.error {
            None => {
                let (name, description) = (line(&l.name), line(&l.description));
                format!("{name}  {} x {}, {} parameters  {description}\n", l.input[0], l.input[1], l.parameters)
            }
            Some(error) => format!("{}  unusable: {}\n", line(&l.name), line(error)),
        };
    }
    print(&text)
}

/// Reads, names, records golden activations and writes; the directory appears complete or not at
/// all.
fn import(args: ImportArgs) -> Result<Imported> {
    if !is_whole(Part::Stem, &args.name) {
        let expected = "a name of letters, digits, -, _ and ., that every system takes for a folder's";
        return Err(Error::invalid("--name", expected, format!("`{}`", args.name), "it becomes a folder's name"));
    }
    let mut model = args.source.load()?;
    model.graph.name.clone_from(&args.name);
    let dir = args.out.unwrap_or_else(|| models_dir(&LoadOptions::default())).join(&args.name);
    let golden = probe::record_presets(&model.graph, &Device::default())?;
    let about = About {
        description: if args.description.is_empty() { model.about.description.clone() } else { args.description },
        licence: if args.licence.is_empty() { model.about.licence.clone() } else { args.licence },
        // Sixteen-bit weights give other activations than those recorded here.
        golden: (!args.f16).then_some(golden),
        ..model.about.clone()
    };
    let storage = if args.f16 { Storage::F16 } else { Storage::F32 };
    let card = card::write(&dir, &model.graph, &about, storage, args.force)?;
    Ok(Imported {
        name: args.name,
        dir,
        nodes: model.graph.nodes().len(),
        parameters: model.graph.n_parameters(),
        blake3: card.weights.blake3,
        presets: model.graph.presets.keys().cloned().collect(),
    })
}

fn check(source: &Source, json: bool) -> Result<()> {
    let model = source.load()?;
    let report = probe::probe(&model.graph, model.about.golden.as_ref(), &Device::default())?;
    if json {
        print_json(&report)?;
    } else {
        print(&report.text())?;
    }
    if report.passed {
        return Ok(());
    }
    let failed: Vec<&str> = report.taps.iter().filter(|t| !t.passed).map(|t| t.tap.as_str()).collect();
    Err(Error::invalid(
        format!("{}: check", report.model),
        "finite activations, a gradient at the pixels, and the card's activations at every tap",
        format!("trouble at {}", failed.join(", ")),
        "the file or its preprocessing is not what the card says: import the network again",
    ))
}

fn print_json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).expect("plain values can be written as JSON");
    print(&(shown::json(&text) + "\n"))
}

fn print(text: &str) -> Result<()> {
    std::io::stdout().write_all(shown::lines(text).as_bytes()).map_err(Error::io("standard output", "write"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{ChannelOrder, GraphBuilder, InputSpec, Op};
    use clap::Parser;
    use ndarray::{ArrayD, IxDyn};
    use std::path::Path;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        models: ModelsArgs,
    }

    fn command(line: &[&str]) -> Result<()> {
        run(Cli::try_parse_from([&["models"], line].concat()).unwrap().models)
    }

    fn tiny(dir: &Path) {
        let input = InputSpec {
            height: 12,
            width: 12,
            order: ChannelOrder::Rgb,
            range: 1.0,
            mean: vec![0.5; 3],
            std: vec![0.5; 3],
        };
        let mut b = GraphBuilder::new("tiny", input, Default::default()).unwrap();
        b.add_weight(
            "w",
            ArrayD::from_shape_fn(IxDyn(&[4, 3, 3, 3]), |i| (i[0] * 7 + i[2] * 3 + i[3]) as f32 * 0.1 - 1.0),
        );
        let op =
            Op::Conv2d { weight: "w".into(), bias: None, stride: [2, 2], padding: [1; 4], dilation: [1, 1], groups: 1 };
        let x = b.push("conv.pre_relu", op, &[0]).unwrap();
        b.push("conv", Op::Relu, &[x]).unwrap();
        card::write(dir, &b.finish().unwrap(), &About::default(), Storage::F32, false).unwrap();
    }

    #[test]
    fn import_then_check_then_spoil() {
        let folder = tempfile::tempdir().unwrap();
        let (source, out) = (folder.path().join("source"), folder.path().join("out"));
        tiny(&source);
        let (from, to) = (source.to_str().unwrap(), out.to_str().unwrap());
        command(&["import", from, "--name", "mine", "--out", to]).unwrap();
        let stored = out.join("mine");
        let stored_name = stored.to_str().unwrap();
        command(&["check", stored_name, "--json"]).unwrap();
        command(&["inspect", stored_name]).unwrap();
        let again = command(&["import", from, "--name", "mine", "--out", to]).unwrap_err();
        assert!(matches!(again, Error::RunDir { .. }), "{again}");
        command(&["import", from, "--name", "mine", "--out", to, "--force"]).unwrap();
        assert!(command(&["import", from, "--name", "../up", "--out", to]).is_err());
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1, "no temporary folder stays behind");
        // Another preprocessing gives other activations: the card's golden values notice.
        let failed = command(&["check", stored_name, "--preprocess", "caffe"]).unwrap_err();
        assert!(failed.to_string().contains("conv"), "{failed}");
    }

    #[test]
    fn the_table_holds_shapes_fields_and_names() {
        let folder = tempfile::tempdir().unwrap();
        tiny(&folder.path().join("m"));
        let model = load_model(folder.path().join("m").to_str().unwrap(), &LoadOptions::default()).unwrap();
        let inspection = inspect(&model);
        assert_eq!((inspection.parameters, inspection.macs), (108, 108 * 36));
        let last = &inspection.nodes[2];
        assert_eq!((last.shape, last.receptive_field.rows.size, last.receptive_field.rows.stride), ([4, 6, 6], 3, 2));
        assert_eq!(last.presets, ["all-conv", "default"]);
        let text = table(&inspection);
        assert!(text.contains("4 x 6 x 6") && text.contains("preset default: conv"), "{text}");
    }
}
