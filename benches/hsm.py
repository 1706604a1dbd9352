"""Signatures a second through our queue, beside the module's own rate, on a SoftHSM token made for it."""
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess

from ours import Failed

LABEL = "sg-td-ab12-bench"
PIN = "1234"
MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
           "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so")
KEYS = ("p256", "rsa2048", "rsa4096")
THREADS = (1, 2, 16)
NAMES = {"p256": "P-256", "rsa2048": "RSA-2048", "rsa4096": "RSA-4096"}
# The bar: our rate and our 99th percentile over the module's own.
LEAST_RATE, MOST_P99 = 0.90, 1.20


def token(home):
    """A token of its own below `home`: the module, the environment that shows it, its serial number. Its PIN lies in pins/."""
    module = next((path for path in MODULES if os.path.exists(path)), None)
    if not module:
        raise Failed("SoftHSM's module is not where it is looked for")
    environment = {**os.environ, "SOFTHSM2_CONF": str(home / "softhsm2.conf")}
    for name in ("tokens", "state", "pins"):
        (home / name).mkdir(mode=0o700)
    (home / "softhsm2.conf").write_text(
        f"directories.tokendir = {home / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n")
    pin = home / "pins" / "bench.pin"
    pin.touch(mode=0o600)
    pin.write_text(PIN + "\n")
    made = run(["softhsm2-util", "--init-token", "--free", "--label", LABEL, "--pin", PIN, "--so-pin", PIN], environment)
    shown = run(["softhsm2-util", "--show-slots"], environment)
    serial = re.search(rf"Serial number:\s*(\S+)[^\0]*?Label:\s*{LABEL}", shown)
    if not serial:
        raise Failed(f"no serial number of the token: {made}{shown}")
    return module, environment, serial[1].split()[-1]


def measure(root, home, rate, rounds, seconds, say):
    """Rows: key and threads with both rates, the second judge's too; and what it costs to stand idle."""
    module, environment, serial = token(home)
    pin = home / "pins" / "bench.pin"
    rows = []
    judge = second_judge(root, home, say)
    for key in KEYS:
        for threads in THREADS:
            say(f"{NAMES[key]}, {threads} callers")
            said = run([str(rate), "--module", module, "--label", LABEL, "--serial", serial, "--pin", str(pin),
                        "--state", str(home / "state"), "--keys", key, "--threads", str(threads), "--rounds", str(rounds),
                        "--seconds", str(seconds), "--idle", "0"], environment)
            rows.append(row(key, threads, [json.loads(line) for line in said.splitlines()],
                            judge and judge(environment, module, key, threads, seconds)))
    say("idle for 10 s")
    said = run([str(rate), "--module", module, "--label", LABEL, "--serial", serial, "--pin", str(pin),
                "--state", str(home / "state"), "--keys", "p256", "--threads", "16", "--rounds", "1", "--seconds", "1",
                "--idle", "10"], environment)
    return rows, json.loads(said.splitlines()[-1])


def run(argv, environment):
    done = subprocess.run(argv, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        raise Failed(f"{argv[0]} ended with {done.returncode}: {done.stderr.decode(errors='replace')[-600:]}")
    return done.stdout.decode()


def second_judge(root, home, say):
    """`../shared/bench/p11rate.c`, which others wrote; None where it is not beside the checkout or cannot be built."""
    source = root.parent / "shared" / "bench" / "p11rate.c"
    program = home / "p11rate"
    headers = "/usr/include/p11-kit-1/p11-kit"
    if not source.exists() or not shutil.which("cc"):
        say("left out: ../shared/bench/p11rate.c is not beside this checkout, or there is no cc")
        return None
    built = subprocess.run(["cc", "-O2", f"-I{headers}", str(source), "-o", str(program), "-lpthread", "-ldl"],
                           stderr=subprocess.PIPE)
    if built.returncode:
        say(f"left out: p11rate.c: {built.stderr.decode(errors='replace').strip().splitlines()[0]}")
        return None

    def rate(environment, module, key, threads, seconds, what="per_s"):
        return json.loads(run([str(program), module, LABEL, PIN, key, str(threads), str(seconds)], environment))[what]
    return rate


def row(key, threads, runs, judged):
    def values(what, name):
        return [one[name] for one in runs if one["what"] == what]

    def ratios(name):
        return statistics.median(ours / own for own, ours in zip(values("own", name), values("queue", name), strict=True))

    result = {"key": key, "threads": threads, "p11rate_per_s": judged}
    for what in ("own", "queue"):
        for name in ("per_s", "per_cpu_s", "cpu_cores", "p50_ms", "p99_ms", "max_ms"):
            result[f"{what}_{name}"] = statistics.median(values(what, name))
    result |= {"rate_ratio": ratios("per_s"), "p99_ratio": ratios("p99_ms"), "per_cpu_ratio": ratios("per_cpu_s")}
    return result


def markdown(facts, rows, idle, flags):
    lines = [
        f"Measured {facts['date']} at commit {facts['commit']} by `benches/run --hsm{flags}`: "
        f"{facts['cores']} cores, {facts['cpu']}, Linux {facts['kernel']}, SoftHSM 2.6; "
        f"load {facts['load_before']:.1f} before and {facts['load_after']:.1f} after.",
        "",
        "| key | callers | module's own a second | through our queue | ratio | p99 own ms | p99 queue ms | ratio | CPU cores own/queue "
        "| p11rate a second |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in rows:
        judged = f"{one['p11rate_per_s']:,.0f}" if one["p11rate_per_s"] else "-"
        lines.append(
            f"| {NAMES[one['key']]} | {one['threads']} | {one['own_per_s']:,.0f} | {one['queue_per_s']:,.0f} | "
            f"**{one['rate_ratio']:.2f}**{'' if one['rate_ratio'] >= LEAST_RATE else ' (below 0.90)'} | "
            f"{one['own_p99_ms']:.2f} | {one['queue_p99_ms']:.2f} | "
            f"**{one['p99_ratio']:.2f}**{'' if one['p99_ratio'] <= MOST_P99 else ' (above 1.20)'} | "
            f"{one['own_cpu_cores']:.2f}/{one['queue_cpu_cores']:.2f} | {judged} |")
    lines += ["", f"Idle for {idle['seconds']} s with 16 sessions: {idle['cpu_ms']} ms of CPU time, {idle['wakeups']} wake-ups "
                  f"in {idle['threads']} threads.", ""]
    return "\n".join(lines)
