"""Makes data/deepar.json: loss and gradient of the network in PyTorch, in double
precision, for each likelihood. Run in the environment of `make gluonts`, which has
torch and GluonTS.

Inputs are computed here from the series alone, calendar features and lags by
GluonTS, layers by torch.nn.LSTM, densities by torch.distributions, and gradients by
autograd; nothing is shared with the Rust side but the order of weights, which are
drawn by SplitMix64 so that the file holds none.
"""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from gluonts.time_feature import get_lags_for_frequency, time_features_from_frequency_str

OUT = Path(__file__).resolve().parent / "data" / "deepar.json"
FREQUENCY, CONTEXT, PREDICTION, CELLS, LAYERS, EMBEDDING = "M", 6, 3, 5, 3, 2
CARDINALITY = [2, 3]
DEFAULT_SCALE = 3.0
SEED, LIMIT, FLOOR = 11, 0.6, 1e-6
# (series, first predicted point); the third window begins before its series, and
# nothing of the fourth's context was observed.
WINDOWS = [(0, 50), (1, 57), (2, 2), (3, 20)]
# Of the gradient.
EVERY = 7


def split_mix(seed, count):
    """`count` numbers in [0, 1) of SplitMix64."""
    with np.errstate(over="ignore"):
        z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = z + np.uint64(seed)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) / 2.0**53


def series(kind):
    """Four series of 60 points as (start, target, cat, dynamic feature)."""
    made = []
    for k in range(4):
        t = np.arange(60)
        wave = np.sin(0.7 * t + k)
        target = 0.5 + 0.4 * wave if kind == "beta" else np.round(15 + 14 * wave) * 10.0 ** (k % 3)
        target = np.float32(target).astype(float)
        target[t % 7 == 5] = math.nan
        if k == 3:
            target[12:20] = math.nan
        feature = np.float32(np.cos(0.3 * t)).astype(float)
        made.append((f"2001-0{k + 1}-01 00:00:00", target, [k % 2, k % 3], feature))
    return made


def filled(target, value):
    """Missing values become the last observed one, or `value` before the first."""
    out, last = [], value
    for x in target:
        last = last if math.isnan(x) else x
        out.append(last)
    return np.array(out)


def inputs(one, at, kind):
    """Dynamic inputs of each step, the scale, and targets (NaN = not observed)."""
    start, target, _, feature = one
    lags = [lag for lag in get_lags_for_frequency(FREQUENCY) if lag <= 1200]
    index = pd.period_range(start, periods=len(target), freq=FREQUENCY)
    calendar = [np.float32(f(index)) for f in time_features_from_frequency_str(FREQUENCY)]
    known = filled(target, 0.5 if kind == "beta" else 0.0)
    context = target[max(at - CONTEXT, 0) : at]
    context = context[~np.isnan(context)]
    scale = 1.0
    if kind != "beta":
        mean = np.abs(context).mean() if len(context) else 0.0
        scale = float(np.float32(mean)) if mean > 0 else DEFAULT_SCALE
    rows, wanted = [], []
    for point in range(at - CONTEXT, at + PREDICTION):
        if point < 0:
            rows.append(np.zeros(len(lags) + len(calendar) + 2))
            wanted.append(math.nan)
            continue
        lagged = [known[point - lag] / scale if point >= lag else 0.0 for lag in lags]
        age = np.float32(math.log10(2.0 + point))
        rows.append(np.array([*lagged, *(c[point] for c in calendar), age, feature[point]]))
        wanted.append(target[point])
    return np.array(rows, dtype=float), scale, wanted


