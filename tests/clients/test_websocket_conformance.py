"""The WebSocket client against every kind of frame that RFC 6455 and RFC 7692 allow or forbid.

Each case is sent by a server of another library, which judges what the client answers. The client gives every message
back, as the clients under the Autobahn test suite do.
"""

from __future__ import annotations

import itertools
import random

import gevent
import pytest
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Opcode
from websockets.server import ServerProtocol

from clients.errors import BadResponse, ClientError, ConnectionLost, TooLong
from clients.options import Limits, Options
from clients.websocket import Connection, Message
from tests.clients.judge import Judge

WORDS = "κόσμε \U0001f600 plain "
LENGTHS = (0, 1, 125, 126, 127, 128, 65535, 65536, 200_000)


def give_back(url: str, compression: bool = False, limits: Limits | None = None) -> tuple[Connection, ClientError]:
    """Echo until the connection ends; then close. Return it with what ended it."""
    options = Options(compression=compression, limits=limits or Limits())
    connection = Connection(url, "/", {}, 5, options)
    try:
        with gevent.Timeout(10):
            while True:
                received = connection.receive(5)
                assert received is not None, "the server went silent"
                if isinstance(received, Message):
                    connection.send(received.text)
    except ClientError as error:
        return connection, error
    finally:
        connection.close()


