"""Event streams are read by the rules of the HTML standard, however the network cut them."""

from __future__ import annotations

import itertools
import re
import time

import gevent
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.sse import Event, parse


def events(*pieces: bytes) -> list[Event]:
    return list(parse((float(number), piece) for number, piece in enumerate(pieces)))


def data(*pieces: bytes) -> list[str]:
    return [event.text for event in events(*pieces)]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_each_kind_of_line_end_ends_a_line(end: bytes) -> None:
    assert data(b"data: a" + end + end + b"data: b" + end + b"data: c" + end + end) == ["a", "b\nc"]


def test_kinds_of_line_ends_may_be_mixed() -> None:
    assert data(b"data: a\r\n\ndata: b\r\rdata: c\n\r\ndata: d\r\n\r\n") == ["a", "b", "c", "d"]


def test_a_crlf_cut_in_two_is_one_line_end() -> None:
    assert data(b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n") == ["a\nb"]
    assert data(b"data: a\r", b"", b"\ndata: b\n\n") == ["a\nb"]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data:a\n\n", ["a"]),
        (b"data: a\n\n", ["a"]),
        (b"data:  a\n\n", [" a"]),
        (b"data:\ta\n\n", ["\ta"]),
        (b"data: a \n\n", ["a "]),
        (b"data: a: b\n\n", ["a: b"]),
        (b"data\n\n", [""]),
        (b"data:\n\n", [""]),
        (b"data\ndata\n\n", ["\n"]),
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", ["YHOO\n+2\n10"]),
        (b" data: a\n\n", []),
        (b"Data: a\n\n", []),
        (b"datum: a\n\n", []),
        (b"\n\n\ndata: a\n\n\n\n", ["a"]),
        (b"event: ping\n\ndata: a\n\n", ["a"]),
    ],
)
def test_fields_are_read_as_the_standard_says(stream: bytes, expected: list[str]) -> None:
    assert data(stream) == expected


def test_comments_keep_a_connection_alive_and_mean_nothing() -> None:
    assert data(b":\n\n: ping\n\ndata: a\n:in between\ndata: b\n\n:\n") == ["a\nb"]


def test_an_event_has_its_kind_and_the_next_one_has_the_default_again() -> None:
    read = events(b"event: error\ndata: a\n\ndata: b\n\nevent\ndata: c\n\n")
    assert [event.event for event in read] == ["error", "message", "message"]


def test_the_kind_of_an_event_without_data_is_forgotten() -> None:
    assert [event.event for event in events(b"event: error\n\ndata: a\n\n")] == ["message"]


def test_the_last_id_holds_until_the_next_and_one_with_a_null_is_ignored() -> None:
    read = events(b"data: a\n\nid: 1\ndata: b\n\ndata: c\n\nid: 2\0\ndata: d\n\nid\ndata: e\n\n")
    assert [event.id for event in read] == [None, "1", "1", "1", ""]


def test_retry_is_no_data() -> None:
    assert data(b"retry: 1000\ndata: a\nretry: x\n\n") == ["a"]


def test_a_byte_order_mark_is_left_out_at_the_start_only() -> None:
    mark = b"\xef\xbb\xbf"
    assert data(mark + b"data: a\n\n") == ["a"]
    assert data(b"\xef", b"\xbb", b"\xbfdata: a\n\n") == ["a"]
    assert data(b"\xef\xbb", b"data: a\n\ndata: b\n\n") == ["b"]
    assert data(b"data: a\n\n" + mark + b"data: b\n\ndata: " + mark + b"c\n\n") == ["a", "\ufeffc"]
    assert data(mark + mark + b"data: a\n\n") == []


def test_a_character_may_be_cut_anywhere() -> None:
    raw = "data: é€😀\n\n".encode()
    assert data(*(raw[i : i + 1] for i in range(len(raw)))) == ["é€😀"]


def test_bytes_that_are_no_utf8_become_replacement_characters() -> None:
    assert data(b"data: a\xffb\xe2\x82\ndata: c\n\n") == ["a\ufffdb\ufffd\nc"]


@pytest.mark.parametrize("end", [b"data: b", b"data: b\n", b"data: b\r", b"data: b\r\n", b"event: x\n", b"data: \xe2"])
def test_an_event_that_the_end_of_the_stream_cut_off_is_dropped(end: bytes) -> None:
    assert data(b"data: a\n\n" + end) == ["a"]


