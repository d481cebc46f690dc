"""`python -m werkzeug_server PORT MODULE:NAME`: the server of werkzeug, which has no command line."""

import sys

from werkzeug.serving import run_simple
from werkzeug.utils import import_string

if __name__ == "__main__":
    port, app = sys.argv[1:]
    run_simple("127.0.0.1", int(port), import_string(app), threaded=True)
