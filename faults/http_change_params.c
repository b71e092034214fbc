/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What of requests and responses may be set: nothing that says where a message ends or what the
 * connection is for, nothing that ends its own line, and no more than always fits.
 */
#include "faults/http.h"
#include "faults/http_change.h"
#include "faults/http_json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const unsigned of_requests[] = {HTTP_PARAM_SET_PATH,	    HTTP_PARAM_SET_QUERY,
				       HTTP_PARAM_SET_METHOD,	    HTTP_PARAM_SET_REQUEST_HEADER,
				       HTTP_PARAM_SET_REQUEST_BODY, HTTP_PARAM_MERGE_REQUEST_BODY};
static const unsigned of_responses[] = {HTTP_PARAM_SET_STATUS, HTTP_PARAM_SET_RESPONSE_HEADER,
					HTTP_PARAM_SET_BODY, HTTP_PARAM_MERGE_BODY};
static const unsigned selectors[] = {HTTP_PARAM_STATUS, HTTP_PARAM_RESPONSE_HEADER};
#define COUNT(list) (sizeof(list) / sizeof(*(list)))

static const char *const refused[] = {
	"Content-Length",   "Transfer-Encoding", "Connection", "Keep-Alive",
	"Proxy-Connection", "Upgrade",		 "TE",	       "Trailer",
	"Expect",
};

static const char *first_of(const struct params *params, const unsigned *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (params_count(params, list[i]))
			return params->table[list[i]].name;
	return NULL;
}

static const char *first_of_all(const struct params *params)
{
	const char *name = first_of(params, of_requests, COUNT(of_requests));

	return name ? name : first_of(params, of_responses, COUNT(of_responses));
}

bool http_is_change(unsigned param)
{
	return param >= HTTP_PARAM_SET_PATH && param <= HTTP_PARAM_MERGE_BODY;
}

static bool has_no_body(unsigned status)
{
	return status == 204 || status == 205 || status == 304;
}

/* One way to another body, and a status that may have one. */
static int check_bodies(const struct http_policy *policy, struct error *err)
{
	const char *name = policy->new_body ? "set-body" : "merge-body";
	const char *twice = policy->new_body && policy->merged_body ? "merge-body"
			    : policy->new_request_body && policy->merged_request
				    ? "merge-request-body"
				    : NULL;

	if (twice) {
		error_set(err, EINVAL, "%s: the whole body is replaced", twice);
		return error_remedy(err, "leave one of them out");
	}
	if ((policy->new_body || policy->merged_body) && has_no_body(policy->new_status)) {
		error_set(err, EINVAL, "%s: a response with status %u has none", name,
			  policy->new_status);
		return error_remedy(err, "leave %s out, or set another status", name);
	}
	return 0;
}

/* What is done before there is a response cannot depend on it. */
static int check_selectors(const struct params *params, const struct http_policy *policy,
			   struct error *err)
{
	const char *selector = first_of(params, selectors, COUNT(selectors));
	const char *early = first_of(params, of_requests, COUNT(of_requests));

	if (!selector)
		return 0;
	if (policy->status)
		early = "answer";
	else if (policy->aborts)
		early = "abort";
	else if (policy->delay_ns)
		early = "delay";
	if (early) {
		error_set(err, EINVAL,
			  "%s: it chooses responses, and `%s` is done before there is one",
			  selector, early);
		return error_remedy(err, "leave one of them out, or make two steps");
	}
	if (http_policy_meets_responses(policy))
		return 0;
	error_set(err, EINVAL, "%s: it chooses responses, and nothing becomes of them", selector);
	return error_remedy(err, "add set-status, set-response-header, set-body, merge-body, "
				 "delay-response or abort-response");
}

/* Of a server that is not asked, or a connection that has ended, nothing comes. */
static int check_asked(const struct params *params, const struct http_policy *policy,
		       struct error *err)
{
	const char *late = policy->response_delay_ns  ? "delay-response"
			   : policy->aborts_responses ? "abort-response"
						      : NULL;
	const char *of_response = first_of(params, of_responses, COUNT(of_responses));
	const char *any = first_of_all(params);

	any = any ? any : late;
	if (any && policy->status) {
		error_set(err, EINVAL, "%s: `answer` does not ask the server", any);
		return error_remedy(err, "of what the server answers: set-status and set-body");
	}
	if (any && policy->aborts) {
		error_set(err, EINVAL, "%s: `abort` ends the connection", any);
		return error_remedy(err, "leave one of them out, or make two steps, each with "
					 "requests of its own");
	}
	if (of_response && policy->aborts_responses) {
		error_set(err, EINVAL, "%s: `abort-response` lets none through", of_response);
		return error_remedy(err, "leave one of them out, or make two steps, each with "
					 "requests of its own");
	}
	return 0;
}

int http_read_changes(const struct params *params, struct http_policy *policy, struct error *err)
{
	const char *of_request = first_of(params, of_requests, COUNT(of_requests));
	const char *of_response = first_of(params, of_responses, COUNT(of_responses));
	int result;

	policy->changes_requests = of_request != NULL;
	policy->changes_responses = of_response != NULL;
	policy->new_status = (unsigned)params_number(params, HTTP_PARAM_SET_STATUS, 0);
	policy->new_body = params_text(params, HTTP_PARAM_SET_BODY);
	policy->merged_body = params_text(params, HTTP_PARAM_MERGE_BODY);
	policy->new_request_body = params_text(params, HTTP_PARAM_SET_REQUEST_BODY);
	policy->merged_request = params_text(params, HTTP_PARAM_MERGE_REQUEST_BODY);
	policy->selects_responses = first_of(params, selectors, COUNT(selectors)) != NULL;
	result = check_asked(params, policy, err);
	if (result == 0)
		result = check_bodies(policy, err);
	return result < 0 ? result : check_selectors(params, policy, err);
}

