#!/usr/bin/env bats
# The daemon on a real API server: what objects say is in force before a pod's first packet, and
# an API that lies, lags or is gone changes nothing that is in force.
load lib/cluster

setup_file() { cluster_make node1 gw1; }
setup() { suite_test_begin node1 gw1; }
teardown() { suite_test_end; }
teardown_file() { lab_destroy; }

@test "policies of the API govern a pod from its first packet" {
	cluster_up
	pod_start web web
	same "first packet" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	pod_start plain plain
	same "no policy" "${NODE_V4[node1]}" "$(ask plain udp "$EXT_V4")"
	pods_end web plain
}

@test "edits, labels and deletions reach the kernel, and open connections live on" {
	cluster_up
	pod_start web web
	talk_open web
	same "as office" "$EGRESS_V4 alive" "$(talk web)"
	policy_apply other "$DENY"
	pod_object web other # its label is another one now
	lab_wait 100 asks_as web timeout
	pod_object web web
	lab_wait 100 asks_as web "$EGRESS_V4"
	kube_apply <<-END
		{apiVersion: sluice.dev/v1alpha1, kind: ClusterEgressPolicy, metadata: {name: locked},
		 spec: {subject: {podSelector: {}, namespaceSelector: {matchLabels: {locked: "yes"}}}, $DENY}}
	END
	same "not locked" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	kube_apply <<<'{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: payments, locked: "yes"}}}'
	lab_wait 100 asks_as web timeout
	kube_apply <<<'{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: payments}}}'
	lab_wait 100 asks_as web "$EGRESS_V4"
	kube_delete "$SLUICE_API/clusteregresspolicies/locked" >/dev/null
	policy_apply web "rules: [{name: out, action: Allow, via: {node: {}}}]"
	lab_wait 100 asks_as web "${NODE_V4[node1]}"
	same "the open one" "$EGRESS_V4 alive" "$(talk web)"
	kube_delete "$SLUICE_API/namespaces/shop/egresspolicies/other" >/dev/null
	kube_delete "$SLUICE_API/namespaces/shop/egresspolicies/web" >/dev/null
	lab_wait 100 asks_as web "${NODE_V4[node1]}"
	same "the open one after all" "$EGRESS_V4 alive" "$(talk web)"
	talk_close web
	pods_end web
}

# reaches WHAT PATH PATCH PATCH: they take pod web into and out of a policy, six times; the best
# counts, since a machine that does other things is no fault of ours, and it may do so for a while
reaches() {
	local what=$1 index best median best_asked median_asked
	index=$(ip -n "$P-node1" -j link show "$(pod_veth web)" | jq '.[0].ifindex')
	for _ in {1..10}; do
		read -r best median best_asked median_asked <<<"$(on api "$TOP/e2e/tools/labelwatch.py" \
			"$(kube_kubeconfig admin)" "$2" "$(find "$LAB/node1/bpf" -name pods)" "$index" 6 "$3" "$4")"
		echo "# $what: in the kernel $median ms after the API's answer (best $best)," \
			"$median_asked ms after the request (best $best_asked)" >&3
		[ "$best" -gt 100 ] || return 0
	done
	return 1
}

@test "labels of pods and selectors of Services that change are in the kernel within 100 ms" {
	cluster_up
	policy_apply web "$DENY"
	pod_start web web
	condition_wait namespaces/shop/egresspolicies/web Ready "True InForce"
	reaches "a pod's labels" /api/v1/namespaces/shop/pods/web \
		'{"metadata": {"labels": {"app": "none"}}}' '{"metadata": {"labels": {"app": "web"}}}'
	kube_delete "$SLUICE_API/namespaces/shop/egresspolicies/web" >/dev/null
	kube_apply <<-END
		{apiVersion: v1, kind: Service, metadata: {name: store, namespace: shop},
		 spec: {selector: {app: web}, ports: [{port: 80, protocol: TCP}]}}
		---
		{apiVersion: sluice.dev/v1alpha1, kind: EgressPolicy, metadata: {name: store, namespace: shop},
		 spec: {subject: {services: [store]}, $DENY}}
	END
	condition_wait namespaces/shop/egresspolicies/store Ready "True InForce"
	reaches "a Service's selector" /api/v1/namespaces/shop/services/store \
		'{"spec": {"selector": {"app": "none"}}}' '{"spec": {"selector": {"app": "web"}}}'
	kube_delete "$SLUICE_API/namespaces/shop/egresspolicies/store" >/dev/null
	kube_delete /api/v1/namespaces/shop/services/store >/dev/null
	pods_end web
}

