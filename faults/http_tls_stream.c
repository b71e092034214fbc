/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Connections whose sockets lie with squall-tls: they end in order only where it, or we, have said
 * so before.
 */
#include "faults/http_stream.h"

bool http_stream_pass_to_tls(struct http_stream *stream, enum http_tls_side side, int *inout_fd)
{
	struct http_relay *relay = stream->relay;

	if (!relay->tls)
		return true;
	if (!stream->tls.connection)
		stream->tls.connection = http_tls_number(relay->tls);
	stream->tls.ids[side] = http_tls_number(relay->tls);
	stream->tls.ended[side] = stream->tls.is_ragged[side] = false;
	/* above the floor is where the process has them: here their order means nothing */
	return http_tls_pass(relay->tls, stream->tls.connection, side, stream->tls.ids[side],
			     inout_fd) == 0;
}

void http_stream_end_in_tls(struct http_stream *stream, enum http_tls_side side)
{
	const enum http_tls_side from = side == HTTP_TLS_CLIENT ? HTTP_TLS_SERVER : HTTP_TLS_CLIENT;

	if (stream->relay->tls)
		http_tls_end(stream->relay->tls, stream->tls.ids[side],
			     stream->tls.is_ragged[from]);
}

static void has_ended(void *context, uint64_t id, bool is_ragged)
{
	struct http_relay *relay = context;

	for (struct http_stream *stream = relay->streams; stream; stream = stream->next)
		for (unsigned side = 0; side < HTTP_TLS_SIDES; side++)
			if (stream->tls.ids[side] == id) {
				stream->tls.ended[side] = true;
				stream->tls.is_ragged[side] = is_ragged;
				return;
			}
}

void http_stream_hear_tls(struct http_relay *relay)
{
	http_tls_hear(relay->tls, has_ended, relay);
	/* gone: that would be told for ever, and every connection ends by itself */
	if (http_tls_check_alive(relay->tls, NULL) < 0)
		loop_unwatch(relay->base.loop, http_tls_socket(relay->tls));
}

bool http_stream_ended_in_tls(struct http_stream *stream, enum http_tls_side side)
{
	if (!stream->relay->tls)
		return true;
	if (!stream->tls.ended[side])
		http_stream_hear_tls(stream->relay);
	return stream->tls.ended[side];
}
