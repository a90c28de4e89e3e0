#!/usr/bin/env bats
# A machine on the pods' own bridge (an uplink among its ports): frames to it never
# come up to the node's IP stack, so nothing there could translate or drop them.
load lib/lab

setup() { lab_up; }
teardown() { lab_teardown; }

FAR_V4=198.51.100.150

# far: a port of node1's cni0, with an address that is outside
far_up() {
	ns_new far 0
	ip link add eth0 netns "$P-far" type veth peer name far0 netns "$P-node1"
	ip -n "$P-node1" link set far0 master cni0 up
	ip -n "$P-far" -batch - <<-END
		link set eth0 up
		addr add $FAR_V4/32 dev eth0
		route add 10.244.0.0/16 dev eth0
	END
	server_in far
}

@test "what a policy decides on is not bridged out past the node; the rest is" {
	office_up
	web_add web
	pod_add plain
	far_up
	ip -n "$P-web" route add "$FAR_V4/32" dev eth0
	ip -n "$P-plain" route add "$FAR_V4/32" dev eth0
	on node1 sysctl -qw net.bridge.bridge-nf-call-iptables=1
	same "governed" timeout "$(ASK_PORT=8080 ask web udp "$FAR_V4" timeout=300)"
	on node1 sysctl -qw net.bridge.bridge-nf-call-iptables=0
	same "governed" timeout "$(ASK_PORT=8080 ask web udp "$FAR_V4" timeout=300)"
	same "not governed" "$(pod_ip plain 4)" "$(ASK_PORT=8080 ask plain udp "$FAR_V4")"
	lab_wait 100 dropped_some node1 bridged 1
	same "through the node" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	same "pod to pod" "$(pod_ip web 4)" "$(server_in plain && ASK_PORT=8080 ask web udp "$(pod_ip plain 4)")"
}
