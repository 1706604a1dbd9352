"""How long until a revocation is visible: from the call that revokes to the first answer that says so.

On one host the responder reads the publication folder itself. Across zones it has folders of its own and the CA pushes to its
receiver over TLS, as docs/operations/feed.md tells; both ends stand on this machine, so a network adds its own delay.
"""
import http.client
import os
import re
import shutil
import socket
import ssl
import subprocess
import time

from ours import PROFILE, Failed

LIMIT = 60.0  # seconds: a revocation that is not seen by then has failed
GOOD, REVOKED = 0x80, 0xA1  # certStatus, RFC 6960 §4.2.1
LOAD_CONNECTIONS = 16


def measure(demo, count, say):
    demo.stop()
    # Four rows within the hour, by one client.
    config = demo.home / "config" / "ca.toml"
    config.write_text(config.read_text() + f"\n[revocation]\nalone = {5 * count}\n")
    demo.start()
    demo.issuer_file()
    rows = [cell(demo, "one host", "idle", count, say), cell(demo, "one host", "issuing", count, say)]
    say("giving the responder folders and a receiver of its own")
    demo.stop()
    across(demo)
    demo.start()
    rows += [cell(demo, "across zones", "idle", count, say), cell(demo, "across zones", "issuing", count, say)]
    return rows


def cell(demo, where, beside, count, say):
    say(f"revoking {count} certificates one after the other, {where}, {beside}")
    demo.issue_once(8, 60, count + 1, PROFILE)
    issued = [line.split() for line in (demo.home / "issued.txt").read_text().splitlines()]
    if len(issued) < count:
        raise Failed(f"{len(issued)} certificates were issued, {count} are needed")
    issued = issued[:count]
    questions = demo.write_requests([int(serial, 16) for _, serial in issued])["plain", "POST"].read_text().split()
    demo.connections = {}
    for question, (_, serial) in zip(questions, issued):
        seen(demo, bytes.fromhex(question), int(serial, 16), GOOD)
    with Load(demo, beside == "issuing"):
        demo.connections = {}  # an idle one may have been closed
        times = [one(demo, name, bytes.fromhex(question), int(serial, 16))
                 for question, (name, serial) in zip(questions, issued)]
    # What this reads of an answer is where its certStatus lies: a program of others says the same of the last one.
    demo.wait_for("revoked", issued[-1][1])
    visible, answered = (sorted(part) for part in zip(*times))
    return {"where": where, "beside": beside, "n": count, "p50_ms": at(visible, 0.5), "p99_ms": at(visible, 0.99),
            "max_ms": visible[-1], "answered_p50_ms": at(answered, 0.5)}


def at(values, share):
    return values[min(len(values) - 1, int(len(values) * share))]


def one(demo, name, question, serial):
    """Milliseconds from the call to the first answer that says revoked, and to the CA's own answer."""
    began = time.monotonic()
    status, body = revocation(demo, name)
    answered = time.monotonic()
    if status != 200:
        raise Failed(f"revoking {name} was answered {status}: {body[:300]}")
    seen(demo, question, serial, REVOKED)
    return (time.monotonic() - began) * 1000, (answered - began) * 1000


