/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What can fail of a restore: the calls and allocations of one that nobody disturbs, numbered from
 * 1 as a failure's `at`.
 */
#ifndef SQUALL_TESTS_RECORDING_H
#define SQUALL_TESTS_RECORDING_H

#include "tests/sweep/failure.h"

struct recording {
	struct failure_calls seen;
	bool *is_first; /* of the victim's; not a repeat */
};

enum role recording_role(enum victim victim);
/* Undisturbed. The guardian is recorded with what it does in its work. Of each kind of call must be
 * known whether it may fail: else the tally has a residue more. */
void recording_make(struct scene *scene, const struct subject *subject, enum victim victim,
		    struct failure_tally *tally, struct recording *out);
void recording_free(struct recording *recording);

unsigned recording_last(const struct recording *recording, enum victim victim);
/* The first call of that number of `squall restore`; 0: there is none. */
unsigned recording_first_call(const struct recording *recording, int number);
/* Does that call send a netlink request that changes something? */
bool recording_is_change(const struct recording *recording, enum victim victim, unsigned at);
/* The call with which main() of `squall restore` begins. A loader that gets no memory ends by a
 * signal, which is not ours to mend, and by then nothing is done. */
unsigned recording_main_begins(const struct recording *recording);

#endif
