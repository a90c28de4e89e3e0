#!/usr/bin/env bats
# What installs Sluice in a cluster: conf/kubernetes and conf/helm on a real API server, the roles
# as tokens of those who have them, and the daemon with no more than its DaemonSet gives it.
load lib/cluster

MANIFESTS=$TOP/e2e/tools/manifests.py

setup() {
	kube_or_skip
	[ -x "$TOP/build/e2e/helmrender" ] || "${MAKE:-make}" -C "$TOP" -s build/e2e/helmrender
}
teardown() { lab_teardown; }

# The daemon's container of the base, by a jq path
container() {
	"$MANIFESTS" base | /usr/bin/python3 -c 'import json, sys, yaml
print(json.dumps([t for t in yaml.safe_load_all(sys.stdin) if t and t["kind"] == "DaemonSet"][0]))' |
		jq -r ".spec.template.spec.containers[0]$1"
}

@test "the chart and the kustomize base are the same objects" {
	run -0 "$MANIFESTS" compare
	[ "${lines[0]%% *}" -ge 17 ]
	same 'objects with metrics' "$((${lines[0]%% *} + 1)) objects" "${lines[1]}"
	run -0 "$MANIFESTS" helm '{"metrics": {"enabled": true, "port": 9100}}'
	[[ $output == *--metrics-address=\[?\(HOST_IP\)\]:9100*"containerPort: 9100"* && $output != *PodMonitor* ]]
	run -0 "$MANIFESTS" helm '{"metrics": {"podMonitor": {"enabled": true, "labels": {"release": "prometheus"}}}}'
	[[ $output == *"kind: PodMonitor"*"release: prometheus"* ]]
	run -0 "$MANIFESTS" helm '{"sluiceConfig": {"clusterCIDRs": ["10.0.0.0/8"]}, "imagePullSecrets": [{"name": "s"}],
		"image": {"tag": "v9"}, "settings": {"logLevel": "debug"}, "cni": {"confDir": "/x"}, "tolerations": []}'
	[[ $output == *"kind: SluiceConfig"*"- 10.0.0.0/8"* && $output == *sluice:v9* && $output == *"path: /x"* ]]
	[[ $output == *logLevel*debug* && $output == *imagePullSecrets:* ]]
}

# annotation VALUES: by which a new template says that the settings are others
annotation() {
	"$MANIFESTS" helm "$1" | awk '$1 == "checksum/settings:" { print $2 }'
}

@test "the chart starts the daemons anew when their settings change, which they read at a start" {
	local before
	before=$(annotation '{}')
	[ -n "$before" ] || lab_fail "the template is the same whatever the settings are"
	[ "$(annotation '{"settings": {"logLevel": "debug"}}')" != "$before" ]
	# this one they see by themselves
	same "of an object" "$before" "$(annotation '{"sluiceConfig": {"clusterCIDRs": ["10.0.0.0/8"]}}')"
}

# on_server USER METHOD PATH [BODY [TYPE]]: the status; nothing that it asks for is stored
on_server() {
	local ask='?' body=()
	[[ $3 != *\?* ]] || ask='&'
	[ -z "${4:-}" ] || body=(-H "Content-Type: ${5:-application/json}" --data-binary "$4")
	on api curl -s -m 60 -o /dev/null -w '%{http_code}' --cacert "$KUBE/ca.crt" -X "$2" "${body[@]}" \
		-H "Authorization: Bearer $(kube_token "$1")" "$KUBE_URL$3${ask}dryRun=All"
}
may() { [[ $(on_server "$@") =~ ^(2..|400|404|409|422)$ ]] || lab_fail "$* is forbidden"; }
may_not() { same "$*" 403 "$(on_server "$@")"; }

MERGE=application/merge-patch+json
CORE=/api/v1
SHOP=$SLUICE_API/namespaces/shop

cluster_up() {
	kube_up
	"$MANIFESTS" base | kube_apply
	kube_crds
	echo '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}' | kube_apply
}

# rules USER NAMESPACE: all that the server lets a user do, beside what it lets everybody
rules() {
	kube_call "$1" POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews <<-END |
		{"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": "$2"}}
	END
		jq -r '.status.resourceRules[] | select(.apiGroups != ["authorization.k8s.io"]) | . as $r | .apiGroups[] as $g |
			$r.resources[] as $x | "\($g)/\($x) \($r.verbs | join(","))\($r.resourceNames // [] | map(" " + .) | join(""))"' | sort
}

