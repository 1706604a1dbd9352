"""Files of answers signed beforehand, from docs/formats/presigned-answers.md and RFC 6960 alone."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timezone

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

RECORD, DIGEST, NONE = 74, 32, 255
REASONS = {1, 2, 3, 4, 5, 6, 9, 10}
LAST = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc).timestamp())


class PresignedRefused(Exception):
    """Not a file of answers, or an answer that was not signed."""


@dataclass(frozen=True)
class Answer:
    serial: bytes
    revoked_at: int | None
    reason: int | None
    invalidity: int | None
    cutoff: int | None
    produced: int
    this: int
    next: int
    signer: int
    signature: bytes

    def fields(self) -> dict:
        return {"serial": self.serial.hex(), "status": "good" if self.revoked_at is None else "revoked",
                "reason": self.reason, "revoked at": self.revoked_at, "invalidity date": self.invalidity,
                "archive cutoff": self.cutoff, "produced at": self.produced, "this update": self.this,
                "next update": self.next, "signer": self.signer}


@dataclass(frozen=True)
class File:
    issuer: bytes
    wave: int
    generation: int
    position: str
    checkpoint: int
    signers: list
    answers: list


class _Left:
    def __init__(self, octets: bytes):
        self.octets = octets

    def take(self, count: int) -> bytes:
        if count > len(self.octets):
            raise PresignedRefused("octets are missing")
        taken, self.octets = self.octets[:count], self.octets[count:]
        return taken

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")

    def time(self) -> int:
        time = self.number(8)
        if time > LAST:
            raise PresignedRefused("a time past the year 9999")
        return time


def digested(octets: bytes) -> bytes:
    return octets[:-DIGEST] + hashlib.sha256(octets[:-DIGEST]).digest()


def read(octets: bytes) -> File:
    if len(octets) < DIGEST or octets != digested(octets):
        raise PresignedRefused("another digest")
    left = _Left(octets[:-DIGEST])
    if left.take(8) != b"sigillp1":
        raise PresignedRefused("another version")
    issuer, wave, slot, count = left.take(32), left.number(2), left.number(2), left.number(4)
    generation, epoch, index, checkpoint = left.number(8), left.number(4), left.number(8), left.time()
    signers = left.number(1)
    if wave > 1023 or signers > 4:
        raise PresignedRefused("a wave or a number of signers past the last")
    certificates = []
    for _ in range(signers):
        try:
            certificates.append(x509.load_der_x509_certificate(left.take(left.number(2))))
        except ValueError as cause:
            raise PresignedRefused("a signer") from cause
    if len(left.octets) != count * (RECORD + slot):
        raise PresignedRefused("another length")
    answers = [_answer(_Left(left.take(RECORD + slot))) for _ in range(count)]
    order = [(len(answer.serial), answer.serial) for answer in answers]
    if order != sorted(set(order)):
        raise PresignedRefused("serials that do not rise")
    for answer in answers:
        if wave_of(answer.serial) != wave or answer.signer >= signers:
            raise PresignedRefused("another wave, or a signer that is not there")
        ends = int(certificates[answer.signer].not_valid_after_utc.timestamp())
        is_final = answers[0].next == LAST
        if (answer.next == LAST) != is_final:
            raise PresignedRefused("an answer that stands for ever beside one that ends")
        if not answer.this <= answer.produced < answer.next or (answer.produced if is_final else answer.next) > ends:
            raise PresignedRefused("times")
    return File(issuer, wave, generation, f"{epoch}.{index}", checkpoint, certificates, answers)


def wave_of(serial: bytes) -> int:
    return int.from_bytes(hashlib.sha256(serial).digest()[:2], "big") >> 6


def _answer(left: _Left) -> Answer:
    length, padded, status, reason = left.number(1), left.take(20), left.number(1), left.number(1)
    revoked, invalidity, cutoff = left.time(), left.time(), left.time()
    produced, this, next_ = left.time(), left.time(), left.time()
    signer, signature = left.number(1), left.take(left.number(2))
    if not 1 <= length <= 20 or any(padded[length:]) or any(left.octets):
        raise PresignedRefused("a serial's length, or padding")
    if status not in (0, 1) or (status == 0 and (reason, revoked) != (NONE, 0)):
        raise PresignedRefused("a status")
    if status == 1 and reason != NONE and reason not in REASONS:
        raise PresignedRefused("a reason")
    return Answer(padded[:length], revoked if status else None, None if reason == NONE else reason,
                  invalidity or None, cutoff or None, produced, this, next_, signer, signature)


def _der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def _time(time: int) -> bytes:
    return _der(0x18, datetime.fromtimestamp(time, timezone.utc).strftime("%Y%m%d%H%M%SZ").encode())


def _extension(oid: str, value: bytes) -> bytes:
    return _der(0x30, bytes.fromhex(oid), _der(0x04, value))


def _single(algorithm: str, hash_, name: bytes, key: bytes, answer: Answer) -> bytes:
    identifier = _der(0x30, _der(0x30, bytes.fromhex(algorithm), b"\x05\x00"), _der(0x04, hash_(name).digest()),
                      _der(0x04, hash_(key).digest()), _der(0x02, answer.serial))
    status = b"\x80\x00"
    if answer.revoked_at is not None:
        reason = b"" if answer.reason is None else _der(0xA0, _der(0x0A, bytes([answer.reason])))
        status = _der(0xA1, _time(answer.revoked_at), reason)
    extensions = b""
    if answer.cutoff is not None:
        extensions += _extension("06092b0601050507300106", _time(answer.cutoff))
    if answer.invalidity is not None:
        extensions += _extension("0603551d18", _time(answer.invalidity))
    wrapped = _der(0xA1, _der(0x30, extensions)) if extensions else b""
    return _der(0x30, identifier, status, _time(answer.this), _der(0xA0, _time(answer.next)), wrapped)


def response_data(answer: Answer, name: bytes, issuer_key: bytes, responder_key: bytes) -> bytes:
    """ResponseData of RFC 6960 §4.2.1: by SHA-1, then by SHA-256."""
    singles = [_single("06052b0e03021a", hashlib.sha1, name, issuer_key, answer),
               _single("0609608648016503040201", hashlib.sha256, name, issuer_key, answer)]
    by_key = _der(0xA2, _der(0x04, hashlib.sha1(responder_key).digest()))
    return _der(0x30, by_key, _time(answer.produced), _der(0x30, *singles))


def key_bits(key) -> bytes:
    """The content of a subjectPublicKey BIT STRING."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return key.public_bytes(Encoding.DER, PublicFormat.PKCS1)


def verify(file: File, answer: Answer, issuer_name: bytes, issuer_spki: bytes) -> None:
    if hashlib.sha256(issuer_name + issuer_spki).digest() != file.issuer:
        raise PresignedRefused("another issuer")
    signer = file.signers[answer.signer].public_key()
    data = response_data(answer, issuer_name, key_bits(load_der_public_key(issuer_spki)), key_bits(signer))
    try:
        if isinstance(signer, ed25519.Ed25519PublicKey):
            signer.verify(answer.signature, data)
        elif isinstance(signer, ec.EllipticCurvePublicKey):
            signer.verify(answer.signature, data, ec.ECDSA(hashes.SHA256()))
        elif isinstance(signer, rsa.RSAPublicKey):
            signer.verify(answer.signature, data, padding.PKCS1v15(), hashes.SHA256())
        else:
            raise PresignedRefused("a key of another kind")
    except InvalidSignature as cause:
        raise PresignedRefused("the signature does not verify") from cause
