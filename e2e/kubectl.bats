#!/usr/bin/env bats
# shellcheck disable=SC2016 # jq's variables
# kubectl sluice on a real API server: what it says of a cluster is what its daemons do, with the
# rights of its ClusterRole and no more, and what is wrong is said so that somebody can mend it.
load lib/cluster

setup_file() {
	cluster_make node1 gw1
	[ -n "$LAB" ] || return 0
	objects | kube_apply
	pod_object web-7d9f web
	pod_object near-5c8b web gw1
	pod_object plain other
	bind ClusterRoleBinding sluice-kubectl viewer
	kube_node_start node1 gw1
	kube_kubeconfig viewer
	kube_kubeconfig nobody
}
setup() { suite_test_begin node1 gw1; }
teardown() {
	[ -n "${BATS_TEST_COMPLETED:-}" ] || [ -z "${LAB:-}" ] || LAB_TAIL=30 lab_dump
}
teardown_file() { lab_destroy; }

# ---- the cluster ----

objects() {
	cat <<-END
		{apiVersion: sluice.dev/v1alpha1, kind: EgressGateway, metadata: {name: office},
		 spec: {addresses: [{range: $EGRESS_V4}, {range: 172.31.7.60-172.31.7.63}], allowedNamespaces: {},
		        nodeSelector: {matchLabels: {kubernetes.io/hostname: gw1}}}}
		---
		{apiVersion: sluice.dev/v1alpha1, kind: EgressPolicy, metadata: {name: web, namespace: shop},
		 spec: {subject: {podSelector: {matchLabels: {app: web}}},
		        rules: [{name: never, action: Deny, to: [{cidr: $DENIED_V4/32}]},
		                {name: out, action: Allow, via: {gateway: office, addresses: [$EGRESS_V4]}}]}}
		---
		{apiVersion: sluice.dev/v1alpha1, kind: ClusterEgressPolicy, metadata: {name: no-metadata},
		 spec: {priority: 10, subject: {podSelector: {}},
		        rules: [{name: metadata, action: Deny, to: [{cidr: 169.254.169.254/32}]}]}}
		---
		{apiVersion: sluice.dev/v1alpha1, kind: ClusterEgressPolicy, metadata: {name: floor},
		 spec: {tier: Baseline, subject: {podSelector: {}, nodeSelector: {matchLabels: {kubernetes.io/hostname: gw1}}},
		        rules: [{name: no-smtp, action: Deny, ports: [{protocol: TCP, port: 25}]}]}}
		---
	END
	cat "$TOP/conf/kubernetes/roles.yaml"
}

# The pod of the DaemonSet, which runs outside of any pod here: daemon_pod NODE True|False
daemon_pod() {
	kube_apply <<-END
		{apiVersion: v1, kind: Pod, metadata: {name: sluiced-$1, namespace: sluice-system,
		 labels: {app.kubernetes.io/name: sluice, app.kubernetes.io/component: sluiced}},
		 spec: {nodeName: $1, hostNetwork: true, containers: [{name: sluiced, image: "registry.test:5000/sluice:v1.2"}],
		  initContainers: [{name: install, image: "registry.test:5000/sluice:v1.2"}]}}
	END
	kube_write_status "/api/v1/namespaces/sluice-system/pods/sluiced-$1" "{\"phase\": \"Running\",
		\"conditions\": [{\"type\": \"Ready\", \"status\": \"$2\"}],
		\"initContainerStatuses\": [{\"name\": \"install\", \"image\": \"i\", \"imageID\": \"\", \"ready\": true,
			\"restartCount\": 0, \"state\": {\"terminated\": {\"exitCode\": 0, \"message\": \"1.2-4-gabc\"}}}],
		\"containerStatuses\": [{\"name\": \"sluiced\", \"image\": \"i\", \"imageID\": \"\", \"ready\": false,
			\"restartCount\": 7, \"state\": {\"waiting\": {\"reason\": \"CrashLoopBackOff\"}}}]}" >/dev/null
}

# sluice VERB…: as the user of $AS, viewer
sluice() {
	on api env -u KUBECONFIG HOME="$LAB" "$BIN/kubectl-sluice" "$@" --kubeconfig "$KUBE/${AS:-viewer}.kubeconfig"
}

# is [OPTION…] FILTER: of $output, as JSON
is() {
	jq -e "$@" <<<"$output" >/dev/null || {
		jq . <<<"$output" || echo "$output"
		lab_fail "not so: $*"
	}
}

