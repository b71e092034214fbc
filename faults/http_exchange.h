/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is said on one connection: what its two directions (http_exchange.c, http_response.c) know
 * of each other.
 */
#ifndef SQUALL_HTTP_EXCHANGE_H
#define SQUALL_HTTP_EXCHANGE_H

#include "faults/http_stream.h"

/* Nothing is understood any more: everything passes, both ways. */
bool http_exchange_give_up(struct http_stream *stream);
/* Goes on with responses: http_response.c. True: something has moved. */
bool http_exchange_respond(struct http_stream *stream);

#endif
