#!/usr/bin/env bats
# The reason for all of this: the first packet of a pod's process, sent the moment
# ADD returns, leaves under the egress address. 300 pod starts (1,000 in check-full):
# none under another address, none lost (one datagram each, or a SYN that was not
# repeated).
load lib/lab

setup() { lab_up; }
teardown() { lab_teardown; }

# storm N N-IN-FULL TO FROM: so many pods, each sends its first packet to TO
storm() {
	local n=$1
	[ -z "${SLUICE_E2E_FULL:-}" ] || n=$2
	on node1 env CNI_PATH="$CNI_PATH" CNI_CACHE="$LAB/cache" \
		CAP_ARGS='{"podLabels": {"app": "web"}}' \
		"$CNIRUN" storm "$LAB/node1/net.conflist" 2 1 "$n" "$P-s" "$PROBE" "$3" "$PORT" timeout=15000 \
		>"$LAB/storm"
	cut -d' ' -f2- "$LAB/storm" | sort | uniq -c
	same "under the egress address" "$n" "$(grep -c " $4$" "$LAB/storm")" || return
	only_from "$4" || return
	nothing_left node1
}

@test "the first packet of every pod leaves by the remote gateway" {
	office_up gw1
	storm 300 1000 "$EXT_V4" "$EGRESS_V4"
}

@test "and by the local gateway" {
	office_up node1
	storm 60 500 "$EXT_V4" "$EGRESS_V4"
}

@test "and over IPv6" {
	office_up gw1
	storm 60 500 "$EXT_V6" "$EGRESS_V6"
}

@test "and without a daemon on the pod's node, from the snapshot" {
	office_up gw1
	node_stop node1
	storm 60 500 "$EXT_V4" "$EGRESS_V4"
}
