"""The custom resource's program, with everything around it misbehaving.

Whatever happens, CloudFormation must get exactly one valid answer, at least a second before the
deadline; where no answer can be sent, the invocation must fail, so that Lambda tries again.
"""

import json
import re
import subprocess
import time

import pytest

from emulator import LOG_STREAM, Function, ReplyServer, S3Server
from harness import BINARIES
from ops import ROOT

FIXTURES = ROOT / "tests" / "fixtures" / "pipeline-definition"
CREATE = json.loads((FIXTURES / "create-inline.json").read_text())
TEMPLATE = CREATE["ResourceProperties"]["Template"]
MARGIN = 1.0


@pytest.fixture
def replies():
    server = ReplyServer()
    yield server
    server.stop()


@pytest.fixture
def s3():
    server = S3Server()
    yield server
    server.stop()


@pytest.fixture
def start(s3, tmp_path, replies):
    """Starts programs; afterwards no log may hold the reply's secret address."""
    started = []

    def start(program=BINARIES / "pipeline-definition", before="", **environment):
        log = tmp_path / f"log-{len(started)}"
        function = Function(program, {"AWS_ENDPOINT_URL": s3.url, **environment}, log, before)
        started.append(function)
        return function

    yield start
    for function in started:
        function.stop()
        assert replies.SECRET not in function.log_path.read_text(errors="replace")


@pytest.fixture
def function(start):
    return start()


@pytest.fixture(scope="session")
def troublesome():
    """The program of a custom resource that panics, hangs and blocks when told to."""
    # As part of the workspace, which compiles nothing twice.
    command = ["cargo", "build", "--quiet", "--locked", "--workspace", "--example", "troublesome"]
    subprocess.run(command, cwd=ROOT, check=True)
    return BINARIES / "examples" / "troublesome"


def event(replies, properties=None, **changes):
    """A Create event; `properties` change its properties, None removes one."""
    changed = {**CREATE, "ResponseURL": replies.url, **changes}
    changed["ResourceProperties"] = {**CREATE["ResourceProperties"], **(properties or {})}
    changed["ResourceProperties"] = {
        name: value for name, value in changed["ResourceProperties"].items() if value is not None
    }
    return changed


def answered(replies, invocation, status, attempts=1):
    """The one reply that was taken, after checking what holds for all replies."""
    assert invocation.outcome == "response", invocation.body
    assert len(replies.replies) == attempts
    *failed, taken = replies.replies
    assert taken.answered == "200"
    assert all(reply.raw == taken.raw for reply in failed)
    assert taken.at <= invocation.deadline - MARGIN
    assert taken.content_type == ""
    assert len(taken.raw) <= 4096
    reply = taken.json
    assert reply["Status"] == status, reply
    for name in ("StackId", "RequestId", "LogicalResourceId"):
        assert reply[name] == CREATE[name]
    assert 1 <= len(reply["PhysicalResourceId"]) <= 1024
    if status == "FAILED":
        assert LOG_STREAM in reply["Reason"]
        assert invocation.id in reply["Reason"]
    return reply


def fails(function, replies, sent, *says, seconds=10.0):
    """Send an event that must fail; its reason must contain each of `says`."""
    replies.replies.clear()
    invocation = function.invoke(sent, seconds)
    reply = answered(replies, invocation, "FAILED")
    for text in says:
        assert text in reply["Reason"]
    return reply


def test_a_request_that_can_be_met_is(function, replies, s3):
    reply = answered(replies, function.invoke(event(replies)), "SUCCESS")
    data = reply["Data"]
    assert reply["PhysicalResourceId"] == f"{data['Bucket']}/{data['Key']}"
    assert f"/{data['Bucket']}/{data['Key']}" in s3.objects
    assert data["ExecutorS3Uri"].removeprefix("s3:/") in s3.objects


def test_properties_of_every_wrong_type_are_answered(function, replies):
    wrong = [7, True, "", [], [1], {"x": {"y": [None]}}, "\u0000", "ö" * 3000]
    for name in ("Bucket", "KeyPrefix", "Template", "Values"):
        for value in wrong:
            if name == "Template" and isinstance(value, str) and value:
                continue  # a text is a template, if a poor one
            if name == "Values" and isinstance(value, dict):
                continue  # and a map is a map
            fails(function, replies, event(replies, {name: value}), name)
    fails(function, replies, event(replies, {"Bucket": None}), "Bucket: is missing")
    fails(function, replies, event(replies, {"Buket": "x"}), "did you mean Bucket?")


