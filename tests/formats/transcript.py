"""A ceremony's transcript, from docs/formats/transcript.md alone: a second reader, and the maker of its vectors.

    transcript.py judge FILE     reads a transcript and says in one line what it is
    transcript.py shape FILE     prints its shape and the hash of it
    transcript.py vectors        writes docs/formats/vectors/transcripts.json to standard output
"""

import base64
import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import tlog

FORMAT = "sigill-transcript/1"
MEMBERS = {
    "GENESIS": {"deployment", "format", "plan", "program", "purpose"}, "CHECK": set(), "ATTEST": set(),
    "READBACK": set(), "INTENT": {"act", "intent"}, "RESULT": {"intent"}, "EXCEPTION": {"reason"},
    "PAUSE": {"reason"}, "RESUME": set(), "CHECKPOINT": {"head", "lines"}, "CLOSE": {"head", "lines"},
}
# The class of each member of a body, as the document's table has them.
CONST, KEY_DERIVED, SIGNATURE, RANDOM, DEVICE, ASIDE = "const", "key-derived", "signature", "random", "device", "aside"
CLASSES = {
    "GENESIS": {"deployment": CONST, "format": CONST, "nonce": RANDOM, "plan": CONST, "program": CONST, "purpose": ASIDE,
                "rehearsal": ASIDE},
    "CHECK": {"result": CONST, "role": CONST, "seen": DEVICE, "sha256": CONST, "token": DEVICE, "what": CONST},
    "ATTEST": {"text": CONST, "what": CONST},
    "READBACK": {"sha256": KEY_DERIVED, "what": CONST},
    "INTENT": {"act": CONST, "algorithm": CONST, "cka_id": CONST, "intent": RANDOM, "key": KEY_DERIVED, "kind": CONST,
               "tbs_sha256": KEY_DERIVED, "token": DEVICE, "type": CONST, "what": CONST},
    "RESULT": {"adopted": ASIDE, "intent": RANDOM, "sha256": SIGNATURE, "spki_sha256": KEY_DERIVED, "token": DEVICE},
    "CHECKPOINT": {"head": ASIDE, "lines": ASIDE}, "CLOSE": {"head": ASIDE, "lines": ASIDE},
}
LINE = ["body", "root", "run_ms", "seq", "step", "time", "type", "who"]


class TranscriptRefused(Exception):
    """A line that breaks a rule, counted from 1."""

    def __init__(self, line: int, why: str):
        super().__init__(f"line {line}: {why}")
        self.line = line


@dataclass
class Transcript:
    records: list[dict]
    head: bytes
    closed: bool


