/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/http_policy.h"

#include "faults/http.h"
#include "injector/base/quantity.h"
#include "injector/base/random.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* The path of "/path?query" or of "http://host/path?query", and the query (at NULL: there is none).
 */
static struct http_text path_of(struct http_text target, struct http_text *out_query)
{
	static const char scheme[] = "http://";
	const size_t length = sizeof(scheme) - 1;
	const char *end;

	*out_query = (struct http_text){0};
	if (target.size > length && strncasecmp(target.at, scheme, length) == 0) {
		const char *path = target.at + length;

		while (path < target.at + target.size && *path != '/' && *path != '?')
			path++;
		if (path == target.at + target.size || *path == '?')
			return (struct http_text){"/", 1};
		target.size -= (size_t)(path - target.at);
		target.at = path;
	}
	end = target.size ? memchr(target.at, '?', target.size) : NULL;
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

void http_policy_scale(struct http_policy *policy, int64_t level_ppb)
{
	__atomic_store_n(&policy->weaker_ppb, SHARE_ONE - level_ppb, __ATOMIC_RELAXED);
}

static int64_t scaled(const struct http_policy *policy, int64_t value)
{
	int64_t level_ppb = SHARE_ONE - __atomic_load_n(&policy->weaker_ppb, __ATOMIC_RELAXED);

	return (int64_t)((__int128)value * level_ppb / SHARE_ONE);
}

int64_t http_policy_delay_ns(const struct http_policy *policy)
{
	return http_policy_fate(policy) == HTTP_PASSES ? scaled(policy, policy->delay_ns)
						       : policy->delay_ns;
}

bool http_policy_draws(const struct http_policy *policy, uint64_t *random)
{
	const int64_t share_ppb = http_policy_fate(policy) == HTTP_PASSES
					  ? policy->share_ppb
					  : scaled(policy, policy->share_ppb);

	if (share_ppb >= SHARE_ONE)
		return true;
	return (random_next(random) >> 32) * (uint64_t)SHARE_ONE >> 32 < (uint64_t)share_ppb;
}

enum http_fate http_policy_fate(const struct http_policy *policy)
{
	return policy->aborts ? HTTP_ABORTED : policy->status ? HTTP_ANSWERED : HTTP_PASSES;
}
