#!/usr/bin/env python3
"""Makes the tables and the plot of what `brokers` has measured.

    report.py [FILE]

Reads the lines of FILE (measured.csv beside this file), writes plot.svg beside this file, and between two marks
the tables in benches/README.md, and the short one in README.md and in the page of costs. Needs nothing but the
standard library.
"""

import csv
import statistics
import sys
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

ALONE, BASE = "client alone", "client with header"
WAYS = ["by hand", "ours", "stock"]
KINDS = [(False, False), (True, False), (False, True), (True, True)]


def title(sampled, metrics):
    return ("sampled" if sampled else "not sampled") + (", metrics" if metrics else "")


def read(path):
    """Seconds and processor seconds of a message: by broker, phase, way and kind, then by round."""
    measured = defaultdict(dict)
    with open(path, newline="") as lines:
        for line in csv.DictReader(lines):
            kind = (line["sampled"] == "true", line["metrics"] == "true")
            key = (line["broker"], line["phase"], line["way"], kind)
            messages = int(line["messages"])
            measured[key][int(line["round"])] = (
                float(line["seconds"]) / messages,
                float(line["processor_seconds"]) / messages,
            )
    return measured


def unique(values):
    return list(dict.fromkeys(values))


class Report:
    def __init__(self, path):
        self.measured = read(path)
        self.brokers = unique(broker for broker, _, _, _ in self.measured)

    def phases(self, broker):
        return unique(phase for one, phase, _, _ in self.measured if one == broker)

    def whole(self, broker):
        """The phases that together are the way of a message from one program to another."""
        phases = self.phases(broker)
        both = [phase for phase in phases if " and " in phase]
        return both or phases

    def rounds(self, broker, phases, way, kind, which):
        """Microseconds of a message in each round, in these phases together; 0 is time, 1 processor time."""
        if way in (ALONE, BASE):
            kind = (False, False)
        each = [self.measured[broker, phase, way, kind] for phase in phases]
        rounds = sorted(set.intersection(*(set(one) for one in each)))
        return [1e6 * sum(one[number][which] for one in each) for number in rounds]

    def over(self, broker, phases, way, kind):
        """Processor time over the client that sends the same header: quartiles of the differences."""
        pairs = zip(
            self.rounds(broker, phases, way, kind, 1),
            self.rounds(broker, phases, BASE, kind, 1),
        )
        return quartiles([one - base for one, base in pairs])

    def share(self, broker, phases, way, kind):
        """Throughput as a share of that of the client that sends the same header."""
        pairs = zip(
            self.rounds(broker, phases, BASE, kind, 0),
            self.rounds(broker, phases, way, kind, 0),
        )
        return quartiles([base / one for base, one in pairs])

    def tables(self):
        yield "Processor time of the program, microseconds a message. The columns of the clients have all of it,"
        yield "the others what is added to that of the client with the header; in brackets the quartiles."
        yield ""
        yield f"| | {ALONE} | {BASE} | " + " | ".join(WAYS) + " |"
        yield "| --- |" + " --- |" * 5
        for broker in self.brokers:
            phases = self.whole(broker)
            for kind in KINDS:
                clients = [self.rounds(broker, phases, way, kind, 1) for way in (ALONE, BASE)]
                cells = [f"{statistics.median(one):.2f}" for one in clients]
                if kind != KINDS[0]:
                    cells = ["", ""]
                for way in WAYS:
                    low, middle, high = self.over(broker, phases, way, kind)
                    cells.append(f"{middle:+.2f} ({low:.2f} to {high:.2f})")
                yield f"| {broker}, {title(*kind)} | " + " | ".join(cells) + " |"
        yield ""
        yield "The same for each side, without metrics."
        yield ""
        yield f"| | {BASE} | " + " | ".join(WAYS) + " |"
        yield "| --- |" + " --- |" * 4
        for broker in self.brokers:
            for phase in self.phases(broker):
                for kind in KINDS[:2]:
                    base = self.rounds(broker, [phase], BASE, kind, 1)
                    cells = [f"{statistics.median(base):.2f}" if kind == KINDS[0] else ""]
                    cells += [f"{self.over(broker, [phase], way, kind)[1]:+.2f}" for way in WAYS]
                    yield f"| {broker}, {phase}, {title(*kind)} | " + " | ".join(cells) + " |"
        yield ""
        yield "Throughput as a share of that of the client with the header, which has the messages a second."
        yield ""
        yield f"| | {BASE} | {ALONE} | " + " | ".join(WAYS) + " |"
        yield "| --- |" + " --- |" * 5
        for broker in self.brokers:
            phases = self.whole(broker)
            for kind in KINDS:
                base = self.rounds(broker, phases, BASE, kind, 0)
                alone = self.share(broker, phases, ALONE, kind)[1]
                cells = ["", ""]
                if kind == KINDS[0]:
                    cells = [f"{1e6 / statistics.median(base):,.0f}", f"{alone:.2f}"]
                cells += [f"{self.share(broker, phases, way, kind)[1]:.2f}" for way in WAYS]
                yield f"| {broker}, {title(*kind)} | " + " | ".join(cells) + " |"

    def short(self):
        yield f"| | {BASE} | " + " | ".join(WAYS) + " |"
        yield "| --- |" + " --- |" * 4
        for broker in self.brokers:
            phases = self.whole(broker)
            for kind in (KINDS[0], KINDS[1], KINDS[3]):
                base = self.rounds(broker, phases, BASE, kind, 1)
                cells = [f"{statistics.median(base):.2f}" if kind == KINDS[0] else ""]
                cells += [f"{self.over(broker, phases, way, kind)[1]:+.2f}" for way in WAYS]
                yield f"| {broker}, {title(*kind)} | " + " | ".join(cells) + " |"

    def plot(self):
        """Bars of what is added to the client's processor time, without metrics."""
        groups = [(broker, kind) for broker in self.brokers for kind in KINDS[:2]]
        bars = {
            (broker, kind, way): self.over(broker, self.whole(broker), way, kind)
            for broker, kind in groups
            for way in WAYS
        }
        most = max(high for _, _, high in bars.values())
        step = next(step for step in (0.5, 1, 2, 5, 10, 20, 50, 100) if most / step <= 8)
        left, width, bar, gap, top = 190, 480, 13, 16, 62
        scale = width / (step * -(-most // step))
        height = top + len(groups) * (len(WAYS) * bar + gap) + 34
        colors = {"by hand": "#8a8f98", "ours": "#2563eb", "stock": "#d97706"}
        label = "Processor time that a message costs beside that of the bare client"
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 {height}" width="720" '
            f'height="{height}" font-family="sans-serif" font-size="12" role="img" aria-label="{label}">'
        )
        yield f'<rect width="720" height="{height}" fill="#ffffff"/>'
        yield f'<text x="14" y="22" font-size="14" font-weight="bold" fill="#111827">{label}</text>'
        yield '<text x="14" y="42" fill="#4b5563">microseconds to send, receive and process, median; lines: quartiles</text>'
        for number, way in enumerate(WAYS):
            x = 470 + 82 * number
            yield f'<rect x="{x}" y="33" width="10" height="10" fill="{colors[way]}"/>'
            yield f'<text x="{x + 15}" y="42" fill="#111827">{way}</text>'
        bottom = height - 28
        tick = 0
        while tick * step * scale <= width + 1:
            x = left + tick * step * scale
            yield f'<line x1="{x:.1f}" y1="{top - 8}" x2="{x:.1f}" y2="{bottom}" stroke="#e5e7eb"/>'
            yield f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle" fill="#4b5563">{tick * step:g}</text>'
            tick += 1
        y = top
        for broker, kind in groups:
            middle = y + len(WAYS) * bar / 2 + 4
            yield f'<text x="{left - 10}" y="{middle:.1f}" text-anchor="end" fill="#111827">{broker}, {title(*kind)}</text>'
            for way in WAYS:
                low, value, high = (max(one, 0) * scale for one in bars[broker, kind, way])
                yield f'<rect x="{left}" y="{y}" width="{value:.1f}" height="{bar - 2}" fill="{colors[way]}"/>'
                line = y + bar / 2 - 1
                yield (
                    f'<line x1="{left + low:.1f}" y1="{line:.1f}" x2="{left + high:.1f}" '
                    f'y2="{line:.1f}" stroke="#111827"/>'
                )
                y += bar
            y += gap
        yield "</svg>"


def quartiles(values):
    if len(values) < 2:
        return values * 3
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def put(page, name, lines):
    """Writes lines between the two marks of this name."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
    before, rest = page.read_text().split(begin)
    _, after = rest.split(end)
    page.write_text(before + begin + "\n" + "\n".join(lines) + "\n\n" + end + after)


def main():
    report = Report(sys.argv[1] if len(sys.argv) > 1 else HERE / "measured.csv")
    (HERE / "plot.svg").write_text("\n".join(report.plot()) + "\n")
    put(ROOT / "benches/README.md", "brokers", report.tables())
    for page in ("README.md", "src/guide/what_it_costs.md"):
        put(ROOT / page, "costs", report.short())
    print("\n".join(report.tables()))


if __name__ == "__main__":
    main()
