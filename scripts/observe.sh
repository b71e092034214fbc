# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the demo and the tests see of a run without asking squall: latency by curl, processes by /proc.
# Sourced after common.sh, with `squall` set to the program.

: "${squall:=build/squall}"
lab_client=squall-client lab_nginx_pid=/run/squall-lab/nginx/pid

# connect_ms ADDRESS [TIMES [SECONDS]]: median time of a TCP connection, in ms with two decimals; fails when
# there was no answer.
connect_ms() {
	local times=${2:-5} limit=${3:-5} i seconds all=()
	for ((i = 0; i < times; i++)); do
		seconds=$(ip netns exec $lab_client curl -g -sf -o /dev/null --max-time 5 --connect-timeout "$limit" -w '%{time_connect}' \
			"http://$1/") || return 1
		all+=("$seconds")
	done
	printf '%s\n' "${all[@]}" | sort -n | awk -v n="$times" 'NR == int((n + 1) / 2) {printf "%.2f\n", $1 * 1000}'
}

# is_between LOW VALUE HIGH
is_between() {
	awk -v low="$1" -v value="$2" -v high="$3" 'BEGIN {exit !(value != "" && value >= low && value <= high)}'
}

# start_squall LOG ARGUMENT...: in the client's namespace, in the background, its pid in $squall_pid
start_squall() {
	local log=$1
	shift
	ip netns exec $lab_client "$squall" "$@" </dev/null >"$log" 2>"$log.err" &
	squall_pid=$!
}

# squall_pids: every process that runs this program, also one that left its parent
squall_pids() {
	local exe
	exe=$(realpath "$squall")
	# one process, not one for each of /proc: in an emulated machine the fault would be over by then
	find /proc -maxdepth 2 -path '/proc/[0-9]*/exe' \
		\( -lname "$exe" -o -lname "$exe (deleted)" \) -printf '%h\n' 2>/dev/null | sed 's|/proc/||' || true
}

# wait_slow ADDRESS MS SECONDS: until a connection takes at least that long; fails when it does not come
wait_slow() {
	local deadline=$((SECONDS + $3)) now
	while [ $SECONDS -lt $deadline ]; do
		now=$(connect_ms "$1" 1) && is_between "$2" "$now" 100000 && return 0
		kill -0 "$squall_pid" 2>/dev/null || return 1
		sleep 0.05
	done
	return 1
}

# wait_fast ADDRESS MS SECONDS: until a connection takes at most that long. Each try is short: a SYN that
# was lost in the moment of the kill would come again a second later and tell nothing of what is now.
wait_fast() {
	local deadline=$((SECONDS + $3)) now
	while [ $SECONDS -lt $deadline ]; do
		now=$(connect_ms "$1" 1 0.3) && is_between 0 "$now" "$2" && return 0
		sleep 0.02
	done
	return 1
}

nginx_workers() {
	ps -o pid= --ppid "$(<$lab_nginx_pid)" | xargs || true # for a moment there may be none
}
