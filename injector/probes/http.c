/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Probe `http`: one request, and what is expected of the answer. A new connection for each attempt
 * unless `reuse` is set: a kept one would hide that no new one can be made. Redirects are answers,
 * not followed. At most the first 64 KiB of the body are read.
 */
#include "injector/probes/http_request.h"
#include "injector/probes/http_url.h"

#include "injector/base/clock.h"
#include "injector/base/quantity.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARAM_METHOD, PARAM_HEADER, PARAM_INSECURE, PARAM_CA, PARAM_REUSE, PARAM_TLS };
enum { EXPECT_STATUS, EXPECT_LATENCY, EXPECT_BODY, EXPECT_CERTIFICATE };

static const char *const tls_versions[] = {"1.2", "1.3", NULL};

static const struct param http_params[] = {
	[PARAM_METHOD] = {"method", PARAM_WORD, .words = http_methods, .fallback = "GET",
			  .doc = "request method; POST sends an empty body"},
	[PARAM_HEADER] = HTTP_HEADER_PARAM,
	[PARAM_INSECURE] = HTTP_INSECURE_PARAM,
	[PARAM_CA] = HTTP_CA_PARAM,
	[PARAM_REUSE] = {"reuse", PARAM_BOOL, .fallback = "false",
			 .doc = "keep the connection for the next attempt"},
	[PARAM_TLS] = {"tls", PARAM_WORD, .words = tls_versions, .fallback = "1.2",
		       .doc = "the oldest version of TLS that is accepted"},
	{0},
};
static const struct param http_expect[] = {
	[EXPECT_STATUS] = {"status", PARAM_COMPARE_NUMBER, .min = 100, .max = 999,
			   .fallback = "200-399", .doc = "status code"},
	[EXPECT_LATENCY] = {"latency", PARAM_COMPARE_DURATION,
			    .doc = "time until the whole answer is there, name look-up included"},
	[EXPECT_BODY] = {"body", PARAM_PATTERN,
			 .doc = "regular expression that the body (first 64 KiB) matches"},
	[EXPECT_CERTIFICATE] = {"certificate", PARAM_COMPARE_DURATION,
				.doc = "how long the server's certificate is still valid, like > "
				       "14d"},
	{0},
};

struct http {
	struct http_request request;
	struct compare status;
	bool has_pattern;
	regex_t pattern;
};

static int http_check(const struct probe_spec *spec, struct error *err)
{
	struct endpoint_host server;
	int result = http_url_parse(spec->subject[0], &server, err);

	if (result == 0)
		result = http_request_check_headers(&spec->params, PARAM_HEADER, err);
	if (result == 0 && params_is_set(&spec->expect, EXPECT_BODY) &&
	    params_number(&spec->params, PARAM_METHOD, HTTP_GET) == HTTP_HEAD)
		return error_set(err, EINVAL, "an answer to HEAD has no body to expect");
	if (result == 0 && strncmp(spec->subject[0], "https:", 6) != 0 &&
	    (params_is_set(&spec->expect, EXPECT_CERTIFICATE) ||
	     params_is_set(&spec->params, PARAM_TLS)))
		return error_set(err, EINVAL, "only https:// has TLS and a certificate");
	return result;
}

/* False: it is not valid for as long as expected, and probe_finish() was called. */
static bool certificate_holds(struct http *http)
{
	struct probe *probe = http->request.probe;
	const struct params *expect = &probe->spec->expect;
	int64_t ends_s = http_request_certificate_end(&http->request);
	int64_t left_ns = ends_s * NSEC_PER_SEC - clock_wall_ns();
	struct compare limit;

	probe_compare(expect, EXPECT_CERTIFICATE, &limit);
	if (ends_s < 0) {
		probe_finish(probe, PROBE_UNKNOWN, NAN, "the end of the certificate is not known");
		return false;
	}
	if (compare_holds(&limit, (double)left_ns))
		return true;
	if (left_ns < 0)
		probe_finish(probe, PROBE_FAIL, NAN, "the certificate has expired");
	else
		probe_finish(probe, PROBE_FAIL, NAN,
			     "the certificate is valid for %d more days, expected %s",
			     (int)(left_ns / (24 * 3600 * NSEC_PER_SEC)),
			     params_text(expect, EXPECT_CERTIFICATE));
	return false;
}

