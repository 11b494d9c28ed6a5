//! `pipewright features`, as a person calls it.
#![expect(clippy::unwrap_used, reason = "a broken fixture is a failed test")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

/// A folder of its own for one test, removed at the end.
struct Scene(PathBuf);

impl Scene {
    /// A year of daily prices of three assets, one without a class.
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("features-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("prices")).unwrap();
        let scene = Self(path);
        for (ticker, pace) in [("AAA", 3.0), ("B.B", 5.0), ("C_1", 7.0)] {
            let mut text = String::from("Date,Close\n");
            for day in 0..366_i32 {
                let date = Date(day);
                let price = 100.0 + (f64::from(day) / pace).sin() + f64::from(day % 17) / 10.0;
                text += &format!("{date},{price}\n");
            }
            scene.write(&format!("prices/{ticker}.csv"), &text);
        }
        scene.write(
            "prices/assets.csv",
            "ticker,assetClass,description\nAAA,Technology,a\nB.B,Energy,b\n",
        );
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipewright"));
        command
            .current_dir(&self.0)
            .arg("features")
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Standard output of a command that must succeed.
    fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command that must fail with status 1 tells.
    fn fails(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        told(&output)
    }

    /// A template made by `init`, changed.
    fn template(&self, change: impl FnOnce(&mut Value)) {
        let text = self.succeeds(&["init", "--assets", "prices", "--predict", "AAA"]);
        let mut template: Value = serde_json::from_str(&text).unwrap();
        change(&mut template);
        self.write("template.json", &template.to_string());
    }

    /// Every file below a folder with its content.
    fn files(&self, folder: &str) -> Vec<(String, Vec<u8>)> {
        fn walk(folder: &Path, root: &Path, found: &mut Vec<(String, Vec<u8>)>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, root, found);
                } else {
                    let name = path.strip_prefix(root).unwrap().display().to_string();
                    found.push((name, fs::read(path).unwrap()));
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.path(folder), &self.path(folder), &mut found);
        found.sort();
        found
    }

    /// What lies beside the prices and the template.
    fn entries(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.retain(|name| name != "prices" && name != "template.json");
        names.sort();
        names
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn told(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A day of the leap year 2020, from 0.
struct Date(i32);

impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut day = self.0;
        let lengths = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut month = 0;
        while day >= lengths[month] {
            day -= lengths[month];
            month += 1;
        }
        write!(f, "2020-{:02}-{:02}", month + 1, day + 1)
    }
}

const RUN: [&str; 7] = [
    "run",
    "--assets",
    "prices",
    "--template",
    "template.json",
    "--out",
    "out",
];

fn run_with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [RUN.as_slice(), more].concat()
}

#[test]
fn a_template_of_init_passes_check_and_runs_as_it_is() {
    let scene = Scene::new("init");
    let init = [
        "init",
        "--assets",
        "prices",
        "--predict",
        "AAA",
        "-o",
        "template.json",
    ];
    assert_eq!(scene.succeeds(&init), "");
    scene.write("template.json", "mine");
    assert!(
        scene
            .fails(&init)
            .contains("template.json exists; --force replaces it")
    );
    scene.succeeds(&[&init[..], &["--force"]].concat());
    let checked = scene.succeeds(&["check", "--assets", "prices", "--template", "template.json"]);
    assert!(checked.contains("template.json: no fault"), "{checked}");
    assert!(checked.contains("gives no class to C_1"), "{checked}");
    let text = scene.succeeds(&RUN);
    assert!(text.starts_with("Features of AAA made in "), "{text}");
    assert!(
        text.contains("rows          366, 2020-01-01 to 2020-12-31"),
        "{text}"
    );
    let names: Vec<String> = scene
        .files("out")
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    for name in [
        "features/baselines.json",
        "features/features.csv",
        "features/importance.json",
        "features/series.json",
        "features/summary.json",
        "plots/assets-energy.png",
        "test/test.json",
        "train/train.json",
    ] {
        assert!(names.iter().any(|n| n == name), "{name}: {names:?}");
        assert!(text.contains(name), "{name}: {text}");
    }
    assert_eq!(scene.entries(), ["out"]);
}

#[test]
fn the_outputs_are_the_same_for_any_threads_and_the_seed_counts() {
    let scene = Scene::new("threads");
    scene.template(|template| {
        template["feMeta"]["autoEncoderSettings"]["enabled"] = json!(true);
        template["feMeta"]["autoEncoderSettings"]["fitEpoch"] = json!(2);
        template["deepARMeta"]["compress"] = json!(true);
    });
    scene.succeeds(&run_with(&["--threads", "1"]));
    let first = scene.files("out");
    assert!(first.iter().any(|(name, _)| name == "train/train.json.gz"));
    for threads in ["2", "5"] {
        scene.succeeds(&run_with(&["--force", "--threads", threads]));
        assert!(scene.files("out") == first, "{threads} threads");
    }
    scene.succeeds(&run_with(&["--force", "--seed", "7"]));
    assert!(scene.files("out") != first);
}

