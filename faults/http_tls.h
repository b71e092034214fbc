/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * TLS for the `http` fault: a process of its own, squall-tls, which has no rights at all, holds the
 * TCP sockets of the connections and the key, and speaks TLS to both sides; the responder gets and
 * says what is inside by local sockets, as it does on TCP otherwise. It is forked when the plan is
 * made, serves every injection of its step, and dies with the worker.
 */
#ifndef SQUALL_HTTP_TLS_H
#define SQUALL_HTTP_TLS_H

#include "faults/files.h"
#include "injector/base/error.h"
#include "injector/base/params.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define HTTP_TLS_UID 65534 /* nobody, also where /etc/passwd lacks it */

enum http_tls_side { HTTP_TLS_CLIENT, HTTP_TLS_SERVER, HTTP_TLS_SIDES };

#define HTTP_TLS_REASON 80 /* bytes of a text */

/* Written by the responder's thread, read once it has ended or by its counters. */
struct http_tls_counters {
	uint64_t failed[HTTP_TLS_SIDES];	      /* handshakes */
	char reason[HTTP_TLS_SIDES][HTTP_TLS_REASON]; /* of the last one */
	uint64_t clear;				      /* clients that do not speak TLS */
};

struct http_tls;

/* http_tls_params.c: fault_ops.load and part of its check. The files' names stay the first values
 * of their parameters; lines of PEM follow. */
int http_tls_load(struct params *params, const struct fault_files *files, struct error *err);
int http_tls_check(const struct params *params, struct error *err);
bool http_tls_is_wanted(const struct params *params);
/* What a file holds, as PEM; NULL: -ENOMEM. The caller's. */
char *http_tls_pem(const struct params *params, unsigned key, size_t *out_size);

/* http_tls.c. Forks it; certificate and key are read in there. */
int http_tls_start(const struct params *params, struct http_tls **out, struct error *err);
/* Of the certificate, and what is odd about it or "". */
const char *http_tls_certificate(const struct http_tls *tls);
const char *http_tls_oddity(const struct http_tls *tls);
/* Ends it. May be NULL. */
void http_tls_free(struct http_tls *tls);
/* It keeps a copy of the descriptor until http_tls_leave(): of a table's owner, so that what is
 * redirected to its connections is translated until they are reset, also when we are killed. */
int http_tls_hold(struct http_tls *tls, int fd, struct error *err);
/* Resets all that is left of its connections, and lets go what it holds; waits for that. */
void http_tls_leave(struct http_tls *tls);
/* -ESTALE: the process is gone. */
int http_tls_check_alive(const struct http_tls *tls, struct error *err);
void http_tls_count(const struct http_tls *tls, struct http_tls_counters *out);

/* The rest is for the responder's thread. */
uint64_t http_tls_number(struct http_tls *tls);
/* Passes on a TCP socket; *inout_fd is then what is inside, and `id` that side's. On failure it is
 * closed, and -1. */
int http_tls_pass(struct http_tls *tls, uint64_t connection, enum http_tls_side side, uint64_t id,
		  int *inout_fd);
/* The end of this side that is shut or closed next is one in order; ragged: but not in TLS, where a
 * close_notify says it (many go without; who was cut off goes without, too). */
void http_tls_end(struct http_tls *tls, uint64_t id, bool is_ragged);
/* All messages that are there; `ended`: the end of this side will be such a one. */
void http_tls_hear(struct http_tls *tls, void (*ended)(void *context, uint64_t id, bool is_ragged),
		   void *context);
int http_tls_socket(const struct http_tls *tls);

/* http_tls_process.c: what the process gives up, for those who show it (`squall doctor`). */
int http_tls_confine(struct error *err);

#endif
