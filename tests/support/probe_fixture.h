/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the tests of the probes share: specifications from text, a scheduler that collects samples,
 * and a small web server in a process of its own with every way to misbehave.
 */
#ifndef SQUALL_PROBE_FIXTURE_H
#define SQUALL_PROBE_FIXTURE_H

#include "injector/probes/launcher.h"
#include "injector/probes/probe.h"
#include "injector/probes/scheduler.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define FIXTURE_SAMPLES 16384

struct fixture {
	struct loop *loop;
	struct launcher *launcher; /* NULL until a command is among the probes */
	struct probe_spec specs[512];
	unsigned spec_count;
	struct probe_scheduler *scheduler;
	struct {
		unsigned probe;
		int64_t at_ns;
		struct probe_sample sample;
	} samples[FIXTURE_SAMPLES];
	unsigned sample_count;
	unsigned wanted; /* samples after which the loop stops; 0: never */
};

struct fixture *fixture_new(void);
void fixture_free(struct fixture *fixture);

/* Adds a probe; `keys`: NULL-terminated "name=value" of params, "expect.name=value" of expect,
 * "every=", "timeout=". The subject is split at "|" for commands. Fails the test on errors; -EINVAL
 * only from ops->check(), with its text in `err`. */
int fixture_add(struct fixture *fixture, const char *kind, const char *subject, struct error *err,
		...) __attribute__((sentinel));
/* Opens all, runs until `wanted` samples or for max_ns, stops. */
void fixture_open(struct fixture *fixture);
void fixture_run(struct fixture *fixture, unsigned wanted, int64_t max_ns);
/* One attempt of the only probe. */
const struct probe_sample *fixture_once(struct fixture *fixture);

#define KEYS(...) ((const char *[4]){__VA_ARGS__})
/* One attempt of a probe of its own: the result, and a part of the reason; returns the sample's
 * value. */
double expect_sample(const char *kind, const char *subject, const char *keys[4],
		     enum probe_result result, const char *reason);
/* What `check` says: a part of its error; NULL: it is content. */
void expect_checked(const char *kind, const char *subject, const char *keys[4], const char *reason);

/* http://127.0.0.1:PORT: paths ok, slow, hang, close, garbage, partial, big, headers, redirect,
 * count, status/NNN. */
struct web_server {
	pid_t pid;
	uint16_t port;
};
struct web_server web_server_start(void);
void web_server_stop(struct web_server *server);

/* A listening socket that nobody accepts from; the port goes to *out_port. */
int listen_silently(int backlog, uint16_t *out_port);
/* A port that nobody listens on. */
uint16_t free_port(void);

/* Prints why and skips; fails instead when SQUALL_MUST_RUN is set. Does not return. */
void fixture_skip(const char *reason) __attribute__((noreturn));

/* Ends a started program by pid and waits for it. */
void end_process(pid_t pid);

#endif