@test "status says what holds and what does not, and takes it back" {
	local web=namespaces/shop/egresspolicies/web office=egressgateways/office
	cluster_up
	condition_wait $web Accepted "True Accepted"
	condition_wait $web Ready "True InForce"
	# another's word about it does not stand
	kube_call admin PATCH "$SLUICE_API/$web/status?fieldManager=other&force=true" application/apply-patch+yaml >/dev/null <<-END
		{apiVersion: sluice.dev/v1alpha1, kind: EgressPolicy, metadata: {name: web, namespace: shop}, status: {conditions: [
		 {type: Ready, status: "False", reason: Other, message: other, lastTransitionTime: "2026-01-31T09:00:00Z"}]}}
	END
	condition_wait $web Ready "True InForce"
	condition_wait $office Ready "True AllAddressesCarried"
	kube_get "$SLUICE_API/$office" |
		jq -e --arg a "$EGRESS_V4" '.status.addresses[0] | .address == $a and .node == "gw1" and .announced'
	kube_delete "$SLUICE_API/$office" >/dev/null
	condition_wait $web Accepted "False MissingGateway"
	condition_wait $web Ready "False NotAccepted"
	gateway_apply other "$EGRESS_V4"
	condition_wait egressgateways/other Ready "True AllAddressesCarried"
	sleep 1.1 # the younger of two is told by the second
	gateway_apply
	condition_wait $office Accepted "False Conflict"
	condition_wait $office AddressAssigned "False NotCarried"
	kube_delete "$SLUICE_API/egressgateways/other" >/dev/null
	condition_wait $office Ready "True AllAddressesCarried"
	condition_wait $web Ready "True InForce"
	policy_apply web "rules: [{name: bank, action: Allow, to: [{destination: {name: bank}}]}]"
	condition_wait $web Accepted "False MissingDestination"
	lab_wait 100 said IPAssigned "$EGRESS_V4 is carried by node gw1" || kube_get /api/v1/events
}

