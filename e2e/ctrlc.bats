#!/usr/bin/env bats
# Ctrl-C at any moment ends what makes laboratories, and leaves no namespace, no process, no
# file and no mount. tools/ctrlc.py has namespaces of its own, so what fails here is gone too.
bats_require_minimum_version 1.5.0

setup() { cd "$BATS_TEST_DIRNAME/.." || return; }

# pressed MOMENTS LONG-FORM COMMAND…: seconds after its start, comma separated
pressed() {
	local moments=$1
	[ -z "${SLUICE_E2E_FULL:-}" ] || moments=$2
	run e2e/tools/ctrlc.py --at "$moments" -- "${@:3}"
	echo "$output"
	[ "$status" = 0 ] && [[ $output == *interrupted* ]]
}
upto() { seq -s, 0.1 "$1" "$2"; }

# (MAKE: nothing is built here, where others run what is built)
@test "Ctrl-C in make demo" { pressed 0.2,0.5,0.8,1.2,1.7,2.3 "$(upto 0.25 12)" make demo MAKE=true; }
@test "Ctrl-C in scripts/e2e" {
	pressed 0.3,0.8,1.6 "$(upto 0.5 12)" scripts/e2e e2e/lab.bats e2e/inject.bats e2e/storage.bats
}
@test "Ctrl-C in scripts/check, with the fuzzers beside its parts" {
	printf '#!/bin/sh\ncase " $* " in *" fuzz "*) sleep 300 ;; esac\n' >"$BATS_TEST_TMPDIR/make"
	chmod +x "$BATS_TEST_TMPDIR/make"
	MAKE=$BATS_TEST_TMPDIR/make pressed 0.6,2.5 "$(upto 0.5 12)" scripts/check
}
@test "Ctrl-C in bats alone" { pressed 0.6,1.4 "$(upto 0.7 12)" bats --tap e2e/lab.bats; }
@test "Ctrl-C in make bench-quick" { pressed 0.8,2 "$(upto 1.1 20)" make bench-quick MAKE=true; }
@test "Ctrl-C in make soak" { pressed 1,2.5 "$(upto 1.1 15)" e2e/faults/soak --seconds 10 --workers 4; }

@test "what hangs in scripts/e2e is broken off after its time, and said" {
	printf '%s\n' '@test "ends" { :; }' '@test "hangs" { sleep 300; }' >"$BATS_TEST_TMPDIR/hangs.bats"
	local seconds
	for seconds in 2 10 60; do # until there is time to come to the second
		E2E_SECONDS=$seconds run scripts/e2e "$BATS_TEST_TMPDIR/hangs.bats"
		[[ $output == *"in its test 1"* ]] || break
	done
	echo "$output"
	[ "$status" = 1 ] && [[ $output == *"hangs.bats: broken off after $seconds s, in its test 2"* ]]
	[[ $output == *"1 passed, 1 failed, 0 skipped" && $output != *"left behind"* ]]
}
