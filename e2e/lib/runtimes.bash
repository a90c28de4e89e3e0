# shellcheck shell=bash
# Real container runtimes on a node of the lab. Each lives in a room: the node's
# network namespace and a mount namespace with fresh /run and /var/lib, so that it
# sees nothing of the machine's own runtimes and leaves nothing. Its containers'
# cgroups are below one named after the lab, by which lab_destroy finds them.
# Nothing here needs CAP_SYS_RESOURCE.
#
#	room_up NODE        in ROOM; inside COMMAND… runs there; room_of NODE: goes to another one
#	podman_up NODE      then: pm ARGUMENT…
#	containerd_up NODE  then: cri ARGUMENT…, containerd_start, containerd_kill

# What they need is not installed for make check, which runs the short form if it is there.
need_podman() { need podman runc busybox; }
need_containerd() {
	need containerd ctr runc busybox
	/usr/bin/python3 -c 'import grpc' 2>/dev/null || skip "no python3-grpcio (scripts/install-deps --full)"
}
need() {
	local tool
	for tool; do command -v "$tool" >/dev/null || skip "no $tool (scripts/install-deps --full)"; done
}

room_of() { ROOM_NODE=$1 ROOM=$LAB/room-$1; }

room_up() {
	local node=$1
	room_of "$node"
	mkdir -p "$ROOM/net.d" "$ROOM/bin"
	ln -s /usr/lib/cni/* "$ROOM/bin"
	recorder
	deadly bridge /usr/lib/cni/bridge
	deadly runc "$(command -v runc)"
	image
	cp "$LAB/$node/net.conflist" "$ROOM/net.d/10-lab.conflist"
	daemon "room-$node" nsenter --net="/run/netns/$P-$node" unshare --mount sh -c "
		mount -t tmpfs run /run && mount -t tmpfs lib /var/lib && mkdir /run/netns &&
		touch '$ROOM/ready' && exec sleep 3600"
	lab_wait 50 test -e "$ROOM/ready" || lab_fail "no room: $(cat "$LAB/log/room-$node")"
}

inside() { $EXEC nsenter --mount --net -t "$(cat "$LAB/pids/room-$ROOM_NODE")" -- "$@"; }

# in_pod NETNS COMMAND…: by its name in the room
in_pod() {
	local netns=$1
	shift
	inside nsenter --net="/run/netns/$netns" "$@"
}

# calls: VERB netns|- prevResult|- of every call of our plugin, in order
recorder() {
	cat >"$ROOM/bin/sluice" <<-END
		#!/bin/sh
		request=\$(cat)
		case \$request in *'"prevResult"'*) prev=prevResult ;; *) prev=- ;; esac
		echo "\$CNI_COMMAND \${CNI_NETNS:+netns} \$prev" >>"$ROOM/calls.log"
		printf %s "\$request" | "$BIN/sluice"
	END
	chmod +x "$ROOM/bin/sluice"
	: >"$ROOM/calls.log"
	mv "$ROOM/bin/sluice" "$ROOM/recorder"
	deadly sluice "$ROOM/recorder"
}

# deadly NAME BINARY: a plugin or runc; it kills the runtime before or after it does what dies_at
# said, once, and in the first case goes on alone. dies_at before|after VERB NAME, where runc's
# verbs are create, start, kill, delete; died: it has. The runtime is who calls, but for what
# its helpers call: then the one whose pid is in $ROOM/runtime (see doomed).
deadly() {
	rm -f "$ROOM/bin/$1"
	cat >"$ROOM/bin/$1" <<-END
		#!/bin/sh
		verb=\$CNI_COMMAND
		[ $1 != runc ] || for word; do
			case \$word in create | start | kill | delete) verb=\$word && break ;; esac
		done
		dies() {
			[ "\$(cat "$ROOM/dies-at" 2>/dev/null)" = "\$1 \$verb $1" ] || return
			case \$(cat /proc/\$PPID/comm) in
			podman | containerd) pid=\$PPID ;;
			*) pid=\$(cat "$ROOM/runtime") ;;
			esac
			# first, as containerd's end may be ours
			rm "$ROOM/dies-at"
			kill -KILL "\$pid" || echo "\$1 \$verb $1" >"$ROOM/dies-at"
		}
		dies before
		"$2" "\$@"
		status=\$?
		dies after
		exit \$status
	END
	chmod +x "$ROOM/bin/$1"
}
dies_at() { echo "$*" >"$ROOM/dies-at"; }
died() { [ ! -e "$ROOM/dies-at" ] || lab_fail "it did not die $(cat "$ROOM/dies-at")"; }
# doomed COMMAND…: pm and what calls it once, as the one who dies
doomed() (
	echo "$BASHPID" >"$ROOM/runtime"
	local EXEC=exec
	"$@"
)
calls() { sed 's/  / - /' "$ROOM/calls.log"; }

# An image whose first process speaks at once, to everybody, and then waits.
image() {
	local layer
	mkdir -p "$ROOM/rootfs/bin"
	cp /bin/busybox "$ROOM/rootfs/bin/"
	cat >"$ROOM/rootfs/hello" <<-END
		#!/bin/busybox sh
		for to in $EXT_V4 $EXT_V6 $DENIED_V4; do
			/bin/busybox nc -w 3 \$to $PORT </dev/null &
		done
		wait
		exec /bin/busybox sleep 3600
	END
	chmod +x "$ROOM/rootfs/hello"
	tar -C "$ROOM/rootfs" -cf "$ROOM/layer.tar" .
	layer=$(sha256sum <"$ROOM/layer.tar")
	jq -n --arg arch "$(dpkg --print-architecture)" --arg layer "sha256:${layer%% *}" \
		'{architecture: $arch, os: "linux", config: {Entrypoint: ["/hello"]},
		  rootfs: {type: "layers", diff_ids: [$layer]}}' >"$ROOM/config.json"
	echo '[{"Config": "config.json", "RepoTags": ["localhost/hello:1"], "Layers": ["layer.tar"]}]' \
		>"$ROOM/manifest.json"
	tar -C "$ROOM" -cf "$ROOM/image.tar" manifest.json config.json layer.tar
}

# ---- podman ----

pm() {
	inside env CONTAINERS_CONF="$ROOM/containers.conf" podman --root "$ROOM/root" --runroot "$ROOM/runroot" \
		--tmpdir "$ROOM/tmp" --storage-driver vfs --network-config-dir "$ROOM/net.d" "$@"
}

podman_up() {
	room_up "$1"
	cat >"$ROOM/containers.conf" <<-END
		[containers]
		default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
		[network]
		network_backend = "cni"
		cni_plugin_dirs = ["$ROOM/bin"]
		[engine]
		runtime = "runc"
		cgroup_manager = "cgroupfs"
		events_logger = "none"
		[engine.runtimes]
		runc = ["$ROOM/bin/runc"]
	END
	pm load -q -i "$ROOM/image.tar"
}

# pm_run NAME [OPTION…]
pm_run() { pm run -d --network "lab-node1" --cgroup-parent "/$P" --name "$@" localhost/hello:1; }

# ---- containerd ----

containerd_start() {
	daemon "containerd-$ROOM_NODE" inside containerd --config "$ROOM/containerd.toml"
	cp "$LAB/pids/containerd-$ROOM_NODE" "$ROOM/runtime"
	lab_wait 100 cri ready || lab_fail "containerd is not ready: $(tail -n 20 "$LAB/log/containerd-$ROOM_NODE")"
}

containerd_up() {
	room_up "$1"
	cat >"$ROOM/containerd.toml" <<-END
		version = 2
		root = "$ROOM/root"
		state = "$ROOM/state"
		disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.aufs",
			"io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper",
			"io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp"]
		[plugins."io.containerd.grpc.v1.cri"]
		sandbox_image = "localhost/hello:1"
		restrict_oom_score_adj = true
		disable_apparmor = true
		[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
		runtime_type = "io.containerd.runc.v2"
		[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
		BinaryName = "$ROOM/bin/runc"
		[plugins."io.containerd.grpc.v1.cri".cni]
		bin_dir = "$ROOM/bin"
		conf_dir = "$ROOM/net.d"
	END
	containerd_start
	inside ctr -n k8s.io images import "$ROOM/image.tar" >/dev/null
}

cri() { inside "$TOP/e2e/tools/cri.py" /run/containerd/containerd.sock "$@"; }
sandbox_run() { cri run "$1" "cgroup=/$P" "${@:2}"; }

sandboxes_remove() {
	local id
	for id in $(cri list | awk '{ print $1 }'); do
		cri stop "$id" && cri remove "$id" || return
	done
}
