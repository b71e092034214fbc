/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What who sends a request meets, in the words of RFC 9110 and connect(2).
 */
#include "faults/http.h"
#include "faults/http_collect.h"

#include "injector/base/prose.h"
#include "injector/base/quantity.h"

#include <string.h>

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

/* Between brackets. */
static const char *next_of(bool *has_begun)
{
	const char *before = *has_begun ? ", " : " (";

	*has_begun = true;
	return before;
}

/* "Name: value", or that it is removed. */
static void say_settings(struct prose *prose, bool *has_begun, const struct params *params,
			 unsigned key, const char *what, char between)
{
	unsigned count = params_count(params, key);

	for (unsigned i = 0; i < count && i < SHOWN_MAX; i++) {
		const char *text = params_value(params, key, i)->text;
		const char *value = strchr(text, between);
		int size = value ? (int)(value - text) : 0;

		if (value && value[1 + strspn(value + 1, " \t")])
			prose_say(prose, "%s%s %s", next_of(has_begun), what, text);
		else
			prose_say(prose, "%sno %s %.*s", next_of(has_begun), what, size, text);
	}
	if (count > SHOWN_MAX)
		prose_say(prose, "%sother %s", next_of(has_begun),
			  key == HTTP_PARAM_SET_QUERY ? "queries" : "headers");
}

static void say_body(struct prose *prose, bool *has_begun, const char *body, const char *patch)
{
	if (body)
		prose_say(prose, "%sanother body", next_of(has_begun));
	if (patch)
		prose_say(prose, "%sits JSON merged with %s", next_of(has_begun), patch);
}

static void say_request(struct prose *prose, const struct http_policy *policy)
{
	const struct params *params = policy->params;
	const char *path = params_text(params, HTTP_PARAM_SET_PATH);
	const char *method = params_text(params, HTTP_PARAM_SET_METHOD);
	bool has_begun = false;

	prose_say(prose, " reaches the server changed");
	if (method)
		prose_say(prose, "%smethod %s", next_of(&has_begun), method);
	if (path)
		prose_say(prose, "%spath %s", next_of(&has_begun), path);
	say_settings(prose, &has_begun, params, HTTP_PARAM_SET_QUERY, "query", '=');
	say_settings(prose, &has_begun, params, HTTP_PARAM_SET_REQUEST_HEADER, "header", ':');
	say_body(prose, &has_begun, policy->new_request_body, policy->merged_request);
	prose_say(prose, ")");
}

/* Which of them. */
static void say_chosen(struct prose *prose, const struct params *params)
{
	if (params_count(params, HTTP_PARAM_STATUS)) {
		prose_say(prose, " with status ");
		say_list(prose, params, HTTP_PARAM_STATUS, " or ");
	}
	if (params_count(params, HTTP_PARAM_RESPONSE_HEADER)) {
		prose_say(prose, " with the header ");
		say_list(prose, params, HTTP_PARAM_RESPONSE_HEADER, " and ");
	}
}

static void say_response(struct prose *prose, const struct http_policy *policy)
{
	bool has_begun = false;

	char text[QUANTITY_TEXT_SIZE];

	prose_say(prose, ", which does what it is asked, and its answer");
	if (policy->selects_responses) {
		prose_say(prose, ", if it is one");
		say_chosen(prose, policy->params);
		prose_say(prose, ",");
	}
	if (policy->response_delay_ns)
		prose_say(prose, " waits %s%s",
			  quantity_format_duration(policy->response_delay_ns, text),
			  policy->aborts_responses || policy->changes_responses ? " and then" : "");
	if (policy->aborts_responses)
		prose_say(prose, " is lost: the connection is reset (ECONNRESET), and clients that "
				 "repeat it have it done twice");
	if (!policy->changes_responses)
		return;
	prose_say(prose, " comes back changed");
	if (policy->new_status)
		prose_say(prose, "%sstatus %u %s", next_of(&has_begun), policy->new_status,
			  http_reason(policy->new_status));
	say_settings(prose, &has_begun, policy->params, HTTP_PARAM_SET_RESPONSE_HEADER, "header",
		     ':');
	say_body(prose, &has_begun, policy->new_body, policy->merged_body);
	prose_say(prose, ")");
}

static void say_changes(struct prose *prose, const struct http_policy *policy)
{
	if (policy->changes_requests)
		say_request(prose, policy);
	else
		prose_say(prose, " goes on to the server");
	if (http_policy_meets_responses(policy))
		say_response(prose, policy);
	prose_say(prose, ". ");
	if (policy->changes_requests || policy->changes_responses)
		prose_say(prose, "No cache may keep what comes of it (no-store). ");
	if (policy->merged_request || policy->merged_body)
		prose_say(prose,
			  "JSON is merged when all of it has come, up to %d KiB; what is longer, "
			  "compressed or none is not changed. ",
			  HTTP_KEPT_MAX >> 10);
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
	else if (policy->changes_requests || http_policy_meets_responses(policy))
		say_changes(prose, policy);
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
	if (http_tls_is_wanted(params))
		prose_say(
			&prose,
			"So are requests in TLS: clients are shown the certificate in %s in place "
			"of the server's, and those that do not trust it fail. ",
			params_text(params, HTTP_PARAM_TLS_CERTIFICATE));
	prose_say(&prose, "Other requests pass. Only connections that are opened while it lasts "
			  "are met: ");
	prose_say(&prose, params_number(params, HTTP_PARAM_RESET, 0)
				  ? "those that exist are ended when it begins (ECONNABORTED). "
				  : "a pool that keeps its own goes on with them untouched. ");
	prose_end(&prose);
}
