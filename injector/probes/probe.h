/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Probes: what tells whether the system is well. They run in the conductor, without privileges, on
 * its event loop; none ever blocks, so a hanging probe delays nobody. One file a kind; a kind is
 * one `const struct probe_ops NAME_probe`, listed in probes.def.
 *
 * Result: pass, fail or unknown. A refused connection and a time-out are *fail*: the system did not
 * answer. Unknown means that the question could not be asked (no such command, no name server).
 */
#ifndef SQUALL_PROBE_H
#define SQUALL_PROBE_H

#include "injector/base/error.h"
#include "injector/base/loop.h"
#include "injector/base/params.h"

#include <stdbool.h>
#include <stdint.h>

enum probe_result { PROBE_PASS, PROBE_FAIL, PROBE_UNKNOWN };
extern const char *const probe_result_names[]; /* "pass", "fail", "unknown" */

struct probe_sample {
	enum probe_result result;
	int64_t started_ns; /* CLOCK_BOOTTIME */
	int64_t latency_ns; /* from start to answer; -1: no answer */
	int64_t known_ns;   /* CLOCK_BOOTTIME: when it was over, answered or given up */
	double value; /* what was compared besides latency (status, count, pressure); NAN: none */
	char reason[160]; /* why not pass: "status 503, expected 200"; on pass what was seen */
};

struct launcher; /* launcher.h: starts commands as the invoking user */

/* What the file says of a probe; owned by the experiment. */
struct probe_spec {
	char *name;
	const struct probe_ops *ops;
	char **subject; /* the kind's own value: URL, "host:port", argv..., NULL-terminated */
	unsigned subject_count;
	struct params params; /* of ops->params: further keys beside every/timeout/expect */
	struct params expect; /* of ops->expect */
	int64_t every_ns, timeout_ns;
	int line, column;
};

/* One probe at work. The scheduler (scheduler.h) calls start(); the kind calls probe_finish()
 * exactly once for each start() that returned 0, from the loop or from within start(). */
struct probe {
	const struct probe_spec *spec;
	struct loop *loop;
	struct launcher *launcher; /* NULL when no command probe exists */
	unsigned index;
	void *state; /* of the kind, made by open(), freed by close() */
	int64_t attempt_started_ns;
	/* Cleared by the scheduler before each start(), set by the kind when it knows better: */
	int64_t latency_ns;   /* 0: measured by probe_finish(); -1: there was no answer */
	const char *obstacle; /* what keeps it from asking, as "resolve host 'x'": a time-out is
			       * then unknown, not fail; owned by the kind, valid until cancel() */
	void (*finish)(struct probe *probe, const struct probe_sample *sample);
	void *context;
};

struct probe_ops {
	const char *name; /* key in the file: http, tcp, command, process, pressure */
	const char *summary;
	const char *subject_doc; /* "URL", "HOST:PORT", "[PROGRAM, ARGUMENT...]" */
	bool subject_is_list;	 /* command */
	const struct param *params;
	const struct param *expect;

	/* Checks the subject; unprivileged, no side effect, no look-up. */
	int (*check)(const struct probe_spec *spec, struct error *err);
	/* Whatever must happen before the conductor gives up its rights and is sandboxed (load a
	 * library, open a file). `probe->state` is made here. */
	int (*open)(struct probe *probe, struct error *err);
	/* One attempt. The scheduler enforces the time-out: it calls cancel() and reports the
	 * failure. */
	int (*start)(struct probe *probe, struct error *err);
	/* Gives up the running attempt: no probe_finish() for it any more. */
	void (*cancel)(struct probe *probe);
	/* Frees probe->state; no attempt is running. Also called after a failed open(). */
	void (*close)(struct probe *probe);
};

/* Completes the running attempt: fills started_ns and the latency (see probe->latency_ns; an
 * unknown result has none). value: what was compared, NAN for nothing. */
void probe_finish(struct probe *probe, enum probe_result result, double value, const char *format,
		  ...) __attribute__((format(printf, 4, 5)));

/* For the kinds. ----------------------------------------------------------------------------- */

/* The comparison given for params[index], or that of its fallback; false: there is none. */
bool probe_compare(const struct params *params, unsigned index, struct compare *out);
/* Time since the attempt began. Also keeps it as the attempt's latency, so that what is judged is
 * what is reported. */
int64_t probe_take_latency(struct probe *probe);
/* True when there is no expectation `index` (a COMPARE_DURATION) or it holds for `latency_ns`;
 * otherwise `reason` says "took 1.2s, expected < 1s". */
bool probe_latency_holds(const struct probe *probe, unsigned index, int64_t latency_ns,
			 char *reason, size_t size);
/* True when `text` matches the extended regular expression; ^ and $ match at lines. A pattern is
 * compiled once by probe_pattern_compile(); it was checked by params.c, so -ENOMEM is what may
 * fail. */
int probe_pattern_compile(const char *pattern, regex_t *out, struct error *err);
bool probe_pattern_matches(const regex_t *pattern, const char *text, size_t length);
/* An errno of our own making (no descriptor, no port, no memory left): says nothing about the
 * system under test, so the result is unknown. */
bool probe_errno_is_local(int code);
/* A port with a host or an address that one connection can be made to: "HOST:PORT", "[V6]:PORT". */
int probe_parse_host_port(const char *text, struct endpoint_host *out, struct error *err);
/* First line of `text` (`length` bytes) in printable characters, shortened with "...". */
char *probe_excerpt(const char *text, size_t length, char *out, size_t size);

/* False: a kind without an expectation on latency (pressure, processes) is about a number. */
bool probe_is_timed(const struct probe_ops *ops);
const struct probe_ops *const *probe_all(void);
const struct probe_ops *probe_find(const char *name);

#endif
