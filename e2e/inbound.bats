#!/usr/bin/env bats
# What comes from outside, and Services: replies are never touched; a Service's
# destination is judged after translation.
# shellcheck disable=SC2016 # conditions for lab_wait
load lib/lab
load lib/services

setup() { lab_up; }
teardown() { lab_teardown; }

@test "NodePort: the answer goes back the way it came, TCP and UDP" {
	office_up
	web_add web
	server_in web
	services node1 "meta l4proto tcp tcp dport 30080 fib daddr type local dnat to $(pod_ip web 4):8080" \
		"meta l4proto udp udp dport 30080 fib daddr type local dnat to $(pod_ip web 4):8080"
	same tcp 172.31.7.100 "$(ASK_PORT=30080 ask ext tcp "${NODE_V4[node1]}")"
	same udp 172.31.7.100 "$(ASK_PORT=30080 ask ext udp "${NODE_V4[node1]}")"
	same fragments 172.31.7.100 "$(ASK_PORT=30080 ask ext udp "${NODE_V4[node1]}" size=9000)"
	# and what the pod itself starts still has its identity
	same own "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
}

@test "direct inbound: replies of a governed pod leave as the pod, also from a denied address" {
	chain_write ptp '.ipMasq = false'
	office_up
	web_add web
	server_in web
	ip -n "$P-ext" route add 10.244.1.0/24 via "${NODE_V4[node1]}"
	ip -n "$P-ext" route add fd00:244:1::/64 via "${NODE_V6[node1]}"
	same tcp 172.31.7.100 "$(ASK_PORT=8080 ask ext tcp "$(pod_ip web 4)")"
	same udp6 fd31:7::100 "$(ASK_PORT=8080 ask ext udp "$(pod_ip web 6)")"
	same "from the denied" "$DENIED_V4" "$(ASK_PORT=8080 ask ext tcp "$(pod_ip web 4)" "from=$DENIED_V4")"
	same refused refused "$(ASK_PORT=9 ask ext udp "$(pod_ip web 4)")"
	on ext ping -q -c 1 -W 10 "$(pod_ip web 4)"
	on ext ping -q -c 1 -W 10 -s 4000 "$(pod_ip web 4)"
	same own "$EGRESS_V4" "$(ask web tcp "$EXT_V4")"
}

@test "inbound to a pod behind the local gateway" {
	chain_write ptp '.ipMasq = false'
	office_up node1
	web_add web
	server_in web
	ip -n "$P-ext" route add 10.244.1.0/24 via "${NODE_V4[node1]}"
	same tcp 172.31.7.100 "$(ASK_PORT=8080 ask ext tcp "$(pod_ip web 4)")"
	on ext ping -q -c 1 -W 10 "$(pod_ip web 4)"
	same own "$EGRESS_V4" "$(ask web tcp "$EXT_V4")"
}

@test "packets without a connection never leave as the pod: SYN-ACK, RST, FIN, echo reply" {
	office_up
	web_add web
	pod_add plain
	local flags
	for flags in SA R FA A; do
		on web "$PROBE" frame eth0 "eth:$(pod_mac web),$(gateway_mac)" "ip:$(pod_ip web 4),$EXT_V4" \
			"tcp:8080,4000,$flags"
	done
	on web "$PROBE" frame eth0 "eth:$(pod_mac web),$(gateway_mac)" "ip:$(pod_ip web 4),$EXT_V4" icmp:0,0,77
	on web "$PROBE" frame eth0 "eth:$(pod_mac web),$(gateway_mac)" "ip:$(pod_ip web 4),$EXT_V4" icmp:3,1
	sleep 0.3
	only_from "$EGRESS_V4"
}

gateway_mac() { ip -n "$P-node1" -j link show cni0 | jq -r '.[0].address'; }

@test "a ClusterIP whose endpoint is outside: judged after translation" {
	office_up
	web_add web
	pod_add plain
	services node1 "ip daddr 10.96.0.10 udp dport 53 dnat to $EXT_V4:$PORT" \
		"ip daddr 10.96.0.11 udp dport 53 dnat to $DENIED_V4:$PORT" \
		"ip daddr 10.96.0.10 tcp dport 53 dnat to $EXT_V4:$PORT"
	same "governed" timeout "$(ASK_PORT=53 ask web udp 10.96.0.10 timeout=300)"
	same "governed, tcp" timeout "$(ASK_PORT=53 ask web tcp 10.96.0.10 timeout=300)"
	same "denied" timeout "$(ASK_PORT=53 ask web udp 10.96.0.11 timeout=300)"
	only_from
	lab_wait 100 dropped_some node1 service-outside 3
	same "ungoverned" "${NODE_V4[node1]}" "$(ASK_PORT=53 ask plain udp 10.96.0.10)"
}

