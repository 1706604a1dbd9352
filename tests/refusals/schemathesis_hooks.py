"""What Schemathesis is told beside the contract (docs/decisions/0054-the-contract-is-judged.md)."""

import re
import uuid

import schemathesis

GOOD_KEY = re.compile(r"[!-~]{1,200}")


@schemathesis.hook
def before_call(context, case, kwargs):
    """A good idempotency key becomes one of its own: keys are drawn again and again, and under a used one nothing else is done."""
    key = case.headers.get("Idempotency-Key")
    if isinstance(key, str) and GOOD_KEY.fullmatch(key):
        case.headers["Idempotency-Key"] = uuid.uuid4().hex


@schemathesis.hook
def filter_body(context, body):
    """JSON Schema calls 1.0 an integer; the server does not: a number has one spelling."""
    return not has_whole_float(body)


def has_whole_float(value):
    if isinstance(value, dict):
        return any(has_whole_float(one) for one in value.values())
    if isinstance(value, list):
        return any(has_whole_float(one) for one in value)
    return isinstance(value, float) and value.is_integer()
