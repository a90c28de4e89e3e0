# shellcheck shell=bash
# shellcheck disable=SC2119,SC2120 # optional arguments
# A laboratory of network namespaces, one per test:
#
#	pods ─ node1 ─┐             ┌─ ext            LAB_EXT=segment (default)
#	pods ─ gw1   ─┼─ seg (L2) ──┤
#	pods ─ gw2   ─┘             └─ router ─ ext   LAB_EXT=routed
#
# ext has no route to pods: an answer reaches a pod only if the packet left under
# an address of the segment. Every namespace has strict rp_filter. All names begin
# with a prefix of this lab alone ($P, also the name of its folder $LAB); what it
# made is found by that prefix again, and its processes by the folder's name in their
# environment, so lab_destroy needs nothing but the folder. A lab made by what runs in a
# lab is a folder in that one's, and ends with it.
#
#	lab_up [NODE…]         namespaces, links, addresses, the server (default node1 gw1)
#	node_start NODE…       sluiced on nodes;  node_stop NODE [SIGNAL]
#	on NAME COMMAND…       in the namespace of a node, pod, seg, ext, router
#	policy NAME <<<YAML    a file of the policy folder, replaced by rename
#	web_rules RULE…        what pods with app=web may; office_of, gateway_on: whom they go as
#	pod_add POD [NODE]     netns + chain ADD (chain_write: bridge, ptp, macvlan)
#	pod_del POD [NODE]
#	ask POD udp|tcp ADDR   the address that ext saw

! declare -F bats_require_minimum_version >/dev/null || bats_require_minimum_version 1.5.0
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PROBE=$TOP/build/e2e/slprobe
CNIRUN=${CNIRUN:-$TOP/build/e2e/cnirun}
BIN=${SLUICE_BIN:-$TOP/build/bin}
PORT=7000
CNI_PATH=$BIN:/usr/lib/cni:$TOP/e2e/tools/cni
EXEC='' # "exec" below daemon
LAB='' P=''
LABS=${SLUICE_LAB:-${SLUICE_E2E_DIR:-${TMPDIR:-/tmp}}}

declare -gA NODE_NUMBER=([node1]=1) NODE_V4=([node1]=172.31.7.11) NODE_V6=([node1]=fd31:7::11)
for gw in {1..16}; do
	NODE_NUMBER[gw$gw]=$((gw + 1)) NODE_V4[gw$gw]=172.31.7.$((gw + 20)) NODE_V6[gw$gw]=fd31:7::$((gw + 20))
done
unset gw
EGRESS_V4=172.31.7.50 EGRESS_V6=fd31:7::50
EGRESS_BOTH="{range: $EGRESS_V4}, {range: '$EGRESS_V6'}"

lab_fail() {
	echo "lab: $*" >&2
	return 1
}

on() {
	local name=$1
	shift
	$EXEC nsenter --net="/run/netns/$P-$name" "$@"
}

# ---- making ----

ns_new() {
	local name=$1 forward=$2
	ip netns add "$P-$name" || return
	on "$name" sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.default.rp_filter=1 \
		net.ipv4.ip_forward="$forward" net.ipv6.conf.all.forwarding="$forward" \
		net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 || return
	ip -n "$P-$name" link set lo up
}

# plug NAME V4/LEN V6/LEN: an eth0 in NAME, its other end a port of the segment
plug() {
	local name=$1 v4=$2 v6=$3
	ip link add eth0 mtu "${LAB_MTU:-1500}" netns "$P-$name" type veth \
		peer name "p-$name" mtu "${LAB_MTU:-1500}" netns "$P-seg" || return
	ip -n "$P-seg" -batch - <<-END || return
		link set p-$name master br0 up
	END
	ip -n "$P-$name" -batch - <<-END
		link set eth0 up
		addr add $v4 dev eth0
		addr add $v6 dev eth0 nodad
	END
}

segment_up() {
	ns_new seg 0 || return
	ip -n "$P-seg" -batch - <<-END
		link add br0 mtu ${LAB_MTU:-1500} type bridge forward_delay 0
		link set br0 up
	END
}

node_up() {
	local node=$1 other n
	n=${NODE_NUMBER[$node]}
	ns_new "$node" 1 || return
	plug "$node" "${NODE_V4[$node]}/24" "${NODE_V6[$node]}/64" || return
	mkdir -p "$LAB/$node/bpf" "$LAB/$node/state" "$LAB/$node/run" "$LAB/$node/ipam" || return
	mount -t bpf "$P" "$LAB/$node/bpf" || return
	for other in "${LAB_NODES[@]}"; do
		[ "$other" = "$node" ] && continue
		ip -n "$P-$node" route add "10.244.${NODE_NUMBER[$other]}.0/24" via "${NODE_V4[$other]}" || return
		ip -n "$P-$node" route add "fd00:244:${NODE_NUMBER[$other]}::/64" via "${NODE_V6[$other]}" || return
	done
	ip -n "$P-$node" route add default via "$NEXT_V4" || return
	ip -n "$P-$node" -6 route add default via "$NEXT_V6"
}