# all_told: what the daemons have to say of the objects has been said
told_now() { sluice status -o json | jq -e '.gateways.inForce == .gateways.count and .policies.inForce == .policies.count'; }
all_told() {
	lab_wait 300 told_now || {
		sluice status
		lab_fail "not all is in force"
	}
}

@test "status has a line for each node, and ends with 3 while something is not as it must be" {
	daemon_pod node1 True
	daemon_pod gw1 True
	all_told
	run -0 sluice status
	echo "$output"
	[[ $output == *"ready       yes"* && $output == *"gateways    1, 1 in force"* && $output == *"policies    3, 3 in force"* ]]
	[[ $output =~ "written by "(node1|gw1)", who said so "[0-9]+"s ago" ]]
	[[ $output =~ gw1\ +ready\ +ready\ +1\.2-4-gabc\ +"$EGRESS_V4,172.31.7.60 and 3 more" ]]
	daemon_pod gw1 False
	run -3 sluice status
	[[ $output == *"ready       no"* && $output =~ gw1\ +ready\ +"not ready: CrashLoopBackOff" ]]
	run -3 sluice status -o json
	is '.ready == false and (.nodes | length == 2)'
	is --arg a "$EGRESS_V4" '.nodes[] | select(.node == "gw1") | .daemonReady == false and .restarts == 7 and .addresses[0] == $a'
	is '[.nodes[] | select(.writesStatus)] | length == 1'
	is 'all(.nodes[]; .version == "1.2-4-gabc" and .image == "v1.2")'
	kube_delete /api/v1/namespaces/sluice-system/pods/sluiced-gw1?gracePeriodSeconds=0 >/dev/null
	run -3 sluice status -o wide
	[[ $output =~ gw1\ +ready\ +none ]]
	run -3 sluice status -o json
	is '.nodes[] | select(.node == "gw1") | .reason == "NoPod"'
	daemon_pod gw1 True
	kube_apply <<-END
		{apiVersion: sluice.dev/v1alpha1, kind: EgressPolicy, metadata: {name: lost, namespace: shop},
		 spec: {subject: {podSelector: {matchLabels: {app: lost}}}, rules: [{action: Allow, via: {gateway: nowhere}}]}}
	END
	problem() { sluice status | grep -F "EgressPolicy shop/lost: MissingGateway: EgressGateway nowhere is missing"; }
	lab_wait 300 problem || sluice status
	kube_delete "$SLUICE_API/namespaces/shop/egresspolicies/lost" >/dev/null
	all_told
}

@test "gateways tells who carries each address and since when, and which nobody carries" {
	all_told
	kube_apply <<-END
		{apiVersion: sluice.dev/v1alpha1, kind: EgressGateway, metadata: {name: spare},
		 spec: {addresses: [{range: 172.31.7.70-172.31.7.79}], nodeSelector: {matchLabels: {none: "yes"}}}}
	END
	run -0 sluice gateways
	echo "$output"
	[[ ${lines[1]} =~ ^office\ +"$EGRESS_V4"\ +gw1\ +Carried\ +[0-9]+[sm] ]]
	[[ $output =~ spare\ +172.31.7.70-172.31.7.79\ +-\ +Unassigned\ +- ]]
	judged() { sluice gateways | grep -F "no node is a candidate"; }
	lab_wait 300 judged
	run -0 sluice gateways -o json
	is --arg a "$EGRESS_V4" '.addresses[] | select(.address == $a) | .node == "gw1" and .announced and (.since | test("^20"))'
	is '.gateways[] | select(.name == "spare") | .accepted and .ready == false'
	kube_delete "$SLUICE_API/egressgateways/spare" >/dev/null
	all_told
}

