"""A run for a chat, as a picture and as Parquet: what they hold, where they go, what hostile texts do in them."""

import json
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from reports import __main__ as command
from reports.analysis import Analysis, Series, Verdict
from reports.chat import HOSTS, ChatForm, NotAllowed, check_url, lines, payload
from reports.markdown import summary_md
from reports.parquet import write_parquet
from reports.picture import mermaid, thinned, timeline_svg
from samples.sample import Outcome
from samples.segments import SAMPLE_SCHEMA
from tests.reports.analyses import analysis, empty
from tests.reports.builder import RunBuilder, failed, steady
from tests.reports.test_render import HOSTILE, hostile

ALL = [analysis(verdict) for verdict in Verdict] + [empty(), hostile(analysis(Verdict.FAIL))]
IDS = [*Verdict, "empty", "hostile"]


class _Hook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, _Server)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append((self.path, self.headers["Content-Type"], json.loads(body)))
        self.send_response(self.server.status)
        if self.server.status == 302:
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return None


class _Server(HTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Hook)
        self.taken: list[tuple[str, str, dict[str, str]]] = []
        self.status = 200


@pytest.fixture
def hook() -> Iterator[_Server]:
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    samples = [*steady(9, 0, 30), *(failed(t, Outcome.HTTP_ERROR, "HTTP 503: busy") for t in range(30))]
    return RunBuilder().samples(samples).write(tmp_path / "run")


@pytest.mark.parametrize("made", ALL, ids=IDS)
@pytest.mark.parametrize("form", list(ChatForm))
def test_a_chat_gets_a_few_short_lines_in_which_nothing_acts(made: Analysis, form: ChatForm) -> None:
    found = json.loads(payload(made, form))
    text = json.dumps(found, ensure_ascii=False)
    assert 2 <= len(lines(made)) <= 11
    assert all(len(line) <= 340 and "\n" not in line for line in lines(made))
    assert made.verdict.value in lines(made)[0]
    assert "<" not in text
    assert "@channel" not in text
    if form is ChatForm.SLACK:
        assert found.keys() == {"text"}
    else:
        (card,) = found["attachments"]
        assert card["contentType"] == "application/vnd.microsoft.card.adaptive"
        assert [block["type"] for block in card["content"]["body"]] == ["TextBlock"] * len(lines(made))


def test_a_failed_run_names_the_limits_that_broke_and_what_to_do() -> None:
    text = "\n".join(lines(analysis(Verdict.FAIL)))
    assert "sustained: latency_p95_ms 912 ms < 600 ms" in text
    assert "→ Look at the slowest requests." in text
    assert "TC-L3-PERF-LOAD-001" in text


@pytest.mark.parametrize(
    ("url", "allowed", "words"),
    [
        ("https://hooks.example.com/x", "", "which is empty"),
        ("https://hooks.example.com/x", "other.example.com", "hooks.example.com is not in"),
        ("https://hooks.example.com.evil.org/x", "hooks.example.com", "is not in"),
        ("https://hooks.example.com@evil.org/x", "hooks.example.com", "evil.org is not in"),
        ("http://hooks.example.com/x", "hooks.example.com", "unencrypted"),
        ("file:///etc/passwd", "", "must be an https URL"),
        ("hooks.example.com", "hooks.example.com", "must be an https URL"),
    ],
)
def test_a_report_goes_only_where_it_is_allowed_to(url: str, allowed: str, words: str) -> None:
    with pytest.raises(NotAllowed, match=words):
        check_url(url, {HOSTS: allowed})


def test_an_allowed_url_is_taken() -> None:
    url = "https://hooks.example.com/x"
    assert check_url(url, {HOSTS: " other.example.com, Hooks.Example.com "}) == url


