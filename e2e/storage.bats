#!/usr/bin/env bats
# The state folder and the bpffs in every bad way: ADD fails closed and says what to do,
# DEL succeeds, the daemon mends it or says that it cannot.
load lib/lab

setup() { lab_up node1; }
teardown() { lab_teardown; }

pins() { compgen -G "$LAB/node1/bpf/v*" || echo none; }
pinned() { test -e "$(pins)/$1"; }

# a_state: the node's state folder is a small file system of its own
a_state() { mount -t tmpfs -o size=64k,mode=700 "$P" "$LAB/node1/state"; }

# refused POD REGEX: ADD fails, says why, leaves nothing; the pod is not left open
refused() {
	run ! web_add "$1"
	echo "$output"
	[[ $output =~ $2 ]] || lab_fail "ADD of $1 does not say '$2'"
	[ ! -e "$LAB/node1/state/attachments/$P-$1:eth0.json" ] || lab_fail "a record is left of $1"
	pod_del "$1" || lab_fail "DEL of $1 after its ADD failed"
}

# deleted POD: DEL succeeds, and nothing of it is in the kernel
deleted() {
	pod_del "$1" || lab_fail "DEL of $1 failed"
	same "map entries" "${2:-0}" "$(map_dump node1 pods | jq length)"
}

# edit_waits POD WORDS: an edit that cannot be written down is not in force, and status says why;
# edit_done POD: once it can be, it is, and nobody had to do anything. (No way to EXT by IPv6 any more.)
edit_waits() {
	same "before the edit" "$EGRESS_V6" "$(ask "$1" udp "$EXT_V6")"
	web_rules "{name: no, action: Deny, to: [{cidr: '$EXT_V6/128'}, {cidr: $DENIED_V4/32}]}" \
		"{name: out, action: Allow, via: {gateway: office}}"
	lab_wait 100 out_of_sync "$2" || lab_fail "status does not say '$2': $(ctl node1 status)"
	same "what was in force" "$EGRESS_V6" "$(ask "$1" udp "$EXT_V6")"
	same "denied as before" timeout "$(ask "$1" udp "$DENIED_V4" timeout=300)"
	cni check "$1" node1
}
out_of_sync() {
	ctl node1 status -o json | jq -e --arg words "$1" \
		'any(.conditions[]; .type == "KernelInSync" and .status == "False" and (.message | contains($words)))'
}
edit_done() {
	lab_wait 100 asks_as "$1" timeout "$EXT_V6" || lab_fail "the edit is not in force: $(ctl node1 status)"
	same "the rest" "$EGRESS_V4" "$(ask "$1" udp "$EXT_V4")"
}

# collected POD: by GC, as one that is valid no more
collected() {
	sluice_entry node1 | jq -c '{cniVersion: "1.1.0", name: "lab-node1", "cni.dev/valid-attachments": []} + .' |
		on node1 env CNI_PATH="$CNI_PATH" CNI_COMMAND=GC "$BIN/sluice" || lab_fail "GC failed"
	same "map entries after GC" 0 "$(map_dump node1 pods | jq length)"
}

@test "the disk is full: ADD says so, an edit waits, DEL and GC work, and so do all when there is room again" {
	a_state
	office_up node1
	web_add web
	# all of it, and then what is left by bytes
	dd if=/dev/zero of="$LAB/node1/state/ballast" bs=4k 2>/dev/null || true
	refused full "$LAB/node1/state.*make room there.*No space left"
	same "the others" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	edit_waits web "No space left"
	rm "$LAB/node1/state/ballast"
	edit_done web
	dd if=/dev/zero of="$LAB/node1/state/ballast" bs=4k 2>/dev/null || true
	deleted web
	rm "$LAB/node1/state/ballast"
	web_add later
	same "with room" "$EGRESS_V4" "$(ask later udp "$EXT_V4")"
	dd if=/dev/zero of="$LAB/node1/state/ballast" bs=4k 2>/dev/null || true
	collected
	rm "$LAB/node1/state/ballast"
	pod_del later
	nothing_left node1
	only_from "$EGRESS_V4" "$EGRESS_V6"
}

@test "the disk cannot be written: ADD says so, an edit waits, DEL works, the daemon collects the record" {
	a_state
	office_up node1
	web_add web
	mount -o remount,ro "$LAB/node1/state"
	refused ro "$LAB/node1/state.*mount it for writing.*Read-only"
	same "the others" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
	edit_waits web "Read-only"
	mount -o remount,rw "$LAB/node1/state"
	edit_done web
	mount -o remount,ro "$LAB/node1/state"
	pod_del web
	mount -o remount,rw "$LAB/node1/state"
	node_stop node1
	node_start node1
	lab_wait 100 nothing_left node1
	nothing_left node1
	only_from "$EGRESS_V4" "$EGRESS_V6"
}