def canonical(record: dict) -> bytes:
    """RFC 8785, for what a record may have: texts, numbers below 2^53, lists of texts; names in ASCII."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def read(octets: bytes) -> Transcript:
    *lines, torn = octets.split(b"\n")
    if torn:
        raise TranscriptRefused(len(lines) + 1, "its end is missing")
    records: list[dict] = []
    hashes: list[bytes] = []
    state = {"open": None, "paused": False, "closed": False, "run": None, "before": None}
    for number, line in enumerate(lines, 1):
        def refuse(holds: bool, why: str, number: int = number) -> None:
            if not holds:
                raise TranscriptRefused(number, why)

        root = tlog.root(hashes)
        refuse(len(line) <= 16384, "too long")
        record = parsed(line, refuse)
        refuse(record["seq"] == len(hashes), "its number")
        refuse(record["root"] == base64.b64encode(root).decode(), "its root")
        follow(record, root, len(hashes), state, refuse)
        records.append(record)
        hashes.append(tlog.leaf_hash(line))
    return Transcript(records, tlog.root(hashes), state["closed"])


def parsed(line: bytes, refuse) -> dict:
    try:
        record = json.loads(line)
    except ValueError:
        refuse(False, "no JSON")
    refuse(isinstance(record, dict) and sorted(record) == LINE, "its members")
    numbers = [record["seq"], record["time"], record["run_ms"]]
    refuse(all(type(one) is int and 0 <= one < 2**53 for one in numbers), "its numbers")
    refuse(record["type"] in MEMBERS and isinstance(record["step"], str) and texts(record["who"]), "its types")
    body = record["body"]
    refuse(isinstance(body, dict) and all(fact(one) for one in body.values()), "its body")
    refuse(all(name.isascii() for name in body), "a name that is not ASCII")
    refuse(canonical(record) == line, "not canonical")
    refuse(set(body) >= MEMBERS[record["type"]], "a member is missing")
    return record


def texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def fact(value: object) -> bool:
    return isinstance(value, str) or texts(value) or (type(value) is int and 0 <= value < 2**53)


def follow(record: dict, root: bytes, size: int, state: dict, refuse) -> None:
    kind, body = record["type"], record["body"]
    refuse(not state["closed"], "after CLOSE")
    refuse((kind == "GENESIS") == (size == 0), "GENESIS is the first, and no other")
    refuse(kind != "GENESIS" or body["format"] == FORMAT, "another format")
    refuse(not state["paused"] or kind == "RESUME", "after PAUSE")
    clocks(record, state, refuse)
    named, under_way = body.get("intent"), state["open"]
    if kind == "INTENT":
        refuse(under_way is None or (under_way == named and "again" in body), "work is under way")
        state["open"] = named
    elif kind == "RESULT" or (kind == "EXCEPTION" and "intent" in body):
        refuse(under_way is not None and under_way == named, "no such work")
        state["open"] = None
    elif kind in ("CHECKPOINT", "CLOSE"):
        refuse((body["lines"], body["head"]) == (size, root.hex()), "another head")
        refuse(kind == "CHECKPOINT" or under_way is None, "work is under way")
    state["paused"], state["closed"] = kind == "PAUSE", kind == "CLOSE"


def clocks(record: dict, state: dict, refuse) -> None:
    now = (record["time"], record["run_ms"])
    before = state["before"] or now
    refuse(now[0] >= before[0], "the wall clock went back")
    if record["type"] in ("GENESIS", "RESUME"):
        state["run"] = now
    refuse(record["type"] == "RESUME" or now[1] >= before[1], "the monotonic clock went back")
    wall, run = now[0] - state["run"][0], (now[1] - state["run"][1]) // 1000
    refuse(abs(wall - run) <= 60, "the clocks drift apart")
    state["before"] = now


def shape(records: list[dict]) -> list[str]:
    """What stays when everything is taken away that a second time cannot be the same; KeyError for a member without a class."""
    lines: list[str] = []
    under_way = None
    for record in records:
        kind, body = record["type"], record["body"]
        what = body.get("what")
        if kind == "EXCEPTION" and "intent" in body and under_way is not None:
            del lines[under_way]
            under_way = None
        if kind in ("EXCEPTION", "PAUSE", "RESUME") or (kind == "INTENT" and "again" in body):
            continue
        if (kind, what) in (("CHECK", "leaves"), ("CHECK", "stand-in"), ("ATTEST", "presence")):
            continue
        if (kind, what) == ("READBACK", "to be signed, read by nobody"):
            body = body | {"what": "to be signed"}
        if kind == "READBACK" and what in ("to be destroyed, read by nobody", "to be taken up, read by nobody"):
            body = body | {"what": what.removesuffix(", read by nobody")}
        kept = {name: of_class(CLASSES[kind][name], value) for name, value in body.items() if CLASSES[kind][name] != ASIDE}
        line = canonical({"body": kept, "step": record["step"], "type": kind}).decode()
        if kind in ("CHECK", "READBACK", "CHECKPOINT") and line in lines:
            continue
        if kind == "INTENT":
            under_way = None if body["act"] == "sign" else len(lines)
        elif kind == "RESULT":
            under_way = None
        lines.append(line)
    return lines


def of_class(name: str, value: object) -> object:
    if name == CONST:
        return value
    return [name, len(value.encode())] if name != DEVICE and isinstance(value, str) else [name]


def shape_hash(lines: list[str]) -> str:
    return hashlib.sha256("".join(line + "\n" for line in lines).encode()).hexdigest()


def write(records: list[tuple]) -> list[bytes]:
    """Lines of records given as (type, seconds, body); an INTENT's body and a head are completed."""
    lines: list[bytes] = []
    for kind, seconds, body in records:
        root = tlog.root([tlog.leaf_hash(line) for line in lines])
        if kind in ("CHECKPOINT", "CLOSE"):
            body = {"lines": len(lines), "head": root.hex()} | body
        run = 0 if kind in ("GENESIS", "RESUME") else 1000 * (seconds % 1000)
        lines.append(canonical({"seq": len(lines), "root": base64.b64encode(root).decode(), "run_ms": run,
                                "time": 1_795_000_000 + seconds, "type": kind, "step": "root-key",
                                "who": ["anna", "bo"], "body": body}))
    return lines


