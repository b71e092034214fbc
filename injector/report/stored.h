/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A result as it was stored, for those who write it out. All reports read this and nothing else, so
 * the summary at the end of a run and `squall report` a year later are the same. The file is taken
 * for what it is, text from outside: what is absent or of another type reads as "" or -1.
 */
#ifndef SQUALL_REPORT_STORED_H
#define SQUALL_REPORT_STORED_H

#include "faults/fault.h"
#include "injector/base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define STORED_SCHEMA	   1
#define STORED_REPLAY_SIZE 1024	       /* for stored_replay() */
#define STORED_MAX	   (64L << 20) /* a result of 1024 probes has about 12 MB */

/* Reads a whole result. -EINVAL: it is none, or of another schema. `name` is for messages. The
 * caller releases *out with json_decref(). */
int stored_read(FILE *in, const char *name, json_t **out, struct error *err);

const char *stored_text(const json_t *at, const char *key); /* "" when it is not there */
int64_t stored_number(const json_t *at, const char *key);   /* -1 */
bool stored_is(const json_t *at, const char *key);	    /* false */
/* Something is there and is not null. */
bool stored_has(const json_t *at, const char *key);

/* A step that was injected and has an end. */
bool stored_lasts(const json_t *step);
/* Such a step of which nobody has said that it is undone. */
bool stored_is_unrestored(const json_t *step);
/* "1234 packets delayed on eth0"; "no evidence of what it hit". */
void stored_evidence(const json_t *step, char *out, size_t size);
/* "held", "failed", ...; "done" for what held without a probe that could have failed. */
const char *stored_verdict(const json_t *root);
/* Some fault was injected: else nothing that was expected meanwhile is judged. */
bool stored_has_faults(const json_t *root);
/* From the reason to stop until all faults were out of force; -1: none was in force. */
int64_t stored_stop_latency(const json_t *root);
/* "85 of 100", or why there is no score; false: nothing was expected, or no fault came to be. */
bool stored_score(const json_t *root, char *out, size_t size);
/* "as told in SOURCE, an hour of it in 1s"; false: it is the replay of nothing. */
bool stored_replay(const json_t *root, char *out, size_t size);
/* All injected steps are undone and verified, and nothing is left. */
bool stored_is_restored(const json_t *root);

#endif
