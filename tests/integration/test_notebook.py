"""samples/notebook.ipynb does what it says."""

import json
import os
import subprocess
import sys

from harness import BINARIES, SAMPLES

NOTEBOOK = json.loads((SAMPLES / "notebook.ipynb").read_text())


def code_cells():
    return ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def run(environment):
    """Run the cells one after the other, as a kernel does that the environment starts."""
    path = f"{BINARIES}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [sys.executable, "-"],
        input="\n\n".join(code_cells()),
        cwd=SAMPLES,
        env={"HOME": os.environ["HOME"], **environment, "PATH": path},
        capture_output=True,
        text=True,
        timeout=400,
    )


def test_the_notebook_goes_from_a_definition_to_an_answer(system):
    """The sample notebook defines a pipeline, checks it, runs it, looks at it and serves its model, against a
    running local system."""
    done = run(system.environment())
    assert done.returncode == 0, done.stdout + done.stderr
    for words in (
        'did you mean "Trees"?',
        "GoodEnough   Succeeded",
        "{'train:mae': ",
        "100 trees of area, rooms, age; train:mae=",
    ):
        assert words in done.stdout, done.stdout
    prices = next(line for line in done.stdout.splitlines() if line.startswith("["))
    larger, smaller = json.loads(prices)
    assert larger > smaller > 0


def test_the_notebook_says_what_it_needs():
    done = run({})
    assert done.returncode == 1
    assert "start it from a shell that has read .local/environment.sh" in done.stderr


def test_the_notebook_is_one_without_outputs():
    """No output is checked in: it would be another's at the next run."""
    assert (NOTEBOOK["nbformat"], NOTEBOOK["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in NOTEBOOK["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in NOTEBOOK["cells"]:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
