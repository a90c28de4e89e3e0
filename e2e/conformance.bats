#!/usr/bin/env bats
# The whole contract, as e2e/conformance drives it with any plugin; here with ours.
# Its namespaces are its own and gone with it, so there is nothing to tear down.
bats_require_minimum_version 1.5.0

setup() {
	TOP=$(cd "$BATS_TEST_DIRNAME/.." && pwd)
	export CONF=$TOP/e2e/conformance/conf BIN=${SLUICE_BIN:-$TOP/build/bin}
}

conformance() { "$TOP/e2e/conformance/run" "$@"; }

# keeps ARGUMENT…: all of it, none skipped; what is not kept is printed
keeps() {
	run conformance --plugin "$BIN/sluice" --conf "$CONF/sluice.json" "$@"
	grep -v '^ok' <<<"$output"
	[ "$status" = 0 ] && [[ $output != *"# SKIP"* ]]
}

@test "the contract without a daemon, in every version" {
	keeps --setup ". $CONF/sluice.setup"
	[[ $output == *"versions 0.3.0 0.3.1 0.4.0 1.0.0 1.1.0"* ]]
}

@test "the contract with a daemon" {
	SETTLE=0.6 keeps --setup ". $CONF/sluiced.setup" --versions 0.3.0,1.1.0
}

@test "a plugin that keeps nothing is found out" {
	cat >"$BATS_TEST_TMPDIR/liar" <<-'END'
		#!/bin/sh
		echo '{"cniVersion": "1.1.0", "supportedVersions": ["1.1.0"]}'
	END
	chmod +x "$BATS_TEST_TMPDIR/liar"
	run -1 conformance --plugin "$BATS_TEST_TMPDIR/liar" --levels must,should
	# right by accident: what it answers to VERSION; never called wrong: ADD of nothing
	echo "$output" | grep '^ok'
	[ "$(grep -c '^not ok' <<<"$output")" -ge 20 ]
}
