/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The connections that squall-tls holds. Each side is a pump between a TCP socket, where TLS is
 * spoken, and a local one, where what is inside comes and goes; buffers are bounded, and who is not
 * read from stops. What the first client's byte is decides what is spoken: a connection that is not
 * TLS is pumped as it is, on both sides.
 */
#ifndef SQUALL_HTTP_TLS_PUMP_H
#define SQUALL_HTTP_TLS_PUMP_H

#include "faults/http_tls_library.h"
#include "faults/http_tls_message.h"
#include "injector/base/loop.h"

#define TLS_LANE_SIZE 16384 /* a record of TLS */

/* One direction of a side. */
struct tls_lane {
	uint8_t bytes[TLS_LANE_SIZE];
	size_t start, used;
	bool has_ended;	  /* nothing more comes, */
	bool is_in_order; /* and was said to be all */
	bool is_ragged;	  /* by the connection's end, but not in TLS */
	bool is_told;	  /* who gets it knows */
};

enum tls_state {
	TLS_UNDECIDED, /* nothing was said by the client */
	TLS_SHAKING,   /* hands */
	TLS_OPEN,
	TLS_CLEAR, /* it is not TLS */
};

struct tls_connection;

struct tls_side {
	struct tls_server *server;
	struct tls_connection *connection;
	struct tls_side *next, *previous;
	enum http_tls_side which;
	uint64_t id;
	enum tls_state state;
	int tcp, plain;
	SSL *stream;			   /* in states SHAKING and OPEN */
	uint32_t wants_in, wants_out;	   /* what the last try to read, and to write, waits for */
	uint32_t tcp_events, plain_events; /* watched for; UINT32_MAX: not watched */
	bool is_end_told;		   /* what ends on the local socket ends in order */
	bool is_end_ragged;		   /* but not in TLS */
	bool is_deaf;			   /* nobody reads there any more */
	bool is_due;			   /* for a turn, at the end of this one */
	bool is_over;
	int64_t deaf_ns;
	struct tls_lane in, out; /* from, and to, the TCP socket */
};

struct tls_connection {
	uint64_t number;
	unsigned sides;	      /* that refer to it */
	enum tls_state state; /* of the client */
	struct tls_side *current[HTTP_TLS_SIDES];
	char name[256]; /* the server's, as the client said it */
};

struct tls_server {
	struct loop *loop;
	int socket;
	int held; /* -1: nothing */
	struct http_tls_contexts contexts;
	struct tls_side *sides;
	bool has_due;
	bool is_leaving, is_ending; /* asked for; done when no side is at its turn */
	struct loop_timer timer;
};

/* Owns both descriptors. */
void tls_side_begin(struct tls_server *server, const struct http_tls_request *request, int tcp,
		    int plain);
struct tls_side *tls_side_find(struct tls_server *server, uint64_t id);
/* Those that are due, until none is. */
void tls_settle(struct tls_server *server);
/* Who is kept only to be told its end is not kept for ever. */
void tls_sweep(struct tls_server *server, int64_t now_ns);
/* Who has not been told the end of what was said is reset. */
void tls_end_all(struct tls_server *server);

/* http_tls_process.c: takes the requests that are there. */
void tls_serve(struct tls_server *server);
/* -EAGAIN: there is no room for it now. */
int tls_reply(struct tls_server *server, const struct http_tls_reply *reply);

/* http_tls_speak.c: TLS, or what is not, on the TCP socket of a side. */
/* What is to be spoken, as far as it is known. 0; -EAGAIN: something has to come first;
 * -ECONNRESET. */
int tls_stream_open(struct tls_side *side);
/* Bytes; 0: the end, in order; -EPIPE: the end, which was not said in TLS; -EAGAIN, -ECONNRESET. */
ssize_t tls_stream_read(struct tls_side *side, void *bytes, size_t size);
ssize_t tls_stream_write(struct tls_side *side, const void *bytes, size_t size);
/* Says that nothing more comes, or only ends. 0, -EAGAIN, -ECONNRESET. */
int tls_stream_shut(struct tls_side *side, bool is_ragged);

#endif
