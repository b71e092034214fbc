/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Messages whose JSON is to be merged: kept until all of them is there, and then they go on, with
 * another body or as they came. What is too long or breaks off goes on as it came.
 */
#ifndef SQUALL_HTTP_COLLECT_H
#define SQUALL_HTTP_COLLECT_H

#include "faults/http_stream.h"

#define HTTP_KEPT_MAX	  (1 << 20)  /* of one body, as it is sent: with the sizes of its chunks */
#define HTTP_KEPT_ALL_MAX (64 << 20) /* of all connections; further ones go on as they came */

/* The next `size` bytes of the lane, a head, are kept, and what is its body will be. False: it is
 * too long, or there is none, or no memory, and nothing has happened. */
bool http_collect_begin(struct http_relay *relay, struct http_lane *lane, size_t size,
			const struct http_body *body);

enum http_collected {
	HTTP_COLLECTING,
	HTTP_COLLECTED,	    /* all of it is there */
	HTTP_NOT_COLLECTED, /* and will not be */
};
/* Keeps what has come of it, and `body` goes on with it; *out_moved: something has. */
enum http_collected http_collect_go_on(struct http_relay *relay, struct http_lane *lane,
				       struct http_body *body, bool *out_moved);

/* What is kept is whole, of the request or response at hand, and becomes what the policy wants.
 * False: it stays as it came. */
bool http_collect_change_request(struct http_stream *stream);
bool http_collect_change_response(struct http_stream *stream);

/* What is kept goes on, as far as there is room for it, before anything else does. */
void http_collect_release(struct http_lane *lane);
/* True: some has gone on. */
bool http_collect_pour(struct http_relay *relay, struct http_lane *lane);
void http_collect_forget(struct http_relay *relay, struct http_lane *lane);

#endif
