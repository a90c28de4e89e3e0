#!/usr/bin/env bats
# Other people's plugins in the same chain, before us and after us: verdicts and
# identity hold, theirs keeps its effect, and DEL leaves nothing of either. (vrf needs a
# kernel that has it: kernels/suite. Debian 12's firewall writes by iptables, nft or
# legacy, or by firewalld; an nftables backend it does not have.)
# shellcheck disable=SC2034 # POD_CAPS is for lib/lab
load lib/lab

setup() {
	skip_long
	lab_up
}
teardown() { lab_teardown; }

# chain_with before|after JQ-PLUGIN: bridge, it and sluice in that order
chain_with() {
	case $1 in
	before) LAB_PLAIN="[$2, \$sluice]" chain_write bridge ;;
	after) LAB_PLAIN="[\$sluice, $2]" chain_write bridge ;;
	esac
}

# traces: what other plugins may leave on node1, to compare
traces() {
	local save
	for save in iptables-nft-save iptables-legacy-save ip6tables-nft-save ip6tables-legacy-save; do
		on node1 "$save" 2>/dev/null | grep -F -- "$P" || true
	done
	ip -n "$P-node1" -o link show type ifb | wc -l
	ip -n "$P-node1" -o link show type veth | wc -l
	on node1 tc qdisc show | grep -cE ' (tbf|ingress|clsact) ' || true
}

# governed: from the outside's view; the long form with every protocol and fragments
governed() {
	counts reset >/dev/null
	if [ -n "${SLUICE_E2E_FULL:-}" ]; then
		leaves_as web "$EGRESS_V4" "$EGRESS_V6" && denied web || return
	else
		same udp "$EGRESS_V4" "$(ask web udp "$EXT_V4" size=9000)" || return
		same tcp6 "$EGRESS_V6" "$(ask web tcp "$EXT_V6")" || return
		same denied timeout "$(ask web udp "$DENIED_V4" timeout=300)" || return
	fi
	only_from "$EGRESS_V4" "$EGRESS_V6" && checked
}

# CHECK of the whole chain, or of ours alone where theirs cannot
checked() {
	[ -n "${ours_alone:-}" ] || cni check web node1 || return
	local net=$LAB/node1/net.conflist
	cp "$net" "$net.whole"
	jq '.plugins |= map(select(.type == "sluice"))' "$net.whole" >"$net"
	cni check web node1 || return
	mv "$net.whole" "$net"
}

# beside PLUGIN EFFECT: both orders; EFFECT is a function that judges theirs
beside() {
	local plugin=$1 effect=$2 order before
	for order in before after; do
		echo "# $order us"
		chain_with "$order" "$plugin"
		web_add first # what the first pod makes for all (chains, the bridge) stays
		pod_del first
		before=$(traces)
		web_add web
		governed || return
		"$effect" || return
		pod_del web || return
		nothing_left node1 || return
		same "traces of $order" "$before" "$(traces)" || return
	done
}

shaped() {
	ip -n "$P-node1" -o link show type ifb | grep -q . || lab_fail "no ifb"
	on node1 tc qdisc show dev "$(pod_veth web)" | grep -q ' tbf ' || lab_fail "no shaper"
}

@test "bandwidth, remote gateway (long)" {
	office_up
	POD_CAPS='"bandwidth": {"ingressRate": 80000000, "ingressBurst": 8000000, "egressRate": 80000000, "egressBurst": 8000000}'
	beside '{type: "bandwidth", capabilities: {bandwidth: true}}' shaped
}

@test "bandwidth, local gateway (long)" {
	office_up node1
	beside '{type: "bandwidth", ingressRate: 80000000, ingressBurst: 8000000,
		egressRate: 80000000, egressBurst: 8000000}' shaped
}

