# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the benchmarks share: two network namespaces with a veth pair between them, series of measured values,
# rows. Sourced, after scripts/common.sh, never run; the namespaces go when the script ends.
# shellcheck disable=SC2034,SC2154 # used by, and set by, the scripts that source this and common.sh

squall=$PWD/build/squall
client=sqbench-client server=sqbench-server address=10.98.0.2 link=bench0
need_root ""
need_commands ip tc nft

! ip netns list | grep -q '^sqbench-' ||
	fail "is another bench running? (remedy: ip netns delete $(ip netns list | grep -o '^sqbench-[^ ]*' | tr '\n' ' '))"
work=$(mktemp -d)
chmod 755 "$work" # files that a fault names are read by a process without privileges
# Both sides as they are installed. A linker writes a program in pieces, and the kernel keeps it in as many: each
# start of it takes more page faults than that of a copy.
if [ -x "$squall" ]; then
	cp "$squall" "$work/squall"
	squall=$work/squall
fi
leave() {
	local name
	for name in $client $server $(ip netns list | sed -n 's/^\(sqbench-[0-9][0-9]*\).*/\1/p'); do
		! ip netns pids "$name" 2>/dev/null | xargs -r kill 2>/dev/null || true
		ip netns delete "$name" 2>/dev/null || true
	done
	rm -rf "$work"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
for name in $client $server; do
	ip netns add "$name"
	ip -n "$name" link set lo up
done
ip -n $client link add $link type veth peer name bench1 netns $server
ip -n $client address add 10.98.0.1/24 dev $link
ip -n $server address add $address/24 dev bench1
ip -n $server link set bench1 up
ip -n $client link set $link up

within() { # COMMAND... in the client's namespace
	ip netns exec $client "$@"
}

# median SERIES KEY [DIVISOR]: "-" when nothing was measured
median() {
	[ -s "$work/$1" ] || { echo -; return; }
	tr ' ' '\n' <"$work/$1" | sed -n "s/^$2=\(-\{0,1\}[0-9.]*\)$/\1/p" | sort -n |
		awk -v by="${3:-1}" '{all[NR] = $1} END {
			if (NR) printf "%.2f\n", all[int((NR + 1) / 2)] / by; else print "-"}'
}

heading() {
	printf '  %-40s %8s %8s %6s  %-14s\n' '' squall beside ratio goal
}

# verdict_row WHAT A B GOAL CONDITION BESIDE-WHAT: CONDITION in the words of awk, of a and b. B "-": without a
# peer, "?": the peer was not measured
verdict_row() {
	local ratio verdict
	read -r ratio verdict < <(awk -v a="$2" -v b="$3" 'BEGIN {
		if (a == "-" || b == "?") { print "-", "not measured"; exit }
		printf "%s %s\n", b == "-" ? "-" : sprintf("%.2f", a / b), ('"$5"') ? "met" : "missed"}')
	case $verdict in
	met) verdict=$green$verdict$plain ;;
	*) verdict=$red$verdict$plain ;;
	esac
	printf '  %-40s %8s %8s %6s  %-14s %s%s\n' "$1" "$2" "${3/\?/-}" "$ratio" "$4" "$verdict" \
		"${6:+  ($6)}"
}

# row WHAT SQUALL BESIDE GOAL-FACTOR GOAL BESIDE-WHAT: met when SQUALL is at most GOAL-FACTOR times BESIDE, or,
# without BESIDE ("-"), at most GOAL-FACTOR
row() {
	local by='b'
	[ "$3" != - ] || by=1
	verdict_row "$1" "$2" "$3" "$5" "a <= $4 * $by" "${6:-}"
}

beside() { # a peer that was not measured is not "without a peer"
	[ "$1" = - ] && echo '?' || echo "$1"
}
