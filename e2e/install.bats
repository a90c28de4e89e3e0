#!/usr/bin/env bats
# sluiced install and uninstall: our list beside main CNIs that write theirs in every way,
# while somebody looks at the folder all the time as a runtime does (the real libcni);
# programs replaced while they run; and the way back while pods are there.
load lib/lab
load lib/runtimes

setup() {
	skip_long
	lab_up node1
	NET_D=$LAB/node1/net.d PLUGINS=$LAB/node1/plugins
	mkdir "$NET_D"
	LAB_PLAIN='[]' chain_write bridge
	mv "$LAB/node1/net.conflist" "$LAB/node1/main.conflist"
	ln -s "$NET_D/00-sluice.conflist" "$LAB/node1/net.conflist"
	export CNI_PATH=$PLUGINS:/usr/lib/cni
	settings
}
teardown() { lab_teardown; }

# settings: of the node, in a file, as everybody who starts sluiced there reads them
settings() {
	jq -n --arg lab "$LAB/node1" --arg policies "$LAB/policies" --argjson entry "$(sluice_entry node1)" \
		'{nodeName: "node1", policyDir: $policies, stateDir: ($lab + "/state"), runDir: ($lab + "/run"),
		  bpffs: ($lab + "/bpf"), cniConfDir: ($lab + "/net.d"), cniBinDir: ($lab + "/plugins"),
		  cniEntry: $entry}' >"$LAB/node1/sluiced.yaml"
}
main_list() { cp "$LAB/node1/main.conflist" "$NET_D/.new" && mv "$NET_D/.new" "$NET_D/${1:-10-main.conflist}"; }
sluiced() { on node1 "${SLUICED:-$BIN/sluiced}" "$@" --config "$LAB/node1/sluiced.yaml"; }

# keeper_start: the daemon, which keeps the list
keeper_start() {
	daemon sluiced-node1 on node1 "$BIN/sluiced" --config "$LAB/node1/sluiced.yaml"
	lab_wait 100 node_answers node1 || lab_fail "sluiced does not answer"
}
ready() { on node1 "$BIN/sluicectl" status --config "$LAB/node1/sluiced.yaml" "$@"; }
condition() { ready -o json | jq -r '.conditions[] | select(.type == "ChainInForce") | .reason'; }
reason_is() { [ "$(condition)" = "$1" ]; }

# poll_start; poll_end: how often somebody looked, and how often it was wrong
poll_start() {
	rm -f "$LAB/stop"
	daemon poll "$CNIRUN" poll "$NET_D" sluice "$LAB/stop"
}
poll_end() {
	touch "$LAB/stop"
	lab_wait 100 grep -q looks "$LAB/log/poll" || return
	tail -n 1 "$LAB/log/poll"
	grep -q ' looks, 0 wrong, ' "$LAB/log/poll"
	rm "$LAB/log/poll"
}
# ours NETWORK: our list is a copy of the one of that network
ours() { [ "$(jq -r .name "$NET_D/00-sluice.conflist")" = "$1" ]; }
write_main() { "$TOP/e2e/tools/writer.py" "$1" "$NET_D" "$2" "$3"; }

governed() { same "governed" "$EGRESS_V4" "$(ask "$1" udp "$EXT_V4")"; }
plain() { same "not governed" "${NODE_V4[node1]}" "$(ask "$1" udp "$EXT_V4")"; }

# other_version DIR: the programs as if they were of another version
other_version() {
	mkdir -p "$1"
	python3 - "$BIN/sluice" "$1/sluice" <<-'END'
		import re, sys
		data = open(sys.argv[1], "rb").read()
		open(sys.argv[2], "wb").write(re.sub(rb"(@\(#\) sluice version )[^\0]", rb"\1Z", data))
	END
	chmod 755 "$1/sluice"
}

@test "a report that does not arrive is a failure" {
	local verb
	main_list
	for verb in --help --version 'install --dry-run' 'uninstall --dry-run' 'install -o json --dry-run'; do
		# shellcheck disable=SC2016 # $1 and $2 are the inner shell's
		run -1 bash -c 'exec $1 $2 >/dev/full' - "$BIN/sluiced" "$verb"
		[[ $output == *"write to standard output: No space left on device" ]]
	done
}

