#!/usr/bin/env python3
"""Makes deadlines.tsv: when spans end by another reckoning than ours, for the tests to compare with.

Lines `FROM SPAN DAY END`: a span that begins at that second of Unix time has DAY as its last day in Stockholm, and END is the first
second after it. Free days are those of sweden.tsv, time zones those of the time zone database. Needs Python 3.9 with tzdata.
"""

import calendar
import datetime as dt
import pathlib
import zoneinfo

ZONE = zoneinfo.ZoneInfo("Europe/Stockholm")
FREE = {
    line.split("\t")[1]
    for line in (pathlib.Path(__file__).parent / "sweden.tsv").read_text().splitlines()
    if line.startswith("free\t")
}


def working_days(day, count):
    """Counted out, day by day."""
    while count:
        day += dt.timedelta(days=1)
        count -= day.weekday() < 5 and day.isoformat() not in FREE
    return day


def months(day, count):
    years, month = divmod(day.month - 1 + count, 12)
    year, month = day.year + years, month + 1
    return dt.date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


SPANS = {
    "5 working-days": lambda day: working_days(day, 5),
    "14 days": lambda day: day + dt.timedelta(days=14),
    "100 days": lambda day: day + dt.timedelta(days=100),
    "3 months": lambda day: months(day, 3),
}


def begins():
    """Every 11 days of ten years at changing hours, and days at which reckonings differ."""
    moment = dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc)
    while moment.year < 2034:
        yield moment
        moment += dt.timedelta(days=11, hours=5, minutes=7, seconds=11)
    for text in (
        "2026-03-31T21:59:59", "2026-03-31T22:00:00",  # midnight in Stockholm, in summer
        "2026-12-31T22:59:59", "2026-12-31T23:00:00",  # and in winter
        "2024-11-29T12:00:00", "2023-11-29T12:00:00", "2023-11-30T12:00:00",  # to the end of February
        "2026-01-31T12:00:00", "2026-05-31T12:00:00", "2026-08-31T12:00:00",
        "2026-04-01T12:00:00", "2026-06-17T12:00:00", "2026-12-22T12:00:00", "2026-05-12T12:00:00",
        "2026-10-24T23:30:00", "2026-10-25T00:30:00", "2026-03-29T00:59:59", "2026-03-29T01:00:00",
    ):
        yield dt.datetime.fromisoformat(text).replace(tzinfo=dt.timezone.utc)


def main():
    print("# made by deadlines.py")
    for moment in begins():
        for span, last in SPANS.items():
            day = last(moment.astimezone(ZONE).date())
            after = day + dt.timedelta(days=1)
            end = dt.datetime(after.year, after.month, after.day, tzinfo=ZONE)
            print(f"{int(moment.timestamp())}\t{span}\t{day}\t{int(end.timestamp())}")


if __name__ == "__main__":
    main()