def revocation(demo, name):
    connection = kept(demo, "api", lambda: api_connection(demo))
    headers = {"Content-Type": "application/json", "Idempotency-Key": f"visible-{os.getpid()}-{name}"}
    connection.request("POST", f"/v1/certificates/{name}/revocation", '{"reason":"superseded"}', headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def api_connection(demo):
    context = ssl.create_default_context(cafile=demo.env["SIGILL_MANAGEMENT_CA"])
    context.load_cert_chain(demo.env["SIGILL_PORTAL_CERT"], demo.env["SIGILL_PORTAL_KEY"])
    host, port = demo.api.rsplit(":", 1)
    return http.client.HTTPSConnection(host, int(port), timeout=30, context=context)


def kept(demo, name, make):
    """A connection that is kept from question to question."""
    if name not in demo.connections:
        demo.connections[name] = make()
    return demo.connections[name]


def seen(demo, question, serial, status):
    """Asks until the answer has this status."""
    host, port = demo.public.rsplit(":", 1)
    connection = kept(demo, "ocsp", lambda: http.client.HTTPConnection(host, int(port), timeout=30))
    until, last = time.monotonic() + LIMIT, None
    while time.monotonic() < until:
        connection.request("POST", "/", question, {"Content-Type": "application/ocsp-request"})
        last = status_of(connection.getresponse().read(), serial)
        if last == status:
            return
        time.sleep(0.002)
    raise Failed(f"serial {serial:x} has the status {last} after {LIMIT:.0f} s, not {status:#x}")


def status_of(answer, serial):
    """The tag of certStatus behind the serial of CertID; none where the answer holds no such response."""
    number = serial.to_bytes(serial.bit_length() // 8 + 1, "big")
    before = b"\x02" + bytes([len(number)]) + number
    found = answer.find(before)
    return answer[found + len(before)] if found >= 0 else None


class Load:
    """Certificates that are issued meanwhile."""

    def __init__(self, demo, wanted):
        self.demo, self.wanted, self.process = demo, wanted, None

    def __enter__(self):
        if not self.wanted:
            return
        demo = self.demo
        argv = [str(demo.programs / "examples" / "issue-load"), "--address", demo.api,
                "--ca", demo.env["SIGILL_MANAGEMENT_CA"], "--cert", demo.env["SIGILL_PORTAL_CERT"],
                "--key", demo.env["SIGILL_PORTAL_KEY"], "--pid", str(demo.pid("sigill-ca")), "--profile", PROFILE,
                "--connections", str(LOAD_CONNECTIONS), "--seconds", "600", "--requests", "200000",
                "--file", str(demo.home / "load-requests.txt"), "--out", str(demo.home / "load.txt")]
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        before = demo.stored()
        until = time.monotonic() + 120
        while demo.stored() < before + 100:
            if self.process.poll() is not None or time.monotonic() > until:
                raise Failed("the load of issuing did not begin")
            time.sleep(0.1)

    def __exit__(self, *_):
        if self.process:
            ended = self.process.poll()
            self.process.kill()
            self.process.wait()
            if ended is not None and not _[0]:
                raise Failed("the load of issuing ended before the last revocation")


def across(demo):
    """The outer host's folders, its keys of the feed, and what the CA knows of it."""
    home = demo.home
    outer = home / "outer"
    outer.mkdir()
    for folder in ("publish", "outbox"):
        shutil.copytree(home / folder, outer / folder)
    pins = {name: key_pair(home / "tls", name) for name in ("push", "receive")}
    address = f"127.0.0.1:{free_port()}"
    config = home / "config" / "ocsp.toml"
    text = config.read_text()
    for key in ("folder", "outbox"):
        text, changed = re.subn(rf'(?m)^({key}\s*=\s*)"\.\./(publish|outbox)"', r'\1"../outer/\2"', text)
        if changed != 1:
            raise Failed(f"{config} has {changed} lines {key}")
    config.write_text(text + f'\n[receive]\nlisten = "{address}"\ncertificate = "../tls/receive.pem"\n'
                             f'key = "../tls/receive.key"\nsenders = ["{pins["push"]}"]\n')
    config = home / "config" / "ca.toml"
    config.write_text(config.read_text() + '\n[push]\ncertificate = "../tls/push.pem"\nkey = "../tls/push.key"\n'
                      f'\n[[push.host]]\nname = "ocsp1"\naddress = "{address}"\nkeys = ["{pins["receive"]}"]\n')


def key_pair(folder, name):
    """A key of the feed; its pin."""
    key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                    "-subj", f"/CN={name}", "-keyout", str(key), "-out", str(certificate)], check=True, stderr=subprocess.DEVNULL)
    key.chmod(0o600)
    spki = subprocess.run(["openssl", "x509", "-in", str(certificate), "-noout", "-pubkey"], check=True, stdout=subprocess.PIPE).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=spki, check=True, stdout=subprocess.PIPE).stdout
    return subprocess.run(["openssl", "dgst", "-sha256", "-r"], input=der, check=True, stdout=subprocess.PIPE).stdout.split()[0].decode()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def markdown(facts, rows, flags):
    lines = [
        f"Measured {facts['date']} at commit {facts['commit']} by `benches/run --visible{flags}`: {facts['cores']} cores, "
        f"{facts['cpu']}; load {facts['load_before']:.1f} before and {facts['load_after']:.1f} after. "
        f"{rows[0]['n']} revocations a row, one after the other.",
        "",
        "| where the responder stands | meanwhile | visible, p50 ms | p99 ms | longest ms | the CA's own answer, p50 ms |",
        "|---|---|---:|---:|---:|---:|",
    ]
    meanwhile = {"idle": "nothing", "issuing": f"issuing over {LOAD_CONNECTIONS} connections"}
    lines += [f"| {row['where']} | {meanwhile[row['beside']]} | {row['p50_ms']:,.0f} | **{row['p99_ms']:,.0f}** "
              f"| {row['max_ms']:,.0f} | {row['answered_p50_ms']:,.0f} |" for row in rows]
    return "\n".join(lines + [""])