ext_up() {
	ns_new ext 0 || return
	if [ "${LAB_EXT:-segment}" = segment ]; then
		plug ext 172.31.7.100/24 fd31:7::100/64 || return
	else
		ns_new router 1 || return
		plug router 172.31.7.1/24 fd31:7::1/64 || return
		ip link add eth0 mtu "${LAB_EXT_MTU:-1500}" netns "$P-ext" type veth \
			peer name eth1 mtu "${LAB_EXT_MTU:-1500}" netns "$P-router" || return
		ip -n "$P-router" -batch - <<-END || return
			link set eth1 up
			addr add 198.51.100.1/24 dev eth1
			addr add 2001:db8:100::1/64 dev eth1 nodad
		END
		ip -n "$P-ext" -batch - <<-END || return
			link set eth0 up
			addr add $EXT_V4/24 dev eth0
			addr add $EXT_V6/64 dev eth0 nodad
			route add 172.31.7.0/24 via 198.51.100.1
			route add fd31:7::/64 via 2001:db8:100::1
		END
	fi
	ip -n "$P-ext" -batch - <<-END || return
		addr add $DENIED_V4/24 dev eth0
		addr add $DENIED_V6/64 dev eth0 nodad preferred_lft 0
	END
	daemon ext-serve on ext "$PROBE" serve "$PORT" "$LAB/ext.sock" eth0
	lab_wait 50 test -S "$LAB/ext.sock"
}