GENESIS = ("GENESIS", 0, {"format": FORMAT, "deployment": "test/demo/ab12", "plan": "5a" * 32,
                          "program": "1.0.0", "purpose": "rehearsal"})
KEY = {"intent": "k1", "act": "generate-key", "what": "root-key"}


def whole() -> list[tuple]:
    return [
        GENESIS, ("CHECK", 1, {"what": "token", "count": 3, "seen": ["Åsa \"ser\" det", "\t\u0001 ok"]}),
        ("ATTEST", 2, {"what": "room"}), ("READBACK", 3, {"what": "plan"}), ("INTENT", 4, KEY),
        ("INTENT", 5, KEY | {"again": "hsm-session-lost"}), ("RESULT", 6, {"intent": "k1", "spki_sha256": "0f" * 32}),
        ("CHECKPOINT", 7, {}), ("PAUSE", 8, {"reason": "lunch"}), ("RESUME", 5000, {}),
        ("INTENT", 5001, KEY | {"intent": "k2"}), ("EXCEPTION", 5002, {"intent": "k2", "reason": "no effect"}),
        ("EXCEPTION", 5003, {"reason": "a medium is lost"}), ("CLOSE", 5004, {}),
    ]


def held(salt: str) -> list[tuple]:
    """A rehearsal of one certificate; what is drawn or made is another for another salt."""
    def of(name: str) -> str:
        return hashlib.sha256(f"{name} {salt}".encode()).hexdigest()

    key = {"act": "generate-key", "what": "root-key", "type": "ec-p384", "cka_id": "ae" * 20, "intent": of("k")[:32]}
    sign = {"act": "sign", "what": "root.cer", "kind": "certificate", "algorithm": "ecdsa-p384-sha384",
            "intent": of("s")[:32], "key": of("key"), "tbs_sha256": of("tbs")}
    return [
        (GENESIS[0], 0, GENESIS[2] | {"nonce": of("nonce")[:32]}), ("CHECK", 1, {"what": "token", "token": f"Å {salt}"}),
        ("CHECK", 2, {"what": "stand-in", "spki_sha256": of("anna")}), ("ATTEST", 3, {"what": "presence", "statement": salt}),
        ("READBACK", 3, {"what": "plan", "sha256": of("key")}), ("INTENT", 4, key),
        ("RESULT", 5, {"intent": key["intent"], "spki_sha256": of("key")}), ("CHECKPOINT", 6, {}),
        ("READBACK", 7, {"what": "to be signed" + (", read by nobody" if salt == "a" else ""), "sha256": of("tbs")}),
        ("INTENT", 7, sign), ("RESULT", 8, {"intent": sign["intent"], "sha256": of("file")}), ("CLOSE", 9, {}),
    ]


def interrupted() -> list[tuple]:
    """The same, on a day on which everything happened."""
    before, after = held("b")[:8], held("b")[8:]
    lost = held("lost")[5]
    return [
        *before, ("CHECK", 7, {"what": "leaves"}), ("PAUSE", 8, {"reason": "lunch"}), ("RESUME", 9, {"nonce": "0f" * 16}),
        ("CHECK", 9, {"what": "token", "token": "another"}), ("READBACK", 9, {"what": "plan", "sha256": "0f" * 32}),
        ("INTENT", 9, lost[2]), ("INTENT", 9, lost[2] | {"again": "lost"}),
        ("CHECK", 9, {"what": "token", "token": "and another"}),
        ("EXCEPTION", 9, {"intent": lost[2]["intent"], "reason": "no effect"}),
        *[(kind, seconds + 3, body | ({"adopted": "later"} if kind == "RESULT" else {})) for kind, seconds, body in after],
    ]


