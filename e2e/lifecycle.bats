#!/usr/bin/env bats
# What a runtime does around ADD and DEL, by the text of the specification 1.1.0: GC and
# STATUS of whole lists; and a runtime that is killed between any two plugins, of ADD and
# of DEL: whatever it does next, nothing of ours stays, and nothing leaves wrongly.
load lib/lab

setup() { lab_up; }
teardown() { lab_teardown; }

# runtime VERB POD|- [ARGUMENT…]: on node1, by tools/runtime.py
runtime() {
	local verb=$1 pod=$2
	shift 2
	on node1 env CNI_PATH="$CNI_PATH" CNI_CACHE="$LAB/cache11" CAP_ARGS='{"podLabels": {"app": "web"}}' \
		CNI_ARGS="IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=$pod" \
		"$TOP/e2e/tools/runtime.py" "$verb" "$LAB/node1/net.conflist" "$@"
}
r_netns() {
	ip netns add "$P-$1"
	on "$1" sysctl -qw net.ipv6.conf.default.accept_dad=0
	ip -n "$P-$1" link set lo up
}
r_add() { runtime add "$1" "/run/netns/$P-$1" "$P-$1" >"$LAB/$1.result"; }
r_del() { runtime del "$1" "${2:-/run/netns/$P-$1}" "$P-$1"; }
calls() { cut -d' ' -f1,2 "$LAB/cache11/calls" | paste -sd ';'; }
records() { find "$LAB/node1/state/attachments" -type f | wc -l; }

# list11 [JQ-EDIT of the main plugin]: a list of the version 1.1.0
list11() {
	CNI_VERSION=1.1.0 chain_write routed ".hostPrefix = \"cali\" | ${1:-.}"
	on node1 nft -f - <<-END
		table inet main { chain post { type nat hook postrouting priority srcnat;
			ip saddr 10.244.0.0/16 ip daddr != 10.244.0.0/16 masquerade
			ip6 saddr fd00:244::/32 ip6 daddr != fd00:244::/32 masquerade
		}; }
	END
}

@test "version 1.1.0: STATUS, ADD, CHECK, GC and DEL of a whole list" {
	local pod
	list11
	runtime status -
	office_up
	runtime status -
	for pod in a b c; do
		r_netns "$pod"
		r_add "$pod"
		same version 1.1.0 "$(jq -r .cniVersion "$LAB/$pod.result")"
		same "$pod" "$EGRESS_V4" "$(ask "$pod" udp "$EXT_V4")"
	done
	runtime check a "/run/netns/$P-a" "$P-a"
	same "three records" 3 "$(records)"
	# all are valid; then one is not any more
	runtime gc - "$P-a" "$P-b" "$P-c"
	same "all valid" 3 "$(records)"
	rm "$LAB/cache11/calls"
	runtime gc - "$P-a" "$P-c"
	same calls "GC routed;GC sluice" "$(calls)"
	same "two valid" 2 "$(records)"
	same "map entries" 2 "$(map_dump node1 pods | jq length)"
	for pod in a c; do same "$pod stays" "$EGRESS_V6" "$(ask "$pod" tcp "$EXT_V6")"; done
	same "b is closed" timeout "$(ask b udp "$EXT_V4" timeout=300)"
	only_from "$EGRESS_V4" "$EGRESS_V6"
	for pod in a b c; do r_del "$pod"; done
	nothing_left node1
}

# whole VERB [CONTAINER…]: of the whole list, by libcni
whole() { on node1 env CNI_PATH="$CNI_PATH" CNI_CACHE="$LAB/cache" "$CNIRUN" "$1" "$LAB/node1/net.conflist" "${@:2}"; }

@test "version 1.1.0: the same by libcni itself, where there is one that has GC and STATUS (long)" {
	skip_long
	local pod
	list11
	run whole status
	[[ $output != *"of the specification 1.0.0"* ]] || skip "Debian 12's libcni is 1.1.2"
	same "STATUS without a daemon" 0 "$status"
	office_up
	whole status
	for pod in a b c; do web_add "$pod"; done
	cni check a node1
	whole gc "$P-a" "$P-b" "$P-c"
	same "all valid" 3 "$(records)"
	# what libcni remembers of the third goes by a DEL, and a GC for all comes behind it
	whole gc "$P-a" "$P-b"
	same "two valid" 2 "$(records)"
	# what it does not remember goes by GC alone
	rm "$LAB/cache/results/"*"$P-b-eth0"
	whole gc "$P-a"
	same "one valid" 1 "$(records)"
	same "map entries" 1 "$(map_dump node1 pods | jq length)"
	same "a stays" "$EGRESS_V6" "$(ask a tcp "$EXT_V6")"
	same "b is closed" timeout "$(ask b udp "$EXT_V4" timeout=300)"
	only_from "$EGRESS_V4" "$EGRESS_V6"
	whole gc
	same "none valid" 0 "$(records)"
	for pod in a b c; do pod_del "$pod"; done
	nothing_left node1
	list11 '.unwell = true'
	run ! whole status
	[[ $output == *unwell* ]]
}

@test "version 1.1.0: a plugin before us that fails GC does not keep us from ours" {
	office_up
	list11
	r_netns a
	r_add a
	list11 '.unwell = true' 2>/dev/null
	run -1 runtime gc -
	[[ $output == *unwell* ]]
	same records 0 "$(records)"
	run -1 runtime status -
	r_del a
	nothing_left node1
}

