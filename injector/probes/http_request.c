/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/probes/http_request.h"

#include "injector/probes/http_url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char *const http_methods[] = {
	[HTTP_GET] = "GET", [HTTP_HEAD] = "HEAD", [HTTP_POST] = "POST", NULL};

static int check_header(const char *header, struct error *err)
{
	size_t name = strcspn(header, ":");

	for (size_t i = 0; i < name; i++)
		if (!isalnum((unsigned char)header[i]) && !strchr("!#$%&'*+-.^_`|~", header[i]))
			name = 0;
	if (!name || header[name] != ':')
		return error_set(err, EINVAL, "a header must be written as \"Name: value\"");
	return 0;
}

int http_request_check_headers(const struct params *params, unsigned header, struct error *err)
{
	int result = 0;

	for (unsigned i = 0; result == 0 && i < params_count(params, header); i++)
		result = check_header(params_value(params, header, i)->text, err);
	return result;
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
	struct http_request *http = context;
	size_t length = size * count, room = HTTP_BODY_MAX - http->body_length;
	size_t take = length < room ? length : room;

	memcpy(http->body + http->body_length, data, take);
	http->body_length += take;
	http->is_body_full = take < length;
	return take; /* less than was given ends the transfer */
}

/* Debian's GnuTLS flavour reads CAfile and the 140 files of CApath for each connection: 20 ms of
 * processor time each, that all other probes would wait for. The bundle holds the same certificates
 * and costs 1 ms. */
static void set_trust(struct http_request *http, const struct http_options *options)
{
	const char *ca = params_text(options->params, options->ca);
	const struct web *web = http->web;
	char *bundle = NULL;

	if (params_number(options->params, options->insecure, 0)) {
		web->easy_setopt(http->easy, CURLOPT_SSL_VERIFYPEER, 0L);
		web->easy_setopt(http->easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	web->easy_getinfo(http->easy, CURLINFO_CAINFO, &bundle);
	if (ca)
		web->easy_setopt(http->easy, CURLOPT_CAINFO, ca);
	if (ca || (bundle && access(bundle, R_OK) == 0))
		web->easy_setopt(http->easy, CURLOPT_CAPATH, (char *)NULL);
}

static int set_headers(struct http_request *http, const struct http_options *options,
		       struct error *err)
{
	for (unsigned i = 0; i < params_count(options->params, options->header); i++) {
		struct curl_slist *longer = http->web->slist_append(
			http->headers, params_value(options->params, options->header, i)->text);

		if (!longer)
			return error_errno(err, ENOMEM, "cannot keep a header");
		http->headers = longer;
	}
	if (options->content_type) {
		struct curl_slist *longer =
			http->web->slist_append(http->headers, options->content_type);

		if (!longer)
			return error_errno(err, ENOMEM, "cannot keep a header");
		http->headers = longer;
	}
	http->web->easy_setopt(http->easy, CURLOPT_HTTPHEADER, http->headers);
	return 0;
}

static int set_up(struct http_request *http, const struct http_options *options, struct error *err)
{
	const struct web *web = http->web;
	CURL *easy = http->easy;
	CURLcode code = web->easy_setopt(easy, CURLOPT_URL, options->url);

	if (code == CURLE_OK)
		code = web->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	if (code != CURLE_OK)
		return error_set(err, EIO, "libcurl: %s", web->easy_strerror(code));
	if (options->method == HTTP_HEAD) {
		web->easy_setopt(easy, CURLOPT_NOBODY, 1L);
	} else if (options->method == HTTP_POST) {
		web->easy_setopt(easy, CURLOPT_POST, 1L);
		web->easy_setopt(easy, CURLOPT_POSTFIELDS, "");
		web->easy_setopt(easy, CURLOPT_POSTFIELDSIZE, 0L);
	}
	web->easy_setopt(easy, CURLOPT_SSLVERSION,
			 (long)(options->has_tls_13_only ? CURL_SSLVERSION_TLSv1_3
							 : CURL_SSLVERSION_TLSv1_2));
	web->easy_setopt(easy, CURLOPT_CERTINFO, options->has_certificate ? 1L : 0L);
	web->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	web->easy_setopt(easy, CURLOPT_PROXY, "");    /* not from the environment either */
	web->easy_setopt(easy, CURLOPT_NOPROXY, "*"); /* nor looked for there at each attempt */
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
	set_trust(http, options);
	return set_headers(http, options, err);
}

/* No answer. `is_local`: the question could not even be asked. */
static void fail(struct http_request *http, bool is_local, const char *reason)
{
	if (!http->probe) {
		http->fail(http, reason);
		return;
	}
	http->probe->latency_ns = -1;
	probe_finish(http->probe, is_local ? PROBE_UNKNOWN : PROBE_FAIL, NAN, "%.150s", reason);
}

static void on_done(void *context, CURLcode code)
{
	struct http_request *http = context;
	char reason[CURL_ERROR_SIZE + 16];
	bool is_local;

	http->is_known = http->is_reusing && code == CURLE_OK;
	if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && http->is_body_full)) {
		http->body[http->body_length] = '\0';
		http->judge(http);
		return;
	}
	is_local = web_explain(http->easy, code, http->trouble, reason, sizeof(reason));
	if (code == CURLE_SSL_CACERT_BADFILE)
		snprintf(reason, sizeof(reason), "cannot read certificates from %.100s",
			 http->ca ? http->ca : "the system's bundle");
	fail(http, is_local, reason);
}

