"""`make run` and `make local` as a person sees them."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from harness import BINARIES, SAMPLE_TEMPLATE, SAMPLES, wait_for
from ops import OpsError
from ops.local import outputs, watchdog
from ops.local.run import read_template
from ops.local.system import PREFERRED_PORTS

RUN = [sys.executable, "-m", "ops.local"]


def start(*arguments):
    """Start it as a shell does: leader of a process group of its own."""
    return subprocess.Popen(
        [*RUN, *map(str, arguments), "--binaries", str(BINARIES)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )


@contextlib.contextmanager
def running(*arguments, until):
    """The run, once it printed a line with `until`; gives it, its lines, its processes."""
    process = start(*arguments)
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if until in line:
                break
        assert any(until in line for line in lines), "".join(lines)
        time.sleep(0.2)
        yield process, lines, watchdog.members({process.pid})
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def living(processes):
    """Those of the processes that still run."""
    return {pid for pid, *_ in watchdog.processes()} & processes


def test_run_ends_well_only_with_a_record_that_says_succeeded(tmp_path):
    out = tmp_path / "out"
    process = start("run", "--out", out, "--epochs", 2, "--seed", 7)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    for name in (
        *("features/features.csv", "train/train.json", "test/test.json", "plots/assets-energy.png"),
        *("model/model.pipewright-deepar", "logs/AssetPrediction-Training-Step.log"),
        "logs/Feature-Engineering-Step.log",
        *("definition.json", "record.json", "forecast.csv", "forecast.png"),
    ):
        assert (out / name).stat().st_size > 0, name
        assert name in output
    # An epoch is a line, and at the end there is a table of the metrics.
    assert len(re.findall(r"\| epoch \d+ .*train:progress (50|100)  ", output, re.M)) == 2
    log = (out / "logs" / "AssetPrediction-Training-Step.log").read_text()
    assert "the seed is 7, of PIPEWRIGHT_SEED" in log
    rmse = float(re.findall(r"test RMSE <loss>=(\S+)", log)[-1])
    (told,) = re.findall(r"^ +test:RMSE +(\S+) ", output, re.M)
    assert float(told) == pytest.approx(rmse, rel=1e-6)
    # A row for each of the days to come that has prices, from the one after the last price on.
    header, *rows = (out / "forecast.csv").read_text().splitlines()
    assert header == "asset,date,mean,0.1,0.5,0.9,actual"
    assert [row.split(",")[1] for row in rows] == [
        *("2022-12-29", "2022-12-30", "2023-01-02", "2023-01-03", "2023-01-04")
    ]
    assert (out / "forecast.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((out / "record.json").read_text())["status"] == "Succeeded"


def test_run_with_bad_prices_fails_and_says_why(tmp_path):
    for source in (SAMPLES / "sp500-20").glob("*.csv"):
        (tmp_path / source.name).write_bytes(source.read_bytes())
    bad = tmp_path / f"{SAMPLE_TEMPLATE['predictedAsset']}.csv"
    bad.write_text("Date,Close\n2020-01-02,abc\n")
    process = start("run", "--assets", tmp_path, "--out", tmp_path / "out")
    output, _ = process.communicate(timeout=240)
    assert process.returncode not in (0, 101), output
    assert bad.name in output
    assert "abc" in output
    assert "nothing was started" in output


@pytest.mark.parametrize("action", ["run", "local"])
def test_nothing_is_started_with_files_in_another_encoding(action, tmp_path):
    for source in (SAMPLES / "sp500-20").glob("*.csv"):
        (tmp_path / source.name).write_bytes(source.read_bytes())
    prices = (tmp_path / "XOM.csv").read_text()
    (tmp_path / "XOM.csv").write_text(prices, encoding="utf-16")
    output, _ = (process := start(action, "--assets", tmp_path)).communicate(timeout=60)
    assert process.returncode == 1, output
    assert "XOM.csv, asset `XOM`: the file is in UTF-16" in output
    for words in ("Traceback", "Starting", "Logs"):
        assert words not in output


def test_a_template_that_is_not_in_utf_8_is_refused_by_name(tmp_path):
    (tmp_path / "template.json").write_bytes(b'{"Id": "Caf\xe9"}')
    with pytest.raises(OpsError, match="template.json is not in UTF-8"):
        read_template(tmp_path / "template.json")


def test_a_run_with_prices_alone_proposes_a_template_and_says_so(tmp_path):
    """Prices without a training template get a proposed one, which predicts the asset with the most prices."""
    for number, ticker in enumerate(("KO", "PG")):
        rows = (SAMPLES / "sp500-20" / f"{ticker}.csv").read_text().splitlines()
        # The second has more.
        rows = rows[:1] + rows[-300 - 10 * number :]
        (tmp_path / f"{ticker}.csv").write_text("\n".join(rows) + "\n")
    out = tmp_path / "out"
    process = start("run", "--assets", tmp_path, "--out", out, "--epochs", 1, "--seed", 7)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert "No TEMPLATE= is given: PG, which has the most prices, is predicted" in output
    assert "Forecast of PG of execution" in output


def test_run_without_a_readable_template_says_so(tmp_path):
    process = start("run", "--template", tmp_path / "none.json")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "cannot read the training template" in output
    assert "Traceback" not in output


def test_the_outputs_of_the_newest_runs_are_kept(tmp_path):
    for age in range(5):
        (tmp_path / f"run-{age}").mkdir()
        (tmp_path / f"run-{age}" / "features.csv").touch()
        os.utime(tmp_path / f"run-{age}", (1000 - age, 1000 - age))
    assert outputs.forget_runs(tmp_path, 3) == 2
    assert sorted(each.name for each in tmp_path.iterdir()) == ["run-0", "run-1", "run-2"]
    assert outputs.forget_runs(tmp_path / "none") == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_process(number):
    with running("run", until="Started execution") as (process, _, processes):
        assert len(processes) >= 4
        os.killpg(process.pid, number)
        rest = process.stdout.read()
        assert process.wait(30) == 128 + number, rest
        assert "Traceback" not in rest
        assert living(processes) == set()


def test_a_killed_run_leaves_no_process():
    with running("run", until="Started execution") as (process, _, processes):
        process.kill()
        wait_for(lambda: living(processes - {process.pid}) == set(), within=15)


def test_local_stays_until_interrupted_though_its_ports_are_taken(tmp_path):
    with contextlib.ExitStack() as taken:
        for port in PREFERRED_PORTS:
            with contextlib.suppress(OSError):  # taken by somebody else already: as good
                taken.enter_context(socket.create_server(("127.0.0.1", port)))
        options = ("local", "--environment-file", tmp_path / "environment.sh")
        with running(*options, until="Ctrl-C ends everything") as (process, lines, processes):
            assert process.poll() is None
            assert any("export AWS_ENDPOINT_URL=" in line for line in lines)
            os.killpg(process.pid, signal.SIGINT)
            rest = process.stdout.read()
            assert process.wait(30) == 128 + signal.SIGINT, rest
            assert living(processes) == set()