# three: bridge, us, and one after us that looks at what we passed on
three() {
	# shellcheck disable=SC2016 # $sluice is jq's
	LAB_PLAIN='[$sluice, {type: "tuning", sysctl: {"net.core.somaxconn": "500"}}]' chain_write bridge
}

# killed VERB POD N: 137 is SIGKILL
killed() {
	KILL_AFTER=$3 run -137 "r_$1" "$2"
}

# orphaned VERB POD N at-once|late: the Nth plugin works on, alone; late: it was held up, so
# that what comes next is done first. orphans_end POD: none of the pod's is at work any more
orphaned() {
	local plugin
	if [ ! -d "$LAB/late" ]; then
		mkdir "$LAB/late"
		for plugin in /usr/lib/cni/bridge "$BIN/sluice" /usr/lib/cni/tuning; do
			printf '#!/bin/sh\nsleep 1\nexec "%s"\n' "$plugin" >"$LAB/late/${plugin##*/}"
			chmod +x "$LAB/late/${plugin##*/}"
		done
	fi
	[ "$4" = at-once ] || local CNI_PATH=$LAB/late:$CNI_PATH
	KILL_IN=$3 run -137 "r_$1" "$2"
}
orphans_end() { lab_wait 300 no_orphans "$1" || lab_fail "a plugin of $1 does not end"; }
no_orphans() { [ -z "$(processes_of "CNI_CONTAINERID=$P-$1")" ]; }

@test "the runtime killed after each plugin of ADD: its DEL finds all of it, and the retry works" {
	local n
	office_up
	three
	for n in 1 2 3; do
		r_netns "p$n"
		killed add "p$n" "$n"
		# not one packet under another address, whatever is there already
		[ "$n" = 1 ] || same "after $n" "$EGRESS_V4" "$(ask "p$n" udp "$EXT_V4")"
		# it remembers no result
		r_del "p$n"
		r_add "p$n"
		same "again" "$EGRESS_V4" "$(ask "p$n" udp "$EXT_V4")"
		r_del "p$n"
		nothing_left node1
	done
}

@test "the runtime killed while each plugin of ADD works, which works on: DEL meanwhile, and again" {
	local n when
	office_up
	three
	for n in 1-at-once 2-at-once 2-late 3-at-once ${SLUICE_E2E_FULL:+1-late 3-late}; do
		when=${n#*-}
		r_netns "o$n"
		orphaned add "o$n" "${n%%-*}" "$when"
		r_del "o$n"
		orphans_end "o$n"
		r_del "o$n"
		ip netns del "$P-o$n"
		lab_wait 300 nothing_left node1 || nothing_left node1
		# the namespace goes under the plugin's hands, and no DEL but the one without it comes
		r_netns "e$n"
		orphaned add "e$n" "${n%%-*}" "$when"
		ip netns del "$P-e$n"
		orphans_end "e$n"
		r_del "e$n" -
		lab_wait 300 nothing_left node1 || nothing_left node1
	done
	r_netns well
	r_add well
	same "the next one" "$EGRESS_V4" "$(ask well udp "$EXT_V4")"
	r_del well
	nothing_left node1
	only_from "$EGRESS_V4" "$EGRESS_V6"
}

@test "the runtime killed while each plugin of DEL works, which works on: DEL meanwhile, with and without the namespace" {
	local n
	office_up
	three
	for n in 1-at-once 2-at-once 2-late 3-at-once ${SLUICE_E2E_FULL:+1-late 3-late}; do
		r_netns "o$n"
		r_add "o$n"
		orphaned del "o$n" "${n%%-*}" "${n#*-}"
		r_del "o$n"
		orphans_end "o$n"
		nothing_left node1
		r_add "o$n"
		orphaned del "o$n" "${n%%-*}" "${n#*-}"
		ip netns del "$P-o$n"
		r_del "o$n" -
		orphans_end "o$n"
		nothing_left node1
	done
	only_from
}

@test "the runtime killed after each plugin of DEL: called again, with and without the namespace" {
	local n
	office_up
	three
	for n in 1 2 3; do
		r_netns "p$n"
		r_add "p$n"
		killed del "p$n" "$n"
		r_del "p$n"
		nothing_left node1
		r_add "p$n"
		killed del "p$n" "$n"
		ip netns del "$P-p$n"
		r_del "p$n" -
		nothing_left node1
	done
	only_from
}

@test "the runtime killed and never back: the namespace's end, or GC, leaves nothing" {
	local n verb
	office_up
	for verb in add del; do
		for n in 1 2; do
			list11 2>/dev/null
			r_netns "g$verb$n"
			[ "$verb" = add ] || r_add "g$verb$n"
			killed "$verb" "g$verb$n" "$n"
		done
	done
	runtime gc -
	same records 0 "$(records)"
	same "map entries" 0 "$(map_dump node1 pods | jq length)"
	three
	for verb in add del; do
		for n in 1 2 3; do
			r_netns "n$verb$n"
			[ "$verb" = add ] || r_add "n$verb$n"
			killed "$verb" "n$verb$n" "$n"
		done
	done
	for n in "/run/netns/$P"-[gn]*; do ip netns del "${n##*/}"; done
	lab_wait 300 nothing_left node1 || nothing_left node1
}