@test "policies stand in the order in which they are asked, with what is wrong with each" {
	all_told
	kube_apply <<-END
		{apiVersion: sluice.dev/v1alpha1, kind: EgressPolicy, metadata: {name: bad, namespace: shop},
		 spec: {priority: 7, subject: {podSelector: {matchExpressions: [{key: app, operator: In, values: [bad, worse]}]}},
		        rules: [{action: Allow, novelty: 1}]}}
	END
	refused() { sluice policies | grep -F "no: Invalid"; }
	lab_wait 300 refused
	run -0 sluice policies
	echo "$output"
	[[ ${lines[1]} == Admin*10*no-metadata*all*yes* && ${lines[2]} == Pods*7*"shop/bad"*"app in (bad,worse)"*"no: Invalid"* ]]
	[[ ${lines[3]} == Pods*500*shop/web*app=web*yes* && ${lines[4]} == Baseline*500*floor*all\ on\ kubernetes.io/host…*yes* ]]
	[[ $output == *"shop/bad: "*"rules[0].novelty: unknown field"* ]]
	run -0 sluice policies -o json -n default
	is '[.[].name] == ["no-metadata", "floor"]'
	run -0 sluice policies -o wide -n shop
	[[ ${lines[0]} == STEP*MODE*RULES*DEFAULT*ACCEPTED*READY*AGE ]]
	# an answer from here says that nodes may have an earlier version in force
	run -0 sluice explain shop/plain "$EXT_V4"
	[[ $output == *"shop/bad"*"earlier version of it in force"* ]]
	kube_delete "$SLUICE_API/namespaces/shop/egresspolicies/bad" >/dev/null
	all_told
}

@test "bindings and explain say what the packets do" {
	all_told
	pod_add web-7d9f
	same "as office" "$EGRESS_V4" "$(ask web-7d9f udp "$EXT_V4")"
	same denied timeout "$(ask web-7d9f udp "$DENIED_V4" timeout=300)"
	run -0 sluice bindings -n shop
	echo "$output"
	[[ $output =~ shop/web-7d9f\ +node1\ +no-metadata,shop/web\ +"$EGRESS_V4"\ +office\ +gw1 ]]
	[[ $output =~ shop/near-5c8b\ +gw1\ +no-metadata,shop/web,fl… && $output == *"3 of 3 pods are under a policy"* ]]
	run -0 sluice explain -n shop web-7d9f "$EXT_V4:$PORT/UDP"
	echo "$output"
	[[ $output == *"verdict      Allow by EgressPolicy shop/web rule out"* && $output == *"outcome      leaves as $EGRESS_V4"* ]]
	[[ $output == *"carried by gw1 for "* && $output == *"node1 can be asked"* ]]
	run -0 sluice explain shop/web-7d9f "$DENIED_V4" --proto UDP --port "$PORT" -o json
	is '.[0].reason == "denied" and .[0].verdictBy.rule == "EgressPolicy shop/web rule never"'
	# by the pod's own node: the policy floor is of gw1 only
	run -0 sluice explain -n shop near-5c8b "$EXT_V4:25" -o json
	is '[.[0].rules[].policy] | any(. == "ClusterEgressPolicy floor")'
	run -0 sluice explain -n shop web-7d9f "$EXT_V4:25" -o json
	is '[.[0].rules[].policy] | all(. != "ClusterEgressPolicy floor")'
	run -0 sluice explain -n shop nobody "$EXT_V4" --labels app=web
	[[ $output == *"leaves as $EGRESS_V4"* ]]
	# the node itself says the same
	run -0 ctl node1 explain shop/web-7d9f "$EXT_V4:$PORT/UDP"
	[[ $output == *"leaves as $EGRESS_V4"* ]]
	pod_del web-7d9f
}

@test "what is written wrong is answered by what may have been meant" {
	run -1 sluice explain -n shop web "$EXT_V4"
	[[ $output == *"there is no pod 'web' in namespace 'shop'"*"Did you mean the pod 'web-7d9f'?"* ]]
	run -1 sluice explain -n shopp web-7d9f "$EXT_V4"
	[[ $output == *"there is no namespace 'shopp'"*"Did you mean the namespace 'shop'?"* ]]
	run -1 sluice explain web-7d9f "$EXT_V4"
	[[ $output == *"in namespace 'default' (-n names another one)"* ]]
	run -2 sluice explain -n shop default/web-7d9f "$EXT_V4"
	[[ $output == *"not in the namespace"* ]]
	run -2 sluice polices
	[[ $output == *"unknown verb 'polices': did you mean 'policies'?"* ]]
	run -2 sluice policies --namespaec shop
	[[ $output == *"did you mean '--namespace'?"* ]]
	run -2 sluice gateways -n shop
	[[ $output == *"--namespace: only policies, bindings or explain has this option"* ]]
	run -1 sluice policies -n shopp
	[[ $output == *"there is no namespace 'shopp'"*"Did you mean the namespace 'shop'?"* ]]
	run -0 sluice policies -n default -h
	[[ $output == "Usage: "*policies* ]]
	run -2 sluice counters
	[[ $output == *"on each node only"* ]]
}

