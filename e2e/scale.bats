#!/usr/bin/env bats
# One daemon before a crowd of objects on a real API server. A node never has so many:
# make scale does it with 100,000 pods and 10,000 policies (some minutes).
load lib/kube

PODS=${SCALE_PODS:-5000} POLICIES=${SCALE_POLICIES:-1000}

setup() { kube_or_skip; }
teardown() { lab_teardown; }

cluster_up() {
	kube_up
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
}

in_force() { ctl node1 status && ctl node1 status -o json | jq -e --argjson n "$POLICIES" ".api.synced and .policies == \$n"; }

# start: seconds until all is in force
start() {
	local from=$EPOCHREALTIME
	node_args node1
	daemon sluiced-node1 on node1 "$BIN/sluiced" "${NODE_ARGS[@]}" --log-level info \
		--kubeconfig "$(kube_kubeconfig sluiced)" --namespace sluice-system
	lab_wait 3000 in_force || lab_fail "not all in force: $(ctl node1 status)"
	SECONDS_TAKEN=$(bc <<<"scale=2; ($EPOCHREALTIME - $from)/1")
}

# cpu: seconds of processor time so far
cpu() { awk -v hz="$(getconf CLK_TCK)" '{ printf "%.2f", ($14 + $15) / hz }' "/proc/$(cat "$LAB/pids/sluiced-node1")/stat"; }
memory() { awk '/^(VmHWM|VmRSS|RssAnon)/ { printf "%s %.1f MiB  ", $1, $2 / 1024 }' "/proc/$(cat "$LAB/pids/sluiced-node1")/status"; }

@test "a crowd of pods and policies is in force after a cold list, and again after a restart (long)" {
	skip_long
	lab_up node1
	cluster_up
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