def test_members_of_every_wrong_type_are_answered(function, replies):
    """An event that says whom to answer is answered as a failure, whatever else is wrong with it."""
    for name in ("RequestType", "ResourceProperties"):
        for value in (None, 7, [], "", "x", {"x": 1}, [[[[]]]]):
            if (name, value) == ("ResourceProperties", {"x": 1}):
                continue
            sent = {**event(replies), name: value}
            fails(function, replies, sent, name)
    for value in (None, 7, [], "", {"x": 1}, "x" * 2000):
        sent = {**event(replies), "RequestType": "Delete", "PhysicalResourceId": value}
        fails(function, replies, sent, "PhysicalResourceId")
    deep = json.dumps(event(replies)).replace(
        '"CodeVersion": "1"', '"D": ' + "[" * 9999 + "]" * 9999
    )
    fails(function, replies, deep.encode(), "recursion limit")


def test_an_event_without_an_address_for_the_answer_is_an_error(function, replies):
    """An event without the ids that an answer repeats, or without the address that it goes to,
    cannot be answered: its invocation fails, so that Lambda delivers it again.
    """
    for sent in (b"{}", b"[]", b"7", b'"x"', b"null", b'{"ResponseURL": 7}'):
        assert function.invoke(sent).outcome == "error"
    for name in ("ResponseURL", "StackId", "RequestId", "LogicalResourceId"):
        for value in (None, 7, {}, ""):
            invocation = function.invoke({**event(replies), name: value})
            assert invocation.outcome == "error"
            assert name in invocation.body.decode()
    assert replies.replies == []


def test_a_foreign_host_gets_no_reply_and_only_its_name_is_told(function, replies):
    for url in ("https://example.com/path?", "http://bucket.s3.amazonaws.com/path?"):
        invocation = function.invoke(event(replies, ResponseURL=url + replies.SECRET))
        assert invocation.outcome == "error"
        assert url.split("/")[2] in invocation.body.decode()
        assert replies.SECRET not in invocation.body.decode()


def test_loopback_is_refused_where_the_switch_is_off(start, replies):
    function = start(PIPEWRIGHT_ALLOW_LOOPBACK_RESPONSE_URL="")
    assert function.invoke(event(replies)).outcome == "error"
    assert replies.replies == []


def test_a_template_that_cannot_be_used_is_named(function, replies, s3):
    s3.objects["/templates/large"] = b" " * 1_100_000
    s3.objects["/templates/binary"] = b'{"Version": "\xff\xfe"}'
    for key, digest, *says in [
        ("missing", "0" * 64, "s3://templates/missing does not exist"),
        ("large", "0" * 64, "s3://templates/large has more than 1048576 bytes"),
        ("binary", "0" * 64, "has SHA-256", "0" * 64),
    ]:
        template = {"Bucket": "templates", "Key": key, "Sha256": digest}
        fails(function, replies, event(replies, {"Template": template}), *says)
    template = {"Bucket": "templates", "Key": "binary", "VersionId": "v"}
    fails(function, replies, event(replies, {"Template": template}), "not UTF-8 text from byte 13")


def test_of_two_hundred_faults_the_log_has_all_and_the_reason_what_fits(function, replies):
    """The log has all faults of a request, however many."""
    holes = [f"Hole{n:03}" for n in range(200)]
    template = TEMPLATE.replace("a fixture", " ".join(f"{{{{ {hole} }}}}" for hole in holes))
    reply = fails(function, replies, event(replies, {"Template": template}), "Hole000", " more (")
    told = [hole for hole in holes if hole in reply["Reason"]]
    assert f"and {200 - len(told)} more" in reply["Reason"]
    assert len(replies.replies[0].raw) > 3900
    assert all(hole in function.log() for hole in holes)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("500", "InternalError"),
        ("403", "give the function's role this right"),
        ("close", "s3:PutObject"),
        ("hang", "not finished after"),
    ],
)
def test_an_s3_that_misbehaves_is_told(function, replies, s3, how, says):
    s3.trouble["PUT"] = how
    reply = fails(function, replies, event(replies), says, seconds=6.0)
    # What may have been written is what CloudFormation will ask to delete.
    assert re.search(r"\.json/[0-9a-f]{16}$", reply["PhysicalResourceId"])


def test_a_bucket_that_another_account_made_beforehand_gets_nothing(function, replies, s3):
    s3.owner = "210987654321"
    fails(function, replies, event(replies), "name a bucket of account 123456789012")
    template = {"Bucket": "templates", "Key": "t", "Sha256": "0" * 64}
    fails(function, replies, event(replies, {"Template": template}), "of account 123456789012")
    assert s3.objects == {}