# A hostPort from outside, from a pod beside it, and by hairpin from the pod itself.
mapped() {
	local v4=${NODE_V4[node1]} v6=${NODE_V6[node1]}
	rm -f "$LAB/web.sock"
	server_in web
	same "hostPort tcp" "$EXT_V4" "$(ASK_PORT=30080 ask ext tcp "$v4")" || return
	same "hostPort udp" "$EXT_V4" "$(ASK_PORT=30080 ask ext udp "$v4")" || return
	same "hostPort fragments" "$EXT_V4" "$(ASK_PORT=30080 ask ext udp "$v4" size=9000)" || return
	same "hostPort from the denied" "$DENIED_V4" "$(ASK_PORT=30080 ask ext tcp "$v4" "from=$DENIED_V4")" || return
	same "hostPort tcp6" "$EXT_V6" "$(ASK_PORT=30080 ask ext tcp "$v6" "from=$EXT_V6")" || return
	same "hostPort udp6" "$EXT_V6" "$(ASK_PORT=30080 ask ext udp "$v6" "from=$EXT_V6")" || return
	same "hostPort6 from the denied" "$DENIED_V6" "$(ASK_PORT=30080 ask ext tcp "$v6" "from=$DENIED_V6")" || return
	same "hostPort from the node" "$v4" "$(ASK_PORT=30080 ask node1 tcp "$v4")" || return
	# portmap masquerades what comes from the pods' own subnet
	pod_add beside
	same beside 10.244.1.1 "$(ASK_PORT=30080 ask beside tcp "$v4")" || return
	same beside6 fd00:244:1::1 "$(ASK_PORT=30080 ask beside udp "$v6")" || return
	pod_del beside
	same hairpin 10.244.1.1 "$(ASK_PORT=30080 ask web tcp "$v4")" || return
	same hairpin6 fd00:244:1::1 "$(ASK_PORT=30080 ask web tcp "$v6")" || return
	same own "$EGRESS_V4" "$(ask web tcp "$EXT_V4")" || return
	daemon_stop web-serve
}

ports() {
	POD_CAPS='"portMappings": [{"hostPort": 30080, "containerPort": 8080, "protocol": "tcp"},
		{"hostPort": 30080, "containerPort": 8080, "protocol": "udp"}]'
}

# with_iptables nft|legacy: whatever the machine's alternative is
with_iptables() {
	local tool
	mkdir "$LAB/sbin"
	for tool in iptables ip6tables; do
		ln -sf "/usr/sbin/$tool-$1" "$LAB/sbin/$tool"
		ln -sf "/usr/sbin/$tool-$1-save" "$LAB/sbin/$tool-save"
		ln -sf "/usr/sbin/$tool-$1-restore" "$LAB/sbin/$tool-restore"
	done
	PATH=$LAB/sbin:$PATH
}

hostports() {
	with_iptables "$1"
	office_up "$2"
	ports
	local ours_alone=1 # portmap 1.1.1 looks for its IPv4 rules among the IPv6 ones
	beside '{type: "portmap", capabilities: {portMappings: true}}' mapped
}

@test "portmap with iptables-nft, remote gateway: hostPort in, its replies, own traffic" { hostports nft gw1; }
@test "portmap with iptables-nft, local gateway (long)" { hostports nft node1; }
@test "portmap with iptables-legacy, remote gateway (long)" { hostports legacy gw1; }

# The plugin's rules are what lets the pod through.
admitted() { on node1 "iptables-$firewall" -S CNI-FORWARD | grep -qF "$(pod_ip web 4)/32"; }

walled() {
	local tool firewall=$1
	with_iptables "$1"
	for tool in iptables ip6tables; do on node1 "$tool-$1" -P FORWARD DROP; done
	office_up "$2"
	beside '{type: "firewall", backend: "iptables"}' admitted
}

@test "firewall with iptables-nft under FORWARD DROP, remote gateway" { walled nft gw1; }
@test "firewall with iptables-legacy under FORWARD DROP, local gateway (long)" { walled legacy node1; }

# docker_on BACKEND NODE: what Docker leaves of the forward chain
docker_on() {
	local tool
	for tool in "iptables-$1" "ip6tables-$1"; do
		on "$2" "$tool" -N DOCKER-USER
		on "$2" "$tool" -A DOCKER-USER -j RETURN
		on "$2" "$tool" -I FORWARD -j DOCKER-USER
		on "$2" "$tool" -P FORWARD DROP
	done
}
# docker_rules BACKEND NODE
docker_rules() {
	on "$2" "iptables-$1" -S DOCKER-USER
	on "$2" "ip6tables-$1" -S DOCKER-USER
}
forward_is() { ctl "$1" status -o json | jq -e --arg s "$2" 'any(.conditions[]; .type == "ForwardAccepted" and .status == $s)'; }

