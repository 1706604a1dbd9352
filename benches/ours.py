"""Sigill under load: a demo PKI of its own, issuing over mutual TLS, OCSP over HTTP."""
import base64
import http.client
import json
import os
import pathlib
import re
import sqlite3
import ssl
import statistics
import subprocess
import threading
import time
import urllib.parse

import machine

HERE = pathlib.Path(__file__).resolve().parent
CONNECTIONS = (1, 48)
PROFILE = "function-ec"  # its CA is P-256
RSA_PROFILE = "function"  # its CA is RSA-4096
SERIALS = 2000
REVOKED_EVERY = 20
# More than any machine issues in the time of a cell; when they run out the cell ends early.
REQUESTS_A_SECOND = 9000
WRK = {"rps": r"Requests/sec:\s+([\d.]+)", "n": r"(\d+) requests in", "p50": r"\s50%\s+(\S+)", "p99": r"\s99%\s+(\S+)",
       "bad": r"Non-2xx or 3xx responses:\s+(\d+)", "socket": r"Socket errors: (.*)"}


class Failed(Exception):
    """What went wrong, for the reader of the terminal."""


class Demo:
    def __init__(self, root, home, programs, say):
        self.root, self.home, self.programs, self.say = root, home, programs, say
        self.env = {}

    def quickstart(self, *more):
        argv = [str(self.root / "quickstart"), "--home", str(self.home), "--bin", str(self.programs), *more]
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
        if done.returncode:
            raise Failed(f"quickstart {' '.join(more)} ended with {done.returncode}:\n{done.stdout.decode()[-1500:]}")

    def start(self):
        self.say("making a demo PKI and starting sigill-ca and sigill-ocsp")
        self.quickstart("--ports", "free")
        # The file is for shells, so a shell reads it.
        said = subprocess.run(["bash", "-c", '. "$0" && env -0', str(self.home / "env")], stdout=subprocess.PIPE, check=True).stdout
        self.env = dict(line.split("=", 1) for line in said.decode().split("\0") if line.startswith("SIGILL_"))
        self.api = self.env["SIGILL_API_URL"].removeprefix("https://")
        self.public = self.env["SIGILL_OCSP_URL"].removeprefix("http://")

    def stop(self):
        if (self.home / "ports").exists():
            self.quickstart("--stop")

    def pid(self, name):
        return int((self.home / "run" / f"{name}.pid").read_text())

    # --- issuing --------------------------------------------------------------------------------------

    def issuing(self, runs, seconds):
        rows = []
        self.say(f"issuing with an RSA-4096 CA, 48 connections, {runs} x {seconds} s")
        cells = [self.issue_once(48, seconds, 1000 * seconds, RSA_PROFILE) for _ in range(runs)]
        # Before the others: OCSP is asked about what was issued last.
        rows.append(median(cells) | {"what": "issuing", "server": "Sigill", "how": "function profile, RSA-4096 CA",
                                     "connections": 48})
        for connections in CONNECTIONS:
            self.say(f"issuing over mutual TLS, {connections} connections, {runs} x {seconds} s")
            # One connection is bound by the disk, not by the CPU.
            limit = REQUESTS_A_SECOND if connections > 1 else 3000
            self.issue_once(connections, 1, limit)  # warm-up
            cells = [self.issue_once(connections, seconds, limit * seconds) for _ in range(runs)]
            rows.append(median(cells) | {"what": "issuing", "server": "Sigill", "how": "function profile, P-256 CA",
                                         "connections": connections})
        return rows

    def issue_many(self, count, file):
        """A database that grows: one long run of prepared requests; what the store has afterwards beside the answers."""
        self.say(f"issuing {count} certificates over 48 connections, requests from {file}")
        before, memory, stop = self.stored(), [], threading.Event()
        first = self.ask("SELECT max(row) FROM certificate")

        def watch():
            while not stop.wait(1.0):
                reached = self.ask("SELECT max(row) FROM certificate") - first
                memory.append((reached, machine.resident_mb(self.pid("sigill-ca"))))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            cell = self.issue_once(48, 3600, count, PROFILE, file)
        finally:
            stop.set()
            watcher.join()
        return cell | {"stored": self.stored() - before, "memory": memory}

    def stored(self):
        """How many certificates the database holds that were issued here."""
        return self.ask("SELECT count(*) FROM certificate WHERE origin = 'issued'")

    def ask(self, query):
        """One number from the database, beside the server."""
        database = sqlite3.connect(f"file:{self.home / 'state' / 'ca.sqlite'}?mode=ro", uri=True)
        try:
            return database.execute(query).fetchone()[0]
        finally:
            database.close()

    def issue_once(self, connections, seconds, requests, profile=PROFILE, file=None):
        argv = [str(self.programs / "examples" / "issue-load"), "--address", self.api,
                "--ca", self.env["SIGILL_MANAGEMENT_CA"], "--cert", self.env["SIGILL_PORTAL_CERT"],
                "--key", self.env["SIGILL_PORTAL_KEY"], "--pid", str(self.pid("sigill-ca")), "--profile", profile,
                "--connections", str(connections), "--seconds", str(seconds), "--requests", str(requests),
                "--out", str(self.home / "issued.txt"), *(["--file", str(file)] if file else [])]
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120 + 3 * seconds)
        if done.returncode:
            raise Failed(f"issue-load ended with {done.returncode}: {done.stderr.decode()[-500:]}")
        return json.loads(done.stdout)

    # --- OCSP -----------------------------------------------------------------------------------------

    def ocsp(self, runs, seconds):
        issued = [line.split() for line in (self.home / "issued.txt").read_text().splitlines()][:SERIALS]
        if len(issued) < 100:
            raise Failed(f"only {len(issued)} certificates to ask about")
        revoked = issued[::REVOKED_EVERY]
        self.say(f"revoking {len(revoked)} of {len(issued)} certificates")
        self.revoke(revoked)
        self.issuer_file()
        self.wait_for("revoked", revoked[-1][1])
        self.wait_for("good", issued[1][1])
        files = self.write_requests([int(serial, 16) for _, serial in issued])
        rows = []
        for how, kind in (("signs each (nonce)", "nonce"), ("kept answers", "plain")):
            for verb in ("POST", "GET"):
                for connections in CONNECTIONS:
                    self.say(f"OCSP by {verb}, {how}, {connections} connections, {runs} x {seconds} s")
                    # A kept answer must have been made: each serial once before.
                    self.wrk(files[kind, verb], verb, 8, 2 if kind == "plain" else 1)
                    cells = [self.wrk(files[kind, verb], verb, connections, seconds) for _ in range(runs)]
                    rows.append(median(cells) | {"what": "OCSP", "server": "Sigill", "how": how, "verb": verb,
                                                 "connections": connections})
        return rows

    def revoke(self, certificates):
        context = ssl.create_default_context(cafile=self.env["SIGILL_MANAGEMENT_CA"])
        context.load_cert_chain(self.env["SIGILL_PORTAL_CERT"], self.env["SIGILL_PORTAL_KEY"])
        host, port = self.api.rsplit(":", 1)
        connection = http.client.HTTPSConnection(host, int(port), timeout=30, context=context)
        for number, (name, _) in enumerate(certificates):
            headers = {"Content-Type": "application/json", "Idempotency-Key": f"bench-{os.getpid()}-{number}"}
            connection.request("POST", f"/v1/certificates/{name}/revocation", '{"reason":"superseded"}', headers)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status >= 300:
                raise Failed(f"revoking {name} was answered {answer.status}: {body.decode()[:300]}")
        connection.close()

    def issuer_file(self):
        """The certificate of the P-256 CA, and a file of the whole chain."""
        found = [path for path in (self.home / "ceremony" / "out").glob("*functionec*.cer")]
        if len(found) != 1:
            raise Failed(f"the demo has {len(found)} function EC CAs")
        self.issuer = self.home / "issuer.pem"
        subprocess.run(["openssl", "x509", "-inform", "DER", "-in", str(found[0]), "-out", str(self.issuer)], check=True)

    def wait_for(self, state, serial):
        """OpenSSL judges an answer before the load: what is measured are real, verified answers."""
        argv = ["openssl", "ocsp", "-issuer", str(self.issuer), "-serial", f"0x{serial}", "-url", f"http://{self.public}/",
                "-CAfile", self.env["SIGILL_ROOT"], "-verify_other", str(self.issuer), "-timeout", "10"]
        until, said = time.monotonic() + 30, ""
        while time.monotonic() < until:
            said = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30).stdout.decode()
            if "Response verify OK" in said and f": {state}" in said:
                return
            time.sleep(0.2)
        raise Failed(f"OCSP does not say {state} of {serial}:\n{said}")

    def write_requests(self, serials):
        """One request a serial, with and without a nonce, as hex for POST and as path for GET."""
        one = subprocess.run(["openssl", "ocsp", "-issuer", str(self.issuer), "-serial", "1", "-no_nonce", "-reqout", "-"],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
        # CertID ::= SEQUENCE { hashAlgorithm, issuerNameHash, issuerKeyHash, serialNumber } (RFC 6960 §4.1.1);
        # the serial 1 is what follows the hashes.
        hashes = re.search(rb"\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14.{20}\x04\x14.{20}", one, re.DOTALL)[0]
        files = {}
        for kind in ("plain", "nonce"):
            requests = []
            for serial in serials:
                number = serial.to_bytes(serial.bit_length() // 8 + 1, "big")
                asked = sequence(sequence(sequence(hashes + tlv(0x02, number))))
                requests.append(sequence(sequence(asked + (nonce_extension() if kind == "nonce" else b""))))
            for verb in ("POST", "GET"):
                files[kind, verb] = self.home / f"{kind}.{verb.lower()}"
                write = bytes.hex if verb == "POST" else lambda der: urllib.parse.quote(base64.b64encode(der), safe="")
                files[kind, verb].write_text("".join(write(der) + "\n" for der in requests))
        return files

    def wrk(self, requests, verb, connections, seconds):
        return wrk(self.pid("sigill-ocsp"), self.public, requests, verb, connections, seconds)


def wrk(pid, address, requests, verb, connections, seconds):
    argv = ["wrk", "--latency", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--timeout", "10s",
            "-s", str(HERE / "ocsp.lua"), f"http://{address}/"]
    env = os.environ | {"VERB": verb, "REQUESTS": str(requests)}
    before, begun = machine.cpu(pid), time.monotonic()
    load = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env)
    out = load.stdout.read().decode()
    _, _, used = os.wait4(load.pid, 0)
    wall, server = time.monotonic() - begun, machine.cpu(pid) - before
    found = {name: re.search(pattern, out) for name, pattern in WRK.items()}
    if not found["n"] or not int(found["n"][1]):
        raise Failed(f"wrk got no answer:\n{out[-500:]}")
    count = int(found["n"][1])
    bad = int(found["bad"][1]) if found["bad"] else 0
    return {"n": count, "rps": float(found["rps"][1]), "p50_ms": milliseconds(found["p50"][1]),
            "p99_ms": milliseconds(found["p99"][1]), "bad": bad + (1 if found["socket"] else 0),
            "first_bad": found["socket"][1] if found["socket"] else None, "cpu_srv": server / wall,
            "cpu_cli": (used.ru_utime + used.ru_stime) / wall, "per_cpu_s": count / server,
            "rss_mb": machine.resident_mb(pid)}


def median(cells):
    """The cell whose answers per CPU second are in the middle, with all failures."""
    chosen = sorted(cells, key=lambda cell: cell["per_cpu_s"])[len(cells) // 2]
    return chosen | {"rps": statistics.median(cell["rps"] for cell in cells), "bad": sum(cell["bad"] for cell in cells),
                     "runs": len(cells)}


def milliseconds(text):
    number, unit = re.match(r"([\d.]+)(us|ms|s|m)$", text).groups()
    return float(number) * {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}[unit]


def tlv(tag, content):
    length = len(content)
    head = bytes([length]) if length < 128 else bytes([0x81, length]) if length < 256 else b"\x82" + length.to_bytes(2, "big")
    return bytes([tag]) + head + content


def sequence(content):
    return tlv(0x30, content)


def nonce_extension():
    """requestExtensions with one nonce of 32 octets (RFC 9654 §2.1)."""
    oid = tlv(0x06, bytes.fromhex("2b0601050507300102"))
    return tlv(0xA2, sequence(sequence(oid + tlv(0x04, tlv(0x04, os.urandom(32))))))