@test "installed by hand: pods go through the list that is first, and are governed" {
	gateway_on node1
	web_policy
	run -3 sluiced install
	[[ $output == *"$PLUGINS/sluice: installed, version "*", xxh64 "* ]]
	[[ $output == *"not in force: no configuration of a main CNI is there"* ]]
	main_list
	run -0 sluiced install --dry-run
	[[ $output == *'"of": "10-main.conflist"'* ]]
	[ ! -e "$NET_D/00-sluice.conflist" ]
	run -0 sluiced install
	[[ $output == *"00-sluice.conflist: written, a copy of 10-main.conflist"* ]]
	[[ $output == *"in force: "* ]]
	run -0 sluiced install -o json
	same "nothing to do" "unchanged unchanged true" \
		"$(jq -r '"\(.programs[0].action) \(.list.action) \(.inForce)"' <<<"$output")"
	# by the settings file alone: the list is the daemon's now
	keeper_start
	gateway_wait node1
	web_add a
	governed a
	cni check a node1
	pod_del a
	nothing_left node1
}

@test "not ready before pods go through us, and not when they do not any more" {
	gateway_on node1
	keeper_start
	run -3 ready
	same "no main list" NoConfiguration "$(condition)"
	main_list
	lab_wait 100 reason_is PluginMissing || lab_fail "$(condition)"
	sluiced install --programs-only
	gateway_wait node1
	lab_wait 100 ready || lab_fail "$(ready)"
	same "in force" InForce "$(condition)"
	# somebody sorts before us, and has no entry of ours
	main_list 00-aaa.conflist
	run -3 ready
	same "not first" NotFirst "$(condition)"
	rm "$NET_D/00-aaa.conflist"
	lab_wait 100 ready
	other_version "$LAB/other"
	sluiced install --programs-only --from "$LAB/other"
	run -3 ready
	[[ $output == *PluginVersion* ]]
	sluiced install --programs-only
	ready
	# it stays when the daemon goes
	node_stop node1
	[ -s "$NET_D/00-sluice.conflist" ]
}

@test "main CNIs that write in their ways: ours follows, and is never broken nor gone" {
	local style name n=0
	write_main kindnetd 10-main.conflist first
	keeper_start
	lab_wait 100 ours first
	poll_start
	for style in kindnetd flannel calico kindnet configmap editor; do
		name=10-main.conflist
		((n += 1))
		write_main "$style" "$name" "net-$style"
		lab_wait 100 ours "net-$style" || lab_fail "$style: $(cat "$NET_D/00-sluice.conflist")"
	done
	# two main CNIs, and one that puts the others aside
	write_main kindnetd 20-other.conflist other
	write_main cilium 05-cilium.conflist cilium
	lab_wait 100 ours cilium
	[ -e "$NET_D/10-main.conflist.cilium_bak" ]
	# one plugin is a list, too
	rm "$NET_D/05-cilium.conflist"
	write_main kindnetd 10-main.conf single
	lab_wait 100 ours single
	# gone for good: the copy stays
	rm "$NET_D/10-main.conf"
	sleep 1
	ours single
	poll_end
}

@test "a main CNI that does not come back is waited for, and then another one is taken" {
	write_main kindnetd 10-main.conflist first
	write_main kindnetd 20-other.conflist second
	keeper_start
	lab_wait 100 ours first
	poll_start
	# as when it is removed and written anew: nobody meets the other one
	write_main kindnet 10-main.conflist again
	lab_wait 100 ours again
	poll_end
	rm "$NET_D/10-main.conflist"
	lab_wait 100 ours second
}

# hostile N SEED: the main lists in every state; whoever looks sees ours, whole
hostile() {
	write_main kindnetd 10-main.conflist first
	keeper_start
	lab_wait 100 ours first
	poll_start
	"$TOP/e2e/tools/writer.py" hostile "$NET_D" "$1" "$2"
	lab_wait 100 ours last || lab_fail "$(ls -la "$NET_D"; cat "$NET_D/00-sluice.conflist")"
	poll_end
	same "left by us" "" "$(find "$NET_D" -name '.00-sluice*')"
}