static void judge_answer(struct http_request *request)
{
	struct http *http = (struct http *)request; /* its first member */
	struct probe *probe = request->probe;
	const struct params *expect = &probe->spec->expect;
	int64_t latency = probe_take_latency(probe);
	char reason[128], excerpt[48], took[QUANTITY_TEXT_SIZE];
	long status = 0;

	request->web->easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
	if (params_is_set(expect, EXPECT_CERTIFICATE) && !certificate_holds(http))
		return;
	if (!compare_holds(&http->status, (double)status))
		probe_finish(probe, PROBE_FAIL, (double)status, "status %ld, expected %s", status,
			     params_text(expect, EXPECT_STATUS));
	else if (http->has_pattern &&
		 !probe_pattern_matches(&http->pattern, request->body, request->body_length))
		probe_finish(probe, PROBE_FAIL, (double)status, "body '%s' does not match '%s'",
			     probe_excerpt(request->body, request->body_length, excerpt,
					   sizeof(excerpt)),
			     params_text(expect, EXPECT_BODY));
	else if (!probe_latency_holds(probe, EXPECT_LATENCY, latency, reason, sizeof(reason)))
		probe_finish(probe, PROBE_FAIL, (double)status, "%s", reason);
	else
		probe_finish(probe, PROBE_PASS, (double)status, "status %ld in %s", status,
			     quantity_format_latency(latency, took));
}

static int http_open(struct probe *probe, struct error *err)
{
	const struct probe_spec *spec = probe->spec;
	const struct http_options options = {
		.url = spec->subject[0],
		.method = (enum http_method)params_number(&spec->params, PARAM_METHOD, HTTP_GET),
		.is_reusing = params_number(&spec->params, PARAM_REUSE, 0) != 0,
		.params = &spec->params,
		.header = PARAM_HEADER,
		.insecure = PARAM_INSECURE,
		.ca = PARAM_CA,
		.has_tls_13_only = params_number(&spec->params, PARAM_TLS, 0) == 1,
		.has_certificate = params_is_set(&spec->expect, EXPECT_CERTIFICATE),
	};
	struct http *http = probe->state = calloc(1, sizeof(*http));

	if (!http)
		return error_errno(err, ENOMEM, "cannot prepare the probe");
	http->request.judge = judge_answer;
	probe_compare(&spec->expect, EXPECT_STATUS, &http->status);
	if (params_is_set(&spec->expect, EXPECT_BODY)) {
		int result = probe_pattern_compile(params_text(&spec->expect, EXPECT_BODY),
						   &http->pattern, err);

		if (result < 0)
			return result;
		http->has_pattern = true;
	}
	return http_request_open(&http->request, probe, &options, err);
}

static int http_start(struct probe *probe, struct error *err)
{
	return http_request_start(probe->state, err);
}

static void http_cancel(struct probe *probe)
{
	http_request_cancel(probe->state);
}

static void http_close(struct probe *probe)
{
	struct http *http = probe->state;

	if (!http)
		return;
	http_request_close(&http->request);
	if (http->has_pattern)
		regfree(&http->pattern);
	free(http);
	probe->state = NULL;
}

const struct probe_ops http_probe = {
	.name = "http",
	.summary = "a web server answers with the expected status, in time",
	.subject_doc = "URL",
	.params = http_params,
	.expect = http_expect,
	.check = http_check,
	.open = http_open,
	.start = http_start,
	.cancel = http_cancel,
	.close = http_close,
};
