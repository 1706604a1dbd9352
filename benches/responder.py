"""All figures of OCSP: answers signed each and kept, keys in the token and in memory, P-256 and RSA-2048, with many certificates
loaded, beside the peers and what the machine can do."""
import json
import os
import pathlib
import re
import subprocess
import time
import urllib.request

import hsm
import machine
import ours
import peers
from ours import Failed

# Each world has one delegate: a second one is not certified within the hour.
WORLDS = (("p256", "token", ""), ("p256", "memory", 'delegate-key-place = "process-memory"'),
          ("rsa2048", "token", 'delegate-key = "rsa-2048"'),
          ("rsa2048", "memory", 'delegate-key = "rsa-2048"\ndelegate-key-place = "process-memory"'))
NAMES = {"p256": "P-256", "rsa2048": "RSA-2048"}
PLACES = {"token": "key in the token", "memory": "key in process memory"}
# The bars: answers a CPU second, shares, octets of memory a certificate.
HTTP, SHARE, KEPT, KEPT_TIMES, MEMORY, OPENBAO_TIMES, OCTETS = 60_000, 0.85, 60_000, 3, 14_000, 2, 60
TEST = "figures::a_world_for_benches"
# Certificates of a responder of which the memory does not count.
FEW = 20_000
# Threads with which the token's own rate is taken; the best of them is what we are held against.
THREADS = (1, 2, 16)


