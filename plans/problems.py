"""Problems of a plan in the words of an operator, all of them at once."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where: `file: field message`."""

    file: str
    field: str
    message: str

    def __str__(self) -> str:
        return " ".join(part for part in (f"{self.file}:", self.field, self.message) if part)


class PlanError(Exception):
    """A plan, option or file that cannot be used; carries every problem found, and means exit code 2."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))
