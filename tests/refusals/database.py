"""Looks into a database, and spoils it, from outside the programs.

    database.py counts                      for each file named on a line of standard input: rows of each
                                            table and sizes of the logs, as a line of JSON
    database.py deployment FILE E PKI INST  makes it another deployment's
    database.py lock FILE HOW               holds its write lock (IMMEDIATE, EXCLUSIVE) until standard input ends
"""

import json
import sqlite3
import sys

# They keep time and grow or change by themselves.
CLOCKS = {"lease", "published_checkpoint", "rsa_key"}


def counts() -> None:
    for line in sys.stdin:
        print(json.dumps(counted(line.rstrip("\n"))), flush=True)


def counted(path: str) -> dict:
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    database.execute("BEGIN")
    tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    names = [name for (name,) in database.execute(tables) if name not in CLOCKS]
    rows = {name: database.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}
    logs = dict(database.execute("SELECT log, size FROM log_head"))
    database.close()
    return {"rows": rows, "status": logs["status"], "audit": logs["audit"]}


def deployment(path: str, environment: str, pki: str, instance: str) -> None:
    database = sqlite3.connect(path)
    with database:
        parts = (environment, pki, instance)
        changed = database.execute("UPDATE deployment SET environment = ?, pki = ?, instance = ?", parts)
    assert changed.rowcount == 1
    database.close()


def lock(path: str, how: str) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute(f"BEGIN {how}")
    print("locked", flush=True)
    sys.stdin.read()
    database.execute("ROLLBACK")


if __name__ == "__main__":
    {"counts": counts, "deployment": deployment, "lock": lock}[sys.argv[1]](*sys.argv[2:])
