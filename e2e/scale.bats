#!/usr/bin/env bats
# One daemon before a crowd of objects on a real API server. A node never has so many:
# make scale does it with 100,000 pods and 10,000 policies (some minutes).
load lib/cluster

PODS=${SCALE_PODS:-5000} POLICIES=${SCALE_POLICIES:-1000}

setup() { kube_or_skip; }
teardown() { lab_teardown; }

in_force() { ctl node1 status && ctl node1 status -o json | jq -e --argjson n "$POLICIES" ".api.synced and .policies == \$n"; }

# start: seconds until all is in force
start() {
	local from=$EPOCHREALTIME
	LAB_LOG=info kube_node_start node1
	lab_wait 3000 in_force || lab_fail "not all in force: $(ctl node1 status)"
	SECONDS_TAKEN=$(bc <<<"scale=2; ($EPOCHREALTIME - $from)/1")
}

# cpu: seconds of processor time so far
cpu() { awk -v hz="$(getconf CLK_TCK)" '{ printf "%.2f", ($14 + $15) / hz }' "/proc/$(cat "$LAB/pids/sluiced-node1")/stat"; }
memory() { awk '/^(VmHWM|VmRSS|RssAnon)/ { printf "%s %.1f MiB  ", $1, $2 / 1024 }' "/proc/$(cat "$LAB/pids/sluiced-node1")/status"; }

@test "a crowd of pods and policies is in force after a cold list, and again after a restart (long)" {
	skip_long
	cluster_make node1
	gateway_apply office "$EGRESS_V4 $EGRESS_V6" nobody
	on api "$TOP/e2e/tools/crowd.py" "$(kube_kubeconfig admin)" node1 "$PODS" "$POLICIES" 2>&3
	start
	echo "# $PODS pods x $POLICIES policies: cold $SECONDS_TAKEN s, $(cpu) s of CPU, $(memory)" >&3
	# a pod of the crowd, from its first packet
	kube_apply >/dev/null <<-END
		{apiVersion: v1, kind: Pod, metadata: {name: one, namespace: c7, labels: {app: a3}},
		 spec: {nodeName: node1, containers: [{name: c, image: none}]}}
	END
	POD_NAMESPACE=c7 pod_add one
	same "allowed" "${NODE_V4[node1]}" "$(ask one udp "$EXT_V4")"
	same denied timeout "$(ask one udp "$DENIED_V4" timeout=300)"
	pod_del one
	node_stop node1
	start
	echo "# again $SECONDS_TAKEN s, $(cpu) s of CPU, $(memory)" >&3
}
