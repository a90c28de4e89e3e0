#!/usr/bin/env bats
# What one pod may hold of an egress address: more is not begun, what is open goes on, and the
# pods beside it notice nothing.
# shellcheck disable=SC2016,SC2034,SC2119,SC2120 # conditions for lab_wait, the lab's settings, optional arguments
load lib/lab

setup() { lab_up node1 gw1; }
teardown() { lab_teardown; }

# limit_to WHAT N: of office, on gw1
limit_to() {
	gateway_on gw1
	sed "\$a\\  limits: {$1: $2}" "$LAB/policies/10-gateway.yaml" >"$LAB/limited"
	mv "$LAB/limited" "$LAB/policies/10-gateway.yaml"
}
limits() { ctl gw1 status -o json | jq -c ".addresses[] | select(.address == \"$EGRESS_V4\") | .limits"; }

asks_tcp() { [ "$(ask "$1" tcp "$3" timeout=1000)" = "$2" ]; }
both_ask() { asks_tcp "$1" "$EGRESS_V4" "$EXT_V4" && asks_tcp "$1" "$EGRESS_V6" "$EXT_V6"; }

# full POD ADDR: it gets no more, it is counted, what it has goes on
full() {
	local before
	before=$(dropped gw1 pod-limit)
	same "one more of $1" timeout "$(ask "$1" tcp "$2" timeout=1000)" || return
	lab_wait 100 dropped_some gw1 pod-limit $((before + 1)) || return
}


@test "a pod that holds all that it may gets no more, until the limit is raised; others go on" {
	office_up gw1
	limit_to connectionsPerPod 20
	lab_wait 100 eval '[ "$(limits)" = "{\"connectionsPerPod\":20}" ]'
	web_add far node1
	web_add near gw1
	web_add other node1
	local pod
	for pod in far near; do
		talk_open "$pod" "$EXT_V4" 20
		full "$pod" "$EXT_V4"
	done
	# the other family is another address
	same "IPv6" "$EGRESS_V6" "$(ask far tcp "$EXT_V6")"
	both_ask other
	for pod in far near; do same "$pod" "$EGRESS_V4 alive" "$(talk "$pod")"; done
	limit_to connectionsPerPod 30
	for pod in far near; do
		lab_wait 100 asks_tcp "$pod" "$EGRESS_V4" "$EXT_V4"
		same "$pod" "$EGRESS_V4 alive" "$(talk "$pod")"
	done
	only_from "$EGRESS_V4" "$EGRESS_V6"
}

@test "a pod that has taken its ports in IPv6 gets no more, and has them again when it closes" {
	office_up gw1
	limit_to portsPerPod 20
	lab_wait 100 eval '[ "$(limits)" = "{\"portsPerPod\":20}" ]'
	web_add far node1
	web_add other node1
	talk_open far "$EXT_V6" 20
	full far "$EXT_V6"
	both_ask other
	same far "$EGRESS_V6 alive" "$(talk far)"
	talk_close far
	lab_wait 100 asks_tcp far "$EGRESS_V6" "$EXT_V6"
	only_from "$EGRESS_V4" "$EGRESS_V6"
}