@test "who may not is told which rights are missing and which role gives them" {
	local verb
	for verb in status gateways policies bindings "explain -n shop web-7d9f $EXT_V4"; do
		# shellcheck disable=SC2086
		AS=nobody run -1 sluice $verb
		[[ $output == *"is forbidden: User \"nobody\""*"  list "*.sluice.dev*"ClusterRole sluice-kubectl"* ]]
	done
	[[ $output == *"  get pods in namespace shop"* && $output == *"  list nodes"* ]]
	# a team, with no more than the cluster's own view of its namespace
	bind RoleBinding sluice-view editor shop
	kube_kubeconfig editor
	AS=editor run -0 sluice policies -n shop
	[[ $output == *shop/web* && $output == *"without the cluster's own policies"* ]]
	AS=editor run -1 sluice policies
}

@test "what is wrong with the way to the cluster is said" {
	local at=(on api env -u KUBECONFIG HOME="$LAB")
	run -1 "${at[@]}" "$BIN/kubectl-sluice" status --run-dir "$LAB"
	[[ $output == *"no kubeconfig"* ]]
	run -1 "${at[@]}" "$BIN/kubectl-sluice" status --kubeconfig "$LAB/none"
	[[ $output == *"$LAB/none"* ]]
	run -1 sluice status --context home
	[[ $output == *'contexts: none is called "home"'* ]]
	sed "s/$KUBE_V4:6443/$KUBE_V4:9/" "$KUBE/viewer.kubeconfig" >"$LAB/nobody-there"
	run -1 "${at[@]}" "$BIN/kubectl-sluice" status --kubeconfig "$LAB/nobody-there"
	[[ $output == *"https://$KUBE_V4:9"* ]]
	sed "s/token: .*}/token: wrong}/" "$KUBE/viewer.kubeconfig" >"$LAB/wrong"
	run -1 "${at[@]}" "$BIN/kubectl-sluice" status --kubeconfig "$LAB/wrong"
	[[ $output == *Unauthorized* && $output != *sluice-kubectl* ]]
}

@test "the cluster is found as kubectl finds it, and by sluicectl when it is named" {
	local at=(on api env -u KUBECONFIG HOME="$LAB/home")
	mkdir -p "$LAB/home/.kube"
	# two files: which context, and what it is
	printf 'current-context: mine\ncontexts:\n- {name: mine, context: {cluster: lab, user: viewer, namespace: shop}}\n' >"$LAB/mine"
	run -0 on api env KUBECONFIG="$LAB/mine:$LAB/none:$KUBE/viewer.kubeconfig" "$BIN/kubectl-sluice" explain web-7d9f "$EXT_V4"
	[[ $output == *"pod          shop/web-7d9f"* ]]
	run -1 on api env KUBECONFIG="$LAB/mine:$KUBE/viewer.kubeconfig" "$BIN/kubectl-sluice" explain web-7d9f "$EXT_V4" --context lab
	[[ $output == *"in namespace 'default'"* ]]
	cp "$KUBE/viewer.kubeconfig" "$LAB/home/.kube/config"
	run -0 "${at[@]}" "$BIN/kubectl-sluice" gateways
	[[ $output == *office*gw1*Carried* ]]
	run -0 "${at[@]}" "$BIN/sluicectl" gateways --kubeconfig "$KUBE/viewer.kubeconfig"
	[[ $output == *office*gw1*Carried* ]]
	run -0 "${at[@]}" "$BIN/sluicectl" policies --context lab
	[[ $output == *shop/web* ]]
	if command -v kubectl; then
		run -0 "${at[@]}" PATH="$BIN:$PATH" kubectl sluice gateways
		[[ $output == *office*gw1*Carried* ]]
	fi
}

@test "a kubeconfig with a credential plug-in is asked by way of kubectl" {
	command -v kubectl || skip "no kubectl"
	printf '#!/bin/sh\necho "{\\"apiVersion\\": \\"client.authentication.k8s.io/v1beta1\\", \\"kind\\": \\"ExecCredential\\", \\"status\\": {\\"token\\": \\"%s\\"}}"\n' \
		"$(kube_token viewer)" >"$LAB/plugin" && chmod +x "$LAB/plugin"
	sed "s|token: .*}|exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: $LAB/plugin, interactiveMode: Never}}|" \
		"$KUBE/viewer.kubeconfig" >"$KUBE/plugin.kubeconfig"
	AS=plugin run -0 sluice gateways
	echo "$output"
	[[ $output == *office*gw1*Carried* ]]
	AS=plugin run -0 sluice explain -n shop web-7d9f "$EXT_V4" -o json
	is --arg a "$EGRESS_V4" '.[0].address == $a'
	AS=plugin run -1 sluice explain -n shop web "$EXT_V4"
	[[ $output == *"Did you mean the pod 'web-7d9f'?"* ]]
}

