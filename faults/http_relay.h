/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the responder of the `http` fault shares with its connections (http_stream.c). Everything
 * here runs in the responder's thread.
 */
#ifndef SQUALL_HTTP_RELAY_H
#define SQUALL_HTTP_RELAY_H

#include "faults/http_change.h"
#include "faults/http_responder.h"
#include "faults/redirect_lookup.h"

#define HTTP_LANE_SIZE	 (32 << 10)	    /* also the longest head that is understood */
#define HTTP_PENDING_MAX 64		    /* requests on one connection without an answer yet */
#define HTTP_CLOSING_NS	 (3LL * 1000000000) /* for a client to hang up after we did */
#define HTTP_ALONE_NS	 (3LL * 1000000000) /* for a server to say what nobody gets */

struct http_stream;

struct http_relay {
	struct responder base;
	const struct http_policy *policy;
	const struct redirect_pass *pass; /* how its connections are known; NULL: they are marked */
	struct http_tls *tls; /* that sockets are passed to; NULL: they are read as they are */
	uint64_t random;
	struct http_stream *streams;
	unsigned stream_count, stream_max;

	/* read by other threads */
	_Atomic uint64_t connections, requests, hits, answered, aborted, delayed, strange, refused,
		left;
	_Atomic uint64_t changed_requests, changed_responses, unchanged;

	size_t kept; /* bytes of all messages: http_collect.h */
	uint8_t changed[HTTP_LANE_SIZE + HTTP_GROWTH_MAX]; /* a message while it is written */
};

/* The server that a client meant; false: nobody was redirected, it talks to us on purpose. */
bool http_relay_find_server(const struct http_relay *relay, int fd, struct sockaddr_storage *out);
/* A socket to the server, marked, from the client's address where it can be; -1: cannot. It may
 * still be connecting. */
int http_relay_connect(const struct http_relay *relay, struct redirect_way *way);
/* It is closed. */
void http_relay_forget(const struct http_relay *relay, const struct redirect_way *way);

/* http_stream.c. A client has come; owns the descriptor. */
void http_stream_begin(struct http_relay *relay, int fd, const struct sockaddr_storage *client);
/* The relay is soft now. */
void http_stream_soften_all(struct http_relay *relay);
void http_stream_sweep(struct http_relay *relay, int64_t now_ns);
void http_stream_close_all(struct http_relay *relay);
/* http_tls_stream.c. Takes what the process that speaks TLS has said. */
void http_stream_hear_tls(struct http_relay *relay);

#endif
