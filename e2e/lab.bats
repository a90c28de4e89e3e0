#!/usr/bin/env bats
# The laboratory itself, without Sluice: what it says about a plain node is true.
load lib/lab

# shellcheck disable=SC2034 # read by chain_write
setup() { LAB_PLAIN='[]' && lab_up; }
teardown() { lab_teardown; }

@test "without sluice a pod leaves as its node, with every protocol" {
	pod_add a
	leaves_as a "${NODE_V4[node1]}" "${NODE_V6[node1]}"
	pod_del a
}

@test "ext has no route to pods: without masquerade there is no answer, but the packet is seen" {
	chain_write ptp '.ipMasq = false'
	pod_add a
	same answer timeout "$(ask a udp "$EXT_V4" timeout=300)"
	same source "$(pod_ip a 4)" "$(strangers)"
}

@test "ext sees frames that no socket wants" {
	pod_add a
	same answer refused "$(ASK_PORT=9 ask a tcp "$EXT_V4")"
	[ "$(seen pkt-tcp "${NODE_V4[node1]}")" -gt 0 ]
	[ "$(seen tcp "${NODE_V4[node1]}")" = 0 ]
}

@test "pods of two nodes reach each other under their own addresses" {
	chain_write ptp '.ipMasq = false'
	pod_add a
	pod_add b gw1
	server_in b
	same v4 "$(pod_ip a 4)" "$(ASK_PORT=8080 ask a tcp "$(pod_ip b 4)")"
	same v6 "$(pod_ip a 6)" "$(ASK_PORT=8080 ask a udp "$(pod_ip b 6)")"
}

@test "a routed ext works, and a flood loses nothing" {
	lab_destroy
	LAB_EXT=routed lab_up
	pod_add a
	leaves_as a "${NODE_V4[node1]}" "${NODE_V6[node1]}"
	counts reset >/dev/null
	run -0 on a "$PROBE" flood "$EXT_V4" "$PORT" 10000 1 flows=4
	same seen "$(awk '{ print $2 }' <<<"$output")" "$(seen udp "${NODE_V4[node1]}")"
	same answered "$(awk '{ print $2 }' <<<"$output")" "$(awk '{ print $4 }' <<<"$output")"
}

@test "a storm of pods is answered and leaves nothing behind" {
	run -0 on node1 env CNI_PATH="$CNI_PATH" CNI_CACHE="$LAB/cache" "$CNIRUN" storm \
		"$LAB/node1/net.conflist" 2 1 20 "$P-s" "$PROBE" "$EXT_V4" "$PORT" timeout=15000
	same answered 20 "$(grep -c " ${NODE_V4[node1]}$" <<<"$output")"
	run -2 ls "/run/netns/$P-s1" "/run/netns/$P-s20"
}

@test "the routed main plugin works, and its node masquerades" {
	chain_write routed '.hostPrefix = "cali"'
	on node1 iptables -t nat -A POSTROUTING -s 10.244.0.0/16 ! -d 10.244.0.0/16 -j MASQUERADE
	on node1 ip6tables -t nat -A POSTROUTING -s fd00:244::/32 ! -d fd00:244::/32 -j MASQUERADE
	pod_add a
	leaves_as a "${NODE_V4[node1]}" "${NODE_V6[node1]}"
	pod_del a
}

@test "macvlan pods are on the segment" {
	chain_write macvlan '.ipam = {type: "static", addresses: [
		{address: "172.31.7.77/24", gateway: "172.31.7.100"}, {address: "fd31:7::77/64"}]}'
	pod_add a
	# a question is asked once: the segment must have heard of the new neighbour
	lab_wait 30 on a ping -c 1 -W 1 "$EXT_V6"
	leaves_as a 172.31.7.77 fd31:7::77
}

# lingers POD: something holds its namespace when it is deleted, until $LAB/POD.free is there
lingers() {
	# shellcheck disable=SC2016 # for sh
	daemon "$1-lingers" sh -c 'exec 9<"$0" && touch "$1.held" && until [ -e "$1.free" ]; do sleep 0.2; done' \
		"/run/netns/$P-$1" "$LAB/$1"
	lab_wait 100 test -e "$LAB/$1.held"
	ip netns del "$P-$1"
}

@test "a namespace that takes its time to end is waited for, a veth that stays is found" {
	pod_add a
	lingers a
	run -1 veths_are 0 node1
	touch "$LAB/a.free"
	veths_gone node1
	pod_add b
	lab_wait() { return 1; } # as if the time were over
	run -1 --separate-stderr veths_gone node1 # ip also speaks of namespaces that others are making
	same output "veths: expected '0', got '1'" "$output"
}

@test "a daemon is stopped, and nobody who has its number by now" {
	local pid
	daemon short sleep 600
	pid=$(cat "$LAB/pids/short")
	daemon_lives short
	daemon_stop short
	gone "$pid"
	# what stands there is another's: it has ended, and its number was given again
	daemon other sleep 600
	sleep 0.1 # ticks are of 10 ms, and no number comes round in one
	daemon short true
	lab_wait 50 daemon_gone short
	cp "$LAB/pids/other" "$LAB/pids/short"
	daemon_gone short
	run daemon_kill short KILL
	[ "$status" -ne 0 ]
	run daemon_stop short
	daemon_lives other
}
