/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Probe `http`: one request, and what is expected of the answer. A new connection for each attempt
 * unless `reuse` is set: a kept one would hide that no new one can be made. Redirects are answers,
 * not followed. At most the first 64 KiB of the body are read.
 */
#include "injector/probes/http_url.h"
#include "injector/probes/probe.h"
#include "injector/probes/resolver.h"
#include "injector/probes/web.h"

#include "injector/base/cleanup.h"
#include "injector/base/quantity.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define BODY_MAX (64 * 1024)

enum { PARAM_METHOD, PARAM_HEADER, PARAM_INSECURE, PARAM_CA, PARAM_REUSE };
enum { EXPECT_STATUS, EXPECT_LATENCY, EXPECT_BODY };
enum { METHOD_GET, METHOD_HEAD, METHOD_POST };

static const char *const methods[] = {
	[METHOD_GET] = "GET", [METHOD_HEAD] = "HEAD", [METHOD_POST] = "POST", NULL};

static const struct param http_params[] = {
	[PARAM_METHOD] = {"method", PARAM_WORD, .words = methods, .fallback = "GET",
			  .doc = "request method; POST sends an empty body"},
	[PARAM_HEADER] = {"header", PARAM_TEXT, PARAM_LIST,
			  .doc = "request header, as \"Accept: text/plain\""},
	[PARAM_INSECURE] = {"insecure", PARAM_BOOL, .fallback = "false",
			    .doc = "accept any certificate"},
	[PARAM_CA] = {"ca", PARAM_PATH,
		      .doc = "certificates to trust instead of the system's, a PEM file"},
	[PARAM_REUSE] = {"reuse", PARAM_BOOL, .fallback = "false",
			 .doc = "keep the connection for the next attempt"},
	{0},
};
static const struct param http_expect[] = {
	[EXPECT_STATUS] = {"status", PARAM_COMPARE_NUMBER, .fallback = "200-399",
			   .doc = "status code"},
	[EXPECT_LATENCY] = {"latency", PARAM_COMPARE_DURATION,
			    .doc = "time until the whole answer is there, name look-up included"},
	[EXPECT_BODY] = {"body", PARAM_PATTERN,
			 .doc = "regular expression that the body (first 64 KiB) matches"},
	{0},
};

struct http {
	struct probe *probe;
	const struct web *web; /* NULL: not opened */
	CURL *easy;
	struct curl_slist *headers, *addresses;
	struct web_transfer transfer;
	struct resolver *resolver;
	struct endpoint server;
	bool is_reusing, is_known; /* is_known: the addresses of the last pass serve again */
	struct compare status;
	bool has_pattern;
	regex_t pattern;
	char *body; /* BODY_MAX bytes and a NUL */
	size_t body_length;
	bool is_body_full;
	char trouble[CURL_ERROR_SIZE];
	char obstacle[ENDPOINT_HOST_MAX + 32];
};

static int check_header(const char *header, struct error *err)
{
	size_t name = strcspn(header, ":");

	for (size_t i = 0; i < name; i++)
		if (!isalnum((unsigned char)header[i]) && !strchr("!#$%&'*+-.^_`|~", header[i]))
			name = 0;
	if (!name || header[name] != ':')
		return error_set(err, EINVAL, "header: '%s' must be written as \"Name: value\"",
				 header);
	return 0;
}

static int http_check(const struct probe_spec *spec, struct error *err)
{
	struct endpoint server;
	int result = http_url_parse(spec->subject[0], &server, err);

	for (unsigned i = 0; result == 0 && i < params_count(&spec->params, PARAM_HEADER); i++)
		result = check_header(params_value(&spec->params, PARAM_HEADER, i)->text, err);
	if (result == 0 && params_is_set(&spec->expect, EXPECT_BODY) &&
	    params_number(&spec->params, PARAM_METHOD, METHOD_GET) == METHOD_HEAD)
		return error_set(err, EINVAL, "an answer to HEAD has no body to expect");
	return result;
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
	struct http *http = context;
	size_t length = size * count, room = BODY_MAX - http->body_length;
	size_t take = length < room ? length : room;

	memcpy(http->body + http->body_length, data, take);
	http->body_length += take;
	http->is_body_full = take < length;
	return take; /* less than was given ends the transfer */
}

/* Debian's GnuTLS flavour reads CAfile and the 140 files of CApath for each connection: 20 ms of
 * processor time each, that all other probes would wait for. The bundle holds the same certificates
 * and costs 1 ms. */