# spoiled POD COMMAND…: its record, by the command as a filter
spoiled() {
	local record
	record="$LAB/node1/state/attachments/$P-$1:eth0.json"
	"${@:2}" <"$record" >"$LAB/spoiled" && cat "$LAB/spoiled" >"$record"
}

@test "records cut off, overwritten, empty, of a newer version: the others go on, DEL works, CHECK says so" {
	office_up node1
	local pod
	for pod in good short empty noise newer; do web_add "$pod"; done
	spoiled short head -c 100
	spoiled empty true
	spoiled noise tr a-z A-Z
	spoiled newer sed 's/"version":1,/"version":9,/'
	node_stop node1
	node_start node1
	same good "$EGRESS_V4" "$(ask good udp "$EXT_V4")"
	for pod in short empty noise newer; do
		# what is in force stays so: nobody takes it for a pod that is gone
		same "$pod" "$EGRESS_V4" "$(ask "$pod" udp "$EXT_V4")"
		run ! cni check "$pod" node1
		[[ $output == *"$P-$pod:eth0.json"* ]] || lab_fail "CHECK of $pod does not name the record: $output"
	done
	for pod in short empty noise newer; do pod_del "$pod"; done
	same "records" 2 "$(find "$LAB/node1/state/attachments" -type f | wc -l)" # of good, of newer
	same good "$EGRESS_V4" "$(ask good udp "$EXT_V4")"
	rm "$LAB/node1/state/attachments/$P-newer:eth0.json"
	pod_del good
	lab_wait 150 nothing_left node1
	nothing_left node1
	only_from "$EGRESS_V4"
}

@test "snapshot, ids and last good policies spoiled: a compile run makes them anew" {
	office_up node1
	web_add web
	pod_del web
	local file way
	for file in snapshot ids.json last-good.log; do
		for way in "head -c 20" true "tr a-z A-Z"; do
			node_stop node1
			# shellcheck disable=SC2086 # a command with its arguments
			$way <"$LAB/node1/state/$file" >"$LAB/spoiled" || true
			cat "$LAB/spoiled" >"$LAB/node1/state/$file"
			web_add web
			same "$file, $way" "$EGRESS_V4" "$(ask web udp "$EXT_V4")"
			pod_del web
			node_start node1
		done
	done
	only_from "$EGRESS_V4"
}

@test "the bpffs unmounted under the daemon: mended under traffic" {
	office_up node1
	web_add web
	counts reset >/dev/null
	flood_in web 500 3 fresh flows=50
	sleep 0.3
	umount -l "$LAB/node1/bpf"
	lab_wait 100 pinned slu_from_pod || lab_fail "nothing is pinned again"
	lab_wait 100 asks_as web "$EGRESS_V4"
	flood_end web
	only_from "$EGRESS_V4"
	web_add later
	same later "$EGRESS_V4" "$(ask later udp "$EXT_V4")"
	pod_del web
	pod_del later
	nothing_left node1
}

@test "the bpffs unmounted without a daemon: DEL works, ADD makes it anew or says so" {
	office_up node1
	web_add web
	web_add other
	node_stop node1
	umount -l "$LAB/node1/bpf"
	pod_del web
	jq '.plugins[-1].sluiced = "/nowhere/sluiced"' "$LAB/node1/net.conflist" >"$LAB/x"
	cp "$LAB/node1/net.conflist" "$LAB/y" && cp "$LAB/x" "$LAB/node1/net.conflist"
	refused later "start sluiced"
	cp "$LAB/y" "$LAB/node1/net.conflist"
	web_add last
	same last "$EGRESS_V4" "$(ask last udp "$EXT_V4")"
	same other "$EGRESS_V4" "$(ask other udp "$EXT_V4")"
	only_from "$EGRESS_V4"
}

@test "pins removed one by one: DEL works without them, the daemon puts them back" {
	office_up node1
	local pin
	for pin in pods policies identities slu_from_pod config; do
		web_add web
		rm "$(pins)/$pin"
		lab_wait 100 pinned "$pin" || lab_fail "$pin is not put back"
		lab_wait 100 asks_as web "$EGRESS_V4" || lab_fail "without $pin: not mended"
		pod_del web
		node_stop node1
		web_add web
		rm "$(pins)/$pin"
		cni del web node1 || lab_fail "DEL without $pin failed"
		ip netns del "$P-web"
		node_start node1
	done
	nothing_left node1
	only_from "$EGRESS_V4"
}

@test "the power goes in the middle of writing, here and there" {
	run "$TOP/e2e/faults/powercut" --sample 6
	echo "$output"
	[ "$status" = 0 ]
}
