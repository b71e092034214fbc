# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What several scripts need: messages, and processes named by pid AND start time, so that a number
# that was used again by somebody else is never killed. Sourced, never run.

fail() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

need_root() {
	[ "$(id -u)" = 0 ] || fail "network namespaces need root (remedy: sudo $0${1:+ $1})"
}

# need_commands PROGRAM...: names every missing one at once, with the remedy.
need_commands() {
	local program missing=()
	for program; do
		command -v "$program" >/dev/null || missing+=("$program")
	done
	[ ${#missing[@]} = 0 ] || fail "not installed: ${missing[*]} (remedy: sudo make setup)"
}

# Colours only where somebody looks at them.
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
	bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
else
	bold='' dim='' red='' green='' plain=''
fi
# shellcheck disable=SC2034 # used by the scripts that source this file
readonly bold dim red green plain

# process_identity PID: "PID STARTTIME", fails when there is no such process. The name in field 2 of
# /proc/PID/stat may hold blanks and brackets: cut up to the last ")"; starttime is field 22.
process_identity() {
	local stat fields
	{ stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
	read -ra fields <<<"${stat##*) }"
	[ "${fields[0]}" != Z ] || return 1
	printf '%s %s\n' "$1" "${fields[19]}"
}

# is_same_process PID STARTTIME
is_same_process() {
	[ "$(process_identity "$1")" = "$1 $2" ]
}

# end_process PID STARTTIME [SIGNAL]: signal (TERM), wait up to 3 s, then KILL.
end_process() {
	local tries=0
	is_same_process "$1" "$2" || return 0
	kill "-${3:-TERM}" "$1" 2>/dev/null || true
	kill -CONT "$1" 2>/dev/null || true # a stopped process gets no TERM
	while is_same_process "$1" "$2"; do
		tries=$((tries + 1))
		[ $tries -ne 30 ] || kill -KILL "$1" 2>/dev/null || true
		[ $tries -lt 60 ] || return 1
		sleep 0.1
	done
}

# Milliseconds of a clock that never jumps (bash has no monotonic clock; /proc/uptime has 10 ms).
uptime_ms() {
	local up
	read -r up _ </proc/uptime
	printf '%s\n' "$((10#${up/./} * 10))"
}
