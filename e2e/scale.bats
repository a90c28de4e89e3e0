#!/usr/bin/env bats
# One daemon before a crowd of objects. A node never has so many as the first test's: make scale
# does it with 100,000 pods and 10,000 policies (some minutes), and prints what it took beside what
# it may take. Memory fails it; time does not, since it is the machine's as well.
load lib/kube
load lib/crowd

PODS=${SCALE_PODS:-5000} POLICIES=${SCALE_POLICIES:-1000}

setup() { kube_or_skip; }
teardown() { lab_teardown; }

GATE_S=5 GATE_MIB=64

peak() { echo "peak $(crowd_peak) MiB (at most $GATE_MIB: $(crowd_gate $GATE_MIB "$(crowd_peak)"))"; }
# WHAT [GATE]: of seconds
said() {
	echo "# $PODS pods x $POLICIES policies, $1: $SECONDS_TAKEN s${2:+ (at most $2: $(crowd_gate "$2" "$SECONDS_TAKEN"))}," \
		"$(crowd_waited) s of them without a processor, $(crowd_cpu) s with one, $(peak)" >&3
	peak | grep -q ok
}

@test "a crowd of pods and policies is in force after a cold list, and again after a restart (long)" {
	skip_long
	lab_up node1
	crowd_up "$PODS" "$POLICIES" 2>&3
	crowd_start
	said "a cold list of a real server"
	crowd_told
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
	crowd_start msg=ready
	said "a restart, in force from its own log" "$GATE_S"
	crowd_told
	echo "# … and told again by the API: $(peak)" >&3
	peak | grep -q ok
	node_stop node1
	# what the server itself needs left out: the same lists from a file
	crowd_record
	kube_api_stop
	rm -rf "$LAB/node1/state"/*
	daemon replay on node1 "$TOP/build/e2e/kube_replay" "$LAB/recorded" "$LAB/replayed"
	lab_wait 100 test -s "$LAB/replayed"
	crowd_start '' "$LAB/replayed"
	said "a cold list of what was recorded" "$GATE_S"
	daemon_stop replay
}

@test "250 pods and 1,000 policies are 16 MiB of a daemon that wakes for its looks, heartbeats and bookmarks alone (long)" {
	skip_long
	lab_up node1
	crowd_up 250 1000
	crowd_start
	crowd_told
	# twice a second it looks at the kernel; of the Lease it hears or says something each two seconds.
	# Before that it writes 1,000 policies' conditions, since there is nobody else.
	lab_wait 3000 crowd_calm || lab_fail "woken $(wakes node1) times in ten seconds"
	lab_wait 600 crowd_small || lab_fail "$(crowd_memory)"
	echo "# $(crowd_memory) woken $(wakes node1) times in ten seconds" >&3
}

crowd_calm() { [ "$(wakes node1)" -le 60 ]; }
crowd_small() { awk '/^VmRSS/ { exit $2 > 16384 }' "$(crowd_of status)"; }
