"""Runs one of pkilint's linters with what follows its name: `run_pkilint.py lint_pkix_cert lint -s WARNING c.pem`.

`run_pkilint.py many` runs one for each line of its input, which is that with tabs between the words, and prints a list in JSON:
of each, its exit code and what it said. To load pkilint takes longer than to lint a certificate.

pkilint's fast decoder knows no second arc above 39 under joint-iso-itu-t, and so refuses the example arc 2.999, from which the
policies of every environment but production come. Where it says that, and only there, the value is read with the decoder that
the fast one replaces.

pkilint can verify RSASSA-PSS, but where it compares a certificate with its issuer it does not say that the algorithm is PSS, and
takes every RSA signature for one of PKCS#1 v1.5. Where the certificate says PSS, and only there, its parameters are passed on.
"""

import contextlib
import importlib
import io
import json
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import SignatureAlgorithmOID
from pkilint import document, validation
from pkilint.pkix.certificate import certificate_key
from pyasn1.codec.der.decoder import decode
from pyasn1.error import PyAsn1Error

fast = document.decode_der
SignatureValidator = certificate_key.SubjectSignatureVerificationValidator
validate_others = SignatureValidator.validate


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


def validate_signature(self, node):
    certificate = node.document.cryptography_object
    if certificate.signature_algorithm_oid != SignatureAlgorithmOID.RSASSA_PSS:
        return validate_others(self, node)
    issuer = document.get_document_by_name(node, "issuer").public_key_object
    padding, digest = certificate.signature_algorithm_parameters, certificate.signature_hash_algorithm
    try:
        issuer.verify(certificate.signature, certificate.tbs_certificate_bytes, padding, digest)
    except InvalidSignature as invalid:
        raise validation.ValidationFindingEncountered(self.VALIDATION_SIGNATURE_MISMATCH) from invalid


def linted(linter, arguments):
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = importlib.import_module(f"pkilint.bin.{linter}").main(arguments)
    return code, said.getvalue()


if __name__ == "__main__":
    document.decode_der = decode_der
    SignatureValidator.validate = validate_signature
    linter, *arguments = sys.argv[1:]
    if linter != "many":
        sys.exit(importlib.import_module(f"pkilint.bin.{linter}").main(arguments))
    calls = [line.rstrip("\n").split("\t") for line in sys.stdin]
    json.dump([linted(linter, arguments) for linter, *arguments in calls], sys.stdout)