class Network:
    """The network with weights in one vector, in the order of the Rust side."""

    def __init__(self, dynamic, outputs):
        fixed = 1 + len(CARDINALITY) * EMBEDDING
        shapes = [(fixed, 4 * CELLS)]
        for layer in range(LAYERS):
            shapes += [(CELLS if layer else dynamic, 4 * CELLS), (CELLS, 4 * CELLS), (4 * CELLS,)]
        shapes += [(CELLS, outputs), (outputs,)]
        shapes += [(n, EMBEDDING) for n in CARDINALITY]
        size = sum(math.prod(shape) for shape in shapes)
        self.weights = torch.tensor(LIMIT * (2 * split_mix(SEED, size) - 1), requires_grad=True)
        self.parts, at = [], 0
        for shape in shapes:
            self.parts.append(self.weights[at : at + math.prod(shape)].reshape(shape))
            at += math.prod(shape)

    def raw(self, dynamic, log_scale, cat):
        """The raw numbers of each step of one window."""
        tables = self.parts[-len(CARDINALITY) :]
        fixed = torch.cat(
            [torch.tensor([log_scale]), *(t[c] for t, c in zip(tables, cat, strict=True))]
        )
        x = torch.cat([torch.tensor(dynamic), fixed.repeat(len(dynamic), 1)], dim=1)
        for layer in range(LAYERS):
            by_input, recurrent, bias = self.parts[1 + 3 * layer : 4 + 3 * layer]
            if layer == 0:
                by_input = torch.cat([by_input, self.parts[0]])
            cell = torch.nn.LSTM(x.shape[1], CELLS, dtype=torch.float64)
            named = {
                "weight_ih_l0": by_input.T,
                "weight_hh_l0": recurrent.T,
                "bias_ih_l0": bias,
                "bias_hh_l0": torch.zeros_like(bias),
            }
            out, _ = torch.func.functional_call(cell, named, (x,))
            x = out if layer == 0 else out + x
        projection, offset = self.parts[1 + 3 * LAYERS : 3 + 3 * LAYERS]
        return x @ projection + offset


def positive(z):
    return torch.clamp(torch.nn.functional.softplus(z), min=FLOOR)


def loss(kind, z, value, scale):
    """-ln p of one value."""
    value = torch.tensor(value)
    if kind == "gaussian":
        return -torch.distributions.Normal(scale * z[0], scale * positive(z[1])).log_prob(value)
    if kind == "student-T":
        degrees = 2 + positive(z[2])
        t = torch.distributions.StudentT(degrees, scale * z[0], scale * positive(z[1]))
        return -t.log_prob(value)
    if kind == "negative-binomial":
        mean, shape = scale * positive(z[0]), positive(z[1]) / math.sqrt(scale)
        probability = shape * mean / (1 + shape * mean)
        return -torch.distributions.NegativeBinomial(1 / shape, probability).log_prob(value)
    if kind == "beta":
        return -torch.distributions.Beta(positive(z[0]), positive(z[1])).log_prob(value)
    return torch.abs(value - scale * z[0])


def case(kind):
    given = series(kind)
    outputs = {"student-T": 3, "deterministic-L1": 1}.get(kind, 2)
    network, total, raws = None, 0.0, []
    for number, at in WINDOWS:
        dynamic, scale, wanted = inputs(given[number], at, kind)
        network = network or Network(dynamic.shape[1], outputs)
        z = network.raw(dynamic, math.log(scale), given[number][2])
        terms = [loss(kind, row, y, scale) for row, y in zip(z, wanted, strict=True) if y == y]
        total = total + sum(terms) / len(terms) / len(WINDOWS)
        raws.append(z[-1].tolist())
    total.backward()
    gradient = network.weights.grad.numpy()
    return {
        "likelihood": kind,
        "series": [
            {
                "start": start,
                "target": [None if x != x else x for x in target],
                "cat": cat,
                "dynamic_feat": [list(feature)],
            }
            for start, target, cat, feature in given
        ],
        "weights": len(gradient),
        "raw_at_last_step": raws,
        "loss": total.item(),
        "gradient": [float(x) for x in gradient[::EVERY]],
    }


def main():
    kinds = ("gaussian", "student-T", "negative-binomial", "beta", "deterministic-L1")
    cases = [case(kind) for kind in kinds]
    OUT.write_text(json.dumps(cases, separators=(",", ":")) + "\n")
    for each in cases:
        print(each["likelihood"], each["loss"], each["weights"])


if __name__ == "__main__":
    main()
