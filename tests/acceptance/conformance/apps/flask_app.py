from typing import Any

from flask import Flask, request

from acceptance.conformance.guards import GUARDS, METHODS, PIECE, Told
from hmac_guard import Guard, verdict_from
from hmac_guard.flask import GuardExtension

app = Flask(__name__)


def endpoint(guard: Guard | None) -> Any:
    def view() -> dict[str, Any]:
        told = Told()
        while piece := request.stream.read(PIECE):
            told.read(piece)
        return told.answer(verdict_from(request, guard.annotate_as) if guard else None)

    return view


for path, guard in [*GUARDS.items(), ("/bare", None)]:
    if guard is not None:
        GuardExtension(guard, app)
    app.add_url_rule(path, path, endpoint(guard), methods=METHODS)