@test "everything is taken by a real server, and each token may do what it needs and nothing else" {
	local kind plural path
	cluster_up
	run -0 kube_get /apis/apps/v1/namespaces/sluice-system/daemonsets/sluiced
	same "the daemon is not privileged" null "$(jq '.spec.template.spec.containers[0].securityContext.privileged' <<<"$output")"

	same "all that the daemon may do" "/events create,patch
/namespaces list,watch
/nodes list,watch
/pods get,list,watch
/services list,watch
discovery.k8s.io/endpointslices list,watch
sluice.dev/clusteregressdestinations list,watch
sluice.dev/clusteregressdestinations/status patch
sluice.dev/clusteregresspolicies list,watch
sluice.dev/clusteregresspolicies/status patch
sluice.dev/egressdestinations list,watch
sluice.dev/egressdestinations/status patch
sluice.dev/egressgateways list,watch
sluice.dev/egressgateways/status patch
sluice.dev/egresspolicies list,watch
sluice.dev/egresspolicies/status patch
sluice.dev/sluiceconfigs list,watch
sluice.dev/sluiceconfigs/status patch" "$(rules sluiced shop)"
	same "and in its own namespace" "coordination.k8s.io/leases create
coordination.k8s.io/leases get,update sluiced" "$(rules sluiced sluice-system | grep coordination)"

	for kind in "${KUBE_KINDS[@]}"; do
		path=$SLUICE_API/$kind
		may sluiced GET "$path"
		may sluiced GET "$path?watch=1&timeoutSeconds=1"
		case $kind in egresspolicies | egressdestinations) path=$SHOP/$kind ;; esac
		may sluiced PATCH "$path/x/status" '{"status": {}}' "$MERGE"
		may_not sluiced PATCH "$path/x" '{"spec": {}}' "$MERGE"
		may_not sluiced PUT "$path/x/status" '{}'
		may_not sluiced POST "$path" '{}'
		may_not sluiced DELETE "$path/x"
		may_not nobody GET "$path"
	done
	may sluiced GET "$CORE/pods?fieldSelector=spec.nodeName%3Dnode1"
	may sluiced GET "$CORE/namespaces/shop/pods/x"
	may sluiced GET "$CORE/nodes"
	may sluiced POST "$CORE/namespaces/shop/events" '{"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"},
		"involvedObject": {"namespace": "shop"}}'
	LEASES=/apis/coordination.k8s.io/v1/namespaces/sluice-system/leases
	may sluiced POST "$LEASES" '{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "sluiced"}}'
	may sluiced GET "$LEASES/sluiced"
	may sluiced PUT "$LEASES/sluiced" '{}'
	may_not sluiced PUT "$LEASES/another" '{}'
	may_not sluiced GET "$LEASES"
	may_not sluiced POST "${LEASES/sluice-system/kube-system}" '{}'
	may_not sluiced DELETE "$LEASES/sluiced"
	for path in secrets configmaps pods services serviceaccounts; do
		may_not sluiced POST "$CORE/namespaces/sluice-system/$path" '{}'
	done
	may_not sluiced GET "$CORE/secrets"
	may_not sluiced GET "$CORE/namespaces/sluice-system/configmaps/sluiced"
	may_not sluiced PATCH "$CORE/nodes/node1" '{}' "$MERGE"
	may_not sluiced PATCH "$CORE/nodes/node1/status" '{}' "$MERGE"

	# people
	bind ClusterRoleBinding sluice-kubectl gw2
	same "all that kubectl sluice may" "/events list