/* Each of them. */

/* Of a request's target: what is neither there is written as %20 and so on. */
static bool is_target(const char *text, const char *without)
{
	for (; *text; text++)
		if (*text <= ' ' || *text > '~' || strchr(without, *text))
			return false;
	return true;
}

static int check_path(const char *name, const char *text, struct error *err)
{
	if (text[0] != '/')
		return error_set(err, EINVAL, "%s: '%.60s' does not begin with /", name, text);
	if (is_target(text, "#"))
		return 0;
	error_set(err, EINVAL, "%s: '%.60s': not all of this can be in a request", name, text);
	return error_remedy(err, "a blank is written as %%20, # as %%23, other bytes the same way");
}

static int check_query(const char *name, const char *text, struct error *err)
{
	if (text[0] == '=' || !strchr(text, '=')) {
		error_set(err, EINVAL, "%s: '%.60s' has no name and =", name, text);
		return error_remedy(err, "%s: \"page=2\"; to remove it: \"page=\"", name);
	}
	if (is_target(text, "#&"))
		return 0;
	error_set(err, EINVAL, "%s: '%.60s': not all of this can be in one", name, text);
	return error_remedy(err, "a blank is written as %%20, # as %%23, & as %%26, other bytes "
				 "the same way; several are a list");
}

static int check_method(const char *name, const char *text, struct error *err)
{
	if (strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_") != strlen(text) || strlen(text) > 32) {
		error_set(err, EINVAL, "%s: '%.40s' is none", name, text);
		return error_remedy(err, "they are written in capitals: GET, POST");
	}
	if (strcmp(text, "HEAD") != 0 && strcmp(text, "CONNECT") != 0)
		return 0;
	error_set(err, EINVAL, "%s: what is answered to %s has another end", name, text);
	return error_remedy(err, "any other method can be set");
}

static bool is_token(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (text[i] <= ' ' || text[i] > '~' || strchr("\"(),/:;<=>?@[\\]{}", text[i]))
			return false;
	return size > 0;
}

static int check_header(const char *name, const char *text, struct error *err)
{
	size_t size = strcspn(text, ":");

	if (text[size] != ':' || !is_token(text, size)) {
		error_set(err, EINVAL, "%s: '%.60s' has no name and colon", name, text);
		return error_remedy(err, "%s: \"X-User: test-1\"; to remove it: \"X-User:\"", name);
	}
	for (const char *at = text; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			return error_set(err, EINVAL, "%s: a control character is in it", name);
	for (size_t i = 0; i < COUNT(refused); i++)
		if (strlen(refused[i]) == size && strncasecmp(refused[i], text, size) == 0) {
			error_set(err, EINVAL,
				  "%s: %s says where a message ends or what its connection is for",
				  name, refused[i]);
			return error_remedy(
				err,
				"any can be set but Content-Length (set-body and the like set it), "
				"Transfer-Encoding, Connection, Keep-Alive, "
				"Proxy-Connection, Upgrade, TE, Trailer and Expect");
		}
	return 0;
}

/* Bytes of all that is to be set. */
static size_t size_of(const struct params *params)
{
	size_t size = 0;

	for (unsigned key = 0; params->table[key].name; key++)
		for (unsigned i = 0; http_is_change(key) && i < params_count(params, key); i++)
			size += strlen(params_value(params, key, i)->text);
	return size;
}

static int check_patch(const char *name, const char *text, struct error *err)
{
	if (http_json_is_patch((struct http_text){text, strlen(text)}))
		return 0;
	error_set(err, EINVAL, "%s: '%.60s' is no JSON object that can be merged", name, text);
	return error_remedy(err,
			    "%s: '{\"stock\": 0, \"price\": null}'; no name twice, at most %d "
			    "values in an object and %d objects in one another",
			    name, HTTP_PATCH_VALUES_MAX, HTTP_PATCH_DEPTH_MAX);
}

static int check_heads(const struct params *params, struct error *err)
{
	if (params_text(params, HTTP_PARAM_SET_METHOD) &&
	    params_count(params, HTTP_PARAM_METHOD) == 1 &&
	    strcmp(params_text(params, HTTP_PARAM_METHOD), "HEAD") == 0) {
		error_set(err, EINVAL, "set-method: HEAD requests keep their method");
		return error_remedy(err, "choose others by `method`");
	}
	return 0;
}

int http_check_changes(const struct params *params, struct error *err)
{
	static const struct {
		unsigned key;
		int (*check)(const char *name, const char *text, struct error *err);
	} checks[] = {
		{HTTP_PARAM_SET_PATH, check_path},
		{HTTP_PARAM_SET_QUERY, check_query},
		{HTTP_PARAM_SET_METHOD, check_method},
		{HTTP_PARAM_SET_REQUEST_HEADER, check_header},
		{HTTP_PARAM_SET_RESPONSE_HEADER, check_header},
		{HTTP_PARAM_MERGE_REQUEST_BODY, check_patch},
		{HTTP_PARAM_MERGE_BODY, check_patch},
	};
	int result = 0;

	for (size_t c = 0; c < COUNT(checks); c++)
		for (unsigned i = 0; result == 0 && i < params_count(params, checks[c].key); i++)
			result = checks[c].check(params->table[checks[c].key].name,
						 params_value(params, checks[c].key, i)->text, err);
	if (result == 0)
		result = check_heads(params, err);
	if (result == 0 && size_of(params) > HTTP_CHANGES_MAX) {
		error_set(err, E2BIG, "%s: all that is to be set has %zu bytes",
			  first_of_all(params), size_of(params));
		return error_remedy(err, "at most %d altogether", HTTP_CHANGES_MAX);
	}
	return result;
}
