//! A whole job, as CONTRIBUTING.md describes it: this file would be `src/job/hello/`, and
//! `Entry::of::<Hello>()` its row of `JOBS`.

use orthoscope::error::{Error, Result};
use orthoscope::job::{Checked, Entry, Given, Job, RunDir, Session};
use orthoscope::report::{Figures, Page};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// `[hello]`: everything that changes results, with defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    command: String,
    name: String,
    seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { command: "hello".into(), name: "world".into(), seed: 1 }
    }
}

/// The same, partial: the flags.
#[derive(Debug, Default, clap::Args, Serialize)]
struct Flags {
    /// Whom to greet.
    #[arg(long)]
    name: Option<String>,
}

/// Everything that was read and checked.
struct Plan {
    config: Config,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Results {
    greeting: String,
}

struct Hello;

impl Job for Hello {
    const NAME: &'static str = "hello";
    const ABOUT: &'static str = "Greets";
    const TITLE: &'static str = "A greeting";

    type Config = Config;
    type Plan = Plan;
    type Results = Results;
    type Flags = Flags;

    fn plan(config: Config) -> Result<Plan> {
        if config.name.is_empty() {
            return Err(Error::invalid("name", "somebody", "nobody", ""));
        }
        Ok(Plan { config })
    }

    fn checked(plan: &Plan) -> Checked<'_, Config> {
        Checked { config: &plan.config, sets: BTreeMap::new(), warnings: vec![] }
    }

    fn describe(plan: &Plan) -> Result<Value> {
        Ok(json!({ "dry_run": true, "name": plan.config.name }))
    }

    fn execute(plan: &Plan, session: &Session, run: &mut RunDir) -> Result<Results> {
        session.cancel.check()?;
        let greeting = format!("hello {}", plan.config.name);
        orthoscope::io::atomic::write(&run.file("arrays/greeting.txt"), greeting.as_bytes())?;
        Ok(Results { greeting })
    }

    fn summary(results: &Results) -> String {
        results.greeting.clone()
    }

    fn page(results: &Results, page: &mut Page, _: &mut Figures) {
        page.section("Greeting").text(results.greeting.as_str());
    }
}

/// The one row.
static ROW: Entry = Entry::of::<Hello>();

fn given(args: &[&str]) -> Given {
    let command = (ROW.flags.augment)(clap::Command::new("hello"));
    let matches = command.try_get_matches_from([&["hello"], args].concat()).unwrap();
    Given { over: (ROW.flags.given)(&matches).unwrap(), ..Given::default() }
}

#[test]
fn a_job_is_one_folder_and_one_row() {
    let dir = tempfile::tempdir().unwrap();
    let session = Session::new(dir.path().join("run"));
    let finished = (ROW.run)(given(&["--name", "you"]), &session).unwrap();
    assert_eq!((finished.results, finished.summary.as_str()), (json!({ "greeting": "hello you" }), "hello you"));
    let read = |file: &str| std::fs::read_to_string(session.out.join(file)).unwrap();
    assert_eq!(read("arrays/greeting.txt"), "hello you");
    assert!(read("report.html").contains("A greeting") && read("config.toml").contains("name = \"you\""));
    assert!(read("manifest.json").contains("\"status\": \"complete\""));
    // Complete already: resuming reads the results back, anything else leaves them alone.
    let again = Session { resume: true, ..Session::new(&session.out) };
    assert_eq!((ROW.run)(given(&["--name", "you"]), &again).unwrap().summary, "hello you");
    assert_eq!((ROW.run)(given(&[]), &again).unwrap_err().exit_code(), 2, "another configuration");
    assert_eq!((ROW.run)(given(&["--name", "you"]), &session).unwrap_err().exit_code(), 2, "an earlier run");
}

#[test]
fn a_cancelled_job_leaves_an_interrupted_run() {
    let dir = tempfile::tempdir().unwrap();
    let session = Session::new(dir.path().join("run"));
    session.cancel.cancel();
    assert_eq!((ROW.run)(given(&[]), &session).unwrap_err().exit_code(), 75);
    let manifest = std::fs::read_to_string(session.out.join("manifest.json")).unwrap();
    assert!(manifest.contains("\"status\": \"interrupted\""));
    let resumed = Session { resume: true, ..Session::new(&session.out) };
    assert_eq!((ROW.run)(given(&[]), &resumed).unwrap().summary, "hello world");
}
