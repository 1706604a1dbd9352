"""OpenBao and `openssl ocsp` under the same kind of load, by the benches beside the repository (../shared/bench)."""
import json
import os
import pathlib
import subprocess

NAMES = {"openssl ocsp 3.0": "openssl ocsp", "openssl ocsp 3.0 -multi 2": "openssl ocsp -multi 2",
         "OpenBao 2.7 OCSP (raft)": "OpenBao",
         "cfssl 1.2 (Debian) ocspserve (file)": "cfssl (Debian)", "OpenBao 2.7 (raft)": "OpenBao"}
SIZES = {"BENCH_N": "10000", "BAO_CERTS": "2000"}
# (script, peer, seconds that it may take beyond the measuring)
PARTS = (("ocsp.py", "openssl", 60), ("ocsp.py", "openbao", 120), ("issue.py", "openbao", 60))
OCSP_PARTS = (("ocsp.py", "openssl", 60), ("ocsp.py", "openbao", 120), ("ocsp.py", "cfssl-old", 60))


def measure(root, home, runs, seconds, say, parts=PARTS, keys=("p256",)):
    """Rows of the peers, and what is to be said about those that are missing."""
    bench = root.parent / "shared" / "bench"
    if not (bench / "ocsp.py").exists():
        say("skipped: peers: ../shared/bench is not there")
        return [], ["Peers were not measured: ../shared/bench is not there."]
    folder = pathlib.Path(os.environ.get("BENCH_DIR", "/tmp/pkibench"))
    python = folder / "venv" / "bin" / "python"
    if not python.exists():
        say("skipped: peers: run ../shared/bench/setup.sh once")
        return [], ["Peers were not measured: ../shared/bench/setup.sh had not been run."]
    results = home / "peers.jsonl"
    env = os.environ | SIZES | {"BENCH_DIR": str(folder), "BENCH_RESULTS": str(results), "BENCH_RUNS": str(runs),
                                "BENCH_SECS": str(seconds), "ISSUE_VERBS": "sign", "PYTHONDONTWRITEBYTECODE": "1"}
    notes = []
    if not (folder / "fx" / "reqs-p256.hex").exists():
        say("making the peers' keys and certificates")
        run([str(python), str(bench / "fixtures.py")], env, 300, home)
    # A network of their own where that is allowed: their ports are fixed.
    apart = subprocess.run(["unshare", "-n", "true"], stderr=subprocess.DEVNULL).returncode == 0
    for script, peer, more in parts:
        for key in keys:
            say(f"{script} {peer} {key}, {runs} x {seconds} s a cell")
            argv = ([str(bench / "ns.sh")] if apart else []) + [str(python), str(bench / script), peer, key]
            if not run(argv, env, more + 12 * runs * (seconds + 3), home):
                notes.append(f"`{script} {peer} {key}` failed.")
    return rows(results), notes


def run(argv, env, limit, home):
    """Runs one part in a session of its own, and on timeout ends what it started."""
    with open(home / "peers.log", "ab") as log:
        part = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True)
        try:
            return part.wait(limit) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            if part.poll() is None:
                # An interrupt lets the part stop the server that it started.
                os.killpg(part.pid, 2)
                try:
                    part.wait(20)
                except subprocess.TimeoutExpired:
                    os.killpg(part.pid, 9)
                    part.wait()


def rows(results):
    found = []
    for line in results.read_text().splitlines() if results.exists() else []:
        row = json.loads(line)
        if row.get("kind") not in ("ocsp", "issue") or "cpu_srv" not in row:
            continue
        issuing = row["kind"] == "issue"
        found.append({
            "what": "issuing" if issuing else "OCSP", "server": NAMES.get(row["label"], row["label"]),
            "how": "one CSR again and again, P-256 CA" if issuing else "signed beforehand" if "cfssl" in row["label"] else "signs each",
            "key": row.get("key"),
            "verb": None if issuing else row["verb"], "connections": row["conns"], "rps": row["rps"],
            "p50_ms": row["p50_ms"], "p99_ms": row["p99_ms"], "cpu_srv": row["cpu_srv"], "cpu_cli": row["cpu_cli"],
            "per_cpu_s": row["rps"] / row["cpu_srv"] if row["cpu_srv"] else 0, "rss_mb": row["rss_mb"], "bad": row["bad"],
        })
    return found
