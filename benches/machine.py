"""What the machine can do at most, so that figures of two machines can be set beside each other."""
import os
import re
import subprocess
import time

HZ = os.sysconf("SC_CLK_TCK")


def facts(folder, root):
    model = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    signs, verifies = p256()
    return {
        "cores": os.cpu_count(),
        "cpu": model[1].strip() if model else os.uname().machine,
        "kernel": os.uname().release.split("-")[0],
        "load_before": os.getloadavg()[0],
        "fdatasync_per_s": fdatasync(folder),
        "p256_signs_per_cpu_s": signs,
        "p256_verifies_per_cpu_s": verifies,
        "openssl": said(["openssl", "version"]).split(" (")[0],
        "commit": said(["git", "-C", str(root), "rev-parse", "--short=10", "HEAD"]),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def said(argv):
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode().strip()


def p256():
    """Signatures and verifications a CPU second, by OpenSSL's own measure."""
    text = said(["openssl", "speed", "-seconds", "1", "ecdsap256"])
    found = re.search(r"nistp256\)\s+\S+s\s+\S+s\s+([\d.]+)\s+([\d.]+)", text)
    return (float(found[1]), float(found[2])) if found else (None, None)


def fdatasync(folder, seconds=1.0):
    """Durable writes of one writer, 1.5 KB each, one after the other."""
    path = folder / "fdatasync"
    with open(path, "wb", buffering=0) as file:
        count, until = 0, time.monotonic() + seconds
        while time.monotonic() < until:
            file.write(b"x" * 1500)
            os.fdatasync(file.fileno())
            count += 1
    path.unlink()
    return count / seconds


def cpu(pid):
    """Seconds of CPU that a process has used, its threads included."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / HZ


def resident_mb(pid):
    found = re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read())
    return int(found[1]) // 1024 if found else 0
