"""Status entry v1, as docs/formats/status-entry.md tells it."""

from dataclasses import dataclass, field

LENGTH = 66
LAST_TIME = 253402300799
KINDS = {1: "epoch-opened", 2: "issuer-declared", 3: "issued", 4: "activated", 5: "held", 6: "released", 7: "revoked",
         8: "voided"}
REASONS = {1: "keyCompromise", 2: "cACompromise", 3: "affiliationChanged", 4: "superseded", 5: "cessationOfOperation",
           9: "privilegeWithdrawn", 10: "aACompromise"}
UNSPECIFIED = 255


class EntryRefused(Exception):
    """Octets that no encoder would have written, or an entry that may not follow the ones before."""


@dataclass(frozen=True)
class Entry:
    kind: str
    log_time: int
    old_size: int | None = None
    old_root: bytes | None = None
    issuer_id: bytes | None = None
    issuer_reference: int | None = None
    serial: bytes | None = None
    reason: str | None = None
    effective_time: int | None = None
    invalidity_date: int | None = None
    not_after: int | None = None
    before_activation: int | None = None
    after_expiry: int | None = None


def decode(octets: bytes) -> Entry:
    if len(octets) != LENGTH:
        raise EntryRefused(f"{len(octets)} octets, wanted {LENGTH}")
    if octets[0] != 1:
        raise EntryRefused(f"version {octets[0]}")
    kind = KINDS.get(octets[1])
    if kind is None:
        raise EntryRefused(f"kind {octets[1]}")
    log_time = _time(octets[2:10])
    if kind == "epoch-opened":
        _zero(octets[50:66])
        return Entry(kind, log_time, old_size=_number(octets[10:18]), old_root=octets[18:50])
    if kind == "issuer-declared":
        _zero(octets[42:66])
        return Entry(kind, log_time, issuer_id=octets[10:42])
    return _certificate(kind, log_time, octets)


def _certificate(kind: str, log_time: int, octets: bytes) -> Entry:
    length = octets[18]
    if not 1 <= length <= 20:
        raise EntryRefused(f"serial of {length} octets")
    _zero(octets[19 + length:39])
    revoked, issued = kind == "revoked", kind == "issued"
    if octets[39] != UNSPECIFIED and not (revoked and octets[39] in REASONS):
        raise EntryRefused(f"reason {octets[39]} in {kind}")
    if not revoked:
        _zero(octets[48:56])
    if not issued and kind != "voided":
        _zero(octets[56:64])
    if not issued:
        _zero(octets[64:66])
    if octets[64] > 1 or octets[65] > 1:
        raise EntryRefused(f"answer classes {octets[64]}, {octets[65]}")
    return Entry(
        kind, log_time,
        issuer_reference=_number(octets[10:18]),
        serial=octets[19:19 + length],
        reason=REASONS.get(octets[39]),
        effective_time=_time(octets[40:48]),
        invalidity_date=_time(octets[48:56]) or None,
        not_after=_time(octets[56:64]) if issued or kind == "voided" else None,
        before_activation=octets[64] if issued else None,
        after_expiry=octets[65] if issued else None,
    )


@dataclass
class Log:
    """The rules between entries: which may follow which, and what the world is told."""

    epoch: int
    size: int = 0
    last_time: int = 0
    issuers: dict[int, bytes] = field(default_factory=dict)
    states: dict[tuple[int, bytes], tuple[str, Entry]] = field(default_factory=dict)

    def append(self, entry: Entry) -> None:
        if entry.log_time < self.last_time:
            raise EntryRefused(f"entry {self.size} is older than the one before")
        if (entry.kind == "epoch-opened") != (self.size == 0 and self.epoch > 1):
            raise EntryRefused(f"entry {self.size} of epoch {self.epoch} is {entry.kind}")
        if entry.kind == "issuer-declared":
            if entry.issuer_id in self.issuers.values():
                raise EntryRefused(f"entry {self.size} declares a CA again")
            self.issuers[self.size] = entry.issuer_id
        elif entry.kind != "epoch-opened":
            self._change(entry)
        self.last_time = entry.log_time
        self.size += 1

    def _change(self, entry: Entry) -> None:
        if entry.issuer_reference not in self.issuers:
            raise EntryRefused(f"entry {self.size} names no declared CA")
        key = (entry.issuer_reference, entry.serial)
        state, since = self.states.get(key, ("none", None))
        following = FOLLOWS.get((state, entry.kind))
        if following is None:
            raise EntryRefused(f"entry {self.size}: {entry.kind} after {state}")
        if state == "revoked" and entry.effective_time != since.effective_time:
            raise EntryRefused(f"entry {self.size} gives a revocation another effective time")
        self.states[key] = (following, entry)


FOLLOWS = {
    ("none", "issued"): "issued",
    ("none", "voided"): "voided",
    ("issued", "activated"): "activated",
    ("issued", "held"): "held from issued",
    ("activated", "held"): "held from activated",
    ("held from issued", "released"): "issued",
    ("held from activated", "released"): "activated",
    ("issued", "revoked"): "revoked",
    ("activated", "revoked"): "revoked",
    ("held from issued", "revoked"): "revoked",
    ("held from activated", "revoked"): "revoked",
    ("revoked", "revoked"): "revoked",
}


def _number(octets: bytes) -> int:
    return int.from_bytes(octets, "big")


def _time(octets: bytes) -> int:
    seconds = _number(octets)
    if seconds > LAST_TIME:
        raise EntryRefused(f"time {seconds} is beyond the year 9999")
    return seconds


def _zero(octets: bytes) -> None:
    if any(octets):
        raise EntryRefused(f"{octets.hex()} where zeros stand")
