#!/usr/bin/env bats
# shellcheck disable=SC2034,SC2153 # what lib/lab reads and has
# existingConnections: an edit of who a pod is concerns new connections; those that are
# open keep the address they began with, until they end. A verdict concerns them at once.
load lib/lab
load lib/services

setup() {
	lab_up node1 gw1
	A=172.31.7.50 B=172.31.7.51 C=172.31.7.60 NODE=${NODE_V4[node1]}
}
teardown() { lab_teardown; }

# here: A and B on node1; there: C on gw1. Daemons on both.
gateways_up() {
	policy 10-gateways.yaml <<-END
		apiVersion: sluice.dev/v1alpha1
		kind: EgressGateway
		metadata: {name: here}
		spec:
		  addresses: [{range: $A-$B}]
		  nodeSelector: {matchLabels: {kubernetes.io/hostname: node1}}
		  allowedNamespaces: {}
		---
		apiVersion: sluice.dev/v1alpha1
		kind: EgressGateway
		metadata: {name: there}
		spec:
		  addresses: [{range: $C}]
		  nodeSelector: {matchLabels: {kubernetes.io/hostname: gw1}}
		  allowedNamespaces: {}
	END
	node_start node1 gw1
	lab_wait 50 has_address node1 "$B"
	lab_wait 50 has_address gw1 "$C"
}

HERE_A="via: {gateway: here, addresses: [172.31.7.50]}"
HERE_B="via: {gateway: here, addresses: [172.31.7.51]}"
THERE="via: {gateway: there}"

# web_as RULE [SPEC-LINE]: what the pod is from now on
web_as() {
	web_spec <<-END
		  ${2:-existingConnections: Keep}
		  rules:
		  - name: out
		    action: ${ACTION:-Allow}
		    ${1:-}
	END
}

# The flow with source port 6001, again and again
udp_flow() { ask web udp "$EXT_V4" sport=6001; }

kept() { map_dump node1 kept | jq length; }
flagged() { map_dump node1 pods | jq '[.[] | .value[8] | select(. == "0x04")] | length'; }
nothing_kept() { [ "$(kept)" = 0 ] && [ "$(flagged)" = 0 ]; }

# begins ADDR: a TCP connection and a UDP flow that began as ADDR
begins() {
	web_add web
	lab_wait 30 asks_as web "$1"
	talk_open web
	same "tcp began" "$1 alive" "$(talk web)"
	same "udp began" "$1" "$(udp_flow)"
	counts reset >/dev/null
	BEFORE=$1
}

# stays6 OLD NEW: the same for IPv6
stays6() {
	same "the open connection" "$1 alive" "$(talk web)"
	same "the open flow" "$1" "$(ask web udp "$EXT_V6" sport=6001)"
	same "a new connection" "$2" "$(ask web tcp "$EXT_V6")"
}

# stays OLD NEW: what is open is seen as OLD, what begins as NEW
stays() {
	same "the open connection" "$1 alive" "$(talk web)"
	same "the open flow" "$1" "$(udp_flow)"
	same "a new connection" "$2" "$(ask web tcp "$EXT_V4")"
	same "a new flow" "$2" "$(ask web udp "$EXT_V4")"
	only_from "$1" "$2" "$BEFORE"
	counts reset >/dev/null
	BEFORE=$2
}

# edit OLD NEW RULE
edit() {
	web_as "$3"
	lab_wait 30 asks_as web "$2"
	stays "$1" "$2"
}

@test "from one local address to another, and back" {
	gateways_up
	web_as "$HERE_A"
	begins "$A"
	edit "$A" "$B" "$HERE_B"
	[ "$(kept)" -ge 2 ]
	same flagged 1 "$(flagged)"
	cni check web node1
	edit "$A" "$A" "$HERE_A"
}

@test "from a local address to another node's, to none, without the policy" {
	gateways_up
	web_as "$HERE_A"
	begins "$A"
	edit "$A" "$C" "$THERE"
	edit "$A" "$NODE" ""
	rm "$LAB/policies/20-web.yaml"
	lab_wait 30 asks_as web "$NODE"
	stays "$A" "$NODE"
}

