# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# For the scripts that check squall inside of the test machine with systemd as process 1.
units=/run/systemd/system

fail() {
	printf 'FAILED: %s\n' "$*"
	systemctl status --no-pager --full 'squall-*' || true
	cat /run/unit.out 2>/dev/null || true
	exit 1
}

# await SECONDS WHAT COMMAND...
await() {
	local tries
	for ((tries = 0; tries < $1 * 2; tries++)); do
		! "${@:3}" >/dev/null 2>&1 || return 0
		sleep 0.5
	done
	fail "$2 does not come"
}

# The kernel and what squall keeps are as they were when `links` was noted
note_links() { ip -brief link | awk '{print $1}'; }
assert_restored() {
	[ -z "$(nft list tables)" ] || fail "left: $(nft list tables)"
	# shellcheck disable=SC2154 # whoever sources this notes it
	[ "$(note_links)" = "$links" ] || fail "left: $(ip -brief link)"
	! tc qdisc show dev lo | grep -v noqueue || fail "left: $(tc qdisc show dev lo)"
	[ -z "$(find /run/squall /var/lib/squall -name journal 2>/dev/null)" ] || fail 'a journal is left'
	[ "$(squall restore)" = 'Nothing to restore.' ] || fail 'a second restore had something to do'
}

# look STEP...: one after the other, each by its name
look_at() {
	local step
	kill -s RTMIN+21 1 # nothing on the console of what systemd waits for
	for step; do
		printf '%s\n' "- ${step//_/ }"
		$step
	done
}