class World:
    """A responder and an inner zone made by hand, alive while the block runs."""

    def __init__(self, home, harness, program, certificates, authority):
        self.told, self.log = home / f"world-{os.urandom(4).hex()}.json", home / "world.log"
        self.harness = harness
        self.env = os.environ | {"SIGILL_BENCH_WORLD": str(self.told), "SIGILL_BENCH_CERTIFICATES": str(certificates),
                                 "SIGILL_BENCH_AUTHORITY": authority, "SIGILL_BENCH_PROGRAM": str(program)}

    def __enter__(self):
        with open(self.log, "ab") as log:
            argv = [str(self.harness), "--exact", TEST, "--include-ignored", "--nocapture"]
            self.process = subprocess.Popen(argv, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + 900
        while not self.told.exists():
            if self.process.poll() is not None or time.monotonic() > until:
                self.__exit__()
                raise Failed(f"the responder did not become ready:\n{self.log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)
        for name, value in json.loads(self.told.read_text()).items():
            setattr(self, name, pathlib.Path(value) if name == "folder" else value)
        self.ready_cpu_s = machine.cpu(self.pid)
        return self

    def __exit__(self, *_):
        self.told.unlink(missing_ok=True)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def load(self, kind, verb, connections, seconds):
        return ours.wrk(self.pid, self.address, self.folder / f"{kind}.{verb.lower()}", verb, connections, seconds)

    def metric(self, name):
        text = urllib.request.urlopen(f"http://{self.observe}/metrics", timeout=10).read().decode()
        return int(re.search(rf"^{name} (\d+)$", text, re.MULTILINE)[1])

    def verified(self):
        """OpenSSL judges an answer before the load: what is measured are real, verified answers."""
        question = bytes.fromhex((self.folder / "plain.post").read_text().splitlines()[1])
        answer = self.folder / "answer.der"
        asked = urllib.request.Request(f"http://{self.address}/", question, {"Content-Type": "application/ocsp-request"})
        answer.write_bytes(urllib.request.urlopen(asked, timeout=20).read())
        argv = ["openssl", "ocsp", "-respin", str(answer), "-CAfile", str(self.folder / "ca.pem"), "-issuer",
                str(self.folder / "ca.pem"), "-no_nonce", "-resp_text"]
        said = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.decode()
        if "Response verify OK" not in said or "Cert Status: good" not in said:
            raise Failed(f"OpenSSL does not take the answer:\n{said[-1500:]}")


def measure(root, home, harness, program, runs, seconds, certificates, with_peers, say):
    """Rows, limits, what the certificates take, and what is to be said."""
    limits, rows, loaded, notes = limits_of(root, home, seconds, say), [], None, []
    for key, place, authority in WORLDS:
        main = (key, place) == ("p256", "token")
        count = certificates if main else FEW
        say(f"a responder with {count:,} certificates, {NAMES[key]}, {PLACES[place]}")
        with World(home, harness, program, count, authority) as world:
            world.verified()
            if main:
                loaded = {"certificates": world.metric("sigill_ocsp_certificates"), "rss_mb": machine.resident_mb(world.pid),
                          "index_bytes": world.metric("sigill_ocsp_index_bytes"), "ready_s": world.ready_s,
                          "ready_cpu_s": world.ready_cpu_s}
            elif "few_mb" not in loaded:
                loaded["few_mb"] = machine.resident_mb(world.pid)
            for how, kind in (("signs each (nonce)", "nonce"), ("kept answers", "plain"))[:2 if main else 1]:
                for verb in ("POST", "GET"):
                    for connections in ours.CONNECTIONS:
                        if not main and verb == "GET":
                            continue
                        say(f"{how}, {verb}, {connections} connections, {runs} x {seconds} s")
                        # A kept answer must have been made: each serial once before.
                        world.load(kind, verb, 8, 2 if kind == "plain" else 1)
                        cells = [world.load(kind, verb, connections, seconds) for _ in range(runs)]
                        rows.append(ours.median(cells) | {
                            "what": "OCSP", "server": "Sigill", "how": f"{how}, {NAMES[key]}, {PLACES[place]}", "verb": verb,
                            "connections": connections, "key": key, "place": place, "kind": kind})
    if with_peers:
        found, notes = peers.measure(root, home, runs, seconds, say, peers.OCSP_PARTS, tuple(NAMES))
        rows += [row | {"how": f"{row['how']}, {NAMES[row['key']]}"} for row in found]
    else:
        notes.append("Peers were left out.")
    return rows, limits, loaded, notes


def limits_of(root, home, seconds, say):
    """T: the token's own signatures a CPU second, with the number of threads that is best. V: OpenSSL's verifications."""
    say("limits: the token's own signatures, and verifications")
    folder = home / "limits"
    folder.mkdir()
    module, environment, _ = hsm.token(folder)
    judge = hsm.second_judge(root, folder, say)
    text = machine.said(["openssl", "speed", "-seconds", "1", "ecdsap256", "rsa2048"])
    verifies = {"p256": re.search(r"nistp256\)\s+\S+s\s+\S+s\s+[\d.]+\s+([\d.]+)", text),
                "rsa2048": re.search(r"rsa 2048 bits\s+\S+s\s+\S+s\s+[\d.]+\s+([\d.]+)", text)}
    limits = {}
    for key in NAMES:
        rates = [judge(environment, module, key, threads, min(seconds, 4), "per_cpu_s") for threads in THREADS] if judge else []
        signs = max(rates, default=None)
        limits[key] = {"T": signs, "V": float(verifies[key][1]) if verifies[key] else None}
    return limits


def markdown(facts, rows, limits, loaded, notes, flags, line):
    text = [
        f"Measured {facts['date']} at commit {facts['commit']} by `benches/run --ocsp{flags}`: {facts['cores']} cores, {facts['cpu']}, "
        f"Linux {facts['kernel']}, {facts['openssl']}; load {facts['load_before']:.1f} before and {facts['load_after']:.1f} after.",
        "", "| server | how | connections | per CPU s | a second | p50 ms | p99 ms | CPU server/client | RSS MB |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|", *map(line, rows), "",
        f"With {loaded['certificates']:,} certificates loaded the index takes **{loaded['index_bytes'] / loaded['certificates']:.0f} octets** a "
        f"certificate (bar: {OCTETS}), the whole process {loaded['rss_mb']} MB: {resident(loaded):.0f} octets for each certificate more than the "
        f"{FEW:,} of another responder of {loaded['few_mb']} MB. From its start to ready with all of them it took {loaded['ready_s']:.1f} s, "
        f"{loaded['ready_cpu_s']:.1f} s of CPU time.", "",
        "| bar, answers a CPU second at 48 connections, POST | wanted | measured | |", "|---|---:|---:|---|",
        *[f"| {name} | {wanted:,.0f} | **{found:,.0f}** | {'reached' if found >= wanted else 'not reached'} |"
          for name, wanted, found in bars(rows, limits)], ""]
    found = slowest(rows)
    if found:
        text += ["| 99th percentile, POST, 48 connections | ms | the peers' best, that do the same | |", "|---|---:|---:|---|",
                 *[f"| {name} | **{own:.1f}** | {best:.1f} | {'below' if own < best else 'not below'} |" for name, own, best in found], ""]
    return "\n".join(text + notes + ([""] if notes else []))


def resident(loaded):
    """Octets of the process a certificate, beside a process that has few of them."""
    return (loaded["rss_mb"] - loaded["few_mb"]) * 2**20 / max(1, loaded["certificates"] - FEW)


def bars(rows, limits):
    """What is wanted of each figure, and what it is."""
    at_most = max(ours.CONNECTIONS)
    busy = [row for row in rows if row["verb"] == "POST" and row["connections"] == at_most]
    own = {(row["kind"], row["key"], row["place"]): row["per_cpu_s"] for row in busy if row["server"] == "Sigill"}
    others = [row for row in busy if row["server"] != "Sigill"]
    for key in NAMES:
        found, limit = own["nonce", key, "token"], limits[key]
        if limit["T"] and limit["V"]:
            least = SHARE / (1 / limit["T"] + 1 / limit["V"] + 1 / HTTP)
            yield (f"signed each in the token, {NAMES[key]}: 85 % of 1/(1/T + 1/V + 1/60 000), T {limit['T']:,.0f}, V {limit['V']:,.0f}",
                   least, found)
        for row in others:
            if row["server"] == "OpenBao" and row["key"] == key:
                yield f"signed each in the token, {NAMES[key]}: twice OpenBao", OPENBAO_TIMES * row["per_cpu_s"], found
    memory = own["nonce", "p256", "memory"]
    yield "signed each in process memory, P-256", MEMORY, memory
    openssl = {key: [row["per_cpu_s"] for row in others if "openssl" in row["server"] and row["key"] == key] for key in NAMES}
    for key in NAMES:
        if openssl[key]:
            yield f"signed each in process memory, {NAMES[key]}: above `openssl ocsp`", max(openssl[key]), own["nonce", key, "memory"]
    yield "kept answers", KEPT, own["plain", "p256", "token"]
    if others:
        yield "kept answers: three times the best peer", KEPT_TIMES * max(row["per_cpu_s"] for row in others), own["plain", "p256", "token"]


def slowest(rows):
    """The 99th percentiles, beside the least of the peers that do the same: sign each, or give what was signed before."""
    at_most = max(ours.CONNECTIONS)
    busy = [row for row in rows if row["verb"] == "POST" and row["connections"] == at_most]
    found = []
    for row in busy:
        if row["server"] == "Sigill":
            same = "signed beforehand" if row["kind"] == "plain" else "signs each"
            others = [one["p99_ms"] for one in busy
                      if one["server"] != "Sigill" and one["key"] == row["key"] and one["how"].startswith(same)]
            if others:
                found.append((row["how"], row["p99_ms"], min(others)))
    return found