/* "HOST:PORT:ADDRESS,ADDRESS" (CURLOPT_RESOLVE): libcurl shall not look up anything. */
static int set_addresses(struct http_request *http, const struct resolver_result *result,
			 struct error *err)
{
	char line[ENDPOINT_HOST_MAX + 16 + RESOLVER_ADDRESSES * (INET6_ADDRSTRLEN + 3)];
	size_t used = (size_t)snprintf(line, sizeof(line), "%s:%u:", http->server.name,
				       http->server.endpoint.port_first);

	for (unsigned i = 0; i < result->count; i++) {
		const union resolver_address *address = &result->addresses[i];
		bool is_v6 = address->any.sa_family == AF_INET6;
		char text[INET6_ADDRSTRLEN];

		resolver_address_format(address, text);
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

static int ask(struct http_request *http, struct error *err)
{
	http->body_length = 0;
	http->is_body_full = false;
	http->trouble[0] = '\0';
	return web_start(&http->transfer, http->easy, on_done, http, err);
}

static void on_addresses(void *context, const struct resolver_result *result)
{
	struct http_request *http = context;
	char reason[sizeof(http->obstacle) + 128];
	struct error err = ERROR_INIT;

	if (http->probe)
		http->probe->obstacle = NULL;
	if (result->code) {
		snprintf(reason, sizeof(reason), "could not %s: %s", http->obstacle,
			 result->reason);
		fail(http, true, reason);
	} else if (set_addresses(http, result, &err) < 0 || ask(http, &err) < 0) {
		fail(http, true, err.text);
	}
}

int http_request_start(struct http_request *http, struct error *err)
{
	if (!resolver_is_name(http->resolver) || http->is_known)
		return ask(http, err);
	if (http->probe)
		http->probe->obstacle = http->obstacle;
	return resolver_lookup(http->resolver, on_addresses, http, err);
}

/* GnuTLS: "Expire Date:2026-12-24 09:00:00 GMT"; OpenSSL: "Expire date:Dec 24 09:00:00 2026 GMT" */
static int64_t parse_date(const char *text)
{
	static const char *const formats[] = {"%Y-%m-%d %H:%M:%S", "%b %d %H:%M:%S %Y"};

	for (unsigned i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
		struct tm date = {0};

		if (strptime(text, formats[i], &date))
			return timegm(&date);
	}
	return -1;
}

int64_t http_request_certificate_end(const struct http_request *http)
{
	static const char name[] = "Expire date:";
	struct curl_certinfo *chain = NULL;

	if (http->web->easy_getinfo(http->easy, CURLINFO_CERTINFO, &chain) != CURLE_OK || !chain ||
	    chain->num_of_certs < 1)
		return -1;
	/* the first one is the server's own */
	for (const struct curl_slist *line = chain->certinfo[0]; line; line = line->next)
		if (strncasecmp(line->data, name, sizeof(name) - 1) == 0)
			return parse_date(line->data + sizeof(name) - 1);
	return -1;
}

void http_request_cancel(struct http_request *http)
{
	resolver_forget(http->resolver);
	web_cancel(&http->transfer);
	http->is_known = false;
}

int http_request_open(struct http_request *http, struct probe *probe,
		      const struct http_options *options, struct error *err)
{
	http->probe = probe;
	http->loop = probe->loop;
	return http_request_open_alone(http, options, err);
}

void http_request_body(struct http_request *http, const char *body)
{
	http->web->easy_setopt(http->easy, CURLOPT_POSTFIELDS, body);
	http->web->easy_setopt(http->easy, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
}

int http_request_open_alone(struct http_request *http, const struct http_options *options,
			    struct error *err)
{
	int result;

	http->is_reusing = options->is_reusing;
	http->ca = params_text(options->params, options->ca);
	http->body = malloc(HTTP_BODY_MAX + 1);
	if (!http->body)
		return error_errno(err, ENOMEM, "cannot prepare a request");
	result = http_url_parse(options->url, &http->server, err);
	if (result == 0)
		result = resolver_new(&http->server, http->loop, &http->resolver, err);
	if (result == 0)
		result = web_open(http->loop, &http->web, err);
	if (result < 0)
		return result;
	http->easy = http->web->easy_init();
	if (!http->easy)
		return error_errno(err, ENOMEM, "cannot prepare a request");
	snprintf(http->obstacle, sizeof(http->obstacle), "resolve host '%s'", http->server.name);
	return set_up(http, options, err);
}

void http_request_close(struct http_request *http)
{
	if (http->easy)
		http->web->easy_cleanup(http->easy);
	if (http->web) {
		http->web->slist_free_all(http->headers);
		http->web->slist_free_all(http->addresses);
		web_close();
	}
	resolver_free(http->resolver);
	free(http->body);
}
