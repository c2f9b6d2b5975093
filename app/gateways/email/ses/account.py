"""How our account at SES stands, from the answer to GetAccount."""

from app.domain.outcomes import Outcome
from app.domain.vocabulary import OutcomeClass
from app.gateways.answers import json_object, words
from app.gateways.base import HttpResponse
from app.gateways.probing import outcome_by_status, refused_account

# Of AWS's refusals these are about the credentials; AccessDenied is only about asking.
_CREDENTIALS = frozenset(
    {
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "ExpiredTokenException",
        "ExpiredToken",
    }
)


def outcome_of_account(response: HttpResponse) -> Outcome:
    """Tell whether the account may send: its credentials hold, and Amazon has not shut it down."""
    answer = json_object(response.body)
    # The header may go on behind a colon with where the error is described.
    code = response.headers.get("x-amzn-errortype", "").partition(":")[0]
    if code in _CREDENTIALS:
        return refused_account(code)
    outcome = outcome_by_status(response)
    if outcome.kind is not OutcomeClass.ACCEPTED:
        return outcome
    if answer.get("SendingEnabled") is False or words(answer, "EnforcementStatus") == "SHUTDOWN":
        return refused_account("sending_disabled", "Amazon has switched this account's sending off")
    return outcome