def test_an_s3_that_hangs_for_long_is_named_in_time(function, replies, s3):
    s3.trouble["PUT"] = "hang"
    fails(function, replies, event(replies), "s3:PutObject", seconds=30.0)


def test_a_template_that_computes_for_ever_is_cut_off(function, replies):
    """Work that computes for ever is cut off and answered as a failure as well."""
    loop = "{% for a in range(end=99999) %}{% for b in range(end=99999) %}{% endfor %}{% endfor %}"
    sent = event(replies, {"Template": TEMPLATE + loop})
    fails(function, replies, sent, "not finished after", seconds=5.0)


@pytest.mark.parametrize("does", ["panic", "hang", "block", "chatter"])
@pytest.mark.parametrize("kind", ["Create", "Update", "Delete"])
def test_a_handler_that_misbehaves_is_answered_for(start, troublesome, replies, does, kind):
    if (does, kind) == ("chatter", "Delete"):
        pytest.skip("a deletion has no attributes")
    function = start(troublesome)
    sent = event(replies, {"Does": does}, RequestType=kind)
    if kind != "Create":
        sent["PhysicalResourceId"] = "the/old-one"
    reply = fails(function, replies, sent, seconds=4.0)
    made = "made" if does == "chatter" else "half/made"
    if kind != "Create":
        assert reply["PhysicalResourceId"] == "the/old-one"
    elif does != "chatter":
        assert reply["PhysicalResourceId"] == made
    # The next request finds a function that works.
    replies.replies.clear()
    answered(replies, function.invoke(event(replies, RequestType="Create")), "SUCCESS")


def test_a_reply_is_put_again_until_it_is_taken(function, replies):
    replies.plan[:] = ["500", "503", "close", "429"]
    answered(replies, function.invoke(event(replies), 20.0), "SUCCESS", attempts=5)


@pytest.mark.parametrize("how", ["500", "close", "hang"])
def test_a_reply_that_is_never_taken_is_an_error_in_time(function, replies, how):
    replies.plan[:] = [how] * 1000
    invocation = function.invoke(event(replies), 5.0)
    assert invocation.outcome == "error"
    assert time.time() <= invocation.deadline
    assert "could not be delivered to 127.0.0.1" in invocation.body.decode()
    assert replies.SECRET not in invocation.body.decode()
    assert len(replies.replies) >= 3


def test_a_reply_that_is_refused_is_not_put_again(function, replies):
    replies.plan[:] = ["403"] * 10
    assert function.invoke(event(replies)).outcome == "error"
    assert len(replies.replies) == 1


def test_a_request_with_hardly_any_time_left_is_answered(function, replies):
    function.invoke(event(replies))
    fails(function, replies, event(replies), "no time left", seconds=2.0)


def test_a_slow_start_takes_from_the_time_and_is_answered(start, replies):
    function = start(before="sleep 3;")
    answered(replies, function.invoke(event(replies), 8.0), "SUCCESS")
    function = start(before="sleep 3;")
    fails(function, replies, event(replies), "no time left", seconds=5.0)


def test_a_deadline_that_is_no_time_of_day_is_not_believed(function, replies):
    for deadline in (0.0, 600.0, time.time() - 5, time.time() + 1e7):
        replies.replies.clear()
        invocation = function.invoke(event(replies), deadline=deadline)
        assert invocation.outcome == "response"
        assert replies.replies[0].json["Status"] == "SUCCESS"


def test_repeated_deliveries_are_answered_alike(function, replies):
    """The same event gets the same answer, however often it is delivered."""
    sent = event(replies)
    for _ in range(3):
        assert function.invoke(sent).outcome == "response"
    assert len({reply.raw for reply in replies.replies}) == 1


def test_the_most_verbose_log_holds_no_secret(function, replies):
    """Nothing of a ResponseURL but its host is written to the log, at whatever level."""
    function.invoke(event(replies))
    function.invoke({**event(replies), "RequestType": 7})
    replies.plan[:] = ["403"]
    function.invoke(event(replies))
    function.invoke(event(replies, ResponseURL="https://example.com/?" + replies.SECRET))
    log = function.log()
    # It is verbose: what is written as the work goes on is there.
    assert "request received" in log and "has not been answered" in log
    for secret in (replies.SECRET, "X-Amz-Signature", "arn%3Aaws"):
        assert secret not in log
