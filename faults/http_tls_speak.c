/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is spoken on the TCP socket of one side. A client's first byte tells: 22 begins a handshake.
 * The server is spoken to as its client speaks, and with the name that this has said; who speaks
 * before its client is no TLS either.
 */
#include "faults/http_tls_pump.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define ssl	  http_tls_openssl
#define HANDSHAKE 22 /* RFC 8446 5.1 */

static void tell_failure(struct tls_side *side, const char *reason)
{
	struct http_tls_reply reply = {.op = HTTP_TLS_FAILED, .side = side->which};

	snprintf(reply.text, sizeof(reply.text), "%s", reason);
	tls_reply(side->server, &reply);
}

/* Why SSL_get_error() says so; *wants: what to wait for. */
static int judge(struct tls_side *side, int result, uint32_t *wants)
{
	switch (ssl.SSL_get_error(side->stream, result)) {
	case SSL_ERROR_WANT_READ:
		*wants = EPOLLIN;
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		*wants = EPOLLOUT;
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		return -ECONNRESET;
	}
}

static void tell_other(struct tls_side *side, enum tls_state state)
{
	struct tls_connection *connection = side->connection;
	struct tls_side *other = connection->current[!side->which];

	connection->state = state;
	if (!other)
		return;
	other->is_due = true;
	side->server->has_due = true;
}

static int begin_stream(struct tls_side *side, SSL_CTX *context)
{
	side->stream = ssl.SSL_new(context);
	if (!side->stream || !ssl.SSL_set_fd(side->stream, side->tcp))
		return -ECONNRESET;
	side->state = TLS_SHAKING;
	side->wants_in = side->wants_out = 0;
	return 0;
}

static int begin_client(struct tls_side *side)
{
	int result = begin_stream(side, side->server->contexts.server);

	if (result == 0)
		ssl.SSL_set_accept_state(side->stream);
	side->connection->state = TLS_SHAKING;
	return result;
}

static int begin_server(struct tls_side *side)
{
	const char *name = side->connection->name;
	int result = begin_stream(side, side->server->contexts.client);

	if (result < 0)
		return result;
	ssl.SSL_set_connect_state(side->stream);
	if (*name && (!ssl.SSL_ctrl(side->stream, SSL_CTRL_SET_TLSEXT_HOSTNAME,
				    TLSEXT_NAMETYPE_host_name, (void *)(uintptr_t)name) ||
		      (side->server->contexts.verifies && !ssl.SSL_set1_host(side->stream, name))))
		return -ECONNRESET;
	return 0;
}

/* Whoever says the first byte. */
static int decide(struct tls_side *side)
{
	struct tls_connection *connection = side->connection;
	bool is_client = side->which == HTTP_TLS_CLIENT;
	uint8_t first = 0;
	ssize_t got;

	if (connection->state == TLS_CLEAR) {
		side->state = TLS_CLEAR;
		return 0;
	}
	if (!is_client && connection->state == TLS_OPEN)
		return begin_server(side);
	side->wants_in = 0;
	if (connection->state == TLS_SHAKING)
		return -EAGAIN;
	side->wants_in = EPOLLIN;
	got = recv(side->tcp, &first, 1, MSG_PEEK | MSG_DONTWAIT);
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? -EAGAIN : -ECONNRESET;
	if (is_client && got == 1 && first == HANDSHAKE)
		return begin_client(side);
	side->state = TLS_CLEAR;
	if (is_client && got == 1)
		tls_reply(side->server, &(struct http_tls_reply){.op = HTTP_TLS_CLEAR});
	tell_other(side, TLS_CLEAR);
	return 0;
}

static const char *reason_of(struct tls_side *side)
{
	long verified = ssl.SSL_get_verify_result(side->stream);

	if (side->which == HTTP_TLS_SERVER && verified != X509_V_OK)
		return ssl.X509_verify_cert_error_string(verified);
	return http_tls_library_reason("the connection was closed");
}

static int shake(struct tls_side *side)
{
	const char *name;
	uint32_t wants = 0;
	int result;

	ssl.ERR_clear_error();
	result = ssl.SSL_do_handshake(side->stream);
	if (result != 1) {
		result = judge(side, result, &wants);
		side->wants_in = wants;
		if (result == -EAGAIN)
			return result;
		tell_failure(side, reason_of(side));
		return -ECONNRESET;
	}
	side->state = TLS_OPEN;
	if (side->which == HTTP_TLS_SERVER)
		return 0;
	name = ssl.SSL_get_servername(side->stream, TLSEXT_NAMETYPE_host_name);
	snprintf(side->connection->name, sizeof(side->connection->name), "%s", name ? name : "");
	tell_other(side, TLS_OPEN);
	return 0;
}

int tls_stream_open(struct tls_side *side)
{
	int result = side->state == TLS_UNDECIDED ? decide(side) : 0;

	return result == 0 && side->state == TLS_SHAKING ? shake(side) : result;
}

static ssize_t of_socket(ssize_t done)
{
	if (done >= 0)
		return done;
	return errno == EAGAIN || errno == EINTR ? -EAGAIN : -ECONNRESET;
}

/* By a FIN, and not by a reset. */
static bool has_ended(const struct tls_side *side)
{
	char byte;

	return recv(side->tcp, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

ssize_t tls_stream_read(struct tls_side *side, void *bytes, size_t size)
{
	int got;

	side->wants_in = EPOLLIN;
	if (side->state == TLS_CLEAR)
		return of_socket(recv(side->tcp, bytes, size, MSG_DONTWAIT));
	ssl.ERR_clear_error();
	got = ssl.SSL_read(side->stream, bytes, (int)size);
	if (got <= 0)
		got = judge(side, got, &side->wants_in);
	return got == -ECONNRESET && has_ended(side) ? -EPIPE : got;
}

ssize_t tls_stream_write(struct tls_side *side, const void *bytes, size_t size)
{
	int sent;

	side->wants_out = EPOLLOUT;
	if (side->state == TLS_CLEAR)
		return of_socket(send(side->tcp, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL));
	ssl.ERR_clear_error();
	sent = ssl.SSL_write(side->stream, bytes, (int)size);
	if (sent > 0)
		return sent;
	sent = judge(side, sent, &side->wants_out);
	return sent ? sent : -ECONNRESET;
}

int tls_stream_shut(struct tls_side *side, bool is_ragged)
{
	int result = 0;

	if (side->state == TLS_OPEN && !is_ragged) {
		ssl.ERR_clear_error();
		result = ssl.SSL_shutdown(side->stream);
		if (result < 0 && judge(side, result, &side->wants_out) == -EAGAIN)
			return -EAGAIN;
	}
	if (result < 0 || shutdown(side->tcp, SHUT_WR) < 0)
		return -ECONNRESET;
	return 0;
}
