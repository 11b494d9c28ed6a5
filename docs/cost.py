"""The arithmetic of COST.md: `python docs/cost.py` prints its tables.

Quantities are per training or per month; prices are on-demand ones of us-east-1 in dollars, without
free tiers and taxes. COST.md says where each comes from.
"""

import json
from pathlib import Path

TRAININGS = 2000
HOURS_OF_MONTH = 730

# Those of jobs, which the page of `pipewright execution report` estimates with as well.
JOBS = json.loads(
    Path(__file__)
    .resolve()
    .parent.parent.joinpath("cli", "src", "execution", "report", "prices.json")
    .read_text()
)

# Dollars. ml.m5.xlarge is the price of processing and of training.
PRICES = {
    "ml.m5.xlarge hour": JOBS["instanceHour"]["ml.m5.xlarge"],
    "ML volume GB-month": JOBS["volumeGigabyteMonth"],
    "Lambda request": 0.20e-6,
    "Lambda GB-second (x86)": 16.6667e-6,
    "DynamoDB write unit": 0.625e-6,
    "DynamoDB read unit": 0.125e-6,
    "DynamoDB GB-month": 0.25,
    "DynamoDB recovery GB-month": 0.20,
    "S3 GB-month": 0.023,
    "S3 PUT": 0.005e-3,
    "ECR GB-month": 0.10,
    "Logs GB": 0.50,
    "SQS request": 0.40e-6,
    "alarm month": 0.10,
    "dashboard month": 3.00,
    "metric month": 0.30,
    "event of a service": 0.0,
}

EVENTS = 21  # the original's figure; ours of four steps are about 17
ALARMS = 20
# Runs of housekeeping in a month: the default of HousekeepingSchedule.
HOUSEKEEPING = 4 * HOURS_OF_MONTH

# (line, [(quantity, price)]) of one training.
TRAINING = [
    ("processing job, 10 minutes", [(10 / 60, "ml.m5.xlarge hour")]),
    ("its volume, 30 GB for as long", [(30 * 10 / 60 / HOURS_OF_MONTH, "ML volume GB-month")]),
    ("training job, 12 minutes", [(12 / 60, "ml.m5.xlarge hour")]),
    ("its volume, 30 GB for as long", [(30 * 12 / 60 / HOURS_OF_MONTH, "ML volume GB-month")]),
    ("21 events of SageMaker", [(EVENTS, "event of a service")]),
    (
        "their function calls, and the start: 256 MB, 0.1 s each",
        [
            (EVENTS + 1, "Lambda request"),
            ((EVENTS + 1) * 0.25 * 0.1, "Lambda GB-second (x86)"),
        ],
    ),
    # An event: a record of up to 4 KB and a change of up to 1 KB. Besides, the record's creation and
    # claim, the container's two reports and three batches of its log, and the importance.
    ("DynamoDB, 157 write units", [(EVENTS * 5 + 8 + 8 + 3 * 2 + 20 + 10, "DynamoDB write unit")]),
    ("logs, 0.1 MB", [(0.0001, "Logs GB")]),
    ("S3, 67 MB for a month in 60 objects", [(0.067, "S3 GB-month"), (60, "S3 PUT")]),
]

IDLE = [
    (f"{ALARMS} alarms", [(ALARMS, "alarm month")]),
    ("1 dashboard", [(1, "dashboard month")]),
    ("image, 0.1 GB in the repository", [(0.1, "ECR GB-month")]),
    (
        "housekeeping every quarter of an hour: 256 MB, 2 s",
        [(HOUSEKEEPING, "Lambda request"), (HOUSEKEEPING * 0.25 * 2, "Lambda GB-second (x86)")],
    ),
    # It asks for nine phases of executions and reads the table of endpoints.
    ("its reads of tables, 10 a run", [(HOUSEKEEPING * 10 * 0.5, "DynamoDB read unit")]),
    ("1 metric of ours: executions that are open", [(1, "metric month")]),
    (
        "tables, 0.1 GB, recoverable",
        [(0.1, "DynamoDB GB-month"), (0.1, "DynamoDB recovery GB-month")],
    ),
    ("sample assets in S3", [(0.001, "S3 GB-month")]),
]

# Besides, in a month in which something happens in every hour. The events of each kind that were
# recorded (4), those that came late (4), their age, changes reconciled, the oldest open execution.
BUSY = [("11 metrics of ours more", [(11, "metric month")])]


def cost(parts):
    """Dollars of (quantity, price) pairs."""
    return sum(quantity * PRICES[price] for quantity, price in parts)


def table(lines, total):
    """A table of lines with its total, as Markdown."""
    rows = [f"| {name} | {cost(parts):.6f} |" for name, parts in lines]
    whole = sum(cost(parts) for _, parts in lines)
    return ["| | $ |", "|---|---:|", *rows, f"| **{total}** | **{whole:.4f}** |"]


def month():
    """A month of the original's 2,000 trainings, with what a month costs anyway."""
    each = sum(cost(parts) for _, parts in TRAINING)
    idle = sum(cost(parts) for _, parts in IDLE)
    jobs = sum(cost(parts) for name, parts in TRAINING if "job" in name) * TRAININGS
    around = each * TRAININGS - jobs + sum(cost(parts) for _, parts in BUSY)
    return jobs + around + idle, jobs, around, idle


def report():
    """Everything that COST.md quotes."""
    whole, jobs, around, idle = month()
    return [
        *table(TRAINING, "a training"),
        "",
        *table(IDLE, "an idle month"),
        "",
        *(f"{name}: {cost(parts):.2f}" for name, parts in BUSY),
        "",
        f"2,000 trainings a month: {whole:.2f} = {jobs:.2f} for jobs + {around:.2f} around them "
        f"+ {idle:.2f} anyway.",
    ]


if __name__ == "__main__":
    print("\n".join(report()))