static void set_trust(struct http *http, const struct probe_spec *spec)
{
	const char *ca = params_text(&spec->params, PARAM_CA);
	const struct web *web = http->web;
	char *bundle = NULL;

	if (params_number(&spec->params, PARAM_INSECURE, 0)) {
		web->easy_setopt(http->easy, CURLOPT_SSL_VERIFYPEER, 0L);
		web->easy_setopt(http->easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	web->easy_getinfo(http->easy, CURLINFO_CAINFO, &bundle);
	if (ca)
		web->easy_setopt(http->easy, CURLOPT_CAINFO, ca);
	if (ca || (bundle && access(bundle, R_OK) == 0))
		web->easy_setopt(http->easy, CURLOPT_CAPATH, (char *)NULL);
}

static int set_headers(struct http *http, const struct probe_spec *spec, struct error *err)
{
	for (unsigned i = 0; i < params_count(&spec->params, PARAM_HEADER); i++) {
		struct curl_slist *longer = http->web->slist_append(
			http->headers, params_value(&spec->params, PARAM_HEADER, i)->text);

		if (!longer)
			return error_errno(err, ENOMEM, "cannot keep a header");
		http->headers = longer;
	}
	http->web->easy_setopt(http->easy, CURLOPT_HTTPHEADER, http->headers);
	return 0;
}

static int set_request(struct http *http, const struct probe_spec *spec, struct error *err)
{
	const struct web *web = http->web;
	CURL *easy = http->easy;
	int64_t method = params_number(&spec->params, PARAM_METHOD, METHOD_GET);
	CURLcode code = web->easy_setopt(easy, CURLOPT_URL, spec->subject[0]);

	if (code == CURLE_OK)
		code = web->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	if (code != CURLE_OK)
		return error_set(err, EIO, "libcurl: %s", web->easy_strerror(code));
	if (method == METHOD_HEAD) {
		web->easy_setopt(easy, CURLOPT_NOBODY, 1L);
	} else if (method == METHOD_POST) {
		web->easy_setopt(easy, CURLOPT_POST, 1L);
		web->easy_setopt(easy, CURLOPT_POSTFIELDS, "");
		web->easy_setopt(easy, CURLOPT_POSTFIELDSIZE, 0L);
	}
	web->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	web->easy_setopt(easy, CURLOPT_PROXY, ""); /* not from the environment either */
	web->easy_setopt(easy, CURLOPT_USERAGENT, "squall/" SQUALL_VERSION);
	web->easy_setopt(easy, CURLOPT_ERRORBUFFER, http->trouble);
	web->easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	web->easy_setopt(easy, CURLOPT_WRITEDATA, http);
	/* the scheduler's time-out is the only one; libcurl's for the connection is 5 minutes */
	web->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, 7 * 24 * 3600L);
	if (!http->is_reusing) {
		web->easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
		web->easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
	}
	set_trust(http, spec);
	return set_headers(http, spec, err);
}

static void http_close(struct probe *probe)
{
	struct http *http = probe->state;

	if (!http)
		return;
	if (http->easy)
		http->web->easy_cleanup(http->easy);
	if (http->web) {
		http->web->slist_free_all(http->headers);
		http->web->slist_free_all(http->addresses);
		web_close();
	}
	if (http->has_pattern)
		regfree(&http->pattern);
	resolver_free(http->resolver);
	free(http->body);
	free(http);
	probe->state = NULL;
}

static int http_open(struct probe *probe, struct error *err)
{
	const struct probe_spec *spec = probe->spec;
	struct http *http = probe->state = calloc(1, sizeof(*http));
	int result;

	if (!http || !(http->body = malloc(BODY_MAX + 1)))
		return error_errno(err, ENOMEM, "cannot prepare the probe");
	http->probe = probe;
	http->is_reusing = params_number(&spec->params, PARAM_REUSE, 0);
	probe_compare(&spec->expect, EXPECT_STATUS, &http->status);
	result = http_url_parse(spec->subject[0], &http->server, err);
	if (result == 0)
		result = resolver_new(&http->server, probe->loop, &http->resolver, err);
	if (result == 0 && params_is_set(&spec->expect, EXPECT_BODY)) {
		result = probe_pattern_compile(params_text(&spec->expect, EXPECT_BODY),
					       &http->pattern, err);
		http->has_pattern = result == 0;
	}
	if (result == 0)
		result = web_open(probe->loop, &http->web, err);
	if (result < 0)
		return result;
	http->easy = http->web->easy_init();
	if (!http->easy)
		return error_errno(err, ENOMEM, "cannot prepare the probe");
	snprintf(http->obstacle, sizeof(http->obstacle), "resolve host '%s'", http->server.host);
	return set_request(http, spec, err);
}

static void judge_answer(struct http *http)
{
	struct probe *probe = http->probe;
	const struct params *expect = &probe->spec->expect;
	int64_t latency = probe_take_latency(probe);
	char reason[128], excerpt[48], took[QUANTITY_TEXT_SIZE];
	long status = 0;

	http->body[http->body_length] = '\0';
	http->web->easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &status);
	if (!compare_holds(&http->status, (double)status))
		probe_finish(probe, PROBE_FAIL, (double)status, "status %ld, expected %s", status,
			     params_text(expect, EXPECT_STATUS));
	else if (http->has_pattern &&
		 !probe_pattern_matches(&http->pattern, http->body, http->body_length))
		probe_finish(probe, PROBE_FAIL, (double)status, "body '%s' does not match '%s'",
			     probe_excerpt(http->body, http->body_length, excerpt, sizeof(excerpt)),
			     params_text(expect, EXPECT_BODY));
	else if (!probe_latency_holds(probe, EXPECT_LATENCY, latency, reason, sizeof(reason)))
		probe_finish(probe, PROBE_FAIL, (double)status, "%s", reason);
	else
		probe_finish(probe, PROBE_PASS, (double)status, "status %ld in %s", status,
			     quantity_format_latency(latency, took));
}

