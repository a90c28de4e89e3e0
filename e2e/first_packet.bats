#!/usr/bin/env bats
# The reason for all of this: the first packet of a pod's process, sent the moment
# ADD returns, leaves under the egress address. 300 pod starts (1,000 in check-full):
# none under another address, none lost (one datagram each, or a SYN that was not
# repeated).
load lib/lab

setup() { lab_up; }
teardown() { lab_teardown; }

storm() {
	on node1 env CNI_PATH="$CNI_PATH" CNI_CACHE="$LAB/cache" \
		CAP_ARGS='{"podLabels": {"app": "web"}}' \
		"$CNIRUN" storm "$LAB/node1/net.conflist" 2 1 "$1" "$P-s" "$PROBE" "$2" "$PORT" timeout=15000 \
		>"$LAB/storm"
	cut -d' ' -f2- "$LAB/storm" | sort | uniq -c
	same "under the egress address" "$1" "$(grep -c " $3$" "$LAB/storm")"
}

@test "the first packet of every pod leaves by the remote gateway" {
	local n=300
	[ -z "${SLUICE_E2E_FULL:-}" ] || n=1000
	office_up gw1
	storm "$n" "$EXT_V4" "$EGRESS_V4"
	only_from "$EGRESS_V4"
	nothing_left node1
}

@test "and by the local gateway" {
	local n=60
	[ -z "${SLUICE_E2E_FULL:-}" ] || n=500
	office_up node1
	storm "$n" "$EXT_V4" "$EGRESS_V4"
	only_from "$EGRESS_V4"
	nothing_left node1
}

@test "and over IPv6" {
	local n=60
	[ -z "${SLUICE_E2E_FULL:-}" ] || n=500
	office_up gw1
	storm "$n" "$EXT_V6" "$EGRESS_V6"
	only_from "$EGRESS_V6"
	nothing_left node1
}

@test "and without a daemon on the pod's node, from the snapshot" {
	local n=60
	[ -z "${SLUICE_E2E_FULL:-}" ] || n=500
	office_up gw1
	node_stop node1
	storm "$n" "$EXT_V4" "$EGRESS_V4"
	only_from "$EGRESS_V4"
	nothing_left node1
}