by_service() { ASK_PORT=53 ask "$@"; }
# the files are read one after the other: until the last one counts, the Service itself is the reason
denied_by_service() { ! by_service web udp 10.96.0.11 timeout=500 && dropped_some node1 denied 1; }
by_service_as() { [ "$(by_service "$1" "$2" "$3" timeout=500)" = "$4" ]; }

@test "a Service that leads outside is judged as its endpoints: as whom, whether, and over an edit" {
	office_up
	web_add web
	pod_add plain
	services node1 "ip daddr 10.96.0.10 udp dport 53 dnat to $EXT_V4:$PORT" \
		"ip daddr 10.96.0.10 tcp dport 53 dnat to $EXT_V4:$PORT" \
		"ip daddr 10.96.0.11 udp dport 53 dnat to $DENIED_V4:$PORT"
	same "nobody knows its endpoints" timeout "$(by_service web udp 10.96.0.10 timeout=500)"
	service_outside open 10.96.0.10 "$EXT_V4"
	service_outside shut 10.96.0.11 "$DENIED_V4"
	lab_wait 100 by_service_as web udp 10.96.0.10 "$EGRESS_V4"
	same tcp "$EGRESS_V4" "$(by_service web tcp 10.96.0.10)"
	same "its endpoint is denied" timeout "$(by_service web udp 10.96.0.11 timeout=500)"
	same "ungoverned" "${NODE_V4[node1]}" "$(by_service plain udp 10.96.0.10)"
	lab_wait 100 denied_by_service
	ctl node1 explain default/web 10.96.0.10:53/UDP | tee "$LAB/log/explain"
	grep -q "Service default/open" "$LAB/log/explain"
	# another endpoint than the one it is translated to: not judged, not passed
	service_outside open 10.96.0.10 172.31.7.102
	in_force node1
	same "another" timeout "$(by_service web udp 10.96.0.10 timeout=500)"
	# endpoints that policies tell apart: nobody knows which one it will be
	service_outside open 10.96.0.10 "$EXT_V4" "$DENIED_V4"
	in_force node1
	same "they differ" timeout "$(by_service web udp 10.96.0.10 timeout=500)"
	service_outside open 10.96.0.10 "$EXT_V4" 172.31.7.102
	lab_wait 100 by_service_as web udp 10.96.0.10 "$EGRESS_V4"
	rm "$LAB/policies/60-open.yaml"
	in_force node1
	same "it is gone" timeout "$(by_service web udp 10.96.0.10 timeout=500)"
	same "ungoverned" "${NODE_V4[node1]}" "$(by_service plain udp 10.96.0.10)"
}

# The answer comes from the address that was asked, and is about what was sent there
@test "Reject says so at once by a Service that leads outside, too, of the Service's address" {
	local ip4=10.96.0.11 ip6=fd00:96::11 said=$LAB/log/dump
	office_up
	web_rules "{name: no, action: Reject, to: [{cidr: $DENIED_V4/32}, {cidr: '$DENIED_V6/128'}]}" "{name: rest, action: Allow}"
	web_add web
	services node1 "ip daddr $ip4 meta l4proto { tcp, udp } th dport 53 dnat to $DENIED_V4:$PORT"
	FAMILY=ip6 services node1 "ip6 daddr $ip6 meta l4proto { tcp, udp } th dport 53 dnat to [$DENIED_V6]:$PORT"
	service_outside shut $ip4 "$DENIED_V4"
	service_outside shut6 $ip6 "$DENIED_V6"
	daemon dump on web tcpdump -lnni eth0 'tcp or icmp or icmp6'
	lab_wait 50 grep -q 'listening on' "$said"
	lab_wait 300 by_service_as web udp $ip4 unreachable
	lab_wait 300 by_service_as web udp $ip6 prohibited
	same "tcp v4" refused "$(ASK_PORT=53 ask web tcp $ip4 timeout=5000)"
	same "tcp v6" refused "$(ASK_PORT=53 ask web tcp $ip6 timeout=5000)"
	lab_wait 300 grep -q "ICMP host $ip4 unreachable - admin prohibited" "$said"
	lab_wait 300 grep -q "unreachable prohibited $ip6" "$said"
	lab_wait 300 grep -q "$ip4.53 > .*Flags \[R" "$said"
	lab_wait 300 grep -q "$ip6.53 > .*Flags \[R" "$said"
	run ! grep -e "$DENIED_V4" -e "$DENIED_V6" "$said"
	same "no packet" 0 "$(sources | wc -l)"
}

