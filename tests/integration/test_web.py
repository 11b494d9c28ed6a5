"""`pipewright web`: pages of an installation, as its server and a browser have them."""

import contextlib
import http.client
import statistics
import subprocess
import time
import urllib.parse

import pytest
from browser import page_of
from test_housekeeping import keep_house

from harness import FailureQueue, as_item, wait_for

HOSTILE = "<img src=x onerror=\"document.title='taken over'\"><script>document.title = 'taken over'</script>"
PAGES = (
    "",
    "execution?id={id}",
    "compare?id={id}&id={id}&all",
    "endpoints",
    "failures",
    "housekeeping",
)
TABLE = "web-of-a-thousand"


@contextlib.contextmanager
def serving(system, *arguments):
    """The address at which `pipewright web` serves."""
    command = system.command("web", *arguments)
    process = subprocess.Popen(command, env=system.environment(), stdout=subprocess.PIPE, text=True)
    try:
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), address
        yield address
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="module")
def web(system, execution):
    with serving(system, "--jobs", system.jobs_of(execution.arn).parent) as address:
        yield address


def answer(address, method="GET", **headers):
    """Status, headers and text of an answer."""
    parts = urllib.parse.urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    with contextlib.closing(connection):
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode()


def test_only_who_has_the_address_is_answered(web):
    origin, _, token = web.rstrip("/").rpartition("/")
    assert len(token) == 32
    assert answer(web)[0] == 200
    assert answer(web, "HEAD")[0::2] == (200, "")
    assert answer(f"{origin}/")[0] == 404
    assert answer(f"{origin}/{'0' * 32}/")[0] == 404
    assert answer(web, Host="example.com")[0] == 403
    assert answer(web, **{"Sec-Fetch-Site": "cross-site"})[0] == 403
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert answer(web, method)[0] == 405, method


def test_pages_have_no_secret(system, execution, web):
    secret = system.environment()["AWS_SECRET_ACCESS_KEY"]
    for page in PAGES:
        status, headers, text = answer(web + page.format(id=execution.id))
        assert status == 200, text
        assert secret not in text
        assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_an_unknown_execution_is_named(web):
    status, _, text = answer(f"{web}execution?id=no-such-run")
    assert status == 404
    assert "there is no execution no-such-run" in text


def test_housekeepings_last_run_is_shown(system, web):
    before = answer(f"{web}housekeeping")[2]
    keep_house(system)
    text = answer(f"{web}housekeeping")[2]
    assert text != before
    assert "The last run ended at " in text
    assert "<dt>looked at</dt>" in text


def test_what_failed_is_shown_and_stays(system, web):
    queue = FailureQueue(system, "UndeliveredEventsQueueUrl")
    name = "arn:aws:lambda:eu-west-1:123456789012:function:pipewright-pipeline-events"
    attributes = {
        "TARGET_ARN": {"DataType": "String", "StringValue": name},
        "ERROR_MESSAGE": {"DataType": "String", "StringValue": HOSTILE},
    }
    queue.put('{"detail-type": "any", "time": "2024-05-06T07:00:00Z"}', attributes)
    try:
        for _ in range(2):
            text = answer(f"{web}failures")[2]
            assert "event &quot;any&quot;" in text
            assert "&lt;script&gt;" in text
            assert HOSTILE not in text
            assert queue.counts() == (1, 0)
    finally:
        queue.empty()


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("width", [360, 800, 1600])
def test_pages_in_a_browser(web, execution, page, width):
    """Each page of `pipewright web`, shown by Chromium, asks its own server only, cuts no text at 360, 800 and 1600
    pixels, and axe-core finds nothing serious.
    """
    with page_of(web + page.format(id=execution.id)) as shown:
        assert all(request.startswith(web) for request in shown.requests), shown.requests
        assert shown.console == []
        shown.resize(width)
        for scheme in ("light", "dark"):
            shown.media(scheme=scheme)
            assert shown.cut_off() == []
            assert shown.findings() == []


