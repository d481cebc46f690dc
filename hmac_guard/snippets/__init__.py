"""Generates the code that signs for a scheme, in several languages. Needs Jinja2, which the extra `cli` installs."""

from hmac_guard.snippets.languages import LANGUAGES as LANGUAGES
from hmac_guard.snippets.languages import Language as Language
from hmac_guard.snippets.languages import snippet as snippet
from hmac_guard.snippets.page import page as page
