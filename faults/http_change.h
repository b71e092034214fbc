/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Requests and responses as the parameters want them instead of what was said. Pure functions: a
 * head of strangers that was understood goes in, a whole one comes out, or nothing. What is not to
 * be changed stays to the byte, and so does where the message ends, unless the body is replaced.
 */
#ifndef SQUALL_HTTP_CHANGE_H
#define SQUALL_HTTP_CHANGE_H

#include "faults/http_policy.h"

/* All that is to be set has this many bytes at the most, checked by http_check_changes(). */
#define HTTP_CHANGES_MAX 4000
/* No message becomes longer by more: colons, line ends, and the few lines of our own. */
#define HTTP_GROWTH_MAX (HTTP_CHANGES_MAX + 600)

/* `bytes`: what `request` was read from. False, and `out` holds nothing: it has not what is to be
 * changed (no path, a HEAD whose method would change what is answered to it), or there is no room.
 */
bool http_change_request(const struct http_policy *policy, const struct http_request_head *request,
			 const uint8_t *bytes, size_t size, uint8_t *out, size_t room,
			 size_t *out_size);
/* The same of a response that is neither interim nor 101; with its body, if that is replaced, or
 * there is none any more: then *out_drops, and the server's goes to nobody. A cache is told to keep
 * nothing of it: that would outlive the fault. */
bool http_change_response(const struct http_policy *policy,
			  const struct http_response_head *response, const uint8_t *bytes,
			  size_t size, bool to_head, uint8_t *out, size_t room, size_t *out_size,
			  bool *out_drops);

#endif
