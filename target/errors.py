"""The two shapes of an error body: OpenAI's under /v1, `{"detail": ...}` everywhere else."""

from __future__ import annotations

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from .engine import RefusedError

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
    503: "overloaded_error",
}


def openai_error(status: int, code: str, message: str) -> dict[str, object]:
    """An error body as OpenAI's API sends it."""
    kind = TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


class ModelError(HTTPException):
    """An error of the LLM routes that is not about the form of the body."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, message)
        self.code = code


async def on_invalid(request: Request, error: Exception) -> JSONResponse:
    """A body or parameter that does not fit: 400 in OpenAI's form under /v1, else 422 listing each field."""
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if request.url.path.startswith("/v1/"):
        first = found[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body") or "body"
        if first["type"] == "json_invalid":
            return JSONResponse(openai_error(400, "invalid_json", "The body is not valid JSON."), 400)
        return JSONResponse(openai_error(400, "invalid_value", f"{where}: {first['msg']}"), 400)
    detail = [{"loc": list(item["loc"]), "msg": item["msg"], "type": item["type"]} for item in found]
    return JSONResponse({"detail": detail}, 422)


async def on_model_error(request: Request, error: Exception) -> JSONResponse:
    """Answer a `ModelError` in OpenAI's form."""
    assert isinstance(error, ModelError)
    return JSONResponse(openai_error(error.status_code, error.code, str(error.detail)), error.status_code)


async def on_refused(request: Request, error: Exception) -> JSONResponse:
    """Answer a request that the engine refused, with the time after which to try again."""
    assert isinstance(error, RefusedError)
    body = openai_error(error.status, error.code, str(error))
    return JSONResponse(body, error.status, {"retry-after": str(error.retry_after_s)})


async def on_http_error(request: Request, error: Exception) -> JSONResponse:
    """Unknown paths and methods, and what routes raise themselves."""
    status = getattr(error, "status_code", 500)
    detail = getattr(error, "detail", "Error")
    headers = getattr(error, "headers", None)
    if request.url.path.startswith("/v1/"):
        return JSONResponse(openai_error(status, "http_error", str(detail)), status, headers)
    return JSONResponse({"detail": detail}, status, headers)
