/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One request to a web server at each attempt of a probe, on its loop: names are looked up without
 * waiting, a new connection for each attempt unless they are kept, redirects not followed, at most
 * the first 64 KiB of the body read. The kind of probe (http, prometheus) judges the answer.
 */
#ifndef SQUALL_HTTP_REQUEST_H
#define SQUALL_HTTP_REQUEST_H

#include "injector/probes/probe.h"
#include "injector/probes/resolver.h"
#include "injector/probes/web.h"

#define HTTP_BODY_MAX (64 * 1024)

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST };
extern const char *const http_methods[];

struct http_options {
	const char *url;
	enum http_method method;
	bool is_reusing;
	const struct params *params;	       /* of the probe */
	unsigned header, insecure, ca;	       /* its parameters of that meaning */
	bool has_tls_13_only, has_certificate; /* its end will be asked for */
	const char *content_type;	       /* of the body of a POST; NULL: there is none */
};
#define HTTP_HEADER_PARAM                                                                          \
	{                                                                                          \
		"header", PARAM_TEXT, PARAM_LIST | PARAM_SECRET,                                   \
			.doc = "request header, as \"Accept: text/plain\""                         \
	}
#define HTTP_INSECURE_PARAM                                                                        \
	{                                                                                          \
		"insecure", PARAM_BOOL, .fallback = "false", .doc = "accept any certificate"       \
	}
#define HTTP_CA_PARAM                                                                              \
	{                                                                                          \
		"ca", PARAM_PATH,                                                                  \
			.doc = "certificates to trust instead of the system's, a PEM file"         \
	}

/* The first member of the state of such a probe; or by itself, without a probe. */
struct http_request {
	struct probe *probe; /* NULL: fail() is told instead */
	struct loop *loop;
	const struct web *web; /* NULL: not opened */
	CURL *easy;
	struct curl_slist *headers, *addresses;
	struct web_transfer transfer;
	struct resolver *resolver;
	struct endpoint_host server;
	bool is_reusing, is_known; /* is_known: the addresses of the last pass serve again */
	const char *ca;
	char *body; /* HTTP_BODY_MAX bytes and a NUL */
	size_t body_length;
	bool is_body_full;
	char trouble[CURL_ERROR_SIZE];
	char obstacle[ENDPOINT_HOST_MAX + 32];
	void (*judge)(struct http_request *http); /* an answer is there: calls probe_finish() */
	void (*fail)(struct http_request *http, const char *reason); /* without a probe */
};

/* The values of a `header` parameter. What is wrong with one is not shown: it may be a secret. */
int http_request_check_headers(const struct params *params, unsigned header, struct error *err);
int http_request_open(struct http_request *http, struct probe *probe,
		      const struct http_options *options, struct error *err);
/* The same for what is no probe: `loop`, judge() and fail() are set before. */
int http_request_open_alone(struct http_request *http, const struct http_options *options,
			    struct error *err);
int http_request_start(struct http_request *http, struct error *err);
/* What the next POST says; it stays the caller's until the request is over. */
void http_request_body(struct http_request *http, const char *body);
/* Of the server's own certificate, seconds since 1970; -1: not known. */
int64_t http_request_certificate_end(const struct http_request *http);
void http_request_cancel(struct http_request *http);
/* What it holds; not the state itself. */
void http_request_close(struct http_request *http);

#endif
