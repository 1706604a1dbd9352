"""The hash of an operation, from docs/formats/revocation-job.md alone: what two operators decide about a job."""

import hashlib

MAGIC = b"sigill-job/1\0"


class JobRefused(Exception):
    """No operation that the page describes."""


def operation(deployment: str, job: bytes, reason: int | None, wave: int, pause: int,
              certificates: list[tuple[bytes, bytes]]) -> bytes:
    """SHA-256 of an operation; `certificates` are issuer ids and serial numbers as content octets."""
    ordered = [(issuer, bytes([len(serial)]) + serial) for issuer, serial in certificates]
    if any(before >= after for before, after in zip(ordered, ordered[1:], strict=False)):
        raise JobRefused("certificates come once each, by issuer and serial")
    name = deployment.encode()
    octets = MAGIC + bytes([len(name)]) + name + job + bytes([255 if reason is None else reason])
    octets += wave.to_bytes(4) + pause.to_bytes(4) + len(ordered).to_bytes(8)
    for issuer, serial in ordered:
        if len(issuer) != 32 or len(serial) > 21:
            raise JobRefused("an issuer id has 32 octets, a serial number 20 at most")
        octets += issuer + serial.ljust(21, b"\0")
    return hashlib.sha256(octets).digest()