def signed_twice() -> list[tuple]:
    """The same, but for a signature that may have been made and was given up."""
    before, after, lost = held("a")[:9], held("a")[9:], held("lost")[9][2]
    return [*before, ("INTENT", 7, lost), ("EXCEPTION", 7, {"intent": lost["intent"], "reason": "not kept"}), *after]


def destroyed(salt: str) -> list[tuple]:
    """A rehearsal of a key's end, or the day itself, on which a witness reads."""
    def of(name: str) -> str:
        return hashlib.sha256(f"{name} {salt}".encode()).hexdigest()

    ends = {"act": "destroy", "what": "root", "intent": of("d")[:32], "key": of("key"), "token": f"root {salt}"}
    return [
        (GENESIS[0], 0, GENESIS[2] | {"nonce": of("nonce")[:32]}),
        ("ATTEST", 1, {"what": "other copy of the key", "text": "backup token 4711031: zeroised"}),
        ("READBACK", 2, {"what": "to be destroyed" + (", read by nobody" if salt == "a" else ""), "sha256": of("key")}),
        ("INTENT", 2, ends), ("RESULT", 3, {"intent": ends["intent"], "spki_sha256": of("key")}),
        ("CHECK", 3, {"what": "the destroyed key", "result": "no object in its token, and no signature by it"}), ("CLOSE", 4, {}),
    ]


def shapes() -> list[dict]:
    made = []
    for name, records in {"a rehearsal": held("a"), "the ceremony": held("b"), "a day on which everything happened": interrupted(),
                          "another key": [*held("a")[:5], *held("a")[7:]],
                          "a signature that an EXCEPTION ended": signed_twice(),
                          "a destruction, rehearsed": destroyed("a"), "the destruction": destroyed("b")}.items():
        lines = write(records)
        of = shape(read(b"".join(line + b"\n" for line in lines)).records)
        made.append({"name": name, "lines": [line.decode() for line in lines], "shape": of, "hash": shape_hash(of)})
    assert made[0]["hash"] == made[1]["hash"] == made[2]["hash"] not in (made[3]["hash"], made[4]["hash"])
    assert made[5]["hash"] == made[6]["hash"]
    colour = write([GENESIS, ("CHECK", 1, {"what": "room", "colour": "red"})])
    return [*made, {"name": "a member without a class", "lines": [line.decode() for line in colour], "hash": None}]


