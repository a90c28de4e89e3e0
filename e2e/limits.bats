#!/usr/bin/env bats
# What one pod may hold of an egress address: more is not begun, what is open goes on, and the
# pods beside it notice nothing.
# shellcheck disable=SC2016,SC2034,SC2119,SC2120 # conditions for lab_wait, the lab's settings, optional arguments
load lib/lab
load lib/hold

setup() { lab_up node1 gw1; }
teardown() { lab_teardown; }

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
	limit_pods connectionsPerPod 20
	lab_wait 100 limited gw1 connectionsPerPod 20
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
	limit_pods connectionsPerPod 30
	for pod in far near; do
		lab_wait 100 asks_tcp "$pod" "$EGRESS_V4" "$EXT_V4"
		same "$pod" "$EGRESS_V4 alive" "$(talk "$pod")"
	done
	only_from "$EGRESS_V4" "$EGRESS_V6"
}

@test "a pod that has taken its ports in IPv6 gets no more, and has them again when it closes" {
	office_up gw1
	limit_pods portsPerPod 20
	lab_wait 100 limited gw1 portsPerPod 20
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

# ---- what the kernel has not counted ----

# fifteen WHAT PROTO NODE…: of 20 that they may hold, pods on these nodes hold 15
fifteen() {
	local node pods=() what=$1 proto=$2
	shift 2
	office_up gw1
	limit_pods "$what" 20
	lab_wait 100 limited gw1 "$what" 20
	for node in "$@"; do
		web_add "at-$node" "$node"
		pods+=("at-$node")
	done
	holders_up "$proto" "${pods[@]}"
	each_holds 15 more 15 20000
}

# tracked N: so many are open in each family, as gw1's kernel knows them
tracked() {
	[ "$(on gw1 conntrack -L -p tcp | grep -c "ESTABLISHED.* dst=$EGRESS_V4 ")" = "$1" ] &&
		[ "$(on gw1 conntrack -L -f ipv6 -p tcp | grep -c "ESTABLISHED.* dst=$EGRESS_V6 ")" = "$1" ]
}

@test "what is open counts when the limit is edited, and when something else is" {
	fifteen connectionsPerPod udp node1 gw1
	limit_pods connectionsPerPod 18
	lab_wait 100 limited gw1 connectionsPerPod 18
	each_holds 16 more 1 20000
	sed 's/allowedNamespaces: {}/allowedNamespaces: {matchLabels: {}}/' "$LAB/policies/10-gateway.yaml" >"$LAB/edited"
	policy 10-gateway.yaml <"$LAB/edited"
	each_may 18
	limit_pods connectionsPerPod 30
	lab_wait 100 limited gw1 connectionsPerPod 30
	each_may 30
	only_from "$EGRESS_V4" "$EGRESS_V6"
}

@test "what is open counts when the daemon is restarted, and when somebody deletes our table" {
	no_redirects gw1
	fifteen portsPerPod tcp node1 gw1
	node_stop gw1 KILL
	node_start gw1
	each_holds 18 more 3 20000
	on gw1 nft delete table inet sluice
	each_may 20
	node_stop gw1 KILL
	# what closes without a daemon comes back with it
	each_holds 16 drop 4
	lab_wait 300 tracked 32
	on gw1 nft delete table inet sluice
	node_start gw1
	each_may 20
	only_from "$EGRESS_V4" "$EGRESS_V6"
}

# ---- who is told ----

# holds_of NODE POD ADDR N OF: in the table, and in JSON
holds_of() {
	[ "$(ctl "$1" bindings -o json | jq -c ".[] | select(.pod == \"$2\") | .identities[] |
		select(.address == \"$3\") | [.connections, .limits.connectionsPerPod]")" = "[$4,$5]" ]
}
both_hold() {
	holds_of node1 far "$EGRESS_V4" "$@" && holds_of node1 far "$EGRESS_V6" "$@" &&
		holds_of gw1 near "$EGRESS_V4" "$@" && holds_of gw1 near "$EGRESS_V6" "$@"
}
# warned N: so often, of each pod and address
warned() {
	local line
	for line in "node1 pod=default/far address=$EGRESS_V4" "node1 pod=default/far address=$EGRESS_V6" \
		"gw1 pod=default/near address=$EGRESS_V4" "gw1 pod=default/near address=$EGRESS_V6"; do
		same "$line" "$1" "$(grep -c "nearly all that it may.*${line#* } limit=connectionsPerPod" \
			"$LAB/log/sluiced-${line%% *}")" || return
	done
}

@test "a pod's own node says what it holds of its limit, and warns at 80 percent, once until it is well below" {
	office_up gw1
	web_add far node1
	web_add near gw1
	run -0 ctl node1 bindings
	[[ $output != *HOLDS* ]] || lab_fail "without limits: $output"
	limit_pods connectionsPerPod 20
	lab_wait 100 limited gw1 connectionsPerPod 20
	lab_wait 100 limited node1 connectionsPerPod 20
	holders_up tcp far near
	each_holds 15 more 15 20000
	lab_wait 300 both_hold 15 20
	warned 0
	each_holds 16 more 1 20000
	lab_wait 300 both_hold 16 20
	warned 1
	run -0 ctl node1 bindings
	[[ $output == *HOLDS* && $output == *"16/20 connections"* ]] || lab_fail "$output"
	each_holds 15 drop 1
	lab_wait 300 both_hold 15 20
	each_holds 16 more 1 20000
	lab_wait 300 both_hold 16 20
	warned 1
	each_holds 13 drop 3
	lab_wait 300 both_hold 13 20
	each_holds 18 more 5 20000
	lab_wait 300 both_hold 18 20
	warned 2
	node_stop node1 TERM
	run -0 ctl node1 bindings
	[[ $output != *HOLDS* && $output == *"not known"* ]] || lab_fail "without a daemon: $output"
}
