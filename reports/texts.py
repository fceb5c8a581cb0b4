"""Texts from outside (error messages, names) made fit to be shown: nothing in them may act or vanish."""

LONGEST = 2000
"""Characters of one text that the forms for people show; verdict.json keeps the rest."""

_PICTURES = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n"}
_PICTURES[0x0D] = ""
_PICTURES[0x7F] = "\u2421"
_C1 = dict.fromkeys(range(128, 160), "�")
# Signs that turn the direction of writing could make a failed line read like another one.
_BIDI = {code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F)}
# No well-formed XML or UTF-8 can hold these.
_FORBIDDEN = dict.fromkeys((*range(55296, 57344), 65534, 65535), "�")
_TABLE = {**_PICTURES, **_C1, **_BIDI, **_FORBIDDEN}


def printable(text: str, longest: int = LONGEST) -> str:
    """Return the text with control characters as pictures, legal in XML, HTML and UTF-8, and cut when very long.

    >>> printable("a" + chr(0) + "b")
    'a␀b'
    """
    cut = len(text) - longest
    if cut > 0:
        text = text[:longest] + f" … ({cut:,} more characters)"
    return text.translate(_TABLE)


def one_line(text: str, longest: int = 300) -> str:
    """Return the printable text on one line, runs of white space as one space."""
    return " ".join(printable(text, longest).split())
