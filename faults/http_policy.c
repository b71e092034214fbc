/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/http_policy.h"

#include "faults/http.h"
#include "injector/base/quantity.h"
#include "injector/base/random.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

bool http_split_target(struct http_text target, struct http_text *out_origin,
		       struct http_text *out_path, struct http_text *out_query)
{
	static const char scheme[] = "http://";
	struct http_text origin = {target.at, 0}, path, query = {NULL, 0};
	size_t at = 0;

	if (target.size && target.at[0] != '/') {
		at = sizeof(scheme) - 1;
		if (target.size <= at || strncasecmp(target.at, scheme, at) != 0)
			return false;
		while (at < target.size && target.at[at] != '/' && target.at[at] != '?')
			at++;
		origin.size = at;
	}
	path = (struct http_text){target.at + at, 0};
	while (at < target.size && target.at[at] != '?')
		at++;
	path.size = (size_t)(target.at + at - path.at);
	if (at < target.size)
		query = (struct http_text){target.at + at + 1, target.size - at - 1};
	*out_origin = origin;
	*out_path = path;
	*out_query = query;
	return true;
}

/* Of a target that is neither, as of "*", what comes before a "?". */
static struct http_text path_of(struct http_text target, struct http_text *out_query)
{
	struct http_text origin, path;
	const char *end;

	if (http_split_target(target, &origin, &path, out_query))
		return path.size ? path : (struct http_text){"/", 1};
	*out_query = (struct http_text){0};
	end = memchr(target.at, '?', target.size);
	if (end) {
		size_t size = (size_t)(end - target.at);

		*out_query = (struct http_text){end + 1, target.size - size - 1};
		target.size = size;
	}
	return target;
}

/* Of a glob a ? is any character, or where the query begins. */
static bool is_path(const char *glob, struct http_text path, struct http_text query)
{
	char before[PARAM_TEXT_MAX + 1];

	if (http_glob_holds(glob, path, false))
		return true;
	for (const char *at = glob; query.at && (at = strchr(at, '?')); at++) {
		snprintf(before, sizeof(before), "%.*s", (int)(at - glob), glob);
		if (http_glob_holds(before, path, false) && http_glob_holds(at + 1, query, false))
			return true;
	}
	return false;
}

static bool has_path(const struct params *params, struct http_text target)
{
	struct http_text query, path = path_of(target, &query);
	unsigned count = params_count(params, HTTP_PARAM_PATH);

	for (unsigned i = 0; i < count; i++)
		if (is_path(params_value(params, HTTP_PARAM_PATH, i)->text, path, query))
			return true;
	return count == 0;
}

static bool has_method(const struct params *params, struct http_text method)
{
	unsigned count = params_count(params, HTTP_PARAM_METHOD);

	for (unsigned i = 0; i < count; i++) {
		const char *wanted = params_value(params, HTTP_PARAM_METHOD, i)->text;

		if (strlen(wanted) == method.size && memcmp(wanted, method.at, method.size) == 0)
			return true;
	}
	return count == 0;
}

/* "Name: glob" */
static bool has_header(struct http_text headers, const char *wanted)
{
	size_t length = strcspn(wanted, ":");
	const char *glob = wanted + length + 1;
	struct http_text name, value;

	glob += strspn(glob, " \t");
	while (http_next_header(&headers, &name, &value))
		if (name.size == length && strncasecmp(name.at, wanted, length) == 0 &&
		    http_glob_holds(glob, value, false))
			return true;
	return false;
}

bool http_policy_holds(const struct http_policy *policy, const struct http_request_head *request)
{
	const struct params *params = policy->params;

	if (!has_method(params, request->method) || !has_path(params, request->target))
		return false;
	for (unsigned i = 0; i < params_count(params, HTTP_PARAM_HEADER); i++)
		if (!has_header(request->headers, params_value(params, HTTP_PARAM_HEADER, i)->text))
			return false;
	return true;
}

bool http_policy_takes(const struct http_policy *policy, const struct http_response_head *response)
{
	const struct params *params = policy->params;
	unsigned count = params_count(params, HTTP_PARAM_STATUS);
	bool is_wanted = count == 0;

	for (unsigned i = 0; i < count && !is_wanted; i++)
		is_wanted = compare_holds(&params_value(params, HTTP_PARAM_STATUS, i)->compare,
					  response->status);
	for (unsigned i = 0; i < params_count(params, HTTP_PARAM_RESPONSE_HEADER); i++)
		is_wanted = is_wanted &&
			    has_header(response->headers,
				       params_value(params, HTTP_PARAM_RESPONSE_HEADER, i)->text);
	return is_wanted;
}

void http_policy_scale(struct http_policy *policy, int64_t level_ppb)
{
	__atomic_store_n(&policy->weaker_ppb, SHARE_ONE - level_ppb, __ATOMIC_RELAXED);
}

static int64_t scaled(const struct http_policy *policy, int64_t value)
{
	int64_t level_ppb = SHARE_ONE - __atomic_load_n(&policy->weaker_ppb, __ATOMIC_RELAXED);

	return (int64_t)((__int128)value * level_ppb / SHARE_ONE);
}

/* Nothing but late; else a ramp is about how many are met. */
static bool is_delay_alone(const struct http_policy *policy)
{
	return http_policy_fate(policy) == HTTP_PASSES && !policy->changes_requests &&
	       !policy->changes_responses && !policy->aborts_responses;
}

int64_t http_policy_delay_ns(const struct http_policy *policy)
{
	return is_delay_alone(policy) ? scaled(policy, policy->delay_ns) : policy->delay_ns;
}

int64_t http_policy_response_delay_ns(const struct http_policy *policy)
{
	return is_delay_alone(policy) ? scaled(policy, policy->response_delay_ns)
				      : policy->response_delay_ns;
}

bool http_policy_meets_responses(const struct http_policy *policy)
{
	return policy->changes_responses || policy->aborts_responses || policy->response_delay_ns;
}

bool http_policy_draws(const struct http_policy *policy, uint64_t *random)
{
	const int64_t share_ppb =
		is_delay_alone(policy) ? policy->share_ppb : scaled(policy, policy->share_ppb);

	if (share_ppb >= SHARE_ONE)
		return true;
	return (random_next(random) >> 32) * (uint64_t)SHARE_ONE >> 32 < (uint64_t)share_ppb;
}

enum http_fate http_policy_fate(const struct http_policy *policy)
{
	return policy->aborts ? HTTP_ABORTED : policy->status ? HTTP_ANSWERED : HTTP_PASSES;
}