#[test]
fn a_stage_makes_the_same_alone_as_with_all_others() {
    let scene = Scene::new("stages");
    scene.template(|template| {
        template["feMeta"]["autoEncoderSettings"]["enabled"] = json!(true);
        template["feMeta"]["autoEncoderSettings"]["fitEpoch"] = json!(1);
    });
    scene.succeeds(&RUN);
    let all = scene.files("out");
    let columns = |files: &[(String, Vec<u8>)]| -> Vec<Vec<String>> {
        let (_, csv) = files
            .iter()
            .find(|(name, _)| name.ends_with(".csv"))
            .unwrap();
        let text = String::from_utf8(csv.clone()).unwrap();
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
        (0..lines[0].len())
            .map(|column| lines.iter().map(|line| line[column].to_owned()).collect())
            .collect()
    };
    for (stage, files) in [
        (
            "merge",
            &["features/features.csv", "features/summary.json"][..],
        ),
        ("ta", &["features/features.csv", "features/summary.json"]),
        ("arima", &["features/features.csv", "features/summary.json"]),
        ("fft", &["features/features.csv", "features/summary.json"]),
        (
            "autoencoder",
            &["features/features.csv", "features/summary.json"],
        ),
        (
            "importance",
            &[
                "features/features.csv",
                "features/importance.json",
                "features/summary.json",
            ],
        ),
        (
            "deepar",
            &[
                "features/baselines.json",
                "features/features.csv",
                "features/series.json",
                "features/summary.json",
                "test/test.json",
                "train/train.json",
            ],
        ),
    ] {
        scene.succeeds(&run_with(&["--force", "--stage", stage]));
        let made = scene.files("out");
        let names: Vec<&str> = made.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, files, "{stage}");
        for (name, content) in &made {
            if !["features/features.csv", "features/summary.json"].contains(&name.as_str()) {
                assert!(
                    all.contains(&(name.clone(), content.clone())),
                    "{stage}: {name}"
                );
            }
        }
        let whole = columns(&all);
        for column in columns(&made) {
            assert!(whole.contains(&column), "{stage}: {}", column[0]);
        }
    }
    scene.succeeds(&run_with(&["--force", "--stage", "fft,plots"]));
    let names: Vec<String> = scene
        .files("out")
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert!(
        names.iter().any(|name| name.starts_with("plots/low-pass-")),
        "{names:?}"
    );
}