def test_a_url_that_is_not_allowed_ends_with_2_before_anything_is_read(
    folder: Path, hook: _Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([str(folder), "--webhook", f"http://127.0.0.1:{hook.server_port}/secret"]) == 2
    assert hook.taken == []
    assert not (folder / "report").exists()
    assert "secret" not in capsys.readouterr().err


def test_the_lines_are_sent_once_and_written_when_asked_for(
    folder: Path, hook: _Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(HOSTS, "127.0.0.1")
    url = f"http://127.0.0.1:{hook.server_port}/hook"
    file = tmp_path / "chat.json"
    assert command.main([str(folder), "--quiet", "--webhook", url, "--webhook-file", str(file)]) == 1
    ((path, kind, sent),) = hook.taken
    assert (path, kind) == ("/hook", "application/json; charset=utf-8")
    assert sent["text"].startswith("❌ FAIL · TC-1")
    assert json.loads(file.read_text(encoding="utf-8")) == sent


@pytest.mark.parametrize(("status", "words"), [(500, "it answered 500"), (302, "it answered 302")])
def test_a_webhook_that_refuses_is_told_and_leaves_the_verdict(
    folder: Path,
    hook: _Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    status: int,
    words: str,
) -> None:
    monkeypatch.setenv(HOSTS, "127.0.0.1")
    hook.status = status
    assert command.main([str(folder), "--quiet", "--webhook", f"http://127.0.0.1:{hook.server_port}/secret"]) == 1
    said = capsys.readouterr().err
    assert words in said
    assert "secret" not in said
    assert [path for path, *_ in hook.taken] == ["/secret"], "a redirect is not followed"


@pytest.mark.parametrize("made", ALL, ids=IDS)
def test_the_picture_is_svg_in_which_nothing_acts(made: Analysis) -> None:
    root = ET.fromstring(timeline_svg(made))
    names = {element.tag.partition("}")[2] for element in root.iter()}
    assert names <= {"svg", "title", "rect", "text", "tspan", "path"}
    assert not [key for element in root.iter() for key in element.attrib if key.startswith("on") or "href" in key]
    assert made.verdict.value in "".join(root.itertext())
    drawn = [e.get("d", "") for e in root.iter() if e.get("fill") == "none"]
    assert all("nan" not in one and "inf" not in one for one in drawn)
    assert bool(drawn) == bool(made.timeline.load)


def test_a_thinned_curve_keeps_its_peaks_and_its_gaps() -> None:
    assert thinned([1.0, 9.0, None, None, 3.0, 2.0], 3) == [9.0, None, 3.0]
    assert max(v for v in thinned([float(i == 777) for i in range(14_400)], 60) if v is not None) == 1.0


def test_the_summary_draws_rate_and_latency_and_never_a_gap_as_zero() -> None:
    base = analysis()
    gap = Series("p95", "p95", "ms", [200.0, None, None, 260.0])
    made = replace(base, timeline=replace(base.timeline, points=4, latency=[gap]))
    text = "\n".join(mermaid(made))
    assert "line [200, 220, 240, 260]" in text
    assert text.count("xychart-beta") == 2
    assert text in summary_md(made).decode()
    assert mermaid(empty()) == []


def test_hostile_texts_do_not_get_into_the_charts_of_the_summary() -> None:
    assert HOSTILE[:9] not in "\n".join(mermaid(hostile(analysis(Verdict.FAIL))))


def test_parquet_has_every_sample_as_it_was_recorded(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(folder), "--quiet", "--parquet"]) == 1
    assert f"samples: {folder}/report/samples.parquet" in capsys.readouterr().out
    table = pq.read_table(folder / "report" / "samples.parquet")
    assert table.schema.remove_metadata() == SAMPLE_SCHEMA
    assert table.num_rows == 300
    assert table["outcome"].to_pylist().count("http_error") == 30
    assert {row["error"] for row in table.to_pylist() if row["outcome"] != "ok"} == {"HTTP 503: busy"}


def test_parquet_of_a_run_without_samples_is_an_empty_table(tmp_path: Path) -> None:
    folder = RunBuilder().write(tmp_path / "run")
    assert pq.read_table(write_parquet(folder)).num_rows == 0