# The name is known before the folder is there, should Ctrl-C come in between.
lab_folder() {
	LAB=${LAB_AS:-$(mktemp -u "$LABS/slXXXX")} || return
	unset LAB_AS # chosen by who made this shell
	P=${LAB##*/}
	export SLUICE_LAB=$LAB
	mkdir -m 700 "$LAB" "$LAB/policies" "$LAB/pids" "$LAB/began" "$LAB/log" "$LAB/cache"
}

# lab_up [NODE…]
lab_up() {
	LAB_NODES=("$@")
	[ $# -gt 0 ] || LAB_NODES=(node1 gw1)
	if [ "${LAB_EXT:-segment}" = segment ]; then
		EXT_V4=172.31.7.100 EXT_V6=fd31:7::100 DENIED_V4=172.31.7.101 DENIED_V6=fd31:7::101
		NEXT_V4=$EXT_V4 NEXT_V6=$EXT_V6
	else
		EXT_V4=198.51.100.100 EXT_V6=2001:db8:100::100
		DENIED_V4=198.51.100.101 DENIED_V6=2001:db8:100::101
		NEXT_V4=172.31.7.1 NEXT_V6=fd31:7::1
	fi
	lab_folder || return
	segment_up || return
	local node
	for node in "${LAB_NODES[@]}"; do node_up "$node" || return; done
	ext_up || return
	lab_objects
	chain_write bridge
}

# What a cluster would know: its CIDRs, its nodes, its namespaces.
lab_objects() {
	local node
	{
		cat <<-END
			apiVersion: sluice.dev/v1alpha1
			kind: SluiceConfig
			metadata: {name: default}
			spec: {clusterCIDRs: [10.244.0.0/16, 10.96.0.0/16, "fd00:244::/32", "fd00:96::/64"]}
			---
			apiVersion: v1
			kind: Namespace
			metadata: {name: shop, labels: {team: payments}}
		END
		for node in "${LAB_NODES[@]}"; do
			cat <<-END
				---
				apiVersion: v1
				kind: Node
				metadata: {name: $node, labels: {kubernetes.io/hostname: $node, role: ${node%%[0-9]*}}}
				spec: {podCIDRs: [10.244.${NODE_NUMBER[$node]}.0/24, "fd00:244:${NODE_NUMBER[$node]}::/64"]}
				status:
				  addresses:
				  - {type: InternalIP, address: ${NODE_V4[$node]}}
				  - {type: InternalIP, address: "${NODE_V6[$node]}"}
			END
		done
	} | policy 00-lab.yaml
}

policy() {
	cat >"$LAB/policies/.$1.new" && mv "$LAB/policies/.$1.new" "$LAB/policies/$1"
}

# office_of ADDRESSES NODE-LABELS [SPEC-LINE]: the EgressGateway "office", for all namespaces
office_of() {
	policy 10-gateway.yaml <<-END
		apiVersion: sluice.dev/v1alpha1
		kind: EgressGateway
		metadata: {name: office}
		spec:
		  addresses: [$1]
		  nodeSelector: {matchLabels: {$2}}
		  allowedNamespaces: {}
		  ${3:-}
	END
}

# gateway_on NODE: office with both egress addresses
gateway_on() { office_of "$EGRESS_BOTH" "kubernetes.io/hostname: $1"; }

# policy_of FILE NAME <<<SPEC: an EgressPolicy of namespace default; its spec begins after two blanks
policy_of() {
	{
		cat <<-END
			apiVersion: sluice.dev/v1alpha1
			kind: EgressPolicy
			metadata: {name: $2, namespace: default}
			spec:
		END
		cat
	} | policy "$1"
}

# web_spec <<<SPEC: the policy of pods with app=web;  web_rules RULE…: its rules alone, in flow style
web_spec() {
	{
		echo "  subject: {podSelector: {matchLabels: {app: web}}}"
		cat
	} | policy_of 20-web.yaml web
}
web_rules() {
	local rules
	printf -v rules '%s, ' "$@"
	web_spec <<<"  rules: [${rules%, }]"
}

# web_policy: as office everywhere, except DENIED, which is denied
web_policy() {
	web_rules "{name: no, action: Deny, to: [{cidr: $DENIED_V4/32}, {cidr: '$DENIED_V6/128'}]}" \
		"{name: out, action: Allow, via: {gateway: office}}"
}

# ---- processes ----

# began PID: when it did, in ticks since boot; nothing of one that is gone
began() {
	local stat
	{ read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
	# shellcheck disable=SC2086 # behind the name, which may hold blanks and brackets: the 22nd is the 20th
	set -- ${stat##*) }
	echo "${20}"
}

# daemon NAME COMMAND…: in the background, known by its pid, killed with the lab. The
# pid is the command's own, also of what `on` and `inside` run, not a shell's before it.
# As it may be another's once this one has ended, it is written down when it began, too.
daemon() {
	local name=$1 EXEC=exec
	shift
	# 3 and 4 are bats' own; a process that outlives a test must not hold them
	"$@" >>"$LAB/log/$name" 2>&1 </dev/null 3>&- 4>&- &
	echo $! >"$LAB/pids/$name"
	began $! >"$LAB/began/$name"
	disown $!
}

gone() { ! kill -0 "$1" 2>/dev/null; }

# daemon_lives NAME: the very process that was started under this name
daemon_lives() {
	local pid when
	{ read -r pid <"$LAB/pids/$1" && read -r when <"$LAB/began/$1"; } 2>/dev/null && [ "$when" = "$(began "$pid")" ]
}
daemon_gone() { ! daemon_lives "$1"; }

# daemon_kill NAME SIGNAL: it, or nobody
daemon_kill() { daemon_lives "$1" && kill "-$2" "$(cat "$LAB/pids/$1")"; }

# daemon_stop NAME [SIGNAL]: and waits for its end
daemon_stop() {
	[ -e "$LAB/pids/$1" ] || return 0
	daemon_kill "$1" "${2:-TERM}" 2>/dev/null
	lab_wait 50 daemon_gone "$1" || { daemon_kill "$1" KILL && lab_wait 50 daemon_gone "$1"; }
	rm -f "$LAB/pids/$1" "$LAB/began/$1"
}

# lab_wait TENTHS COMMAND…: until it succeeds. However little was asked for, a busy
# machine gets a minute: what succeeds sooner waits no longer. By the clock, so that a
# wait for what waits itself has an end. It sleeps in a read of what nobody writes: to start
# sleep(1) takes as long as to look at most of what is waited for.
exec {LAB_NAP}<> <(:)
lab_wait() {
	local end=$((SECONDS + ($1 > 600 ? $1 : 600) / 10))
	shift
	until "$@" >/dev/null 2>&1; do
		((SECONDS < end)) || return 1
		read -rt 0.1 -u "$LAB_NAP" || :
	done
}

node_args() {
	# settings for all nodes: LAB_CONFIG
	NODE_ARGS=(${LAB_CONFIG:+--config "$LAB_CONFIG"} --node-name "$1"
		--policy-dir "$LAB/policies" --state-dir "$LAB/$1/state" --run-dir "$LAB/$1/run" --bpffs "$LAB/$1/bpf")
}

node_start() {
	local node
	for node in "$@"; do
		node_args "$node"
		rm -f "$LAB/$node/run/sluiced.sock"
		daemon "sluiced-$node" on "$node" "$BIN/sluiced" "${NODE_ARGS[@]}" \
			--log-level "${LAB_LOG:-info}"
	done
	for node in "$@"; do node_up_wait "$node" || return; done
}

# node_up_wait NODE: its daemon answers; one that has ended is not waited for
node_up_wait() {
	lab_wait 100 node_opened_or_ended "$1"
	[ -S "$LAB/$1/run/sluiced.sock" ] || node_fail "$1" "did not open its socket" || return
	lab_wait 50 node_answers "$1" || node_fail "$1" "does not answer"
}
node_opened_or_ended() { [ -S "$LAB/$1/run/sluiced.sock" ] || daemon_gone "sluiced-$1"; }

# node_fail NODE TEXT: and what there is to know of why: its log, where it waits, who else is at
# work in its folders, who has the lock
node_fail() {
	local node=$1 pid lock=$LAB/$1/run/sluiced.lock
	pid=$(cat "$LAB/pids/sluiced-$node")
	{
		echo "---- sluiced on $node, its log"
		tail -n "${LAB_TAIL:-25}" "$LAB/log/sluiced-$node"
		echo "---- its process $pid$(daemon_gone "sluiced-$node" && echo " has ended")"
		grep -sE '^(State|TracerPid|VmRSS|.*ctxt)' "/proc/$pid/status" && cat "/proc/$pid/stack"
		echo "---- in its folders"
		pgrep -f "$LAB/$node/run" | xargs -r ps ww -o pid,ppid,stat,etimes,time,wchan:24,args -p
		echo "---- has $lock: $(awk -v inode=":$(stat -c %i "$lock")$" '$6 ~ inode { print $5 }' /proc/locks | xargs)"
		echo "---- load $(cat /proc/loadavg)"
	} >&2 || : # it goes on, whatever of it is missing
	lab_fail "sluiced on $node $2"
}

# whether it is ready (3: not) is each test's own business
node_answers() {
	local status=0
	ctl "$1" status || status=$?
	[ "$status" -eq 0 ] || [ "$status" -eq 3 ]
}

node_stop() { daemon_stop "sluiced-$1" "${2:-TERM}"; }

ctl() {
	local node=$1
	shift
	node_args "$node"
	on "$node" "$BIN/sluicectl" "$1" "${NODE_ARGS[@]}" "${@:2}"
}

# ---- pods ----

# The chain's last entry, and the runtime's environment for a node. By hand: jq takes longer to
# start than a plugin runs.
sluice_entry() {
	local lab=$LAB/$1
	printf '{"type": "sluice", "stateDir": "%s/state", "runDir": "%s/run", "bpffs": "%s/bpf", "policyDir": "%s",
 "sluiced": "%s", "logFile": "%s/plugin.log", "logLevel": "debug", "capabilities": {"podLabels": true}}\n' \
		"$lab" "$lab" "$lab" "$LAB/policies" "$BIN/sluiced" "$lab"
}

ipam_of() {
	local n=${NODE_NUMBER[$1]}
	printf '{"type": "host-local", "dataDir": "%s", "ranges": [[{"subnet": "10.244.%s.0/24"}], [{"subnet": "fd00:244:%s::/64"}]],
 "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]}\n' "$LAB/$1/ipam" "$n" "$n"
}

# chain_write bridge|ptp|macvlan|routed [JQ-EDIT]: a conflist per node, edited by jq (. is the main plugin).
# LAB_CHAIN: what comes behind the main plugin, JSON, where SLUICE is ours; LAB_PLAIN: the same as a list for jq
# LAB_IPAM: another ipam, JSON
chain_write() {
	local kind=$1 edit=${2:-.} node main first head plugins
	case $kind in
	bridge) main='{"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true' ;;
	ptp) main='{"type": "ptp", "ipMasq": true' ;;
	macvlan) main='{"type": "macvlan", "master": "eth0", "mode": "bridge"' ;;
	routed) main='{"type": "routed"' ;; # e2e/tools/cni
	esac
	for node in "${LAB_NODES[@]}"; do
		head="\"cniVersion\": \"${CNI_VERSION:-1.0.0}\", \"name\": \"lab-$node\""
		first="$main, \"ipam\": ${LAB_IPAM:-$(ipam_of "$node")}}"
		if [ -z "${LAB_PLAIN:-}" ] && [ "$edit" = . ]; then
			plugins=${LAB_CHAIN:-SLUICE}
			printf '{%s, "plugins": [%s,\n%s]}\n' "$head" "$first" "${plugins//SLUICE/"$(sluice_entry "$node")"}"
		else
			jq -n --argjson sluice "$(sluice_entry "$node")" \
				"{$head, plugins: ([($first | $edit)] + ${LAB_PLAIN:-[\$sluice]})}"
		fi >"$LAB/$node/net.conflist" || return
	done
}

