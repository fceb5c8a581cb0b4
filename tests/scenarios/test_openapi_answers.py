"""Answers against the document that declares them, and ids in answers of any form."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.execution.between import in_between
from tests.scenarios.streams import Load

PETS = Path(__file__).parents[1] / "execution" / "pets.yaml"


@pytest.mark.parametrize(
    ("status", "outcome", "error"),
    [
        (200, "bad_content", "not of the declared schema:"),
        (202, "bad_content", "HTTP 202 is not declared by the document"),
        (404, "http_error", "HTTP 404 is not declared by the document"),
        (500, "http_error", "HTTP 500"),
    ],
)
def test_an_answer_that_the_document_does_not_declare_fails(load: Load, status: int, outcome: str, error: str) -> None:
    with in_between(9, "GET", "/pets", status) as url:
        told = load(url, "OpenApiUser", 2, spec=str(PETS), include=["listPets"])
    assert [sample["outcome"] for sample in told["samples"]] == [outcome] * 2
    assert all(sample["error"].startswith(error) for sample in told["samples"])
