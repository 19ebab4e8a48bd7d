"""All benchmarks against the peers, in one command.

    python -m jobs.benchmarks.peers                        # everything, about 50 minutes on two cores
    python -m jobs.benchmarks.peers --quick                # a minute
    python -m jobs.benchmarks.peers --only warm,cold       # some of warm, cold, roofline, network, accuracy
    python -m jobs.benchmarks.peers --only warm --again RECORD.json    # measured again, and replaced in a record
    python -m jobs.benchmarks.peers --table RECORD.json    # the tables of a record; --summary for the short ones

Run it where the repository is. `pip install -e '.[benchmarks]'` brings the peers; those that are missing are skipped.
It writes a record beside the others, prints it as Markdown, and ends with 1 if a promise is not kept.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from jobs.benchmarks.peers import accuracy, cold, contest, judged, network, record, roofline, table, warm
from jobs.benchmarks.peers.contestants import NAMES, missing

SECTIONS = {"warm": warm, "cold": cold, "roofline": roofline, "network": network, "accuracy": accuracy}
BUSY = 0.5
"""Load above which threads that wait for each other make times many times as long, for every contestant."""


def say(line: str) -> None:
    """What goes on, beside the tables."""
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer and smaller cases, about a minute")
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, with commas between")
    parser.add_argument("--threads", type=int, default=min(2, len(os.sched_getaffinity(0))))
    parser.add_argument("--out", type=Path, help="where the record goes; among the others unless given")
    parser.add_argument(
        "--again", type=Path, metavar="RECORD", help="sections replace those of this record, which says so"
    )
    parser.add_argument("--table", type=Path, metavar="RECORD", help="print the tables of a record, run nothing")
    parser.add_argument("--summary", type=Path, metavar="RECORD", help="the same, ratios and promises only")
    options = parser.parse_args()
    if options.table or options.summary:
        show = table.markdown if options.table else table.summary
        print(show(record.read(options.table or options.summary)))
        return 0
    sections = options.only.split(",")
    for name in sections:
        if name not in SECTIONS:
            parser.error(f"`--only` must name sections ({', '.join(SECTIONS)}), but '{name}' is none.")
    contest.limit_threads(options.threads)
    absent = {name: why for name in NAMES if (why := missing(name))}
    for why in absent.values():
        say(why)
    names = [name for name in NAMES if name not in absent]
    found = record.start(names, options.threads, quick=options.quick)
    if found["load_before"] > BUSY:
        say(f"The load is {found['load_before']:.1f}: others compute here, and all times are too long. Wait for them.")
    if options.again:
        found = record.again(record.read(options.again), found, sections)
    started = time.perf_counter()
    for name in sections:
        found[name] = SECTIONS[name].run(names, options.threads, quick=options.quick, say=say)
        say(f"{name} is done after {time.perf_counter() - started:.0f} s.")
    if not options.again:
        found["wall_seconds"] = time.perf_counter() - started
        found["load_after"] = os.getloadavg()[0]
    say(f"Written: {record.write(found, options.out or options.again)}")
    print(table.markdown(found))
    return 0 if all(one.is_kept for one in judged.figures(found)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
