"""`make bench`: our side and Python's side of each workload, one process a run,
alternated, with the CPU time and peak memory that the kernel counted for it.

Uses the standard library alone and stays small: the kernel counts the memory of
the process that starts a child as the child's own at least.
"""

import argparse
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import page

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SAMPLES = ROOT / "samples" / "sp500-20"


@dataclass
class Run:
    """One process: seconds, megabytes, and what it printed."""

    cpu: float
    wall: float
    peak: float
    printed: dict

    @property
    def work(self):
        return self.printed.get("cpu", 0.0)

    @property
    def result(self):
        return self.printed.get("result", {})


def environment(command, threads):
    """numpy's own choice of kernel. Several BLAS threads on the small matrices of
    statsmodels spin and cost Python 5 times the CPU time, so it has one, and
    several in the product of large ones."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    count = threads if "sgemm" in command else 1
    env |= {f"{name}_NUM_THREADS": str(count) for name in ("OPENBLAS", "OMP")}
    return env | {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}


class Sides:
    def __init__(self, binary, threads):
        self.binary, self.threads = binary, threads

    def ours(self, workload, *options):
        return self.run([self.binary, workload, *options])

    def python(self, workload, *options):
        return self.run([sys.executable, str(HERE / "workload.py"), workload, *options])

    def run(self, command):
        command = [str(part) for part in command] + ["--threads", str(self.threads)]
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            began = time.perf_counter()
            child = subprocess.Popen(
                command, stdout=out, stderr=err, env=environment(command, self.threads)
            )
            _, status, usage = os.wait4(child.pid, 0)
            wall = time.perf_counter() - began
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode != 0:
                err.seek(0)
                sys.exit(f"{' '.join(command)}\n{err.read().decode(errors='replace')}")
            out.seek(0)
            printed = json.loads(out.read() or b"{}")
        return Run(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024, printed)


@dataclass
class Row:
    """A workload on both sides; each figure is the median of its runs."""

    name: str
    title: str
    ours: list
    python: list
    imports: Run

    def cpu(self):
        return median(run.cpu for run in self.ours)

    def python_cpu(self):
        return median(run.cpu for run in self.python)

    def ratio(self):
        """Whole processes, interpreter and imports included."""
        return self.python_cpu() / self.cpu()

    def bare_ratio(self):
        """What both sides spent on the work itself."""
        return median(r.work for r in self.python) / median(r.work for r in self.ours)


class Bench:
    def __init__(self, sides, work, quick, rounds, epochs):
        self.sides, self.work, self.quick = sides, work, quick
        self.most_rounds, self.epochs = 1 if quick else rounds, epochs
        self.rows, self.doubts, self.notes = {}, [], {}

    def say(self, text):
        print(text, file=sys.stderr, flush=True)

    def folder(self, name):
        path = self.work / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def pair(
        self, name, title, workload, ours, python, rounds, python_workload=None, tolerance=None
    ):
        """Alternates both sides and compares their sums."""
        python_workload = python_workload or workload
        rounds = min(rounds, self.most_rounds)
        imports = self.sides.python(python_workload, "--imports-only")
        runs = ([], [])
        for round_ in range(rounds):
            self.say(f"{title} ({round_ + 1} of {rounds})")
            runs[0].append(self.sides.ours(workload, *ours))
            runs[1].append(self.sides.python(python_workload, *python))
        row = Row(name, title, *runs, imports)
        self.rows[name] = row
        if tolerance is not None:
            a, b = (side[0].result["checks"] for side in runs)
            worst = max(
                (abs(x - y) / max(abs(x), abs(y), 1e-300) for x, y in zip(a, b, strict=True)),
                default=math.inf,
            )
            if not worst <= tolerance:
                self.doubts.append(
                    f"{title}: the sums of both sides differ by {worst:.1e}, "
                    f"more than {tolerance:.0e}: {a} and {b}"
                )
        return row

    def series(self, assets):
        options = ("--data", self.data, "--days", self.days, "--assets", assets)
        return options, options

    def kernels(self):
        self.days = 600 if self.quick else 2600
        self.data = self.folder("series")
        self.sides.ours("generate", "--data", self.data, "--assets", 100, "--days", self.days)
        d = f"{self.days:,} days"
        self.pair(
            "indicators",
            f"indicators, 100 series, {d}",
            "indicators",
            *self.series(100),
            3,
            tolerance=1e-9,
        )
        for count, rounds in ((4, 3), (100, 1)):
            assets = 12 if self.quick and count == 100 else count
            # statsmodels stops at a looser fit than ours: the tolerance is its.
            self.pair(
                f"arima-{count}",
                f"ARIMA(5,1,0) fit and walk-forward, {assets} series, {d}",
                "arima",
                *self.series(assets),
                rounds,
                tolerance=1e-4,
            )
        self.pair(
            "fft-global",
            f"low-pass, whole series, 100 series, {d}",
            "fft-global",
            *self.series(100),
            3,
            tolerance=1e-9,
        )
        expanding = 4 if self.quick else 20
        self.pair(
            "fft-expanding",
            f"low-pass, expanding, {expanding} series, {d}",
            "fft-expanding",
            *self.series(expanding),
            1,
            tolerance=1e-9,
        )
        self.pair(
            "boosting",
            f"boosted trees, 109 features, {self.days // 5 * 4 - 10:,} rows",
            "boosting",
            *self.series(100),
            3,
            tolerance=1e-4,
        )

    def step(self):
        """The whole step on the sample prices, autoencoder off."""
        template = json.loads((ROOT / "samples" / "training-template.json").read_text())
        template["feMeta"]["arimaSettings"]["enabled"] = True
        template["feMeta"]["autoEncoderSettings"]["enabled"] = False
        for mode in ("expanding", "global"):
            template["feMeta"]["fftSettings"]["mode"] = mode
            if mode == "global":
                del template["feMeta"]["fftSettings"]["edge"]
            path = self.work / f"template-{mode}.json"
            path.write_text(json.dumps(template))
            common = ("--data", SAMPLES, "--template", path, "--out")
            sides = [(*common, self.folder(f"{mode}-{side}")) for side in ("ours", "python")]
            name = "step" if mode == "expanding" else "step-global"
            self.pair(
                name, f"whole step, 20 assets, low-pass {mode}", "step", *sides, 3, tolerance=0.0
            )
            files = [side[-1] / "features" / "features.csv" for side in sides]
            found = self.sides.python("compare", "--data", files[0], "--out", files[1]).result
            if not found["same"]:
                self.doubts.append(f"whole step, {mode}: {found['why']}")
            self.notes[f"{name}-differences"] = found.get("worst", {})
            if mode == "expanding":
                files = ("--features", files[0], *sides[1][2:])
                self.pair(
                    "deepar",
                    "DeepAR files of these features",
                    "deepar",
                    sides[0],
                    files,
                    3,
                    tolerance=0.0,
                )
                self.say("whole step with plots")
                self.notes["plots"] = self.sides.ours("step", *sides[0], "--plots")

    def autoencoder(self):
        if "step" not in self.rows:
            self.sides.ours(
                "step",
                "--data",
                SAMPLES,
                "--template",
                ROOT / "samples" / "training-template.json",
                "--out",
                self.folder("expanding-ours"),
            )
        prepared = self.sides.python(
            "prepare-autoencoder",
            "--data",
            self.work / "expanding-ours" / "features",
            "--template",
            ROOT / "samples" / "training-template.json",
            "--out",
            self.work,
        ).result
        columns = prepared["columns"]
        epochs = 20 if self.quick else self.epochs
        options = ("--data", self.work, "--columns", columns, "--epochs", epochs)
        what = f"{columns} inputs, {prepared['rows']:,} rows, {epochs} epochs"
        for name, title in (
            ("autoencoder", "a compiled TensorFlow loop"),
            ("autoencoder-fit", "Keras model.fit"),
        ):
            self.gemm()
            row = self.pair(
                name,
                f"autoencoder against {title}, {what}",
                "autoencoder",
                options,
                options,
                1,
                python_workload=name,
            )
            ours, theirs = (side[0].result["losses"] for side in (row.ours, row.python))
            if abs(ours[0] / theirs[0] - 1) > 2e-3:
                self.doubts.append(f"{title}: first losses differ: {ours[0]}, {theirs[0]}")
            self.notes[f"{name}-loss"] = [median(side[-50:]) for side in (ours, theirs)]
        self.gemm()

    def gemm(self):
        """Peaks of this moment, from both libraries."""
        size = 1024 if self.quick else 2048
        for name, side in (("ours", self.sides.ours), ("python", self.sides.python)):
            self.notes.setdefault(f"sgemm-{name}", []).append(side("sgemm", "--size", size).result)
        self.notes["sgemm-size"] = size

    def scaling(self):
        days = 600 if self.quick else 2600
        results = {}
        for assets in (20, 100) if self.quick else (20, 100, 1000):
            data, out = self.folder(f"walks-{assets}"), self.folder("scaling-out")
            self.sides.ours(
                "generate", "--data", data, "--assets", assets, "--days", days, "--step"
            )
            runs = []
            for round_ in range(min(self.most_rounds, 3 if assets < 1000 else 1)):
                self.say(f"scaling, {assets} assets ({round_ + 1})")
                runs.append(
                    self.sides.ours(
                        "step", "--data", data, "--template", data / "template.json", "--out", out
                    )
                )
            written = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
            results[assets] = (runs, written, days)
            shutil.rmtree(out)
            shutil.rmtree(data)
        self.notes["scaling"] = results


def table(head, rows):
    """A Markdown table whose columns line up in plain text as well."""
    cells = [head, *rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]

    def line(row):
        first, *rest = (
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return "| " + " | ".join([first, *rest]) + " |"

    rule = (
        "|"
        + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths))
        + "|"
    )
    return "\n".join([line(head), rule, *(line(row) for row in rows)])


def seconds(x):
    return f"{x:.3f}" if x < 1 else f"{x:.2f}" if x < 10 else f"{x:.1f}" if x < 100 else f"{x:,.0f}"


def times(x):
    return f"{x:.2f}" if x < 10 else f"{x:,.0f}"


def peak(runs):
    return f"{max(run.peak for run in runs):,.0f}"


def report(bench, began):
    rows = bench.rows
    parts = []
    load = " ".join(f"{x:.2f}" for x in os.getloadavg())
    parts.append(
        f"Machine: {processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}; {bench.sides.threads} threads a side. "
        f"Load average at the beginning {began}, at the end {load} "
        f"(the benchmark itself is up to {bench.sides.threads}; more is other work on the machine)."
    )
    if bench.quick:
        parts.append("**A quick run: small sizes and one round each; no figure to quote.**")
    if rows:
        parts.append("### Side by side\n")
        parts.append(
            table(
                [
                    "work",
                    "ours CPU-s",
                    "Python CPU-s",
                    "of it imports",
                    "ratio",
                    "ratio of the work alone",
                    "ours MB",
                    "Python MB",
                ],
                [
                    [
                        r.title,
                        seconds(r.cpu()),
                        seconds(r.python_cpu()),
                        seconds(r.imports.cpu),
                        times(r.ratio()),
                        times(r.bare_ratio()),
                        peak(r.ours),
                        peak(r.python),
                    ]
                    for r in rows.values()
                ],
            )
        )
    nothing = bench.notes.get("nothing")
    if nothing:
        ours, python = nothing
        parts.append(
            f"A process that does nothing: ours {ours.cpu * 1e3:.0f} ms and {ours.peak:.0f} MB "
            f"(no figure can be lower: the kernel counts the memory of the starting process), "
            f"Python's interpreter {python.cpu * 1e3:.0f} ms and {python.peak:.0f} MB."
        )
    if "arima-4" in rows:
        fits = [
            f"{row.title}: ours {seconds(median(r.result['fit'] for r in row.ours))}, "
            f"statsmodels {seconds(median(r.result['fit'] for r in row.python))}"
            for row in (rows["arima-4"], rows["arima-100"])
        ]
        parts.append(f"Of ARIMA's CPU-seconds, the fit alone: {'; '.join(fits)}.")
    if "autoencoder" in rows:
        parts += network_report(bench)
    if "scaling" in bench.notes:
        parts += scaling_report(bench.notes["scaling"])
    parts += budgets(bench)
    differences = bench.notes.get("step-differences")
    if differences:
        worst = ", ".join(f"{kind} {x:.0e}" for kind, x in differences.items())
        parts.append(
            "Both sides' `features.csv` of the whole step, largest difference relative to the "
            f"column's largest value, by kind of column: {worst}."
        )
    parts.append("### Doubts\n")
    doubts = [f"- {doubt}" for doubt in bench.doubts]
    parts.append("\n".join(doubts) or "None: the sums of both sides agree in every workload.")
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def network_report(bench):
    peaks = {}
    for side in ("ours", "python"):
        runs = [run for result in bench.notes[f"sgemm-{side}"] for run in result["runs"]]
        peaks[side] = (
            max(run["perWallSecond"] for run in runs),
            max(run["perCpuSecond"] for run in runs),
        )
    threads, size = bench.sides.threads, bench.notes["sgemm-size"]
    best = max(peak[1] for peak in peaks.values())
    kernel = bench.notes["sgemm-python"][0]["kernel"]
    lines = []
    gflop = bench.rows["autoencoder"].ours[0].result["gflop"]
    for name, label in (
        ("autoencoder", "TensorFlow, compiled loop"),
        ("autoencoder-fit", "Keras model.fit"),
    ):
        row = bench.rows[name]
        if name == "autoencoder":
            runs = [*row.ours, *bench.rows["autoencoder-fit"].ours]
            lines.append(network_line("ours", runs, gflop, best))
        lines.append(network_line(label, row.python, gflop, best))
    losses = "; ".join(
        f"{label}: ours {bench.notes[f'{name}-loss'][0]:.3e}, theirs {bench.notes[f'{name}-loss'][1]:.3e}"
        for name, label in (("autoencoder", "compiled loop"), ("autoencoder-fit", "model.fit"))
    )
    return [
        "### Autoencoder\n",
        table(["", "CPU-s", "wall s", "GFLOP/s", "GFLOP per CPU-s", "share of the peak"], lines),
        f"Training alone, without imports and reading; products only count as operations "
        f"({gflop:,.0f} GFLOP). sgemm {size} x {size}, {threads} threads, best run: "
        f"gemm (our crate) {peaks['ours'][0]:.0f} GFLOP/s, {peaks['ours'][1]:.1f} per CPU-s; "
        f"numpy ({kernel}) {peaks['python'][0]:.0f} GFLOP/s, {peaks['python'][1]:.1f} per CPU-s. "
        f"The share is that of the better peak, by CPU-seconds, so that other load on the machine "
        f"doesn't count. Median of the last 50 losses, {losses}.",
    ]


def network_line(label, runs, gflop, best):
    cpu = median(run.work for run in runs)
    wall = median(run.printed["wall"] for run in runs)
    return [
        label,
        seconds(cpu),
        seconds(wall),
        f"{gflop / wall:.1f}",
        f"{gflop / cpu:.1f}",
        f"{100 * gflop / cpu / best:.0f} %",
    ]


def scaling_report(results):
    lines = []
    for assets, (runs, written, _) in results.items():
        cpu, columns = median(run.cpu for run in runs), runs[0].result["columns"]
        lines.append(
            [
                f"{assets:,}",
                f"{columns:,}",
                seconds(cpu),
                seconds(median(r.wall for r in runs)),
                f"{1e3 * cpu / columns:.2f}",
                peak(runs),
                f"{written / 1e6:,.0f}",
            ]
        )
    days = next(iter(results.values()))[2]
    return [
        "### Scaling, our side\n",
        table(
            ["assets", "columns", "CPU-s", "wall s", "CPU-ms a column", "peak MB", "written MB"],
            lines,
        ),
        f"Generated prices, {days:,} days; indicators and low-pass (3, 6, 9, 100, expanding) on all, "
        "ARIMA on up to 100, importance on, daily calendar, one test window.",
    ]


def budgets(bench):
    lines = []

    def judge(what, found, limit, met):
        lines.append([what, found, limit, "met" if met else "**missed**"])

    rows = bench.rows
    if "step" in rows:
        for name in ("step", "step-global"):
            row = rows[name]
            ratio = row.bare_ratio()
            judge(
                f"{row.title}: CPU against Python without imports",
                f"{ratio:.0f} times less",
                "30",
                ratio >= 30,
            )
        memory = max(run.peak for run in rows["step"].ours)
        judge("whole step: peak memory", f"{memory:.0f} MB", "100 MB", memory <= 100)
        plots = bench.notes["plots"]
        lines.append(
            [
                f"whole step with {plots.result['plots']} plots",
                f"{seconds(plots.cpu)} CPU-s, {plots.peak:.0f} MB",
                "reported",
                "",
            ]
        )
    if "autoencoder" in rows:
        for name in ("autoencoder", "autoencoder-fit"):
            row = rows[name]
            share = 1 / row.bare_ratio()
            wall = row.ours[0].printed["wall"] / row.python[0].printed["wall"]
            judge(
                f"{row.title.split(',')[0]}: CPU (wall)",
                f"{share:.2f} ({wall:.2f}) of its time",
                "0.6",
                share <= 0.6,
            )
    scaling = bench.notes.get("scaling", {})
    if 1000 in scaling:
        cost = {}
        for assets in (100, 1000):
            runs = scaling[assets][0]
            cost[assets] = median(r.cpu for r in runs) / runs[0].result["columns"]
        runs = scaling[1000][0]
        cpu, memory = median(r.cpu for r in runs), max(r.peak for r in runs)
        growth = cost[1000] / cost[100]
        judge("1,000 assets: CPU", f"{cpu:.1f} CPU-s", "40 CPU-s", cpu <= 40)
        judge("1,000 assets: peak memory", f"{memory:,.0f} MB", "1,024 MB", memory <= 1024)
        judge(
            "1,000 assets: time a column against 100 assets", f"{growth:.2f}", "1.2", growth <= 1.2
        )
    if not lines or bench.quick:
        return []
    return ["### Budgets\n", table(["what", "found", "limit", ""], lines)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, required=True, help="our side")
    parser.add_argument("--work", type=Path, required=True, help="a folder for data and outputs")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="small sizes, one round")
    parser.add_argument("--rounds", type=int, default=3, help="at most; long workloads have one")
    parser.add_argument("--epochs", type=int, default=460, help="of the autoencoder")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to run")
    parser.add_argument("--write", type=Path, help="put the figures between this file's markers")
    args = parser.parse_args()
    began = " ".join(f"{x:.2f}" for x in os.getloadavg())
    sides = Sides(args.binary, args.threads)
    bench = Bench(sides, args.work, args.quick, args.rounds, args.epochs)
    bench.notes["nothing"] = (bench.sides.ours("nothing"), bench.sides.python("nothing"))
    for part in args.only:
        getattr(bench, part)()
    text = report(bench, began)
    print(text)
    if args.write:
        page.put(args.write, text)
    if bench.doubts:
        sys.exit("the sides do not agree: see the doubts")


PARTS = ("kernels", "step", "autoencoder", "scaling")

if __name__ == "__main__":
    main()
