"""What Proofload adds to Locust's web UI: a start form that is checked, and a link to the last report."""

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from flask import Response, jsonify, request, send_file
from locust.env import Environment
from locust.web import WebUI

from execution import login, options
from execution.exposition import PATH, Exposition
from plans.problems import PlanError
from scenarios import brought

REPORT_ROUTE = "/report"


def extend(
    web_ui: WebUI,
    environment: Environment,
    last_report: Callable[[], Path | None],
    hindrance: Callable[[], str | None],
) -> None:
    """Check every start before users exist, and serve the report of the last run under `/report`.

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

    def report() -> Response:
        path = last_report()
        if path is None or not path.exists():
            return Response("No run has ended yet, or its report could not be made.", 404, mimetype="text/plain")
        return send_file(path)

    app = web_ui.app
    assert app is not None  # made by the constructor of WebUI
    app.before_request(guard)
    app.add_url_rule(REPORT_ROUTE, "proofload_report", web_ui.auth_required_if_enabled(report))
    web_ui.template_args["extended_csv_files"] = [{"href": REPORT_ROUTE, "title": "Proofload: report of the last run"}]


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
