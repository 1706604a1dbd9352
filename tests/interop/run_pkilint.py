"""Runs one of pkilint's linters with what follows its name: `run_pkilint.py lint_pkix_cert lint -s WARNING c.pem`.

pkilint's fast decoder knows no second arc above 39 under joint-iso-itu-t, and so refuses the example arc 2.999, from which the
policies of every environment but production come. Where it says that, and only there, the value is read with the decoder that
the fast one replaces.
"""

import importlib
import sys

from pkilint import document
from pyasn1.codec.der.decoder import decode
from pyasn1.error import PyAsn1Error

fast = document.decode_der


def decode_der(substrate, asn1Spec):
    try:
        return fast(substrate, asn1Spec=asn1Spec)
    except (ValueError, PyAsn1Error) as refusal:
        if "out-of-range arc" not in str(refusal):
            raise
    decoded, rest = decode(bytes(substrate), asn1Spec=asn1Spec)
    if rest:
        raise PyAsn1Error(f"{len(rest)} trailing octets")
    return decoded, b""


if __name__ == "__main__":
    linter = sys.argv.pop(1)
    document.decode_der = decode_der
    sys.exit(importlib.import_module(f"pkilint.bin.{linter}").main())