@test "from another node's address to a local one, to none, without the policy" {
	gateways_up
	web_as "$THERE"
	begins "$C"
	edit "$C" "$A" "$HERE_A"
	edit "$C" "$NODE" ""
	rm "$LAB/policies/20-web.yaml"
	lab_wait 30 asks_as web "$NODE"
	stays "$C" "$NODE"
}

@test "a policy that appears: what is open stays as the node" {
	gateways_up
	begins "$NODE"
	edit "$NODE" "$C" "$THERE"
	edit "$NODE" "$A" "$HERE_A"
}

@test "the same for IPv6" {
	gateways_up
	local v6=fd31:7::5
	sed -i "s|\[{range: $A-$B}\]|[{range: $A-$B}, {range: \"${v6}0-${v6}1\"}]|; s|\[{range: $C}\]|[{range: $C}, {range: \"fd31:7::60\"}]|" \
		"$LAB/policies/10-gateways.yaml"
	lab_wait 50 has_address node1 "${v6}1"
	lab_wait 50 has_address gw1 fd31:7::60
	web_as "via: {gateway: here, addresses: [\"${v6}0\"]}"
	web_add web
	talk_open web "$EXT_V6"
	same "udp began" "${v6}0" "$(ask web udp "$EXT_V6" sport=6001)"
	web_as "via: {gateway: here, addresses: [\"${v6}1\"]}"
	lab_wait 30 asks_as web "${v6}1" "$EXT_V6"
	stays6 "${v6}0" "${v6}1"
	web_as "$THERE"
	lab_wait 30 asks_as web fd31:7::60 "$EXT_V6"
	stays6 "${v6}0" fd31:7::60
	web_as ""
	lab_wait 30 asks_as web "${NODE_V6[node1]}" "$EXT_V6"
	stays6 "${v6}0" "${NODE_V6[node1]}"
}

# What is asked is a Service's address from here on, with two endpoints behind it.
by_service() {
	local endpoint=$EXT_V4
	services node1 "ip daddr 10.96.0.10 udp dport 53 dnat to $EXT_V4:$PORT" \
		"ip daddr 10.96.0.10 tcp dport 53 dnat to $EXT_V4:$PORT"
	EXT_V4=10.96.0.10 ASK_PORT=53
	service_outside store "$EXT_V4" "$endpoint" 172.31.7.102
}

@test "what is open through a Service that leads outside stays what it began as, too" {
	gateways_up
	by_service
	web_as "$HERE_A"
	begins "$A"
	edit "$A" "$B" "$HERE_B"
	[ "$(kept)" -ge 2 ]
	edit "$A" "$C" "$THERE"
	edit "$A" "$NODE" ""
	rm "$LAB/policies/20-web.yaml"
	lab_wait 30 asks_as web "$NODE"
	stays "$A" "$NODE"
	web_as "$THERE"
	lab_wait 30 asks_as web "$C"
	stays "$A" "$C"
	ACTION=Deny web_as "$HERE_B"
	in_force node1
	same "denied, the open connection" "$A dead" "$(talk web)"
	same "denied, the open flow" timeout "$(ask web udp "$EXT_V4" sport=6001 timeout=300)"
}

@test "an edit to Reject resets what is open through a Service, in the Service's name" {
	local said=$LAB/log/dump
	# an identity for some, so that an edit of the verdict is known to be none of identities
	local rest="
  - {name: more, to: [{cidr: 203.0.113.0/24}], $HERE_A}"
	gateways_up
	by_service
	web_as "$rest"
	web_add web
	lab_wait 30 asks_as web "$NODE"
	talk_open web
	same "it began" "$NODE alive" "$(talk web)"
	daemon dump on web tcpdump -lnni eth0 'tcp[tcpflags] & tcp-rst != 0'
	lab_wait 50 grep -q 'listening on' "$said"
	ACTION=Reject web_as "$rest"
	in_force node1
	lab_wait 100 asks_as web unreachable
	lab_wait 300 grep 'connections reset' "$LAB/log/sluiced-node1" || lab_fail "the open one is not forgotten"
	same "the open one" "$NODE dead" "$(talk web)"
	lab_wait 100 grep -q '10.96.0.10.53 > .*Flags \[R' "$said" || lab_fail "resets: $(cat "$said")"
	run ! grep "$PORT > .*Flags \[R" "$said" # of the endpoint
}

