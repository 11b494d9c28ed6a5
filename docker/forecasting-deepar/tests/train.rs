//! Trainings by the program itself, from the job's files to the artifact.
#![expect(clippy::unwrap_used, reason = "a broken fixture is a failed test")]

#[expect(dead_code, reason = "each file of tests uses a part of it")]
mod program;

use std::fs;
use std::io::Write;
use std::process::Stdio;

use flate2::Compression;
use flate2::write::GzEncoder;
use pipewright_forecast::hyperparameters::Quantile;
use pipewright_forecast::metrics::DEFINITIONS;
use pipewright_forecast::score::{Score, TEST_SCORES_FILE, TestScores};
use program::{ARTIFACT, Root, Running, hyperparameters, text, waves};
use regex_lite::Regex;
use rustix::process::Signal;

/// The log with what differs from run to run, and every computed number, replaced.
fn normalised(root: &Root, log: &str) -> Vec<String> {
    let replaced = [
        (r"^\[\d\d/\d\d/\d{4} \d\d:\d\d:\d\d (\w+) \d+\]", "[$1]"),
        (r#"("(StartTime|EndTime)": )\d+\.\d+"#, "${1}T"),
        (
            r#""sum": (\S+), "count": 1, "min": \d+\.\S+, "max": \d+\.[0-9e-]+"#,
            r#""sum": T, "count": 1, "min": T, "max": T"#,
        ),
        (r"(\bloss|_loss)=-?\d+\.\d{6}$", "$1=F6"),
        (r"<loss>=-?\d+\.\d+(e-?\d+)?$", "<loss>=F"),
        (r"Speed: \d+\.\d\d ", "Speed: F2 "),
        (r"throughput=\d+\.\d+(e\d+)?", "throughput=F"),
        (
            r"(#test_score \(.*|abs\(target)\): \d+\.\d+(e-?\d+)?$",
            "$1): F",
        ),
        (
            r"(min/mean/max target): \d+\.\d+/\d+\.\d+/\d+\.\d+$",
            "$1: F/F/F",
        ),
        (r"Final loss: -?\d+\.\d+", "Final loss: F"),
        (r"total of \d+ examples", "total of N examples"),
        (r"covers \d+\.\d %", "covers F1 %"),
        (
            r"the seed is (\d+), drawn; the hyperparameter _seed = \d+ ",
            "the seed is SEED, drawn; the hyperparameter _seed = SEED ",
        ),
        (
            r"^(\[INFO\] \[pipewright\] forecasting-deepar) \d+\.\d+\.\d+, \d+ threads?$",
            "$1",
        ),
    ]
    .map(|(pattern, with)| (Regex::new(pattern).unwrap(), with));
    let place = root.as_ref().display().to_string();
    let normalise = |line: &str| {
        let mut line = line.replace(&place, "/opt/ml");
        for (pattern, with) in &replaced {
            line = pattern.replace_all(&line, *with).into_owned();
        }
        line
    };
    log.lines().map(normalise).collect()
}

/// The values of a metric in a log, as SageMaker finds them.
fn metric(log: &str, name: &str) -> Vec<f64> {
    let definition = DEFINITIONS.iter().find(|one| one.name == name).unwrap();
    let regex = Regex::new(definition.regex).unwrap();
    let found = log.lines().filter_map(|line| regex.captures(line));
    found.map(|groups| groups[1].parse().unwrap()).collect()
}

/// The log of a training has the lines of DeepAR's container in their order, and this program's own marked.
#[test]
fn the_log_is_that_of_the_container() {
    let changes = [
        ("epochs", "1"),
        ("early_stopping_patience", "5"),
        ("_seed", ""),
    ];
    let root = Root::job(&changes);
    let mut lines = normalised(&root, &root.trained());
    // How many batches an epoch has is chance: about ten.
    lines.retain(|line| {
        !["Batch[10]", "batch=10", "Batch [10]"]
            .iter()
            .any(|text| line.contains(text))
    });
    assert_eq!(lines.join("\n") + "\n", include_str!("training.log"));
}

/// The metrics that SageMaker takes off the log are those of the artifact.
#[test]
fn the_metrics_of_the_log_are_those_of_the_artifact() {
    let root = Root::job(&[("epochs", "4")]);
    let log = root.trained();
    let model = root.model();
    let summary = model.summary();
    let epochs = metric(&log, "train:loss:epoch");
    assert_eq!((epochs.len(), summary.epochs), (4, 4));
    assert_eq!(metric(&log, "train:final_loss"), [summary.loss]);
    assert_eq!(epochs[summary.best_epoch], summary.loss);
    let lowest = epochs.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(lowest, summary.loss);
    assert_eq!(metric(&log, "validation:loss").len(), 4);
    assert_eq!(metric(&log, "train:progress"), [25.0, 50.0, 75.0, 100.0]);
    let batches = metric(&log, "train:loss").len();
    assert!((8..=12).contains(&batches), "{batches}");
    for name in ["test:RMSE", "test:mean_wQuantileLoss"] {
        let [value] = metric(&log, name)[..] else {
            panic!("{name}: {log}");
        };
        let score = log
            .lines()
            .find(|line| line.contains(&format!("#test_score (algo-1, {}):", &name[5..])))
            .unwrap();
        assert!(score.ends_with(&format!(": {value:?}")), "{score}");
    }
    let examples = Regex::new(r"processed a total of (\d+) examples").unwrap();
    let windows = examples
        .captures_iter(&log)
        .map(|groups| groups[1].parse::<u64>().unwrap());
    assert_eq!(windows.sum::<u64>(), summary.windows);
}

/// Beside the model lie the scores of each record, which make up those of the log.
#[test]
fn the_scores_of_the_records_make_up_those_of_the_log() {
    let root = Root::job(&[]);
    let log = root.trained();
    let path = root.path("model").join(TEST_SCORES_FILE);
    let scores: TestScores = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let texts = scores.quantiles.iter();
    let quantiles: Vec<_> = texts.map(|text| Quantile::parse(text).unwrap()).collect();
    let mut all = Score::new(&quantiles);
    assert!(scores.records.len() > 1);
    assert!(scores.records.iter().all(|sums| all.add_sums(sums)));
    let made_up = all.metrics();
    for (name, made_up) in [
        ("test:RMSE", made_up.rmse),
        (
            "test:mean_wQuantileLoss",
            made_up.mean_weighted_quantile_loss,
        ),
    ] {
        let told = metric(&log, name)[0];
        assert!(
            (made_up / told - 1.0).abs() < 1e-12,
            "{name}: {made_up}, {told}"
        );
    }

    // Of a training without a test channel there are none.
    fs::remove_dir_all(root.path("input/data/test")).unwrap();
    root.trained();
    assert!(!path.exists());
}

/// The same seed trains the same bytes, for any number of threads.
#[test]
fn the_same_seed_trains_the_same_bytes() {
    let root = Root::job(&[("_seed", "")]);
    let mut command = root.command(&["train"]);
    let output = command.env("PIPEWRIGHT_THREADS", "1").output().unwrap();
    let (first, log) = (root.artifact(), text(&output));
    assert!(log.contains(", 1 thread\n"), "{log}");
    let seed = Regex::new("the seed is ([0-9]+), drawn").unwrap();
    let seed = seed.captures(&log).unwrap()[1].to_owned();

    let again = hyperparameters(&[("_seed", &seed)]);
    root.write("input/config/hyperparameters.json", again);
    let output = root
        .command(&["train"])
        .env("PIPEWRIGHT_THREADS", "3")
        .output()
        .unwrap();
    let log = text(&output);
    assert!(log.contains(&format!("random_seed is {seed}\n")), "{log}");
    assert!(log.contains(", 3 threads\n"), "{log}");
    assert_eq!(root.artifact(), first);

    root.write(
        "input/config/hyperparameters.json",
        hyperparameters(&[("_seed", "")]),
    );
    let mut command = root.command(&["train"]);
    let output = command.env("PIPEWRIGHT_SEED", &seed).output().unwrap();
    let log = text(&output);
    assert!(
        log.contains(&format!("{seed}, of PIPEWRIGHT_SEED;")),
        "{log}"
    );
    assert_eq!(root.artifact(), first);

    let log = root.trained();
    assert!(!log.contains(&seed), "another training drew the same seed");
    assert_ne!(root.artifact(), first);
}

/// A training that is stopped leaves the best model so far, and goes on from its checkpoint to the bytes that it would have reached.
#[test]
fn a_stopped_training_resumes_to_the_same_bytes() {
    let whole = Root::job(&[("epochs", "12")]);
    whole.trained();
    for signal in [Signal::TERM, Signal::INT, Signal::KILL] {
        let root = Root::job(&[("epochs", "12")]);
        fs::create_dir(root.path("checkpoints")).unwrap();
        let mut running = Running::start(&mut root.command(&["train"]));
        running.until("Epoch[2] Batch[0]");
        running.signal(signal);
        let status = running.end();
        let stopped = root.model();
        let lowest = metric(&running.log, "train:loss:epoch")
            .into_iter()
            .fold(f64::INFINITY, f64::min);
        if signal == Signal::KILL {
            assert_eq!(status, None);
        } else {
            assert_eq!(status, Some(0), "{}", running.log);
            assert!(
                running.log.contains("[pipewright] stopped by a signal"),
                "{}",
                running.log
            );
            assert!(!running.log.contains("#test_score"), "{}", running.log);
            assert_eq!(metric(&running.log, "train:final_loss"), [lowest]);
        }
        assert_eq!(stopped.summary().loss, lowest);
        assert!(stopped.summary().epochs < 12);

        // As on a new machine, to which SageMaker brings the checkpoints only.
        fs::remove_dir_all(root.path("model")).unwrap();
        let output = root.train(&["--resume"]);
        let log = text(&output);
        assert!(output.status.success(), "{log}");
        assert!(log.contains("[pipewright] resuming from"), "{log}");
        assert_eq!(root.artifact(), whole.artifact());
    }
}

/// A finished training goes on if it is given more epochs; given no more, it is only scored again.
#[test]
fn a_finished_training_goes_on_for_more_epochs() {
    let whole = Root::job(&[("epochs", "4")]);
    whole.trained();
    let root = Root::job(&[("epochs", "3"), ("_seed", "")]);
    fs::create_dir(root.path("checkpoints")).unwrap();
    root.trained();
    let first = root.artifact();
    let log = root.trained();
    assert!(!log.contains("Batch[0]"), "{log}");
    assert!(
        log.contains("of the checkpoint; the hyperparameter _seed"),
        "{log}"
    );
    assert!(log.contains("#test_score (algo-1, RMSE)"), "{log}");
    assert_eq!(root.artifact(), first);
    root.write(
        "input/config/hyperparameters.json",
        hyperparameters(&[("epochs", "4"), ("_seed", "")]),
    );
    let log = root.trained();
    assert_eq!(metric(&log, "train:loss:epoch").len(), 1);
    assert_eq!(metric(&log, "train:progress"), [100.0]);
}

/// A training that is stopped before its first epoch is finished says that there is no model, and fails.
#[test]
fn a_training_that_is_stopped_at_once_has_no_model() {
    let root = Root::job(&[("mini_batch_size", "20000")]);
    let mut running = Running::start(&mut root.command(&["train"]));
    running.until("Number of GPUs being used");
    running.signal(Signal::TERM);
    assert_eq!(running.end(), Some(143), "{}", running.log);
    assert!(!root.path(ARTIFACT).exists());
    assert_eq!(
        root.read("output/failure"),
        "the training was stopped before its first epoch was finished: there is no model (caused by Stopped)"
    );
}

/// Training ends after as many epochs without a lower loss as early_stopping_patience says.
#[test]
fn a_training_without_progress_stops_early() {
    let changes = [
        ("epochs", "60"),
        ("early_stopping_patience", "1"),
        ("learning_rate", "0.5"),
    ];
    let root = Root::job(&changes);
    let log = root.trained();
    let epochs = metric(&log, "train:loss:epoch").len();
    assert!(epochs < 60, "{log}");
    let end = log.split("loss did not improve\n").last().unwrap();
    assert!(end.contains("] stopping training now\n"), "{log}");
    assert!(
        end.contains("] #progress_metric: host=algo-1, completed 100 % of epochs\n"),
        "{log}"
    );
    assert_eq!(root.model().summary().best_epoch, epochs - 2);
}

/// Channels are read recursively, by file name or content type, compressed or not, without hidden files.
#[test]
fn channels_are_read_by_the_rules_of_the_contract() {
    let plain = Root::job(&[]);
    plain.trained();
    let root = Root::job(&[]);
    fs::remove_dir_all(root.path("input/data")).unwrap();
    let all = waves(8, 60);
    let (first, second) = all.split_at(all.match_indices('\n').nth(3).unwrap().0 + 1);
    let mut compressed = GzEncoder::new(Vec::new(), Compression::default());
    compressed.write_all(second.as_bytes()).unwrap();
    root.write("input/data/train/a/part-0", first);
    root.write(
        "input/data/train/b/c/part-1.json.gz",
        compressed.finish().unwrap(),
    );
    root.write("input/data/train/_SUCCESS", "");
    root.write("input/data/train/.part-0.crc", "x");
    root.write("input/data/test/test.json", waves(8, 64));
    root.write("input/data/extra/x.csv", "x");
    root.write(
        "input/config/inputdataconfig.json",
        r#"{"train": {"ContentType": "json", "TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}, "test": {"TrainingInputMode": "FastFile"}, "extra": {}}"#,
    );
    root.write(
        "input/config/resourceconfig.json",
        r#"{"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0"}"#,
    );
    let log = root.trained();
    assert!(log.contains("WARNING"), "{log}");
    assert!(log.contains("the channel `extra` is not used"), "{log}");
    assert_eq!(root.artifact(), plain.artifact());
}

/// Of several hosts one trains.
#[test]
fn another_host_than_the_first_has_nothing_to_do() {
    let root = Root::job(&[]);
    let config =
        |this: &str| format!(r#"{{"current_host": "{this}", "hosts": ["algo-2", "algo-1"]}}"#);
    root.write("input/config/resourceconfig.json", config("algo-2"));
    let log = root.trained();
    assert!(
        log.contains("host algo-2 has nothing to do: algo-1 trains alone"),
        "{log}"
    );
    assert!(!root.path("model").exists());
    root.write("input/config/resourceconfig.json", config("algo-1"));
    let log = root.trained();
    assert!(log.contains("this host trains alone"), "{log}");
}

/// Without a test channel there is a model and no score.
#[test]
fn a_job_without_a_test_channel_is_not_scored() {
    let root = Root::job(&[("cardinality", "ignore"), ("num_dynamic_feat", "ignore")]);
    fs::remove_dir_all(root.path("input/data/test")).unwrap();
    let log = root.trained();
    assert!(log.contains("there is no test channel"), "{log}");
    for absent in [
        "Evaluating",
        "#test_score",
        "validation loss",
        "Test set",
        "[cardinality=auto]",
    ] {
        assert!(!log.contains(absent), "{absent}\n{log}");
    }
    assert_eq!(
        metric(&log, "train:final_loss"),
        [root.model().summary().loss]
    );
}

/// Why a training failed stands in output/failure, with the kind of the cause, and the exit status says who can mend it.
#[test]
fn a_failure_is_told_where_sagemaker_looks_for_it() {
    let with = |change: &dyn Fn(&Root)| {
        let root = Root::job(&[]);
        change(&root);
        root.failed()
    };
    let (status, failure) = with(&|root| {
        let hyperparameters =
            r#"{"time_freq": "1X", "epochs": "0", "context_length": "6", "num_cell": "4"}"#;
        root.write("input/config/hyperparameters.json", hyperparameters);
    });
    assert_eq!(status, 2);
    assert!(failure.starts_with("4 faults:\n"), "{failure}");
    for expected in [
        "`num_cell` is not a hyperparameter; the nearest is `num_cells`",
        "`time_freq` is `1X`",
        "`epochs` is `0`",
        "`prediction_length`, the number of points that are forecast, is missing",
    ] {
        assert!(failure.contains(expected), "{failure}");
    }
    assert!(
        failure.ends_with(" (caused by ValidationError)"),
        "{failure}"
    );

    let train = "input/data/train/train.json";
    for (status, expected, change) in [
        (
            2,
            "the train channel: train/train.json, line 2: target[1] is `\"x\"`; it must be a number, or null or \"NaN\" where it is missing (caused by DataError)",
            Box::new(|root: &Root| {
                root.write(train, "{\"start\": \"2020-01-01\", \"target\": [1]}\n{\"start\": \"2020-01-01\", \"target\": [1, \"x\"]}\n")
            }) as Box<dyn Fn(&Root)>,
        ),
        (
            2,
            "the train channel: the training series consist of only zeros (caused by DataError)",
            Box::new(|root| {
                root.write(
                    train,
                    format!(
                        "{{\"start\": \"2020-01-01\", \"target\": [{}]}}\n",
                        vec!["0"; 400].join(",")
                    ),
                )
            }),
        ),
        (
            2,
            "the train channel: the training series have 50 points in all; at least 300 are needed (series shorter than prediction_length don't count) (caused by DataError)",
            Box::new(|root| root.write(train, waves(1, 50))),
        ),
        (
            2,
            "the train channel: the format of notes.txt is unknown; its name must end in .json, .json.gz or .parquet, or the channel's ContentType must be json, json.gz or parquet (caused by DataError)",
            Box::new(|root| root.write("input/data/train/notes.txt", "x")),
        ),
        (
            2,
            "the test channel: none of the 1 series is prediction_length (4) points long; shorter ones are ignored (caused by DataError)",
            Box::new(|root| root.write("input/data/test/test.json", waves(1, 3))),
        ),
        (
            2,
            "the job has no channel `train`; is it `training`?; InputDataConfig must have one of that name (caused by ValidationError)",
            Box::new(|root| root.write("input/config/inputdataconfig.json", r#"{"training": {}}"#)),
        ),
        (
            2,
            "num_eval_samples × prediction_length is 100000 × 3000, which is too much memory for one forecast; it must be at most 268435456: choose a smaller num_eval_samples (caused by ValidationError)",
            Box::new(|root| {
                root.write(
                    "input/config/hyperparameters.json",
                    hyperparameters(&[
                        ("num_eval_samples", "100000"),
                        ("prediction_length", "3000"),
                    ]),
                )
            }),
        ),
        (
            3,
            "config/resourceconfig.json must have current_host (a string) and hosts (a list of strings, not empty) (caused by ConfigurationError)",
            Box::new(|root| root.write("input/config/resourceconfig.json", "{}")),
        ),
    ] {
        assert_eq!(with(&*change), (status, expected.to_owned()));
    }
    let (status, failure) =
        with(&|root| fs::remove_file(root.path("input/config/hyperparameters.json")).unwrap());
    assert_eq!(status, 3);
    assert!(
        failure.contains("hyperparameters.json cannot be read: No such file"),
        "{failure}"
    );
    let (status, failure) = with(&|root| root.write("model", "a file where the folder should be"));
    assert_eq!(status, 3);
    assert!(
        failure.contains("model.pipewright-deepar cannot be written"),
        "{failure}"
    );
}

/// A checkpoint that is of another training, damaged or missing is refused by its path.
#[test]
fn a_checkpoint_that_cannot_be_used_is_refused() {
    let root = Root::job(&[]);
    let output = root.train(&["--resume"]);
    assert_eq!(output.status.code(), Some(2));
    let checkpoint = root.path("checkpoints/checkpoint.pipewright-deepar");
    let place = checkpoint.display();
    assert_eq!(
        root.read("output/failure"),
        format!(
            "there is no checkpoint to resume from: {place} does not exist; leave --resume out to start anew (caused by CheckpointError)"
        )
    );
    fs::create_dir(root.path("checkpoints")).unwrap();
    root.trained();
    root.write(
        "input/config/hyperparameters.json",
        hyperparameters(&[("num_cells", "7"), ("_seed", "8")]),
    );
    assert_eq!(
        root.failed(),
        (
            2,
            format!(
                "{place}: the checkpoint is of another training, which has another num_cells, _seed; remove it to start anew (caused by CheckpointError)"
            )
        )
    );
    let mut bytes = fs::read(&checkpoint).unwrap();
    bytes[100] ^= 1;
    fs::write(&checkpoint, bytes).unwrap();
    let (status, failure) = root.failed();
    assert_eq!(status, 2);
    assert!(
        failure.contains("the file is damaged: its checksum does not match"),
        "{failure}"
    );
    assert!(
        failure.ends_with("remove it to start anew (caused by CheckpointError)"),
        "{failure}"
    );
}

/// A log that is not read any more stops no training.
#[test]
fn a_closed_log_stops_no_training() {
    let root = Root::job(&[]);
    let mut command = root.command(&["train"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{error}");
    assert!(
        error.contains("standard output did not take the whole log: Broken pipe"),
        "{error}"
    );
    assert_eq!(root.model().summary().epochs, 3);
}

/// A failure of an earlier job under the same root does not outlive a good one.
#[test]
fn a_good_training_removes_an_old_failure() {
    let root = Root::job(&[]);
    root.write("output/failure", "old");
    root.trained();
}
