"""What Proofload adds to Locust's web UI: a start form that is checked, the Verdict tab, reports and metrics."""

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from flask import Blueprint, Response, jsonify, request, send_file
from locust.env import Environment
from locust.web import WebUI

from execution import login, options
from execution.exposition import PATH, Exposition
from execution.look import REPORT, Look, Stage, past_runs, report_of
from plans.problems import PlanError
from scenarios import brought

REPORT_ROUTE = "/report"
_PAGES = Path(__file__).resolve().parent / "pages"
_SCRIPT = '<script type="module" src="./verdict/verdict.js"></script>'


def extend(
    web_ui: WebUI,
    environment: Environment,
    look: Look,
    stage: Callable[[], Stage],
    hindrance: Callable[[], str | None],
) -> None:
    """Check every start before users exist, and show runs in a tab, with links to their reports.

    No run is begun while there is a `hindrance`, which is said in words.
    """

    def guard() -> Response | None:
        if not (request.method == "POST" and request.path.endswith("/swarm") and login.passed(web_ui)):
            return None  # Locust itself sends those away who are not logged in
        if (why := hindrance()) is not None:
            return _refusal(environment, why)
        if request.form.get("shape_class") == "Default":
            return _refusal(environment, "choose a shape class: PlanShape runs the plan's own phases")
        asked = Namespace(**(vars(environment.parsed_options) | request.form.to_dict()))
        try:
            mix = options.resolve(asked).plan.mix
            brought.classes(mix)
        except PlanError as error:
            return _refusal(environment, str(error))
        picked = request.form.getlist("user_classes")
        if picked and (missing := set(mix.names()) - set(mix.brought()) - set(picked)):
            return _refusal(environment, f"pick {', '.join(sorted(missing))} too: the plan's mix asks for it")
        return None

    def add_script(response: Response) -> Response:
        """Locust's front end has room for tables only in tabs of others: the script fills ours."""
        if request.endpoint == "locust.index" and response.mimetype == "text/html" and not response.is_streamed:
            page = response.get_data(as_text=True)
            response.set_data(page.replace("</body>", f"{_SCRIPT}</body>"))
        return response

    app = web_ui.app
    assert app is not None  # made by the constructor of WebUI
    app.before_request(guard)
    app.after_request(add_script)
    app.register_blueprint(_pages(web_ui, environment, look, stage))
    web_ui.template_args["extended_tabs"] = [{"key": "verdict", "title": "Verdict"}]
    web_ui.template_args["extended_csv_files"] = [
        {"href": f".{REPORT_ROUTE}", "title": "Proofload: report of the last run"}
    ]


def _pages(web_ui: WebUI, environment: Environment, look: Look, stage: Callable[[], Stage]) -> Blueprint:
    """Return the routes of the tab. All of them ask for the login when there is one."""
    given = environment.parsed_options
    base = str(getattr(given, "web_base_path", None) or "")
    pages = Blueprint("proofload", __name__, url_prefix=base or None)
    runs = Path(str(getattr(given, "runs", "runs"))).resolve()

    def add(path: str, name: str, view: Callable[..., Response]) -> None:
        pages.add_url_rule(path, name, web_ui.auth_required_if_enabled(view))

    def last_report() -> Response:
        path = None if look.last is None else look.last / REPORT
        return _sent(path, "No run has ended yet, or its report could not be made.")

    def state() -> Response:
        return Response(look.view(stage()).model_dump_json(), mimetype="application/json")

    add(REPORT_ROUTE, "last", last_report)
    add("/verdict/", "verdict", lambda: _file("verdict.html"))
    add("/verdict/<any('verdict.js', 'verdict.css', 'page.css'):name>", "asset", _file)
    add("/verdict/state", "state", state)
    add("/verdict/runs", "runs", lambda: jsonify([run.model_dump() for run in past_runs(runs)]))
    add("/verdict/runs/<run>", "run", lambda run: _sent(report_of(runs, run), "There is no report of such a run."))
    return pages


def _file(name: str) -> Response:
    response = send_file(_PAGES / name)
    response.headers["Cache-Control"] = "no-cache"  # another version may be started on the same port
    if name.endswith(".html"):
        response.headers["Content-Security-Policy"] = "default-src 'self'; frame-ancestors 'self'"
    return response


def _sent(path: Path | None, otherwise: str) -> Response:
    if path is None or not path.exists():
        return Response(otherwise, 404, mimetype="text/plain")
    return send_file(path)


def add_metrics(web_ui: WebUI, exposition: Exposition) -> None:
    """Serve the metrics of the run for Prometheus under `/metrics`. They are figures only, and ask for no login."""

    def metrics() -> Response:
        body, content_type = exposition.page(request.headers.get("Accept", ""))
        return Response(body, content_type=content_type)

    app = web_ui.app
    assert app is not None  # made by the constructor of WebUI
    app.add_url_rule(PATH, "proofload_metrics", metrics)


def _refusal(environment: Environment, message: str) -> Response:
    return jsonify({"success": False, "message": message, "host": environment.host})
