/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/sweep/recording.h"

#include "injector/base/cleanup.h"
#include "tests/sweep/repeats.h"

#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>

#define CALL_NUMBERS 1024 /* more than there are system calls */

enum role recording_role(enum victim victim)
{
	return victim == VICTIM_GUARDIAN ? ROLE_GUARDIAN
	       : victim == VICTIM_WORKER ? ROLE_WORKER
					 : ROLE_CONDUCTOR;
}

/* Of each kind of call that there is somebody has said that it fails here, or why not. */
static void check_kinds(const struct recording *recording, enum victim victim,
			struct failure_tally *tally)
{
	static bool is_told[CALL_NUMBERS];
	const int *calls = recording->seen.calls[recording_role(victim)];
	unsigned count = recording->seen.counts[recording_role(victim)];

	for (unsigned at = 0; at < count && at < TRACE_CALLS_MAX; at++) {
		cleanup_free char *name = NULL;
		int call = calls[at];

		if (trace_can_fail(call) || trace_why_never_fails(call) ||
		    is_told[call % CALL_NUMBERS])
			continue;
		is_told[call % CALL_NUMBERS] = true;
		name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, call);
		printf("# RESIDUE: %s calls %s (number %d), of which tests/sweep/failing_calls.c "
		       "does not say whether it may fail\n",
		       victim_names[victim], name ? name : "something", call);
		tally->residues++;
	}
}

void recording_make(struct scene *scene, const struct subject *subject, enum victim victim,
		    struct failure_tally *tally, struct recording *out)
{
	const struct failure none = {.victim = victim, .at = POINT_NEVER, .error = EIO};
	unsigned chosen;

	for (unsigned role = 0; role < ROLE_COUNT; role++)
		out->seen.calls[role] = calloc(TRACE_CALLS_MAX, sizeof(int));
	failure_try(scene, subject, &none, &out->seen, tally);
	out->is_first = calls_without_repeats(out->seen.calls[recording_role(victim)],
					      out->seen.counts[recording_role(victim)], &chosen);
	if (!victim_is_memory(victim))
		check_kinds(out, victim, tally);
}

void recording_free(struct recording *recording)
{
	free(recording->is_first);
	for (unsigned role = 0; role < ROLE_COUNT; role++)
		free(recording->seen.calls[role]);
}

unsigned recording_first_call(const struct recording *recording, int number)
{
	const int *calls = recording->seen.calls[ROLE_CONDUCTOR];
	unsigned count = recording->seen.counts[ROLE_CONDUCTOR];

	for (unsigned at = 0; at < count && at < TRACE_CALLS_MAX; at++)
		if (calls[at] == number)
			return at + 1;
	return 0;
}

unsigned recording_last(const struct recording *recording, enum victim victim)
{
	unsigned count = recording->seen.counts[recording_role(victim)];

	if (victim_is_memory(victim))
		return recording->seen.allocations;
	return count < TRACE_CALLS_MAX ? count : TRACE_CALLS_MAX - 1;
}

bool recording_is_change(const struct recording *recording, enum victim victim, unsigned at)
{
	return !victim_is_memory(victim) &&
	       recording->seen.calls[recording_role(victim)][at - 1] == CALL_NETLINK_CHANGE;
}

/* The loader asks where its heap ends with its first brk(2), main() with the second: see
 * prefault_program(). */
unsigned recording_main_begins(const struct recording *recording)
{
	const int *calls = recording->seen.calls[ROLE_CONDUCTOR];
	unsigned loader = recording_first_call(recording, SYS_brk);

	for (unsigned at = loader; loader && at < recording->seen.counts[ROLE_CONDUCTOR]; at++)
		if (calls[at] == SYS_brk)
			return at + 1;
	return 0;
}