@test "where there is no kubeconfig, the daemon of the node answers" {
	here() { on gw1 env -u KUBECONFIG HOME="$LAB" "$BIN/kubectl-sluice" "$@" "${NODE_ARGS[@]}"; }
	all_told
	node_args gw1
	run -0 here gateways
	echo "$output"
	[[ $output == *"node        gw1"* && $output =~ office\ +"$EGRESS_V4"\ +gw1\ +Local ]]
	run -0 here gateways -o json
	is --arg a "$EGRESS_V4" '.node == "gw1" and (.addresses[] | select(.address == $a) | .state == "Local")'
	run -0 here policies
	[[ $output == *Admin*no-metadata*yes* && $output == *Baseline*floor*yes* ]]
	run -0 here counters
}

@test "a support bundle has what the cluster knows, no token, and the names of what it may not read" {
	all_told
	printf '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "annotations": {"a": "%s"}}}' \
		"$(kube_token viewer)" | kube_apply
	# what explain goes by, and no more of it
	kube_apply <<-END
		{apiVersion: v1, kind: Pod, metadata: {name: told, namespace: shop, labels: {app: other}, annotations: {a: pods-own-word}},
		 spec: {nodeName: node1, containers: [{name: c, image: none, env: [{name: B, value: pods-own-word}]}]}}
		---
		{apiVersion: v1, kind: Service, metadata: {name: db, namespace: shop}, spec: {ports: [{port: 53, protocol: UDP}]}}
	END
	slice_apply db-1 db "$EXT_V4"
	run -0 sluice support-bundle "$LAB/bundle.tar.gz"
	echo "$output"
	[[ $output != *"not read"* ]]
	mkdir "$LAB/bundle" && tar -C "$LAB/bundle" --strip-components=1 -xzf "$LAB/bundle.tar.gz"
	run -1 grep -r -e "$(kube_token viewer)" -e pods-own-word "$LAB/bundle"
	run -0 cat "$LAB/bundle/pods.json"
	is '.[] | select(.metadata.name == "told") | .metadata.labels.app == "other" and .nodeName == "node1" and .status.phase == "Pending"'
	run -0 cat "$LAB/bundle/services.json"
	is --arg at "$(kube_get /api/v1/namespaces/shop/services/db | jq -r .spec.clusterIP)" '.[] | select(.metadata.name == "db").spec.clusterIP == $at'
	run -0 cat "$LAB/bundle/endpointslices.json"
	is --arg at "$EXT_V4" '.[] | select(.metadata.name == "db-1") | .endpoints[0].addresses[0] == $at and .ports[0].protocol == "UDP"'
	run -0 cat "$LAB/bundle/namespaces.json"
	is '.[] | select(.metadata.name == "shop") | .metadata.annotations.a == "[redacted]"'
	run -0 cat "$LAB/bundle/egressgateways.json"
	is '.[0].status.addresses[0].node == "gw1" and .[0].metadata.managedFields == null'
	run -0 cat "$LAB/bundle/events.json"
	is 'any(.reason == "IPAssigned")'
	run -0 cat "$LAB/bundle/bindings.json"
	is 'length == 4'
	for file in "$LAB"/bundle/*.json; do jq . "$file" >/dev/null; done
	AS=nobody run -0 --separate-stderr sluice support-bundle -
	[[ ${stderr:?} == *"nodes.json "*"not read: "*forbidden* && $stderr == *"server.json"* ]]
}

@test "tables fit a terminal of 80 columns" {
	local verb
	all_told
	for verb in status gateways policies bindings --help "status --help" "gateways --help" "policies --help" "bindings --help" "explain --help" \
		"support-bundle --help"; do
		# shellcheck disable=SC2086
		sluice $verb >"$LAB/shown" 2>&1 || true
		[ "$(LC_ALL=C.UTF-8 wc -L <"$LAB/shown")" -le 80 ] || {
			cat "$LAB/shown"
			lab_fail "$verb is wider"
		}
	done
}