# of_family 4|6: a Service, its endpoint, and where nobody may go
of_family() {
	AT=10.96.0.10 GOOD=$EXT_V4 BAD=$DENIED_V4 OWN=$NODE MATCH="ip daddr" TO=$EXT_V4 NO=unreachable
	[ "$1" = 4 ] || AT=fd00:96::10 GOOD=$EXT_V6 BAD=$DENIED_V6 OWN=${NODE_V6[node1]} MATCH="ip6 daddr" TO=[$EXT_V6] NO=prohibited
}
# shop_of APP: the Service shop has its pods, and they may go nowhere
shop_of() {
	policy 61-shop.yaml <<-END
		apiVersion: v1
		kind: Service
		metadata: {name: shop, namespace: default}
		spec: {selector: {app: $1}, clusterIP: 10.96.0.80, ports: [{port: 80, protocol: TCP}]}
	END
}
# both_open: by the Service, and to its endpoint
both_open() {
	ASK_PORT=53 lab_wait 100 asks_as web "$OWN" "$AT"
	ASK_PORT=53 talk_open web "$AT"
	same "by the Service" "$OWN alive" "$(talk web)"
	talk_open peer "$GOOD"
	same "to its endpoint" "$OWN alive" "$(talk peer)"
	daemon dump on web tcpdump -lnni eth0 "tcp or udp or icmp or icmp6"
	lab_wait 50 grep -q 'listening on' "$LAB/log/dump"
}
# is_reset PEER: in the name that the pod knows; and what becomes of the other
is_reset() {
	local daemon
	ASK_PORT=53 lab_wait 100 asks_as web "$NO" "$AT"
	lab_wait 300 grep 'connections reset' "$LAB/log/sluiced-node1" || lab_fail "the open one is not forgotten"
	same "by the Service" "$OWN dead" "$(talk web)"
	lab_wait 100 grep -q "$AT.53 > .*Flags \[R" "$LAB/log/dump" || lab_fail "resets: $(cat "$LAB/log/dump")"
	run ! grep "$PORT > .*Flags \[R" "$LAB/log/dump"
	same "to its endpoint" "$OWN $1" "$(talk peer)"
	for daemon in web-talk peer-talk dump; do daemon_stop $daemon; done
	rm "$LAB"/*.in "$LAB/log/"{dump,web-talk,peer-talk}
}

# reset_by_services 4|6: no policy is edited
reset_by_services() {
	of_family "$1"
	FAMILY=${MATCH% *} services node1 "$MATCH $AT meta l4proto { tcp, udp } th dport 53 dnat to $TO:$PORT"
	policy 20-policies.yaml <<-END
		apiVersion: sluice.dev/v1alpha1
		kind: EgressPolicy
		metadata: {name: web, namespace: default}
		spec:
		  subject: {podSelector: {matchLabels: {app: web}}}
		  rules: [{name: no, action: Reject, to: [{cidr: $DENIED_V4/32}, {cidr: "$DENIED_V6/128"}]}]
		---
		apiVersion: sluice.dev/v1alpha1
		kind: EgressPolicy
		metadata: {name: shop, namespace: default}
		spec: {subject: {services: [shop]}, rules: [{name: none, action: Reject}]}
	END
	shop_of none
	service_outside store "$AT" "$GOOD"
	node_start node1
	web_add web
	web_add peer
	both_open
	service_outside store "$AT" "$BAD"
	is_reset alive
	: >"$LAB/log/sluiced-node1"
	service_outside store "$AT" "$GOOD"
	both_open
	shop_of web
	is_reset dead
}

@test "an EndpointSlice or a Service that is edited alone resets what is open, in the Service's name" { reset_by_services 4; }
@test "the same for IPv6: EndpointSlices and Services" { reset_by_services 6; }

@test "what began by tunnel through a Service that leads outside stays so; Reset ends it" {
	gateways_up
	by_service
	web_as "$THERE"
	begins "$C"
	edit "$C" "$A" "$HERE_A"
	web_as "$HERE_B" "existingConnections: Reset"
	lab_wait 30 asks_as web "$B"
	lab_wait 30 nothing_kept # what an edit before kept goes when this one is made
	same "the open connection" "$C dead" "$(talk web)"
	same "the open flow" "$B" "$(udp_flow)"
	only_from "$A" "$B" "$C"
}

@test "a verdict ends it at once, whatever it was kept as" {
	gateways_up
	web_as "$HERE_A"
	begins "$A"
	edit "$A" "$B" "$HERE_B"
	ACTION=Deny web_as "$HERE_B"
	in_force node1
	same "the open connection" "$A dead" "$(talk web)"
	same "the open flow" timeout "$(ask web udp "$EXT_V4" sport=6001 timeout=300)"
	only_from "$A" "$B"
}

@test "Reset: it breaks and begins anew as the new one" {
	gateways_up
	web_as "$HERE_A"
	begins "$A"
	web_as "$HERE_B" "existingConnections: Reset"
	lab_wait 30 asks_as web "$B"
	same "the open connection" "$A dead" "$(talk web)"
	same "the open flow" "$B" "$(udp_flow)"
	web_as "$THERE" "existingConnections: Reset"
	lab_wait 30 asks_as web "$C"
	same "the open flow, again" "$C" "$(udp_flow)"
	web_as "" "existingConnections: Reset"
	lab_wait 30 asks_as web "$NODE"
	same "the open flow, at last" "$NODE" "$(udp_flow)"
	only_from "$A" "$B" "$C" "$NODE"
	same kept 0 "$(kept)"
}

@test "a restart of the daemon in between, and an edit while it is down" {
	gateways_up
	web_as "$HERE_A"
	begins "$A"
	edit "$A" "$B" "$HERE_B"
	node_stop node1 KILL
	stays "$A" "$B"
	node_start node1
	stays "$A" "$B"
	node_stop node1
	web_as "$THERE"
	node_start node1
	lab_wait 30 asks_as web "$C"
	same "the open connection" "$A alive" "$(talk web)"
	same "the open flow" "$A" "$(udp_flow)"
	only_from "$A" "$B" "$C"
}

answered() { [ "$(ask web udp "$EXT_V4" sport="$1" timeout=300)" != timeout ]; }

@test "what was sent while our table was gone is not kept as the node" {
	gateways_up
	web_as "$HERE_A"
	begins "$A"
	node_stop node1
	on node1 nft delete table inet sluice
	# they end in sluice0, and conntrack has seen them go there
	same "a flow meanwhile" timeout "$(ask web udp "$EXT_V4" sport=6002 timeout=300)"
	same "the open flow meanwhile" timeout "$(ask web udp "$EXT_V4" sport=6001 timeout=300)"
	on node1 conntrack -L -p udp 2>/dev/null | grep -q 'sport=6002 .*UNREPLIED'
	web_as "$HERE_B"
	node_start node1
	lab_wait 100 asks_as web "$B"
	# a port that had another device before is lost once
	lab_wait 30 answered 6002
	same "the flow" "$B" "$(ask web udp "$EXT_V4" sport=6002)"
	same "the open connection" "$A alive" "$(talk web)"
	same "the open flow" "$A" "$(udp_flow)"
	only_from "$A" "$B"
}

@test "what was bound to the node as our table went is forgotten when it is back" {
	gateways_up
	web_as "$HERE_A"
	begins "$A"
	local zone ip bound
	ip=$(pod_ip web 4)
	bound="-s $ip -d $EXT_V4 -p udp --sport 6002 --dport $PORT"
	zone=$(on node1 conntrack -L -p udp --sport 6001 2>/dev/null | grep -o 'zone-orig=[0-9]*')
	# as who is between two hooks at that moment is bound to, by the main CNI's rules
	# shellcheck disable=SC2086
	on node1 conntrack -I $bound --src-nat "$NODE" --orig-zone "${zone#*=}" -t 300
	on node1 nft delete table inet sluice
	# shellcheck disable=SC2086
	lab_wait 100 eval "[ -z \"\$(on node1 conntrack -L $bound 2>/dev/null)\" ]"
	lab_wait 30 asks_as web "$A"
	same "the flow" "$A" "$(ask web udp "$EXT_V4" sport=6002)"
	same "the open connection" "$A alive" "$(talk web)"
	only_from "$A"
}

# Where nothing translates what goes into sluice0, the tunnel carries it without our table.
@test "what went by tunnel while our table was gone is not kept as the node, whoever masquerades" {
	chain_write bridge '.ipMasq = false'
	gateways_up
	web_as "$THERE"
	web_add web
	lab_wait 30 asks_as web "$C"
	# somebody else asks conntrack, too
	on node1 nft "add table inet other; add chain inet other in { type filter hook input priority 0; }
		add rule inet other in ct state established accept"
	node_stop node1
	on node1 nft delete table inet sluice
	same "a flow meanwhile" "$C" "$(ask web udp "$EXT_V4" sport=6002)"
	talk_open web
	same "a connection meanwhile" "$C alive" "$(talk web)"
	web_as "$HERE_B"
	node_start node1
	lab_wait 100 asks_as web "$B"
	lab_wait 30 answered 6002
	same "the flow" "$B" "$(ask web udp "$EXT_V4" sport=6002)"
	talk web
	only_from "$B" "$C"
}

@test "when what was open has ended, nothing of it is left" {
	gateways_up
	web_as "$HERE_A"
	begins "$A"
	edit "$A" "$B" "$HERE_B"
	# from the next packet of the flow on
	on node1 sysctl -qw net.netfilter.nf_conntrack_udp_timeout=2 net.netfilter.nf_conntrack_udp_timeout_stream=2
	same "the open flow" "$A" "$(udp_flow)"
	talk_close web
	lab_wait 400 nothing_kept
	same kept 0 "$(kept)"
	same flagged 0 "$(flagged)"
	same "the same port" "$B" "$(udp_flow)"
	only_from "$A" "$B"
}

@test "a pod that gets the address of one that is gone inherits nothing" {
	gateways_up
	web_as "$HERE_A"
	begins "$A"
	edit "$A" "$B" "$HERE_B"
	local ip
	ip=$(pod_ip web 4)
	pod_del web
	lab_wait 30 nothing_kept
	same "entries" "" "$(on node1 conntrack -L -s "$ip" 2>/dev/null)"
	jq --arg ip "$ip" '.plugins[0].ipam.ranges[0][0] += {rangeStart: $ip, rangeEnd: $ip}' \
		"$LAB/node1/net.conflist" >"$LAB/new" && mv "$LAB/new" "$LAB/node1/net.conflist"
	web_add web
	same "the same address" "$ip" "$(pod_ip web 4)"
	same "the same flow" "$B" "$(udp_flow)"
}

@test "new flows all the while: the old address or the new one, nobody else" {
	gateways_up
	web_as "$THERE"
	web_add web
	lab_wait 30 asks_as web "$C"
	counts reset >/dev/null
	flood_in web 3000 5 fresh flows=50
	sleep 1
	web_as ""
	sleep 1
	web_as "$HERE_A"
	sleep 1
	web_as "$THERE"
	flood_end web
	counts
	only_from "$A" "$C" "$NODE"
}
