from typing import Any

from flask import Flask, request

from acceptance.conformance.guards import GUARDS, METHODS, PIECE, BodyReport
from hmac_guard import Guard, verdict_from
from hmac_guard.flask import GuardExtension

app = Flask(__name__)


def endpoint(guard: Guard | None) -> Any:
    def view() -> dict[str, Any]:
        report = BodyReport()
        while piece := request.stream.read(PIECE):
            report.read(piece)
        return report.answer(verdict_from(request, guard.annotate_as) if guard else None)

    return view


for path, guard in [*GUARDS.items(), ("/bare", None)]:
    if guard is not None:
        GuardExtension(guard, app)
    app.add_url_rule(path, path, endpoint(guard), methods=METHODS)
