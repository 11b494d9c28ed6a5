//! The program, run as SageMaker runs it: folders, arguments, environment, HTTP.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use pipewright_forecast::deepar::Model;
use rustix::process::{Pid, Signal, kill_process};

/// The longest that anything is waited for; the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A root such as /opt/ml, removed when dropped.
pub(crate) struct Root(PathBuf);

impl Root {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("forecasting-deepar-{}-{number}", std::process::id());
        let root = std::env::temp_dir().join(name);
        fs::create_dir_all(&root).unwrap();
        Self(root)
    }

    /// A job of the hyperparameters that [`hyperparameters`] gives for `changes`, with
    /// records of [`waves`] in `train` and, whole, in `test`.
    pub(crate) fn job(changes: &[(&str, &str)]) -> Self {
        let root = Self::new();
        root.write(
            "input/config/hyperparameters.json",
            hyperparameters(changes),
        );
        root.write("input/data/train/train.json", waves(8, 60));
        root.write("input/data/test/test.json", waves(8, 64));
        root
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    pub(crate) fn artifact(&self) -> Vec<u8> {
        fs::read(self.path(ARTIFACT)).unwrap()
    }

    pub(crate) fn model(&self) -> Model {
        Model::read(&mut self.artifact().as_slice()).unwrap()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_forecasting-deepar"));
        command
            .args(arguments)
            .env_clear()
            .env("PIPEWRIGHT_ML_ROOT", &self.0)
            .env("RUST_BACKTRACE", "0");
        command
    }

    /// Trains until the end.
    pub(crate) fn train(&self, arguments: &[&str]) -> Output {
        let output = self.command(&["train"]).args(arguments).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        output
    }

    /// Trains until the end, which must be a good one, and gives the log.
    pub(crate) fn trained(&self) -> String {
        let output = self.train(&[]);
        let log = text(&output);
        assert!(output.status.success(), "{log}");
        assert!(!self.path("output/failure").exists());
        log
    }

    /// Trains, which must fail, and gives the exit status and the failure's text.
    pub(crate) fn failed(&self) -> (i32, String) {
        let output = self.train(&[]);
        let failure = self.read("output/failure");
        let log = text(&output);
        let first = failure.lines().next().unwrap();
        assert!(log.contains(first), "{log}\n{failure}");
        (output.status.code().unwrap(), failure)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

impl AsRef<Path> for Root {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

pub(crate) const ARTIFACT: &str = "model/model.pipewright-deepar";

/// The hyperparameters of a small training, with changes: an empty text takes one
/// out.
pub(crate) fn hyperparameters(changes: &[(&str, &str)]) -> String {
    let mut texts = BTreeMap::from([
        ("time_freq", "D"),
        ("epochs", "3"),
        ("context_length", "6"),
        ("prediction_length", "4"),
        ("mini_batch_size", "16"),
        ("num_cells", "6"),
        ("num_eval_samples", "20"),
        ("_seed", "7"),
    ]);
    for (name, text) in changes {
        if text.is_empty() {
            texts.remove(name);
        } else {
            texts.insert(name, text);
        }
    }
    serde_json::to_string(&texts).unwrap()
}

/// Records of waves, some of whose points are missing.
pub(crate) fn waves(series: u32, points: u32) -> String {
    let mut lines = String::new();
    for number in 0..series {
        let point = |t: u32| match t % 13 {
            5 => "null".to_owned(),
            _ => format!("{:.3}", 20.0 + 5.0 * f64::from(t + number).sin()),
        };
        let target: Vec<String> = (0..points).map(point).collect();
        let start = format!("2020-01-{:02} 00:00:00", 1 + number % 28);
        let target = target.join(",");
        writeln!(lines, "{{\"start\": \"{start}\", \"target\": [{target}]}}").unwrap();
    }
    lines
}

pub(crate) fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A process that runs, killed when dropped.
pub(crate) struct Running {
    child: Child,
    /// Its lines, read all the time so that it never waits for room in the pipe.
    lines: Receiver<String>,
    /// What of them has been looked at.
    pub(crate) log: String,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            while output.read_line(&mut line).unwrap() > 0 {
                if sender.send(std::mem::take(&mut line)).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            lines,
            log: String::new(),
        }
    }

    /// Reads the log until a line has a text, and gives that line.
    pub(crate) fn until(&mut self, text: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("no `{text}` in\n{}", self.log));
            self.log.push_str(&line);
            if line.contains(text) {
                return line;
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    /// Waits for the end and gives the exit status, `None` after a signal.
    pub(crate) fn end(&mut self) -> Option<i32> {
        self.log.extend(self.lines.iter());
        self.child.wait().unwrap().code()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server of a root's model.
pub(crate) struct Server {
    pub(crate) process: Running,
    pub(crate) port: u16,
}

impl Server {
    pub(crate) fn start(root: &Root, environment: &[(&str, &str)]) -> Self {
        let mut command = root.command(&["serve", "--host", "127.0.0.1", "--port", "0"]);
        let mut process = Running::start(command.envs(environment.iter().copied()));
        let line = process.until("listening on http://127.0.0.1:");
        let port = line.trim().rsplit(':').next().unwrap().parse().unwrap();
        Self { process, port }
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::to(self.port)
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.connect().send("GET", path, &[], b"")
    }

    pub(crate) fn json(&self, body: &str) -> Response {
        self.connect().json(body.as_bytes())
    }
}

/// A connection that is kept.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn value(&self) -> serde_json::Value {
        assert_eq!(self.status, 200, "{}", self.body);
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Connection {
    pub(crate) fn to(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream: BufReader::new(stream),
            host: format!("127.0.0.1:{port}"),
        }
    }

    pub(crate) fn json(&mut self, body: &[u8]) -> Response {
        let headers = [("Content-Type", "application/json")];
        self.send("POST", "/invocations", &headers, body)
    }

    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        self.begin(method, path, headers, body);
        self.receive()
    }

    /// Sends a request and does not wait for its answer.
    pub(crate) fn begin(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            write!(head, "Host: {}\r\n", self.host).unwrap();
        }
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        write!(head, "Content-Length: {}\r\n\r\n", body.len()).unwrap();
        let stream = self.stream.get_mut();
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    }

    pub(crate) fn receive(&mut self) -> Response {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).unwrap();
            assert!(line.ends_with('\n'), "the connection ended: {lines:?}");
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let status = lines[0].split(' ').nth(1).unwrap().parse().unwrap();
        let headers: BTreeMap<String, String> = lines[1..]
            .iter()
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length = headers
            .get("content-length")
            .map_or(0, |n| n.parse().unwrap());
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        Response {
            status,
            headers,
            body: String::from_utf8(body).unwrap(),
        }
    }
}

/// Waits until something holds.
pub(crate) fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what} never came");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The most memory that a process has had, in bytes.
pub(crate) fn peak_memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    let kilobytes = line.split_whitespace().nth(1).unwrap();
    kilobytes.parse::<u64>().unwrap() * 1024
}