/namespaces get,list
/nodes list
/pods get,list
/services list
coordination.k8s.io/leases get sluiced
discovery.k8s.io/endpointslices list
$(printf 'sluice.dev/%s list\n' "${KUBE_KINDS[@]}" | sort)" "$(rules gw2 shop)"
	bind ClusterRoleBinding sluice-security security
	bind RoleBinding sluice-edit editor shop
	bind RoleBinding sluice-view viewer shop
	for plural in egressgateways clusteregresspolicies clusteregressdestinations sluiceconfigs; do
		may security POST "$SLUICE_API/$plural" '{}'
		may security DELETE "$SLUICE_API/$plural/x"
		may_not security PATCH "$SLUICE_API/$plural/x/status" '{}' "$MERGE"
		may_not editor GET "$SLUICE_API/$plural/x"
		may_not editor POST "$SLUICE_API/$plural" '{}'
		may_not viewer GET "$SLUICE_API/$plural/x"
	done
	for plural in egresspolicies egressdestinations; do
		may security GET "$SLUICE_API/$plural"
		may_not security POST "$SHOP/$plural" '{}'
		may editor POST "$SHOP/$plural" '{}'
		may editor DELETE "$SHOP/$plural/x"
		may_not editor PATCH "$SHOP/$plural/x/status" '{}' "$MERGE"
		may_not editor POST "${SHOP/shop/default}/$plural" '{}'
		may viewer GET "$SHOP/$plural/x"
		may_not viewer PATCH "$SHOP/$plural/x" '{}' "$MERGE"
		may_not viewer GET "$SLUICE_API/$plural"
	done
	for example in "$TOP"/conf/kubernetes/examples/*.yaml; do kube_apply "$example"; done
	run -0 kube_get "/apis/rbac.authorization.k8s.io/v1/clusterroles?labelSelector=rbac.authorization.k8s.io/aggregate-to-edit=true"
	jq -e '[.items[].metadata.name | select(startswith("sluice"))] == ["sluice-edit", "sluice-view"]' <<<"$output"
}

@test "the probes tell who lives from who is ready" {
	local status command
	kube_ground
	mapfile -t command < <(container '.livenessProbe.exec.command[]')
	for status in 0 1 2 3; do
		mkdir "$LAB/$status"
		printf '#!/bin/sh\nexit %s\n' "$status" >"$LAB/$status/sluicectl" && chmod +x "$LAB/$status/sluicectl"
	done
	PATH=$LAB/0:$PATH "${command[@]}"
	PATH=$LAB/3:$PATH "${command[@]}" # not ready, which restarting it would not mend
	run ! env PATH="$LAB/1:$PATH" "${command[@]}"
	run ! env PATH="$LAB/2:$PATH" "${command[@]}"
	same readiness "sluicectl status" "$(container '.readinessProbe.exec.command | join(" ")')"
}

# ---- the daemon as its DaemonSet has it ----

# confined CAPABILITIES COMMAND…: nothing but the lab's folder and /proc can be written, /proc/sys cannot
# shellcheck disable=SC2016 # the inner shell's
confined() {
	$EXEC unshare --mount --propagation slave sh -c 'mount --rbind "$0" "$0" && mount -o remount,bind,ro / &&
		mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && caps=$1 && shift &&
		exec setpriv --bounding-set "$caps" --inh-caps=-all --no-new-privs "$@"' "$LAB" "$@"
}

# capabilities [WITHOUT]: as setpriv wants them
capabilities() {
	container '.securityContext.capabilities.add[]' | tr '[:upper:]' '[:lower:]' | grep -vx "${1:-none}" |
		sed 's/^/,+/' | tr -d '\n' | sed 's/^/-all/'
}

# confined_start NODE CAPABILITIES
confined_start() {
	local EXEC=''
	node_args "$1"
	daemon "sluiced-$1" on "$1" "$(type -P env)" bash -c "$(declare -f confined); EXEC=exec LAB='$LAB'; confined \"\$@\"" - \
		"$2" "$BIN/sluiced" "${NODE_ARGS[@]}"
}

@test "the capabilities of the DaemonSet are enough, on a read-only root and a read-only /proc/sys" {
	same "none but these" "ALL" "$(container '.securityContext.capabilities.drop[]')"
	same "read-only" true "$(container .securityContext.readOnlyRootFilesystem)"
	lab_up node1 gw1
	gateway_on gw1
	web_policy
	for node in node1 gw1; do confined_start "$node" "$(capabilities)"; done
	for node in node1 gw1; do lab_wait 300 node_answers "$node"; done
	gateway_wait gw1
	web_add far
	web_add near gw1
	in_force node1 gw1
	lab_wait 300 asks_as far "$EGRESS_V4"
	lab_wait 300 asks_as near "$EGRESS_V4"
	lab_wait 300 asks_as far "$EGRESS_V6" "$EXT_V6"
	same denied timeout "$(ask far udp "$DENIED_V4" timeout=300)"
	pod_del far
	# a restart with everything in place, and repairs
	node_stop node1
	confined_start node1 "$(capabilities)"
	on node1 nft delete table inet sluice
	on node1 ip link del sluice0
	lab_wait 300 node_answers node1
	web_add again
	lab_wait 300 asks_as again "$EGRESS_V4"
	same "a read-only /proc/sys was no trouble" "" "$(grep -h 'level=error' "$LAB"/log/sluiced-*)"
	# the init container
	mkdir "$LAB/opt"
	run -0 confined -all "$BIN/sluiced" install --programs-only --version-file "$LAB/version" --from "$BIN" --bin-dir "$LAB/opt"
	same "what it says of its version" "sluiced $(cat "$LAB/version")" "$("$BIN/sluiced" --version)"
	cmp "$BIN/sluice" "$LAB/opt/sluice"
}

@test "without any one of its capabilities the daemon does not do its work (long)" {
	skip_long
	local capability
	for capability in $(container '.securityContext.capabilities.add[]' | tr '[:upper:]' '[:lower:]'); do
		lab_up node1 gw1
		gateway_on gw1
		confined_start gw1 "$(capabilities "$capability")"
		sleep 8
		run ! has_address gw1 "$EGRESS_V4"
		lab_destroy
	done
}
