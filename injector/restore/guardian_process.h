/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What worker and guardian say to each other, and the guardian's own life: for guardian.c alone.
 */
#ifndef SQUALL_GUARDIAN_PROCESS_H
#define SQUALL_GUARDIAN_PROCESS_H

#include "injector/restore/guardian.h"

enum guardian_kind {
	GUARDIAN_PING = 1,
	GUARDIAN_CONFINE,
	GUARDIAN_RELOADER, /* with the socket of the reloader */
	GUARDIAN_BEGIN,
	GUARDIAN_END,
};

struct guardian_message {
	uint32_t kind;		  /* enum guardian_kind */
	char run_id[RUN_ID_SIZE]; /* BEGIN */
	int64_t deadline_ns;	  /* BEGIN: CLOCK_BOOTTIME */
	uint64_t capabilities;	  /* CONFINE: what it keeps */
};

/* The first that the worker hears, from who forked the guardian, with its pidfd. */
struct guardian_hello {
	pid_t pid;
};

/* Answer to GUARDIAN_BEGIN, or unasked when the guardian cannot do its work. */
struct guardian_reply {
	int32_t code; /* 0: ready; else positive errno */
	char text[508];
};

/* The whole life of the guardian, in the forked child. The caller leaves by _exit() at once. */
void guardian_process(int socket, pid_t worker, int worker_pidfd);

#endif
