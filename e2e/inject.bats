#!/usr/bin/env bats
# A fault in a system call here and there; all of them in all calls: make faults.
bats_require_minimum_version 1.5.0

setup() { TOP=$(cd "$BATS_TEST_DIRNAME/.." && pwd); }

# sampled REGEX N: N runs of each such case; what went wrong is printed
sampled() {
	run "$TOP/e2e/faults/run" --only "$1" --sample "$2" --jobs 1
	echo "$output"
	[ "$status" = 0 ] && [[ $output =~ ([0-9]+)' faults injected' ]] && [ "${BASH_REMATCH[1]}" -gt 0 ]
}

@test "ADD with a fault in a system call" { sampled '^ADD' 20; }
@test "DEL, CHECK and GC with a fault in a system call" { sampled '^(DEL|CHECK|GC)' 12; }
@test "sluiced --once with a fault in a system call" { sampled '^sluiced' 10; }
@test "a pass of the daemon with a fault in a system call" { sampled 'pass' 20; }
