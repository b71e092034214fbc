/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The parameters of the http fault: what they may be, and what they mean together.
 */
#include "faults/http.h"

#include "injector/base/clock.h"
#include "injector/base/quantity.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define SERVERS_MAX 1000

const struct param http_params[] = {
	[HTTP_PARAM_TARGET] =
		{.name = "target",
		 .type = PARAM_TARGET,
		 .flags = PARAM_REQUIRED,
		 .doc = "the servers (port 80 unless given), and whose requests: its "
			"namespace; with local-port: everybody's requests to the "
			"servers in its namespace at these ports, to: the clients; only "
			"on connections that begin while it lasts"},
	[HTTP_PARAM_DELAY] = {.name = "delay",
			      .type = PARAM_DURATION,
			      .max = 600 * NSEC_PER_SEC,
			      .doc = "time a request waits before it is answered, aborted or "
				     "passed on"},
	[HTTP_PARAM_ANSWER] = {.name = "answer",
			       .type = PARAM_INTEGER,
			       .min = 200,
			       .max = 599,
			       .doc = "the status that is answered, 200 or 400 to 599, and the "
				      "server is not asked"},
	[HTTP_PARAM_BODY] = {.name = "body",
			     .type = PARAM_TEXT,
			     .doc = "of that answer; default: empty"},
	[HTTP_PARAM_ABORT] = {.name = "abort",
			      .type = PARAM_BOOL,
			      .fallback = "false",
			      .doc = "the connection of the request is reset"},
	[HTTP_PARAM_DELAY_RESPONSE] = {.name = "delay-response",
				       .type = PARAM_DURATION,
				       .max = 600 * NSEC_PER_SEC,
				       .doc = "time the server's response waits, which was asked "
					      "at once"},
	[HTTP_PARAM_ABORT_RESPONSE] = {.name = "abort-response",
				       .type = PARAM_BOOL,
				       .fallback = "false",
				       .doc = "the connection is reset when the server has done "
					      "what it was asked"},
	[HTTP_PARAM_SET_PATH] = {.name = "set-path",
				 .type = PARAM_TEXT,
				 .doc = "what the server is asked for instead; what is behind a ? "
					"stays, unless this has one as well"},
	[HTTP_PARAM_SET_QUERY] = {.name = "set-query",
				  .type = PARAM_TEXT,
				  .flags = PARAM_LIST,
				  .doc = "behind the ?, as \"page=2\"; \"page=\" removes it"},
	[HTTP_PARAM_SET_METHOD] = {.name = "set-method",
				   .type = PARAM_NAME,
				   .doc = "the method the server sees; HEAD requests keep theirs"},
	[HTTP_PARAM_SET_REQUEST_HEADER] = {.name = "set-request-header",
					   .type = PARAM_TEXT,
					   .flags = PARAM_LIST,
					   .doc = "what the server sees, as \"X-User: test-1\"; "
						  "\"X-User:\" removes it"},
	[HTTP_PARAM_SET_REQUEST_BODY] = {.name = "set-request-body",
					 .type = PARAM_LINE,
					 .doc = "what the server gets in place of the client's; of "
						"a request that has none only where its method "
						"may have one"},
	[HTTP_PARAM_MERGE_REQUEST_BODY] = {.name = "merge-request-body",
					   .type = PARAM_TEXT,
					   .doc = "a JSON object that is merged into the client's "
						  "JSON (RFC 7396), before the server gets it; "
						  "null removes a value",
					   .example = "{\"amount\": -1}"},
	[HTTP_PARAM_SET_STATUS] = {.name = "set-status",
				   .type = PARAM_INTEGER,
				   .min = 200,
				   .max = 599,
				   .doc = "the status in place of the server's, which was asked"},
	[HTTP_PARAM_SET_RESPONSE_HEADER] = {.name = "set-response-header",
					    .type = PARAM_TEXT,
					    .flags = PARAM_LIST,
					    .doc = "of the server's response, as \"Retry-After: "
						   "60\"; \"Retry-After:\" removes it"},
	[HTTP_PARAM_SET_BODY] = {.name = "set-body",
				 .type = PARAM_LINE,
				 .doc = "in place of the server's; it may be empty"},
	[HTTP_PARAM_MERGE_BODY] = {.name = "merge-body",
				   .type = PARAM_TEXT,
				   .doc = "a JSON object that is merged into the server's JSON "
					  "(RFC 7396); null removes a value",
				   .example = "{\"stock\": 0, \"price\": null}"},
	[HTTP_PARAM_PATH] = {.name = "path",
			     .type = PARAM_TEXT,
			     .flags = PARAM_LIST,
			     .doc = "only requests for such a path, whatever its query, or with "
				    "one: \"/item?id=7*\"; * is any characters, ? any one; "
				    "default: any"},
	[HTTP_PARAM_METHOD] = {.name = "method",
			       .type = PARAM_NAME,
			       .flags = PARAM_LIST,
			       .doc = "only requests with one of these: GET, POST, ...; default: "
				      "any"},
	[HTTP_PARAM_HEADER] = {.name = "header",
			       .type = PARAM_TEXT,
			       .flags = PARAM_LIST,
			       .doc = "only requests with all of these, as \"User: test-*\""},
	[HTTP_PARAM_STATUS] = {.name = "status",
			       .type = PARAM_COMPARE_NUMBER,
			       .flags = PARAM_LIST,
			       .min = 200,
			       .max = 599,
			       .doc = "of the responses only those with one of these are changed, "
				      "delayed or aborted; default: any",
			       .example = "500-599"},
	[HTTP_PARAM_RESPONSE_HEADER] = {.name = "response-header",
					.type = PARAM_TEXT,
					.flags = PARAM_LIST,
					.doc = "of the responses only those with all of these, as "
					       "\"Content-Type: text/*\""},
	[HTTP_PARAM_PROBABILITY] = {.name = "probability",
				    .type = PARAM_SHARE,
				    .min = 1,
				    .max = SHARE_ONE,
				    .fallback = "100%",
				    .doc = "with which a request is met"},
	[HTTP_PARAM_RESET] = {.name = "reset-connections",
			      .type = PARAM_BOOL,
			      .fallback = "false",
			      .doc = "when it begins, or follows the servers, connections to them "
				     "that exist are ended, so that new ones come; cannot be "
				     "undone"},
	[HTTP_PARAM_TLS_CERTIFICATE] =
		{.name = "tls-certificate",
		 .type = PARAM_TEXT,
		 .flags = PARAM_FILE,
		 .doc = "file (PEM) with the certificate that clients are shown, and those up to "
			"its authority: requests in TLS are met as well"},
	[HTTP_PARAM_TLS_KEY] = {.name = "tls-key",
				.type = PARAM_TEXT,
				.flags = PARAM_FILE,
				.doc = "file (PEM) with the private key of that certificate, not "
				       "encrypted; what is in it is never shown"},
	[HTTP_PARAM_TLS_CA] = {.name = "tls-ca",
			       .type = PARAM_TEXT,
			       .flags = PARAM_FILE,
			       .doc = "file (PEM) with authorities by which the server's own "
				      "certificate is verified; default: it is not"},
	{.name = NULL},
};

