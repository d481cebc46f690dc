"""Tables of the mistakes that signers make, the most likely ones first. Each mistake changes an attempt to sign."""

from hmac_guard.explain.mistakes.ids import ARRANGEMENT_MISTAKES, ID_MISTAKES
from hmac_guard.explain.mistakes.keys import KEY_MISTAKES
from hmac_guard.explain.mistakes.messages import DIGEST_MISTAKES, MESSAGE_MISTAKES
from hmac_guard.explain.mistakes.shape import Mistake
from hmac_guard.explain.mistakes.signatures import SIGNATURE_MISTAKES

#: The mistakes that can be tried with only the scheme, the key and the ids.
MISTAKES: tuple[Mistake, ...] = (
    *KEY_MISTAKES,
    *ARRANGEMENT_MISTAKES,
    *ID_MISTAKES,
    *MESSAGE_MISTAKES,
    *DIGEST_MISTAKES,
    *SIGNATURE_MISTAKES,
)
