#!/usr/bin/env bats
# What ADD costs, counted: times depend on the machine, these do not.
load lib/lab

setup() {
	lab_up node1
	traced_chain
	office_up node1
}
teardown() { lab_teardown; }

# The plugin under strace, as the runtime calls it: $LAB/trace.VERB.CONTAINER
traced_chain() {
	mkdir "$LAB/traced"
	cat >"$LAB/traced/sluice" <<-END
		#!/bin/sh
		exec strace -f -y -s 256 -o "$LAB/trace.\$CNI_COMMAND.\$CNI_CONTAINERID" "$BIN/sluice"
	END
	chmod +x "$LAB/traced/sluice"
	CNI_PATH=$LAB/traced:$CNI_PATH
}

trace_of() { echo "$LAB/trace.$1.$P-$2"; }

# calls VERB POD [PATTERN]: how many system calls (their lines match PATTERN)
calls() {
	grep -E '^[0-9]+ +[a-z]' "$(trace_of "$1" "$2")" | grep -vF " resumed>" | grep -cE -- "${3:-.}"
}

# at_most WHAT LIMIT ACTUAL
at_most() { [[ $3 -gt 0 && $3 -le $2 ]] || lab_fail "$1: $3, at most $2"; }

# frugal VERB POD LIMIT: few calls, and none whose cost grows with the node.
frugal() {
	at_most "system calls of $1" "$3" "$(calls "$1" "$2")" || return
	same "netlink dumps of $1" 0 "$(calls "$1" "$2" 'NLM_F_DUMP|NLM_F_ROOT')" || return
	same "programs loaded by $1" 0 "$(calls "$1" "$2" '^[0-9]+ +bpf\(BPF_(PROG|BTF)_LOAD')" || return
	same "folders read by $1" 0 "$(calls "$1" "$2" 'getdents.*attachments')"
}

# own_locks VERB POD: every lock is that of this one attachment
own_locks() {
	same "locks of $1" 1 "$(calls "$1" "$2" ' flock\([0-9]+<.*/locks/'"$P-$2:eth0"'>, LOCK_EX')" || return
	same "other locks of $1" 1 "$(calls "$1" "$2" ' (flock|lockf)\(|F_(OFD_)?SETLKW?')"
}

@test "ADD, CHECK and DEL with the daemon: few system calls, no dump, no program load" {
	web_add a
	cni check a node1
	pod_del a
	# the trace shows what is counted
	calls ADD a 'RTM_GETLINK'
	calls ADD a 'bpf\(BPF_MAP_UPDATE_ELEM'
	calls ADD a 'sluiced.sock'
	frugal ADD a 150
	frugal CHECK a 150
	frugal DEL a 100
}

@test "ADD from the snapshot: few system calls, no dump, no program load, nobody asked" {
	known_program
	node_stop node1
	web_add a
	cni check a node1
	pod_del a
	calls ADD a 'state/snapshot'
	same "children of ADD" 0 "$(calls ADD a ' (fork|vfork|clone3?|execve)\(.*sluiced')"
	frugal ADD a 150
	frugal CHECK a 150
	frugal DEL a 100
}

@test "no lock that others wait for is held across fsync or attach" {
	known_program
	web_add a
	pod_del a
	calls ADD a ' fsync\('
	own_locks ADD a
	own_locks DEL a
	node_stop node1
	web_add b
	own_locks ADD b
}

@test "the same system calls with 1 and with 1,000 policies and links" {
	local n few
	known_program
	web_add a
	few=$(calls ADD a)
	for n in {1..1000}; do
		cat <<-END
			---
			apiVersion: sluice.dev/v1alpha1
			kind: EgressPolicy
			metadata: {name: other-$n, namespace: default}
			spec:
			  subject: {podSelector: {matchLabels: {app: other-$n}}}
			  rules: [{name: out, action: Allow, to: [{cidr: 198.18.$((n / 250)).$((n % 250))/32}], via: {gateway: office}}]
		END
		echo "link add d$n type veth peer name e$n" >&5
	done 5>"$LAB/links" | policy 30-others.yaml
	ip -n "$P-node1" -batch "$LAB/links"
	lab_wait 100 has_policies node1 1001
	web_add b
	same "system calls" "$few" "$(calls ADD b)"
	node_stop node1
	web_add c
	frugal ADD c 150
}

# The snapshot knows the program of such pods.
known_program() {
	touch "$LAB/before"
	web_add first
	lab_wait 50 test "$LAB/node1/state/snapshot" -nt "$LAB/before"
}
has_policies() { [ "$(ctl "$1" status -o json | jq .policies)" = "$2" ]; }
