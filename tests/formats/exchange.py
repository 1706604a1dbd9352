"""Exchange files between the zones, from docs/formats/exchange.md alone.

Run as a program it prints docs/formats/vectors/exchange.json anew: keys, nonce and times are fixed, and Ed25519 draws nothing.
"""

import base64
import binascii
import datetime
import hashlib
import json
import re

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

HASH, TIME = r"[0-9a-f]{64}", r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
LABELS = {("request", "issuing-certificate"): "CERTIFICATE REQUEST", ("request", "root-crl"): "X509 CRL",
          ("response", "issuing-certificate"): "CERTIFICATE", ("response", "root-crl"): "X509 CRL"}
OWN = {"request": rf"previous: (?P<previous>{HASH}|none)\nplan: (?P<plan>{HASH}|none)\n",
       "response": rf"request: (?P<request>{HASH})\nplan: (?P<plan>{HASH})\nhead: (?P<head>{HASH})\n"}


class ExchangeRefused(Exception):
    """Its first argument is the code."""


def seconds(text: str) -> int:
    return int(datetime.datetime.fromisoformat(text).timestamp())


def sha256(octets: bytes) -> str:
    return hashlib.sha256(octets).hexdigest()


def read(file: str, kind: str) -> dict:
    """The fields of a request or response whose signature holds, with `signer`, `file` and `payload`'s octets as `der`."""
    behind = re.search(r"\n-----BEGIN ", file)
    if not behind or len(file.encode()) > 1 << 20:
        raise ExchangeRefused("exchange-form")
    signed, block = file[:behind.start() + 1], file[behind.start() + 1:]
    whole = re.fullmatch(r"(sigill statement/1 ([a-z-]+)\n.*?)-- (\S+)\n-- (\S+)\n-- (\S+)\n", signed, re.DOTALL)
    pem = re.fullmatch(r"-----BEGIN ([A-Z0-9 ]+)-----\n((?:[A-Za-z0-9+/=]+\n)+)-----END \1-----\n", block)
    if not whole or not pem or whole[4] != "ed25519":
        raise ExchangeRefused("exchange-form")
    try:
        der, spki, signature = (base64.b64decode(part, validate=True) for part in (pem[2].replace("\n", ""), whole[3], whole[5]))
    except binascii.Error as error:
        raise ExchangeRefused("exchange-form") from error
    key = load_der_public_key(spki)
    assert isinstance(key, Ed25519PublicKey)
    try:
        key.verify(signature, whole[1].encode())
    except InvalidSignature as error:
        raise ExchangeRefused("exchange-signature") from error
    if whole[2] != f"exchange-{kind}":
        raise ExchangeRefused("exchange-kind")
    fields = re.fullmatch(
        rf"sigill statement/1 exchange-{kind}\ndeployment: (?P<deployment>[a-z0-9/]+)\nnumber: (?P<number>[1-9][0-9]*)\n"
        rf"nonce: (?P<nonce>[0-9a-f]{{32}})\ncreated: (?P<created>{TIME})\nexpires: (?P<expires>{TIME})\n"
        rf"wanted: (?P<wanted>issuing-certificate|root-crl)\nissuer: (?P<issuer>{HASH})\n{OWN[kind]}payload: (?P<payload>{HASH})\n", whole[1])
    if not fields:
        raise ExchangeRefused("exchange-form")
    if LABELS[kind, fields["wanted"]] != pem[1] or sha256(der) != fields["payload"]:
        raise ExchangeRefused("exchange-payload")
    if block != armoured(pem[1], der):
        raise ExchangeRefused("exchange-form")
    return fields.groupdict() | {"signer": sha256(spki), "file": sha256(file.encode()), "der": der}


def _counts(found: dict, now: int) -> None:
    created, expires = seconds(found["created"]), seconds(found["expires"])
    if not (created < expires <= created + 14 * 86_400 and created <= now + 600 and now < expires):
        raise ExchangeRefused("exchange-time")


def asked(found: dict, known: dict) -> None:
    """A request, as the ceremony's side judges it before it has answered any."""
    if found["signer"] != known["asker"]:
        raise ExchangeRefused("exchange-signer")
    if found["deployment"] != known["deployment"]:
        raise ExchangeRefused("exchange-deployment")
    if found["previous"] != "none":
        raise ExchangeRefused("exchange-previous")
    _counts(found, known["now"])


def given(found: dict, request: dict, known: dict) -> None:
    """A response, as the side that asked judges it."""
    if found["signer"] != known["ceremony"]:
        raise ExchangeRefused("exchange-signer")
    for field, wanted, code in (("deployment", known["deployment"], "deployment"), ("number", request["number"], "number"),
                                ("nonce", request["nonce"], "nonce"), ("request", request["file"], "request"),
                                ("wanted", request["wanted"], "unasked"), ("issuer", request["issuer"], "unasked"),
                                ("plan", known["plan"], "plan")):
        if found[field] != wanted:
            raise ExchangeRefused(f"exchange-{code}")
    _counts(found, known["now"])


def armoured(label: str, der: bytes) -> str:
    text = base64.b64encode(der).decode()
    lines = "".join(f"{text[place:place + 64]}\n" for place in range(0, len(text), 64))
    return f"-----BEGIN {label}-----\n{lines}-----END {label}-----\n"


