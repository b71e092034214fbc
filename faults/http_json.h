/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * JSON Merge Patch (RFC 7396) over the text itself: what the patch does not name stays to the byte,
 * with its order, blanks and digits, which no number of ours could hold. Pure functions over bytes
 * of strangers, without memory of their own and with a bounded stack.
 */
#ifndef SQUALL_HTTP_JSON_H
#define SQUALL_HTTP_JSON_H

#include "faults/http_message.h"

#define HTTP_JSON_DEPTH_MAX   512 /* of what is merged; deeper than any that is meant */
#define HTTP_PATCH_DEPTH_MAX  16
#define HTTP_PATCH_VALUES_MAX 64 /* of each object of a patch */

/* Is it one value as RFC 8259 has it, in UTF-8? */
bool http_json_is_sound(struct http_text text);
/* Is it an object that can be merged: within the limits, no name twice? */
bool http_json_is_patch(struct http_text text);
/* `out` has room for both and 2 more. False, and it holds nothing: `text` is not sound, or what is
 * to be changed stands in it twice. */
bool http_json_merge(struct http_text text, struct http_text patch, uint8_t *out, size_t room,
		     size_t *out_size);

#endif
