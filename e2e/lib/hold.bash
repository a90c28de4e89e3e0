# shellcheck shell=bash
# Pods that hold as many connections as they get, beside lib/lab:
#
#	hold POD PROTO TO        one that holds some, in the background
#	holders_up PROTO POD…    all these, in both families
#	each_holds N WORDS…      so many, each of them, when it was told so: "more N MS", "drop N"
#	each_may N               so many in all, soon, and not one more
#	limit_pods WHAT N        of the gateway as it is written;  limited NODE WHAT N

hold() {
	local fd name=$1-$3
	mkfifo "$LAB/$name.in"
	daemon "$name-hold" on "$1" sh -c "exec '$PROBE' hold $2 $3 $PORT <'$LAB/$name.in'"
	exec {fd}>"$LAB/$name.in"
	HOLD[$name]=$fd
	lab_wait 300 grep -q open "$LAB/log/$name-hold"
}
holders_up() {
	declare -gA HOLD=()
	local pod
	for pod in "${@:2}"; do
		hold "$pod" "$1" "$EXT_V4"
		hold "$pod" "$1" "$EXT_V6"
	done
}
# each_told WORDS…: at once, and all have done it
lines() { wc -l <"$LAB/log/$1-hold"; }
each_told() {
	local name
	local -A before=()
	for name in "${!HOLD[@]}"; do
		before[$name]=$(lines "$name")
		echo "$@" >&"${HOLD[$name]}"
	done
	for name in "${!HOLD[@]}"; do
		lab_wait 300 eval "[ \$(lines '$name') -gt ${before[$name]} ]" || return
	done
}
all_hold() {
	local name
	for name in "${!HOLD[@]}"; do same "$name" "held $1" "$(tail -n 1 "$LAB/log/$name-hold")" || return; done
}
each_holds() { each_told "${@:2}" && all_hold "$1"; }
tries_for() { each_told more 4 1000 && all_hold "$1"; }
each_may() {
	lab_wait 300 tries_for "$1"
	each_holds "$1" more 8 1500
}

limit_pods() {
	{
		grep -v '^  limits:' "$LAB/policies/10-gateway.yaml"
		echo "  limits: {$1: $2}"
	} | policy 10-gateway.yaml
}
# limited NODE WHAT N: by its own word
limited() {
	[ "$(ctl "$1" status -o json | jq -c ".addresses[] | select(.address == \"$EGRESS_V4\") | .limits")" = "{\"$2\":$3}" ]
}
