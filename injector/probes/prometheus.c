/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Probe `prometheus`: an instant query by the HTTP API of a Prometheus server, and what its value
 * must be. Every series of the answer must hold. No series at all is unknown: the question was
 * asked, and nobody knows (a typing error, a target that is not scraped any more).
 */
#include "injector/probes/http_request.h"
#include "injector/probes/http_url.h"

#include "injector/base/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARAM_QUERY, PARAM_HEADER, PARAM_INSECURE, PARAM_CA };
enum { EXPECT_VALUE };

#define QUERY_PATH "/api/v1/query?query="

static const struct param prometheus_params[] = {
	[PARAM_QUERY] = {"query", PARAM_TEXT, PARAM_REQUIRED,
			 .doc = "a PromQL expression whose result is a number or a vector"},
	[PARAM_HEADER] = HTTP_HEADER_PARAM,
	[PARAM_INSECURE] = HTTP_INSECURE_PARAM,
	[PARAM_CA] = HTTP_CA_PARAM,
	{0},
};
static const struct param prometheus_expect[] = {
	[EXPECT_VALUE] = {"value", PARAM_COMPARE_NUMBER, PARAM_REQUIRED,
			  .doc = "what every series of the result must be, like < 0.05"},
	{0},
};

struct prometheus {
	struct http_request request;
	char *url;
	struct compare value;
};

/* URL + path + the query in percent notation (RFC 3986, unreserved characters as they are). */
static char *make_url(const char *base, const char *query)
{
	size_t length = strcspn(base, "?#");
	char *url = malloc(length + strlen(QUERY_PATH) + 3 * strlen(query) + 1), *at = url;

	if (!url)
		return NULL;
	while (length && base[length - 1] == '/')
		length--;
	at += sprintf(at, "%.*s" QUERY_PATH, (int)length, base);
	for (; *query; query++) {
		if (isalnum((unsigned char)*query) || strchr("-._~", *query))
			*at++ = *query;
		else
			at += sprintf(at, "%%%02X", (unsigned char)*query);
	}
	*at = '\0';
	return url;
}

static int prometheus_check(const struct probe_spec *spec, struct error *err)
{
	struct endpoint_host server;
	int result = http_url_parse(spec->subject[0], &server, err);

	if (result == 0)
		result = http_request_check_headers(&spec->params, PARAM_HEADER, err);
	if (result == 0 && !params_is_set(&spec->expect, EXPECT_VALUE))
		return error_set(err, EINVAL,
				 "nothing is expected; write expect: {value: \"< 5\"}");
	return result;
}

/* [time, "value"]; the value is a text, as NaN and +Inf are no JSON. */
static bool read_value(const json_t *pair, double *out)
{
	const char *text = json_string_value(json_array_get(pair, 1));
	char *end;

	if (!text || !*text)
		return false;
	*out = strtod(text, &end);
	return !*end;
}

static void judge_series(struct prometheus *prometheus, const json_t *list)
{
	struct probe *probe = prometheus->request.probe;
	const char *expected = params_text(&probe->spec->expect, EXPECT_VALUE);
	double value = NAN, shown = NAN;
	const json_t *series;
	size_t i;

	json_array_foreach (list, i, series) {
		if (!read_value(json_object_get(series, "value"), &value)) {
			probe_finish(probe, PROBE_UNKNOWN, NAN,
				     "the answer has a series without a value");
			return;
		}
		if (isnan(value) || !compare_holds(&prometheus->value, value)) {
			probe_finish(probe, PROBE_FAIL, value, "value %g, expected %s", value,
				     expected);
			return;
		}
		shown = value;
	}
	if (i == 0)
		probe_finish(probe, PROBE_UNKNOWN, NAN, "the query has no result");
	else
		probe_finish(probe, PROBE_PASS, shown, "value %g", shown);
}

static void judge_result(struct prometheus *prometheus, const json_t *root)
{
	struct probe *probe = prometheus->request.probe;
	const json_t *data = json_object_get(root, "data");
	const json_t *result = json_object_get(data, "result");
	const char *type = json_string_value(json_object_get(data, "resultType"));
	const char *error = json_string_value(json_object_get(root, "error"));
	char excerpt[100];
	json_t *one;

	if (error)
		probe_finish(probe, PROBE_UNKNOWN, NAN, "the server refuses the query: %s",
			     probe_excerpt(error, strlen(error), excerpt, sizeof(excerpt)));
	else if (type && strcmp(type, "vector") == 0)
		judge_series(prometheus, result);
	else if (type && strcmp(type, "scalar") == 0) {
		one = json_pack("[{s:O}]", "value", result);
		judge_series(prometheus, one);
		json_decref(one);
	} else {
		probe_finish(probe, PROBE_UNKNOWN, NAN,
			     "the result is neither a number nor an instant vector");
	}
}

static void judge_answer(struct http_request *request)
{
	struct prometheus *prometheus = (struct prometheus *)request; /* its first member */
	json_t *root;
	long status = 0;

	probe_take_latency(request->probe);
	request->web->easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
	root = json_loadb(request->body, request->body_length, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(root))
		judge_result(prometheus, root);
	else if (request->is_body_full)
		probe_finish(request->probe, PROBE_UNKNOWN, NAN,
			     "the answer is larger than 64 KiB; narrow the query (sum, max)");
	else
		probe_finish(request->probe, PROBE_UNKNOWN, NAN,
			     "status %ld without JSON: is this a Prometheus server?", status);
	json_decref(root);
}

static int prometheus_open(struct probe *probe, struct error *err)
{
	const struct probe_spec *spec = probe->spec;
	struct prometheus *prometheus = probe->state = calloc(1, sizeof(*prometheus));
	struct http_options options = {
		.params = &spec->params,
		.header = PARAM_HEADER,
		.insecure = PARAM_INSECURE,
		.ca = PARAM_CA,
	};

	if (prometheus)
		prometheus->url =
			make_url(spec->subject[0], params_text(&spec->params, PARAM_QUERY));
	if (!prometheus || !prometheus->url)
		return error_errno(err, ENOMEM, "cannot prepare the probe");
	options.url = prometheus->url;
	prometheus->request.judge = judge_answer;
	probe_compare(&spec->expect, EXPECT_VALUE, &prometheus->value);
	return http_request_open(&prometheus->request, probe, &options, err);
}

static int prometheus_start(struct probe *probe, struct error *err)
{
	return http_request_start(probe->state, err);
}

static void prometheus_cancel(struct probe *probe)
{
	http_request_cancel(probe->state);
}

static void prometheus_close(struct probe *probe)
{
	struct prometheus *prometheus = probe->state;

	if (!prometheus)
		return;
	http_request_close(&prometheus->request);
	free(prometheus->url);
	free(prometheus);
	probe->state = NULL;
}

const struct probe_ops prometheus_probe = {
	.name = "prometheus",
	.summary = "a query to a Prometheus server has the expected value",
	.subject_doc = "URL of the server, as http://prometheus:9090",
	.params = prometheus_params,
	.expect = prometheus_expect,
	.check = prometheus_check,
	.open = prometheus_open,
	.start = prometheus_start,
	.cancel = prometheus_cancel,
	.close = prometheus_close,
};