@test "main lists rewritten, truncated, renamed and removed 200 times: the first list is always ours and whole" {
	hostile 200 1
}

@test "the same 3,000 times (long)" {
	hostile 3000 2
}

@test "the folder itself is moved away and made anew" {
	write_main kindnetd 10-main.conflist first
	keeper_start
	lab_wait 100 ours first
	rm -r "$NET_D"
	sleep 0.2
	mkdir "$NET_D"
	lab_wait 100 ours first
	mv "$NET_D" "$NET_D.old"
	mkdir "$NET_D"
	write_main calico 10-main.conflist second
	lab_wait 100 ours second
}

@test "what others chain into our list stays, and nobody answers anybody for ever" {
	local before
	write_main kindnetd 10-main.conflist first
	keeper_start
	lab_wait 100 ours first
	jq '.plugins += [{type: "istio-cni"}]' "$NET_D/00-sluice.conflist" >"$NET_D/.x"
	mv "$NET_D/.x" "$NET_D/00-sluice.conflist"
	before=$(stat -c %i "$NET_D/00-sluice.conflist")
	sleep 1
	same "left alone" "$before" "$(stat -c %i "$NET_D/00-sluice.conflist")"
	write_main kindnetd 10-main.conflist second
	lab_wait 100 ours second
	same "types" "ptp portmap sluice istio-cni" "$(jq -r '[.plugins[].type] | join(" ")' "$NET_D/00-sluice.conflist")"
}

@test "programs are replaced while they run: nobody meets a half, or a busy one" {
	local i pids=() failed=0
	main_list
	sluiced install
	other_version "$LAB/other"
	for i in 1 2; do
		sh -c 'until [ -e "$1/stop" ]; do
			echo "{\"cniVersion\":\"1.0.0\"}" | CNI_COMMAND=VERSION "$2/sluice" >/dev/null || exit
			echo >>"$1/ran"
		done' - "$LAB" "$PLUGINS" 3>&- &
		pids+=($!)
	done
	for ((i = 0; i < ${SLUICE_E2E_FULL:+2}20; i++)); do
		sluiced install --programs-only --from "$LAB/other" >/dev/null
		cmp "$LAB/other/sluice" "$PLUGINS/sluice"
		sluiced install --programs-only >/dev/null
		cmp "$BIN/sluice" "$PLUGINS/sluice"
	done
	touch "$LAB/stop"
	for i in "${pids[@]}"; do wait "$i" || failed=1; done
	same "failed" 0 "$failed"
	[ "$(wc -l <"$LAB/ran")" -gt 10 ]
	same "left" sluice "$(ls -A "$PLUGINS")"
}

# look: once, as a runtime
look() { "$CNIRUN" poll "$NET_D" sluice "$LAB/node1/sluiced.yaml" | grep -q ' looks, 0 wrong, '; }

# faults N: those of the Nth call
faults() {
	echo kill EIO
	[ -z "${SLUICE_E2E_FULL:-}" ] || [ $(($1 % 4)) != 0 ] || echo short ENOSPC EINTR
}

# hit STEP: an install that has something to do, hit at every STEPth system call
hit() {
	local n calls fault status
	other_version "$LAB/other"
	write_main kindnetd 10-main.conflist net-0
	sluiced install >/dev/null
	write_main kindnetd 10-main.conflist net-1
	on node1 "$TOP/build/e2e/slinject" "$LAB/calls" run 0 none "$BIN/sluiced" install --from "$LAB/other" \
		--config "$LAB/node1/sluiced.yaml" >/dev/null || true
	calls=$(wc -l <"$LAB/calls")
	for ((n = 1; n <= calls; n += $1)); do
		for fault in $(faults "$n"); do
			write_main kindnetd 10-main.conflist "net-$n-$fault"
			status=0
			on node1 "$TOP/build/e2e/slinject" "$LAB/report" run "$n" "$fault" "$BIN/sluiced" install \
				--config "$LAB/node1/sluiced.yaml" >"$LAB/said" 2>&1 || status=$?
			look || lab_fail "$fault at $(cat "$LAB/report")"
			cmp -s "$BIN/sluice" "$PLUGINS/sluice" || cmp -s "$LAB/other/sluice" "$PLUGINS/sluice" ||
				lab_fail "$fault at $(cat "$LAB/report"): the plugin is neither" || return
			[ "$status" != 0 ] || ours "net-$n-$fault" ||
				lab_fail "$fault at $(cat "$LAB/report"): $(cat "$LAB/said")" || return
			sluiced install >/dev/null || lab_fail "$fault at $(cat "$LAB/report"): not mended" || return
			same "left" "00-sluice.conflist 10-main.conflist" "$(find "$NET_D" -mindepth 1 -printf '%f\n' | sort | xargs)" || return
			sluiced install --from "$LAB/other" >/dev/null || true
		done
	done
}