cni() {
	local verb=$1 pod=$2 node=$3
	on "$node" env CNI_PATH="$CNI_PATH" CNI_CACHE="$LAB/cache" \
		CNI_ARGS="IgnoreUnknown=1;K8S_POD_NAMESPACE=${POD_NAMESPACE:-default};K8S_POD_NAME=$pod" \
		CAP_ARGS="{\"podLabels\": ${POD_LABELS:-{\}}${POD_CAPS:+, $POD_CAPS}}" \
		"$CNIRUN" "$verb" "$LAB/$node/net.conflist" "/run/netns/$P-$pod" "$P-$pod"
}

# pod_add POD [NODE]; labels in POD_LABELS (JSON), namespace in POD_NAMESPACE,
# further runtimeConfig in POD_CAPS ("bandwidth": {…})
pod_add() {
	local pod=$1 node=${2:-node1}
	ip netns add "$P-$pod" || return
	on "$pod" sysctl -qw net.ipv6.conf.default.accept_dad=0 || return
	ip -n "$P-$pod" link set lo up || return
	cni add "$pod" "$node" >"$LAB/$pod.result" 2>"$LAB/$pod.errors" || {
		echo "ADD of $pod on $node failed: $(cat "$LAB/$pod.result" "$LAB/$pod.errors")"
		return 1
	}
}

