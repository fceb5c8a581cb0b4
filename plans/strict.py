"""The base of everything in a plan: immutable and strict."""

from types import UnionType
from typing import Annotated, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


def _numeric(annotation: object) -> bool:
    """Return True when a field holds a number or nothing: `float`, `int | None`, `Annotated[float, ...]`."""
    kinds = annotation.__args__ if isinstance(annotation, UnionType) else get_args(annotation)
    if get_origin(annotation) is Annotated:
        return _numeric(kinds[0])
    if not kinds:
        return annotation in (int, float)
    return all(_numeric(kind) for kind in kinds if kind is not type(None))


class Frozen(BaseModel):
    """Base of everything in a plan: immutable, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_yes_for_a_number(cls, value: object, info: ValidationInfo) -> object:
        """YAML reads `on` and `yes` as true, which a number would silently take for 1."""
        field = cls.model_fields.get(info.field_name or "")
        if isinstance(value, bool) and field is not None and _numeric(field.annotation):
            raise ValueError("must be a number")
        return value