@test "an error or the end in a system call of install: list and program are the old or the new, and it can be done again" {
	hit 20
}

@test "the same at every system call (long)" {
	hit 1
}

# chained_up: installed, and the daemon carries the office
chained_up() {
	main_list
	gateway_on node1
	web_policy
	sluiced install
	keeper_start
	gateway_wait node1
}

@test "upgrade and downgrade under running pods: they go on, and either version ends the other's" {
	chained_up
	web_add a
	other_version "$LAB/other"
	run -0 sluiced install --programs-only --from "$LAB/other"
	[[ $output == *"version Z"*", before "* ]]
	governed a
	web_add b
	governed b
	pod_del a
	run -0 sluiced install --programs-only
	[[ $output == *", before Z"* ]]
	governed b
	cni check b node1
	pod_del b
	nothing_left node1
	only_from "$EGRESS_V4"
}

# cached POD: from here on the runtime uses what it remembers of the pod's list
cached() { cp --remove-destination "$NET_D/00-sluice.conflist" "$LAB/node1/net.conflist"; }

@test "uninstalled while pods run: they and new ones have the main CNI's network, and all their DELs succeed" {
	chained_up
	web_add a
	web_add b
	governed a
	run -1 sluiced uninstall
	[[ $output == *"a daemon runs: end it first"* ]]
	governed a
	node_stop node1
	run -1 sluiced uninstall --purge
	[[ $output == *"2 pods run"*"--force"* ]]
	run -0 sluiced uninstall --dry-run
	[ -e "$NET_D/00-sluice.conflist" ]
	governed a
	cached
	run -0 sluiced uninstall
	[[ $output == *"10-main.conflist comes first now"* ]]
	[ ! -e "$NET_D/00-sluice.conflist" ]
	same "state" "attachments uninstalled" "$(find "$LAB/node1/state" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | xargs)"
	plain a
	same "tables" "" "$(on node1 nft list tables | grep sluice || true)"
	# the plugin as others still call it: a new pod, and those of before
	web_add c
	plain c
	cni check a node1
	cni check c node1
	pod_del a
	cni del a node1
	pod_del c
	run -0 sluiced uninstall -o json
	same "once more" "absent 1" "$(jq -r '"\(.list.action) \(.pods)"' <<<"$output")"
	# a pod through the main list alone
	cp --remove-destination "$NET_D/10-main.conflist" "$LAB/node1/net.conflist"
	web_add d
	plain d
	pod_del d
	# installed again: who is still there is governed again
	sluiced install
	keeper_start
	gateway_wait node1
	lab_wait 100 governed b
	node_stop node1
	cached
	sluiced uninstall
	pod_del b
	run -0 sluiced uninstall --purge
	[ ! -e "$PLUGINS/sluice" ]
	[ ! -e "$LAB/node1/state" ]
}

@test "a list that calls us by hand is named at the end, and its pods pass" {
	main_list
	jq --argjson entry "$(sluice_entry node1)" '.plugins += [$entry]' "$NET_D/10-main.conflist" >"$NET_D/.x"
	mv "$NET_D/.x" "$NET_D/10-main.conflist"
	sluiced install
	same "once" 1 "$(jq '[.plugins[] | select(.type == "sluice")] | length' "$NET_D/00-sluice.conflist")"
	run -0 sluiced uninstall
	[[ $output == *"10-main.conflist: still calls the plugin"* ]]
	ln -sf "$NET_D/10-main.conflist" "$LAB/node1/net.conflist"
	web_add a
	plain a
	pod_del a
}

