/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One connection through the responder of the `http` fault: its two sockets (http_stream.c) and
 * what is said on it (http_exchange.c).
 */
#ifndef SQUALL_HTTP_STREAM_H
#define SQUALL_HTTP_STREAM_H

#include "faults/http_lane.h"
#include "faults/http_tls.h"

enum http_mode { /* what comes next from the client */
		 HTTP_AT_HEAD,
		 HTTP_HELD, /* a request that is met, which waits for its time or its turn */
		 HTTP_IN_COLLECTED, /* the body of one that waits for its end */
		 HTTP_IN_BODY,
		 HTTP_IN_DROPPED, /* the body of a request that was answered here, or got another */
		 HTTP_RAW,	  /* anything: it is not understood, and passes, both ways */
		 HTTP_HANGING_UP, /* nothing that matters: we have said our last */
};

struct http_stream {
	struct http_relay *relay;
	struct http_stream *next, *previous;
	struct redirect_way way;
	int client, server;		       /* descriptors; server -1: it has hung up */
	uint32_t client_events, server_events; /* watched for */
	bool is_connected;		       /* the server has answered the connection */
	bool is_told;			       /* and something was sent to it */
	bool is_awaited, has_asked;
	int64_t since_ns; /* of the connection; of our hanging up */
	int64_t used_ns;  /* something was said, or somebody has hung up */
	struct http_lane to_server, to_client;
	struct { /* where sockets are passed to who speaks TLS */
		uint64_t connection, ids[HTTP_TLS_SIDES];
		bool ended[HTTP_TLS_SIDES];	/* what ends there does so in order, */
		bool is_ragged[HTTP_TLS_SIDES]; /* but not in TLS */
	} tls;

	/* of the requests */
	enum http_mode mode;
	struct http_request_head request; /* the one at hand; its texts are gone when it has gone on
					   */
	size_t head_size;
	struct loop_timer timer; /* of what is held */
	bool is_due;

	/* of the responses */
	unsigned pending;      /* requests of which the server has not said the last byte */
	uint64_t pending_head; /* which of them are HEAD; bit 0: the oldest */
	uint64_t pending_met;  /* whose responses are to be changed; the same */
	bool is_in_response;   /* behind its head */
	struct loop_timer response_timer;
	enum http_wait { HTTP_MAY_WAIT, HTTP_WAITS, HTTP_HAS_WAITED } response_wait;
	bool is_collected; /* which waits for its end */
	bool is_dropped;   /* and the rest of it goes to nobody: the client has ours */
	int64_t alone_ns;  /* since then only such a rest comes, and the client asks no more */
	bool is_broken;	   /* is to be reset */
	struct http_body response;
};
_Static_assert(HTTP_PENDING_MAX <= 64, "a bit each");

/* http_exchange.c: decides about what has come. True: something has moved. */
bool http_exchange_go_on(struct http_stream *stream);
/* Nothing is asked, and nothing waits to be said. */
bool http_exchange_is_idle(const struct http_stream *stream);

/* http_stream.c */
/* We close, when what is to be said has been said. */
void http_stream_hang_up(struct http_stream *stream);
/* Its connection is closed, and what it has said that has not gone on is forgotten; when there is
 * something to ask it is asked on a new one. */
void http_stream_drop_server(struct http_stream *stream);
/* Calls http_exchange_go_on() when the time is over. */
void http_stream_hold(struct http_stream *stream, int64_t delay_ns);
/* The same of a response, which begins what comes next to the client. */
void http_stream_hold_response(struct http_stream *stream, int64_t delay_ns);

/* http_tls_stream.c: nothing, and true, where sockets are read as they are. */
/* The TCP socket of that side becomes one with what is inside. */
bool http_stream_pass_to_tls(struct http_stream *stream, enum http_tls_side side, int *inout_fd);
/* Before it is shut, or closed in order. */
void http_stream_end_in_tls(struct http_stream *stream, enum http_tls_side side);
/* The end that was read there is one in order. */
bool http_stream_ended_in_tls(struct http_stream *stream, enum http_tls_side side);

#endif
