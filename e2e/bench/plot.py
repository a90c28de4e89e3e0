"""Reports as SVG, light or dark as the viewer likes: curves of cost against size, bars of ratios with their gates."""
import html
import math
import textwrap

from measure import where

WIDTH, HEIGHT = 680, 340
LEFT, RIGHT, TOP, BOTTOM = 64, 150, 46, 48
SMALL = 14  # a line of small print
STYLE = """
 text { font: 13px system-ui, "Segoe UI", Roboto, sans-serif; fill: #24292f }
 .title { font-size: 15px; font-weight: 600 } .quiet { fill: #6e7781; font-size: 12px }
 .small { fill: #6e7781; font-size: 10px }
 .grid { stroke: #d0d7de; stroke-width: 1 } .gate { stroke: #cf222e; stroke-width: 2 }
 .s0 { stroke: #0969da; fill: #0969da } .s1 { stroke: #bc4c00; fill: #bc4c00 } .s2 { stroke: #8250df; fill: #8250df }
 path.s0, path.s1, path.s2 { fill: none; stroke-width: 2 } text.s0, text.s1, text.s2 { stroke: none; font-weight: 600 }
 .band { stroke: none; opacity: .15 } .bar { stroke: none }
 @media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .quiet, .small { fill: #8d96a0 } .grid { stroke: #30363d } .gate { stroke: #f85149 }
  .s0 { stroke: #58a6ff; fill: #58a6ff } .s1 { stroke: #f0883e; fill: #f0883e } .s2 { stroke: #bc8cff; fill: #bc8cff }
  path.s0, path.s1, path.s2 { fill: none }
 }
"""


def short(value):
    for limit, unit in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g}{unit}"
    return f"{value:g}"


def text(x, y, words, kind="", anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{html.escape(words)}</text>'


def document(report, height, parts):
    """With a last line or two on when, where and with what this was measured."""
    machine, versions = where(report)
    place = textwrap.wrap(f"{report['when']}, {machine}", 120) + textwrap.wrap(versions, 120)
    small = [text(12, height + 4 + n * SMALL, line, "small") for n, line in enumerate(place)]
    height += SMALL * len(place)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">'
            f"<style>{STYLE}</style>\n" + "\n".join(parts + small) + "\n</svg>\n")


class Axis:
    """Values of low to high on start to end; logarithmic where they span more than a factor of 10."""

    def __init__(self, values, start, end, zero):
        low, high = min(values), max(values)
        self.log = high > 10 * low > 0
        self.start, self.end = start, end
        if self.log:
            self.low, self.high = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
            self.ticks = [10 ** n for n in range(self.low, self.high + 1)]
        else:
            step = 10 ** math.floor(math.log10(high / 2 or 1))
            step *= next(m for m in (1, 2, 5, 10) if high / (step * m) <= 5)
            self.low, self.high = (0 if zero else low), math.ceil(high / step) * step
            self.ticks = [n * step for n in range(int(self.high / step) + 1)]

    def at(self, value):
        value = math.log10(value) if self.log else value
        return self.start + (value - self.low) / ((self.high - self.low) or 1) * (self.end - self.start)


def apart(places, least=16):
    """Labels that would lie on each other, moved apart: {name: y}"""
    moved, before = {}, -1e9
    for name, y in sorted(places.items(), key=lambda item: item[1]):
        before = moved[name] = max(y, before + least)
    return moved


def curve(report, tree):
    series = tree["series"]
    points = [p for ps in series.values() for p in ps]
    x = Axis([max(p["x"], 1) for p in points], LEFT, WIDTH - RIGHT, False)
    y = Axis([v for p in points for v in (p["low"], p["high"])], HEIGHT - BOTTOM, TOP, True)
    parts = [text(LEFT, 22, tree["name"], "title"), text(LEFT - 8, TOP - 10, tree["y"], "quiet", "end"),
             text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, tree["x"], "quiet", "middle")]
    for tick in y.ticks:
        parts += [f'<path class="grid" d="M{LEFT} {y.at(tick):.1f}H{WIDTH - RIGHT}"/>',
                  text(LEFT - 8, y.at(tick) + 4, short(tick), "quiet", "end")]
    parts += [text(x.at(tick), HEIGHT - BOTTOM + 18, short(tick), "quiet", "middle") for tick in x.ticks]
    labels = apart({name: y.at(ps[-1]["median"]) + 4 for name, ps in series.items()})
    for n, (name, ps) in enumerate(series.items()):
        at = [(x.at(max(p["x"], 1)), p) for p in ps]
        line = "L".join(f"{px:.1f} {y.at(p['median']):.1f}" for px, p in at)
        upper = [f"{px:.1f} {y.at(p['high']):.1f}" for px, p in at]
        lower = [f"{px:.1f} {y.at(p['low']):.1f}" for px, p in reversed(at)]
        parts += [f'<polygon class="s{n} band" points="{" ".join(upper + lower)}"/>',
                  f'<path class="s{n}" d="M{line}"/>']
        parts += [f'<circle class="s{n}" cx="{px:.1f}" cy="{y.at(p["median"]):.1f}" r="3"/>' for px, p in at]
        parts.append(text(WIDTH - RIGHT + 10, labels[name], name, f"s{n}"))
    return document(report, HEIGHT, parts)


def bars(report, figures, title):
    """A bar for each ratio, a stroke for its gate."""
    row, left, full = 24, 250, 330
    gates = [float(f["gate"][2:]) for f in figures if f["gate"]]
    most = max(1.0, *(f["ratio"]["median"] for f in figures), *gates) * 1.05
    height = 58 + row * len(figures)
    parts = [text(12, 22, title, "title")]
    for n, f in enumerate(figures):
        y, ratio = 42 + n * row, f["ratio"]["median"]
        parts += [text(left - 10, y + 13, f["name"], "", "end"),
                  f'<rect class="s0 bar" x="{left}" y="{y + 2}" width="{ratio / most * full:.1f}" height="14"/>',
                  text(left + max(ratio, float((f["gate"] or "<=0")[2:])) / most * full + 8, y + 13, f"{ratio:.2f}")]
        if f["gate"]:
            at = left + float(f["gate"][2:]) / most * full
            parts.append(f'<path class="gate" d="M{at:.1f} {y - 1}v20"/>')
    parts.append(text(left, height - 6, "red: the gate", "quiet"))
    return document(report, height, parts)


def pictures(report):
    """{file name: SVG}"""
    drawn = {f"{report['name']}-{n}.svg": curve(report, c) for n, c in enumerate(report["curves"])}
    if report["name"] == "cni":
        chosen = [f for f in report["figures"] if f["gate"] and f["against"] == "bandwidth"]
        drawn["cni.svg"] = bars(report, chosen, "Sluice's share of what bandwidth needs")
    if report["name"] == "path":
        chosen = [f for f in report["figures"] if f["gate"].startswith(">=")]
        drawn["path.svg"] = bars(report, chosen, "Through Sluice, as a share of the same way without it")
    return drawn