def text(length: int) -> bytes:
    return (WORDS * (length // len(WORDS) + 1))[:length].encode()


def in_parts(protocol: ServerProtocol, payload: bytes, parts: int, pings: bool = False) -> None:
    """Send a text in frames, cut anywhere, with pings in between."""
    cuts = [len(payload) * part // parts for part in range(parts + 1)]
    for part, (start, end) in enumerate(itertools.pairwise(cuts)):
        send = protocol.send_continuation if part else protocol.send_text
        send(payload[start:end], fin=part == parts - 1)
        if pings:
            protocol.send_ping(b"%d" % part)


@pytest.mark.parametrize("piece", [0, 1, 7, 4096])
@pytest.mark.parametrize("parts", [1, 2, 5])
def test_messages_of_all_lengths_in_all_cuts_come_back(piece: int, parts: int) -> None:
    payloads = [text(length) for length in LENGTHS if not (piece == 1 and length > 1000)]

    def script(protocol: ServerProtocol) -> bytes:
        for payload in payloads:
            in_parts(protocol, payload, parts)
        protocol.send_close(1000)
        return b""

    with Judge(script, piece=piece) as judge:
        connection, _ = give_back(judge.url)
    assert judge.messages() == payloads
    assert judge.complaint is None
    assert connection.status == judge.close_code == 1000


def test_binary_messages_are_taken() -> None:
    def script(protocol: ServerProtocol) -> bytes:
        protocol.send_binary(b"abc", fin=False)
        protocol.send_continuation(b"\xff", fin=True)
        protocol.send_close(1000)
        return b""

    with Judge(script) as judge:
        give_back(judge.url)
    assert judge.messages() == ["abc\ufffd".encode()]


@pytest.mark.parametrize("piece", [0, 1])
def test_pings_between_fragments_are_answered_with_their_payload_in_order(piece: int) -> None:
    def script(protocol: ServerProtocol) -> bytes:
        protocol.send_ping(b"")
        protocol.send_ping(b"x" * 125)
        in_parts(protocol, text(50), 4, pings=True)
        protocol.send_pong(b"nobody asked")
        protocol.send_close(1000)
        return b""

    with Judge(script, piece=piece) as judge:
        give_back(judge.url)
    pongs = [bytes(frame.data) for frame in judge.frames if frame.opcode is Opcode.PONG]
    assert pongs == [b"", b"x" * 125, b"0", b"1", b"2", b"3"]
    assert judge.messages() == [text(50)]


DEFLATES = {
    "context kept": {},
    "server without context": {"server_no_context_takeover": True},
    "client without context": {"client_no_context_takeover": True},
    "small windows": {"server_max_window_bits": 9, "client_max_window_bits": 9},
}


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("kind", DEFLATES)
def test_compressed_messages_come_back(kind: str, parts: int) -> None:
    noise = random.Random(1)
    payloads = [text(length) for length in (*LENGTHS, 300, 300)]
    payloads.append("".join(chr(noise.randrange(32, 0x2000)) for _ in range(5000)).encode())

    def script(protocol: ServerProtocol) -> bytes:
        assert protocol.extensions
        for payload in payloads:
            in_parts(protocol, payload, parts, pings=True)
        protocol.send_close(1000)
        return b""

    with Judge(script, ServerPerMessageDeflateFactory(**DEFLATES[kind])) as judge:  # type: ignore[arg-type] # mixed values
        connection, _ = give_back(judge.url, compression=True)
    assert connection.is_compressed
    assert judge.complaint is None
    assert judge.messages() == payloads
    assert judge.close_code == 1000


def test_a_server_that_does_not_compress_is_spoken_to_plainly() -> None:
    def script(protocol: ServerProtocol) -> bytes:
        protocol.send_text(b"plain")
        protocol.send_close(1000)
        return b""

    with Judge(script) as judge:
        connection, _ = give_back(judge.url, compression=True)
    assert not connection.is_compressed
    assert judge.messages() == [b"plain"]


def close(code: int, why: bytes = b"") -> bytes:
    payload = code.to_bytes(2, "big") + why
    return bytes([0x88, len(payload)]) + payload


FORBIDDEN = {
    "rsv1 without an extension": (b"\xc1\x01a", 1002),
    "rsv2": (b"\xa1\x01a", 1002),
    "rsv3": (b"\x91\x01a", 1002),
    "rsv1 on a ping": (b"\xc9\x00", 1002),
    **{f"opcode {code:x}": (bytes([0x80 | code, 0]), 1002) for code in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "a masked frame": (b"\x81\x81\x00\x00\x00\x00a", 1002),
    "a ping in fragments": (b"\x09\x00", 1002),
    "a close in fragments": (b"\x08\x00", 1002),
    "a ping of 126 bytes": (b"\x89\x7e\x00\x7e" + b"x" * 126, 1002),
    "a continuation of nothing": (b"\x80\x01a", 1002),
    "a continuation after the end": (b"\x81\x01a\x80\x01a", 1002),
    "a new message inside another": (b"\x01\x01a\x81\x01b", 1002),
    "a length of 16 bits for a short one": (b"\x81\x7e\x00\x01a", 1002),
    "a length of 64 bits for a short one": (b"\x81\x7f" + (5).to_bytes(8, "big") + b"hello", 1002),
    "a negative length": (b"\x81\x7f" + b"\xff" * 8, 1002),
    "text that is no UTF-8": (b"\x81\x02\xc3\x28", 1007),
    "text that ends inside a character": (b"\x81\x02\xe2\x82", 1007),
    "a surrogate": (b"\x81\x03\xed\xa0\x80", 1007),
    "beyond Unicode": (b"\x81\x04\xf4\x90\x80\x80", 1007),
    "no UTF-8 in a later fragment": (b"\x01\x02\xce\xba\x80\x01\xff", 1007),
    "a close of one byte": (b"\x88\x01\x03", 1002),
    "a close with a reason that is no UTF-8": (close(1000, b"\xff"), 1007),
    **{f"close code {code}": (close(code), 1002) for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000)},
}


@pytest.mark.parametrize("piece", [0, 1])
@pytest.mark.parametrize("case", FORBIDDEN)
def test_what_is_forbidden_ends_the_connection_with_the_right_code(case: str, piece: int) -> None:
    raw, code = FORBIDDEN[case]
    with Judge(lambda _: raw, piece=piece) as judge:
        connection, error = give_back(judge.url)
    assert isinstance(error, BadResponse)
    assert "broke the protocol" in str(error)
    assert judge.close_code == code
    assert connection.status is None


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 4999])
def test_a_close_is_answered_with_its_code(code: int) -> None:
    with Judge(lambda _: close(code, "κ".encode())) as judge:
        connection, error = give_back(judge.url)
    assert isinstance(error, ConnectionLost)
    assert connection.status == judge.close_code == code


def test_a_close_without_a_code_has_none_and_nothing_after_it_counts() -> None:
    with Judge(lambda _: b"\x88\x00\x81\x01a") as judge:
        connection, error = give_back(judge.url)
    assert isinstance(error, ConnectionLost)
    assert connection.status is None
    assert judge.messages() == []
    assert judge.close_code == 1005


def test_a_message_beyond_the_limit_is_refused_before_it_is_whole() -> None:
    def script(protocol: ServerProtocol) -> bytes:
        protocol.send_text(b"x" * 1000)
        protocol.send_text(b"x" * 600, fin=False)
        protocol.send_continuation(b"x" * 401, fin=False)
        return b""

    with Judge(script) as judge:
        _, error = give_back(judge.url, limits=Limits(body_bytes=1000))
    assert isinstance(error, TooLong)
    assert judge.messages() == [b"x" * 1000]
    assert judge.close_code == 1009


def test_a_deflate_bomb_is_refused() -> None:
    def script(protocol: ServerProtocol) -> bytes:
        protocol.send_text(b"x" * 50_000_000)
        return b""

    with Judge(script, ServerPerMessageDeflateFactory()) as judge:
        _, error = give_back(judge.url, compression=True, limits=Limits(body_bytes=100_000))
    assert isinstance(error, TooLong)
    assert judge.close_code == 1009


def test_what_is_not_deflated_under_rsv1_is_refused() -> None:
    with Judge(lambda _: b"\xc1\x05\xff\xff\xff\xff\xff", ServerPerMessageDeflateFactory()) as judge:
        _, error = give_back(judge.url, compression=True)
    assert isinstance(error, BadResponse)
    assert judge.close_code in {1002, 1007}
