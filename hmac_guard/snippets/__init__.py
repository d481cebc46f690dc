"""Generates the code that signs for a scheme, in several languages. Needs the extra `snippets` (Jinja2)."""

from hmac_guard.snippets.languages import LANGUAGES as LANGUAGES
from hmac_guard.snippets.languages import Language as Language
from hmac_guard.snippets.page import page as page
from hmac_guard.snippets.render import snippet as snippet