# Nodes with Docker; node1's own pods and those of others, which come by the tunnel
docker_user() {
	local node before
	for node in node1 gw1; do docker_on "$1" "$node"; done
	before=$(docker_rules "$1" gw1)
	office_up
	web_add web
	same "dropped by others" timeout "$(ask web udp "$EXT_V4" timeout=500)"
	for node in node1 gw1; do lab_wait 100 forward_is "$node" False; done
	same "nothing is written unasked" "$before" "$(docker_rules "$1" gw1)"
	for node in node1 gw1; do node_stop "$node"; done
	echo 'dockerUser: true' >"$LAB/docker.yaml"
	LAB_CONFIG=$LAB/docker.yaml node_start node1 gw1
	gateway_wait gw1
	for node in node1 gw1; do lab_wait 100 forward_is "$node" True; done
	lab_wait 100 asks_as web "$EGRESS_V4"
	same "tcp" "$EGRESS_V4" "$(ask web tcp "$EXT_V4")"
	same "v6" "$EGRESS_V6" "$(ask web tcp "$EXT_V6")"
	same "denied" timeout "$(ask web udp "$DENIED_V4" timeout=300)"
	pod_add plain # others' affair
	same "without an egress address" timeout "$(ask plain udp "$EXT_V4" timeout=500)"
	docker_rules "$1" gw1 | grep sluice-egress
	# taken out by somebody: back within ten seconds
	for node in node1 gw1; do on "$node" "iptables-$1" -F DOCKER-USER; done
	lab_wait 300 asks_as web "$EGRESS_V4"
	for node in node1 gw1; do on "$node" "iptables-$1" -A DOCKER-USER -j RETURN; done
	pod_del web
	pod_del plain
	for node in node1 gw1; do
		node_stop "$node"
		node_args "$node"
		on "$node" "$BIN/sluiced" "${NODE_ARGS[@]}" --cleanup
		same "as it was" "$before" "$(docker_rules "$1" "$node")"
	done
}

@test "under Docker's FORWARD drop what has an egress address passes where we are let into DOCKER-USER" { docker_user nft; }
@test "the same with iptables-legacy (long)" { skip_long; docker_user legacy; }

# (An MTU would be set on the pod's side alone, and cut off what is larger.)
tuned() {
	same somaxconn 500 "$(on web sysctl -n net.core.somaxconn)" &&
		ip -n "$P-web" link show eth0 | grep -q PROMISC
}

@test "tuning: sysctl, promiscuous (long)" {
	office_up
	beside '{type: "tuning", sysctl: {"net.core.somaxconn": "500"}, promisc: true}' tuned
}

@test "tuning before us gives the pod another MAC; after us it may not" {
	office_up
	local plugin='{type: "tuning", mac: "02:00:00:00:07:07"}'
	chain_with before "$plugin"
	web_add web
	same mac 02:00:00:00:07:07 "$(pod_mac web)"
	governed
	pod_del web
	chain_with after "$plugin"
	web_add web
	same closed timeout "$(ask web udp "$EXT_V4" timeout=300)"
	lab_wait 100 dropped_some node1 spoofed-mac 1
	pod_del web
	nothing_left node1
}

# A socket without an address of its own finds no route under sbr: it is meant for
# second interfaces. So the pod says whence.
@test "sbr: the pod routes by its source address" {
	office_up
	local order
	for order in before after; do
		chain_with "$order" '{type: "sbr"}'
		web_add web
		on web ip rule | grep -F "from $(pod_ip web 4)"
		same v4 "$EGRESS_V4" "$(ask web udp "$EXT_V4" "from=$(pod_ip web 4)")"
		same v6 "$EGRESS_V6" "$(ask web tcp "$EXT_V6" "from=$(pod_ip web 6)")"
		same denied timeout "$(ask web udp "$DENIED_V4" "from=$(pod_ip web 4)" timeout=300)"
		only_from "$EGRESS_V4" "$EGRESS_V6"
		ours_alone=1 checked
		pod_del web
		nothing_left node1
	done
}

@test "all of them in one chain, us in the middle and last" {
	with_iptables nft
	office_up
	ports
	local order before ours_alone=1 \
		all='{type: "tuning", sysctl: {"net.core.somaxconn": "500"}, promisc: true},
			{type: "firewall", backend: "iptables"},
			{type: "bandwidth", egressRate: 80000000, egressBurst: 8000000,
			 ingressRate: 80000000, ingressBurst: 8000000}' \
		others='{type: "portmap", capabilities: {portMappings: true}}'
	for order in "[$all, \$sluice, $others]" "[$all, $others, \$sluice]"; do
		LAB_PLAIN=$order chain_write bridge
		web_add first
		pod_del first
		before=$(traces)
		web_add web
		governed
		mapped
		shaped
		tuned
		pod_del web
		nothing_left node1
		same traces "$before" "$(traces)"
	done
}
