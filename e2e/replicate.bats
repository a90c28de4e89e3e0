#!/usr/bin/env bats
# Crashes: the owner's daemon and its link are gone at one moment, and its connections go on
# under the next one, which has been told of them all the time.
# shellcheck disable=SC2016,SC2034,SC2119,SC2120 # conditions for lab_wait, the lab's settings, optional arguments
load lib/lab
load lib/gateways

setup() { gateways_lab node1 gw1 gw2 gw3; }
teardown() { lab_teardown; }

# replicated BOOL: with time enough for heartbeats on a busy machine, since whoever is missed is
# next no more
replicated() { office "interval: 500ms, missed: 6, holdDown: 1s, replicate: $1"; }

gateways_up() {
	replicated "$1"
	web_policy
	node_start "${LAB_NODES[@]}"
	lab_wait 300 all_at_home || lab_fail "the addresses are not where they belong"
	HOME_V4=$(owner_of "$EGRESS_V4")
	HOME_V6=$(owner_of "$EGRESS_V6")
}

# replication NODE WHAT; kept N: all others together keep that many at least
replication() { ctl "$1" status -o json | jq ".gateways.replication.$2"; }
kept() {
	local node n=0
	for node in "${GATEWAYS[@]}"; do n=$((n + $(replication "$node" kept))); done
	[ "$n" -ge "$1" ]
}
kept_none() { ! kept 1; }
kept_soon() {
	local node
	lab_wait 300 kept "$1" && return
	for node in "${GATEWAYS[@]}"; do ctl "$node" status -o json | jq -c .gateways.replication; done
	return 1
}

# crash NODE: what a power cut looks like from outside
crash() {
	daemon_kill "sluiced-$1" STOP
	ip -n "$P-seg" link set "p-$1" down
	node_stop "$1" KILL
}
taken_over() { [ "$(owners_of "$1" | grep -vc "^$2\$")" = 1 ]; }

# talks_up ADDR OWNER: on a node without addresses and on each gateway that is not to crash, a pod
# whose connections are idle, and one to which the server speaks
talks_up() {
	local to=$1 owner=$2 node
	EACH=${TALKS:-25} TALKS_N=0 IDLE=() PUSHED=()
	for node in node1 "${GATEWAYS[@]}"; do
		[ "$node" = "$owner" ] && continue
		web_add "idle-$node" "$node"
		web_add "push-$node" "$node"
		talk_open "idle-$node" "$to" "$EACH"
		TALK_PUSH=push talk_open "push-$node" "$to" "$EACH"
		IDLE+=("idle-$node") PUSHED+=("push-$node")
		TALKS_N=$((TALKS_N + 2 * EACH))
	done
}

# all_alive AS: every one of them
all_alive() {
	local pod
	for pod in "${PUSHED[@]}"; do
		same "$pod" "$1 $EACH of $EACH" "$(talk "$pod")" || return
	done
	for pod in "${IDLE[@]}"; do same "$pod" "$1 alive" "$(talk "$pod")" || return; done
}

crashes() {
	crash "$2"
	lab_wait 300 taken_over "$1" "$2"
}

# crashes_and_all_live_on: with IPv4
crashes_and_all_live_on() {
	gateways_up true
	talks_up "$EXT_V4" "$HOME_V4"
	kept_soon "$TALKS_N"
	all_alive "$EGRESS_V4"
	counts reset >/dev/null
	crashes "$EGRESS_V4" "$HOME_V4"
	all_alive "$EGRESS_V4"
	only_from "$EGRESS_V4" "$EGRESS_V6"
}

@test "the owner crashes: idle and busy connections of all other nodes' pods live on" {
	crashes_and_all_live_on
}

@test "the owner of 1,020 connections crashes, and all of them live on (long)" {
	local TALKS=170
	skip_long
	crashes_and_all_live_on
	grep -h "connections restored" "$LAB"/log/sluiced-* | sed 's/^/# /' >&3
}

@test "without replication the server's words find nobody" {
	gateways_up false
	TALK_PUSH=push
	web_add push node1
	talk_open push "$EXT_V4" 25
	same "before" "$EGRESS_V4 25 of 25" "$(talk push)"
	kept_none
	crashes "$EGRESS_V4" "$HOME_V4"
	same "after" "$EGRESS_V4 0 of 25" "$(talk push)"
}

keeper() {
	local node
	for node in "${GATEWAYS[@]}"; do
		[ "$(replication "$node" kept)" = 0 ] || echo "$node"
	done
}

@test "whoever keeps them in IPv6 is started anew, replication stops and goes on, then the owner crashes" {
	gateways_up true
	local keeper
	talks_up "$EXT_V6" "$HOME_V6"
	kept_soon "$TALKS_N"
	keeper=$(keeper)
	node_stop "$keeper" KILL
	node_start "$keeper"
	lab_wait 300 all_at_home
	kept_soon "$TALKS_N"
	replicated false
	lab_wait 300 kept_none
	replicated true
	kept_soon "$TALKS_N"
	# what has ended is kept no longer
	daemon_kill idle-node1-talk TERM
	unset 'IDLE[0]'
	lab_wait 300 eval "! kept $((TALKS_N - EACH + 1))"
	kept $((TALKS_N - EACH))
	counts reset >/dev/null
	crashes "$EGRESS_V6" "$HOME_V6"
	all_alive "$EGRESS_V6"
	only_from "$EGRESS_V4" "$EGRESS_V6"
}