# The server's own account of requests: who asked, by address, and when. audit_start; audit
audit_start() {
	cat >"$LAB/audit.yaml" <<-END
		apiVersion: audit.k8s.io/v1
		kind: Policy
		omitStages: [RequestReceived]
		rules:
		- {level: Metadata, verbs: [create, update, patch], resources: [{group: coordination.k8s.io}, {group: sluice.dev}]}
		- {level: None}
	END
	kube_api_stop
	kube_api_start --audit-policy-file="$LAB/audit.yaml" --audit-log-path="$LAB/audit.log" --audit-log-mode=blocking
}
# WHO-WRITES-STATUS SECONDS-SINCE-IT-HAD-THE-LEASE, or "two" in the place of who: a line for each write
writers() {
	jq -rs 'def t: capture("^(?<s>[^.]*)[.](?<f>[0-9]*)Z") | (.s + "Z" | fromdate) + ("0." + .f | tonumber);
		[.[] | select(.responseStatus.code < 300) | .requestURI as $u | .sourceIPs[0] as $by |
			if .objectRef.resource == "leases" then {at: (.stageTimestamp | t), $by, lease: true}
			elif ($u | test("/status.fieldManager=sluice&")) then {at: (.requestReceivedTimestamp | t), $by}
			else empty end] | sort_by(.at) |
		foreach .[] as $e ({}; if $e.lease then {by: $e.by, at: $e.at} else . + {told: (if .by == $e.by then .by else "two" end),
			since: ($e.at - (.at // 0) | floor)} end; select($e.lease | not) | "\(.told) \(.since)")' "$LAB/audit.log"
}

@test "who writes status is taken over for when it dies or sleeps, and there are never two (long)" {
	local lease=/apis/coordination.k8s.io/v1/namespaces/sluice-system/leases/sluiced web=namespaces/shop/egresspolicies/web
	local first second from
	skip_long
	audit_start
	cluster_up
	condition_wait $web Accepted "True Accepted"
	leader() { kube_get "$lease" | jq -r .spec.holderIdentity; }
	first=$(leader)
	[ "$first" = node1 ] && second=gw1 || second=node1
	daemon_kill "sluiced-$first" STOP
	from=$EPOCHREALTIME
	policy_apply web "rules: [{name: bank, action: Allow, to: [{destination: {name: bank}}]}]"
	condition_wait $web Accepted "False MissingDestination"
	echo "# written by another $(bc <<<"($EPOCHREALTIME - $from) / 1") s after the first one said nothing more" >&3
	same leader "$second" "$(leader)"
	# it wakes up in the belief that all is as it was
	daemon_kill "sluiced-$first" CONT
	policy_apply web "$AS_OFFICE"
	condition_wait $web Accepted "True Accepted"
	sleep 5
	same "leader still" "$second" "$(leader)"
	node_stop "$second" KILL
	policy_apply web "rules: [{name: bank, action: Allow, to: [{destination: {name: bank}}]}]"
	condition_wait $web Accepted "False MissingDestination"
	same "leader again" "$first" "$(leader)"
	writers >"$LAB/log/writers"
	cat "$LAB/log/writers"
	same "all who wrote" 2 "$(cut -d' ' -f1 "$LAB/log/writers" | sort -u | wc -l)"
	run ! grep two "$LAB/log/writers"
	[ "$(cut -d' ' -f2 "$LAB/log/writers" | sort -n | tail -n 1)" -le 15 ]
	kube_api_stop
	kube_api_start
}

@test "without the API everything stays, and what it says afterwards counts" {
	cluster_up
	pod_start web web
	kube_api_stop KILL
	same "as before" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	node_stop node1
	node_stop gw1
	kube_node_start node1 gw1
	same "daemons that never saw it" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	run ctl node1 status
	[ "$status" -eq 3 ] && [[ $output == *"not"* ]]
	# who it is only the API knows: in-cluster traffic alone until then
	pod_add late
	same "late is denied" timeout "$(ask late udp "$EXT_V4" timeout=300)"
	kube_api_start
	lab_wait 300 said Quarantined "on node node1"
	pod_object late web
	lab_wait 300 asks_as late "$EGRESS_V4"
	nodes_synced node1
	kube_delete "$SLUICE_API/namespaces/shop/egresspolicies/web" >/dev/null
	lab_wait 100 asks_as web "${NODE_V4[node1]}"
	pods_end web late
}

# collections_logged NODE: those that a start may take for whole; Services are there while somebody asks for them
collections_logged() { grep -ao '"c":"[a-z]*","complete"' "$LAB/$1/state/objects.log" | grep -v services | sort -u; }
logged_like() { [ "$(collections_logged node1)" = "$1" ]; }

@test "a log of objects that somebody removes is whole again after the next pass" {
	local before
	cluster_up
	nodes_synced node1
	before=$(collections_logged node1)
	rm "$LAB/node1/state/objects.log"
	policy_apply other "$AS_OFFICE"
	lab_wait 100 logged_like "$before" || lab_fail "it has only: $(collections_logged node1 2>&1)"
	grep -q 'objects of the API are asked for again' "$LAB/log/sluiced-node1"
	run -0 ctl node1 policies
	[[ $output == *"what the API told last is shown, not $LAB/policies:"*other*web* ]]
	kube_delete "$SLUICE_API/namespaces/shop/egresspolicies/other" >/dev/null
}

# A token of the daemon's service account that is refused once the Secret that it is bound to is gone.
token_of() {
	kube_apply <<<"{apiVersion: v1, kind: Secret, metadata: {name: $1, namespace: sluice-system}}" >/dev/null
	kube_call admin POST /api/v1/namespaces/sluice-system/serviceaccounts/sluiced/token <<-END | jq -er .status.token
		{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
		 "spec": {"audiences": ["https://kubernetes.default.svc"], "expirationSeconds": 3600,
		          "boundObjectRef": {"kind": "Secret", "apiVersion": "v1", "name": "$1"}}}
	END
}
# As kubelet does: all files behind one link, which is replaced.
token_give() {
	local folder=$LAB/node1/sa
	mkdir -p "$folder/..$1"
	cp "$KUBE/ca.crt" "$folder/..$1/ca.crt"
	echo -n sluice-system >"$folder/..$1/namespace"
	token_of "$1" >"$folder/..$1/token"
	ln -s "..$1" "$folder/..new" && mv -T "$folder/..new" "$folder/..data"
	ln -sf ..data/ca.crt ..data/namespace ..data/token "$folder"
}
# What the server remembers of a token it forgets within ten seconds.
token_end() {
	kube_delete "/api/v1/namespaces/sluice-system/secrets/$1" >/dev/null
	lab_wait 300 eval "! token_taken $1"
}
token_taken() {
	on node1 curl -sf -m 5 --cacert "$KUBE/ca.crt" -H "Authorization: Bearer $(cat "$LAB/node1/sa/..$1/token")" \
		"$KUBE_URL/api/v1/namespaces/shop/pods" >/dev/null
}
# sluiced as in a pod: with the service account's folder, and no kubeconfig
in_pod() {
	cat >"$LAB/in-pod" <<-END
		#!/bin/bash
		# \$1: its /run, of the test's own but for the network namespaces
		[ -n "\${OWN_MOUNTS:-}" ] || OWN_MOUNTS=1 exec unshare -m --propagation slave "\$0" "\$@"
		mount -n -t tmpfs none "$LAB/node1/own-run" && cd "$LAB/node1/own-run" && mkdir -p netns secrets/kubernetes.io/serviceaccount &&
			mount -n --rbind /run/netns netns && mount -n --bind "$LAB/node1/sa" secrets/kubernetes.io/serviceaccount &&
			mount -n --move . /run && cd / || exit
		for option; do
			shift
			case \$option in
			--kubeconfig) skip=1 ;;
			*) [ -n "\${skip:-}" ] && skip= || set -- "\$@" "\$option" ;;
			esac
		done
		KUBERNETES_SERVICE_HOST=$KUBE_V4 KUBERNETES_SERVICE_PORT=6443 exec "$BIN/sluiced" "\$@"
	END
	mkdir -p "$LAB/node1/own-run" && chmod 755 "$LAB/in-pod" && echo 'kubernetes: true' >"$LAB/node1/pod.yaml"
}
WARNED='level=(warn|error)'
lists() { kube_get /metrics | awk '/^apiserver_request_total.*resource="egressgateways".*verb="LIST"/ { n += $NF } END { print n + 0 }'; }
lease_renewed() { kube_get /apis/coordination.k8s.io/v1/namespaces/sluice-system/leases/sluiced | jq -r .spec.renewTime; }
log_lines() { grep -cE "$1" "$LAB/log/sluiced-node1" || true; }
api_error() { ctl node1 status -o json | jq -e 'any(.api.collections[]; .error)'; }
renewed_since() { [ "$(lease_renewed)" != "$1" ]; }

@test "a token that is replaced and refused meanwhile costs a line of the log, and nothing else" {
	local before lists warned
	nodes_tell
	kube_apply <<<'{apiVersion: v1, kind: ServiceAccount, metadata: {name: sluiced, namespace: sluice-system}}'
	token_give one
	in_pod
	LAB_CONFIG=$LAB/node1/pod.yaml SLUICED=$LAB/in-pod kube_node_start node1
	nodes_synced node1
	policy_apply web "$DENY"
	pod_start web web
	lab_wait 100 asks_as web timeout
	condition_wait namespaces/shop/egresspolicies/web Ready "True InForce"
	lists=$(lists) && [ "$lists" -ge 1 ]
	warned=$(log_lines "$WARNED")
	# in time: nobody notices
	token_give two
	token_end one
	before=$(lease_renewed)
	lab_wait 600 renewed_since "$before" || lab_fail "the Lease is not renewed"
	same "warnings" "$warned" "$(log_lines "$WARNED")"
	# too late: what is asked for meanwhile is refused
	token_end two
	lab_wait 600 grep -q 'API refuses our token' "$LAB/log/sluiced-node1"
	policy_apply web 'rules: [{name: all, action: Allow}]' # by a watch that is open still
	lab_wait 100 asks_as web "${NODE_V4[node1]}"
	# a new connection, and its watches, are refused, too
	on node1 nft -f - <<<"table ip cut { chain out { type filter hook output priority 0; ip daddr $KUBE_V4 tcp dport 6443 reject with tcp reset; }; }"
	lab_wait 600 api_error
	on node1 nft delete table ip cut
	sleep 1
	token_give three
	lab_wait 600 grep -q 'API takes our token again' "$LAB/log/sluiced-node1"
	before=$(lease_renewed)
	lab_wait 600 renewed_since "$before" || lab_fail "the Lease is not renewed"
	policy_apply web "$DENY"
	lab_wait 300 asks_as web timeout
	condition_wait namespaces/shop/egresspolicies/web Ready "True InForce"
	same "refused, said once" 1 "$(log_lines 'API refuses our token')"
	grep -E "$WARNED" "$LAB/log/sluiced-node1"
	[ "$(log_lines "$WARNED")" -le $((warned + 2)) ] # and, at most, that a connection was cut
	same "lists" "$lists" "$(lists)"
	kube_delete "$SLUICE_API/namespaces/shop/egresspolicies/web" >/dev/null
	pods_end web
}

@test "a pod that the watch does not tell is fetched, and one that is deleted by force stays who it was" {
	cluster_up
	pod_object web web gw1 # not among this node's
	pod_add web
	same "first packet" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	pod_start forced web
	pod_forget forced
	sleep 1
	same "its object is gone" "$EGRESS_V4" "$(ask forced udp "$EXT_V4")"
	node_stop node1
	kube_node_start node1
	nodes_synced node1
	same "after a restart" "$EGRESS_V4" "$(ask forced udp "$EXT_V4")"
	pods_end web forced
}

by_service_as() { ASK_PORT=53 asks_as "$1" "$2" 10.96.0.77; }
api_reached() { on "$1" curl -sk -m 5 -o "$LAB/log/api-asked" "$KUBE_URL/readyz"; }

@test "a Service that leads outside is judged as its endpoints, and the API servers lie inside" {
	cluster_up
	policy_apply web "rules: [{name: never, action: Deny, to: [{cidr: $DENIED_V4/32}]}, {name: out, action: Allow, via: {gateway: office}}]"
	policy_apply shut "$DENY"
	pod_start web web
	pod_start shut shut
	on node1 nft -f - <<-END
		table ip services {
			chain pre { type nat hook prerouting priority dstnat; ip daddr 10.96.0.77 udp dport 53 dnat to $EXT_V4:$PORT; }
		}
	END
	kube_apply <<-END
		{apiVersion: v1, kind: Service, metadata: {name: db, namespace: shop},
		 spec: {clusterIP: 10.96.0.77, ports: [{name: q, port: 53, protocol: UDP}]}}
	END
	same "its endpoints are not known" timeout "$(ASK_PORT=53 ask web udp 10.96.0.77 timeout=500)"
	slice_apply db-1 db "$EXT_V4"
	lab_wait 100 by_service_as web "$EGRESS_V4"
	same "a pod that may not" timeout "$(ASK_PORT=53 ask shut udp 10.96.0.77 timeout=500)"
	slice_apply db-1 db "$DENIED_V4"
	lab_wait 100 by_service_as web timeout
	slice_apply db-1 db "$EXT_V4"
	lab_wait 100 by_service_as web "$EGRESS_V4"
	kube_delete /api/v1/namespaces/shop/services/db >/dev/null
	lab_wait 100 by_service_as web timeout
	same "shut is denied" timeout "$(ask shut udp "$EXT_V4" timeout=300)"
	lab_wait 100 api_reached shut
	pods_end web shut
	on node1 nft delete table ip services
}

# pods_of N APP: a list of pods of node1
pods_of() {
	local i
	for ((i = 0; i < $1; i++)); do
		echo "{apiVersion: v1, kind: Pod, metadata: {name: $2-$i, namespace: shop, labels: {app: $2}}, spec: {nodeName: node1, containers: [{name: c, image: none}]}}"
		echo ---
	done
}
pods_known() { [ "$(ctl node1 status -o json | jq '.api.collections[] | select(.name == "pods").count')" = "$1" ]; }

@test "a thousand pods come and go, and the daemon is what it was (long)" {
	local round before after passes
	skip_long
	cluster_up
	pod_start web web
	for round in 1 2; do # what the first one needs stays for the next
		before=$(resident) passes=$(compiles)
		pods_of 1000 crowd | on api "$TOP/e2e/tools/kube.py" "$(kube_kubeconfig admin)" create - >/dev/null
		lab_wait 300 pods_known 1001
		same "as office" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
		kube_delete "/api/v1/namespaces/shop/pods?labelSelector=app%3Dcrowd&gracePeriodSeconds=0" >/dev/null
		lab_wait 300 pods_known 1
		after=$(resident)
		echo "# round $round: $before KiB before, $after KiB after, $(($(compiles) - passes)) compiles" >&3
	done
	[ $((after - before)) -lt 2048 ]
	same "as office" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	pods_end web
}
resident() { awk '/^VmRSS/ { print $2 }' "/proc/$(cat "$LAB/pids/sluiced-node1")/status"; }

compiles() { grep -c 'policies compiled' "$LAB/log/sluiced-node1"; }

@test "a burst of 1,000 events is one compile, and history that is gone is listed anew (long)" {
	local before i
	skip_long
	cluster_up
	pod_start web web
	before=$(compiles)
	daemon_kill sluiced-node1 STOP
	for ((i = 0; i < 1000; i++)); do
		echo "{apiVersion: sluice.dev/v1alpha1, kind: EgressPolicy, metadata: {name: b$i, namespace: shop}, spec: {subject: {podSelector: {matchLabels: {app: b$i}}}, $DENY}}"
		echo ---
	done | kube_apply >/dev/null
	kube_api_stop KILL # its watches end, and then their place in history is gone
	kube_api_start
	kube_compact
	kube_delete "$SLUICE_API/namespaces/shop/egresspolicies/b7" >/dev/null
	daemon_kill sluiced-node1 CONT
	told() { [ "$(ctl node1 status -o json | jq '.policies')" = 1000 ]; }
	lab_wait 300 told
	echo "compiles: $(($(compiles) - before))"
	[ $(($(compiles) - before)) -le 4 ]
	same "as before" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	grep VmRSS "/proc/$(cat "$LAB/pids/sluiced-node1")/status"
	kube_delete "$SLUICE_API/namespaces/shop/egresspolicies" >/dev/null
	lab_wait 100 asks_as web "${NODE_V4[node1]}"
	pods_end web
}

@test "pods that ran before Sluice came are adopted" {
	local address
	cluster_up
	LAB_PLAIN='[]' chain_write bridge
	pod_add old
	chain_write bridge
	same "not in the chain" "${NODE_V4[node1]}" "$(ask old udp "$EXT_V4")"
	address=$(pod_ip old 4)
	pod_object old web
	kube_write_status /api/v1/namespaces/shop/pods/old "{\"podIP\": \"$address\", \"podIPs\": [{\"ip\": \"$address\"}]}" >/dev/null
	pod_object lost web # no interface has its address
	kube_write_status /api/v1/namespaces/shop/pods/lost '{"podIP": "10.244.1.250", "podIPs": [{"ip": "10.244.1.250"}]}' >/dev/null
	lab_wait 300 asks_as old "$EGRESS_V4"
	grep 'pod adopted.*pod=shop/old' "$LAB/log/sluiced-node1"
	lab_wait 300 grep 'pod not adopted.*pod=shop/lost reason="no veth of this node' "$LAB/log/sluiced-node1"
	pod_forget lost
	LAB_PLAIN='[]' chain_write bridge
	cni del old node1
	chain_write bridge
	no_records() { [ -z "$(find "$LAB/node1/state/attachments" -name 'adopted-*')" ]; }
	lab_wait 300 no_records
	pod_forget old
}

near_limit() { ctl node1 bindings -o json | jq -e '.[].identities[] | .connections >= 8' >/dev/null && said LimitNearlyReached "$1"; }
@test "a pod that comes near its limit is told so in an Event on it" {
	cluster_up
	kube_apply <<-END
		{apiVersion: sluice.dev/v1alpha1, kind: EgressGateway, metadata: {name: office},
		 spec: {addresses: [{range: "$EGRESS_V4"}], nodeSelector: {matchLabels: {kubernetes.io/hostname: gw1}},
		        allowedNamespaces: {}, limits: {connectionsPerPod: 10}}}
	END
	pod_start greedy web
	lab_wait 300 asks_as greedy "$EGRESS_V4"
	talk_open greedy "$EXT_V4" 8
	lab_wait 600 near_limit "80 % or more of the 10 that connectionsPerPod of gateway office gives it of $EGRESS_V4 are in use" ||
		lab_fail "told: $(events LimitNearlyReached)"
	kube_get /api/v1/namespaces/shop/events | jq -e '.items[] | select(.reason == "LimitNearlyReached") |
		.type == "Warning" and .involvedObject.kind == "Pod" and .involvedObject.name == "greedy"'
	talk_close greedy
	pods_end greedy
}
