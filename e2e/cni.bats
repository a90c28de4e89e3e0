#!/usr/bin/env bats
# The plugin's verbs with real chains, and the plugin called as runtimes call it.
load lib/lab

setup() { lab_up; }
teardown() { lab_teardown; }

# plugin VERB POD [NAME=VALUE…] with stdin: the binary itself in node1
PLUGIN_UNDER=() # a command that runs the plugin, as strace
plugin() {
	local verb=$1 pod=$2
	shift 2
	on node1 env -i PATH="$PATH" CNI_PATH="$CNI_PATH" CNI_COMMAND="$verb" CNI_CONTAINERID="$P-$pod" \
		CNI_NETNS="/run/netns/$P-$pod" CNI_IFNAME=eth0 \
		CNI_ARGS="IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=$pod" "$@" "${PLUGIN_UNDER[@]}" "$BIN/sluice"
}

# conf [JQ-EDIT]: our entry as libcni would send it
conf() {
	sluice_entry node1 | jq -c "{cniVersion: \"1.0.0\", name: \"lab-node1\"} + . | ${1:-.}"
}

@test "prevResult passes through unchanged, with keys nobody knows" {
	office_up
	web_add web
	local prev
	prev=$(jq '.["x-vendor"] = {"a": [1, null, "é"]} | .ips[0].note = 7' "$LAB/web.result")
	conf ".prevResult = $prev | .runtimeConfig.podLabels.app = \"web\"" | plugin ADD web >"$LAB/out"
	diff <(jq -S . <<<"$prev") <(jq -S . "$LAB/out")
	same "twice is as once" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	pod_del web
	nothing_left node1
}

@test "DEL in its three forms, and as often as one likes" {
	office_up
	local form
	for form in 1 2 3; do
		web_add "web$form"
		same up "$EGRESS_V4" "$(ask "web$form" udp "$EXT_V4")"
	done
	conf ".prevResult = $(cat "$LAB/web1.result")" | plugin DEL web1
	conf | plugin DEL web2
	conf ".runtimeConfig = {}" | plugin DEL web3 CNI_NETNS=
	same records 0 "$(find "$LAB/node1/state/attachments" -type f | wc -l)"
	same "map entries" 0 "$(map_dump node1 pods | jq length)"
	for form in 1 2 3; do
		conf | plugin DEL "web$form" CNI_NETNS=
		pod_del "web$form"
	done
	conf | plugin DEL never CNI_NETNS=/run/netns/not-there
	nothing_left node1
}

@test "CHECK sees what is missing" {
	office_up
	web_add web
	cni check web node1
	node_stop node1 KILL
	programs_off node1 "$(pod_veth web)" ingress
	run ! cni check web node1
	echo "$output"
	node_start node1
	lab_wait 20 cni check web node1
	# the entry of the map
	node_stop node1 KILL
	local index
	index=$(ip -n "$P-node1" -j link show "$(pod_veth web)" | jq '.[0].ifindex')
	# shellcheck disable=SC2046 # four bytes
	bpftool map delete pinned "$(find "$LAB/node1/bpf" -name pods | head -n 1)" \
		key $(printf '%d %d %d %d' $((index & 255)) $((index >> 8 & 255)) $((index >> 16 & 255)) $((index >> 24)))
	run ! cni check web node1
	counts reset >/dev/null
	same "closed without its entry" timeout "$(ask web udp "$EXT_V4" timeout=300)"
	only_from
	node_start node1
	lab_wait 20 cni check web node1
}

