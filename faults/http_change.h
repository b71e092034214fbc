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
 * changed (no path, a HEAD whose method would change what is answered to it, no body and a method
 * that has none), or there is no room. With its body, if that is replaced: then *out_drops, and the
 * client's goes to nobody. `merged`: the whole body, which is written behind the head by who calls
 * (http_collect.c); NULL: there is none yet, and what is to be merged is not changed. */
bool http_change_request(const struct http_policy *policy, const struct http_request_head *request,
			 const uint8_t *bytes, size_t size, const struct http_text *merged,
			 uint8_t *out, size_t room, size_t *out_size, bool *out_drops);
/* The same of a response that is neither interim nor 101; with its body, if that is replaced, or
 * there is none any more: then *out_drops, and the server's goes to nobody. A cache is told to keep
 * nothing of it: that would outlive the fault. */
bool http_change_response(const struct http_policy *policy,
			  const struct http_response_head *response, const uint8_t *bytes,
			  size_t size, bool to_head, const struct http_text *merged, uint8_t *out,
			  size_t room, size_t *out_size, bool *out_drops);
/* Is a body with these headers one that can be merged: JSON, all of it, and not encoded? */
bool http_change_can_merge(struct http_text headers);
/* The same, of a request that can wait until it is whole. */
bool http_change_can_collect(const struct http_request_head *request);

#endif
