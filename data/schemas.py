"""JSON Schema: checks that are compiled before the load; those in Python would cost the load process its time."""

from collections.abc import Callable
from typing import Any

Schema = dict[str, Any]


class SchemaError(ValueError):
    """A schema that cannot be used; the message says why."""


class Check:
    """A compiled schema, draft 2020-12."""

    __slots__ = ("_invalid", "_validate", "is_valid")

    def __init__(self, schema: Schema) -> None:
        """Raises SchemaError for what is no schema, or refers to what is not there."""
        import jsonschema_rs  # noqa: PLC0415 - 3 MB that only those who have schemas need

        try:
            validator = jsonschema_rs.Draft202012Validator(schema)
        except (ValueError, jsonschema_rs.ReferencingError) as error:
            raise SchemaError(str(error).splitlines()[0]) from None
        self._validate, self._invalid = validator.validate, jsonschema_rs.ValidationError
        self.is_valid: Callable[[object], bool] = validator.is_valid
        """Tells whether a content is of the schema."""

    def problem(self, content: object) -> str | None:
        """Return where and why a content is not of the schema, or None when it is."""
        try:
            self._validate(content)
        except self._invalid as error:
            where = "".join(f"[{part!r}]" for part in error.instance_path)
            return f"{where} {error.message}".strip()
        return None