#[test]
fn a_stage_that_the_template_has_off_is_refused_and_an_unknown_one_named() {
    let scene = Scene::new("off");
    scene.template(|_| ());
    let error = scene.fails(&run_with(&["--stage", "autoencoder"]));
    assert!(
        error.contains("--stage autoencoder: feMeta.autoEncoderSettings.enabled is not true in"),
        "{error}"
    );
    let output = scene.run(&run_with(&["--stage", "arma"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(told(&output).contains("arima"), "{}", told(&output));
    assert_eq!(scene.entries(), [""; 0]);
}

#[test]
fn every_part_may_be_off_and_the_rest_still_makes_its_outputs() {
    let scene = Scene::new("all-off");
    scene.template(|template| {
        for section in ["taSettings", "arimaSettings", "fftSettings"] {
            template["feMeta"][section]["enabled"] = json!(false);
        }
    });
    scene.succeeds(&RUN);
    let names: Vec<String> = scene
        .files("out")
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert!(names.contains(&"train/train.json".to_owned()), "{names:?}");
    assert!(
        names.contains(&"features/importance.json".to_owned()),
        "{names:?}"
    );
}

#[test]
fn json_is_one_document_and_nothing_else() {
    let scene = Scene::new("json");
    scene.template(|_| ());
    let text = scene.succeeds(&run_with(&["--format", "json"]));
    let summary: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(summary["summary"]["rows"], 366);
    assert!(summary["summary"]["topFeatures"][0]["importance"].is_number());
    let files = summary["files"].as_array().unwrap();
    for (name, content) in scene.files("out") {
        let file = files.iter().find(|file| file["name"] == *name).unwrap();
        assert_eq!(file["bytes"], content.len());
    }
    assert_eq!(files.len(), scene.files("out").len());
}

#[test]
fn a_folder_is_replaced_only_by_force_and_only_if_a_run_wrote_it() {
    let scene = Scene::new("force");
    scene.template(|_| ());
    fs::create_dir(scene.path("out")).unwrap();
    scene.succeeds(&RUN);
    scene.write("out/train/train.json.gz", "old");
    let error = scene.fails(&RUN);
    assert!(
        error.contains("out is not empty; --force replaces"),
        "{error}"
    );
    assert!(scene.path("out/train/train.json.gz").exists());
    scene.succeeds(&run_with(&["--force"]));
    assert!(
        !scene.path("out/train/train.json.gz").exists(),
        "not merged"
    );
    // In folders of a run's names, too: others have a `train` as well.
    for own in ["thesis.txt", "train/labels.json", "plots/holiday.png"] {
        scene.write(&format!("out/{own}"), "years of work");
        let error = scene.fails(&run_with(&["--force"]));
        assert!(
            error.contains(&format!("out holds {own}, which is not an output of a run")),
            "{error}"
        );
        fs::remove_file(scene.path(&format!("out/{own}"))).unwrap();
    }
    assert_eq!(scene.entries(), ["out"]);
    fs::remove_dir_all(scene.path("out")).unwrap();
    scene.write("out", "a file");
    let error = scene.fails(&run_with(&["--force"]));
    assert!(error.contains("out is not a folder"), "{error}");
}

#[test]
fn a_run_that_fails_leaves_what_was_there() {
    let scene = Scene::new("failed");
    scene.template(|_| ());
    scene.succeeds(&RUN);
    let before = scene.files("out");
    scene.template(|template| template["deepARMeta"]["testWindows"] = json!(30));
    let error = scene.fails(&run_with(&["--force"]));
    assert!(error.contains("30 windows of 7 calendar days"), "{error}");
    assert!(scene.files("out") == before);
    assert_eq!(scene.entries(), ["out"]);
}

#[test]
fn an_interrupted_run_leaves_nothing() {
    let scene = Scene::new("interrupted");
    scene.template(|template| {
        template["feMeta"]["autoEncoderSettings"]["enabled"] = json!(true);
        template["feMeta"]["autoEncoderSettings"]["fitEpoch"] = json!(1_000_000);
    });
    let mut child = scene
        .command(&RUN)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // It listens for signals before it makes the temporary folder.
    while !scene.entries().iter().any(|name| name.contains("partial")) {
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        std::thread::sleep(Duration::from_millis(10));
    }
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(scene.entries(), [""; 0]);
}

#[test]
fn check_looks_at_price_files_by_themselves_where_there_is_no_template() {
    let scene = Scene::new("no-template");
    let fine = scene.succeeds(&["check", "--assets", "prices"]);
    assert!(fine.ends_with("price files: 3, no fault\n"), "{fine}");
    scene.write(
        "prices/AAA.csv",
        "Date,Close\n2020-01-01,NaN\n2020-01-02,x\n",
    );
    let faults = scene.fails(&["check", "--assets", "prices"]);
    assert_eq!(faults.matches("error: ").count(), 2, "{faults}");
    assert!(!faults.contains("no fault"), "{faults}");
}

/// The check lists each price file that it takes, with its dates and prices from the columns Date and Close, and names what it leaves out.
#[test]
fn check_lists_what_it_takes_and_names_what_it_leaves_out() {
    let scene = Scene::new("listing");
    let name = OsStr::from_bytes(b"prices/Gr\xf6\xdfe.csv");
    fs::write(scene.0.join(name), "Date,Close\n2020-01-01,1\n").unwrap();
    scene.write("prices/._AAA.csv", "Date,Close\n2020-01-01,1\n");
    scene.write("prices/EEE.CSV", "Date,Close\n2020-01-01,1\n");
    scene.write("prices/FFF.csv.gz", "Date,Close\n2020-01-01,1\n");
    fs::create_dir(scene.path("prices/X.csv")).unwrap();
    scene.write(
        "prices/AAA.csv",
        ",Close,Date\n0,,2019-12-31\n1,100,2020-01-02\n2,99,2020-01-03\n3,,2020-01-04\n",
    );
    let text = scene.succeeds(&["check", "--assets", "prices", "--format", "json"]);
    let found: Value = serde_json::from_str(&text).unwrap();
    let files = found["files"].as_array().unwrap();
    let names: Vec<&str> = files.iter().map(|f| f["file"].as_str().unwrap()).collect();
    assert_eq!(names, ["AAA.csv", "B.B.csv", "C_1.csv"]);
    assert_eq!(
        files[0],
        json!({
            "ticker": "AAA",
            "file": "AAA.csv",
            "assetClass": "Technology",
            "description": "a",
            "firstDate": "2020-01-02",
            "lastDate": "2020-01-03",
            "prices": 2
        })
    );
    assert_eq!(files[2]["assetClass"], "unclassified");
    let warnings = found["warnings"].to_string();
    for left_out in [
        "\"EEE.CSV: left out; a price file's name ends in `.csv`",
        "\"FFF.csv.gz: left out; a packed file is not read, unpack it",
        "\"._AAA.csv: left out; a name that begins with a dot",
        "\"X.csv: left out; a folder is not a price file",
        "e.csv: left out; a price file's name is in UTF-8, rename it",
    ] {
        assert!(warnings.contains(left_out), "{left_out}: {warnings}");
    }
    // Files with faults are listed as well: who would take them must know.
    scene.write("prices/C_1.csv", "Date,Close\n2020-01-01,x\n");
    let text = scene.fails(&["check", "--assets", "prices", "--format", "json"]);
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(found["files"][2]["file"], "C_1.csv");
    assert_eq!(found["files"][2].get("prices"), None);
}

#[test]
fn init_asks_for_nothing_that_it_does_not_take() {
    let scene = Scene::new("not-daily");
    let quarterly: String = (0..40)
        .map(|quarter| format!("{}-{:02}-01,1\n", 2010 + quarter / 4, quarter % 4 * 3 + 1))
        .collect();
    fs::create_dir(scene.path("quarterly")).unwrap();
    scene.write("quarterly/AAA.csv", &format!("Date,Close\n{quarterly}"));
    let told = scene.fails(&["init", "--assets", "quarterly", "--predict", "AAA"]);
    assert!(
        told.contains("the prices of `AAA` are quarterly, and a model's points"),
        "{told}"
    );
    assert!(!told.contains("deepARMeta"), "{told}");
    let file = fs::read_to_string(scene.path("prices/AAA.csv")).unwrap();
    let lines: Vec<&str> = file.lines().collect();
    let last = lines.len() - 1;
    let holed = [&lines[..last - 20], &lines[last..]].concat().join("\n");
    scene.write("prices/AAA.csv", &holed);
    let told = scene.fails(&["init", "--assets", "prices", "--predict", "AAA"]);
    assert!(
        told.contains("no day of these has a price of every asset"),
        "{told}"
    );
    assert!(!told.contains("deepARMeta"), "{told}");
}

/// Control characters in prices, templates and definitions reach neither terminal nor log, whatever command tells of them.
#[test]
fn control_characters_of_files_are_not_told() {
    let scene = Scene::new("controls");
    scene.template(|_| ());
    let hostile = "\u{1b}[2J\u{1b}]0;pwned\u{7}\u{9b}1A\u{8}";
    let plain = |arguments: &[&str]| {
        let output = scene.run(arguments);
        let told = told(&output);
        assert!(
            told.chars()
                .all(|letter| letter == '\n' || !letter.is_control()),
            "{arguments:?}: {told:?}"
        );
        told
    };
    scene.write("hostile.json", &format!("{{\"{hostile}\": 1}}"));
    scene.write(
        "escaped.json",
        &json!({ "Id": hostile, "predictedAsset": hostile, hostile: 1 }).to_string(),
    );
    for template in ["hostile.json", "escaped.json"] {
        for format in ["text", "json"] {
            plain(&[
                "check",
                "--assets",
                "prices",
                "--template",
                template,
                "--format",
                format,
            ]);
        }
        plain(&["describe", "--template", template]);
    }
    let definition =
        json!({ "Version": "2020-12-01", "Steps": [{ "Name": hostile, "Type": hostile }] });
    scene.write("definition.json", &definition.to_string());
    for command in [
        &["check", "definition.json"][..],
        &["check", "definition.json", "--format", "json"],
        &["check", "hostile.json", "escaped.json", hostile],
        &["graph", "--format", hostile],
    ] {
        let mut called = Command::new(env!("CARGO_BIN_EXE_pipewright"));
        called.current_dir(&scene.0).arg("definition").args(command);
        let told = told(&called.output().unwrap());
        assert!(!told.is_empty());
        assert!(
            told.chars()
                .all(|letter| letter == '\n' || !letter.is_control()),
            "{command:?}: {told:?}"
        );
    }
    scene.write(
        "prices/assets.csv",
        &format!("ticker,assetClass\nAAA,{hostile}\nB.B,x\n"),
    );
    assert!(plain(&["init", "--assets", "prices", "--predict", hostile]).contains("pwned"));
    scene.write(
        "prices/AAA.csv",
        &format!("{hostile},Close\n2020-01-01,1\n"),
    );
    plain(&["init", "--assets", "prices", "--predict", "AAA"]);
    plain(&RUN);
    scene.write(
        "prices/AAA.csv",
        &format!("Date,Close\n2020-01-01,{hostile}\n"),
    );
    assert!(plain(&["check", "--assets", "prices"]).contains("pwned"));
    for format in ["text", "json"] {
        let mut called = Command::new(env!("CARGO_BIN_EXE_pipewright"));
        let import = ["data", "import", "--assets", "prices", "--format", format];
        called.current_dir(&scene.0).args(import);
        let told = told(&called.output().unwrap());
        assert!(told.contains("pwned"), "{told}");
        assert!(
            told.chars()
                .all(|letter| letter == '\n' || !letter.is_control()),
            "{told:?}"
        );
    }
    plain(&RUN);
    let text = scene.fails(&["check", "--assets", "prices", "--format", "json"]);
    let found: Value = serde_json::from_str(&text).unwrap();
    let fault = found["faults"][0].as_str().unwrap();
    assert!(
        !fault.chars().any(char::is_control),
        "who reads the JSON tells it on: {fault:?}"
    );
}

#[test]
fn without_predict_the_asset_with_the_most_prices_is_predicted() {
    let scene = Scene::new("longest");
    let predicted = || {
        let text = scene.succeeds(&["init", "--assets", "prices"]);
        let template: Value = serde_json::from_str(&text).unwrap();
        template["predictedAsset"].clone()
    };
    // Of as many, the first.
    assert_eq!(predicted(), "AAA");
    let prices = fs::read_to_string(scene.path("prices/AAA.csv")).unwrap();
    let without_the_first: Vec<&str> = prices
        .lines()
        .take(1)
        .chain(prices.lines().skip(2))
        .collect();
    scene.write("prices/AAA.csv", &without_the_first.join("\n"));
    assert_eq!(predicted(), "B.B");
}

#[test]
fn check_finds_everything_at_once() {
    let scene = Scene::new("check");
    scene.template(|template| {
        template["feMeta"]["baseAssets"] = json!(["AAA", "NOPE"]);
        template["feMeta"]["fftSettings"]["assetClasses"] = json!(["Enery"]);
    });
    scene.write("prices/AAA.csv", "Date,Close\n2020-01-01,x\n");
    let arguments = ["check", "--assets", "prices", "--template", "template.json"];
    let text = scene.fails(&arguments);
    for part in [
        "error: feMeta.baseAssets[1] names the asset `NOPE`",
        "the nearest is `Energy`",
        "AAA.csv line 2, asset `AAA`: `x` is not a price",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    scene.template_fault();
    let text = scene.fails(&[&arguments[..], &["--format", "json"]].concat());
    let found: Value = serde_json::from_str(&text).unwrap();
    let faults = found["faults"].to_string();
    assert!(
        faults.contains("template.json: predictedAsset: the ticker `../AAA` would leave"),
        "{faults}"
    );
    assert!(faults.contains("taSetings: is unknown"), "{faults}");
    assert!(
        faults.contains("feMeta.baseAssets[1] names the asset `NOPE`"),
        "{faults}"
    );
    assert!(faults.contains("AAA.csv line 2"), "{faults}");
    assert_eq!(scene.entries(), [""; 0], "nothing is written");
}

#[test]
fn check_tells_every_fault_and_doubt_of_the_price_files() {
    let scene = Scene::new("price-files");
    scene.template(|_| ());
    let file =
        |ticker: &str| fs::read_to_string(scene.path(&format!("prices/{ticker}.csv"))).unwrap();
    let faulty: String = (1..)
        .zip(file("AAA").lines())
        .map(|(line, text)| match line {
            7 => "never,1\n".to_owned(),
            9 => format!("{}x\n", text),
            _ => format!("{text}\n"),
        })
        .collect();
    let units: Vec<u8> = file("B.B")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    scene.write("prices/AAA.csv", &faulty);
    fs::write(scene.path("prices/B.B.csv"), units).unwrap();
    let check = ["check", "--assets", "prices", "--template", "template.json"];
    let text = scene.fails(&check);
    for fault in [
        "error: prices/AAA.csv line 7, asset `AAA`: `never` is not a date",
        "error: prices/AAA.csv line 9, asset `AAA`: ",
        "error: prices/B.B.csv, asset `B.B`: the file is in UTF-16, not in UTF-8; save it as UTF-8",
    ] {
        assert!(text.contains(fault), "{fault}: {text}");
    }

    let scene = Scene::new("price-doubts");
    scene.template(|_| ());
    let path = scene.path("prices/C_1.csv");
    let mut lines: Vec<String> = fs::read_to_string(&path)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    lines[4] = format!("{},0", &lines[4][..10]);
    fs::write(path, lines.join("\n")).unwrap();
    let warning = "warning: prices/C_1.csv line 5: the price 0 is zero or negative";
    assert!(scene.succeeds(&check).contains(warning));
    // Also where something else is wrong.
    scene.template(|template| template["deepARMeta"]["testWindows"] = 90.into());
    let text = scene.fails(&check);
    assert!(text.contains(warning) && text.contains("error: "), "{text}");
}

#[test]
fn standard_input_is_called_by_its_name() {
    let scene = Scene::new("standard-input");
    let told = scene.fails(&["check", "--assets", "prices", "--template", "-"]);
    assert!(
        told.contains("standard input cannot be read as JSON"),
        "{told}"
    );
}

impl Scene {
    /// Spoils the template in two places.
    fn template_fault(&self) {
        let text = fs::read_to_string(self.path("template.json")).unwrap();
        let mut template: Value = serde_json::from_str(&text).unwrap();
        template["predictedAsset"] = json!("../AAA");
        template["feMeta"]["taSetings"] = json!({});
        self.write("template.json", &template.to_string());
    }
}

#[test]
fn a_slash_in_a_ticker_never_leaves_the_folder() {
    let scene = Scene::new("slash");
    scene.template(|template| template["feMeta"]["baseAssets"] = json!(["AAA", "../secret"]));
    scene.write("secret.csv", "Date,Close\n");
    for command in [&RUN[..], &["describe", "--template", "template.json"]] {
        let error = scene.fails(command);
        assert!(
            error.contains("feMeta.baseAssets[1]: the ticker `../secret` would leave"),
            "{error}"
        );
    }
    scene.write(
        "prices/assets.csv",
        "ticker,assetClass\nAAA,x\n../secret,y\n",
    );
    let error = scene.fails(&["init", "--assets", "prices", "--predict", "AAA"]);
    assert!(
        error.contains("assets.csv: line 3: the ticker `../secret` would leave"),
        "{error}"
    );
    assert!(scene.path("secret.csv").exists());
}

#[test]
fn init_without_data_or_asset_says_what_is_missing() {
    let scene = Scene::new("bad-init");
    let error = scene.fails(&["init", "--assets", "prices", "--predict", "AAAA"]);
    assert!(
        error.contains("there are no prices of `AAAA`; the nearest ticker is `AAA`"),
        "{error}"
    );
    let error = scene.fails(&["init", "--assets", "nowhere", "--predict", "AAA"]);
    assert!(error.contains("nowhere cannot be read"), "{error}");
    fs::create_dir(scene.path("empty")).unwrap();
    let error = scene.fails(&["init", "--assets", "empty", "--predict", "AAA"]);
    assert!(error.contains("empty has no price file"), "{error}");
    scene.write("empty/DDD.CSV", "Date,Close\n1999-01-01,1\n");
    let error = scene.fails(&["init", "--assets", "empty", "--predict", "DDD"]);
    assert!(
        error.contains("warning: DDD.CSV: left out; a price file's name ends in `.csv`"),
        "{error}"
    );
    scene.write("empty/EEE.csv", "Date,Close\n1999-01-01,1\n");
    let error = scene.fails(&["init", "--assets", "empty", "--predict", "EEE"]);
    assert!(
        error.contains("a test window alone takes 7 days"),
        "{error}"
    );
    scene.write("prices/C_1.csv", "Date,Close\n1999-01-01,1\n");
    let error = scene.fails(&["init", "--assets", "prices", "--predict", "AAA"]);
    assert!(
        error.contains("no date is common to all 3 assets; `C_1` limits them most"),
        "{error}"
    );
}

#[test]
fn what_is_doubtful_is_told_also_when_init_or_check_or_a_run_fails() {
    let scene = Scene::new("doubtful");
    scene.template(|_| ());
    let (left_out, negative) = (
        "warning: DDD.CSV: left out; a price file's name ends in `.csv`",
        "warning: prices/C_1.csv line 2: the price -1 is zero or negative",
    );
    scene.write("prices/DDD.CSV", "Date,Close\n2020-01-01,1\n");
    let prices = fs::read_to_string(scene.path("prices/C_1.csv")).unwrap();
    let (_, rest) = prices.split_once('\n').unwrap();
    scene.write(
        "prices/C_1.csv",
        &format!("Date,Close\n2019-12-31,-1\n{rest}"),
    );
    let init = ["init", "--assets", "prices", "--predict"];
    let told = scene.fails(&[&init[..], &["DDD"]].concat());
    assert!(told.contains(left_out) && told.contains(negative), "{told}");
    assert!(told.contains("there are no prices of `DDD`"), "{told}");

    scene.write("prices/AAA.csv", "Date,Close\n2020-01-01,0\n2020-01-02,x\n");
    let check = ["check", "--assets", "prices", "--template", "template.json"];
    let init = [&init[..], &["AAA"]].concat();
    for command in [&init[..], &check, &RUN] {
        let told = scene.fails(command);
        assert!(told.contains(left_out) && told.contains(negative), "{told}");
        assert!(told.contains("AAA.csv line 2: the price 0"), "{told}");
        assert!(told.contains("`x` is not a price"), "{told}");
        assert_eq!(told.matches(negative).count(), 1, "{told}");
    }

    scene.write("prices/assets.csv", "nothing\n");
    let told = scene.fails(&init);
    assert!(told.contains(left_out), "{told}");
}

#[test]
fn describe_lists_the_columns_that_a_run_makes() {
    let scene = Scene::new("describe");
    scene.template(|template| {
        template["feMeta"]["baseAssets"] = json!("all");
        template["feMeta"]["autoEncoderSettings"]["enabled"] = json!(true);
        template["feMeta"]["autoEncoderSettings"]["fitEpoch"] = json!(1);
    });
    let describe = ["describe", "--template", "template.json"];
    let text =
        scene.succeeds(&[&describe[..], &["--assets", "prices", "--format", "json"]].concat());
    let described: Value = serde_json::from_str(&text).unwrap();
    let names: Vec<&str> = described
        .as_array()
        .unwrap()
        .iter()
        .map(|column| column["name"].as_str().unwrap())
        .collect();
    scene.succeeds(&run_with(&["--stage", "autoencoder"]));
    let csv = fs::read_to_string(scene.path("out/features/features.csv")).unwrap();
    let headings: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    assert_eq!(headings[1..], names);
    let arima = described.as_array().unwrap();
    let arima = arima
        .iter()
        .find(|column| column["stage"] == "arima")
        .unwrap();
    assert_eq!(arima["causality"]["kind"], "fitted");
    assert_eq!(arima["causality"]["before"], "2020-12-04");
    assert_eq!(arima["warmUpRows"], 1);

    let text = scene.succeeds(&describe);
    assert!(text.contains("<each asset of class Energy>_FT_3"), "{text}");
    assert!(text.contains("<each other asset>"), "{text}");
    assert!(text.contains("AE_<number>"), "{text}");
    assert!(text.contains("causality  fitted: learns from"), "{text}");
}

/// What init proposes for weekly or monthly prices has a point for each week or month, passes the check and runs.
#[test]
fn a_proposal_for_monthly_prices_runs_as_it_is() {
    let scene = Scene::new("monthly");
    for (day, ticker) in [(1, "AAA"), (15, "B.B"), (28, "C_1")] {
        let months = (2008..2022).flat_map(|year| (1..=12).map(move |month| (year, month)));
        let rows: String = months
            .map(|(year, month)| {
                let price = 100 + (year * 12 + month) * 7 % 31;
                format!("{year}-{month:02}-{day:02},{price}\n")
            })
            .collect();
        scene.write(
            &format!("prices/{ticker}.csv"),
            &format!("Date,Close\n{rows}"),
        );
    }
    let text = scene.succeeds(&["check", "--assets", "prices"]);
    assert!(
        text.contains("AAA: prices are monthly: set deepARMeta.freq to 1M"),
        "{text}"
    );
    scene.template(|_| ());
    let text = scene.succeeds(&["check", "--assets", "prices", "--template", "template.json"]);
    assert!(!text.contains("prices are"), "{text}");
    assert!(text.contains("4, with 3, 3, 3, 3 prices"), "{text}");
    scene.succeeds(&RUN);
    let line = fs::read_to_string(scene.path("out/train/train.json")).unwrap();
    assert!(
        line.starts_with(r#"{"start":"2008-01-31 00:00:00","target":[1"#),
        "{}",
        &line[..80]
    );
    let baselines = scene.path("out/features/baselines.json");
    let baselines: Value = serde_json::from_slice(&fs::read(baselines).unwrap()).unwrap();
    assert_eq!(baselines["season"], 12);
    // Under days, they are told what they are for.
    scene.template(|template| template["deepARMeta"]["freq"] = json!("1D"));
    let output = scene.run(&["check", "--assets", "prices", "--template", "template.json"]);
    assert!(
        told(&output).contains("set deepARMeta.freq to 1M, or import daily prices"),
        "{}",
        told(&output)
    );
}

impl Scene {
    /// Takes two of seven days from an asset, as an exchange with weekends has it.
    fn close_on_weekends(&self, ticker: &str) {
        let name = format!("prices/{ticker}.csv");
        let text = fs::read_to_string(self.path(&name)).unwrap();
        let lines = text.lines().enumerate();
        let open = lines.filter(|(line, _)| *line == 0 || line % 7 < 5);
        let open: String = open.map(|(_, line)| format!("{line}\n")).collect();
        self.write(&name, &open);
    }
}

/// An asset that loses more than 5 % of its days is named in a warning, and check and summary tell what became of each asset's days.
#[test]
fn an_asset_that_loses_much_of_its_days_is_named() {
    let scene = Scene::new("lost-days");
    scene.close_on_weekends("B.B");
    scene.template(|template| template["feMeta"]["alignment"] = json!("common"));
    let told = scene.succeeds(&["check", "--assets", "prices", "--template", "template.json"]);
    for part in [
        "AAA loses 104 of 366 days (28.4 %), predicted and union lose none; C_1 loses 104 of 366 days (28.4 %), union loses none",
        "  AAA: 262 of 366 days kept, 0 filled, 104 lost (28.4 %)\n",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains("B.B loses"), "{told}");
    let found = scene.succeeds(&[
        "check",
        "--assets",
        "prices",
        "--template",
        "template.json",
        "--format",
        "json",
    ]);
    let found: Value = serde_json::from_str(&found).unwrap();
    let lost = json!({"asset": "AAA", "days": 366, "kept": 262, "filled": 0, "lost": 104});
    assert_eq!(found["assetDays"][0], lost);
    assert_eq!(found["assetDays"][1]["lost"], 0);
    let told = scene.succeeds(&RUN);
    assert!(told.contains("AAA: 262 of 366 days kept"), "{told}");
    let summary = fs::read(scene.path("out/features/summary.json")).unwrap();
    let summary: Value = serde_json::from_slice(&summary).unwrap();
    assert_eq!(summary["assetDays"][0], lost);
}

#[test]
fn nothing_is_told_of_days_that_all_assets_share() {
    let scene = Scene::new("shared-days");
    scene.template(|_| ());
    let told = scene.succeeds(&["check", "--assets", "prices", "--template", "template.json"]);
    assert!(
        !told.contains("loses") && !told.contains("Days of assets"),
        "{told}"
    );
    scene.succeeds(&RUN);
    let summary = fs::read_to_string(scene.path("out/features/summary.json")).unwrap();
    assert!(!summary.contains("assetDays"), "{summary}");
}

/// The advice about an asset that limits the dates never says to drop the predicted one.
#[test]
fn the_predicted_asset_is_never_to_be_dropped() {
    let scene = Scene::new("never-dropped");
    scene.close_on_weekends("B.B");
    let init =
        |ticker: &str| told(&scene.run(&["init", "--assets", "prices", "--predict", ticker]));
    let warned = init("AAA");
    assert!(
        warned.contains(
            "warning: feMeta.alignment is predicted, since common would lose 104 of 366 days (28.4 %) of AAA, which is predicted"
        ),
        "{warned}"
    );
    assert!(!warned.contains("AAA loses"), "{warned}");
    let text = init("B.B");
    assert!(!text.contains("feMeta.alignment is predicted"), "{text}");
    assert!(
        text.contains("AAA loses 104 of 366 days (28.4 %), union loses none"),
        "{text}"
    );
    scene.write("prices/B.B.csv", "Date,Close\n1999-01-01,1\n");
    for told in [warned, text, init("B.B")] {
        for advice in ["do without it", "take it out"] {
            assert!(!told.contains(advice), "{told}");
        }
    }
    let error = init("B.B");
    assert!(
        error.contains("`B.B`, the predicted asset, limits them most, import more of its prices"),
        "{error}"
    );
}

/// What init proposes for other calendars passes the check and runs.
#[test]
fn a_proposal_for_another_calendar_runs_as_it_is() {
    let scene = Scene::new("proposed-alignment");
    scene.close_on_weekends("B.B");
    scene.template(|template| assert_eq!(template["feMeta"]["alignment"], "predicted"));
    let told = scene.succeeds(&RUN);
    assert!(
        told.contains("3; rows are the predicted asset's days"),
        "{told}"
    );
    assert!(
        told.contains("B.B: 262 of 262 days kept, 104 filled, 0 lost (0.0 %)"),
        "{told}"
    );
    let filled = fs::read_to_string(scene.path("out/features/filled.csv")).unwrap();
    assert_eq!(filled.lines().count(), 105);
    // What it wrote, it may replace.
    scene.succeeds(&[&RUN[..], &["--force"]].concat());
}
