#!/usr/bin/env bats
# Real container runtimes, podman with its CNI backend and containerd through CRI,
# run pods in the chain bridge → sluice. Their first process speaks at once.
load lib/lab
load lib/runtimes

setup() {
	skip_long
	lab_up
	policy 30-pods.yaml <<-END
		apiVersion: v1
		kind: Pod
		metadata: {name: web, namespace: default, labels: {app: web}}
	END
}
teardown() { lab_teardown; }

# it_said: the first process got through, v4 and v6, and only under its address
it_said() {
	lab_wait 50 heard "$EGRESS_V4" || lab_fail "not heard: $(counts)" || return
	lab_wait 50 heard "$EGRESS_V6" || lab_fail "not heard: $(counts)" || return
	only_from "$EGRESS_V4" "$EGRESS_V6"
}
heard() { [ "$(seen tcp "$1")" -gt 0 ]; }

# pod_gone: a runtime's DEL has removed all of it
pod_gone() { nothing_left node1 && same netns "" "$(inside ls /run/netns)"; }

# verbs: which ones our plugin was called with
verbs() { calls | awk '!seen[$1]++ { print $1 }' | xargs; }

@test "podman: the first packet under the egress address, and nothing left" {
	need_podman
	office_up
	podman_up node1
	pm_run web
	it_said
	pm rm -f -t 0 web
	pod_gone
	same verbs "VERSION ADD DEL" "$(verbs)"
}

@test "podman: the same container again, with a new namespace and address (long)" {
	need_podman
	office_up
	podman_up node1
	local i
	pm_run web
	it_said
	for i in 1 2; do
		pm stop -t 0 web
		pod_gone
		counts reset >/dev/null
		pm start web
		it_said
	done
	pm rm -f -t 0 web
	pod_gone
}

@test "podman: a published port, and several containers at once (long)" {
	need_podman
	# shellcheck disable=SC2016 # $sluice is jq's
	LAB_PLAIN='[{type: "portmap", capabilities: {portMappings: true}}, $sluice]' chain_write bridge
	office_up
	podman_up node1
	local i pids=()
	pm_run web -p 30080:8080
	it_said
	for i in 1 2 3 4; do
		pm_run "plain$i" 3>&- &
		pids+=($!)
	done
	wait "${pids[@]}"
	pm exec -d web /bin/busybox sh -c 'while :; do echo hello | /bin/busybox nc -l -p 8080; done'
	lab_wait 30 published || lab_fail "no answer from the published port"
	pm rm -f -t 0 -a
	pod_gone
}
published() { on ext sh -c "sleep 0.2 | busybox nc -w 1 ${NODE_V4[node1]} 30080" | grep -q hello; }

@test "containerd: the first packet under the egress address, DEL in its forms" {
	need_containerd
	office_up
	containerd_up node1
	local id
	id=$(sandbox_run default/web)
	it_said
	cri stop "$id"
	pod_gone
	cri stop "$id"
	cri remove "$id"
	calls
	same calls "ADD netns prevResult;DEL netns prevResult;DEL - -;DEL - -" "$(calls | paste -sd ';')"
}

@test "containerd killed with a pod running: its egress goes on, and the later DEL finds everything (long)" {
	need_containerd
	office_up
	containerd_up node1
	local id netns
	id=$(sandbox_run default/web)
	it_said
	netns=$(inside ls /run/netns)
	daemon_stop containerd-node1 KILL
	same "without containerd" "$EGRESS_V4" "$(in_pod "$netns" "$PROBE" ask udp "$EXT_V4" "$PORT")"
	same "denied without containerd" timeout "$(in_pod "$netns" "$PROBE" ask udp "$DENIED_V4" "$PORT" timeout=300)"
	containerd_start
	same "after its restart" "$EGRESS_V4" "$(in_pod "$netns" "$PROBE" ask tcp "$EXT_V4" "$PORT")"
	cri stop "$id"
	pod_gone
	cri remove "$id"
	same "the first DEL" "DEL netns prevResult" "$(calls | grep -m 1 DEL)"
	only_from "$EGRESS_V4" "$EGRESS_V6"
}

@test "containerd: an ADD that cannot know the policy fails with its reason, leaves nothing, and works later" {
	need_containerd
	gateway_on gw1
	web_policy
	# no daemon, and none to run once
	chain_write bridge
	jq '.plugins[-1].sluiced = "/nonexistent/sluiced"' "$LAB/node1/net.conflist" >"$LAB/x"
	mv "$LAB/x" "$LAB/node1/net.conflist"
	containerd_up node1
	run ! sandbox_run default/web
	[[ $output == *"egress policy cannot be known"* ]]
	same "two calls, the second without prevResult" "ADD netns prevResult;DEL netns -" "$(calls | paste -sd ';')"
	only_from
	same records 0 "$(find "$LAB/node1/state/attachments" -type f 2>/dev/null | wc -l)"
	same netns "" "$(inside ls /run/netns)"
	node_start node1 gw1
	gateway_wait gw1
	sandbox_run default/web
	it_said
	sandboxes_remove
	pod_gone
}

