/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The real worker, and at the other end of its socket a conductor that says whatever the test
 * likes. Failures are cmocka failures.
 */
#ifndef SQUALL_TESTS_HOSTILE_PEER_H
#define SQUALL_TESTS_HOSTILE_PEER_H

#include "injector/run/requests.h"

#include <sys/types.h>

struct peer {
	int socket;
	pid_t pid, guardian;
};

void peer_start(struct peer *peer);
void peer_send(const struct peer *peer, const struct request *request);
void peer_say(const struct peer *peer, enum request_type type, unsigned index, const char *name,
	      const char *text, int64_t a, int64_t b);
/* limits: 10 s and four targets; and a target, traffic to 127.0.0.9:9. */
void peer_define_limits(const struct peer *peer);
void peer_define_target(const struct peer *peer);
/* A step that loses 1 % of that traffic; all that a plan needs. */
void peer_define_loss(const struct peer *peer, int64_t for_ns);
/* Plans, arms and injects step 0. */
void peer_inject(const struct peer *peer);
/* The next reply of a type that decides something; plan lines and evidence are passed over. */
enum reply_type peer_hear(const struct peer *peer, struct reply *out);
/* Reads until a reply of that type; false when the worker is gone or nothing comes for `ms`. Fails
 * when it refuses. */
bool peer_await(const struct peer *peer, enum reply_type type, int ms, struct reply *out);
/* Refused with these words among others, and then as peer_expect_leaves(). */
void peer_expect_refused(struct peer *peer, const char *why);
/* The worker leaves by itself and in order (killed by its guardian is not), with nothing in force
 * and no journal behind it. */
void peer_expect_exit(struct peer *peer);
/* Closes the conversation first. */
void peer_expect_leaves(struct peer *peer);
/* Tables of ours in this network namespace, as the kernel sees it: whatever anybody says. */
unsigned peer_faults_in_force(void);

/* For cmocka: a network and journals of our own. */
int peer_group_setup(void **state);
int peer_group_teardown(void **state);

#endif
