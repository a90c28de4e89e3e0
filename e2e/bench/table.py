"""A report as a table."""
from measure import where


def number(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def row(figure):
    ratio, theirs = figure["ratio"], figure["theirs"]
    gate = {None: "", True: f"{figure['gate']} ok", False: f"{figure['gate']} MISSED"}[figure["pass"]]
    return (figure["name"], f"{number(figure['ours']['median'])} {figure['unit']}",
            f"{number(theirs['median'])} {figure['unit']} {figure['against']}" if theirs else "",
            f"{ratio['median']:.2f}" if ratio else "", f"{ratio['low']:.2f}-{ratio['high']:.2f}" if ratio else "",
            gate.replace("<=", "≤ ").replace(">=", "≥ "))


def markdown(report):
    """The same for a README."""
    lines = ["| figure | ours | against | ratio | quartiles | gate |", "|---|--:|---|--:|--:|---|"]
    lines += ["| " + " | ".join(row(figure)) + " |" for figure in report["figures"]]
    lines += [f"\n{name}: " + ", ".join(f"{k} {v}" for k, v in note.items())
              for name, note in report["notes"].items()]
    lines.append(f"\nMeasured {report['when']} on " + "; ".join(where(report)))
    return "\n".join(lines) + "\n"


def show(report):
    rows = [("figure", "ours", "against", "ratio", "quartiles", "gate"), *map(row, report["figures"])]
    widths = [max(len(r[i]) for r in rows) for i in range(6)]
    load = report["load"]
    print(f"\n{report['title']} ({report['when']}, {load['seconds']} s, load {load['load average at start']}"
          f" → {load['at the end']})")
    for r in rows:
        print("  " + "  ".join(text.ljust(width) for text, width in zip(r, widths)).rstrip())
    for curve in report["curves"]:
        for name, points in curve["series"].items():
            print(f"  {curve['name']}, {name}: "
                  + ", ".join(f"{p['x']:,}: {number(p['median'])}" for p in points) + f" {curve['y']}")
    for name, note in report["notes"].items():
        print(f"  {name}: " + ", ".join(f"{k} {v}" for k, v in note.items()))