static int check_counts(const struct params *params, struct error *err)
{
	static const unsigned lists[] = {HTTP_PARAM_PATH,
					 HTTP_PARAM_METHOD,
					 HTTP_PARAM_HEADER,
					 HTTP_PARAM_STATUS,
					 HTTP_PARAM_RESPONSE_HEADER,
					 HTTP_PARAM_SET_QUERY,
					 HTTP_PARAM_SET_REQUEST_HEADER,
					 HTTP_PARAM_SET_RESPONSE_HEADER};

	for (unsigned i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		if (params_count(params, lists[i]) > HTTP_VALUES_MAX)
			return error_set(err, E2BIG, "%s: more than %d",
					 params->table[lists[i]].name, HTTP_VALUES_MAX);
	return 0;
}

static int check_path(const char *text, struct error *err)
{
	if (text[0] != '/' && text[0] != '*' && text[0] != '?') {
		error_set(err, EINVAL, "path: '%.60s' begins with neither / nor *", text);
		return error_remedy(err, "path: \"/%.60s\", or \"*/%.60s\" at any place", text,
				    text);
	}
	if (strpbrk(text, " #")) {
		error_set(err, EINVAL, "path: '%.60s': a blank or # is in no request", text);
		return error_remedy(err,
				    "write a blank as %%20, and leave out # and what is behind");
	}
	return 0;
}

static int check_method(const char *text, struct error *err)
{
	if (strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_") == strlen(text))
		return 0;
	error_set(err, EINVAL, "method: '%.40s' is none", text);
	return error_remedy(err, "they are written in capitals: GET, POST");
}

static int check_a_header(const char *key, const char *text, struct error *err)
{
	size_t name = strcspn(text, ": \t");

	if (name && text[name] == ':')
		return 0;
	error_set(err, EINVAL, "%s: '%.60s' has no name and colon", key, text);
	return error_remedy(err, "%s: \"X-User: test-*\"; with any value: \"X-User: *\"", key);
}

static int check_header(const char *text, struct error *err)
{
	return check_a_header("header", text, err);
}

static int check_response_header(const char *text, struct error *err)
{
	return check_a_header("response-header", text, err);
}

static int check_each(const struct params *params, unsigned key,
		      int (*check)(const char *text, struct error *err), struct error *err)
{
	int result = 0;

	for (unsigned i = 0; result == 0 && i < params_count(params, key); i++)
		result = check(params_value(params, key, i)->text, err);
	return result;
}

static int check_effects(const struct http_policy *policy, bool has_body, struct error *err)
{
	if (!policy->status && !policy->aborts && !policy->delay_ns && !policy->changes_requests &&
	    !http_policy_meets_responses(policy)) {
		error_set(err, EINVAL, "what shall become of the requests?");
		return error_remedy(err, "give answer, delay, abort or what is to be changed "
					 "(set-status, set-path, ...)");
	}
	if (policy->status && policy->status != 200 && policy->status < 400) {
		error_set(err, EINVAL, "answer: %u is no error", policy->status);
		return error_remedy(err, "give 400 to 599, or 200");
	}
	if (policy->status && policy->aborts) {
		error_set(err, EINVAL, "abort: a request that is aborted gets no answer");
		return error_remedy(err, "give `answer` or `abort`");
	}
	if (has_body && !policy->status) {
		error_set(err, EINVAL, "body: it belongs to `answer`, which is not given");
		return error_remedy(err, "add answer: 503; of what the server answers: set-body");
	}
	return 0;
}

int http_read_policy(const struct params *params, struct http_policy *out, struct error *err)
{
	const char *body = params_text(params, HTTP_PARAM_BODY);
	struct http_policy policy = {
		.params = params,
		.status = (unsigned)params_number(params, HTTP_PARAM_ANSWER, 0),
		.body = body ? body : "",
		.aborts = params_number(params, HTTP_PARAM_ABORT, 0),
		.delay_ns = params_number(params, HTTP_PARAM_DELAY, 0),
		.response_delay_ns = params_number(params, HTTP_PARAM_DELAY_RESPONSE, 0),
		.aborts_responses = params_number(params, HTTP_PARAM_ABORT_RESPONSE, 0),
		.share_ppb = params_number(params, HTTP_PARAM_PROBABILITY, SHARE_ONE),
	};
	int result = http_read_changes(params, &policy, err);

	if (result == 0)
		result = check_effects(&policy, body != NULL, err);
	if (result == 0)
		*out = policy;
	return result;
}

int http_check(const struct params *params, struct error *err)
{
	struct http_policy policy;
	int result = check_counts(params, err);

	if (result == 0)
		result = check_each(params, HTTP_PARAM_PATH, check_path, err);
	if (result == 0)
		result = check_each(params, HTTP_PARAM_METHOD, check_method, err);
	if (result == 0)
		result = check_each(params, HTTP_PARAM_HEADER, check_header, err);
	if (result == 0)
		result = check_each(params, HTTP_PARAM_RESPONSE_HEADER, check_response_header, err);
	if (result == 0)
		result = http_check_changes(params, err);
	if (result == 0)
		result = http_tls_check(params, err);
	return result < 0 ? result : http_read_policy(params, &policy, err);
}

const struct target_use http_use = {
	.takes = TARGET_TAKES(TO) | TARGET_TAKES(TO_FILE) | TARGET_TAKES(PROTOCOL) |
		 TARGET_TAKES(PROTOCOL_NUMBER) | TARGET_TAKES(EXCEPT) | TARGET_TAKES(EXCEPT_FILE) |
		 TARGET_TAKES(INTERFACE) | TARGET_TAKES(ALLOW_LOCKOUT) | TARGET_TAKES_OWNERS |
		 TARGET_TAKES(LOCAL_PORT) | TARGET_TAKES(LOCAL_ADDRESS) |
		 TARGET_TAKES(EXCEPT_LOCAL_PORT) | TARGET_TAKES(EXCEPT_LOCAL_ADDRESS),
	.chosen = "requests are chosen by server, by what is asked and by who asks",
	.spoken = "HTTP/1 is spoken over tcp alone",
	.protocols = {IPPROTO_TCP},
	.endpoints_max = SERVERS_MAX,
	.example = "10.0.5.7:80",
};

int http_check_target(const struct params *params, const struct params *target,
		      const struct param_value **out_blamed, struct error *err)
{
	int result = http_check_server(target, out_blamed, err);

	if (result < 0)
		return result;
	if (params_number(params, HTTP_PARAM_RESET, 0) && params_count(target, TRAFFIC_INTERFACE)) {
		*out_blamed = params_value(target, TRAFFIC_INTERFACE, 0);
		error_set(err, EINVAL,
			  "interface: reset-connections does not know which connections leave by "
			  "it");
		return error_remedy(err, "leave one of them out");
	}
	return 0;
}
