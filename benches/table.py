"""The table of a run in Markdown, and its place in docs/performance.md."""
import sys

BEGIN = "<!-- benches/run --write: begin; do not edit by hand -->"
END = "<!-- benches/run --write: end -->"
HSM_BEGIN = "<!-- benches/run --hsm --write: begin; do not edit by hand -->"
HSM_END = "<!-- benches/run --hsm --write: end -->"
MANY_BEGIN = "<!-- benches/run --many --write: begin; do not edit by hand -->"
MANY_END = "<!-- benches/run --many --write: end -->"
OCSP_BEGIN = "<!-- benches/run --ocsp --write: begin; do not edit by hand -->"
OCSP_END = "<!-- benches/run --ocsp --write: end -->"
VISIBLE_BEGIN = "<!-- benches/run --visible --write: begin; do not edit by hand -->"
VISIBLE_END = "<!-- benches/run --visible --write: end -->"


def markdown(facts, rows, notes, flags):
    lines = [
        f"Measured {facts['date']} at commit {facts['commit']} by `benches/run{' ' + flags if flags else ''}`: "
        f"{facts['cores']} cores, {facts['cpu']}, Linux {facts['kernel']}, {facts['openssl']}; "
        f"load {facts['load_before']:.1f} before and {facts['load_after']:.1f} after.",
        f"One writer makes {facts['fdatasync_per_s']:,.0f} durable writes of 1.5 KB a second; "
        f"{limit(facts)}",
        "",
    ]
    for what, title in (("issuing", "Issuing, certificates"), ("OCSP", "OCSP, answers")):
        lines += [
            f"**{title}**",
            "",
            "| server | how | connections | per CPU s | a second | p50 ms | p99 ms | CPU server/client | RSS MB |",
            "|---|---|---:|---:|---:|---:|---:|---:|---:|",
        ]
        lines += [line(row) for row in rows if row["what"] == what]
        lines.append("")
    lines += notes + ([""] if notes else [])
    return "\n".join(lines)


def many(facts, cell, flags):
    """One long run: what was answered and stored, and the memory at each tenth of it."""
    lines = [
        f"Measured {facts['date']} at commit {facts['commit']} by `benches/run --many{flags}`: {facts['cores']} cores, "
        f"{facts['cpu']}; load {facts['load_before']:.1f} before and {facts['load_after']:.1f} after.",
        "",
        "| answered 201 | other answers | in the store | per CPU s | a second | p50 ms | p99 ms |",
        "|---:|---:|---:|---:|---:|---:|---:|",
        f"| {cell['n']:,} | {cell['bad']} | {cell['stored']:,} | **{cell['per_cpu_s']:,.0f}** | {cell['rps']:,.0f} "
        f"| {cell['p50_ms']:.2f} | {cell['p99_ms']:.1f} |",
        "",
    ]
    tenths = {min(9, stored * 10 // max(1, cell["n"])): megabytes for stored, megabytes in cell["memory"]}
    lines += ["| after | " + " | ".join(f"{tenth + 1}/10" for tenth in tenths) + " |",
              "|---|" + "---:|" * len(tenths),
              "| RSS MB | " + " | ".join(str(megabytes) for megabytes in tenths.values()) + " |", ""]
    return "\n".join(lines)


def limit(facts):
    if facts["p256_signs_per_cpu_s"] is None:
        return "`openssl speed` gave no P-256 figure."
    return (f"OpenSSL makes {facts['p256_signs_per_cpu_s']:,.0f} P-256 signatures and verifies "
            f"{facts['p256_verifies_per_cpu_s']:,.0f} a CPU second.")


def line(row):
    how = row["how"] + (f", {row['verb']}" if row.get("verb") else "")
    wrong = f" ({row['bad']} wrong)" if row["bad"] else ""
    cells = [row["server"], how + wrong, row["connections"], f"**{row['per_cpu_s']:,.0f}**", f"{row['rps']:,.0f}",
             f"{row['p50_ms']:.2f}", f"{row['p99_ms']:.1f}", f"{row['cpu_srv']:.2f}/{row['cpu_cli']:.2f}", row["rss_mb"]]
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def put(path, text, begin=BEGIN, end=END):
    """Puts the text between the markers of a document."""
    before, found, rest = path.read_text().partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        print(f"error: {path} has no markers of benches/run", file=sys.stderr)
        sys.exit(1)
    path.write_text(f"{before}{begin}\n\n{text}\n{end}{after}")
