"""What is shown of a training's log while it is written."""

import io
import re

from ops.local import training

DEFINITIONS = [
    ("train:loss:epoch", re.compile(r"epoch=\S+, train loss <loss>=(\S+)")),
    ("train:progress", re.compile(r"completed (\S+) %")),
]
LOG = """\
[02/25/2022 07:10:58 INFO 7] Training set statistics:
[02/25/2022 07:10:58 INFO 7] Epoch[0] Batch[0] avg_epoch_loss=2.316095
[02/25/2022 07:10:58 INFO 7] #quality_metric: host=algo-1, epoch=0, batch=0 train loss <loss>=2.3
#metrics {"StartTime": 1645773049.757}
[02/25/2022 07:10:58 INFO 7] #progress_metric: host=algo-1, completed 50.0 % of epochs
[02/25/2022 07:10:58 INFO 7] #quality_metric: host=algo-1, epoch=0, train loss <loss>=2.3160951
[02/25/2022 07:10:58 INFO 7] best epoch loss so far
[02/25/2022 07:10:58 INFO 7] #progress_metric: host=algo-1, completed 100 % of epochs
[02/25/2022 07:10:58 INFO 7] #quality_metric: host=algo-1, epoch=1, train loss <loss>=nan
[02/25/2022 07:10:58 WARNING 7] [pipewright] stopped by a signal
""".splitlines()


class Terminal(io.StringIO):
    """A terminal that remembers what it was sent."""

    def isatty(self):
        return True


def shown(to):
    screen = training.Screen(to)
    folding = training.Folding(DEFINITIONS, screen.line, screen.passing)
    for line in LOG:
        folding.line(line)
    folding.end()
    return to.getvalue()


def test_epochs_are_one_line_each_in_a_pipe():
    assert shown(io.StringIO()).splitlines() == [
        "Training set statistics:",
        "epoch 0  train:loss:epoch 2.3161  train:progress 50",
        "epoch 1  train:loss:epoch nan  train:progress 100",
        "stopped by a signal",
    ]


def test_on_a_terminal_the_line_of_an_epoch_is_written_over():
    written = shown(Terminal())
    assert "train:progress 50\r\x1b[Kepoch 0  train:loss:epoch 2.3161  train:progress 50" in written
    # What is left, once what is written over is gone.
    assert re.sub(r"[^\n]*\r\x1b\[K", "", written) == shown(io.StringIO())


def test_lines_are_shown_when_they_are_whole(tmp_path):
    path = tmp_path / "container.log"
    tail = training.Tail(path)
    assert tail.lines() == []
    with path.open("w") as log:
        log.write("one\ntw")
        log.flush()
        assert tail.lines() == ["one"]
        log.write("o\n")
        log.flush()
        assert tail.lines() == ["two"]