@test "CHECK sees a redirect that takes the packets before us" {
	office_up
	web_add web
	node_stop node1 KILL
	on node1 tc filter add dev "$(pod_veth web)" ingress prio 1 protocol all u32 match u32 0 0 \
		action mirred egress redirect dev eth0 || skip "attached by TCX: no filter of tc stands before us (tc_test has the case on clsact)"
	run cni check web node1
	echo "$output"
	[ "$status" != 0 ] || {
		# then it must be reached all the same
		counts reset >/dev/null
		same reached "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	}
}

@test "GC: a missing list does nothing, a list keeps what is in it, an empty one keeps nothing" {
	office_up
	web_add web1
	web_add web2
	conf '.cniVersion = "1.1.0"' | plugin GC web1 CNI_CONTAINERID= CNI_NETNS= CNI_IFNAME= CNI_ARGS=
	same "missing list" 2 "$(find "$LAB/node1/state/attachments" -type f | wc -l)"
	conf ".cniVersion = \"1.1.0\" | .[\"cni.dev/valid-attachments\"] = [{containerID: \"$P-web1\", ifname: \"eth0\"}]" |
		plugin GC web1 CNI_CONTAINERID= CNI_NETNS= CNI_IFNAME= CNI_ARGS=
	same "a list" 1 "$(find "$LAB/node1/state/attachments" -type f | wc -l)"
	same "kept" "$EGRESS_V4" "$(ask web1 udp "$EXT_V4")"
	conf '.cniVersion = "1.1.0" | .["cni.dev/valid-attachments"] = []' |
		plugin GC web1 CNI_CONTAINERID= CNI_NETNS= CNI_IFNAME= CNI_ARGS=
	same "an empty list" 0 "$(find "$LAB/node1/state/attachments" -type f | wc -l)"
	same "map entries" 0 "$(map_dump node1 pods | jq length)"
}

@test "STATUS is well with and without a daemon, and ill when ADD could not work" {
	conf '.cniVersion = "1.1.0"' | plugin STATUS x CNI_CONTAINERID= CNI_NETNS= CNI_IFNAME= CNI_ARGS=
	node_start node1
	conf '.cniVersion = "1.1.0"' | plugin STATUS x CNI_CONTAINERID= CNI_NETNS= CNI_IFNAME= CNI_ARGS=
	conf '.cniVersion = "1.1.0" | .stateDir = "/proc/no"' |
		run plugin STATUS x CNI_CONTAINERID= CNI_NETNS= CNI_IFNAME= CNI_ARGS=
}

@test "errors are JSON on stdout, exit 1: versions, variables, configuration" {
	conf '.cniVersion = "0.2.0"' >"$LAB/conf"
	run -1 --separate-stderr plugin ADD x <"$LAB/conf"
	same version 1 "$(jq .code <<<"$output")"
	conf >"$LAB/conf"
	run -1 --separate-stderr plugin ADD x CNI_IFNAME= CNI_NETNS= <"$LAB/conf"
	same variables 4 "$(jq .code <<<"$output")"
	[[ $output == *CNI_IFNAME* && $output == *CNI_NETNS* ]]
	run -1 --separate-stderr plugin ADD x <"$LAB/conf"
	same "no prevResult" 7 "$(jq .code <<<"$output")"
	conf '.failureMode = 7' >"$LAB/conf"
	run -1 --separate-stderr plugin ADD x <"$LAB/conf"
	same configuration 7 "$(jq .code <<<"$output")"
	echo '{"cniVersion": "1.0.0",,}' >"$LAB/conf"
	run -1 --separate-stderr plugin ADD x <"$LAB/conf"
	same json 6 "$(jq .code <<<"$output")"
	run -1 --separate-stderr plugin NOPE x <"$LAB/conf"
	same command 4 "$(jq .code <<<"$output")"
}

@test "a failed ADD leaves nothing" {
	office_up
	pod_add plain
	# an interface that is not there
	conf ".prevResult = $(jq '.interfaces[1].name = "eth7"' "$LAB/plain.result")" >"$LAB/conf"
	pod_del plain
	ip netns add "$P-odd"
	run -1 plugin ADD odd CNI_IFNAME=eth7 <"$LAB/conf"
	jq -e .code <<<"$output"
	nothing_left node1
}

@test "twenty pods at once, added and deleted" {
	office_up
	local i pids=()
	for i in {1..20}; do
		web_add "web$i" 3>&- &
		pids+=($!)
	done
	wait "${pids[@]}"
	for i in {1..20}; do same "web$i" "$EGRESS_V4" "$(ask "web$i" udp "$EXT_V4")"; done
	pids=()
	for i in {1..20}; do
		pod_del "web$i" 3>&- &
		pids+=($!)
	done
	wait "${pids[@]}"
	nothing_left node1
}

# killed_add POD N: ADD of a pod that is there already, killed at its Nth system call
killed_add() {
	local ns=/run/netns/$P-$1 prev
	ip netns add "$P-$1"
	ip link add eth0 netns "$P-$1" type veth peer name "v$1" netns "$P-node1"
	ip -n "$P-node1" link set "v$1" master cni0 up
	ip -n "$P-$1" link set eth0 up
	ip -n "$P-$1" addr add "10.244.1.$((100 + $2))/24" dev eth0
	ip -n "$P-$1" route add default via 10.244.1.1
	prev=$(jq -n --arg pod "$1" --arg ns "$ns" --arg ip "10.244.1.$((100 + $2))/24" '{cniVersion: "1.0.0",
		interfaces: [{name: ("v" + $pod)}, {name: "eth0", sandbox: $ns}], ips: [{address: $ip, interface: 1}]}')
	conf ".prevResult = $prev | .runtimeConfig.podLabels.app = \"web\"" >"$LAB/conf"
	local PLUGIN_UNDER=(strace -qq -o /dev/null -e trace=all -e "inject=all:signal=KILL:when=$2")
	plugin ADD "$1" <"$LAB/conf" >/dev/null 2>&1
}

@test "kill -9 at every kind of place in ADD: a pod with a record is finished by the daemon, DEL undoes it" {
	office_up
	pod_add model
	local n finished=0
	for n in 30 60 75 85 90 95 100 105 110 115 120 125; do
		killed_add "k$n" "$n" || true
		if compgen -G "$LAB/node1/state/attachments/*k$n*" >/dev/null; then
			lab_wait 30 asks_as "k$n" "$EGRESS_V4" || lab_fail "killed at $n: not finished"
			((finished += 1))
		fi
		conf | plugin DEL "k$n"
		ip netns del "$P-k$n"
	done
	[ "$finished" -ge 3 ]
	pod_del model
	lab_wait 20 nothing_left node1
	nothing_left node1
}

@test "pods known by Pod objects, by annotations only, and by the conflist" {
	gateway_on gw1
	web_policy
	policy 30-pods.yaml <<-END
		apiVersion: v1
		kind: Pod
		metadata: {name: known, namespace: default, labels: {app: web}}
	END
	node_start node1 gw1
	gateway_wait gw1
	pod_add known
	same "by its object" "$EGRESS_V4" "$(ask known udp "$EXT_V4")"
	pod_add unknown
	same "no labels" "${NODE_V4[node1]}" "$(ask unknown udp "$EXT_V4")"
	jq '.plugins[-1].podLabels = {app: "web"}' "$LAB/node1/net.conflist" >"$LAB/x" && mv "$LAB/x" "$LAB/node1/net.conflist"
	pod_add static
	same "by the conflist" "$EGRESS_V4" "$(ask static udp "$EXT_V4")"
}

@test "every version of the specification that has chains" {
	office_up
	local version
	for version in 0.3.0 0.3.1 0.4.0 1.0.0; do
		CNI_VERSION=$version chain_write bridge
		web_add "web${version//./}"
		same "$version" "$version" "$(jq -r .cniVersion "$LAB/web${version//./}.result")"
		same "$version" "$EGRESS_V4" "$(ask "web${version//./}" udp "$EXT_V4")"
		pod_del "web${version//./}"
	done
	nothing_left node1
}

@test "a deleted pod whose interface is still there says nothing more" {
	office_up
	web_add web
	pod_add plain
	local pod
	for pod in web plain; do
		flood_in "$pod" 1000 2 flows=4
	done
	sleep 0.5
	counts reset >/dev/null
	for pod in web plain; do conf ".prevResult = $(cat "$LAB/$pod.result")" | plugin DEL "$pod"; done
	sleep 0.3
	only_from "$EGRESS_V4" "${NODE_V4[node1]}"
	counts reset >/dev/null
	sleep 0.5
	only_from
	# and the end of everything lets go of such interfaces too
	node_stop node1
	node_args node1
	on node1 "$BIN/sluiced" "${NODE_ARGS[@]}" --cleanup
	same plain "${NODE_V4[node1]}" "$(ask plain udp "$EXT_V4")"
}

@test "uninstalling leaves a working node" {
	office_up node1
	web_add web
	node_stop node1
	pod_del web
	node_args node1
	on node1 "$BIN/sluiced" "${NODE_ARGS[@]}" --cleanup
	run ! on node1 nft list table inet sluice
	run ! ip -n "$P-node1" link show sluice0
	run ! has_address node1 "$EGRESS_V4"
	same rules "" "$(ip -n "$P-node1" rule show priority 1000)"
	LAB_PLAIN='[]' chain_write bridge
	pod_add plain
	same plain "${NODE_V4[node1]}" "$(ask plain udp "$EXT_V4")"
}