def vectors() -> dict:
    lines = write(whole())
    read_back = read(b"".join(line + b"\n" for line in lines))
    refused = []

    def refuse(name: str, records: list[tuple] | None = None, lines: list[bytes] | None = None) -> None:
        made = lines if lines is not None else write(records)
        try:
            read(b"".join(line + b"\n" for line in made))
        except TranscriptRefused as fault:
            refused.append({"name": name, "lines": [line.decode() for line in made], "line": fault.line})
            return
        raise TranscriptRefused(0, f"{name} is taken")

    def but(place: int, old: str, new: str) -> list[bytes]:
        assert old.encode() in lines[place], (place, old)
        return [*lines[:place], lines[place].replace(old.encode(), new.encode(), 1), *lines[place + 1:]]

    refuse("a changed text", lines=but(1, "token", "taken"))
    refuse("a line taken out", lines=lines[:3] + lines[4:])
    refuse("two lines that changed places", lines=[*lines[:2], lines[3], lines[2], *lines[4:]])
    refuse("a line after CLOSE", [*whole(), ("CHECK", 5005, {})])
    refuse("a space", lines=but(0, "\"seq\":0", "\"seq\": 0"))
    refuse("a member twice", lines=but(0, "\"seq\":0", "\"seq\":0,\"seq\":0"))
    refuse("an unknown member", lines=but(0, "\"seq\":0", "\"seq\":0,\"sez\":0"))
    refuse("an escaped letter", lines=but(0, "anna", "\\u0061nna"))
    refuse("a fraction", lines=but(0, "\"seq\":0", "\"seq\":0.0"))
    refuse("an unknown type", lines=[write([GENESIS])[0].replace(b"GENESIS", b"Genesis")])
    refuse("another format", [(GENESIS[0], 0, GENESIS[2] | {"format": "sigill-transcript/2"})])
    refuse("GENESIS without a plan", [(GENESIS[0], 0, {k: v for k, v in GENESIS[2].items() if k != "plan"})])
    refuse("no GENESIS", [("CHECK", 1, {})])
    refuse("two GENESIS", [GENESIS, GENESIS])
    refuse("work after PAUSE", [GENESIS, ("PAUSE", 1, {"reason": "lunch"}), ("CHECK", 2, {})])
    refuse("a wall clock that went back", [GENESIS, ("RESUME", 9, {}), ("RESUME", 8, {})])
    refuse("clocks that drift apart", [GENESIS, ("CHECK", 1061, {})])
    refuse("a RESULT of nothing", [GENESIS, ("RESULT", 1, {"intent": "k1"})])
    refuse("an EXCEPTION of other work", [GENESIS, ("INTENT", 1, KEY), ("EXCEPTION", 2, {"intent": "k2", "reason": "no"})])
    refuse("an INTENT beside another", [GENESIS, ("INTENT", 1, KEY), ("INTENT", 2, KEY | {"intent": "k2"})])
    refuse("an INTENT again without saying so", [GENESIS, ("INTENT", 1, KEY), ("INTENT", 2, KEY)])
    refuse("CLOSE while work is under way", [GENESIS, ("INTENT", 1, KEY), ("CLOSE", 2, {})])
    refuse("CLOSE with another head", [GENESIS, ("CLOSE", 1, {"head": "00" * 32})])
    refuse("CHECKPOINT with other lines", [GENESIS, ("CHECKPOINT", 1, {"lines": 2})])
    refuse("a number that readers of JSON read differently", [GENESIS, ("CHECK", 1, {"count": 2**53})])
    refuse("a name that is not ASCII", [GENESIS, ("CHECK", 1, {"på": "x"})])
    refuse("a list of numbers", [GENESIS, ("CHECK", 1, {"what": [1]})])
    transcripts = [{"name": "a ceremony of one key", "lines": [line.decode() for line in lines],
                    "head": read_back.head.hex(), "closed": True}]
    for count in (1, 8, 9):
        part = read(b"".join(line + b"\n" for line in lines[:count]))
        transcripts.append({"name": f"its first {count} lines", "lines": [line.decode() for line in lines[:count]],
                            "head": part.head.hex(), "closed": False})
    forged = write([GENESIS, ("CHECK", 1, {"head": "ab" * 32, "lines": 1}), ("CLOSE", 2, {})])
    transcripts.append({"name": "a CHECK that mentions a head", "lines": [line.decode() for line in forged],
                        "head": read(b"".join(line + b"\n" for line in forged)).head.hex(), "closed": True})
    return {"transcripts": transcripts, "refused": refused, "shapes": shapes()}


if __name__ == "__main__":
    if sys.argv[1:] == ["vectors"]:
        print(json.dumps(vectors(), indent=1, ensure_ascii=False))
    elif len(sys.argv) == 3 and sys.argv[1] == "shape":
        found_shape = shape(read(Path(sys.argv[2]).read_bytes()).records)
        print("\n".join([*found_shape, shape_hash(found_shape)]))
    elif len(sys.argv) == 3 and sys.argv[1] == "judge":
        found = read(Path(sys.argv[2]).read_bytes())
        print(f"{len(found.records)} lines, {'closed' if found.closed else 'not closed'}, head {found.head.hex()}")
    else:
        sys.exit(__doc__)