@test "what cannot be written is said with its place and a cure" {
	main_list
	run -1 sluiced install --bin-dir "$LAB/node1/main.conflist"
	[[ $output == *"main.conflist is not a folder"* ]]
	run -1 sluiced install --from /nonexistent
	[[ $output == *"/nonexistent/sluice is not there: say by --from"* ]]
	run -1 sluiced install --conf-dir /nonexistent/net.d
	[[ $output == *"/nonexistent/net.d: No such file or directory"* ]]
	mkdir "$LAB/ro" "$LAB/node1/ro"
	mount -t tmpfs -o ro none "$LAB/node1/ro"
	run -1 sluiced install --bin-dir "$LAB/node1/ro"
	[[ $output == *"$LAB/node1/ro: "*"Read-only file system (mount it writable)"* ]]
	cp "$BIN/sluiced" "$LAB/node1/"
	mkdir -m 755 "$LAB/node1/closed"
	# shellcheck disable=SC2016 # the inner shell's own
	run -1 unshare --mount sh -c 'mount --bind "$1" /mnt && exec setpriv --reuid 65534 --clear-groups \
		/mnt/sluiced install --config /mnt/sluiced.yaml --programs sluiced --bin-dir /mnt/closed' - "$LAB/node1"
	[[ $output == *"/mnt/closed: "*"Permission denied (run as root)"* ]]
	run -2 sluiced install --entry '{"type": "bridge"}'
	[[ $output == *"--entry: type 'bridge': expected sluice"* ]]
}

@test "containerd: its network is ready through all of it, and pods of before can be deleted (long)" {
	need_containerd
	policy 30-pods.yaml <<-END
		apiVersion: v1
		kind: Pod
		metadata: {name: web, namespace: default, labels: {app: web}}
	END
	rm "$LAB/node1/net.conflist"
	cp "$LAB/node1/main.conflist" "$LAB/node1/net.conflist"
	gateway_on node1
	web_policy
	containerd_up node1
	# the runtime's folders, and the plugin itself instead of the recorder
	jq --arg d "$ROOM/net.d" --arg b "$ROOM/bin" '.cniConfDir = $d | .cniBinDir = $b' \
		"$LAB/node1/sluiced.yaml" >"$LAB/x" && mv "$LAB/x" "$LAB/node1/sluiced.yaml"
	NET_D=$ROOM/net.d
	local before after i
	before=$(sandbox_run default/before)
	keeper_start
	gateway_wait node1
	lab_wait 100 ours lab-node1
	sluiced install --programs-only
	lab_wait 100 in_runtime sluice || lab_fail "containerd has not heard of our list"
	after=$(sandbox_run default/web)
	lab_wait 100 heard "$EGRESS_V4"
	for i in {1..20}; do
		cp "$LAB/node1/main.conflist" "$NET_D/10-lab.conflist"
		: >"$NET_D/10-lab.conflist"
		cri ready
	done
	cp "$LAB/node1/main.conflist" "$NET_D/10-lab.conflist"
	cri stop "$before"
	cri remove "$before"
	node_stop node1
	sluiced uninstall
	lab_wait 100 cri ready
	cri stop "$after"
	cri remove "$after"
	same netns "" "$(inside ls /run/netns)"
	# containerd took the list of now for it: nobody called us, and nobody needs to
	lab_wait 100 veths_gone node1
	sluiced uninstall --purge
	[ ! -e "$LAB/node1/state" ]
}
need_containerd() {
	local tool
	for tool in containerd ctr runc busybox; do
		command -v "$tool" >/dev/null || skip "no $tool (scripts/install-deps --full)"
	done
	/usr/bin/python3 -c 'import grpc' 2>/dev/null || skip "no python3-grpcio (scripts/install-deps --full)"
}
heard() { [ "$(seen tcp "$1")" -gt 0 ]; }
# in_runtime PLUGIN: containerd's list has it
in_runtime() { cri network | jq -e --arg type "$1" '[.. | .type? // empty] | any(. == $type)'; }
