/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a worker and its squall-tls (http_tls.h) say to each other over a SOCK_SEQPACKET pair, in
 * messages of fixed size. Of each side of a connection a TCP socket and one end of a local pair,
 * whose other end is the responder's, lie with the process. Connections and their sides have
 * numbers, which no other one ever gets: a connection may be given another server.
 *
 * The end of what one says there is only an orderly one when a message has said so before:
 * whatever else it ends by, the death of a process most of all, is passed on as a reset.
 */
#ifndef SQUALL_HTTP_TLS_MESSAGE_H
#define SQUALL_HTTP_TLS_MESSAGE_H

#include "faults/http_tls.h"

#include <stdbool.h>
#include <stdint.h>

enum http_tls_op {
	/* To the process. */
	HTTP_TLS_HOLD,	/* one descriptor, which is kept until it is told to leave */
	HTTP_TLS_BEGIN, /* connection, side, id of that; the TCP socket and an end of the pair */
	HTTP_TLS_LEAVE, /* every connection is reset, what is held is let go, and this is answered
			 */
	/* Both ways. */
	HTTP_TLS_END, /* id: what ends there now ends in order; side, code: 1: without a
		       * close_notify of TLS, as many end it, and so it is passed on */
	/* From the process. */
	HTTP_TLS_READY,	 /* first of all; code: 0, or why it cannot be; texts */
	HTTP_TLS_LEFT,	 /* answers HTTP_TLS_LEAVE */
	HTTP_TLS_FAILED, /* side; text: why its handshake failed */
	HTTP_TLS_CLEAR,	 /* a client has come that does not speak TLS */
};

struct http_tls_request {
	uint32_t op, side;
	uint64_t connection, id;
};

struct http_tls_reply {
	uint32_t op, side;
	uint64_t id;
	int32_t code;
	char text[240]; /* READY: the error, or what the certificate is; FAILED: the reason */
	char more[240]; /* READY: the remedy, or what is odd about it */
};

#define HTTP_TLS_FDS_MAX 2

/* One message and its descriptors, which stay the caller's. 0 or -errno. */
int http_tls_send(int socket, const void *bytes, size_t size, const int *fds, unsigned count);
/* 1: a whole one of `size` bytes; 0: the other side is gone, or it is no such message; -EAGAIN:
 * none is there. fds: what came along, close-on-exec; -1 where nothing did. */
int http_tls_receive(int socket, void *bytes, size_t size, int fds[HTTP_TLS_FDS_MAX]);

/* http_tls_process.c: gives up all rights, then serves `socket` until that ends. Returns the exit
 * status of the process. */
int http_tls_main(int socket, pid_t parent, const struct params *params);

#endif