def test_executions_come_and_change_before_the_eye(system, web):
    """A page of `pipewright web` takes up what changes while it is shown, and runs no script of a stored text."""
    table = system.outputs["ExecutionsTableName"]
    client = system.client("dynamodb")
    key = {"Id": "shown-live", "entry": "record"}
    now = int(time.time() * 1000)
    record = {**key, "phase": "open", "createdAt": now, "startedAt": now, "templateId": HOSTILE}
    row = "document.querySelector('input[value=shown-live]')?.closest('tr').textContent"
    with page_of(web) as shown:
        try:
            for status in ("Executing", "Stopping"):
                item = as_item({**record, "pipelineStatus": status})
                client.put_item(TableName=table, Item=item)
                wait_for(lambda status=status: status in (shown.run(row) or ""))
            assert "<script>" in shown.run(row)
            assert shown.run("document.title") == "Executions of pipewright"
            assert shown.run("document.querySelectorAll('img').length") == 0
            # What is ticked stays so.
            box = "document.querySelector('input[value=shown-live]')"
            shown.run(f"{box}.click()")
            client.put_item(
                TableName=table, Item=as_item({**record, "pipelineStatus": "Executing"})
            )
            wait_for(lambda: "Executing" in shown.run(row))
            assert shown.run(f"{box}.checked")
        finally:
            client.delete_item(TableName=table, Key=as_item(key))


def test_a_running_execution_grows_before_the_eye(system, web):
    table = system.outputs["ExecutionsTableName"]
    client = system.client("dynamodb")
    now = int(time.time() * 1000)
    base = {"Id": "grows-live"}
    record = {**base, "entry": "record", "phase": "open", "createdAt": now, "startedAt": now}
    log = {**base, "entry": "log#0001", "lines": [{"level": "INFO", "msg": HOSTILE, "at": now}]}
    items = [as_item({**record, "pipelineStatus": "Executing"}), as_item(log)]
    try:
        client.put_item(TableName=table, Item=items[0])
        with page_of(f"{web}execution?id=grows-live") as shown:
            assert shown.run("document.querySelector('#log')") is None
            client.put_item(TableName=table, Item=items[1])
            text = "document.querySelector('#log')?.textContent ?? ''"
            wait_for(lambda: "<script>" in shown.run(text))
            assert shown.run("document.title") == "grows-live: Executing"
            assert shown.console == []
    finally:
        for entry in ("record", "log#0001"):
            client.delete_item(TableName=table, Key=as_item({**base, "entry": entry}))


def test_a_thousand_executions_are_listed_at_once(system):
    """A warm `pipewright web` lists a page of 1,000 executions in less than 200 ms."""
    client = system.client("dynamodb")
    names = ("Id", "entry", "phase")
    client.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
        KeySchema=[
            {"AttributeName": "Id", "KeyType": "HASH"},
            {"AttributeName": "entry", "KeyType": "RANGE"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-phase",
                "KeySchema": [
                    {"AttributeName": "phase", "KeyType": "HASH"},
                    {"AttributeName": "Id", "KeyType": "RANGE"},
                ],
                "Projection": {
                    "ProjectionType": "INCLUDE",
                    "NonKeyAttributes": ["createdAt", "startedAt"],
                },
            }
        ],
    )
    now = int(time.time())
    try:
        items = []
        for number in range(1000):
            ended = now - number * 30 * 60
            day = time.strftime("%Y-%m-%d", time.gmtime(ended))
            item = {
                **{"Id": f"run-{number:04}", "entry": "record", "phase": f"ended#{day}"},
                **{"createdAt": (ended - 300) * 1000, "startedAt": (ended - 300) * 1000},
                **{"endedAt": ended * 1000, "pipelineStatus": "Succeeded"},
                # About as large as with a training template.
                **{"parameters": {"filler": "x" * 4000}},
            }
            items.append({"PutRequest": {"Item": as_item(item)}})
        for first in range(0, len(items), 25):
            client.batch_write_item(RequestItems={TABLE: items[first : first + 25]})
        with serving(system, "--table", TABLE) as address:

            def seconds():
                begin = time.monotonic()
                status, _, text = answer(address)
                assert (status, text.count('type="checkbox"')) == (200, 50)
                assert "1000 executions, page 1 of 20" in text
                return time.monotonic() - begin

            cold = seconds()
            warm = [seconds() for _ in range(5)]
            print(f"cold {cold:.3f} s, warm {[f'{one:.3f}' for one in warm]}")
            assert answer(f"{address}?page=20")[2].count('type="checkbox"') == 50
            # The machine may be busy with something else for once.
            wait_for(lambda: statistics.median(seconds() for _ in range(3)) < 0.2, within=60)
    finally:
        client.delete_table(TableName=TABLE)
