# shellcheck shell=bash
# For a script that lets others make laboratories: whatever ends it, Ctrl-C included, ends
# them too and leaves nothing. It has lib/lab, too.
#
#	run_begin          the run's folder, $SLUICE_E2E_DIR, of all labs and temporary files
#	run_start COMMAND… in the background, as $!; wait for it by `wait`
#
# What is started has a session of its own, out of the terminal's reach: Ctrl-C is for the
# script alone, which waits and does nothing else. (A bash that makes a lab itself may be
# anywhere then: 5.2 forgets a trap's words while it reads a $( ).)

declare -gA RUNNING=() # by pid: what the script wants to know of it

run_begin() {
	# the name first, should Ctrl-C come before the folder is there
	SLUICE_E2E_DIR=$(mktemp -u "${TMPDIR:-/tmp}/sluice-e2e.XXXXXX") || return
	export SLUICE_E2E_DIR TMPDIR=$SLUICE_E2E_DIR/tmp
	unset SLUICE_LAB
	trap run_end EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	mkdir -m 700 "$SLUICE_E2E_DIR" "$TMPDIR"
}

run_start() {
	setsid "$@" &
	RUNNING[$!]=$*
}

# Not all that was started is in a group that is known here: some has a session of its own.
run_end() {
	local pid pids lab
	trap '' INT TERM HUP
	set +e
	for pid in "${!RUNNING[@]}"; do
		disown "$pid" # no word about its end
		kill -KILL -- "-$pid"
	done 2>/dev/null
	for _ in {1..300}; do
		pids=$(processes_of "SLUICE_E2E_DIR=$SLUICE_E2E_DIR")
		[ -n "$pids" ] || break
		# shellcheck disable=SC2086 # many
		kill -KILL $pids 2>/dev/null
		sleep 0.1
	done
	for lab in "$SLUICE_E2E_DIR"/sl????; do [ ! -d "$lab" ] || lab_destroy "$lab"; done
	rm -rf "$SLUICE_E2E_DIR"
}