@test "containerd killed in the middle of RunPodSandbox: nothing stays once the sandbox is gone (long)" {
	need_containerd
	office_up
	containerd_up node1
	local delay pid
	for delay in 0.02 0.05 0.08 0.11 0.15 0.2 0.25 0.3 0.4 0.5; do
		sandbox_run default/web 3>&- &
		pid=$!
		sleep "$delay"
		daemon_stop containerd-node1 KILL
		wait "$pid" || true
		containerd_start
		sandboxes_remove
		# what containerd forgot goes with its network namespace; our daemon notices
		for netns in $(inside ls /run/netns); do
			echo "# $delay: containerd forgot $netns"
			inside ip netns del "$netns"
		done
		lab_wait 50 nothing_left node1 || nothing_left node1
		only_from "$EGRESS_V4" "$EGRESS_V6"
	done
}

@test "containerd: ten pods at once through portmap and us, and their ends (long)" {
	need_containerd
	# shellcheck disable=SC2016 # $sluice is jq's
	LAB_PLAIN='[{type: "portmap", capabilities: {portMappings: true}}, $sluice]' chain_write bridge
	policy 30-pods.yaml < <(for i in {1..10}; do
		echo "---"
		echo "{apiVersion: v1, kind: Pod, metadata: {name: web$i, namespace: default, labels: {app: web}}}"
	done)
	office_up
	containerd_up node1
	local i pids=()
	for i in {1..10}; do
		sandbox_run "default/web$i" "port=$((30080 + i)):8080" 3>&- &
		pids+=($!)
	done
	wait "${pids[@]}"
	lab_wait 50 all_heard || counts
	all_heard
	only_from "$EGRESS_V4" "$EGRESS_V6"
	sandboxes_remove
	pod_gone
	same "rules of hostPorts" 0 "$(on node1 iptables-save -t nat | grep -c 3008 || true)"
}
all_heard() { [ "$(seen tcp "$EGRESS_V4")" = 10 ] && [ "$(seen tcp "$EGRESS_V6")" = 10 ]; }

@test "podman killed in the middle of run: nothing stays once the container is gone (long)" {
	need_podman
	office_up
	podman_up node1
	local delay pid
	for delay in 0.1 0.2 0.3 0.4 0.5 0.7; do
		pm_run web 3>&- &
		pid=$!
		sleep "$delay"
		pkill -KILL -P "$pid" podman || kill -KILL "$pid" || true
		wait "$pid" || true
		pm_remove
		echo "# $delay"
		forgotten_end
		only_from "$EGRESS_V4" "$EGRESS_V6"
	done
}

# forgotten_end: what the runtime does not remember goes with its network namespace
forgotten_end() {
	local netns
	for netns in $(inside ls /run/netns); do
		echo "# forgotten: $netns"
		inside umount -l "/run/netns/$netns" || true
		inside rm "/run/netns/$netns"
	done
	lab_wait 300 nothing_left node1 || nothing_left node1
}

@test "containerd killed at every step of a pod: its next calls and the namespace's end leave nothing (long)" {
	need_containerd
	office_up
	containerd_up node1
	local step
	for step in "before ADD bridge" "after ADD bridge" "before ADD sluice" "after ADD sluice" \
		"before create runc" "after create runc" "before start runc" "after start runc"; do
		echo "# $step"
		dies_at "$step"
		sandbox_run default/web || true
		died
		containerd_start
		sandboxes_remove
		forgotten_end
		only_from "$EGRESS_V4" "$EGRESS_V6"
	done
	for step in "before kill runc" "after kill runc" "before delete runc" "after delete runc" \
		"before DEL sluice" "after DEL sluice" "before DEL bridge" "after DEL bridge"; do
		echo "# $step"
		counts reset >/dev/null
		sandbox_run default/web
		it_said
		dies_at "$step"
		sandboxes_remove || true
		died
		containerd_start
		sandboxes_remove
		forgotten_end
		only_from "$EGRESS_V4" "$EGRESS_V6"
	done
}

# pm_remove: all of them; podman does not find its way past what it left mounted when it died
pm_remove() {
	pm rm -f -t 0 -a && return
	# shellcheck disable=SC2016 # awk's own
	inside awk -v root="$ROOM/" 'index($5, root) == 1 { print $5 }' /proc/self/mountinfo |
		sort -r | while read -r mount; do inside umount -l "$mount"; done
	pm rm -f -t 0 -a
}

@test "podman killed at every step of a container: its next calls and the namespace's end leave nothing (long)" {
	need_podman
	office_up
	podman_up node1
	local step
	for step in "before ADD bridge" "after ADD bridge" "before ADD sluice" "after ADD sluice" \
		"before create runc" "after create runc" "before start runc" "after start runc"; do
		echo "# $step"
		dies_at "$step"
		doomed pm_run web || true
		died
		pm_remove
		forgotten_end
		only_from "$EGRESS_V4" "$EGRESS_V6"
	done
	for step in "before kill runc" "after kill runc" "before DEL sluice" "after DEL sluice" \
		"before DEL bridge" "after DEL bridge" "before delete runc" "after delete runc"; do
		echo "# $step"
		counts reset >/dev/null
		pm_run web
		it_said
		dies_at "$step"
		doomed pm rm -f -t 0 web || true
		died
		pm_remove
		forgotten_end
		only_from "$EGRESS_V4" "$EGRESS_V6"
	done
}