def written(key: Ed25519PrivateKey, kind: str, fields: dict, label: str, der: bytes) -> str:
    text = f"sigill statement/1 exchange-{kind}\n" + "".join(f"{name}: {value}\n" for name, value in fields.items())
    parts = (_spki(key), None, key.sign(text.encode()))
    rows = "".join(f"-- {base64.b64encode(part).decode() if part else 'ed25519'}\n" for part in parts)
    return text + rows + armoured(label, der)


def _spki(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _vectors() -> dict:
    asker, ceremony, stranger, issuing = (Ed25519PrivateKey.from_private_bytes(bytes([octet]) * 32) for octet in (1, 2, 3, 4))
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Sigill example")])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(issuing, None).public_bytes(Encoding.DER)
    begin = datetime.datetime(2027, 2, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(issuing.public_key())
    builder = builder.serial_number(7).not_valid_before(begin).not_valid_after(begin.replace(year=2037))
    certificate = builder.sign(ceremony, None).public_bytes(Encoding.DER)
    plan = sha256(b"plan")
    matter = {"deployment": "test/demo/tr01", "number": "3", "nonce": "00112233445566778899aabbccddeeff",
              "created": "2027-02-01T09:00:00Z", "expires": "2027-02-15T09:00:00Z", "wanted": "issuing-certificate",
              "issuer": sha256(b"root.cer")}
    asks = matter | {"previous": "none", "plan": sha256(b"plan of the key"), "payload": sha256(csr)}
    request = written(asker, "request", asks, "CERTIFICATE REQUEST", csr)
    gives = matter | {"created": "2027-02-02T12:00:00Z", "expires": "2027-02-16T12:00:00Z", "request": sha256(request.encode()),
                      "plan": plan, "head": sha256(b"transcript"), "payload": sha256(certificate)}
    response = written(ceremony, "response", gives, "CERTIFICATE", certificate)

    def other(key=ceremony, label="CERTIFICATE", der=certificate, kind="response", **changed):
        return written(key, kind, gives | changed, label, der)

    def asked_otherwise(key=asker, **changed):
        return written(key, "request", asks | changed, "CERTIFICATE REQUEST", csr)

    old, never = "2026-02-01T09:00:00Z", "0" * 64
    refused = [
        ("response", "a byte of its text", response.replace("number: 3", "number: 4"), "exchange-signature"),
        ("response", "something else behind it", other(der=csr), "exchange-payload"),
        ("response", "of another kind behind it", other(label="X509 CRL"), "exchange-payload"),
        ("response", "a second thing behind it", response + armoured("CERTIFICATE", certificate), "exchange-form"),
        ("response", "nothing behind it", response[:response.index("-----BEGIN")], "exchange-form"),
        ("response", "the request itself", request, "exchange-kind"),
        ("response", "another field", other(extra="1"), "exchange-form"),
        ("response", "a number in another form", other(number="03"), "exchange-form"),
        ("response", "somebody else's key", other(key=stranger), "exchange-signer"),
        ("response", "the key that asked", other(key=asker), "exchange-signer"),
        ("response", "another instance", other(deployment="test/demo/tr02"), "exchange-deployment"),
        ("response", "another PKI", other(deployment="qa/test/tr01"), "exchange-deployment"),
        ("response", "an old number", other(number="2"), "exchange-number"),
        ("response", "another nonce", other(nonce="f" * 32), "exchange-nonce"),
        ("response", "another request", other(request=never), "exchange-request"),
        ("response", "another issuer", other(issuer=never), "exchange-unasked"),
        ("response", "what was not asked", other(label="X509 CRL", wanted="root-crl"), "exchange-unasked"),
        ("response", "another plan", other(plan=never), "exchange-plan"),
        ("response", "the past", other(created=old, expires="2026-02-15T09:00:00Z"), "exchange-time"),
        ("response", "fifteen days", other(expires="2027-02-17T12:00:00Z"), "exchange-time"),
        ("response", "the future", other(created="2027-02-03T12:00:00Z"), "exchange-time"),
        ("request", "a byte of its text", request.replace("tr01", "tr02"), "exchange-signature"),
        ("request", "the ceremony's own key", asked_otherwise(key=ceremony), "exchange-signer"),
        ("request", "another deployment", asked_otherwise(deployment="test/demo/tr02"), "exchange-deployment"),
        ("request", "an answer that was never given", asked_otherwise(previous=never), "exchange-previous"),
        ("request", "the past", asked_otherwise(created=old, expires="2026-02-15T09:00:00Z"), "exchange-time"),
        ("request", "the response", response, "exchange-kind"),
    ]
    return {"deployment": "test/demo/tr01", "asker": sha256(_spki(asker)), "ceremony": sha256(_spki(ceremony)), "plan": plan,
            "now": seconds("2027-02-02T12:05:00Z"), "request": request, "response": response,
            "refused": [dict(zip(("kind", "name", "file", "code"), row, strict=True)) for row in refused]}


if __name__ == "__main__":
    print(json.dumps(_vectors(), indent=2))
