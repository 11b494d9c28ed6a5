"""Makes data/likelihood.json: densities by SciPy, their slopes by mpmath, and
distribution functions by SciPy, for the raw numbers that a network gives. Run in the
environment of `make gluonts`, which has both.
"""

import itertools
import json
from pathlib import Path

import mpmath
import numpy as np
from scipy import stats

OUT = Path(__file__).resolve().parent / "data" / "likelihood.json"
FLOOR = 1e-6
mpmath.mp.dps = 50


def softplus(z):
    value = mpmath.log1p(mpmath.exp(z))
    return value if value > FLOOR else mpmath.mpf(FLOOR)


def loss(kind, z, value, scale):
    """-ln p, in 50 digits."""
    lgamma, log = mpmath.loggamma, mpmath.log
    if kind == "gaussian":
        error = (value / scale - z[0]) / softplus(z[1])
        return error**2 / 2 + log(softplus(z[1])) + log(scale) + log(2 * mpmath.pi) / 2
    if kind == "student-T":
        spread, degrees = softplus(z[1]), 2 + softplus(z[2])
        error = (value / scale - z[0]) / spread
        return (
            lgamma(degrees / 2)
            - lgamma((degrees + 1) / 2)
            + log(mpmath.pi * degrees) / 2
            + log(spread)
            + log(scale)
            + (degrees + 1) / 2 * mpmath.log1p(error**2 / degrees)
        )
    if kind == "negative-binomial":
        mean, shape = scale * softplus(z[0]), softplus(z[1]) / mpmath.sqrt(scale)
        r = 1 / shape
        return (
            lgamma(value + 1)
            + lgamma(r)
            - lgamma(value + r)
            + r * mpmath.log1p(shape * mean)
            - value * (log(shape * mean) - mpmath.log1p(shape * mean))
        )
    a, b = softplus(z[0]), softplus(z[1])
    return lgamma(a) + lgamma(b) - lgamma(a + b) - (a - 1) * log(value) - (b - 1) * log(1 - value)


def scipys(kind, z, scale):
    """The distribution as SciPy has it."""
    z = [float(x) for x in z]
    plus = [float(softplus(x)) for x in z]
    if kind == "gaussian":
        return stats.norm(scale * z[0], scale * plus[1])
    if kind == "student-T":
        return stats.t(2 + plus[2], scale * z[0], scale * plus[1])
    if kind == "negative-binomial":
        mean, shape = scale * plus[0], plus[1] / np.sqrt(scale)
        return stats.nbinom(1 / shape, 1 / (1 + shape * mean))
    return stats.beta(plus[0], plus[1])


def slopes(kind, z, value, scale):
    out = []
    for k in range(len(z)):

        def along(x, k=k):
            return loss(kind, [*z[:k], x, *z[k + 1 :]], value, scale)

        out.append(float(mpmath.diff(along, z[k])))
    return out


RAW = {
    "gaussian": [[0.3, -1.0], [-2.0, 0.5], [1.0, 3.0]],
    "student-T": [[0.3, -1.0, 0.2], [-2.0, 0.5, -3.0], [1.0, 3.0, 4.0], [0.9, -4.0, 60.0]],
    "negative-binomial": [[0.3, -1.0], [-2.0, 0.5], [2.0, -6.0]],
    "beta": [[0.3, -1.0], [-2.0, 0.5], [4.0, 3.0]],
}
VALUES = {
    "gaussian": [0.0, 2.5, -40.0],
    "student-T": [0.0, 2.5, -40.0],
    "negative-binomial": [0, 3, 250],
    "beta": [0.02, 0.5, 0.999],
}
SCALES = {"beta": [1.0]}


def densities():
    for kind, raws in RAW.items():
        for z, value, scale in itertools.product(raws, VALUES[kind], SCALES.get(kind, [0.5, 20.0])):
            exact = [mpmath.mpf(x) for x in z]
            number = float(loss(kind, exact, mpmath.mpf(value), mpmath.mpf(scale)))
            known = scipys(kind, z, scale)
            other = -(known.logpmf if kind == "negative-binomial" else known.logpdf)(value)
            assert abs(number - other) < 1e-8 * max(1, abs(number)), (kind, z, number, other)
            yield {
                "likelihood": kind,
                "raw": z,
                "value": value,
                "scale": scale,
                "loss": number,
                "gradient": slopes(kind, exact, mpmath.mpf(value), mpmath.mpf(scale)),
            }


def distributions():
    for kind, raws in RAW.items():
        scale = 1.0 if kind == "beta" else 20.0
        for z in raws:
            known = scipys(kind, z, scale)
            values = np.unique(known.ppf(np.linspace(0.01, 0.99, 99)))
            yield {
                "likelihood": kind,
                "raw": z,
                "scale": scale,
                "values": list(values),
                "cdf": list(known.cdf(values)),
            }


def main():
    content = {"densities": list(densities()), "distributions": list(distributions())}
    OUT.write_text(json.dumps(content, separators=(",", ":"), default=float) + "\n")
    print(len(content["densities"]), "densities,", len(content["distributions"]), "distributions")


if __name__ == "__main__":
    main()
