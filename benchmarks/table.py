"""A benchmark's result: rows of figures, and whether the promise in each row held."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Table:
    """Rows of (what, measured, promise, held); `held` is None where a row only informs."""

    title: str
    rows: list[tuple[str, str, str, bool | None]] = field(default_factory=list)

    def add(self, what: str, measured: str, promise: str = "", held: bool | None = None) -> None:
        """Add one row."""
        self.rows.append((what, measured, promise, held))

    @property
    def held(self) -> bool:
        """True when no promise was broken."""
        return all(held is not False for *_, held in self.rows)

    def markdown(self) -> str:
        """Return the table as Markdown."""
        words = {True: "holds", False: "**broken**", None: ""}
        lines = [f"**{self.title}**", "", "| what | measured | promise | |", "|---|---|---|---|"]
        lines += [f"| {what} | {measured} | {promise} | {words[held]} |" for what, measured, promise, held in self.rows]
        return "\n".join(lines)
