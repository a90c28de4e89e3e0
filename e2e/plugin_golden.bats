#!/usr/bin/env bats
# Golden stdin → stdout pairs (golden/README.md): what a runtime sends and what it gets back.
bats_require_minimum_version 1.5.0

setup() {
	cd "$BATS_TEST_DIRNAME/.." || return
	[ "$(id -u)" = 0 ] || skip "needs root"
}

# golden PATTERN: all cases of that name
golden() {
	local cases=() file
	for file in e2e/golden/$1.in; do
		file=${file##*/}
		cases+=("${file%.in}")
	done
	[ -e "e2e/golden/${cases[0]}.in" ]
	e2e/golden/run build/bin/sluice "${cases[@]}"
}

@test "ADD passes prevResult on, in every version, with keys nobody knows" { golden 'add-pass-*'; }
@test "ADD refuses with the code and the words the specification asks for" { golden 'add-refuse-*'; }
@test "DEL of what is not there prints nothing and succeeds, in every version and form" { golden 'del-*'; }
@test "CHECK: not before 0.4.0, not without prevResult, not without a record" { golden 'check-*'; }
@test "GC: not before 1.1.0, every variable may be empty" { golden 'gc-*'; }
@test "STATUS: not before 1.1.0, ill with the reason" { golden 'status-*'; }
@test "VERSION answers the version it was asked with" { golden 'version-*'; }
@test "no case is without a test" {
	local file
	for file in e2e/golden/*.in; do
		case ${file##*/} in
		add-pass-* | add-refuse-* | del-* | check-* | gc-* | status-* | version-*) ;;
		*) echo "$file" && false ;;
		esac
	done
}

@test "without CNI_COMMAND it says what it is, on stderr alone" {
	run -0 --separate-stderr env -i build/bin/sluice </dev/null
	[ -z "$output" ]
	# shellcheck disable=SC2154 # set by run
	[[ $stderr == *sluice*"CNI protocol versions supported: 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0"* ]]
	run -0 --separate-stderr env -i CNI_COMMAND= build/bin/sluice </dev/null
	[ -z "$output" ]
}
