#!/usr/bin/env bats
# A fault in a system call here and there; all of them in all calls: make faults.
bats_require_minimum_version 1.5.0

setup() { TOP=$(cd "$BATS_TEST_DIRNAME/.." && pwd); }

# sampled REGEX N: N runs of each such case; what went wrong is printed
sampled() {
	run "$TOP/e2e/faults/run" --only "$1" --sample "$2" --jobs 1
	echo "$output"
	[[ $output != *': skipped: '* ]] || skip "no API server"
	[ "$status" = 0 ] && [[ $output =~ ([0-9]+)' faults injected' ]] && [ "${BASH_REMATCH[1]}" -gt 0 ]
}

@test "ADD with a fault in a system call" { sampled '^ADD' 10; }
@test "DEL, CHECK and GC with a fault in a system call" { sampled '^(DEL|CHECK|GC)' 5; }
@test "sluiced --once with a fault in a system call" { sampled '^sluiced' 4; }
@test "a pass of the daemon with a fault in a system call" { sampled '^a pass of the daemon$' 8; }
@test "a pass of the daemon, which hears of it from an API server, with a fault in a system call" {
	sampled '^a pass of the daemon, by an API' 3
}
@test "a gateway that is drained with a fault in a system call" { sampled '^a gateway that is drained$' 2; }
# the daemon that took over is what the case has to end with
@test "a fault that ends the daemon at its start" {
	run "$TOP/e2e/faults/run" --only '^the start of the daemon$' --calls '^socket/0/1$' --fault kill --jobs 1
	echo "$output"
	[ "$status" = 0 ] && [[ $output == *'1 faults injected'* ]]
}
@test "pods that come and go all at once, with GC and edits in between" {
	run "$TOP/e2e/faults/soak" --seconds 8 --workers 16
	echo "$output"
	[ "$status" = 0 ]
}
