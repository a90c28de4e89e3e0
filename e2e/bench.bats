#!/usr/bin/env bats
# What the benchmark writes: a figure says nothing without where and with what it was
# measured. (What things cost is no test: make bench.)
bats_require_minimum_version 1.5.0

setup() { cd "$BATS_TEST_DIRNAME/bench" || return; }

@test "a report says on what it was measured: terminal, Markdown, JSON and every picture" {
	python3 -B - "$BATS_TEST_TMPDIR" >"$BATS_TEST_TMPDIR/terminal" <<-'END'
		import pathlib, sys
		import measure, plot, table
		out = pathlib.Path(sys.argv[1])
		ours, theirs = [3, 1, 2], [30, 10, 20]
		load = measure.Load()
		section = measure.Section("cni", "A title", [measure.Figure("ADD cpu", "µs", ours, theirs, "<=0.40", "bandwidth")],
		                          [measure.Curve("Cost", "policies", "µs", {"a": {1: ours, 1000: theirs}})], {"calls": {"ADD": 1}})
		report = {**section.tree(), "when": "now", "quick": True, "machine": measure.machine(),
		          "versions": measure.versions(), "load": load.tree()}
		print(*measure.where(report), sep="\n")
		table.show(report)
		measure.store(out / "cni.json", report)
		(out / "cni.md").write_text(table.markdown(report))
		for file, picture in plot.pictures(report).items():
		    (out / file).write_text(picture)
	END
	cd "$BATS_TEST_TMPDIR"
	local file
	for file in terminal cni.md cni.svg cni-0.svg; do
		grep -F "Linux $(uname -r)" "$file"
		grep -F "containernetworking-plugins $(dpkg-query -W -f '${Version}' containernetworking-plugins)" \
			<(tr -s '\n' ' ' <"$file" | sed 's/<[^>]*>//g')
	done
	jq -e '.machine.kernel and .versions.sluice and .figures[0].pass and .figures[0].ratio == {median: 0.1, low: 0.1, high: 0.1, n: 3}' cni.json
	python3 -c 'import sys, xml.dom.minidom as x; [x.parse(f) for f in sys.argv[1:]]' ./*.svg
}

@test "the pictures beside the README say so, too" {
	local file
	for file in *.svg; do
		grep -qE 'Linux [0-9.]+' "$file" || { echo "$file does not" && false; }
	done
}
