# shellcheck shell=bash
# One daemon, on node1, before a crowd of objects on a real API server; beside lib/kube.
#
#	crowd_up PODS POLICIES    the server, and what a cluster is; pods of node1
#	crowd_start [SAYS [CONFIG]]  the daemon, until its log says so (else: that all is in force):
#	                          SECONDS_TAKEN. CONFIG: a kubeconfig
#	crowd_told                waits until the API has told all, and all is in force
#	crowd_cpu, crowd_waited, crowd_memory, crowd_peak   of the daemon so far
#	crowd_gate GATE VALUE     "ok" or "MISSED"
#	wakes NODE                how often its daemon is woken in ten seconds
#	crowd_record              what the server lists, for kube_replay: in $LAB/recorded

crowd_up() {
	CROWD_POLICIES=$2
	kube_up || return
	kube_crds
	kube_apply <<-END
		{apiVersion: sluice.dev/v1alpha1, kind: SluiceConfig, metadata: {name: default},
		 spec: {clusterCIDRs: [10.244.0.0/16, 10.96.0.0/16, "fd00:244::/32", "fd00:96::/64"]}}
		---
		{apiVersion: v1, kind: Namespace, metadata: {name: sluice-system}}
		---
		{apiVersion: v1, kind: Node, metadata: {name: node1}, spec: {podCIDRs: [10.244.1.0/24], podCIDR: 10.244.1.0/24}}
		---
		{apiVersion: sluice.dev/v1alpha1, kind: EgressGateway, metadata: {name: office},
		 spec: {addresses: [{range: $EGRESS_V4}, {range: "$EGRESS_V6"}], nodeSelector: {matchLabels: {role: gw}}, allowedNamespaces: {}}}
		---
		$(cat "$TOP/conf/kubernetes/rbac.yaml")
	END
	kube_write_status /api/v1/nodes/node1 "{\"addresses\": [{\"type\": \"InternalIP\", \"address\": \"${NODE_V4[node1]}\"}]}" >/dev/null
	on api "$TOP/e2e/tools/crowd.py" "$(kube_kubeconfig admin)" node1 "$1" "$2"
}

crowd_in_force() {
	ctl node1 status && ctl node1 status -o json | jq -e --argjson n "$CROWD_POLICIES" ".api.synced and .policies == \$n"
}

IN_FORCE='msg="pass succeeded again"' # the first pass with all lists, behind those without

# By the daemon's own clock: whoever asks for its status while it reads (sluicectl reads what the
# daemon has kept, too) takes a processor from it, and hears of it later.
crowd_start() {
	local from=$EPOCHREALTIME log=$LAB/log/sluiced-node1 before=0
	[ ! -e "$log" ] || before=$(stat -c %s "$log")
	node_args node1
	daemon sluiced-node1 on node1 "$BIN/sluiced" "${NODE_ARGS[@]}" --log-level info \
		--kubeconfig "${2:-$(kube_kubeconfig sluiced)}" --namespace sluice-system
	lab_wait 3000 crowd_said "${1:-$IN_FORCE}" || lab_fail "not in force: $(tail -n 5 "$log")" || return
	# shellcheck disable=SC2034 # for who says so
	SECONDS_TAKEN=$(bc <<<"scale=2; ($(date -d "$SAID_AT" +%s.%N) - $from)/1")
}

# the log behind what it was at the start
crowd_said() {
	SAID_AT=$(tail -c "+$((before + 1))" "$log" | sed -n "/ $1/ { s/^time=\([^ ]*\) .*/\1/p; q }")
	[ -n "$SAID_AT" ]
}

crowd_told() { lab_wait 3000 crowd_in_force || lab_fail "not all in force: $(ctl node1 status)"; }

crowd_of() { echo "/proc/$(cat "$LAB/pids/sluiced-node1")/$1"; }
crowd_cpu() { awk -v hz="$(getconf CLK_TCK)" '{ printf "%.2f", ($14 + $15) / hz }' "$(crowd_of stat)"; }
crowd_memory() { awk '/^(VmHWM|VmRSS|RssAnon)/ { printf "%s %.1f MiB  ", $1, $2 / 1024 }' "$(crowd_of status)"; }
crowd_peak() { awk '/^VmHWM/ { printf "%.1f", $2 / 1024 }' "$(crowd_of status)"; }
# for a processor, seconds: how much of a time by the clock is the machine's
crowd_waited() { awk '{ printf "%.2f", $2 / 1e9 }' "$(crowd_of schedstat)"; }
crowd_gate() { [ "$(bc <<<"$2 <= $1")" = 1 ] && echo ok || echo MISSED; }

crowd_record() {
	local path ours=/apis/sluice.dev/v1alpha1
	mkdir "$LAB/recorded"
	for path in /api/v1/{pods,nodes,namespaces,services} /apis/discovery.k8s.io/v1beta1/endpointslices \
		$ours/{sluiceconfigs,egressgateways,{cluster,}egress{policies,destinations}}; do
		kube_get "$path?pretty=false" >"$LAB/recorded/$(tr / _ <<<"${path#/}")" || return
	done
}

# by the clock of five seconds or so
wakes() {
	timeout 5 strace -f -qq -ttt -e trace=epoll_wait,epoll_pwait -o "$LAB/wakes" -p "$(cat "$LAB/pids/sluiced-$1")" || true
	awk '/ = [1-9]/ { n++; last = $2; first = first ? first : $2 }
		END { printf "%d\n", (last > first ? (n - 1) * 10 / (last - first) : 0) }' "$LAB/wakes"
}
