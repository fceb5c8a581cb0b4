"""The cookies of one user, by the rules of the standard library's jar."""

from email.message import Message
from http.cookiejar import CookieJar
from urllib.request import Request

from clients.response import Response


class Cookies:
    """What a server has set, and what of it a request to a URL carries."""

    def __init__(self) -> None:
        self._jar = CookieJar()

    def lines(self, url: str) -> bytes:
        """Return the `Cookie` header for a request, or nothing."""
        request = Request(url)
        self._jar.add_cookie_header(request)
        value = request.get_header("Cookie")
        return f"Cookie: {value}\r\n".encode("latin-1") if value else b""

    def take(self, url: str, response: Response) -> None:
        """Keep what a response sets."""
        told = Message()
        for name, value in response.fields:
            if name == "set-cookie":
                told.add_header("Set-Cookie", value)
        if told:
            self._jar.extract_cookies(_Told(told), Request(url))  # type: ignore[arg-type]


class _Told:
    """A response, as the jar wants to see it."""

    def __init__(self, message: Message) -> None:
        self._message = message

    def info(self) -> Message:
        return self._message
