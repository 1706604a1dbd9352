"""Validates a chain with pyhanko-certvalidator, which asks for revocation by itself and takes nothing for granted:
`validate_pyhanko.py root.pem leaf.pem issuing.pem [SECONDS] [FILE.ocsp ...]`.

With SECONDS it judges that many seconds from now. With answers in files it fetches nothing. It prints `valid`, or
`refused: ` with the name of the error and what it says.
"""

import asyncio
import datetime
import sys

from asn1crypto import ocsp, pem, x509
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import PathError, ValidationError
from pyhanko_certvalidator.fetchers.aiohttp_fetchers import AIOHttpFetcherBackend


def certificate(path):
    with open(path, "rb") as file:
        return x509.Certificate.load(pem.unarmor(file.read())[2])


def answer(path):
    with open(path, "rb") as file:
        return ocsp.OCSPResponse.load(file.read())


# It waits so long for an answer: the machine may be busy.
PATIENCE = 120


async def verdict(root, leaf, issuing, seconds, answers):
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    context = ValidationContext(
        trust_roots=[certificate(root)],
        allow_fetching=not answers,
        moment=moment if seconds else None,
        ocsps=[answer(path) for path in answers],
        revocation_mode="require",
        fetcher_backend=AIOHttpFetcherBackend(per_request_timeout=PATIENCE),
    )
    try:
        chain = (certificate(leaf), [certificate(issuing)])
        await CertificateValidator(*chain, validation_context=context).async_validate_path()
    except (PathError, ValidationError) as refusal:
        return f"refused: {type(refusal).__name__}: {refusal}"
    return "valid"


if __name__ == "__main__":
    root, leaf, issuing, *rest = sys.argv[1:]
    seconds = int(rest.pop(0)) if rest and rest[0].lstrip("-").isdigit() else 0
    print(asyncio.run(verdict(root, leaf, issuing, seconds, rest)))
