/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What who sends a request meets, in the words of RFC 9110 and connect(2).
 */
#include "faults/http.h"

#include "injector/base/prose.h"
#include "injector/base/quantity.h"

#define SHOWN_MAX 4 /* values in a sentence */

static void say_list(struct prose *prose, const struct params *params, unsigned key,
		     const char *between)
{
	unsigned count = params_count(params, key);

	for (unsigned i = 0; i < count && i < SHOWN_MAX; i++)
		prose_say(prose, "%s%s", i ? between : "", params_value(params, key, i)->text);
	if (count > SHOWN_MAX)
		prose_say(prose, "%sothers", between);
}

static void say_which(struct prose *prose, const struct params *params)
{
	prose_say(prose, "A request");
	if (params_count(params, HTTP_PARAM_METHOD)) {
		prose_say(prose, " with method ");
		say_list(prose, params, HTTP_PARAM_METHOD, " or ");
	}
	if (params_count(params, HTTP_PARAM_PATH)) {
		prose_say(prose, " for ");
		say_list(prose, params, HTTP_PARAM_PATH, " or ");
	}
	if (params_count(params, HTTP_PARAM_HEADER)) {
		prose_say(prose, " with the header ");
		say_list(prose, params, HTTP_PARAM_HEADER, " and ");
	}
}

static void say_effect(struct prose *prose, const struct http_policy *policy)
{
	char text[QUANTITY_TEXT_SIZE];

	if (policy->delay_ns)
		prose_say(prose, " waits %s and then",
			  quantity_format_duration(policy->delay_ns, text));
	if (policy->status)
		prose_say(prose,
			  " gets the answer %u %s, which the server does not know of: what it was "
			  "to do is not done. ",
			  policy->status, http_reason(policy->status));
	else if (policy->aborts)
		prose_say(prose,
			  " gets no answer: its connection is reset (ECONNRESET), and the server "
			  "has not seen it. Clients that repeat what may be repeated do so. ");
	else
		prose_say(prose, " goes on to the server; those behind it on the same connection "
				 "wait with it. ");
}

void http_explain(const struct params *params, char *out, size_t size)
{
	struct http_policy policy;
	struct error ignored = ERROR_INIT;
	char text[QUANTITY_TEXT_SIZE];
	struct prose prose;

	prose_begin(&prose, out, size);
	if (http_read_policy(params, &policy, &ignored) < 0)
		return;
	say_which(&prose, params);
	say_effect(&prose, &policy);
	if (policy.share_ppb < SHARE_ONE)
		prose_say(&prose, "%s of these requests meet this, each by itself. ",
			  quantity_format_share(policy.share_ppb, text));
	prose_say(&prose, "Other requests pass. Only connections that are opened while it lasts "
			  "are met: ");
	prose_say(&prose, params_number(params, HTTP_PARAM_RESET, 0)
				  ? "those that exist are ended when it begins (ECONNABORTED). "
				  : "a pool that keeps its own goes on with them untouched. ");
	prose_end(&prose);
}