def test_an_event_is_stamped_with_the_piece_that_completed_it() -> None:
    read = events(b"data: a\n", b"\ndata: b\n\ndata: c\r\n\r", b"\n", b"data: d\n\n")
    assert [(event.text, event.at) for event in read] == [("a", 1), ("b", 1), ("c", 1), ("d", 3)]


# -- all of it at once, against a reading of the standard that is as plain as possible -------------------------------

TOKENS = [
    *(b"data: x", b"data:", b"data", b"data:  y", b"data: a:b", b"event: e", b"event", b"id: 1", b"id: \0"),
    *(b"retry: 5", b":", b": c", b"foo: bar", b"\xef\xbb\xbf", "é€😀".encode(), b"\xff", b"\xe2\x82", b" "),
]
ENDS = [b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n"]


def reference(stream: bytes) -> list[tuple[int, str, str, str | None]]:
    """(place of the byte that completed it, data, event, id) of each event of a whole stream."""
    start = 3 if stream.startswith(b"\xef\xbb\xbf") else 0
    found: list[tuple[int, str, str, str | None]] = []
    buffer, kind, last_id = "", "", None
    for match in re.finditer(rb"([^\r\n]*)(\r\n|\r|\n)", stream[start:]):
        line = match[1].decode("utf-8", "replace")
        if line == "":
            if buffer:
                found.append((start + match.start(2), buffer.removesuffix("\n"), kind or "message", last_id))
            buffer, kind = "", ""
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            buffer += value + "\n"
        elif name == "event":
            kind = value
        elif name == "id" and "\0" not in value:
            last_id = value
    return found


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.one_of(st.sampled_from(TOKENS), st.sampled_from(ENDS)), max_size=40),
    st.lists(st.integers(0, 200), max_size=30),
    st.booleans(),
)
def test_any_stream_cut_anywhere_is_read_as_the_standard_says(tokens: list[bytes], cuts: list[int], mark: bool) -> None:
    stream = b"\xef\xbb\xbf" * mark + b"".join(tokens)
    edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    pieces = [stream[a:b] for a, b in itertools.pairwise(edges)]
    expected = [
        (max(number for number, edge in enumerate(edges[:-1]) if edge <= place), text, kind, last_id)
        for place, text, kind, last_id in reference(stream)
    ]
    assert [(event.at, event.text, event.event, event.id) for event in events(*pieces)] == expected


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(st.one_of(st.sampled_from(TOKENS), st.sampled_from(ENDS)), max_size=6), max_size=12))
def test_pieces_that_hold_whole_events_are_read_as_the_standard_says(lines: list[list[bytes]]) -> None:
    # Most servers write an event at a time: each piece ends with a blank line, though not each in the same way.
    pieces = [b"data: first\n\n", *(b"".join(parts) + b"\n\n" for parts in lines)]
    edges = [0, *itertools.accumulate(map(len, pieces))]
    expected = [
        (max(number for number, edge in enumerate(edges[:-1]) if edge <= place), text, kind, last_id)
        for place, text, kind, last_id in reference(b"".join(pieces))
    ]
    assert [(event.at, event.text, event.event, event.id) for event in events(*pieces)] == expected


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60), st.integers(1, 10))
def test_no_bytes_whatever_break_the_parser(noise: bytes, size: int) -> None:
    stream = b"data: a\n" + noise + b"\n\n"
    pieces = [stream[i : i + size] for i in range(0, len(stream), size)]
    assert [event.text for event in events(*pieces)] == [text for _, text, _, _ in reference(stream)]


def test_a_huge_line_in_many_pieces_takes_time_in_proportion() -> None:
    # 5 MB in 12500 pieces. Anything that goes over what came before at each piece moves more than 30 GB.
    line = b"data: " + b"x" * 5_000_000 + b"\n\n"
    pieces = [line[i : i + 400] for i in range(0, len(line), 400)]
    began = time.process_time()
    assert [len(text) for text in data(*pieces)] == [5_000_000]
    assert time.process_time() - began < 1.5


def test_a_long_stream_lets_others_take_their_turn_while_it_is_parsed() -> None:
    turns: list[int] = []
    count = 0

    def other() -> None:
        while True:
            turns.append(count)
            gevent.sleep(0)

    job = gevent.spawn(other)
    for _ in parse([(0.0, b"data: x\n\n" * 5000)]):
        count += 1
    job.kill()
    assert count == 5000
    assert max(b - a for a, b in zip([0, *turns], [*turns, count], strict=True)) <= 512