web_add() { POD_LABELS='{"app": "web"}' pod_add "$@"; }

pod_del() {
	local pod=$1 node=${2:-node1}
	cni del "$pod" "$node" || return
	ip netns del "$P-$pod"
}

# pod_ip POD 4|6: from the chain's result, as pod_veth is; by hand, as above
pod_ip() {
	local digits='[0-9.]'
	[ "$2" != 6 ] || digits='[0-9a-f:]'
	[[ $(<"$LAB/$1.result") =~ \"address\":\ *\"($digits+)/ ]] || return 0
	echo "${BASH_REMATCH[1]}"
}
# not from /sys, which shows the namespace it was mounted in
pod_mac() { ip -n "$P-$1" -o link show eth0 | sed 's|.*link/ether \([0-9a-f:]*\).*|\1|'; }
pod_veth() {
	[[ $(<"$LAB/$1.result") =~ \"name\":\ *\"((veth|cali|eni)[^\"]*) ]] && echo "${BASH_REMATCH[1]}"
}

ask() {
	local from=$1 proto=$2 to=$3
	shift 3
	on "$from" "$PROBE" ask "$proto" "$to" "${ASK_PORT:-$PORT}" "$@"
}

declare -gA TALK=()
# talk_open POD [ADDR [N]]; talk POD: "ADDR alive" or "ADDR dead"; talk_close POD
# TALK_PUSH=push: the server speaks; talk POD: "ADDR K of N"
talk_open() {
	local fd
	mkfifo "$LAB/$1.in"
	daemon "$1-talk" on "$1" sh -c "exec '$PROBE' talk ${2:-$EXT_V4} ${ASK_PORT:-$PORT} ${3:+n=$3} ${TALK_PUSH:-} <'$LAB/$1.in'"
	exec {fd}>"$LAB/$1.in"
	TALK[$1]=$fd
	lab_wait 20 grep -q open "$LAB/log/$1-talk"
}
talk() {
	local n
	n=$(wc -l <"$LAB/log/$1-talk")
	echo ping >&"${TALK[$1]}"
	lab_wait 30 eval "[ \$(wc -l <'$LAB/log/$1-talk') -gt $n ]"
	tail -n 1 "$LAB/log/$1-talk"
}
talk_close() {
	local fd=${TALK[$1]}
	exec {fd}>&-
	lab_wait 20 daemon_gone "$1-talk"
}

# ---- judging ----

counts() { "$PROBE" counts "$LAB/ext.sock" "$@"; }

# sources: every address under which anything reached ext since the last reset
sources() {
	local all
	all=$(counts) || return # a judge who says nothing has not said "nobody"
	awk '$1 ~ /^pkt-/ { print $2 }' <<<"$all" | sort -u
}

# Sources other than those given: leaks.
strangers() {
	local all source
	all=$(sources) || return
	for source in $all; do
		[[ " $* " == *" $source "* ]] || echo "$source"
	done
}

# same WHAT EXPECTED ACTUAL
same() {
	[ "$2" = "$3" ] || {
		echo "$1: expected '$2', got '$3'"
		return 1
	}
}

lab_dump() {
	local node log
	set +e
	echo "---- lab $P"
	counts
	for node in "${LAB_NODES[@]}"; do
		echo "---- $node: rules, routes, addresses"
		ip -n "$P-$node" rule
		ip -n "$P-$node" route show table 5347
		ip -n "$P-$node" -6 route show table 5347
		ip -n "$P-$node" route show table 5348
		ip -n "$P-$node" -br addr
		echo "---- $node: counters"
		ctl "$node" counters
		on "$node" nft list counters table inet sluice | awk '/counter/ { name = $2 } /packets/ && $2 != 0 { print name, $0 }'
	done
	for log in "$LAB"/log/* "$LAB"/*/plugin.log; do
		[ -s "$log" ] && [ "${log##*/}" != ext-serve ] && echo "---- $log" && tail -n "${LAB_TAIL:-25}" "$log"
	done
}

# ---- the end ----

# cgroups_destroy PREFIX: containers of real runtimes (lib/runtimes)
cgroups_destroy() {
	local cgroup tries
	for cgroup in /sys/fs/cgroup/"$1" /sys/fs/cgroup/*/"$1"; do
		[ -d "$cgroup" ] || continue
		for tries in {1..30}; do
			find "$cgroup" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u | xargs -r kill -KILL 2>/dev/null
			find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null
			[ -d "$cgroup" ] || break
			[ "$tries" -lt 3 ] || sleep 0.1
		done
	done
}

# processes_of NAME=FOLDER: pids of all that were started with it in their environment, or
# with a folder below it. (A pid that somebody wrote down may be another's by now.)
processes_of() (
	unset SLUICE_LAB SLUICE_E2E_DIR # what is called here is none of them
	grep -lszF -- "$1" /proc/[0-9]*/environ | cut -d/ -f3 | grep -vxF -e $$ -e $BASHPID
)

# lab_clear FOLDER PREFIX: once; what it ends may have been starting something itself
lab_clear() {
	local lab=$1 prefix=$2 inner ns pids
	pids=$(
		processes_of "SLUICE_LAB=$lab"
		for ns in /run/netns/"$prefix"-*; do
			[ -e "$ns" ] && ip netns pids "${ns##*/}" | grep -vxF -e $$ -e $BASHPID -e $PPID
		done
	)
	# shellcheck disable=SC2086 # many
	[ -z "$pids" ] || kill -KILL $pids 2>/dev/null
	for inner in "$lab"/sl????; do [ -d "$inner" ] && lab_clear "$inner" "${inner##*/}"; done
	for ns in /run/netns/"$prefix"-*; do
		[ -e "$ns" ] && { ip netns del "${ns##*/}" || rm -f "$ns"; } 2>/dev/null
	done
	cgroups_destroy "$prefix"
	awk -v lab="$lab/" 'index($5, lab) == 1 { print $5 }' /proc/self/mountinfo | while read -r mount; do
		umount -l "$mount"
	done
	rm -rf "$lab"
	[ ! -e "$lab" ] && ! compgen -G "/run/netns/$prefix-*" >/dev/null && [ -z "$(processes_of "SLUICE_LAB=$lab")" ]
}

# lab_destroy [FOLDER]: ends and removes all that the lab made, from any state. A Ctrl-C
# meanwhile ends nothing of it (what it calls inherits that), nor does set -e.
lab_destroy() {
	local lab=${1:-$LAB} traps status=0
	[ -n "$lab" ] && [ -d "$lab" ] || return 0
	traps=$(trap -p INT TERM HUP)
	trap '' INT TERM HUP
	(
		set +e
		for _ in {1..300}; do
			errors=$(lab_clear "$lab" "${lab##*/}" 2>&1) && exit
			sleep 0.1
		done
		lab_fail "$lab cannot be removed: $errors"
	) || status=$?
	trap - INT TERM HUP
	eval "$traps"
	return "$status"
}

# ---- for suites ----

# A test whose name ends in "(long)" is for make check-full.
skip_long() {
	[[ $BATS_TEST_DESCRIPTION != *'(long)' ]] || [ -n "${SLUICE_E2E_FULL:-}" ] || skip "in make check-full"
}

# Every test has its own lab; one that fails shows the state it failed in.
lab_teardown() {
	[ -n "${BATS_TEST_COMPLETED:-}" ] || [ -n "${BATS_TEST_SKIPPED:-}" ] || [ -z "${LAB:-}" ] || lab_dump
	lab_destroy
}

has_address() { ip -n "$P-$1" -o addr show | grep -qF " $2/"; }

# The gateway's addresses are there: it claimed them.
gateway_wait() {
	lab_wait 100 has_address "$1" "$EGRESS_V4" || lab_fail "$1 did not claim $EGRESS_V4"
	lab_wait 100 has_address "$1" "$EGRESS_V6" || lab_fail "$1 did not claim $EGRESS_V6"
}

# office_up [GATEWAY-NODE]: gateway, the web policy, daemons on every node
office_up() {
	gateway_on "${1:-gw1}"
	web_policy
	node_start "${LAB_NODES[@]}"
	gateway_wait "${1:-gw1}"
	# every node has heard who owns it
	[ "${1:-gw1}" = gw2 ] || return 0
}

# leaves_as POD V4 V6: with every protocol, whole and in fragments
leaves_as() {
	local pod=$1 v4=$2 v6=$3
	same "$pod udp" "$v4" "$(ask "$pod" udp "$EXT_V4")" || return
	same "$pod tcp" "$v4" "$(ask "$pod" tcp "$EXT_V4")" || return
	same "$pod fragments" "$v4" "$(ask "$pod" udp "$EXT_V4" size=20000)" || return
	same "$pod udp6" "$v6" "$(ask "$pod" udp "$EXT_V6")" || return
	same "$pod tcp6" "$v6" "$(ask "$pod" tcp "$EXT_V6")" || return
	same "$pod fragments6" "$v6" "$(ask_large "$pod" "$EXT_V6")" || return
	pings_as "$pod" "$EXT_V4" "$v4" && pings_as "$pod" "$EXT_V6" "$v6"
}

# ask_large POD ADDR [SIZE]: whoever sends what must not be fragmented on the way (IPv6;
# IPv4 with DF, as Linux sends by default) loses the first such datagrams to learn the
# path MTU: both sides, in up to two steps.
ask_large() {
	local i answer
	for i in 1 2 3 4 5; do
		answer=$(ask "$1" udp "$2" size="${3:-20000}" timeout=$((i * 600))) && break
	done
	echo "$answer"
}

pings_as() {
	local before after
	before=$(seen pkt-icmp "$3")
	on "$1" ping -q -c 1 -W 10 "$2" >/dev/null || {
		echo "$1: no answer to ping from $2"
		return 1
	}
	after=$(seen pkt-icmp "$3")
	[ "$after" -gt "$before" ] || {
		echo "$1: ping to $2 was not seen as $3: $(counts)"
		return 1
	}
}

# The exit guard that is no part of nftables: its pins on a node, whether it stands for both families.
guard_pins() { compgen -G "$LAB/$1/bpf/v*/exit_v[46]_*"; }
guards() { [ "$(guard_pins "$1" | wc -l)" = 2 ]; }
# released NODE: its first chain alone is left of those that a packet on its way out meets
released() {
	local chain
	for chain in prerouting_marks postrouting_nat postrouting_exit; do
		on "$1" nft delete chain inet sluice "$chain" || return
	done
}

# seen KIND ADDR: how many
seen() {
	local all
	all=$(counts) || return
	awk -v kind="$1" -v addr="$2" '$1 == kind && $2 == addr { n = $3 } END { print n + 0 }' <<<"$all"
}

# denied POD: nothing of it arrives at the denied addresses, all asked at once
denied() {
	same "$1 denied" $'tcp timeout\nudp timeout\nudp6 timeout' "$(
		{
			echo "udp $(ask "$1" udp "$DENIED_V4" timeout=300)" &
			echo "tcp $(ask "$1" tcp "$DENIED_V4" timeout=300)" &
			echo "udp6 $(ask "$1" udp "$DENIED_V6" timeout=300)" &
			wait
		} | sort
	)"
}

# no_redirects NODE…: an answer that such a node sends on by where it came from is not told
# to ext as a better way. That would be the node's own packet, under the node's address: while
# somebody deletes our table the kernel takes its hooks away one by one, and once in some
# hundred times an answer has got the pod's address back, but not the mark of the tunnel.
no_redirects() {
	local node
	for node in "$@"; do
		on "$node" sysctl -qw net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.eth0.send_redirects=0 || return
	done
}

# only_from ADDR…: ext saw nothing from anybody else
only_from() {
	local others
	others=$(strangers "$@") || lab_fail "ext does not say what it saw" || return
	[ -z "$others" ] || {
		echo "ext saw packets from: $others"
		counts
		return 1
	}
}

# map_dump NODE NAME: a pinned map of the node as JSON
map_dump() { bpftool -j map dump pinned "$(find "$LAB/$1/bpf" -name "$2" | head -n 1)"; }

# veths NODE: how many ends of pods' veth pairs are there
veths() { ip -n "$P-$1" -o link show type veth | grep -vcE ' (eth[01])@'; }
# veths_gone NODE: the kernel takes a deleted namespace down in its own time, after `ip
# netns del` has returned, and only then is the pair gone that the pod's end was in.
veths_gone() { lab_wait 300 veths_are 0 "$1" || same veths 0 "$(veths "$1")"; }
veths_are() { [ "$(veths "$2")" = "$1" ]; }

# nothing_left NODE: no record, no map entry, no lock of any pod, now; no veth, soon
nothing_left() {
	same records 0 "$(find "$LAB/$1/state/attachments" -type f | wc -l)" || return
	same "map entries" 0 "$(map_dump "$1" pods | jq length)" || return
	same "locks" 0 "$(find "$LAB/$1/run/locks" -type f ! -name node | wc -l)" || return
	veths_gone "$1"
}

# kernel_state NODE: all of ours in the kernel, without counters and times
kernel_state() {
	local ns=$P-$1 map link table
	on "$1" nft -s list table inet sluice
	for table in 5347 5348; do
		ip -n "$ns" route show table "$table"
		ip -n "$ns" -6 route show table "$table"
	done
	ip -n "$ns" rule
	ip -n "$ns" -6 rule
	ip -n "$ns" -o addr show | sed 's/valid_lft.*//'
	ip -n "$ns" neigh show dev sluice0 nud permanent
	ip -n "$ns" -6 neigh show dev sluice0 nud permanent
	ip -n "$ns" -o -d link show sluice0
	on "$1" sysctl net.ipv4.conf.sluice0.rp_filter
	for link in $(ip -n "$ns" -j link | jq -r '.[].ifname'); do
		programs "$1" "$link" ingress
		programs "$1" "$link" egress
	done
	# not the two large arrays: what they hold is immutable while something refers to it
	for map in pods policies identities addrs nodes senders owned inside config; do
		echo "map $map"
		map_dump "$1" "$map" | jq -Sc 'sort_by(.key) | .[] | select(.value | tostring | test("[1-9a-f]"))' || true
	done
}

# kernel_settled NODE: the same once the daemon has had its say about the last pod
kernel_settled() {
	local before after=
	before=$(kernel_state "$1")
	until [ "$before" = "$after" ]; do
		sleep 0.5
		after=$before
		before=$(kernel_state "$1")
	done
	echo "$before"
}

# kernel_as NODE FILE: for lab_wait; the difference is in FILE.now
kernel_as() { kernel_state "$1" >"$2.now" && diff -u "$2" "$2.now"; }

# in_force NODE…: its daemon has read all files that are there now, and acted on them. The
# last of them is a policy for nobody's pods, and status knows the address in it.
in_force() {
	local node marker
	MARKER=$((${MARKER:-0} + 1))
	marker=192.0.2.$MARKER
	policy 90-marker.yaml <<-END
		apiVersion: sluice.dev/v1alpha1
		kind: EgressGateway
		metadata: {name: marker}
		spec: {addresses: [{range: $marker}], nodeSelector: {matchLabels: {no: node}}, allowedNamespaces: {}}
		---
		apiVersion: sluice.dev/v1alpha1
		kind: EgressPolicy
		metadata: {name: marker, namespace: marker}
		spec: {subject: {podSelector: {}}, rules: [{name: out, action: Allow, via: {gateway: marker}}]}
	END
	for node; do
		lab_wait 300 knows_address "$node" "$marker" || lab_fail "$node does not read its policies"
	done
}
knows_address() { ctl "$1" status -o json | jq -e --arg a "$2" 'any(.addresses[]; .address == $a)'; }

# programs NODE IFACE ingress|egress: ids at the device, by TCX or clsact
programs() { on "$1" "$PROBE" tcx list "$2" "$3" || on "$1" tc filter show dev "$2" "$3" | grep -o ' id [0-9]*' || true; }
programs_off() { on "$1" "$PROBE" tcx clear "$2" "$3" || on "$1" tc filter del dev "$2" "$3"; }

# server_in POD: a server on port 8080 of a pod
server_in() {
	daemon "$1-serve" on "$1" "$PROBE" serve 8080 "$LAB/$1.sock"
	lab_wait 50 test -S "$LAB/$1.sock"
}

# flood_in POD PPS SECONDS [option…]: in the background; flood_end POD prints its sum
flood_in() {
	local pod=$1
	daemon "$pod-flood" on "$pod" "$PROBE" flood "$EXT_V4" "$PORT" "${@:2}"
}
flood_end() {
	lab_wait 600 daemon_gone "$1-flood" && tail -n 1 "$LAB/log/$1-flood"
}
# flood_stop POD: it need not go on
flood_stop() { daemon_kill "$1-flood" TERM && flood_end "$1"; }
# saw KIND ADDR N: more than so many, for lab_wait
saw() { [ "$(seen "$1" "$2")" -gt "$3" ]; }

# asks_as POD ADDR [TO]: for lab_wait
asks_as() { [ "$(ask "$1" udp "${3:-$EXT_V4}" timeout=200)" = "$2" ]; }

# dropped NODE REASON: how often
dropped() { ctl "$1" counters -o json | jq --arg r "$2" '[.. | objects | select(.reason? == $r or .name? == $r) | .packets] | add // 0'; }
# dropped_some NODE REASON N: that often at least, for lab_wait
dropped_some() { [ "$(dropped "$1" "$2")" -ge "$3" ]; }