@test "a Service whose endpoint is inside is left alone, by ClusterIP and by an outside address" {
	chain_write ptp '.ipMasq = false'
	office_up
	web_add web
	pod_add peer
	pod_add far gw1
	server_in peer
	server_in far
	services node1 "ip daddr 10.96.0.20 tcp dport 80 dnat to $(pod_ip peer 4):8080" \
		"ip daddr 203.0.113.20 tcp dport 80 dnat to $(pod_ip peer 4):8080" \
		"ip daddr 203.0.113.21 tcp dport 80 dnat to $(pod_ip far 4):8080" \
		"ip daddr 203.0.113.21 udp dport 80 dnat to $(pod_ip far 4):8080"
	same clusterip "$(pod_ip web 4)" "$(ASK_PORT=80 ask web tcp 10.96.0.20)"
	same "load balancer, here" "$(pod_ip web 4)" "$(ASK_PORT=80 ask web tcp 203.0.113.20)"
	same "load balancer, there" "$(pod_ip web 4)" "$(ASK_PORT=80 ask web tcp 203.0.113.21)"
	same "load balancer, udp" "$(pod_ip web 4)" "$(ASK_PORT=80 ask web udp 203.0.113.21)"
	only_from
}

@test "an outside address translated to another outside one is dropped: the rule judged another" {
	office_up
	web_add web
	services node1 "ip daddr 203.0.113.30 udp dport 53 dnat to $DENIED_V4:$PORT"
	same answer timeout "$(ASK_PORT=53 ask web udp 203.0.113.30 timeout=300)"
	only_from
}

@test "the gateway's stack does not answer for its egress addresses" {
	office_up
	web_add web
	same before "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	daemon gw-serve on gw1 "$PROBE" serve 9000 "$LAB/gw.sock"
	lab_wait 50 test -S "$LAB/gw.sock"
	same tcp timeout "$(ASK_PORT=9000 ask ext tcp "$EGRESS_V4" timeout=300)"
	same "closed port" timeout "$(ASK_PORT=9001 ask ext tcp "$EGRESS_V4" timeout=300)"
	same "the node's own" 172.31.7.100 "$(ASK_PORT=9000 ask ext tcp "${NODE_V4[gw1]}")"
}

@test "nothing uses an egress address as its own source" {
	office_up
	same v4 "${NODE_V4[gw1]}" "$(ask gw1 udp "$EXT_V4")"
	same v6 "${NODE_V6[gw1]}" "$(ask gw1 udp "$EXT_V6")"
}

@test "addressFrom: pods leave as the gateway's own address, under which it goes on serving and asking" {
	local pod own4=${NODE_V4[gw1]} own6=${NODE_V6[gw1]}
	policy 10-gateway.yaml <<-END
		apiVersion: sluice.dev/v1alpha1
		kind: EgressGateway
		metadata: {name: office}
		spec:
		  addressFrom: {interface: eth0}
		  nodeSelector: {matchLabels: {kubernetes.io/hostname: gw1}}
		  allowedNamespaces: {}
	END
	web_policy
	node_start "${LAB_NODES[@]}"
	daemon gw-serve on gw1 "$PROBE" serve 9000 "$LAB/gw.sock"
	lab_wait 50 test -S "$LAB/gw.sock"
	web_add far node1
	web_add near gw1
	for pod in far near; do
		lab_wait 300 eval '[ "$(ask '"$pod"' udp "$EXT_V4")" = '"$own4"' ]'
		leaves_as "$pod" "$own4" "$own6"
	done
	same "served" 172.31.7.100 "$(ASK_PORT=9000 ask ext tcp "$own4")"
	same "served by v6" fd31:7::100 "$(ASK_PORT=9000 ask ext tcp "$own6")"
	same "a closed port" refused "$(ASK_PORT=9001 ask ext tcp "$own4")"
	on ext ping -q -c 1 -W 10 "$own4"
	same "asking" "$own4" "$(ask gw1 tcp "$EXT_V4")"
	only_from "$own4" "$own6"
	# nothing of it was ours to take away
	rm "$LAB/policies/10-gateway.yaml"
	lab_wait 300 eval '[ "$(ask far udp "$EXT_V4" timeout=300)" = timeout ]'
	has_address gw1 "$own4"
	has_address gw1 "$own6"
	same "served still" 172.31.7.100 "$(ASK_PORT=9000 ask ext tcp "$own4")"
	only_from "$own4" "$own6"
}
