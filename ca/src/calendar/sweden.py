#!/usr/bin/env python3
"""Makes sweden.tsv: what others say of the Swedish calendar, 2019 to 2040, for the tests to compare with.

Lines `free DAY NAME`: what the Python library `holidays` calls a public holiday of Sweden, and the eves that it calls free in
fact. Lines `clock SECONDS OFFSET`: from that second of Unix time on Stockholm is that many seconds ahead of
UTC, by the time zone database. Needs Python 3.9 with tzdata and `pip install holidays`.
"""

import datetime as dt
import zoneinfo

import holidays

YEARS = range(2019, 2041)
ZONE = zoneinfo.ZoneInfo("Europe/Stockholm")


def offset(second):
    return int(dt.datetime.fromtimestamp(second, ZONE).utcoffset().total_seconds())


def main():
    print(f"# holidays {holidays.__version__}; see sweden.py")
    free = holidays.Sweden(years=YEARS, categories=("public", "de_facto"), include_sundays=False)
    for day in sorted(free):
        print(f"free\t{day}\t{free[day]}")
    begin = int(dt.datetime(YEARS[0], 1, 1, tzinfo=dt.timezone.utc).timestamp())
    end = int(dt.datetime(YEARS[-1] + 1, 1, 1, tzinfo=dt.timezone.utc).timestamp())
    last = None
    for second in range(begin, end, 900):
        if offset(second) != last:
            last = offset(second)
            print(f"clock\t{second}\t{last}")


if __name__ == "__main__":
    main()
