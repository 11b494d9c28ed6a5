"""Makes data/records/: DeepAR's records in the ways that pyarrow writes Parquet.

Each file holds the rows that records.json gives under its name, as JSON Lines
would have them; those under "refused" can't be read, for the reason given there.
"""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

DATA = Path(__file__).resolve().parent / "data" / "records"
NAN = float("nan")


def moments(*texts: str) -> list[datetime]:
    return [datetime.fromisoformat(text) for text in texts]


def write(name: str, columns: dict[str, pa.Array], schema: pa.Schema | None = None, **options):
    pq.write_table(pa.table(columns, schema=schema), DATA / f"{name}.parquet", **options)


def lists(values: list, kind: pa.DataType = pa.float64) -> pa.Array:
    return pa.array(values, pa.list_(kind()))


def nested(values: list, kind: pa.DataType = pa.float64) -> pa.Array:
    return pa.array(values, pa.list_(pa.list_(kind())))


def main() -> None:
    DATA.mkdir(exist_ok=True)
    starts = ["2020-02-29 01:30:59", "1969-12-31 23:59:00"]
    write(
        "snappy",
        {
            "name": pa.array(["a", "b"]),
            "start": pa.array(moments(*starts), pa.timestamp("ns")),
            "target": lists([[1.5, None, NAN, -2.0], []]),
            "cat": lists([[0, 3], [1, 0]], pa.int64),
            "dynamic_feat": nested([[[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 1e-3]], [[], []]]),
        },
        compression="snappy",
    )
    write(
        "gzip",
        {
            "start": pa.array(["2020-01-01", "2020-01-02 10:00:00", "2020-01-03"]),
            "target": lists([[0.1, 0.2], [7.0] * 3000, [None]], pa.float32),
            "cat": lists([[1], [2], [255]], pa.uint8),
        },
        compression="gzip",
        row_group_size=1,
        data_page_version="2.0",
    )
    write(
        "old",
        {
            "start": pa.array(moments(*starts), pa.timestamp("ns")),
            "target": lists([[1, 2, None], [3]], pa.int64),
            "cat": pa.array([4, 0], pa.int32()),
            "dynamic_feat": nested([[[1, 2, 3]], [[4]]], pa.int32),
        },
        version="1.0",
        compression="none",
        use_deprecated_int96_timestamps=True,
        use_compliant_nested_type=False,
        use_dictionary=False,
    )
    required = pa.schema(
        [
            pa.field("start", pa.date32(), nullable=False),
            pa.field(
                "target",
                pa.large_list(pa.field("element", pa.float64(), nullable=False)),
                nullable=False,
            ),
            pa.field("dynamic_feat", pa.list_(pa.list_(pa.float32())), nullable=False),
        ]
    )
    write(
        "required",
        {
            "start": [date(1, 1, 1), date(9999, 12, 31)],
            "target": [[1.0, NAN], []],
            "dynamic_feat": [[[5.0, 6.0]], [[]]],
        },
        required,
        column_encoding={
            "target.list.element": "BYTE_STREAM_SPLIT",
            "start": "DELTA_BINARY_PACKED",
        },
        use_dictionary=False,
    )
    utc = datetime(2024, 12, 31, 23, 59, tzinfo=UTC)
    for unit in ("ms", "us"):
        write(
            f"utc-{unit}",
            {"start": pa.array([utc], pa.timestamp(unit, "UTC")), "target": lists([[1.0]])},
        )
    refused = {
        "zstd": "the column start is compressed by ZSTD",
        "nulls": "row 2: the field `start` is missing",
        "no-target": "the field `target` is missing",
        "texts": "the column target is of type BYTE_ARRAY in 1 lists; it must be a list of numbers",
        "flat": "the column target is of type DOUBLE in 0 lists; it must be a list of numbers",
        "times": "the column cat is of type INT64 in 1 lists; it must be a list of whole numbers",
        "structs": "the column target is made of several; it must be a list of numbers",
        "values": "row 1: cat[1] is -1; it must be a whole number from 0",
        "features": "row 1: dynamic_feat[1][0] is null; it must be a number",
    }
    day = pa.array(["2020-01-01"])
    one = lists([[1.0]])
    write("zstd", {"start": day, "target": one}, compression="zstd")
    write("nulls", {"start": pa.array(["2020-01-01", None]), "target": lists([[1.0], [2.0]])})
    write("no-target", {"start": day})
    write("texts", {"start": day, "target": pa.array([["1"]])})
    write("flat", {"start": day, "target": pa.array([1.0])})
    times = pa.array([[datetime(2020, 1, 1)]], pa.list_(pa.timestamp("us")))
    write("times", {"start": day, "target": one, "cat": times})
    write("structs", {"start": day, "target": pa.array([[{"a": 1.0, "b": 2.0}]])})
    write("values", {"start": day, "target": one, "cat": lists([[0, -1]], pa.int64)})
    write("features", {"start": day, "target": one, "dynamic_feat": nested([[[1.0], [None]]])})

    def row(start: str, target: list, **more: object) -> dict:
        return {"start": start, "target": [None if x != x else x for x in target], **more}

    read = {
        "snappy": [
            row(
                starts[0],
                [1.5, NAN, NAN, -2.0],
                cat=[0, 3],
                dynamic_feat=[[1, 2, 3, 4], [0, 0, 0, 1e-3]],
            ),
            row(starts[1], [], cat=[1, 0], dynamic_feat=[[], []]),
        ],
        "gzip": [
            row("2020-01-01", [0.1, 0.2], cat=[1]),
            row("2020-01-02 10:00:00", [7] * 3000, cat=[2]),
            row("2020-01-03", [NAN], cat=[255]),
        ],
        "old": [
            row(starts[0], [1, 2, NAN], cat=4, dynamic_feat=[[1, 2, 3]]),
            row(starts[1], [3], cat=0, dynamic_feat=[[4]]),
        ],
        "required": [
            row("0001-01-01", [1, NAN], dynamic_feat=[[5, 6]]),
            row("9999-12-31", [], dynamic_feat=[[]]),
        ],
        "utc-ms": [row("2024-12-31 23:59:00", [1])],
        "utc-us": [row("2024-12-31 23:59:00", [1])],
    }
    golden = {"read": read, "refused": refused}
    (DATA / "records.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