static void on_done(void *context, CURLcode code)
{
	struct http *http = context;
	const char *ca = params_text(&http->probe->spec->params, PARAM_CA);
	char reason[CURL_ERROR_SIZE + 16];
	bool is_local;

	http->is_known = http->is_reusing && code == CURLE_OK;
	if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && http->is_body_full)) {
		judge_answer(http);
		return;
	}
	is_local = web_explain(http->easy, code, http->trouble, reason, sizeof(reason));
	if (code == CURLE_SSL_CACERT_BADFILE)
		snprintf(reason, sizeof(reason), "cannot read certificates from %.100s",
			 ca ? ca : "the system's bundle");
	http->probe->latency_ns = -1;
	probe_finish(http->probe, is_local ? PROBE_UNKNOWN : PROBE_FAIL, NAN, "%.150s", reason);
}

/* "HOST:PORT:ADDRESS,ADDRESS" (CURLOPT_RESOLVE): libcurl shall not look up anything. */
static int set_addresses(struct http *http, const struct resolver_result *result, struct error *err)
{
	char line[ENDPOINT_HOST_MAX + 16 + RESOLVER_ADDRESSES * (INET6_ADDRSTRLEN + 3)];
	size_t used = (size_t)snprintf(line, sizeof(line), "%s:%u:", http->server.host,
				       http->server.port_first);

	for (unsigned i = 0; i < result->count; i++) {
		const union resolver_address *address = &result->addresses[i];
		bool is_v6 = address->any.sa_family == AF_INET6;
		char text[INET6_ADDRSTRLEN];

		inet_ntop(address->any.sa_family,
			  is_v6 ? (const void *)&address->v6.sin6_addr
				: (const void *)&address->v4.sin_addr,
			  text, sizeof(text));
		used += (size_t)snprintf(line + used, sizeof(line) - used, "%s%s%s%s", i ? "," : "",
					 is_v6 ? "[" : "", text, is_v6 ? "]" : "");
	}
	http->web->easy_setopt(http->easy, CURLOPT_RESOLVE, (struct curl_slist *)NULL);
	http->web->slist_free_all(http->addresses);
	http->addresses = http->web->slist_append(NULL, line);
	if (!http->addresses)
		return error_errno(err, ENOMEM, "cannot keep addresses");
	http->web->easy_setopt(http->easy, CURLOPT_RESOLVE, http->addresses);
	return 0;
}

static int ask(struct http *http, struct error *err)
{
	http->body_length = 0;
	http->is_body_full = false;
	http->trouble[0] = '\0';
	return web_start(&http->transfer, http->easy, on_done, http, err);
}

static void on_addresses(void *context, const struct resolver_result *result)
{
	struct http *http = context;
	struct probe *probe = http->probe;
	struct error err = ERROR_INIT;

	probe->obstacle = NULL;
	if (result->code)
		probe_finish(probe, PROBE_UNKNOWN, NAN, "could not %s: %s", http->obstacle,
			     result->reason);
	else if (set_addresses(http, result, &err) < 0 || ask(http, &err) < 0)
		probe_finish(probe, PROBE_UNKNOWN, NAN, "%.150s", err.text);
}

static int http_start(struct probe *probe, struct error *err)
{
	struct http *http = probe->state;

	if (!resolver_is_name(http->resolver) || http->is_known)
		return ask(http, err);
	probe->obstacle = http->obstacle;
	return resolver_lookup(http->resolver, on_addresses, http, err);
}

static void http_cancel(struct probe *probe)
{
	struct http *http = probe->state;

	resolver_forget(http->resolver);
	web_cancel(&http->transfer);
	http->is_known = false;
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
